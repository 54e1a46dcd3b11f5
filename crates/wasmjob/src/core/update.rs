//! Changing objects that there are already.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use wasmjob_api::k8s_openapi::api::batch::v1 as batch;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::manifest::Kept;
use wasmjob_api::{
    CronJob, CronJobSpec, Job, JobSpec, Uid, config, defaults, network_policy, validation,
};
use wasmjob_store::{GenericObject, Key, Kind, Object};

use super::commands::refuse;
use super::turn::Turn;
use super::{Core, EditFn};
use crate::{ApplyError, EditError};

/// A checked change.
pub(super) enum Update {
    Job(Job),
    CronJob(CronJob),
    Generic(GenericObject),
    /// It is as it should be.
    Same,
}

impl Core {
    /// The revision that the turn's write at `place` will have.
    pub(super) fn revision_at(&self, place: usize) -> u64 {
        // This thread is the only one that commits.
        self.store.last_revision() + place as u64 + 1
    }

    /// Puts a Job into the transaction, with the revision that it will have.
    pub(super) fn put_job(&self, turn: &mut Turn, mut job: Job) -> Arc<Job> {
        let place = turn.place(Key {
            kind: Kind::Job,
            uid: job.uid,
        });
        job.resource_version = self.revision_at(place);
        let job = Arc::new(job);
        turn.transaction
            .put_at(place, Object::Job(Arc::clone(&job)));
        job
    }

    /// As [`Core::put_job`], and the entry of the Job takes it over.
    pub(super) fn set_job(&mut self, turn: &mut Turn, job: Job) -> Arc<Job> {
        let job = self.put_job(turn, job);
        if let Some(entry) = self.jobs.get_mut(&job.uid) {
            entry.job = Arc::clone(&job);
        }
        job
    }

    pub(super) fn put_cron_job(&self, turn: &mut Turn, mut cron_job: CronJob) -> Arc<CronJob> {
        let place = turn.place(Key {
            kind: Kind::CronJob,
            uid: cron_job.uid,
        });
        cron_job.resource_version = self.revision_at(place);
        let cron_job = Arc::new(cron_job);
        turn.transaction
            .put_at(place, Object::CronJob(Arc::clone(&cron_job)));
        cron_job
    }

    /// As [`Core::put_cron_job`], and the entry of the CronJob takes it over.
    pub(super) fn set_cron_job(&mut self, turn: &mut Turn, cron_job: CronJob) {
        let cron_job = self.put_cron_job(turn, cron_job);
        if let Some(entry) = self.cron_jobs.get_mut(&cron_job.uid) {
            entry.cron_job = cron_job;
        }
    }

    /// Changes a Job's spec, by the rules of an update.
    pub(super) fn edit(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        edit: EditFn,
    ) -> Result<(), EditError> {
        let entry = self.jobs.get(&uid).ok_or(EditError::NotFound)?;
        let mut object = entry.job.to_object();
        edit(object.spec.get_or_insert_default());
        let base = Arc::clone(&entry.job.spec.template.base);
        let update = update_job(&entry.job, object, &base).map_err(|error| match error {
            ApplyError::Invalid(text) => EditError::Invalid(text),
            error => EditError::Invalid(error.to_string()),
        })?;
        self.update(turn, update);
        Ok(())
    }

    /// What a manifest's Job makes of the one that there is.
    pub(super) fn prepare_job_update(
        &self,
        uid: Uid,
        mut new: batch::Job,
        base: &Arc<Path>,
    ) -> Result<Update, ApplyError> {
        let Some(entry) = self.jobs.get(&uid) else {
            return Ok(Update::Same);
        };
        defaults::prepare_job(&mut new, uid);
        new.metadata = taken_over(entry.job.to_object().metadata, new.metadata);
        update_job(&entry.job, new, base)
    }

    /// What a manifest's CronJob makes of the one that there is.
    pub(super) fn prepare_cron_job_update(
        &self,
        uid: Uid,
        new: batch::CronJob,
        base: Arc<Path>,
    ) -> Result<Update, ApplyError> {
        let Some(entry) = self.cron_jobs.get(&uid) else {
            return Ok(Update::Same);
        };
        let row = &entry.cron_job;
        let old = row.to_object();
        // Without what is rendered into it, as the slots.
        let metadata = taken_over((*row.metadata).clone(), new.metadata.clone());
        if new.spec == row.spec.object && metadata == *row.metadata && base == row.base {
            return Ok(Update::Same);
        }
        let new = batch::CronJob {
            metadata: taken_over(old.metadata.clone(), new.metadata),
            spec: new.spec,
            status: None,
        };
        let errors = validation::validate_cron_job_update(&new, &old);
        refuse("CronJob.batch", &new.metadata, &errors)?;
        let has_changed = new.spec != row.spec.object;
        let spec = CronJobSpec::parse(new.spec, metadata.annotations.as_ref());
        Ok(Update::CronJob(CronJob {
            generation: row.generation + i64::from(has_changed),
            spec: Arc::new(spec),
            metadata: Arc::new(metadata),
            base,
            ..(**row).clone()
        }))
    }

