//! `trigger`: a CronJob's Job, now; as `kubectl create job --from=cronjob/…` makes it.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, name};
use super::failure::{Failure, Result};
use super::kinds::known;
use super::output::line;
use super::table::reference;
use super::uri::Uri;
use crate::args::TriggerArgs;
use crate::exit::Exit;

/// What tells that no slot asked for the Job.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";

pub(crate) async fn trigger(api: &Api, args: &TriggerArgs) -> Result<Exit> {
    let namespace = args.daemon.namespace();
    let (cron_jobs, jobs) = (
        known("batch", "v1", "cronjobs")?,
        known("batch", "v1", "jobs")?,
    );
    let wanted = match args.cron_job.split_once('/') {
        None => args.cron_job.as_str(),
        Some(("cronjob" | "cronjobs" | "cj" | "cronjob.batch" | "cronjobs.batch", name)) => name,
        Some(_) => {
            return Err(Failure::usage(format!("{} is no CronJob", args.cron_job)));
        }
    };
    let cron_job = api.object(cron_jobs, namespace, wanted).await?;
    let job = job(&cron_job, args.name.as_deref());
    let uri = Uri::list(jobs, Some(namespace)).with("fieldManager", "wasmjob-trigger");
    let (_, job) = api
        .send(Method::POST, &uri, "application/json", &job)
        .await?;
    line(&format!("{} created", reference(jobs, &job)))?;
    Ok(Exit::Complete)
}

fn job(cron_job: &Value, name_wanted: Option<&str>) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let own = template["metadata"]["annotations"].as_object().cloned();
    let mut annotations = own.unwrap_or_default();
    annotations.insert(INSTANTIATE.to_owned(), "manual".into());
    let mut metadata = Map::new();
    match name_wanted {
        Some(name) => metadata.insert("name".to_owned(), name.into()),
        None => metadata.insert(
            "generateName".to_owned(),
            format!("{}-manual-", name(cron_job)).into(),
        ),
    };
    metadata.insert("annotations".to_owned(), annotations.into());
    if let Some(labels) = template["metadata"]["labels"].as_object() {
        metadata.insert("labels".to_owned(), labels.clone().into());
    }
    let owner = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": name(cron_job),
        "uid": cron_job["metadata"]["uid"],
        "controller": true,
    });
    metadata.insert("ownerReferences".to_owned(), json!([owner]));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": template["spec"],
    })
}
