//! Old API versions made new.
//!
//! `batch/v1beta1` (and `v2alpha1`) CronJob has the fields of `batch/v1`; only
//! the version is written anew. Kubernetes stopped serving it in 1.25.

use super::problem::{Severity, Warning};
use super::tree::Node;
use serde_json::Value as Json;

/// Writes the version of a CronJob anew, and says so.
pub(crate) fn cron_job(json: &mut Json, node: &Node, file: &str, lines_before: usize) -> Warning {
    let old = node.text("apiVersion").unwrap_or_default().to_owned();
    json["apiVersion"] = Json::from("batch/v1");
    let mut at = node.locate("apiVersion");
    at.line += lines_before;
    let message = format!(
        "{file}:{at}: CronJob of {old} is read as batch/v1; Kubernetes serves only batch/v1 since 1.25"
    );
    Warning {
        file: file.to_owned(),
        at,
        severity: Severity::Warning,
        message,
    }
}
