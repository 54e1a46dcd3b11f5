//! What happened, as whoever watches must see it: each change of each revision,
//! by the model of a seed.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmjob_store::{Change, Watch};

use super::work::Work;

/// For each revision, a digest of its changes: what was done to which object, and
/// the object, in their order.
pub(crate) fn digests(changes: &[(u64, Change)]) -> Vec<(u64, u64)> {
    changes
        .chunk_by(|a, b| a.0 == b.0)
        .map(|changes| {
            let mut hasher = DefaultHasher::new();
            for (_, change) in changes {
                format!("{:?} {change:?}", change.object().key()).hash(&mut hasher);
            }
            (changes[0].0, hasher.finish())
        })
        .collect()
}

/// The history of a seed, made as far as it is asked for.
pub(crate) struct History {
    work: Work,
    watch: Watch,
    digests: Vec<(u64, u64)>,
}

impl History {
    pub(crate) fn new(seed: u64) -> Self {
        let work = Work::new(seed);
        Self {
            watch: work.model.watch(0),
            work,
            digests: Vec::new(),
        }
    }

    /// What happened after the revision `after`, up to `until`.
    pub(crate) fn between(&mut self, after: u64, until: u64) -> Vec<(u64, u64)> {
        while self.work.model.revision() < until {
            self.work.transaction();
            let seen = self.watch.try_next().unwrap();
            self.digests.extend(digests(&seen));
        }
        let place = |revision| self.digests.partition_point(|(at, _)| *at <= revision);
        self.digests[place(after)..place(until)].to_vec()
    }
}
