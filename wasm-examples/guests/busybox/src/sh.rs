//! The shell: its state, and how a script runs.

mod arithmetic;
mod ast;
mod builtins;
mod condition;
mod execute;
mod expand;
mod glob;
mod parameter;
mod parse;
mod redirect;
mod signals;
mod variables;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::stream::{Input, Output};
use crate::world::{Io, Stop, World};
use ast::Command;
use parse::Parser;
use variables::Variables;

/// Why a script stops where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flow {
    /// The shell ends.
    Exit(i32),
    /// `break`, out of so many loops.
    Break(usize),
    /// `continue`, of the so-manieth loop around.
    Continue(usize),
    /// `return`.
    Return(i32),
}

/// A status, or what ends more than one command.
type Run = Result<i32, Flow>;

/// What `set` sets.
#[derive(Clone, Copy, Default)]
struct Options {
    /// `-e`
    exit_on_error: bool,
    /// `-u`
    unset_is_error: bool,
    /// `-x`
    trace: bool,
    /// `-f`
    no_glob: bool,
    /// `-o pipefail`
    pipe_fail: bool,
}

/// A descriptor.
#[derive(Clone)]
enum Descriptor {
    Input(Input),
    Output(Output),
}

/// Descriptors have one digit.
const DESCRIPTORS: usize = 10;

/// Functions and subshells may be nested so deeply: each needs about 4 KiB of a
/// stack that the host limits to 512 KiB.
const DEPTH_MAX: usize = 64;

/// A shell. A clone is a subshell.
#[derive(Clone)]
struct Shell {
    /// `$0`, which messages begin with.
    name: String,
    arguments: Vec<String>,
    variables: Variables,
    functions: BTreeMap<String, Rc<Command>>,
    descriptors: [Option<Descriptor>; DESCRIPTORS],
    directory: String,
    options: Options,
    traps: signals::Traps,
    /// `$?`
    status: i32,
    /// The status of the last command of the background.
    background: Option<i32>,
    /// Commands whose failure is asked about: `set -e` does not apply.
    asked: usize,
    loops: usize,
    depth: usize,
    /// The status of the last `$(…)`, which a bare assignment takes.
    substituted: Option<i32>,
    is_subshell: bool,
    /// A subshell died of a signal, which is the whole script's.
    terminated: Rc<Cell<bool>>,
}

/// The applet `sh`: `sh [-eufx] [-o OPTION] [-c SCRIPT [NAME ARGS…] | FILE ARGS… | -s]`.
pub(crate) fn main(world: &World, args: &[String]) -> Result<i32, Stop> {
    let mut shell = Shell::new(world);
    let mut args = args.to_vec();
    let mut script = false;
    while args
        .first()
        .is_some_and(|arg| arg.len() > 1 && (arg.starts_with('-') || arg.starts_with('+')))
    {
        let option = args.remove(0);
        match option.as_str() {
            "--" => break,
            "-o" | "+o" if !args.is_empty() => {
                let name = args.remove(0);
                if !shell.options.set_by_name(&name, option == "-o") {
                    return world.stop(2, &format!("{option}: illegal option {name}"));
                }
            }
            _ => {
                for letter in option.chars().skip(1) {
                    match letter {
                        'c' => script = true,
                        'l' | 'i' | 's' => {}
                        _ if shell.options.set_by_letter(letter, option.starts_with('-')) => {}
                        _ => return world.stop(2, &format!("illegal option -{letter}")),
                    }
                }
            }
        }
    }
    let text = if script {
        if args.is_empty() {
            return world.stop(2, "-c requires an argument");
        }
        args.remove(0)
    } else {
        match args.first() {
            Some(file) => String::from_utf8_lossy(&read(world, file)?).into_owned(),
            None => String::from_utf8_lossy(&world.io.stdin.all().unwrap_or_default()).into_owned(),
        }
    };
    if !args.is_empty() {
        shell.name = args.remove(0);
    }
    shell.arguments = args;
    Ok(shell.run_to_end(&text))
}

