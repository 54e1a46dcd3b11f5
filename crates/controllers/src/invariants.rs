//! What must hold after every commit, for tests, the simulator and asserts.
//!
//! [`check_status`] looks at a Job alone, [`check_change`] at a Job before and
//! after any commit, [`check_plan`] at a plan that was just applied, [`check_cron_plan`] at one
//! for a CronJob. The numbers I13 to I28 are those of the project's list of invariants; the rules
//! about a status are those of Kubernetes' `validateJobStatus`, and each is
//! named by its [`Violation`].

mod change;
mod cron;
mod planned;
mod status;

pub use change::check_change;
pub use cron::check_cron_plan;
pub use planned::check_plan;
pub use status::check_status;

/// The rule that is broken, and how.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{rule}: {found}")]
pub struct Violation {
    /// What must hold.
    pub rule: &'static str,
    /// What was found instead.
    pub found: String,
}

/// Fails with `rule` unless `holds`.
fn demand(
    holds: bool,
    rule: &'static str,
    found: impl FnOnce() -> String,
) -> Result<(), Violation> {
    match holds {
        true => Ok(()),
        false => Err(Violation {
            rule,
            found: found(),
        }),
    }
}
