//! Running commands in containers.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;
use wasmjob_api::{Terminated, Uid};
use wasmjob_node::ExecHandle;
use wasmjob_sandbox::{InputSender, OutputReader, input, output_pipe};

use crate::core::Command;
use crate::{ExecError, Host, HostGone};

/// A command that is to be run in a container: a fresh instance of its module.
#[derive(Clone, Debug)]
pub struct Exec {
    /// The pod.
    pub pod: Uid,
    /// The container, which must run.
    pub container: Arc<str>,
    /// The arguments, the program's name first.
    pub command: Vec<String>,
    /// Whether it is given something to read.
    pub stdin: bool,
}

/// A command that runs. Dropping this kills it.
pub struct ExecSession {
    /// Feeds it, if it was to be fed. Its input ends when this is dropped.
    pub input: Option<InputSender>,
    /// What it writes. It waits while that is not read.
    pub output: OutputReader,
    /// How it ended; an error if the host is gone.
    pub ended: oneshot::Receiver<Terminated>,
    /// Kills it.
    pub handle: ExecHandle,
}

/// Why a command could not be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExecRefused {
    /// The node refuses.
    #[error(transparent)]
    Node(#[from] ExecError),
    /// The host is gone.
    #[error(transparent)]
    Gone(#[from] HostGone),
}

impl Host {
    /// Runs a command in a container.
    ///
    /// # Errors
    ///
    /// When the container does not run, or there is no room.
    pub async fn exec(&self, exec: Exec) -> Result<ExecSession, ExecRefused> {
        let (sender, stdin) = match exec.stdin {
            true => {
                let (sender, stdin) = input();
                (Some(sender), Some(stdin))
            }
            false => (None, None),
        };
        let (pipe, output) = output_pipe();
        let (tell, ended) = oneshot::channel();
        let (reply, answer) = oneshot::channel();
        let exec = wasmjob_node::Exec {
            pod: exec.pod,
            container: exec.container,
            command: exec.command.into(),
            input: stdin,
            output: pipe,
            ended: tell,
        };
        self.send(Command::Exec(Box::new(exec), reply));
        let handle = answer.await.map_err(|_| HostGone)??;
        Ok(ExecSession {
            input: sender,
            output,
            ended,
            handle,
        })
    }
}

impl fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSession").finish_non_exhaustive()
    }
}
