//! Runs commands.

use std::rc::Rc;

use super::ast::{AndOr, Command, Kind, List, Pipeline, Word};
use super::{DEPTH_MAX, Descriptor, Flow, Run, Shell, builtins};
use crate::applets;
use crate::pattern;
use crate::stream::{Input, Output};

impl Shell {
    pub(super) fn list(&mut self, list: &List) -> Run {
        let mut status = 0;
        for command in list {
            status = self.and_or(command)?;
        }
        Ok(status)
    }

    fn and_or(&mut self, command: &AndOr) -> Run {
        if command.background {
            // There is nobody to run it meanwhile: it runs now.
            let code = self.subshell(|shell| shell.chain(command))?;
            self.background = Some(code);
            self.status = 0;
            self.handle_signal()?;
            return Ok(0);
        }
        let status = self.chain(command)?;
        Ok(status)
    }

    fn chain(&mut self, command: &AndOr) -> Run {
        let mut status = self.asked_if(!command.rest.is_empty(), |shell| {
            shell.pipeline(&command.first)
        })?;
        for (index, (and, pipeline)) in command.rest.iter().enumerate() {
            if *and == (status == 0) {
                let is_last = index + 1 == command.rest.len();
                status = self.asked_if(!is_last, |shell| shell.pipeline(pipeline))?;
            }
        }
        Ok(status)
    }

