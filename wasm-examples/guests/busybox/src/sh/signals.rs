//! `trap`: what a script does when it is told to end, and when it ends.
//!
//! Signals are asked for between commands, and a `sleep` ends early for them.
//! A script without a trap for TERM dies of it, with 143.

use super::{Flow, Run, Shell};
use crate::host;

/// The status of what SIGTERM killed.
pub(super) const TERMINATED: i32 = 128 + host::SIGTERM;

/// What is done for what. An empty command ignores the signal.
#[derive(Clone, Default)]
pub(super) struct Traps {
    pub(super) term: Option<String>,
    pub(super) exit: Option<String>,
}

impl Traps {
    /// The trap for a signal, by its name or number. Signals that never come
    /// are accepted, and nothing is kept for them.
    pub(super) fn named(&mut self, signal: &str) -> Option<Option<&mut Option<String>>> {
        let name = signal.to_ascii_uppercase();
        match name.strip_prefix("SIG").unwrap_or(&name) {
            "EXIT" | "0" => Some(Some(&mut self.exit)),
            "TERM" | "15" => Some(Some(&mut self.term)),
            "HUP" | "INT" | "QUIT" | "ABRT" | "ALRM" | "USR1" | "USR2" | "PIPE" | "CHLD"
            | "WINCH" | "1" | "2" | "3" | "6" | "10" | "12" | "13" | "14" | "17" => Some(None),
            _ => None,
        }
    }
}

impl Shell {
    /// Does what the script said for a signal, if one is pending.
    pub(super) fn handle_signal(&mut self) -> Result<(), Flow> {
        if self.terminated.take() || host::pending_signal() == host::SIGTERM {
            return self.terminate();
        }
        Ok(())
    }

    /// SIGTERM has come.
    pub(super) fn terminate(&mut self) -> Result<(), Flow> {
        match self.traps.term.clone() {
            None => {
                self.terminated.set(self.is_subshell);
                Err(Flow::Exit(TERMINATED))
            }
            Some(command) => {
                let status = self.status;
                self.run_text(&command)?;
                self.status = status;
                Ok(())
            }
        }
    }

    /// The script has ended with `code`; its trap may change that.
    pub(super) fn run_exit_trap(&mut self, code: i32) -> i32 {
        let Some(command) = self.traps.exit.take() else {
            return code;
        };
        self.status = code;
        match self.run_text(&command) {
            Err(Flow::Exit(code)) => code,
            _ => code,
        }
    }

    /// `trap`, `trap COMMAND SIGNAL…`, `trap - SIGNAL…`
    pub(super) fn trap(&mut self, args: &[String]) -> Run {
        let Some((command, signals)) = args.split_first() else {
            return self.print_traps();
        };
        let (command, signals) = match signals {
            [] => (None, args),
            _ => ((command != "-").then(|| command.clone()), signals),
        };
        for signal in signals {
            match self.traps.named(signal) {
                Some(Some(trap)) => trap.clone_from(&command),
                Some(None) => {}
                None => {
                    return self.error(1, &format!("trap: {signal}: invalid signal specification"));
                }
            }
        }
        Ok(0)
    }

    fn print_traps(&mut self) -> Run {
        for (name, command) in [("EXIT", &self.traps.exit), ("TERM", &self.traps.term)] {
            if let Some(command) = command {
                self.print(&format!(
                    "trap -- '{}' {name}\n",
                    command.replace('\'', "'\\''")
                ));
            }
        }
        Ok(0)
    }
}
