//! Defaults of Jobs and CronJobs.

use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};

use super::{pod_template, set, set_text};

/// Fills in a Job (`SetDefaults_Job`, and those of its pod template).
pub fn job(job: &mut Job) {
    let spec = job.spec.get_or_insert_default();
    pod_template(&mut spec.template);
    job_spec(spec);
    if job
        .metadata
        .labels
        .as_ref()
        .is_none_or(|labels| labels.is_empty())
    {
        let labels = spec
            .template
            .metadata
            .as_ref()
            .and_then(|m| m.labels.clone());
        job.metadata.labels = labels.filter(|labels| !labels.is_empty());
    }
}

fn job_spec(spec: &mut JobSpec) {
    // Only the number of pods at once given means a work queue, which has no
    // number of completions.
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    set(&mut spec.parallelism, 1);
    let backoff_limit = if spec.backoff_limit_per_index.is_some() {
        i32::MAX
    } else {
        6
    };
    set(&mut spec.backoff_limit, backoff_limit);
    set(&mut spec.completion_mode, "NonIndexed".to_owned());
    set(&mut spec.suspend, false);
    set(&mut spec.manual_selector, false);
    let replacement = if spec.pod_failure_policy.is_some() {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set(&mut spec.pod_replacement_policy, replacement.to_owned());
    pod_conditions(spec);
}

fn pod_conditions(spec: &mut JobSpec) {
    let rules = spec
        .pod_failure_policy
        .iter_mut()
        .flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        set_text(&mut pattern.status, "True");
    }
}

/// Fills in a CronJob (`SetDefaults_CronJob`, and those of its pod template). The
/// fields of its Job template stay open: the Jobs made of it get their own.
pub fn cron_job(cron_job: &mut CronJob) {
    let spec = &mut cron_job.spec;
    set_text(&mut spec.concurrency_policy, "Allow");
    set(&mut spec.suspend, false);
    set(&mut spec.successful_jobs_history_limit, 3);
    set(&mut spec.failed_jobs_history_limit, 1);
    let job = spec.job_template.spec.get_or_insert_default();
    pod_conditions(job);
    pod_template(&mut job.template);
}
