//! Claims that one pod at a time may have: those of the mode ReadWriteOncePod.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmjob_api::Uid;

/// Who has which of them.
#[derive(Default)]
pub(crate) struct ClaimHolders(Mutex<HashMap<Uid, Weak<Hold>>>);

/// A pod's hold on a claim. Dropping it, wherever that is, frees the claim and says so.
pub(crate) struct Hold {
    pod: Uid,
    freed: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.pod)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        (self.freed)();
    }
}

impl ClaimHolders {
    /// The pod's holds on all of `claims`, or none of them: the place of the first that
    /// another has. So nobody has one while it waits for the next. `freed` is called for
    /// each that is free again.
    pub(crate) fn take(
        &self,
        claims: &[Uid],
        pod: Uid,
        freed: &Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Vec<Arc<Hold>>, usize> {
        // Nothing that can panic runs between two changes.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, hold| hold.strong_count() > 0);
        // Kept until the lock is let go: to drop one calls others.
        let held: Vec<Option<Arc<Hold>>> = claims
            .iter()
            .map(|claim| all.get(claim).and_then(Weak::upgrade))
            .collect();
        let is_others = |hold: &Option<Arc<Hold>>| hold.as_ref().is_some_and(|it| it.pod != pod);
        if let Some(place) = held.iter().position(is_others) {
            drop(all);
            return Err(place);
        }
        let holds = claims.iter().map(|claim| {
            // Two volumes of a pod may be of one claim.
            if let Some(hold) = all.get(claim).and_then(Weak::upgrade) {
                return hold;
            }
            let freed = Arc::clone(freed);
            let hold = Arc::new(Hold { pod, freed });
            all.insert(*claim, Arc::downgrade(&hold));
            hold
        });
        let holds = holds.collect();
        drop(all);
        Ok(holds)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_claim_is_one_pods_at_a_time_and_all_are_had_or_none() {
        let all = ClaimHolders::default();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let freed: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let [first, second, one, two] = [1, 2, 3, 4].map(Uid::from_random);
        let holds = all.take(&[first, first], one, &freed).ok().unwrap();
        assert!(Arc::ptr_eq(&holds[0], &holds[1]), "of one pod");
        assert_eq!(all.take(&[second, first], two, &freed).err(), Some(1));
        let other = all.take(&[second], one, &freed).ok().unwrap();
        assert!(all.take(&[first], one, &freed).is_ok(), "has it already");
        assert_eq!(count.load(Ordering::Relaxed), 0);
        drop(holds);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(all.take(&[first, second], two, &freed).err(), Some(1));
        drop(other);
        assert!(all.take(&[first, second], two, &freed).is_ok());
    }
}
