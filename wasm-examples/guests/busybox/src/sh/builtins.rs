//! Commands that change the shell itself; all others are applets.

mod flow;
mod names;
mod read;

use super::{Run, Shell};
use crate::paths;
use crate::{applets, host};

/// A builtin.
pub(super) type Builtin = fn(&mut Shell, &[String]) -> Run;

/// The builtin called `name`.
pub(super) fn find(name: &str) -> Option<Builtin> {
    Some(match name {
        ":" => |_, _| Ok(0),
        "." | "source" => flow::source,
        "break" => |shell, args| flow::leave_loop(shell, args, super::Flow::Break),
        "cd" => cd,
        "command" => command,
        "continue" => |shell, args| flow::leave_loop(shell, args, super::Flow::Continue),
        "eval" => |shell, args| shell.run_text(&args.join(" ")),
        "exec" => flow::exec,
        "exit" => flow::exit,
        "export" => names::export,
        "jobs" | "umask" => |_, _| Ok(0),
        "kill" => kill,
        "let" => flow::let_,
        "local" => names::local,
        "pwd" => |shell, _| {
            shell.print(&format!("{}\n", shell.directory));
            Ok(0)
        },
        "read" => read::read,
        "readonly" => names::readonly,
        "return" => flow::return_,
        "set" => names::set,
        "shift" => flow::shift,
        "trap" => Shell::trap,
        "type" => type_,
        "unset" => names::unset,
        "wait" => flow::wait,
        _ => return None,
    })
}

impl Shell {
    pub(super) fn print(&self, text: &str) {
        // The reader may be gone; what the builtin does is not its output.
        let _ = self.output(1).write(text.as_bytes());
    }
}

fn cd(shell: &mut Shell, args: &[String]) -> Run {
    let old = shell.variables.peek("OLDPWD").unwrap_or("/").to_owned();
    let home = shell.variables.peek("HOME").unwrap_or("/").to_owned();
    let target = match args
        .iter()
        .find(|arg| *arg != "--" && *arg != "-P" && *arg != "-L")
    {
        Some(arg) if arg == "-" => &old,
        Some(arg) => arg,
        None => &home,
    };
    let directory = paths::normalize(&shell.directory, target);
    match paths::stat(&directory, true) {
        Ok(stat) if stat.kind == paths::Kind::Directory => {}
        _ => {
            return shell.error(
                2,
                &format!("cd: can't cd to {target}: No such file or directory"),
            );
        }
    }
    if args.first().is_some_and(|arg| arg == "-") {
        shell.print(&format!("{directory}\n"));
    }
    let before = std::mem::replace(&mut shell.directory, directory.clone());
    shell.variables.set("OLDPWD", &before);
    shell.variables.set("PWD", &directory);
    Ok(0)
}

/// `command [-v|-V] NAME ARGS…`
fn command(shell: &mut Shell, args: &[String]) -> Run {
    match args {
        [] => Ok(0),
        [option, names @ ..] if option == "-v" || option == "-V" => {
            let mut status = 0;
            for name in names {
                match location(shell, name) {
                    Some(text) => shell.print(&format!("{text}\n")),
                    None => status = 127,
                }
            }
            Ok(status)
        }
        [name, args @ ..] => shell.call_no_function(name, args),
    }
}

fn type_(shell: &mut Shell, args: &[String]) -> Run {
    let mut status = 0;
    for name in args {
        let text = if shell.functions.contains_key(name) {
            format!("{name} is a function")
        } else if find(name).is_some() {
            format!("{name} is a shell builtin")
        } else if let Some(path) = location(shell, name) {
            format!("{name} is {path}")
        } else {
            status = 127;
            format!("{name}: not found")
        };
        shell.print(&format!("{text}\n"));
    }
    Ok(status)
}

/// What `command -v` prints.
fn location(shell: &Shell, name: &str) -> Option<String> {
    if shell.functions.contains_key(name) || find(name).is_some() {
        return Some(name.to_owned());
    }
    if applets::find(name).is_some() {
        return Some(format!("/bin/{name}"));
    }
    (name.contains('/') && shell.script(name).is_some()).then(|| name.to_owned())
}

/// `kill [-SIGNAL] PID…`, of which only this process, 1, is there.
fn kill(shell: &mut Shell, args: &[String]) -> Run {
    let (signal, pids) = match args {
        [option, signal, pids @ ..] if option == "-s" => (signal.clone(), pids),
        [option, pids @ ..] if option.starts_with('-') => (option[1..].to_owned(), pids),
        pids => ("TERM".to_owned(), pids),
    };
    for pid in pids {
        if pid != "1" {
            return shell.error(1, &format!("kill: can't kill pid {pid}: No such process"));
        }
        match signal.trim_start_matches("SIG") {
            "0" => {}
            "TERM" => shell.terminate()?,
            _ if signal == host::SIGTERM.to_string() => shell.terminate()?,
            "KILL" | "9" => return Err(super::Flow::Exit(137)),
            _ => {
                return shell.error(
                    1,
                    &format!("kill: {signal}: only TERM and KILL are supported"),
                );
            }
        }
    }
    Ok(0)
}
