//! The guest threads: an executor with two queues, and nothing else on it.
//!
//! A general-purpose runtime serves its tasks in turn, so a guest that must die
//! would wait behind the slices of all others. Here killed guests stand in a
//! queue of their own that is emptied first; the others go on in the order of
//! their shares (`share`), and a guest that computes yields only when somebody
//! waits, or when it has had as much as it may. Timers and file operations of guests belong to a
//! small tokio runtime beside these threads, so they wake guests here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::beside::Beside;
use crate::clock::{lap, now, start_poll};
use crate::share::{Cpu, Share};
use crate::ticker::Ticker;
use crate::{Exit, Exits, KillReason, LiveUsage, Outcome, Signal, Usage};

/// How much nicer guests are than the threads that decide.
const GUEST_NICENESS: i32 = 10;

/// The future of one guest: resolves to how it ended. What it used, it leaves in
/// its cell, also when it is dropped.
pub(crate) type GuestFuture = Pin<Box<dyn Future<Output = Exit> + Send>>;

/// Locks, also when a holder panicked: what these mutexes guard stays
/// consistent, because nothing that can panic runs while they are held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody polls it and nobody has asked for it.
const IDLE: u8 = 0;
/// It stands in a queue.
const QUEUED: u8 = 1;
/// A guest thread polls it.
const RUNNING: u8 = 2;
/// A guest thread polls it, and it was woken meanwhile.
const WOKEN: u8 = 3;
/// It has ended.
const DONE: u8 = 4;

/// One guest as the executor holds it.
pub(crate) struct Cell {
    state: AtomicU8,
    kill: AtomicU8,
    signal: AtomicU8,
    /// Processor time; of a guest that computes, up to the last tick.
    cpu_nanos: AtomicU64,
    share: Share,
    /// Tells its place in the queue, if it has one, from places that it has left.
    ticket: AtomicU64,
    /// Bytes of linear memories and tables that it holds now.
    memory: AtomicU64,
    /// Bytes that it has written to files.
    written: AtomicU64,
    /// Guests that share its memory.
    pub(crate) beside: Beside,
    /// What the guest used, beside the processor; set when its store is dropped.
    used: Mutex<Usage>,
    future: Mutex<Option<GuestFuture>>,
    /// Woken when a signal is raised.
    signal_waker: Mutex<Option<Waker>>,
    pub(crate) shared: Arc<Shared>,
    exits: Arc<dyn Exits>,
    token: u64,
    /// Its place among the live.
    place: AtomicUsize,
}

impl Cell {
    /// Why it must stop, if it must.
    pub(crate) fn killed(&self) -> Option<KillReason> {
        match self.kill.load(Ordering::Acquire) {
            0 => None,
            2 => Some(KillReason::Deadline),
            3 => Some(KillReason::Memory),
            _ => Some(KillReason::Requested),
        }
    }

