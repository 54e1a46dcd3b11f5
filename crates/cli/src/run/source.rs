//! CronJobs in a manifest that is run.

use wasmjob::api::k8s_openapi::api::batch::v1::{CronJob, Job};
use wasmjob::api::manifest::{Loaded, Manifest, Object};

/// What `kubectl create job --from` marks its Jobs with.
const MANUAL: (&str, &str) = ("cronjob.kubernetes.io/instantiate", "manual");

/// Turns CronJobs into Jobs of their templates, if they are to run now.
///
/// # Errors
///
/// One text for each CronJob, if they are not.
pub(crate) fn cron_jobs(manifest: &mut Manifest, now: bool) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    for loaded in &mut manifest.objects {
        let Object::CronJob(cron_job) = &loaded.object else {
            continue;
        };
        if now {
            loaded.object = Object::Job(Box::new(job(cron_job)));
        } else {
            refused.push(refusal(loaded, cron_job));
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}

fn refusal(loaded: &Loaded, cron_job: &CronJob) -> String {
    format!(
        "error: {}:{}: CronJob {:?} runs by its schedule {:?}, and `run` has no time to wait\nhint: `wasmjob run --now` runs its template once, now; `wasmjob serve` keeps the schedule",
        loaded.file,
        loaded.at,
        cron_job.metadata.name.as_deref().unwrap_or_default(),
        cron_job.spec.schedule,
    )
}

/// The Job that `kubectl create job NAME --from=cronjob/NAME` would make.
fn job(cron_job: &CronJob) -> Job {
    let template = cron_job.spec.job_template.clone();
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.name.clone_from(&cron_job.metadata.name);
    metadata.namespace.clone_from(&cron_job.metadata.namespace);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(MANUAL.0.to_owned(), MANUAL.1.to_owned());
    Job {
        metadata,
        spec: template.spec,
        status: None,
    }
}
