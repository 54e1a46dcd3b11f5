//! Whether an object may come in, and what it comes in as: what Kubernetes' admission
//! plugins LimitRanger, ResourceQuota, Priority and ServiceAccount decide.
//!
//! What they say does not depend on the pod but on its template and on the objects of
//! its namespace, so the host asks once for all pods of a Job. Every `Err` is the text
//! after `… is forbidden: `, in Kubernetes' words.
//!
//! * [`LimitRange`]: defaults, and what a container, pod or claim may ask for.
//! * [`Quota`]: what a namespace may have together; [`PodClaim`] is a pod's part of it.
//! * [`Priorities`]: which pods come first.
//! * [`Account`]: what a pod gets from its service account.

mod account;
mod amounts;
mod claim;
mod limit_range;
mod priority;
mod quota;
mod scope;

pub use account::{Account, AccountError};
pub use amounts::Amounts;
pub use claim::{Likeness, PodClaim, claim_usage, count_usage, service_usage};
pub use limit_range::LimitRange;
pub use priority::{Priorities, PriorityClass};
pub use quota::{Charged, Quota};
