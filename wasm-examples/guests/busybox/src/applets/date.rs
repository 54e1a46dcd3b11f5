//! date.

use super::options::Options;
use crate::clock::Date;
use crate::world::{Stop, World};

/// `date [-u] [-d TIME] [-r FILE] [-I] [-R] [+FORMAT]`, always in UTC.
pub(super) fn date(world: &World, args: &[String]) -> Result<i32, Stop> {
    // GNU's long option is what scripts use most.
    let iso: Vec<String> = args
        .iter()
        .map(|arg| if arg == "-Iseconds" { "-S" } else { arg }.to_owned())
        .collect();
    let options = Options::read(world, &iso, "uRISd:r:")?;
    let date = match (options.value('d'), options.value('r')) {
        (Some(text), _) => match Date::parse(text) {
            Some(date) => date,
            None => return world.stop(1, &format!("invalid date '{text}'")),
        },
        (None, Some(file)) => match world.stat(file).map(|stat| stat.modified) {
            Ok(Some(time)) => Date::of(time),
            Ok(None) => Date::now(),
            Err(error) => return Ok(world.complain(file, &error)),
        },
        (None, None) => Date::now(),
    };
    let format = match options.rest.first() {
        Some(format) => match format.strip_prefix('+') {
            Some(format) => format,
            None => return world.stop(1, &format!("invalid date '{format}'")),
        },
        None if options.has('I') => "%Y-%m-%d",
        None if options.has('S') => "%Y-%m-%dT%H:%M:%S+00:00",
        None if options.has('R') => "%a, %d %b %Y %H:%M:%S +0000",
        None => "%a %b %e %H:%M:%S UTC %Y",
    };
    world.line(date.format(format))?;
    Ok(0)
}
