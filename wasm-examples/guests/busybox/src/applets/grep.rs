//! grep, egrep, fgrep.

use super::options::{Options, number};
use crate::paths::lines;
use crate::regex::{Dialect, Regex};
use crate::world::{Stop, World};

pub(super) fn grep(world: &World, args: &[String]) -> Result<i32, Stop> {
    search(world, args, Dialect::Basic)
}

pub(super) fn egrep(world: &World, args: &[String]) -> Result<i32, Stop> {
    search(world, args, Dialect::Extended)
}

pub(super) fn fgrep(world: &World, args: &[String]) -> Result<i32, Stop> {
    search(world, args, Dialect::Fixed)
}

/// `grep [-EFivcnqlLoxwshH] [-e PATTERN] [-m MAX] [PATTERN] FILE…`
fn search(world: &World, args: &[String], dialect: Dialect) -> Result<i32, Stop> {
    let options = Options::read(world, args, "EFGivcnqlLoxwshHe:m:A:B:C:")?;
    let dialect = match () {
        () if options.has('E') => Dialect::Extended,
        () if options.has('F') => Dialect::Fixed,
        () => dialect,
    };
    let mut files = options.rest.clone();
    let mut patterns: Vec<String> = options.values('e').map(str::to_owned).collect();
    if patterns.is_empty() {
        if files.is_empty() {
            return world.stop(2, "expected a pattern");
        }
        patterns.push(files.remove(0));
    }
    let mut regexes = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| pattern.split('\n')) {
        match Regex::new(pattern, dialect, options.has('i')) {
            Ok(regex) => regexes.push(regex),
            Err(mistake) => return world.stop(2, &format!("bad regex '{pattern}': {mistake}")),
        }
    }
    if files.is_empty() {
        files.push("-".to_owned());
    }
    let max = options
        .value('m')
        .map_or(Ok(u64::MAX), |text| number(world, text))?;
    let titled = (files.len() > 1 || options.has('H')) && !options.has('h');
    let search = Search {
        world,
        options: &options,
        regexes: &regexes,
        max,
    };
    let mut found = false;
    let mut failed = false;
    for file in &files {
        if options.has('s') && file != "-" && world.stat(file).is_err() {
            failed = true;
            continue;
        }
        let Ok(input) = world.open(file) else {
            failed = true;
            continue;
        };
        let name = if file == "-" {
            "(standard input)"
        } else {
            file
        };
        found |= search.file(name, titled, &input.all().unwrap_or_default())?;
        if found && options.has('q') {
            return Ok(0);
        }
    }
    Ok(if failed { 2 } else { i32::from(!found) })
}

struct Search<'a> {
    world: &'a World,
    options: &'a Options,
    regexes: &'a [Regex],
    max: u64,
}

impl Search<'_> {
    /// Prints what is asked for of one file; whether a line was selected.
    fn file(&self, name: &str, titled: bool, bytes: &[u8]) -> Result<bool, Stop> {
        let quiet = ['q', 'c', 'l', 'L']
            .iter()
            .any(|letter| self.options.has(*letter));
        let all = lines(bytes);
        let context = |letter| match self.options.value(letter).or(self.options.value('C')) {
            Some(text) => number(self.world, text).map(|count| count as usize),
            None => Ok(0),
        };
        let (after, before) = (context('A')?, context('B')?);
        let mut count = 0;
        // Lines up to here have been printed.
        let mut printed = 0;
        let mut until = 0;
        for (index, line) in all.iter().enumerate() {
            let line = String::from_utf8_lossy(line);
            let matches = self.matches(&line);
            let selected = matches.is_empty() == self.options.has('v') && count < self.max;
            count += u64::from(selected);
            if quiet || !selected && index >= until {
                continue;
            }
            let from = if selected {
                index.saturating_sub(before).max(printed)
            } else {
                index
            };
            if (after > 0 || before > 0) && printed > 0 && from > printed {
                self.world.line("--")?;
            }
            for (earlier, text) in all[..index].iter().enumerate().skip(from) {
                self.print(name, titled, earlier, '-', &String::from_utf8_lossy(text))?;
            }
            let mark = if selected { ':' } else { '-' };
            if selected && self.options.has('o') {
                for (start, end) in matches.into_iter().filter(|(start, end)| start < end) {
                    self.print(name, titled, index, mark, &line[start..end])?;
                }
            } else {
                self.print(name, titled, index, mark, &line)?;
            }
            printed = index + 1;
            if selected {
                until = index + 1 + after;
            }
        }
        if self.options.has('c') {
            let title = if titled {
                format!("{name}:")
            } else {
                String::new()
            };
            self.world.line(format!("{title}{count}"))?;
        }
        if self.options.has('l') && count > 0 || self.options.has('L') && count == 0 {
            self.world.line(name)?;
        }
        Ok(count > 0)
    }

    fn print(
        &self,
        name: &str,
        titled: bool,
        index: usize,
        mark: char,
        text: &str,
    ) -> Result<(), Stop> {
        let title = if titled {
            format!("{name}{mark}")
        } else {
            String::new()
        };
        let number = if self.options.has('n') {
            format!("{}{mark}", index + 1)
        } else {
            String::new()
        };
        self.world.line(format!("{title}{number}{text}"))
    }

    /// Where the line matches; one place is enough unless all are printed.
    fn matches(&self, line: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut from = 0;
        while from <= line.len() {
            let next = self
                .regexes
                .iter()
                .filter_map(|regex| self.fitting(regex, line, from))
                .min_by_key(|found| found.0);
            let Some((start, end)) = next else { break };
            found.push((start, end));
            if !self.options.has('o') {
                break;
            }
            from = if end > start {
                end
            } else {
                line[end..]
                    .chars()
                    .next()
                    .map_or(line.len() + 1, |c| end + c.len_utf8())
            };
        }
        found
    }

    /// The first match that is a whole line or word, if that is asked for.
    fn fitting(&self, regex: &Regex, line: &str, mut from: usize) -> Option<(usize, usize)> {
        loop {
            let (start, end) = regex.find(line, from)?[0]?;
            let is_word =
                |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
            let whole = start == 0 && end == line.len();
            let word =
                !is_word(line[..start].chars().next_back()) && !is_word(line[end..].chars().next());
            if (whole || !self.options.has('x')) && (word || !self.options.has('w')) {
                return Some((start, end));
            }
            from = start + line[start..].chars().next()?.len_utf8();
        }
    }
}
