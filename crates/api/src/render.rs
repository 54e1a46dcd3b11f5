//! Rows as the Kubernetes objects that clients read.

mod condition;
mod container;
mod cron_job;
mod job;
mod pod;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A time as Kubernetes writes it: whole seconds, the rest cut off.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// A text, absent if it is empty.
fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
