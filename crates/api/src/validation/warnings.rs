//! What is valid and may surprise: the warnings that the API server sends with
//! its answer (`pkg/api/job/warnings.go`, the strategies).

use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::job::{COMPLETIONS_SOFT_LIMIT, PARALLELISM_MAX_FOR_HIGH_COMPLETIONS, is_indexed};
use super::names;
use crate::field::Path;
use crate::manifest::Object;
use crate::network_policy;

/// The warnings about a Job: the path of the field, and the text.
#[must_use]
pub fn job_warnings(job: &Job) -> Vec<(Path, String)> {
    let mut warnings = label_name(job.metadata.name.as_deref());
    if let Some(spec) = &job.spec {
        warnings.extend(job_spec(spec, &Path::new("spec")));
    }
    warnings
}

/// The warnings about an object of a manifest.
#[must_use]
pub fn warnings(object: &Object) -> Vec<(Path, String)> {
    match object {
        Object::Job(job) => job_warnings(job),
        Object::CronJob(cron_job) => {
            let mut warnings = label_name(cron_job.metadata.name.as_deref());
            if let Some(spec) = &cron_job.spec.job_template.spec {
                warnings.extend(job_spec(spec, &Path::new("spec.jobTemplate.spec")));
            }
            warnings
        }
        Object::Pod(pod) => label_name(pod.metadata.name.as_deref()),
        Object::Kept(kept) if kept.kind == "NetworkPolicy" => network_policy::warnings(&kept.json),
        Object::Kept(_) => Vec::new(),
    }
}

/// Names become hostnames, which are DNS labels; objects may have longer ones.
fn label_name(name: Option<&str>) -> Vec<(Path, String)> {
    let Some(name) = name else { return Vec::new() };
    let messages = names::dns1123_label(name);
    if messages.is_empty() {
        return Vec::new();
    }
    let list = messages.join(" ");
    let text = format!(
        "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{list}]"
    );
    vec![(Path::new("metadata.name"), text)]
}

fn job_spec(spec: &JobSpec, path: &Path) -> Vec<(Path, String)> {
    let is_high = spec.completions.unwrap_or(0) > COMPLETIONS_SOFT_LIMIT
        && spec.parallelism.unwrap_or(0) > PARALLELISM_MAX_FOR_HIGH_COMPLETIONS;
    if !is_indexed(spec) || !is_high {
        return Vec::new();
    }
    let text = format!(
        "In Indexed Jobs with a number of completions higher than {COMPLETIONS_SOFT_LIMIT} and a parallelism higher than {PARALLELISM_MAX_FOR_HIGH_COMPLETIONS}, Kubernetes might not be able to track completions correctly"
    );
    vec![(path.clone(), text)]
}
