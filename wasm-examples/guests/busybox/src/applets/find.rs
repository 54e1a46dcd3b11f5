//! find.

use crate::paths::{self, Kind};
use crate::world::{Stop, World};

/// What has to be so for a path to be printed.
enum Test {
    Name(String),
    Type(Kind),
}

/// `find [PATH…] [-name PATTERN] [-type f|d|l] [-maxdepth N] [-mindepth N] [-print]`
pub(super) fn find(world: &World, args: &[String]) -> Result<i32, Stop> {
    let split = args
        .iter()
        .position(|arg| arg.starts_with('-'))
        .unwrap_or(args.len());
    let (roots, expression) = args.split_at(split);
    let (mut tests, mut least, mut most) = (Vec::new(), 0, usize::MAX);
    let mut words = expression.iter();
    while let Some(word) = words.next() {
        if word == "-print" {
            continue;
        }
        let Some(value) = words.next() else {
            return world.stop(1, &format!("{word}: unrecognized, or without its value"));
        };
        match (word.as_str(), value.as_str(), value.parse()) {
            ("-name", pattern, _) => tests.push(Test::Name(pattern.to_owned())),
            ("-type", "f", _) => tests.push(Test::Type(Kind::File)),
            ("-type", "d", _) => tests.push(Test::Type(Kind::Directory)),
            ("-type", "l", _) => tests.push(Test::Type(Kind::Link)),
            ("-maxdepth", _, Ok(depth)) => most = depth,
            ("-mindepth", _, Ok(depth)) => least = depth,
            _ => return world.stop(1, &format!("{word} {value}: not supported")),
        }
    }
    let mut status = 0;
    let mut stack: Vec<(String, usize)> =
        roots.iter().rev().map(|root| (root.clone(), 0)).collect();
    if stack.is_empty() {
        stack.push((".".to_owned(), 0));
    }
    while let Some((path, depth)) = stack.pop() {
        let full = world.path(&path);
        let kind = match paths::stat(&full, false) {
            Ok(stat) => stat.kind,
            Err(error) => {
                status = world.complain(&path, &error);
                continue;
            }
        };
        let fits = tests.iter().all(|test| match test {
            Test::Name(pattern) => crate::pattern::matches(pattern, super::base_name(&path)),
            Test::Type(own) => *own == kind,
        });
        if fits && depth >= least {
            world.line(&path)?;
        }
        if kind == Kind::Directory && depth < most {
            let names = paths::names(&full).unwrap_or_default();
            let inner = names
                .iter()
                .rev()
                .map(|name| (format!("{}/{name}", path.trim_end_matches('/')), depth + 1));
            stack.extend(inner);
        }
    }
    Ok(status)
}
