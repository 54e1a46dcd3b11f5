//! Threads for what blocks: loading modules, making and clearing directories.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A piece of blocking work.
type Work = Box<dyn FnOnce() + Send>;

/// Work that waits for a thread. Bounded by its submitters: there is never more
/// than one piece for a template and two for a pod, and pods are admitted
/// against a capacity.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    work: VecDeque<Work>,
    stop: bool,
}

/// The threads. Dropping them lets all work end that was submitted, unless they were let go.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts so many threads, called `wasmjob-NAME-0` and so on.
    pub(crate) fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let threads = (0..threads)
            .map(|n| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new()
                    .name(format!("wasmjob-{name}-{n}"))
                    .spawn(move || queue.serve())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue, threads })
    }

    /// Does `work` on a thread.
    pub(crate) fn submit(&self, work: impl FnOnce() + Send + 'static) {
        self.queue.submit(work);
    }

    /// Waits neither for work that was not begun, which is forgotten, nor for what is being
    /// done, which ends by itself.
    pub(crate) fn let_go(&mut self) {
        let mut state = self
            .queue
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.work.clear();
        self.threads.clear();
    }

    /// Where other threads may submit work.
    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }
}

impl Queue {
    /// Does `work` on a thread, unless they are gone.
    pub(crate) fn submit(&self, work: impl FnOnce() + Send + 'static) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.work.push_back(Box::new(work));
        drop(state);
        self.more.notify_one();
    }

    /// The loop of one thread.
    fn serve(&self) {
        while let Some(work) = self.next() {
            // A panic must cost the one piece of work, not all that come after.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                tracing::error!("a worker panicked; its pod may not go on");
            }
        }
    }

    /// The next piece of work; `None` when there will be none.
    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(work) = state.work.pop_front() {
                return Some(work);
            }
            if state.stop {
                return None;
            }
            state = self
                .more
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stop = true;
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            // Panics of work were caught where they happened.
            let _ = thread.join();
        }
    }
}
