//! env, printenv, xargs.

use super::options::{Options, number};
use crate::world::{Stop, World};

/// `env [-i] [-u NAME] [NAME=VALUE…] [COMMAND ARGS…]`
pub(super) fn env(world: &World, args: &[String]) -> Result<i32, Stop> {
    let mut inner = world.clone();
    let mut args = args;
    while let Some((first, rest)) = args.split_first() {
        if first == "-i" || first == "-" {
            inner.environment.clear();
        } else if first == "-u" && !rest.is_empty() {
            inner.environment.retain(|(name, _)| *name != rest[0]);
            args = &rest[1..];
            continue;
        } else if let Some((name, value)) = first.split_once('=') {
            inner.environment.retain(|(own, _)| own != name);
            inner.environment.push((name.to_owned(), value.to_owned()));
        } else {
            break;
        }
        args = rest;
    }
    if !args.is_empty() {
        return super::run(&inner, args);
    }
    for (name, value) in &inner.environment {
        world.line(format!("{name}={value}"))?;
    }
    Ok(0)
}

pub(super) fn printenv(world: &World, args: &[String]) -> Result<i32, Stop> {
    if args.is_empty() {
        return env(world, args);
    }
    let mut status = 0;
    for name in args {
        match world.variable(name) {
            Some(value) => world.line(value)?,
            None => status = 1,
        }
    }
    Ok(status)
}

/// `xargs [-n MAX] [-I MARK] [-0rt] [COMMAND ARGS…]`
pub(super) fn xargs(world: &World, args: &[String]) -> Result<i32, Stop> {
    // What is behind the command is the command's.
    let mut command_at = 0;
    while let Some(arg) = args
        .get(command_at)
        .filter(|arg| arg.starts_with('-') && arg.len() > 1)
    {
        command_at += if matches!(arg.as_str(), "-n" | "-I" | "-L" | "-P") {
            2
        } else {
            1
        };
    }
    let (options, command) = args.split_at(command_at.min(args.len()));
    let options = Options::read(world, options, "n:I:L:P:0rt")?;
    let command = if command.is_empty() {
        vec!["echo".to_owned()]
    } else {
        command.to_vec()
    };
    let input = String::from_utf8_lossy(&world.io.stdin.all().unwrap_or_default()).into_owned();
    let mark = options.value('I');
    let items: Vec<String> = if options.has('0') {
        input
            .split('\0')
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    } else if mark.is_some() {
        input
            .lines()
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    } else {
        words(&input)
    };
    let per_call = match options.value('n').or(options.value('L')) {
        Some(text) => number(world, text)?.max(1) as usize,
        None => usize::MAX,
    };
    let calls: Vec<Vec<String>> = match mark {
        Some(mark) => items
            .iter()
            .map(|item| command.iter().map(|arg| arg.replace(mark, item)).collect())
            .collect(),
        None if items.is_empty() && options.has('r') => Vec::new(),
        None if items.is_empty() => vec![command],
        None => items
            .chunks(per_call)
            .map(|items| [command.as_slice(), items].concat())
            .collect(),
    };
    let mut status = 0;
    for call in calls {
        if options.has('t') {
            // There is no place where a failure of this could be told.
            let _ = world
                .io
                .stderr
                .write(format!("{}\n", call.join(" ")).as_bytes());
        }
        status = match super::run(world, &call)? {
            0 => status,
            code @ 126.. => return Ok(code),
            _ => 123,
        };
    }
    Ok(status)
}

/// Words, of which quotes and backslashes may hold blanks.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(own)) if c == own => quote = None,
            (c, Some(_)) => word.get_or_insert_with(String::new).push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            ('\\', None) => word.get_or_insert_with(String::new).extend(chars.next()),
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}
