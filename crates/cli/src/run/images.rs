//! Gets the images of a manifest before anything of it runs.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use tokio::time::Instant;
use wasmjob::Host;
use wasmjob::api::manifest::Manifest;

use crate::exit::say;
use crate::host;

/// How it went.
pub(crate) enum Got {
    /// All are here; the rest of the time.
    All(Option<Duration>),
    /// Some are not; why.
    Missing(Vec<String>),
    /// They did not come in time.
    TooLate,
}

/// Pulls and finds images for at most `limit`.
pub(crate) fn get(host: &Host, manifest: &Manifest, limit: Option<Duration>, quiet: bool) -> Got {
    let began = Instant::now();
    let tell = |image: &str| {
        if !quiet {
            say(format_args!("pulling {image}"));
        }
    };
    let (done, ended) = channel::<()>();
    let (missing, is_late) = std::thread::scope(|scope| {
        let watch = limit.map(|limit| {
            // Pulls block; what ends them must wait elsewhere.
            scope.spawn(move || {
                let is_late = ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if is_late {
                    host.stop_pulls();
                }
                is_late
            })
        });
        let missing = host::missing_images(host, manifest, Some(&tell));
        drop(done);
        let is_late = watch.is_some_and(|watch| watch.join().unwrap_or(false));
        (missing, is_late)
    });
    match (missing.is_empty(), is_late) {
        (_, true) => Got::TooLate,
        (true, false) => Got::All(limit.map(|limit| limit.saturating_sub(began.elapsed()))),
        (false, false) => Got::Missing(missing),
    }
}
