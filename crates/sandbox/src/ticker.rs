//! The one thread that advances epochs, fires deadlines, and wakes guests that wait
//! for their share of the processors.
//!
//! It ticks only while a guest computes, sleeps exactly until the next deadline
//! while guests are blocked, and sleeps for ever when there is nothing to do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::KillReason;
use crate::clock::now;
use crate::executor::Cell;

/// One epoch.
const TICK: Duration = Duration::from_millis(1);

/// Ticks without a computing guest before the ticker sleeps: going to sleep and
/// being woken costs more than a few idle ticks between short guests.
const IDLE_TICKS: u32 = 50;

/// A deadline in the heap, soonest first; the sequence keeps order total.
struct Deadline {
    at: Instant,
    sequence: u64,
    what: Due,
}

/// What is done at a deadline.
enum Due {
    /// The guest is killed.
    Kill(Weak<Cell>),
    /// It goes on, if it still waits with that ticket. Nobody else may hold it.
    Resume(Arc<Cell>, u64),
}

impl Due {
    /// Whether the guest has ended, so that nothing is to be done.
    fn is_over(&self) -> bool {
        match self {
            Self::Kill(cell) => cell.strong_count() == 0,
            Self::Resume(..) => false,
        }
    }

    fn happen(self) {
        match self {
            Self::Kill(cell) => {
                if let Some(cell) = cell.upgrade() {
                    Cell::kill(&cell, KillReason::Deadline);
                }
            }
            Self::Resume(cell, ticket) => {
                let shared = Arc::clone(&cell.shared);
                shared.resume(cell, ticket);
            }
        }
    }
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Below this many deadlines nothing is swept.
const SWEEP_MIN: usize = 1024;

#[derive(Default)]
struct State {
    deadlines: BinaryHeap<Reverse<Deadline>>,
    /// Deadlines in the heap at which those of ended guests are thrown out.
    sweep_at: usize,
    sequence: u64,
    stop: bool,
}

/// The ticker's shared half.
pub(crate) struct Ticker {
    state: Mutex<State>,
    wake: Condvar,
    /// Guest threads that poll a guest right now.
    computing: AtomicUsize,
    /// The thread sleeps and must be woken when a guest computes.
    asleep: AtomicBool,
}

/// While it lives, a guest thread polls a guest.
pub(crate) struct Busy<'a>(&'a Ticker);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            computing: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
        })
    }

    /// Says that the calling thread polls a guest until the value is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.computing.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            // Under the lock, so that the wake-up cannot fall between the
            // ticker's look at `computing` and its going to sleep.
            let _state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_one();
        }
        Busy(self)
    }

    /// Kills `cell` when `at` has come.
    pub(crate) fn kill_at(&self, at: Instant, cell: &Arc<Cell>) {
        self.at(at, Due::Kill(Arc::downgrade(cell)));
    }

    /// Lets `cell` go on when `at` has come, if it still waits with that ticket.
    pub(crate) fn resume_at(&self, at: Instant, cell: Arc<Cell>, ticket: u64) {
        self.at(at, Due::Resume(cell, ticket));
    }

    fn at(&self, at: Instant, what: Due) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stop {
            return;
        }
        state.sequence += 1;
        let sequence = state.sequence;
        let soonest = state
            .deadlines
            .peek()
            .is_none_or(|Reverse(first)| at < first.at);
        if state.deadlines.len() >= state.sweep_at {
            // Far deadlines of guests that ended long ago would pile up.
            state
                .deadlines
                .retain(|Reverse(deadline)| !deadline.what.is_over());
            state.sweep_at = SWEEP_MIN.max(2 * state.deadlines.len());
        }
        state
            .deadlines
            .push(Reverse(Deadline { at, sequence, what }));
        if soonest {
            self.wake.notify_one();
        }
    }

    /// Starts the thread; `tick` advances the epochs.
    pub(crate) fn start(
        self: &Arc<Self>,
        tick: impl Fn() + Send + 'static,
    ) -> std::io::Result<TickerThread> {
        let ticker = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("wasmjob-ticker".to_owned())
            .spawn(move || ticker.run(tick))?;
        Ok(TickerThread {
            ticker: Arc::clone(self),
            thread: Some(thread),
        })
    }

    fn run(&self, tick: impl Fn()) {
        let mut idle_ticks = 0;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.stop {
            let due = Self::take_due(&mut state, now());
            if !due.is_empty() {
                drop(state);
                due.into_iter().for_each(Due::happen);
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if self.computing.load(Ordering::SeqCst) > 0 {
                idle_ticks = 0;
            }
            let next = state.deadlines.peek().map(|Reverse(deadline)| deadline.at);
            let until_next = next.map(|at| at.saturating_duration_since(now()));
            if idle_ticks < IDLE_TICKS {
                idle_ticks += 1;
                let wait = until_next.map_or(TICK, |until| until.min(TICK));
                state = self.sleep(state, Some(wait));
                tick();
                continue;
            }
            self.asleep.store(true, Ordering::SeqCst);
            if self.computing.load(Ordering::SeqCst) == 0 {
                state = self.sleep(state, until_next);
            }
            self.asleep.store(false, Ordering::SeqCst);
            if self.computing.load(Ordering::SeqCst) > 0 {
                idle_ticks = 0;
            }
        }
    }

    fn sleep<'a>(
        &self,
        state: std::sync::MutexGuard<'a, State>,
        wait: Option<Duration>,
    ) -> std::sync::MutexGuard<'a, State> {
        match wait {
            Some(wait) => {
                self.wake
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            None => self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn take_due(state: &mut State, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some(Reverse(deadline)) = state.deadlines.peek() {
            // Guests that have ended are dropped from the heap when they reach its top.
            if deadline.at > now && !deadline.what.is_over() {
                break;
            }
            due.extend(state.deadlines.pop().map(|Reverse(deadline)| deadline.what));
        }
        due
    }
}

/// The thread's owner: stops it when dropped.
pub(crate) struct TickerThread {
    ticker: Arc<Ticker>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for TickerThread {
    fn drop(&mut self) {
        let mut state = self
            .ticker
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.stop = true;
        // Guests that wait hold the ticker, and it them.
        let left = std::mem::take(&mut state.deadlines);
        drop(state);
        drop(left);
        self.ticker.wake.notify_one();
        // A kill may have dropped the last engine, on the ticker's own thread.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