    pub(crate) fn kill(this: &Arc<Self>, reason: KillReason) {
        // The first reason stands.
        if this
            .kill
            .compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            Self::schedule(this, true);
        }
    }

    /// Takes down what the guest used.
    pub(crate) fn used(&self, usage: Usage) {
        *lock(&self.used) = usage;
    }

    /// Takes down what it holds now, in bytes.
    pub(crate) fn holds(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::SeqCst);
    }

    /// It has written so many bytes to a file.
    pub(crate) fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What it uses now.
    pub(crate) fn live_usage(&self) -> LiveUsage {
        LiveUsage {
            cpu: Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed)),
            memory_bytes: self.memory.load(Ordering::SeqCst),
            written_bytes: self.written.load(Ordering::Relaxed),
        }
    }

    /// Makes `signal` pending.
    pub(crate) fn raise(&self, signal: Signal) {
        self.signal.store(signal as u8, Ordering::Release);
        if let Some(waker) = lock(&self.signal_waker).take() {
            waker.wake();
        }
    }

    /// The number of the pending signal, or 0.
    pub(crate) fn pending_signal(&self) -> u8 {
        self.signal.load(Ordering::Acquire)
    }

    /// Takes the pending signal.
    pub(crate) fn take_signal(&self) -> u8 {
        self.signal.swap(0, Ordering::AcqRel)
    }

    /// Resolves when a signal is pending, to its number.
    pub(crate) fn poll_signal(&self, cx: &mut Context<'_>) -> Poll<u8> {
        *lock(&self.signal_waker) = Some(cx.waker().clone());
        match self.pending_signal() {
            0 => Poll::Pending,
            number => Poll::Ready(number),
        }
    }

    /// Whether it has had as much of the processor as it may for now.
    pub(crate) fn is_throttled(&self) -> bool {
        self.share.waits_until().is_some()
    }

    /// Whether other guests wait for a thread, so that this one should yield.
    pub(crate) fn others_wait(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) > 0
    }

    fn schedule(this: &Arc<Self>, urgent: bool) {
        let mut state = this.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => WOKEN,
                // Already queued: a killed one must also move to the front.
                QUEUED if urgent => {
                    this.shared.promote(this);
                    return;
                }
                _ => return,
            };
            match this
                .state
                .compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if next == QUEUED => return this.shared.push(Arc::clone(this)),
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    /// Polls the guest once, on a guest thread.
    fn poll(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::Release);
        let waker = Waker::from(Arc::clone(&self));
        let mut slot = lock(&self.future);
        let Some(future) = slot.as_mut() else { return };
        start_poll();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() && self.killed().is_some() {
                // It waits in a host call or has just yielded: the future is
                // dropped below, and with it everything that the guest held.
                return None;
            }
            Some(polled)
        }));
        let mut exit = match polled {
            Ok(Some(Poll::Pending)) => {
                self.charge();
                drop(slot);
                return self.park();
            }
            Ok(Some(Poll::Ready(exit))) => exit,
            Ok(None) => Exit::Killed(self.killed().unwrap_or(KillReason::Requested)),
            Err(panic) => Exit::Host(format!(
                "panic while running a guest: {}",
                panic_text(&*panic)
            )),
        };
        let future = slot.take();
        drop(slot);
        // Dropping unwinds a suspended guest; the host's drop code may panic too.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        self.charge();
        if let Err(panic) = dropped {
            let text = panic_text(&*panic);
            exit = Exit::Host(format!("panic while dropping a guest: {text}"));
        }
        let mut usage = *lock(&self.used);
        usage.cpu = self.live_usage().cpu;
        let end = Outcome { exit, usage };
        self.state.store(DONE, Ordering::Release);
        // A guest that ended in its sleep left its waker, which holds this cell.
        drop(lock(&self.signal_waker).take());
        lock(&self.shared.live).remove(self.place.load(Ordering::Relaxed), usage);
        // A caller's panic must not take a guest thread with it.
        let told = catch_unwind(AssertUnwindSafe(|| match self.others_wait() {
            true => self.exits.exited_among_others(self.token, end),
            false => self.exits.exited(self.token, end),
        }));
        if let Err(panic) = told {
            tracing::error!(
                token = self.token,
                panic = panic_text(&*panic),
                "the taker of a guest's end panicked"
            );
        }
    }

    /// Charges it with what its thread has done since the poll began, or since this
    /// was last called. On the thread that polls it.
    pub(crate) fn charge(&self) {
        let nanos = u64::try_from(lap().as_nanos()).unwrap_or(u64::MAX);
        self.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.share.charge(nanos);
    }

    /// After a poll that ended pending: idle, or back into the queue if it was woken meanwhile.
    fn park(self: Arc<Self>) {
        let idle = self
            .state
            .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if !idle {
            self.state.store(QUEUED, Ordering::Release);
            let shared = Arc::clone(&self.shared);
            shared.push(self);
        }
    }
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        Self::schedule(&self, false);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Self::schedule(self, false);
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A place in the queue: who is furthest behind first, then who came first.
struct Ready {
    at: u64,
    ticket: u64,
    cell: Arc<Cell>,
}

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.ticket == other.ticket
    }
}

impl Eq for Ready {}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.ticket).cmp(&(other.at, other.ticket))
    }
}

#[derive(Default)]
struct Queues {
    /// Guests that were killed.
    urgent: VecDeque<Arc<Cell>>,
    /// Guests that can go on, and places that were left.
    ready: BinaryHeap<Reverse<Ready>>,
    /// Where the clocks of those that go on are.
    floor: u64,
    /// Counts the places, which are unique so.
    tickets: u64,
    sleeping: usize,
    stop: bool,
}

impl Queues {
    /// Who is furthest behind.
    fn pop_ready(&mut self) -> Option<Arc<Cell>> {
        while let Some(Reverse(ready)) = self.ready.pop() {
            // A place that was left for the front.
            if ready.cell.ticket.load(Ordering::Relaxed) == ready.ticket {
                self.floor = self.floor.max(ready.at);
                return Some(ready.cell);
            }
        }
        None
    }
}

