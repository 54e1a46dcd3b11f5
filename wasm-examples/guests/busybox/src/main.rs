//! A multi-call module in the manner of BusyBox: a shell and the usual applets.
//!
//! `argv[0]` names the applet (`echo Hello`, `/bin/sh -c …`); called by its own
//! file's name, or as `busybox`, the first argument does. WASI has neither
//! processes nor a working directory, so the shell runs everything in this
//! process: the stages of a pipeline one after the other with a buffer between
//! them, `$(…)` and `(…)` on a copy of the shell's state, and `cd` changes a
//! variable against which every path is resolved.

mod applets;
mod clock;
mod decimal;
mod host;
mod paths;
mod pattern;
mod regex;
mod sh;
mod stream;
mod world;

use std::process::exit;

use world::World;

fn main() {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let world = World::of_this_process();
    let code = call(&world, &args);
    // WASI ends a process without flushing.
    world.io.stdout.flush();
    exit(code);
}

/// Runs the applet that the arguments name.
fn call(world: &World, args: &[String]) -> i32 {
    let Some((first, rest)) = args.split_first() else {
        return applets::list(world);
    };
    let name = applets::base_name(first);
    if let Some(applet) = applets::find(name) {
        return world.named(name).run(applet, rest);
    }
    // Any other name is a program that is not here: to end well would be a lie.
    if !name.starts_with("busybox") && !name.ends_with(".wasm") {
        return world.error(127, &format!("{first}: applet not found"));
    }
    match rest.split_first() {
        None => applets::list(world),
        Some((second, rest)) => {
            let name = applets::base_name(second);
            match applets::find(name) {
                Some(applet) => world.named(name).run(applet, rest),
                None if matches!(second.as_str(), "--help" | "--list") => applets::list(world),
                None => world
                    .named("busybox")
                    .error(127, &format!("{second}: applet not found")),
            }
        }
    }
}