fn read(world: &World, file: &str) -> Result<Vec<u8>, Stop> {
    match world.stat(file) {
        Err(_) => world.stop(
            2,
            &format!("can't open '{file}': No such file or directory"),
        ),
        Ok(_) => Ok(world.open(file)?.all().unwrap_or_default()),
    }
}

impl Shell {
    fn new(world: &World) -> Self {
        let mut descriptors: [Option<Descriptor>; DESCRIPTORS] = Default::default();
        descriptors[0] = Some(Descriptor::Input(world.io.stdin.clone()));
        descriptors[1] = Some(Descriptor::Output(world.io.stdout.clone()));
        descriptors[2] = Some(Descriptor::Output(world.io.stderr.clone()));
        let mut variables = Variables::of(&world.environment);
        variables.export_value("PWD", &world.directory);
        Self {
            name: world.name.clone(),
            arguments: Vec::new(),
            variables,
            functions: BTreeMap::new(),
            descriptors,
            directory: world.directory.clone(),
            options: Options::default(),
            traps: signals::Traps::default(),
            status: 0,
            background: None,
            asked: 0,
            loops: 0,
            depth: 0,
            substituted: None,
            is_subshell: false,
            terminated: Rc::default(),
        }
    }

    /// Runs a whole script, and the trap of its end.
    fn run_to_end(&mut self, text: &str) -> i32 {
        let code = match self.run_text(text) {
            Ok(code) | Err(Flow::Exit(code) | Flow::Return(code)) => code,
            Err(Flow::Break(_) | Flow::Continue(_)) => self.status,
        };
        self.run_exit_trap(code)
    }

    /// Runs a script's commands, each as soon as it has been read.
    fn run_text(&mut self, text: &str) -> Run {
        let mut parser = Parser::new(text);
        let mut status = 0;
        loop {
            match parser.next_command() {
                Ok(Some(list)) => status = self.list(&list)?,
                Ok(None) => return Ok(status),
                Err(mistake) => {
                    self.say(&mistake);
                    return Err(Flow::Exit(2));
                }
            }
        }
    }

    fn input(&self) -> Input {
        match &self.descriptors[0] {
            Some(Descriptor::Input(input)) => input.clone(),
            _ => Input::empty(),
        }
    }

    fn output(&self, number: usize) -> Output {
        match &self.descriptors[number] {
            Some(Descriptor::Output(output)) => output.clone(),
            _ => Output::Null,
        }
    }

    /// What an applet called `name` sees.
    fn world(&self, name: &str, environment: Vec<(String, String)>) -> World {
        World {
            name: name.to_owned(),
            io: Io {
                stdin: self.input(),
                stdout: self.output(1),
                stderr: self.output(2),
            },
            directory: self.directory.clone(),
            environment,
        }
    }

    fn say(&self, message: &str) {
        // There is no place where a failure of this could be told.
        let _ = self
            .output(2)
            .write(format!("{}: {message}\n", self.name).as_bytes());
    }

    /// Says a message of a command; its status is `code`.
    fn error(&self, code: i32, message: &str) -> Run {
        self.say(message);
        Ok(code)
    }
}

impl Options {
    fn set_by_letter(&mut self, letter: char, on: bool) -> bool {
        match letter {
            'e' => self.exit_on_error = on,
            'u' => self.unset_is_error = on,
            'x' => self.trace = on,
            'f' => self.no_glob = on,
            _ => return false,
        }
        true
    }

    fn set_by_name(&mut self, name: &str, on: bool) -> bool {
        match name {
            "errexit" => self.exit_on_error = on,
            "nounset" => self.unset_is_error = on,
            "xtrace" => self.trace = on,
            "noglob" => self.no_glob = on,
            "pipefail" => self.pipe_fail = on,
            _ => return false,
        }
        true
    }

    /// `$-`
    fn letters(self) -> String {
        let all = [
            ('e', self.exit_on_error),
            ('u', self.unset_is_error),
            ('x', self.trace),
            ('f', self.no_glob),
        ];
        all.iter()
            .filter(|(_, on)| *on)
            .map(|(letter, _)| letter)
            .collect()
    }
}