/// What the guest threads share.
pub(crate) struct Shared {
    queues: Mutex<Queues>,
    available: Condvar,
    /// Cells in the queues.
    waiting: AtomicU32,
    /// Guests that have not ended.
    live: Mutex<Live>,
    ticker: Arc<Ticker>,
}

/// The guests that have not ended, so that none outlives the executor.
#[derive(Default)]
struct Live {
    cells: Vec<Option<Weak<Cell>>>,
    free: Vec<usize>,
    /// Processor time of those that have ended.
    ended_cpu: Duration,
    /// Bytes that those have written to files.
    ended_written: u64,
}

impl Live {
    fn insert(&mut self, cell: Weak<Cell>) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.cells[place] = Some(cell);
                place
            }
            None => {
                self.cells.push(Some(cell));
                self.cells.len() - 1
            }
        }
    }

    fn remove(&mut self, place: usize, used: Usage) {
        if self.cells[place].take().is_some() {
            self.free.push(place);
            self.ended_cpu = self.ended_cpu.saturating_add(used.cpu);
            self.ended_written = self.ended_written.saturating_add(used.written_bytes);
        }
    }

    fn len(&self) -> usize {
        self.cells.len() - self.free.len()
    }
}

impl Shared {
    fn push(&self, cell: Arc<Cell>) {
        self.enqueue(lock(&self.queues), cell);
    }

    fn enqueue(&self, mut queues: MutexGuard<'_, Queues>, cell: Arc<Cell>) {
        if queues.stop {
            return;
        }
        queues.tickets += 1;
        let ticket = queues.tickets;
        cell.ticket.store(ticket, Ordering::Relaxed);
        if cell.kill.load(Ordering::Acquire) != 0 {
            queues.urgent.push_back(cell);
        } else if let Some(until) = cell.share.waits_until() {
            drop(queues);
            return self.ticker.resume_at(until, cell, ticket);
        } else {
            let at = cell.share.catch_up(queues.floor);
            queues.ready.push(Reverse(Ready { at, ticket, cell }));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if queues.sleeping > 0 {
            drop(queues);
            self.available.notify_one();
        }
    }

    /// Lets a cell go on that has waited for its share, unless it was killed meanwhile.
    pub(crate) fn resume(&self, cell: Arc<Cell>, ticket: u64) {
        let queues = lock(&self.queues);
        if cell.ticket.load(Ordering::Relaxed) == ticket {
            self.enqueue(queues, cell);
        }
    }

    /// Moves a queued cell to the front.
    fn promote(&self, cell: &Arc<Cell>) {
        let mut queues = lock(&self.queues);
        let ticket = cell.ticket.swap(0, Ordering::Relaxed);
        if ticket == 0 || queues.stop {
            // It is at the front, or a thread has just taken it.
            return;
        }
        queues.urgent.push_back(Arc::clone(cell));
        // A throttled one was not among those that wait.
        if !queues
            .ready
            .iter()
            .any(|Reverse(ready)| ready.ticket == ticket)
        {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        if queues.sleeping > 0 {
            drop(queues);
            self.available.notify_one();
        }
    }

    /// The next guest to poll; `None` when the executor stops.
    fn next(&self) -> Option<Arc<Cell>> {
        let mut queues = lock(&self.queues);
        loop {
            if queues.stop {
                return None;
            }
            let cell = queues.urgent.pop_front().or_else(|| queues.pop_ready());
            if let Some(cell) = cell {
                cell.ticket.store(0, Ordering::Relaxed);
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                return Some(cell);
            }
            queues.sleeping += 1;
            queues = self
                .available
                .wait(queues)
                .unwrap_or_else(PoisonError::into_inner);
            queues.sleeping -= 1;
        }
    }
}

/// The guest threads and the runtime beside them.
pub(crate) struct Executor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Serves guests' timers and file operations; `None` once shut down.
    io: Option<tokio::runtime::Runtime>,
}

impl Executor {
    /// Starts `threads` guest threads.
    pub(crate) fn start(
        threads: usize,
        blocking_threads: usize,
        ticker: Arc<Ticker>,
    ) -> std::io::Result<Self> {
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(blocking_threads)
            .thread_name("wasmjob-guest-io")
            .on_thread_start(be_nice)
            .enable_time()
            .enable_io()
            .build()?;
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            available: Condvar::new(),
            waiting: AtomicU32::new(0),
            live: Mutex::default(),
            ticker,
        });
        let handle = io.handle().clone();
        // Made before its threads: if one cannot be started, the others are stopped.
        let mut executor = Self {
            shared,
            threads: Vec::with_capacity(threads),
            io: Some(io),
        };
        for n in 0..threads {
            let (shared, io) = (Arc::clone(&executor.shared), handle.clone());
            let thread = std::thread::Builder::new()
                .name(format!("wasmjob-guest-{n}"))
                .spawn(move || serve(&shared, &io))?;
            executor.threads.push(thread);
        }
        Ok(executor)
    }

    /// Makes a cell for a guest, which runs when [`Self::submit`] gives it its future.
    pub(crate) fn cell(&self, exits: Arc<dyn Exits>, token: u64, cpu: Cpu) -> Arc<Cell> {
        Arc::new(Cell {
            state: AtomicU8::new(IDLE),
            kill: AtomicU8::new(0),
            signal: AtomicU8::new(0),
            cpu_nanos: AtomicU64::new(0),
            share: Share::new(cpu),
            ticket: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            written: AtomicU64::new(0),
            beside: Beside::default(),
            used: Mutex::default(),
            future: Mutex::new(None),
            signal_waker: Mutex::new(None),
            shared: Arc::clone(&self.shared),
            exits,
            token,
            place: AtomicUsize::new(0),
        })
    }

    pub(crate) fn submit(&self, cell: &Arc<Cell>, future: GuestFuture) {
        let place = lock(&self.shared.live).insert(Arc::downgrade(cell));
        cell.place.store(place, Ordering::Relaxed);
        *lock(&cell.future) = Some(future);
        Cell::schedule(cell, false);
    }

    /// Guests that have not ended.
    pub(crate) fn live(&self) -> usize {
        lock(&self.shared.live).len()
    }

    /// What all guests have used of the processors and written, and what they hold now.
    pub(crate) fn usage(&self) -> LiveUsage {
        let live = lock(&self.shared.live);
        let cells = live.cells.iter().flatten().filter_map(Weak::upgrade);
        let cells: Vec<Arc<Cell>> = cells.collect();
        let mut sum = LiveUsage {
            cpu: live.ended_cpu,
            memory_bytes: 0,
            written_bytes: live.ended_written,
        };
        for cell in &cells {
            let usage = cell.live_usage();
            sum.cpu = sum.cpu.saturating_add(usage.cpu);
            sum.memory_bytes = sum.memory_bytes.saturating_add(usage.memory_bytes);
            sum.written_bytes = sum.written_bytes.saturating_add(usage.written_bytes);
        }
        // What a last reference drops must not find the lock taken.
        drop(live);
        sum
    }
}

