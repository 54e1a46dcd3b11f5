//! Which completion indexes come next.

use wasmjob_api::IndexSet;

/// The `number` lowest indexes below `completions` that none of `taken` holds
/// (`firstPendingIndexes` of Kubernetes).
///
/// Costs what it returns plus the intervals it passes, never the completions.
#[must_use]
pub fn first_pending_indexes(taken: &[&IndexSet], number: u32, completions: u32) -> Vec<u32> {
    let mut pending = Vec::new();
    let mut candidate = 0;
    while candidate < completions && pending.len() < number as usize {
        let free = taken
            .iter()
            .map(|set| set.first_missing_from(candidate).unwrap_or(u32::MAX))
            .max();
        match free {
            Some(free) if free > candidate => candidate = free,
            _ => {
                pending.push(candidate);
                candidate += 1;
            }
        }
    }
    pending
}
