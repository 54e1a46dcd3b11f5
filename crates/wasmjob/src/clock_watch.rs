//! Noticing that the system's clock was set, or that the machine has slept.
//!
//! Linux cancels a timer of wall time when either happens. A thread waits for
//! that and for nothing else, so that an idle host never wakes up to look.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The thread; it ends when this is dropped.
pub(crate) struct ClockWatch {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl ClockWatch {
    /// Calls `changed` whenever wall time has jumped.
    ///
    /// # Errors
    ///
    /// When the system has no such timers, or refuses a thread.
    pub(crate) fn start(changed: impl Fn() + Send + 'static) -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Realtime,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        arm(&timer)?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("wasmjob-clock".to_owned())
            .spawn(move || {
                if let Err(error) = watch(&timer, &stopped, changed) {
                    tracing::warn!(%error, "a clock that is set is noticed late from now on");
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for ClockWatch {
    fn drop(&mut self) {
        // A new counter takes 1 always.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // It ends with a warning at worst.
            let _ = thread.join();
        }
    }
}

/// Arms the timer for a time that never comes.
fn arm(timer: &OwnedFd) -> io::Result<()> {
    let never = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: Timespec {
            // The year 2262: the kernel takes no more than fits nanoseconds.
            tv_sec: i64::MAX / 1_000_000_000,
            tv_nsec: 0,
        },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(timer, flags, &never)?;
    Ok(())
}

fn watch(timer: &OwnedFd, stop: &OwnedFd, changed: impl Fn()) -> io::Result<()> {
    loop {
        let mut fds = [
            PollFd::new(timer, PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if !fds[1].revents().is_empty() {
            return Ok(());
        }
        let mut expirations = [0; 8];
        match rustix::io::read(timer, &mut expirations) {
            Err(Errno::CANCELED) | Ok(_) => {
                arm(timer)?;
                changed();
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
