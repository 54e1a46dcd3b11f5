//! cat, tee, touch, mkdir, rmdir, rm, cp, mv.

use std::fs::{self, OpenOptions};
use std::io;

use super::options::Options;
use crate::paths::{self, Kind};
use crate::world::{Stop, World};

/// How much is copied at once.
const BLOCK_BYTES: u64 = 64 << 10;

/// Directories may be nested so deeply for `rm -r` and `cp -r`.
const DEPTH_MAX: usize = 64;

/// `cat [-n] FILE…`
pub(super) fn cat(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "nu")?;
    let mut status = 0;
    let mut number = 0;
    for file in options.files() {
        let Ok(input) = world.open(&file) else {
            status = 1;
            continue;
        };
        loop {
            let bytes = if options.has('n') {
                input.line().map(Option::unwrap_or_default)
            } else {
                input.up_to(BLOCK_BYTES)
            };
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error) => {
                    status = world.complain(&file, &error);
                    break;
                }
            };
            if bytes.is_empty() {
                break;
            }
            if options.has('n') {
                number += 1;
                world.print(format!("{number:6}\t"))?;
            }
            world.print(bytes)?;
        }
    }
    Ok(status)
}

/// `tee [-a] FILE…`
pub(super) fn tee(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "ai")?;
    let mut outputs = Vec::new();
    let mut status = 0;
    for file in &options.rest {
        match world.create(file, options.has('a')) {
            Ok(output) => outputs.push(output),
            Err(_) => status = 1,
        }
    }
    loop {
        let bytes = world.io.stdin.up_to(BLOCK_BYTES).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(status);
        }
        for (output, file) in outputs.iter().zip(&options.rest) {
            if let Err(error) = output.write(&bytes) {
                status = world.complain(file, &error);
            }
        }
        world.print(bytes)?;
    }
}

/// `touch [-c] FILE…`: what exists gets the time of now.
pub(super) fn touch(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "cam")?;
    each(world, &options.rest, |path| {
        if paths::stat(path, true).is_err() && options.has('c') {
            return Ok(());
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_modified(std::time::SystemTime::now())
    })
}

/// `mkdir [-p] DIRECTORY…`
pub(super) fn mkdir(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "pm:")?;
    each(world, &options.rest, |path| {
        if options.has('p') {
            make_all(path)
        } else {
            fs::create_dir(path)
        }
    })
}

/// Those above may be mounts, or exist only as names.
fn make_all(path: &str) -> io::Result<()> {
    if paths::stat(path, true).is_ok_and(|stat| stat.kind == Kind::Directory) {
        return Ok(());
    }
    if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        make_all(above)?;
    }
    fs::create_dir(path)
}

pub(super) fn rmdir(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "p")?;
    each(world, &options.rest, |path| fs::remove_dir(path))
}

/// `rm [-rf] FILE…`
pub(super) fn rm(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "rRfi")?;
    let recursive = options.has('r') || options.has('R');
    if options.rest.is_empty() && !options.has('f') {
        return world.stop(1, "missing operand");
    }
    let mut status = 0;
    for file in &options.rest {
        let path = world.path(file);
        let result = match paths::stat(&path, false) {
            Err(_) if options.has('f') => Ok(()),
            Err(error) => Err(error),
            Ok(stat) if stat.kind != Kind::Directory => fs::remove_file(&path),
            Ok(_) if recursive => remove_all(&path, 0),
            Ok(_) => Err(io::Error::other("is a directory")),
        };
        if let Err(error) = result {
            status = world.error(
                1,
                &format!("can't remove '{file}': {}", crate::stream::reason(&error)),
            );
        }
    }
    Ok(status)
}

fn remove_all(path: &str, depth: usize) -> io::Result<()> {
    too_deep(depth)?;
    for name in paths::names(path)? {
        let inner = format!("{path}/{name}");
        if paths::stat(&inner, false)?.kind == Kind::Directory {
            remove_all(&inner, depth + 1)?;
        } else {
            fs::remove_file(&inner)?;
        }
    }
    fs::remove_dir(path)
}

/// `cp [-rRa] SOURCE… TARGET`
pub(super) fn cp(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "rRapfd")?;
    let recursive = options.has('r') || options.has('R') || options.has('a');
    to_target(world, &options.rest, |from, to| {
        copy(from, to, recursive, 0)
    })
}

fn copy(from: &str, to: &str, recursive: bool, depth: usize) -> io::Result<()> {
    too_deep(depth)?;
    if paths::stat(from, true)?.kind != Kind::Directory {
        return fs::copy(from, to).map(|_| ());
    }
    if !recursive {
        return Err(io::Error::other("omitting directory"));
    }
    if to == from
        || to
            .strip_prefix(from)
            .is_some_and(|rest| rest.starts_with('/'))
    {
        return Err(io::Error::other("cannot copy a directory into itself"));
    }
    if paths::stat(to, true).is_err() {
        fs::create_dir(to)?;
    }
    for name in paths::names(from)? {
        copy(
            &format!("{from}/{name}"),
            &format!("{to}/{name}"),
            true,
            depth + 1,
        )?;
    }
    Ok(())
}

/// `mv SOURCE… TARGET`, also from one mount to another.
pub(super) fn mv(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "fn")?;
    to_target(world, &options.rest, |from, to| {
        paths::stat(from, false)?;
        if fs::rename(from, to).is_ok() {
            return Ok(());
        }
        copy(from, to, true, 0)?;
        match paths::stat(from, false)?.kind {
            Kind::Directory => remove_all(from, 0),
            _ => fs::remove_file(from),
        }
    })
}

fn too_deep(depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("directories are nested too deeply"));
    }
    Ok(())
}

/// Does something to each file; says what failed.
fn each(
    world: &World,
    files: &[String],
    act: impl Fn(&str) -> io::Result<()>,
) -> Result<i32, Stop> {
    if files.is_empty() {
        return world.stop(1, "missing operand");
    }
    let mut status = 0;
    for file in files {
        if let Err(error) = act(&world.path(file)) {
            status = world.complain(file, &error);
        }
    }
    Ok(status)
}

/// Does something from each source to the target, or to its name in there if
/// that is a directory.
fn to_target(
    world: &World,
    args: &[String],
    act: impl Fn(&str, &str) -> io::Result<()>,
) -> Result<i32, Stop> {
    let Some((target, sources)) = args.split_last().filter(|(_, sources)| !sources.is_empty())
    else {
        return world.stop(1, "expected SOURCE… TARGET");
    };
    let into = world
        .stat(target)
        .is_ok_and(|stat| stat.kind == Kind::Directory);
    if sources.len() > 1 && !into {
        return world.stop(1, &format!("{target}: Not a directory"));
    }
    let mut status = 0;
    for source in sources {
        let from = world.path(source);
        let mut to = world.path(target);
        if into {
            to = format!("{}/{}", to.trim_end_matches('/'), super::base_name(&from));
        }
        if let Err(error) = act(&from, &to) {
            status = world.complain(source, &error);
        }
    }
    Ok(status)
}
