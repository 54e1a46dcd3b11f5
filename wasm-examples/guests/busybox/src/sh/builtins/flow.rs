//! Builtins that decide what runs next.

use crate::sh::{Flow, Run, Shell};

pub(super) fn exit(shell: &mut Shell, args: &[String]) -> Run {
    let code = status(shell, "exit", args)?;
    Err(Flow::Exit(code))
}

pub(super) fn return_(shell: &mut Shell, args: &[String]) -> Run {
    let code = status(shell, "return", args)?;
    Err(Flow::Return(code))
}

/// The argument as a status; without one it is that of the last command.
fn status(shell: &mut Shell, name: &str, args: &[String]) -> Run {
    let Some(arg) = args.first() else {
        return Ok(shell.status);
    };
    match arg.parse::<i64>() {
        Ok(number) => Ok((number & 0xff) as i32),
        Err(_) => {
            shell.say(&format!("{name}: Illegal number: {arg}"));
            Err(Flow::Exit(2))
        }
    }
}

/// `break` and `continue`; outside of loops they do nothing.
pub(super) fn leave_loop(shell: &mut Shell, args: &[String], flow: fn(usize) -> Flow) -> Run {
    let levels: usize = match args.first().map(|arg| arg.parse()) {
        None => 1,
        Some(Ok(levels @ 1..)) => levels,
        Some(_) => {
            shell.say(&format!("Illegal number: {}", args[0]));
            return Err(Flow::Exit(2));
        }
    };
    match levels.min(shell.loops) {
        0 => Ok(0),
        levels => Err(flow(levels)),
    }
}

/// `exec COMMAND ARGS…` ends the shell with the command; what `exec` without one
/// redirects is kept by its caller.
pub(super) fn exec(shell: &mut Shell, args: &[String]) -> Run {
    match args.split_first() {
        None => Ok(0),
        Some((name, args)) => {
            let code = shell.call_no_function(name, args)?;
            // The command takes the shell's place, and with it goes the trap.
            shell.traps = Default::default();
            Err(Flow::Exit(code))
        }
    }
}

pub(super) fn source(shell: &mut Shell, args: &[String]) -> Run {
    let Some(path) = args.first() else {
        return shell.error(2, ".: filename argument required");
    };
    let Some(text) = shell.script(path) else {
        shell.say(&format!(".: {path}: not found"));
        return Err(Flow::Exit(2));
    };
    shell.depth += 1;
    if shell.depth > crate::sh::DEPTH_MAX {
        shell.say(".: too many scripts within each other");
        return Err(Flow::Exit(2));
    }
    let result = shell.run_text(&text);
    shell.depth -= 1;
    match result {
        Err(Flow::Return(code)) => Ok(code),
        result => result,
    }
}

pub(super) fn shift(shell: &mut Shell, args: &[String]) -> Run {
    let count = match args.first().map(|arg| arg.parse::<usize>()) {
        None => 1,
        Some(Ok(count)) => count,
        Some(Err(_)) => return shell.error(2, &format!("shift: Illegal number: {}", args[0])),
    };
    if count > shell.arguments.len() {
        return Ok(1);
    }
    shell.arguments.drain(..count);
    Ok(0)
}

/// What was in the background has ended; without an argument that is all.
pub(super) fn wait(shell: &mut Shell, args: &[String]) -> Run {
    match args.first().map(String::as_str) {
        None => Ok(0),
        Some("2") => Ok(shell.background.unwrap_or(127)),
        Some(_) => Ok(127),
    }
}

pub(super) fn let_(shell: &mut Shell, args: &[String]) -> Run {
    let mut value = 0;
    for arg in args {
        value = shell.evaluate(arg)?;
    }
    Ok(i32::from(value == 0))
}
