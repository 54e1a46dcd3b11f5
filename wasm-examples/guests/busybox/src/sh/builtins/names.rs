//! Builtins for variables, options and arguments.

use crate::sh::{Flow, Run, Shell};

pub(super) fn export(shell: &mut Shell, args: &[String]) -> Run {
    if args.is_empty() || args == ["-p"] {
        for (name, value) in shell.variables.exported() {
            shell.print(&format!(
                "export {name}='{}'\n",
                value.replace('\'', "'\\''")
            ));
        }
        return Ok(0);
    }
    declare(shell, "export", args, |shell, name| {
        shell.variables.export(name)
    })
}

pub(super) fn readonly(shell: &mut Shell, args: &[String]) -> Run {
    declare(shell, "readonly", args, |shell, name| {
        shell.variables.protect(name)
    })
}

pub(super) fn local(shell: &mut Shell, args: &[String]) -> Run {
    for arg in args {
        let (name, value) = split(arg);
        if !shell.variables.hide(name) {
            return shell.error(1, "local: not in a function");
        }
        shell.assign(name, value.unwrap_or_default())?;
    }
    Ok(0)
}

fn declare(shell: &mut Shell, builtin: &str, args: &[String], mark: fn(&mut Shell, &str)) -> Run {
    for arg in args {
        let (name, value) = split(arg);
        if !is_name(name) {
            shell.say(&format!("{builtin}: {arg}: bad variable name"));
            return Err(Flow::Exit(2));
        }
        if let Some(value) = value {
            shell.assign(name, value)?;
        }
        mark(shell, name);
    }
    Ok(0)
}

pub(super) fn unset(shell: &mut Shell, args: &[String]) -> Run {
    let functions = args.first().is_some_and(|arg| arg == "-f");
    for name in args.iter().filter(|arg| *arg != "-f" && *arg != "-v") {
        if functions {
            shell.functions.remove(name);
        } else if !shell.variables.unset(name) {
            return shell.error(1, &format!("unset: {name}: is read only"));
        }
    }
    Ok(0)
}

/// `set [-+eufx] [-+o OPTION] [--] ARGS…`
pub(super) fn set(shell: &mut Shell, args: &[String]) -> Run {
    if args.is_empty() {
        let all: String = shell
            .variables
            .all()
            .map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', "'\\''")))
            .collect();
        shell.print(&all);
        return Ok(0);
    }
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let on = arg.starts_with('-');
        if arg == "--" || arg == "-" || !on && !arg.starts_with('+') {
            let first = (arg != "--" && arg != "-").then_some(arg);
            shell.arguments = first.into_iter().chain(args).cloned().collect();
            return Ok(0);
        }
        for letter in arg.chars().skip(1) {
            let known = match letter {
                'o' => match args.next() {
                    Some(name) => shell.options.set_by_name(name, on),
                    None => true,
                },
                _ => shell.options.set_by_letter(letter, on),
            };
            if !known {
                shell.say(&format!("set: illegal option {arg}"));
                return Err(Flow::Exit(2));
            }
        }
    }
    Ok(0)
}

fn split(arg: &str) -> (&str, Option<&str>) {
    match arg.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (arg, None),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