    /// What a manifest's ConfigMap, Secret, claim or policy makes of the one that there is.
    pub(super) fn prepare_kept_update(&self, uid: Uid, new: Kept) -> Result<Update, ApplyError> {
        let Some(row) = self.generic_object(uid) else {
            return Ok(Update::Same);
        };
        // What was kept was JSON.
        let old: Json = serde_json::from_slice(&row.json).unwrap_or_default();
        let is_claim = new.kind == "PersistentVolumeClaim";
        let mut json = new.json;
        json["metadata"] = kept_metadata(&old["metadata"], &new.metadata);
        if let Some(fields) = json.as_object_mut() {
            fields.remove("status");
            if let Some(status) = old.get("status") {
                fields.insert("status".to_owned(), status.clone());
            }
        }
        if is_claim && json["spec"]["volumeName"].is_null() && !old["spec"]["volumeName"].is_null()
        {
            json["spec"]["volumeName"] = old["spec"]["volumeName"].clone();
        }
        if new.kind == "NetworkPolicy" {
            network_policy::count_change(&mut json, &old);
        }
        if json == old {
            return Ok(Update::Same);
        }
        let errors = match is_claim {
            true => config::validate_claim_update(&json, &old),
            false => config::validate_update(&json, &old),
        };
        refuse(new.kind, &new.metadata, &errors)?;
        let object = GenericObject {
            json: serde_json::to_vec(&json).unwrap_or_default().into(),
            ..(**row).clone()
        };
        let checked = self.check_claim(&object);
        let checked = checked.and_then(|()| self.check_changed_generic(row, &object));
        checked.map_err(|why| ApplyError::Forbidden {
            resource: object.resource.to_string(),
            name: object.name.to_string(),
            why,
        })?;
        Ok(Update::Generic(object))
    }

    pub(super) fn update(&mut self, turn: &mut Turn, update: Update) {
        match update {
            Update::Job(job) => {
                let uid = job.uid;
                self.set_job(turn, job);
                self.mark(uid);
                // The last finalizer may be gone.
                self.sweep(turn, uid);
            }
            Update::CronJob(cron_job) => {
                let uid = cron_job.uid;
                self.set_cron_job(turn, cron_job);
                self.mark_cron(uid);
            }
            Update::Generic(object) => {
                self.put_generic(turn, object);
            }
            Update::Same => {}
        }
    }
}

/// The metadata of `old`, with what a manifest has a say in from `new`.
fn taken_over(old: ObjectMeta, new: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        labels: new.labels,
        annotations: new.annotations,
        finalizers: new.finalizers,
        ..old
    }
}

/// Annotations of a claim that say what it is bound to, whose file knows nothing of them.
const BINDING: &str = "pv.kubernetes.io/";

/// As [`taken_over`], of an object that is kept as JSON. A file adds finalizers and takes
/// none away: who needs one lets it go.
fn kept_metadata(old: &Json, given: &ObjectMeta) -> Json {
    let mut metadata = old.clone();
    let Some(fields) = metadata.as_object_mut() else {
        return metadata;
    };
    let mut annotations = given.annotations.clone().unwrap_or_default();
    for (name, value) in old["annotations"].as_object().into_iter().flatten() {
        if let Some(value) = value.as_str().filter(|_| name.starts_with(BINDING)) {
            annotations.insert(name.clone(), value.to_owned());
        }
    }
    let before = old["finalizers"].as_array().into_iter().flatten();
    let mut finalizers: Vec<_> = before.filter_map(Json::as_str).collect();
    for finalizer in given.finalizers.iter().flatten() {
        if !finalizers.contains(&finalizer.as_str()) {
            finalizers.push(finalizer);
        }
    }
    let mut set = |field: &str, value: Json, is_empty: bool| {
        if is_empty {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
    };
    let labels = given.labels.clone().unwrap_or_default();
    set("labels", json!(labels), labels.is_empty());
    set("annotations", json!(annotations), annotations.is_empty());
    set("finalizers", json!(finalizers), finalizers.is_empty());
    metadata
}

pub(super) fn update_job(
    row: &Job,
    new: batch::Job,
    base: &Arc<Path>,
) -> Result<Update, ApplyError> {
    let old = row.to_object();
    let same_metadata = new.metadata.labels == old.metadata.labels
        && new.metadata.annotations == old.metadata.annotations
        && new.metadata.finalizers == old.metadata.finalizers
        && new.metadata.owner_references == old.metadata.owner_references
        && new.metadata.managed_fields == old.metadata.managed_fields;
    let same_base = *base == row.spec.template.base;
    if new.spec == old.spec && same_metadata && same_base {
        return Ok(Update::Same);
    }
    let errors = validation::validate_job_update(&new, &old);
    refuse("Job.batch", &new.metadata, &errors)?;
    let mut job = row.clone();
    if !same_metadata {
        job.metadata = Arc::new(ObjectMeta {
            labels: new.metadata.labels,
            annotations: new.metadata.annotations,
            finalizers: new.metadata.finalizers,
            owner_references: new.metadata.owner_references,
            managed_fields: new.metadata.managed_fields,
            ..(*row.metadata).clone()
        });
    }
    job.generation += i64::from(new.spec != old.spec);
    if new.spec != old.spec || !same_base {
        let spec = JobSpec::parse_in(new.spec.unwrap_or_default(), &row.name, row.uid, base);
        job.spec = Arc::new(spec);
    }
    Ok(Update::Job(job))
}
