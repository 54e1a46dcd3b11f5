//! `read`: a line into variables.

use crate::sh::{Run, Shell};

/// `read [-r] [-p PROMPT] NAME…`
pub(super) fn read(shell: &mut Shell, args: &[String]) -> Run {
    let mut raw = false;
    let mut args = args.iter();
    let mut names: Vec<&str> = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-r" => raw = true,
            "-p" => {
                let prompt = args.next().map(String::as_str).unwrap_or_default();
                // There is no place where a failure of this could be told.
                let _ = shell.output(2).write(prompt.as_bytes());
            }
            option if option.starts_with('-') => {
                return shell.error(2, &format!("read: illegal option {option}"));
            }
            name => names.push(name),
        }
    }
    let Some((line, complete)) = read_line(shell, raw) else {
        for name in names {
            shell.assign(name, "")?;
        }
        return Ok(1);
    };
    if names.is_empty() {
        names.push("REPLY");
    }
    let separators = shell.variables.peek("IFS").unwrap_or(" \t\n").to_owned();
    let fields = split(&line, &separators, names.len());
    for (index, name) in names.iter().enumerate() {
        shell.assign(
            name,
            fields.get(index).map(String::as_str).unwrap_or_default(),
        )?;
    }
    Ok(i32::from(!complete))
}

/// A character of a line, and whether a backslash made it plain.
type Char = (char, bool);

/// The next line, and whether it had a line feed; backslashes join lines and make
/// characters plain unless `raw`.
fn read_line(shell: &Shell, raw: bool) -> Option<(Vec<Char>, bool)> {
    let input = shell.input();
    let mut line = Vec::new();
    let mut any = false;
    loop {
        let Ok(Some(bytes)) = input.line() else {
            return any.then_some((line, false));
        };
        any = true;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let complete = text.ends_with('\n');
        let mut chars = text.trim_end_matches('\n').chars();
        let mut joined = false;
        while let Some(c) = chars.next() {
            if c != '\\' || raw {
                line.push((c, false));
                continue;
            }
            match chars.next() {
                Some(next) => line.push((next, true)),
                None => joined = true,
            }
        }
        if !joined {
            return Some((line, complete));
        }
    }
}

/// Splits into at most `count` fields; the last one takes the rest.
fn split(line: &[Char], separators: &str, count: usize) -> Vec<String> {
    let is_separator = |(c, plain): &Char| !plain && separators.contains(*c);
    let is_blank = |char: &Char| is_separator(char) && char.0.is_ascii_whitespace();
    let mut fields = Vec::new();
    let mut at = 0;
    let skip_blanks = |mut at: usize| {
        while line.get(at).is_some_and(is_blank) {
            at += 1;
        }
        at
    };
    at = skip_blanks(at);
    while at < line.len() && fields.len() + 1 < count {
        let start = at;
        while line.get(at).is_some_and(|char| !is_separator(char)) {
            at += 1;
        }
        fields.push(line[start..at].iter().map(|(c, _)| c).collect());
        at = skip_blanks(at);
        // At most one separator that is not a blank ends a field.
        if line.get(at).is_some_and(is_separator) && !line[start..at].iter().any(is_blank) {
            at = skip_blanks(at + 1);
        }
    }
    let end = line.len() - line.iter().rev().take_while(|char| is_blank(char)).count();
    if at < end {
        fields.push(line[at..end].iter().map(|(c, _)| c).collect());
    }
    fields
}
