//! Signals: the first asks everything to end, the second ends it.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM (and SIGHUP where it means something), as far as they could be listened to.
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

/// The numbers of the signals (POSIX).
pub(crate) const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

impl Signals {
    pub(crate) fn listen() -> Self {
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hang_up: None,
        }
    }

    /// Listens to SIGHUP as to the others, where a terminal that goes means the end: not
    /// under `nohup`.
    pub(crate) fn listen_to_hang_up() -> Self {
        match is_ignored(SIGHUP) {
            true => Self::listen(),
            false => Self::listen_to_reload(),
        }
    }

    /// Listens to SIGHUP as well.
    pub(crate) fn listen_to_reload() -> Self {
        Self {
            hang_up: signal(SignalKind::hangup()).ok(),
            ..Self::listen()
        }
    }

    /// Waits for the next one that asks for the end.
    pub(crate) async fn next_to_end(&mut self) {
        while self.next().await == SIGHUP {}
    }

    /// Waits for the next one; its number.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            () = recv(&mut self.interrupt) => SIGINT,
            () = recv(&mut self.terminate) => SIGTERM,
            () = recv(&mut self.hang_up) => SIGHUP,
        }
    }
}

/// Whether whoever started the process had it ignore the signal; not, if that cannot be told.
fn is_ignored(number: u8) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

async fn recv(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        // It can never come.
        std::future::pending().await
    }
}
