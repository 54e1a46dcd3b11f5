//! sort and uniq.

use std::cmp::Ordering;

use super::options::{Options, number};
use crate::decimal::Decimal;
use crate::paths::lines;
use crate::world::{Stop, World};

/// `sort [-nrufh] [-k FIELD[,FIELD][n][r]] [-t SEPARATOR] [-o FILE] FILE…`
pub(super) fn sort(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "nrufbhsk:t:o:")?;
    let mut all: Vec<String> = Vec::new();
    for file in options.files() {
        let bytes = world.open(&file)?.all().unwrap_or_default();
        all.extend(
            lines(&bytes)
                .iter()
                .map(|line| String::from_utf8_lossy(line).into_owned()),
        );
    }
    let mut keys = Vec::new();
    for text in options.values('k') {
        match Key::parse(text, &options) {
            Some(key) => keys.push(key),
            None => return world.stop(1, &format!("bad field specification '{text}'")),
        }
    }
    if keys.is_empty() {
        let (numeric, fold) = (options.has('n') || options.has('h'), options.has('f'));
        keys.push(Key {
            from: 0,
            to: None,
            numeric,
            fold,
            reverse: options.has('r'),
        });
    }
    let separator = options.value('t').and_then(|text| text.chars().next());
    let by_keys = |left: &String, right: &String| {
        keys.iter()
            .map(|key| key.compare(left, right, separator))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    all.sort_by(|left, right| {
        // Lines that are equal by their keys are in the order of their bytes.
        let last = if options.has('s') || options.has('u') {
            Ordering::Equal
        } else {
            left.cmp(right)
        };
        by_keys(left, right).then(if options.has('r') {
            last.reverse()
        } else {
            last
        })
    });
    if options.has('u') {
        all.dedup_by(|next, kept| by_keys(next, kept).is_eq());
    }
    let text: String = all.into_iter().map(|line| line + "\n").collect();
    match options.value('o') {
        Some(file) => match world.create(file, false)?.write(text.as_bytes()) {
            Ok(()) => Ok(0),
            Err(error) => Ok(world.complain(file, &error)),
        },
        None => {
            world.print(text)?;
            Ok(0)
        }
    }
}

/// What of a line decides its place.
struct Key {
    /// Fields, the first is 0; `to` is the last.
    from: usize,
    to: Option<usize>,
    numeric: bool,
    fold: bool,
    reverse: bool,
}

impl Key {
    fn parse(text: &str, options: &Options) -> Option<Self> {
        let (from, to) = text.split_once(',').unwrap_or((text, ""));
        let number = |part: &str| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().ok()?.checked_sub(1)
        };
        let own = text.contains(|c: char| "nrfh".contains(c));
        let has = |letter| {
            if own {
                text.contains(letter)
            } else {
                options.has(letter)
            }
        };
        Some(Self {
            from: number(from)?,
            to: if to.is_empty() {
                None
            } else {
                Some(number(to)?)
            },
            numeric: has('n') || has('h'),
            fold: has('f'),
            reverse: has('r'),
        })
    }

    fn compare(&self, left: &str, right: &str, separator: Option<char>) -> Ordering {
        let (left, right) = (self.part(left, separator), self.part(right, separator));
        let order = if self.numeric {
            leading_number(&left).cmp(&leading_number(&right))
        } else if self.fold {
            left.to_ascii_uppercase().cmp(&right.to_ascii_uppercase())
        } else {
            left.cmp(&right)
        };
        if self.reverse { order.reverse() } else { order }
    }

    fn part(&self, line: &str, separator: Option<char>) -> String {
        if self.from == 0 && self.to.is_none() {
            return line.to_owned();
        }
        let fields: Vec<&str> = match separator {
            Some(separator) => line.split(separator).collect(),
            None => line.split_ascii_whitespace().collect(),
        };
        let end = self
            .to
            .map_or(fields.len(), |to| (to + 1).min(fields.len()));
        fields.get(self.from..end).unwrap_or_default().join(" ")
    }
}

/// The number at the beginning, 0 if there is none.
fn leading_number(text: &str) -> Decimal {
    let Some((number, rest)) = Decimal::parse_start(text.trim_start()) else {
        return Decimal::default();
    };
    match rest.bytes().next() {
        Some(b'K' | b'k') => number.times(1 << 10),
        Some(b'M') => number.times(1 << 20),
        Some(b'G') => number.times(1 << 30),
        _ => number,
    }
}

/// `uniq [-cdui] [-f FIELDS] [INPUT [OUTPUT]]`
pub(super) fn uniq(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "cduif:")?;
    let skip = options
        .value('f')
        .map_or(Ok(0), |text| number(world, text))? as usize;
    let input = world.open(options.rest.first().map_or("-", String::as_str))?;
    let output = match options.rest.get(1) {
        Some(file) => world.create(file, false)?,
        None => world.io.stdout.clone(),
    };
    let world = World {
        io: crate::world::Io {
            stdout: output,
            ..world.io.clone()
        },
        ..world.clone()
    };
    let key = |line: &str| {
        let rest: Vec<&str> = line.split_ascii_whitespace().skip(skip).collect();
        let key = if skip > 0 {
            rest.join(" ")
        } else {
            line.to_owned()
        };
        if options.has('i') {
            key.to_ascii_lowercase()
        } else {
            key
        }
    };
    let mut groups: Vec<(String, usize)> = Vec::new();
    for line in lines(&input.all().unwrap_or_default()) {
        let line = String::from_utf8_lossy(&line).into_owned();
        match groups.last_mut() {
            Some((first, count)) if key(first) == key(&line) => *count += 1,
            _ => groups.push((line, 1)),
        }
    }
    for (line, count) in groups {
        let wanted = if options.has('d') {
            count > 1
        } else {
            count == 1 || !options.has('u')
        };
        match (wanted, options.has('c')) {
            (false, _) => {}
            (true, true) => world.line(format!("{count:7} {line}"))?,
            (true, false) => world.line(line)?,
        }
    }
    Ok(0)
}
