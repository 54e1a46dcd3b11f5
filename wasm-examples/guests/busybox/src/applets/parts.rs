//! basename, dirname, cut.

use super::options::Options;
use crate::paths::lines;
use crate::world::{Stop, World};

/// `basename PATH [SUFFIX]`
pub(super) fn basename(world: &World, args: &[String]) -> Result<i32, Stop> {
    let Some(path) = args.first() else {
        return world.stop(1, "missing operand");
    };
    let trimmed = path.trim_end_matches('/');
    let name = if trimmed.is_empty() && !path.is_empty() {
        "/"
    } else {
        super::base_name(trimmed)
    };
    let suffix = args.get(1).map(String::as_str).unwrap_or_default();
    world.line(
        name.strip_suffix(suffix)
            .filter(|name| !name.is_empty())
            .unwrap_or(name),
    )?;
    Ok(0)
}

pub(super) fn dirname(world: &World, args: &[String]) -> Result<i32, Stop> {
    let Some(path) = args.first() else {
        return world.stop(1, "missing operand");
    };
    let trimmed = path.trim_end_matches('/');
    world.line(match trimmed.rsplit_once('/') {
        Some((above, _)) if above.trim_end_matches('/').is_empty() => "/",
        Some((above, _)) => above.trim_end_matches('/'),
        None if trimmed.is_empty() && !path.is_empty() => "/",
        None => ".",
    })?;
    Ok(0)
}

/// `cut -c LIST | -b LIST | -f LIST [-d DELIMITER] [-s] FILE…`
pub(super) fn cut(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "c:b:f:d:sn")?;
    let Some(list) = options
        .value('f')
        .or(options.value('c'))
        .or(options.value('b'))
    else {
        return world.stop(1, "expected a list of bytes, characters, or fields");
    };
    let Some(ranges) = ranges(list) else {
        return world.stop(1, &format!("invalid range '{list}'"));
    };
    let chosen = |index: usize| {
        ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&index))
    };
    let delimiter = options.value('d').unwrap_or("\t");
    for file in options.files() {
        let bytes = world.open(&file)?.all().unwrap_or_default();
        for line in lines(&bytes) {
            let line = String::from_utf8_lossy(&line);
            if options.value('f').is_none() {
                let text: String = line
                    .chars()
                    .enumerate()
                    .filter(|(index, _)| chosen(index + 1))
                    .map(|(_, c)| c)
                    .collect();
                world.line(text)?;
            } else if line.contains(delimiter) {
                let fields = line
                    .split(delimiter)
                    .enumerate()
                    .filter(|(index, _)| chosen(index + 1));
                world.line(
                    fields
                        .map(|(_, field)| field)
                        .collect::<Vec<_>>()
                        .join(delimiter),
                )?;
            } else if !options.has('s') {
                world.line(line)?;
            }
        }
    }
    Ok(0)
}

/// `1,3-5,7-`
fn ranges(list: &str) -> Option<Vec<(usize, usize)>> {
    list.split(',')
        .map(|range| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let from = if from.is_empty() {
                1
            } else {
                from.parse().ok()?
            };
            let to = if to.is_empty() {
                usize::MAX
            } else {
                to.parse().ok()?
            };
            (from > 0 && from <= to).then_some((from, to))
        })
        .collect()
}
