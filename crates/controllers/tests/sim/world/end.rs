//! The end of a Job: its time to live, its deletion, and that nothing is left (I20, I23).

use std::cmp::Reverse;

use jiff::SignedDuration;
use wasmjob_controllers::ttl::{self, Ttl};

use super::{Happening, World};

impl World {
    /// The Job's time to live, its deletion, and that nothing is left (I20, I23).
    pub(super) fn clear_away(&mut self) -> Result<(), String> {
        self.check_ttl()?;
        self.delete_job();
        self.replan()?;
        while !self.rows.is_empty() {
            let Some(Reverse((at, _, happening))) = self.queue.pop() else {
                return Err(self.leftover());
            };
            self.now = self.now.max(at);
            if matches!(happening, Happening::Kill(_)) {
                self.happen(happening)?;
                self.collect();
                self.replan()?;
            }
        }
        Ok(())
    }

    fn leftover(&self) -> String {
        format!("pods outlive their Job: {:?}", self.rows.values().next())
    }

    fn check_ttl(&self) -> Result<(), String> {
        let expected = match (self.job.finished(), self.job.spec.ttl_after_finished) {
            (Some(finished), Some(ttl)) if self.job.deletion.is_none() => {
                let ttl = SignedDuration::try_from(ttl).map_err(|error| error.to_string())?;
                Some(finished.last_transition + ttl)
            }
            _ => None,
        };
        let Some(expiry) = expected else {
            let kept = ttl::plan(&self.job, self.now) == Ttl::Keep;
            return kept
                .then_some(())
                .ok_or_else(|| "a Job without end expires".to_owned());
        };
        let early = expiry - SignedDuration::from_nanos(1);
        let exact = ttl::plan(&self.job, early) == Ttl::Until(expiry)
            && ttl::plan(&self.job, expiry) == Ttl::Expired;
        exact
            .then_some(())
            .ok_or_else(|| format!("the Job does not expire at {expiry}"))
    }
}
