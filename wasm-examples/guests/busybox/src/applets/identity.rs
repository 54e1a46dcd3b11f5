//! hostname, id, whoami, uname, nproc, pwd, which: what can be said without a
//! system below. The host's name is the pod's, if HOSTNAME tells it.

use super::options::Options;
use crate::world::{Stop, World};

pub(super) fn hostname(world: &World, _: &[String]) -> Result<i32, Stop> {
    world.line(host(world))?;
    Ok(0)
}

fn host(world: &World) -> &str {
    world.variable("HOSTNAME").unwrap_or("localhost")
}

/// `id [-u|-g|-un|-gn]`
pub(super) fn id(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "ugnG")?;
    let one = options.has('u') || options.has('g') || options.has('G');
    world.line(match (one, options.has('n')) {
        (true, true) => "root",
        (true, false) => "0",
        (false, _) => "uid=0(root) gid=0(root) groups=0(root)",
    })?;
    Ok(0)
}

pub(super) fn whoami(world: &World, _: &[String]) -> Result<i32, Stop> {
    world.line("root")?;
    Ok(0)
}

/// `uname [-asnrvmo]`
pub(super) fn uname(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "asnrvmo")?;
    let fields = [
        ('s', "WASI"),
        ('n', host(world)),
        ('r', "0.1"),
        ('v', "wasmjob"),
        ('m', "wasm32"),
        ('o', "WASI"),
    ];
    let none = !fields.iter().any(|(letter, _)| options.has(*letter)) && !options.has('a');
    let chosen: Vec<&str> = fields
        .iter()
        .filter(|(letter, _)| options.has('a') || options.has(*letter) || none && *letter == 's')
        .map(|(_, text)| *text)
        .collect();
    world.line(chosen.join(" "))?;
    Ok(0)
}

/// A guest has one thread.
pub(super) fn nproc(world: &World, _: &[String]) -> Result<i32, Stop> {
    world.line(1)?;
    Ok(0)
}

pub(super) fn pwd(world: &World, _: &[String]) -> Result<i32, Stop> {
    world.line(&world.directory)?;
    Ok(0)
}

pub(super) fn which(world: &World, args: &[String]) -> Result<i32, Stop> {
    let mut status = 0;
    for name in args {
        match super::find(name) {
            Some(_) => world.line(format!("/bin/{name}"))?,
            None => status = 1,
        }
    }
    Ok(status)
}
