//! Callers who wait until what they asked for can be seen.
//!
//! They do not wait for ever: when the disk does not come round, a caller is told
//! that it is not known. What was asked for stays decided, and happens once the
//! store can be written again; if the process ends before that, it never happened.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wasmjob_node::Clock as _;
use wasmjob_store::Health;

use super::{Command, Core};
use crate::{ApplyError, EditError, WriteError};

/// How long a caller waits for its commit to be visible. A disk takes
/// milliseconds, a bad one a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Commits that may wait for the disk. Each is one turn's. Beyond that the host
/// takes nothing in until the disk comes round: what has ended stays with the node.
const COMMITS_WAITING_MAX: usize = 1024;

/// Tells a caller: that it is visible, or why that is not known.
pub(super) type Answer = Box<dyn FnOnce(Option<String>) + Send>;

/// Answers that are due, in the order of their commits.
#[derive(Default)]
pub(super) struct Answers(VecDeque<Due>);

struct Due {
    revision: u64,
    until: Instant,
    answer: Answer,
}

impl Answers {
    pub(super) fn push(&mut self, revision: u64, answers: Vec<Answer>, now: Instant) {
        let until = now + ANSWER_WITHIN;
        let due = |answer| Due {
            revision,
            until,
            answer,
        };
        self.0.extend(answers.into_iter().map(due));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers those whose commits are visible.
    pub(super) fn tell(&mut self, visible: u64) {
        while let Some(due) = self.0.pop_front_if(|due| due.revision <= visible) {
            (due.answer)(None);
        }
    }

    /// Answers those who have waited long enough.
    fn give_up(&mut self, now: Instant, reason: impl Fn() -> String) {
        while let Some(due) = self.0.pop_front_if(|due| due.until <= now) {
            (due.answer)(Some(reason()));
        }
    }

    /// When somebody will have waited long enough.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.0.front().map(|due| due.until)
    }
}

impl Core {
    /// Why nothing may be asked for, if so.
    pub(super) fn refusal(&self) -> Option<String> {
        match self.store.health() {
            Health::Stalled(reason) => Some(format!("{reason}; nothing was changed")),
            _ => None,
        }
    }

    /// Answers those who have waited long enough for the disk.
    pub(super) fn give_up_answers(&mut self) {
        let health = self.store.health();
        let reason = || {
            let reason = match &health {
                Health::Stalled(reason) | Health::Failed(reason) => reason,
                Health::Writable => "the disk does not answer",
            };
            format!(
                "{reason}; the change is made once it can be stored, unless the host ends first"
            )
        };
        self.answers.give_up(self.clock.monotonic(), reason);
    }

    /// Whether so many commits wait for the disk that nothing more is taken in.
    pub(super) fn is_backlogged(&self) -> bool {
        self.store.commits_waiting() >= COMMITS_WAITING_MAX
    }

    /// A turn while nothing is taken in: guests are still ended in time, and callers
    /// answered. What they ask without waiting for it stays until there is room.
    pub(super) fn turn_backlogged(&mut self) -> bool {
        self.node.handle();
        let reason = || "too much waits for the disk; nothing was changed".to_owned();
        for command in self.mailbox.take() {
            match command {
                Command::Apply(_, reply) => {
                    let _ = reply.send(Err(ApplyError::Unavailable(reason())));
                }
                Command::Edit(_, _, reply) => {
                    let _ = reply.send(Err(EditError::Unavailable(reason())));
                }
                Command::Write(_, reply) => {
                    let _ = reply.send(Err(WriteError::Unavailable(reason())));
                }
                Command::ApplyManifest(_, reply)
                | Command::RenameManifest(_, _, reply)
                | Command::RemoveManifest(_, reply) => {
                    let _ = reply.send(Err(ApplyError::Unavailable(reason())));
                }
                Command::ReviewWrite(_, reply) => {
                    let _ = reply.send(Err(WriteError::Unavailable(reason())));
                }
                Command::Review(_, reply) => {
                    let _ = reply.send(Err(WriteError::Unavailable(reason())));
                }
                Command::Ping(reply) => {
                    let _ = reply.send(());
                }
                Command::Stop => return false,
                later @ (Command::Delete(..)
                | Command::WaitJob(..)
                | Command::WaitPod(..)
                | Command::Figures(_)
                | Command::ClaimInUse(..)
                | Command::Exec(..)
                | Command::Tokens
                | Command::Drain(_)) => self.deferred.push(later),
            }
        }
        true
    }

    /// What is to be done, oldest first.
    pub(super) fn take_commands(&mut self) -> Vec<Command> {
        let mut commands = std::mem::take(&mut self.deferred);
        commands.extend(self.mailbox.take());
        commands
    }
}

#[cfg(all(test, feature = "durable"))]
mod tests;
