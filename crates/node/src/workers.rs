//! Threads for what blocks: loading modules, making and clearing directories.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A piece of blocking work.
type Work = Box<dyn FnOnce() + Send>;

/// Enough that one slow disk or compilation does not hold up all others.
const THREADS: usize = 2;

/// Work that waits for a thread. The owner never submits more than one piece
/// per pod and per template, and pods are admitted against a capacity.
const QUEUE: usize = 65_536;

/// The threads. Dropping them lets the work that has begun end.
pub(crate) struct Workers {
    sender: Option<SyncSender<Work>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Work>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..THREADS)
            .map(|n| {
                let receiver = Arc::clone(&receiver);
                std::thread::Builder::new()
                    .name(format!("wasmjob-worker-{n}"))
                    .spawn(move || {
                        while let Some(work) = next(&receiver) {
                            work()
                        }
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sender: Some(sender),
            threads,
        })
    }

    /// Does `work` on a thread.
    pub(crate) fn submit(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(sender) = &self.sender {
            // The receiver lives as long as the threads, which live as long as `self`.
            let _ = sender.send(Box::new(work));
        }
    }
}

fn next(receiver: &Mutex<Receiver<Work>>) -> Option<Work> {
    receiver
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
