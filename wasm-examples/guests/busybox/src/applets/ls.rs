//! ls.

use super::options::Options;
use crate::clock::Date;
use crate::paths::{self, Kind};
use crate::world::{Stop, World};

/// `ls [-1aAdlRh] FILE…`: one name per line, as into a pipe.
pub(super) fn ls(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "1aAdlRhFtrn")?;
    let targets = if options.rest.is_empty() {
        vec![".".to_owned()]
    } else {
        options.rest.clone()
    };
    let mut status = 0;
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for target in &targets {
        match world.stat(target) {
            Err(error) => status = world.complain(target, &error),
            Ok(stat) if stat.kind == Kind::Directory && !options.has('d') => {
                directories.push(target.clone())
            }
            Ok(_) => files.push(target.clone()),
        }
    }
    for file in &files {
        entry(world, &options, file, &world.path(file))?;
    }
    let titled = targets.len() > 1 || options.has('R');
    let mut first = files.is_empty();
    // A stack, the next one last.
    directories.reverse();
    while let Some(directory) = directories.pop() {
        if titled {
            world.line(format!("{}{directory}:", if first { "" } else { "\n" }))?;
        }
        first = false;
        let inner = contents(world, &options, &directory, &mut status)?;
        if options.has('R') {
            directories.extend(inner.into_iter().rev());
        }
    }
    Ok(status)
}

/// Prints what is in a directory; returns the directories in it.
fn contents(
    world: &World,
    options: &Options,
    directory: &str,
    status: &mut i32,
) -> Result<Vec<String>, Stop> {
    let path = world.path(directory);
    let mut names = match paths::names(&path) {
        Ok(names) => names,
        Err(error) => {
            *status = world.complain(directory, &error);
            return Ok(Vec::new());
        }
    };
    names.retain(|name| !name.starts_with('.') || options.has('a') || options.has('A'));
    if options.has('t') {
        names.sort_by_key(|name| {
            std::cmp::Reverse(
                paths::stat(&format!("{path}/{name}"), false)
                    .ok()
                    .and_then(|stat| stat.modified),
            )
        });
    }
    if options.has('r') {
        names.reverse();
    }
    if options.has('a') {
        names.splice(0..0, [".".to_owned(), "..".to_owned()]);
    }
    let mut inner = Vec::new();
    for name in names {
        let full = format!("{}/{name}", path.trim_end_matches('/'));
        entry(world, options, &name, &full)?;
        let is_directory = paths::stat(&full, false).is_ok_and(|stat| stat.kind == Kind::Directory);
        if is_directory && name != "." && name != ".." {
            inner.push(format!("{}/{name}", directory.trim_end_matches('/')));
        }
    }
    Ok(inner)
}

fn entry(world: &World, options: &Options, name: &str, path: &str) -> Result<(), Stop> {
    let stat =
        paths::stat(&paths::normalize("/", path), false).or_else(|_| paths::stat(path, false));
    let mark = match &stat {
        Ok(stat) if options.has('F') && stat.kind == Kind::Directory => "/",
        _ => "",
    };
    let (true, Ok(stat)) = (options.has('l') || options.has('n'), stat) else {
        return world.line(format!("{name}{mark}"));
    };
    // WASI knows neither owners nor permissions.
    let mode = match stat.kind {
        Kind::Directory => "drwxr-xr-x",
        Kind::Link => "lrwxrwxrwx",
        Kind::Device => "crw-rw-rw-",
        Kind::File => "-rw-r--r--",
    };
    let time = stat
        .modified
        .map_or(
            Date {
                seconds: 0,
                nanoseconds: 0,
            },
            Date::of,
        )
        .format("%b %e %H:%M");
    world.line(format!(
        "{mode}    1 root     root     {:>9} {time} {name}{mark}",
        stat.bytes
    ))
}
