//! What the controllers have done, under the names of Kubernetes' own.
//!
//! Only what is counted exactly: the host counts where it decides. Numbers about
//! syncs and work queues are left out, because there are none here.

use wasmjob::{Counts, Skew};

use super::text::{Kind, Text};

pub(super) fn write(text: &mut Text, counts: &Counts) {
    let mut family = text.family(
        "job_controller_jobs_finished_total",
        Kind::Counter,
        "The number of finished jobs",
    );
    for (jobs, count) in &counts.jobs_finished {
        let labels = [
            ("completion_mode", jobs.completion_mode),
            ("reason", jobs.reason.as_ref()),
            ("result", result(jobs.succeeded)),
        ];
        family.sample("", &labels, *count);
    }
    let mut family = text.family(
        "job_controller_job_pods_finished_total",
        Kind::Counter,
        "The number of finished Pods that are fully tracked",
    );
    for (pods, count) in &counts.pods_finished {
        let labels = [
            ("completion_mode", pods.completion_mode),
            ("result", result(pods.succeeded)),
        ];
        family.sample("", &labels, *count);
    }
    skew(text, &counts.creation_skew);
}

fn result(succeeded: bool) -> &'static str {
    match succeeded {
        true => "succeeded",
        false => "failed",
    }
}

fn skew(text: &mut Text, skew: &Skew) {
    let mut family = text.family(
        "cronjob_controller_job_creation_skew_duration_seconds",
        Kind::Histogram,
        "Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
    );
    let mut so_far = 0;
    for (bound, count) in Skew::BOUNDS.iter().zip(skew.buckets) {
        so_far += count;
        family.sample_of("_bucket", "", &[("le", &bound.to_string())], so_far);
    }
    family.sample_of("_bucket", "", &[("le", "+Inf")], skew.count);
    family.sample_of("_sum", "", &[], skew.sum.as_secs_f64());
    family.sample_of("_count", "", &[], skew.count);
}
