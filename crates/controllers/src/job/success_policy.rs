//! `successPolicy`: when enough indexes have succeeded.

use wasmjob_api::{IndexSet, SuccessRule};

/// The position of the first of `rules` that `succeeded` meets.
///
/// As `matchSuccessPolicy` of Kubernetes: a Job without a success meets no
/// rule, and a rule whose indexes cannot be read, or lie all out of range, is
/// passed over.
#[must_use]
pub fn match_success_policy(rules: &[SuccessRule], succeeded: &IndexSet) -> Option<usize> {
    if succeeded.is_empty() {
        return None;
    }
    rules.iter().position(|rule| is_met(rule, succeeded))
}

fn is_met(rule: &SuccessRule, succeeded: &IndexSet) -> bool {
    let enough = |number: u64| rule.count.is_some_and(|count| number >= u64::from(count));
    match &rule.indexes {
        None => enough(succeeded.len()),
        Some(wanted) if wanted.is_empty() => false,
        Some(wanted) => {
            let common = wanted.intersection_len(succeeded);
            common == wanted.len() || enough(common)
        }
    }
}