    /// Runs something whose failure, if `asked`, is no reason for `set -e` to act.
    fn asked_if(&mut self, asked: bool, run: impl FnOnce(&mut Self) -> Run) -> Run {
        self.asked += usize::from(asked);
        let result = run(self);
        self.asked -= usize::from(asked);
        result
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Run {
        let status = self.asked_if(pipeline.negated, |shell| match &pipeline.stages[..] {
            [only] => shell.command(only),
            stages => shell.stages(stages),
        })?;
        let status = if pipeline.negated {
            i32::from(status == 0)
        } else {
            status
        };
        self.status = status;
        self.handle_signal()?;
        // A compound command's own commands have been looked at.
        let fails = pipeline.stages.len() > 1
            || matches!(
                pipeline.stages[0].kind,
                Kind::Simple { .. } | Kind::Subshell(_) | Kind::Condition(_) | Kind::Arithmetic(_)
            );
        if status != 0
            && fails
            && !pipeline.negated
            && self.asked == 0
            && self.options.exit_on_error
        {
            return Err(Flow::Exit(status));
        }
        Ok(status)
    }

    /// Runs the stages one after the other; each reads what the one before wrote.
    fn stages(&mut self, stages: &[Command]) -> Run {
        let mut input = None;
        let mut status = 0;
        let mut failed = 0;
        for (index, stage) in stages.iter().enumerate() {
            let output = (index + 1 < stages.len()).then(Output::pipe);
            status = self.subshell(|shell| {
                if let Some(input) = input.take() {
                    shell.descriptors[0] = Some(Descriptor::Input(Input::bytes(input)));
                }
                if let Some(output) = &output {
                    shell.descriptors[1] = Some(Descriptor::Output(output.clone()));
                }
                shell.command(stage)
            })?;
            if status != 0 {
                failed = status;
            }
            input = output.map(|output| output.take());
        }
        Ok(if self.options.pipe_fail {
            failed
        } else {
            status
        })
    }

    /// Runs something on a copy of the state.
    pub(super) fn subshell(&mut self, run: impl FnOnce(&mut Self) -> Run) -> Run {
        // So that the next copy sees other random numbers.
        let _ = self.variables.get("RANDOM");
        let mut shell = self.clone();
        shell.traps = Default::default();
        shell.is_subshell = true;
        shell.deeper()?;
        let code = match run(&mut shell) {
            Ok(code) | Err(Flow::Exit(code) | Flow::Return(code)) => code,
            Err(Flow::Break(_) | Flow::Continue(_)) => shell.status,
        };
        Ok(shell.run_exit_trap(code))
    }

    fn deeper(&mut self) -> Result<(), Flow> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.say(&format!(
                "more than {DEPTH_MAX} functions and subshells within each other"
            ));
            return Err(Flow::Exit(2));
        }
        Ok(())
    }

    /// What the commands of `$(…)` print, without the line feeds at its end.
    pub(super) fn substitute(&mut self, list: &List) -> Result<String, Flow> {
        let output = Output::pipe();
        let code = self.subshell(|shell| {
            shell.descriptors[1] = Some(Descriptor::Output(output.clone()));
            shell.list(list)
        })?;
        self.substituted = Some(code);
        self.status = code;
        let mut text = String::from_utf8_lossy(&output.take()).into_owned();
        text.truncate(text.trim_end_matches('\n').len());
        Ok(text)
    }

    pub(super) fn command(&mut self, command: &Command) -> Run {
        if let Kind::Simple { assignments, words } = &command.kind {
            return self.simple(assignments, words, command);
        }
        if command.redirects.is_empty() {
            return self.compound(&command.kind);
        }
        let before = self.descriptors.clone();
        let result = match self.redirect(&command.redirects) {
            Ok(true) => self.compound(&command.kind),
            Ok(false) => Ok(1),
            Err(flow) => Err(flow),
        };
        self.descriptors = before;
        result
    }

    fn compound(&mut self, kind: &Kind) -> Run {
        match kind {
            Kind::Simple { .. } => Ok(0),
            Kind::Group(list) => self.list(list),
            Kind::Subshell(list) => self.subshell(|shell| shell.list(list)),
            Kind::If(branches, otherwise) => self.if_command(branches, otherwise.as_ref()),
            Kind::Loop {
                until,
                condition,
                body,
            } => self.loop_command(*until, condition, body),
            Kind::For { name, words, body } => self.for_command(name, words.as_deref(), body),
            Kind::Case { word, arms } => self.case_command(word, arms),
            Kind::Function { name, body } => {
                self.functions.insert(name.clone(), Rc::clone(body));
                Ok(0)
            }
            Kind::Condition(condition) => self.condition(condition),
            Kind::Arithmetic(word) => {
                let text = self.expand_single(word)?;
                Ok(i32::from(self.evaluate(&text)? == 0))
            }
        }
    }

    fn if_command(&mut self, branches: &[(List, List)], otherwise: Option<&List>) -> Run {
        for (condition, list) in branches {
            if self.asked_if(true, |shell| shell.list(condition))? == 0 {
                return self.list(list);
            }
        }
        otherwise.map_or(Ok(0), |list| self.list(list))
    }

    fn loop_command(&mut self, until: bool, condition: &List, body: &List) -> Run {
        let mut status = 0;
        loop {
            let more = self.in_loop(|shell| {
                let met = shell.asked_if(true, |shell| shell.list(condition))? == 0;
                if met != until {
                    status = shell.list(body)?;
                }
                Ok(i32::from(met != until))
            })?;
            match more {
                Some(1) => {}
                Some(_) => return Ok(status),
                None => return Ok(0),
            }
        }
    }

    fn for_command(&mut self, name: &str, words: Option<&[Word]>, body: &List) -> Run {
        let values = match words {
            Some(words) => self.expand_words(words)?,
            None => self.arguments.clone(),
        };
        let mut status = 0;
        for value in values {
            self.assign(name, &value)?;
            let run = self.in_loop(|shell| {
                status = shell.list(body)?;
                Ok(1)
            })?;
            if run.is_none() {
                return Ok(0);
            }
        }
        Ok(status)
    }

    /// One round of a loop; `None` if the loop ends by `break`.
    fn in_loop(&mut self, round: impl FnOnce(&mut Self) -> Run) -> Result<Option<i32>, Flow> {
        self.loops += 1;
        let result = round(self);
        self.loops -= 1;
        match result {
            Ok(more) => Ok(Some(more)),
            Err(Flow::Break(1)) => Ok(None),
            Err(Flow::Continue(1)) => Ok(Some(1)),
            Err(Flow::Break(levels)) => Err(Flow::Break(levels - 1)),
            Err(Flow::Continue(levels)) => Err(Flow::Continue(levels - 1)),
            Err(flow) => Err(flow),
        }
    }

    fn case_command(&mut self, word: &Word, arms: &[(Vec<Word>, List)]) -> Run {
        let value = self.expand_single(word)?;
        for (patterns, list) in arms {
            for pattern in patterns {
                if pattern::matches(&self.expand_pattern(pattern)?, &value) {
                    return self.list(list);
                }
            }
        }
        Ok(0)
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], command: &Command) -> Run {
        self.substituted = None;
        let argv = self.expand_words(words)?;
        let before = (!command.redirects.is_empty()).then(|| self.descriptors.clone());
        let result = match self.redirect(&command.redirects) {
            Ok(true) => self.assign_and_call(assignments, &argv),
            Ok(false) => Ok(1),
            Err(flow) => Err(flow),
        };
        // `exec` without a command is how a script redirects itself.
        let keeps = argv.len() == 1 && argv[0] == "exec" && matches!(result, Ok(0));
        if let Some(before) = before.filter(|_| !keeps) {
            self.descriptors = before;
        }
        result
    }

    fn assign_and_call(&mut self, assignments: &[(String, Word)], argv: &[String]) -> Run {
        let mut values = Vec::new();
        for (name, word) in assignments {
            let value = self.expand_single(word)?;
            self.trace(&format!("{name}={value}"));
            if argv.is_empty() {
                // The next assignment may use it.
                self.assign(name, &value)?;
            }
            values.push((name, value));
        }
        let Some(name) = argv.first() else {
            return Ok(self.substituted.unwrap_or(0));
        };
        self.trace(&argv.join(" "));
        if values.is_empty() {
            return self.call(name, &argv[1..]);
        }
        let outer = self.variables.clone();
        for (name, value) in &values {
            self.assign(name, value)?;
            self.variables.export(name);
        }
        let result = self.call(name, &argv[1..]);
        for (name, _) in &values {
            self.variables.restore(name, &outer);
        }
        result
    }

    fn trace(&self, text: &str) {
        if self.options.trace {
            // There is no place where a failure of this could be told.
            let _ = self.output(2).write(format!("+ {text}\n").as_bytes());
        }
    }

    /// Runs the function, builtin or applet called `name`.
    pub(super) fn call(&mut self, name: &str, args: &[String]) -> Run {
        if let Some(body) = self.functions.get(name).cloned() {
            return self.function(&body, args);
        }
        self.call_no_function(name, args)
    }

    /// The same, passing over functions.
    pub(super) fn call_no_function(&mut self, name: &str, args: &[String]) -> Run {
        if let Some(builtin) = builtins::find(name) {
            return builtin(self, args);
        }
        let path = name.rsplit_once('/').map(|(path, _)| path);
        // A script of this name goes before an applet, but for the usual places.
        let usual = matches!(
            path,
            None | Some("/bin" | "/usr/bin" | "/sbin" | "/usr/sbin" | "/usr/local/bin")
        );
        if !usual {
            if let Some(text) = self.script(name) {
                return self.subshell(|shell| {
                    shell.name = name.to_owned();
                    shell.arguments = args.to_vec();
                    shell.functions.clear();
                    shell.run_text(&text)
                });
            }
        }
        match applets::find(applets::base_name(name)).filter(|_| usual) {
            Some(applet) => Ok(self
                .world(applets::base_name(name), self.variables.exported())
                .run(applet, args)),
            None => self.error(127, &format!("{name}: not found")),
        }
    }

    /// The text of the script at a path, if there is a file.
    pub(super) fn script(&self, path: &str) -> Option<String> {
        let world = self.world(&self.name, Vec::new());
        let is_file = world
            .stat(path)
            .is_ok_and(|stat| stat.kind == crate::paths::Kind::File);
        let bytes = is_file.then(|| world.open(path).ok())??.all().ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn function(&mut self, body: &Command, args: &[String]) -> Run {
        self.deeper()?;
        let arguments = std::mem::replace(&mut self.arguments, args.to_vec());
        let loops = std::mem::take(&mut self.loops);
        self.variables.enter();
        let result = self.command(body);
        self.variables.leave();
        self.loops = loops;
        self.arguments = arguments;
        self.depth -= 1;
        match result {
            Err(Flow::Return(code)) => Ok(code),
            result => result,
        }
    }

    /// Sets a variable. That one is read-only ends the script.
    pub(super) fn assign(&mut self, name: &str, value: &str) -> Result<(), Flow> {
        if self.variables.set(name, value) {
            return Ok(());
        }
        self.say(&format!("{name}: is read only"));
        Err(Flow::Exit(2))
    }
}
