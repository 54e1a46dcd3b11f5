//! The monotonic clock of the sandbox. Deadlines and processor time are its
//! subject, so this room may read it; nothing here reads wall time.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// The monotonic clock's reading.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines and slices are measured here"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Polls shorter than this are charged what the monotonic clock says; longer
/// ones what the thread's processor clock says, whose reading is a system call.
const LONG: Duration = Duration::from_micros(200);

/// Charges polls of guests with the time that they spent on a processor.
struct CpuMeter {
    started: Instant,
    /// The thread's processor time at its last reading.
    read: Duration,
    /// What was charged by the monotonic clock since that reading.
    charged: Duration,
}

impl CpuMeter {
    fn new() -> Self {
        Self {
            started: now(),
            read: thread_cpu(),
            charged: Duration::ZERO,
        }
    }

    /// Marks the start of a poll.
    fn start(&mut self) {
        self.started = now();
    }

    /// The processor time of the poll so far, or since it was last asked for.
    fn lap(&mut self) -> Duration {
        let now = now();
        let wall = now.saturating_duration_since(self.started);
        self.started = now;
        if wall < LONG {
            self.charged += wall;
            return wall;
        }
        // The poll may have been pre-empted: ask the processor clock, and take
        // off what short polls were charged since it was last asked.
        let cpu = thread_cpu();
        let since = cpu.saturating_sub(self.read).saturating_sub(self.charged);
        self.read = cpu;
        self.charged = Duration::ZERO;
        since.min(wall)
    }
}

thread_local! {
    /// The meter of this thread: also what runs in the midst of a poll, on the
    /// guest's own stack, may ask it.
    static METER: RefCell<CpuMeter> = RefCell::new(CpuMeter::new());
}

/// Marks the start of a poll on this thread.
pub(crate) fn start_poll() {
    METER.with_borrow_mut(CpuMeter::start);
}

/// The processor time of this thread's poll so far, or since this was last called.
pub(crate) fn lap() -> Duration {
    METER.with_borrow_mut(CpuMeter::lap)
}

/// Processor time of the calling thread.
fn thread_cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        t.tv_sec.try_into().unwrap_or(0),
        t.tv_nsec.try_into().unwrap_or(0),
    )
}