/// How long guests get to end when the executor is dropped: far more than any
/// needs, unless it is stuck in a host function that blocks its thread.
const PATIENCE: Duration = Duration::from_secs(5);

impl Drop for Executor {
    /// Kills the guests that are still there and waits for their end. A thread
    /// that a host function blocks is left behind after a while.
    fn drop(&mut self) {
        let cells: Vec<_> = lock(&self.shared.live)
            .cells
            .iter()
            .flatten()
            .cloned()
            .collect();
        for cell in cells.iter().filter_map(Weak::upgrade) {
            Cell::kill(&cell, KillReason::Requested);
        }
        let until = now() + PATIENCE;
        while self.live() > 0 && now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let stuck = self.live() > 0;
        lock(&self.shared.queues).stop = true;
        self.shared.available.notify_all();
        for thread in self.threads.drain(..) {
            // The last engine may be dropped by a guest's own data, on a guest
            // thread: that one ends by itself.
            let own = thread.thread().id() == std::thread::current().id();
            if !stuck && !own {
                // A panic of a guest was caught where it happened.
                let _ = thread.join();
            }
        }
        if let Some(io) = self.io.take() {
            io.shutdown_background();
        }
    }
}

fn be_nice() {
    // Refused only where a policy forbids it; guests then share as equals.
    let _ = rustix::process::nice(GUEST_NICENESS);
}

/// The loop of one guest thread.
fn serve(shared: &Shared, io: &tokio::runtime::Handle) {
    be_nice();
    let _io = io.enter();
    while let Some(cell) = shared.next() {
        let _busy = shared.ticker.busy();
        cell.poll();
    }
}
