//! The Job controller: which pods a Job should have, and what its status says.
//!
//! [`plan`] follows `syncJob` of Kubernetes' Job controller. It differs where
//! one transaction makes things simpler:
//!
//! * A finished pod is counted, let go ([`Plan::release`]) and replaced in one
//!   commit. There is no `uncountedTerminatedPods`, no wait for the controller's
//!   own writes to come back, no batching delay, and no limit of 500 counted
//!   pods in one sync.
//! * `status.active` is what is active. Kubernetes writes 0 during a back-off.
//! * The record that delays replacement pods ([`wasmjob_api::Backoff`]) is part
//!   of the Job's row, so that it survives a restart. With `backoffLimitPerIndex`
//!   the last failed pod of an index carries it, as in Kubernetes.
//! * A suspended Job that ends gets a start time, which Kubernetes' own
//!   validation of a finished Job asks for.

mod backoff;
mod conditions;
mod counting;
mod failure_policy;
mod name;
mod pending;
mod plan;
mod pod_set;
mod removal;
mod success_policy;
mod verdict;

pub use backoff::{finish_time, record, record_of_index, remaining};
pub use failure_policy::{FailureMatch, PodFailureAction, match_failure_policy};
pub use name::pod_name_prefix;
pub use pending::first_pending_indexes;
pub use plan::{NewPod, PODS_PER_PLAN_MAX, Plan, plan, plan_within};
pub use pod_set::PodSet;
pub use success_policy::match_success_policy;
