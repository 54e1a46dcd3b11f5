//! What creation adds to an object: identity, selector, generated labels; and what
//! it takes away: a status that the client has no say in.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{Uid, qos};

/// The label that a Job's pods are selected by.
pub(crate) const CONTROLLER_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// The label that names the Job of a pod.
pub(crate) const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// [`CONTROLLER_UID_LABEL`] as it was called first.
pub(crate) const CONTROLLER_UID_LABEL_LEGACY: &str = "controller-uid";
/// [`JOB_NAME_LABEL`] as it was called first.
pub(crate) const JOB_NAME_LABEL_LEGACY: &str = "job-name";

/// Makes a defaulted Job ready to be validated and stored: its UID, generation 1,
/// an empty status, and (unless `manualSelector`) the generated selector and the
/// four labels of its pods. The creation time is the caller's to set.
///
/// A label that the user has set is kept; validation refuses it if it is another
/// one than creation would give.
pub fn prepare_job(job: &mut Job, uid: Uid) {
    identify(&mut job.metadata, uid);
    job.status = None;
    let name = job.metadata.name.clone().unwrap_or_default();
    let uid = uid.to_string();
    let spec = job.spec.get_or_insert_default();
    let template = spec.template.metadata.get_or_insert_default();
    if !spec.manual_selector.unwrap_or(false) {
        let labels = template.labels.get_or_insert_default();
        let mut add = |key: &str, value: &str| {
            labels
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        };
        add(JOB_NAME_LABEL_LEGACY, &name);
        add(JOB_NAME_LABEL, &name);
        add(CONTROLLER_UID_LABEL_LEGACY, &uid);
        add(CONTROLLER_UID_LABEL, &uid);
        let selector = spec.selector.get_or_insert_default();
        let match_labels = selector.match_labels.get_or_insert_default();
        match_labels
            .entry(CONTROLLER_UID_LABEL.to_owned())
            .or_insert(uid);
    }
    // Kubernetes defaults these again whenever it reads the object from storage.
    let labels = template.labels.clone().unwrap_or_default();
    let own = job.metadata.labels.get_or_insert_with(BTreeMap::new);
    if own.is_empty() {
        *own = labels;
    }
    if own.is_empty() {
        job.metadata.labels = None;
    }
}

/// Makes a defaulted CronJob ready to be validated and stored.
pub fn prepare_cron_job(cron_job: &mut CronJob, uid: Uid) {
    identify(&mut cron_job.metadata, uid);
    cron_job.status = None;
}

/// Makes a defaulted bare Pod ready to be validated and stored.
pub fn prepare_pod(pod: &mut Pod, uid: Uid) {
    identify(&mut pod.metadata, uid);
    let qos_class = pod.spec.as_ref().map(|spec| qos::class(spec).to_owned());
    pod.status = Some(PodStatus {
        phase: Some("Pending".to_owned()),
        qos_class,
        ..PodStatus::default()
    });
}

fn identify(metadata: &mut ObjectMeta, uid: Uid) {
    metadata.uid = Some(uid.to_string());
    metadata.generation = Some(1);
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link = None;
}

/// The name that `generateName: prefix` gives with `suffix`; the prefix is cut so
/// that the name remains a DNS label.
#[must_use]
pub fn generated_name(prefix: &str, suffix: &str) -> String {
    const NAME_BYTES_MAX: usize = 63;
    let mut end = NAME_BYTES_MAX
        .saturating_sub(suffix.len())
        .min(prefix.len());
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &prefix[..end])
}
