//! head, tail, wc, nl, rev, tac.

use super::options::{Options, number};
use crate::world::{Stop, World};

/// `head [-n COUNT | -c COUNT | -COUNT] FILE…`
pub(super) fn head(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, &old_style(args), "n:c:qv")?;
    each_titled(world, &options, |world, file| {
        let input = world.open(file)?;
        if let Some(count) = options.value('c') {
            return world.print(input.up_to(number(world, count)?).unwrap_or_default());
        }
        let count = options.value('n').unwrap_or("10");
        if let Some(all_but) = count.strip_prefix('-') {
            let all = input.all().unwrap_or_default();
            let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
            let kept = lines.len().saturating_sub(number(world, all_but)? as usize);
            return world.print(lines[..kept].concat());
        }
        for _ in 0..number(world, count)? {
            match input.line() {
                Ok(Some(line)) => world.print(line)?,
                _ => break,
            }
        }
        Ok(())
    })
}

/// `tail [-n [+]COUNT | -c [+]COUNT | -COUNT] FILE…`; it cannot follow a file.
pub(super) fn tail(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, &old_style(args), "n:c:qv")?;
    each_titled(world, &options, |world, file| {
        let all = world.open(file)?.all().unwrap_or_default();
        let (count, pieces): (&str, Vec<&[u8]>) = match options.value('c') {
            Some(count) => (count, all.chunks(1).collect()),
            None => (
                options.value('n').unwrap_or("10"),
                all.split_inclusive(|byte| *byte == b'\n').collect(),
            ),
        };
        let start = match count.strip_prefix('+') {
            Some(from) => (number(world, from)? as usize)
                .saturating_sub(1)
                .min(pieces.len()),
            None => pieces
                .len()
                .saturating_sub(number(world, count.trim_start_matches('-'))? as usize),
        };
        world.print(pieces[start..].concat())
    })
}

/// `-5` as `-n 5`.
fn old_style(args: &[String]) -> Vec<String> {
    let mut args = args.to_vec();
    if let Some(first) = args.first_mut() {
        let digits = first
            .strip_prefix('-')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(digits) = digits {
            *first = format!("-n{digits}");
        }
    }
    args
}

/// Does something to each file, with titles if there are more than one.
fn each_titled(
    world: &World,
    options: &Options,
    act: impl Fn(&World, &str) -> Result<(), Stop>,
) -> Result<i32, Stop> {
    let files = options.files();
    let titled = files.len() > 1 && !options.has('q') || options.has('v');
    let mut status = 0;
    let mut first = true;
    for file in &files {
        if titled && world.stat(file).is_ok() {
            world.line(format!("{}==> {file} <==", if first { "" } else { "\n" }))?;
        }
        first = false;
        match act(world, file) {
            Err(Stop::Said(code)) => status = code,
            result => result?,
        }
    }
    Ok(status)
}

/// `wc [-lwcm] FILE…`
pub(super) fn wc(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "lwcmL")?;
    let files = options.files();
    let mut totals = [0; 5];
    let mut status = 0;
    for file in &files {
        let Ok(input) = world.open(file) else {
            status = 1;
            continue;
        };
        let bytes = input.all().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let counts = [
            bytes.iter().filter(|byte| **byte == b'\n').count(),
            text.split_ascii_whitespace().count(),
            text.chars().count(),
            bytes.len(),
            text.lines()
                .map(|line| line.chars().count())
                .max()
                .unwrap_or(0),
        ];
        print_counts(
            world,
            &options,
            counts,
            if options.rest.is_empty() {
                None
            } else {
                Some(file)
            },
        )?;
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    if files.len() > 1 {
        print_counts(world, &options, totals, Some("total"))?;
    }
    Ok(status)
}

fn print_counts(
    world: &World,
    options: &Options,
    counts: [usize; 5],
    name: Option<&str>,
) -> Result<(), Stop> {
    let letters = ['l', 'w', 'm', 'c', 'L'];
    let none = !letters.iter().any(|letter| options.has(*letter));
    let chosen: Vec<usize> = letters
        .iter()
        .zip(counts)
        .filter(|(letter, _)| options.has(**letter) || none && matches!(letter, 'l' | 'w' | 'c'))
        .map(|(_, count)| count)
        .collect();
    let mut text = match chosen[..] {
        [only] => only.to_string(),
        _ => chosen
            .iter()
            .map(|count| format!("{count:9}"))
            .collect::<Vec<_>>()
            .join(" "),
    };
    if let Some(name) = name {
        text.push(' ');
        text.push_str(name);
    }
    world.line(text)
}

/// `nl [-b a] FILE…`: numbers lines, by default those that are not empty.
pub(super) fn nl(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "b:")?;
    let mut count = 0;
    for_lines(world, &options, |world, line| {
        if line == b"\n" && options.value('b') != Some("a") {
            return world.print("       \n");
        }
        count += 1;
        world.print([format!("{count:6}\t").as_bytes(), &line].concat())
    })
}

pub(super) fn rev(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "")?;
    for_lines(world, &options, |world, line| {
        let text = String::from_utf8_lossy(&line);
        world.line(
            text.trim_end_matches('\n')
                .chars()
                .rev()
                .collect::<String>(),
        )
    })
}

pub(super) fn tac(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "")?;
    let mut lines = Vec::new();
    let status = for_lines(world, &options, |_, line| {
        lines.push(line);
        Ok(())
    })?;
    lines.reverse();
    world.print(lines.concat())?;
    Ok(status)
}

fn for_lines(
    world: &World,
    options: &Options,
    mut act: impl FnMut(&World, Vec<u8>) -> Result<(), Stop>,
) -> Result<i32, Stop> {
    let mut status = 0;
    for file in options.files() {
        let Ok(input) = world.open(&file) else {
            status = 1;
            continue;
        };
        while let Ok(Some(line)) = input.line() {
            act(world, line)?;
        }
    }
    Ok(status)
}
