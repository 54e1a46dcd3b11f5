//! sed: `s`, `p`, `d`, `q`, `=`, `y` and what chooses lines for them.

mod script;

use super::options::Options;
use crate::paths::lines;
use crate::regex::{Captures, Dialect};
use crate::world::{Stop, World};
use script::{Action, Address, Command, Replacement, Substitution};

/// `sed [-nEri] [-e SCRIPT] [SCRIPT] FILE…`
pub(super) fn sed(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "nErsie:f:")?;
    let mut files = options.rest.clone();
    let mut texts: Vec<String> = options.values('e').map(str::to_owned).collect();
    for file in options.values('f') {
        texts.push(
            String::from_utf8_lossy(&world.open(file)?.all().unwrap_or_default()).into_owned(),
        );
    }
    if texts.is_empty() {
        if files.is_empty() {
            return world.stop(1, "expected a script");
        }
        texts.push(files.remove(0));
    }
    let extended = options.has('E') || options.has('r');
    let dialect = if extended {
        Dialect::Extended
    } else {
        Dialect::Basic
    };
    let commands = match script::parse(&texts.join("\n"), dialect) {
        Ok(commands) => commands,
        Err(mistake) => return world.stop(1, &mistake),
    };
    let mut editor = Editor {
        commands,
        quiet: options.has('n'),
        output: String::new(),
        code: None,
    };
    if options.has('i') {
        for file in &files {
            let bytes = world.open(file)?.all().unwrap_or_default();
            editor.run(&bytes);
            let text = std::mem::take(&mut editor.output);
            if let Err(error) = world.create(file, false)?.write(text.as_bytes()) {
                return Ok(world.complain(file, &error));
            }
        }
        return Ok(editor.code.unwrap_or(0));
    }
    if files.is_empty() {
        files.push("-".to_owned());
    }
    let mut status = 0;
    let mut bytes = Vec::new();
    for file in &files {
        match world.open(file) {
            Ok(input) => bytes.extend(input.all().unwrap_or_default()),
            Err(_) => status = 1,
        }
    }
    editor.run(&bytes);
    world.print(editor.output)?;
    Ok(editor.code.unwrap_or(status))
}

struct Editor {
    commands: Vec<Command>,
    quiet: bool,
    output: String,
    /// That of `q`.
    code: Option<i32>,
}

impl Editor {
    fn run(&mut self, bytes: &[u8]) {
        let lines = lines(bytes);
        for command in &mut self.commands {
            command.in_range = false;
        }
        for (index, line) in lines.iter().enumerate() {
            let line = String::from_utf8_lossy(line).into_owned();
            self.line(line, index + 1, index + 1 == lines.len());
            if self.code.is_some() {
                return;
            }
        }
    }

    fn line(&mut self, mut line: String, number: usize, is_last: bool) {
        for at in 0..self.commands.len() {
            let command = &mut self.commands[at];
            if command.chosen(&line, number, is_last) == command.inverted {
                continue;
            }
            match &command.action {
                Action::Delete => return,
                Action::Print => self.output.push_str(&format!("{line}\n")),
                Action::Number => self.output.push_str(&format!("{number}\n")),
                Action::Quit(code) => {
                    self.code = Some(*code);
                    break;
                }
                Action::Transliterate(from, to) => {
                    let swap = |c| from.iter().position(|own| *own == c).map_or(c, |at| to[at]);
                    line = line.chars().map(swap).collect();
                }
                Action::Text(text) => self.output.push_str(&format!("{text}\n")),
                Action::Change(text) => {
                    self.output.push_str(&format!("{text}\n"));
                    return;
                }
                Action::Substitute(substitution) => {
                    if let Some(changed) = substitution.apply(&line) {
                        line = changed;
                        if substitution.print {
                            self.output.push_str(&format!("{line}\n"));
                        }
                    }
                }
            }
        }
        if !self.quiet {
            self.output.push_str(&format!("{line}\n"));
        }
    }
}

impl Command {
    fn chosen(&mut self, line: &str, number: usize, is_last: bool) -> bool {
        let meets = |address: &Address| match address {
            Address::Line(own) => *own == number,
            Address::Last => is_last,
            Address::Match(regex) => regex.find(line, 0).is_some(),
        };
        match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => meets(from),
            (Some(_), Some(to)) if self.in_range => {
                self.in_range = !(meets(to) || matches!(to, Address::Line(end) if *end <= number));
                !matches!(to, Address::Line(end) if *end < number)
            }
            (Some(from), Some(to)) => {
                let begins = meets(from);
                self.in_range = begins && !matches!(to, Address::Line(end) if *end <= number);
                begins
            }
        }
    }
}

impl Substitution {
    /// The line with its matches replaced, if there are any.
    fn apply(&self, line: &str) -> Option<String> {
        let mut text = String::new();
        let mut from = 0;
        let mut copied = 0;
        let mut count = 0;
        while from <= line.len() {
            let Some(captures) = self.regex.find(line, from) else {
                break;
            };
            let Some((start, end)) = captures[0] else {
                break;
            };
            count += 1;
            if count >= self.first {
                text.push_str(&line[copied..start]);
                self.replace(line, &captures, &mut text);
                copied = end;
                if !self.all {
                    break;
                }
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
        (count >= self.first).then(|| text + &line[copied..])
    }

    fn replace(&self, line: &str, captures: &Captures, text: &mut String) {
        for part in &self.with {
            match part {
                Replacement::Text(part) => text.push_str(part),
                Replacement::Group(number) => {
                    if let Some((start, end)) = captures[*number] {
                        text.push_str(&line[start..end]);
                    }
                }
            }
        }
    }
}
