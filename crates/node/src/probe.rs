//! Probes: fresh instances of the container's own module that say how it is.

use std::sync::Mutex;

use wasmjob_sandbox::{Exit, KillReason, Output, Stream};

use crate::template::{ProbeSpec, Probes};

/// Which probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    pub(crate) fn of(self, probes: &Probes) -> Option<&ProbeSpec> {
        match self {
            Self::Startup => probes.startup.as_ref(),
            Self::Readiness => probes.readiness.as_ref(),
            Self::Liveness => probes.liveness.as_ref(),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// Results in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streak {
    successes: u32,
    failures: u32,
}

/// What a result means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Enough successes in a row.
    Passes,
    /// Enough failures in a row.
    Fails,
    /// Not enough of either yet.
    Unsure,
}

impl Streak {
    /// Counts a result.
    pub(crate) fn count(&mut self, success: bool, spec: &ProbeSpec) -> Verdict {
        if success {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            if self.successes >= spec.success_threshold {
                return Verdict::Passes;
            }
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            if self.failures >= spec.failure_threshold {
                return Verdict::Fails;
            }
        }
        Verdict::Unsure
    }
}

/// Bytes of a probe's output that its event shows (the kubelet's figure is 10 KiB).
const OUTPUT_BYTES_MAX: usize = 1024;

/// What a probe printed, cut.
#[derive(Default)]
pub(crate) struct ProbeOutput(Mutex<Vec<u8>>);

impl ProbeOutput {
    pub(crate) fn text(&self) -> String {
        let bytes = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Output for ProbeOutput {
    fn write(&self, _stream: Stream, bytes: &[u8]) {
        let mut kept = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Why a probe failed, for its event; `None` if it did not.
pub(crate) fn failure(exit: &Exit, output: &str) -> Option<String> {
    match exit {
        Exit::Code(0) => None,
        Exit::Code(code) if output.is_empty() => Some(format!("exit code {code}")),
        Exit::Code(_) => Some(output.to_owned()),
        Exit::OutOfMemory { .. } | Exit::Killed(KillReason::Memory) => {
            Some("memory limit exceeded: a probe has what its container leaves of it".to_owned())
        }
        Exit::Killed(_) => Some("command timed out".to_owned()),
        Exit::Trap(text) | Exit::Start(text) | Exit::Host(text) => Some(text.clone()),
        Exit::OutOfFuel => Some("fuel used up".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn thresholds_count_results_in_a_row() {
        let spec = ProbeSpec {
            command: Arc::from([]),
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            success_threshold: 2,
            failure_threshold: 3,
        };
        let mut streak = Streak::default();
        let results = [false, false, true, false, false, false, true, true, true];
        let verdicts = results.map(|success| streak.count(success, &spec));
        use Verdict::{Fails, Passes, Unsure};
        assert_eq!(
            verdicts,
            [
                Unsure, Unsure, Unsure, Unsure, Unsure, Fails, Unsure, Passes, Passes
            ]
        );
    }
}
