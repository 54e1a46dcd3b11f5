//! Files of a directory of manifests: what each stands for, taken over in one
//! commit, with a record of it.
//!
//! The record is what makes a file's Job run once: it names the Job still when
//! its time to live has removed it. An object goes when its file goes, or does
//! not name it any more, also while the host was down.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmjob_api::Uid;
use wasmjob_api::k8s_openapi::api::core::v1 as core;
use wasmjob_node::Clock as _;
use wasmjob_store::{Key, Kind, ManifestObject, ManifestRecord, Object};

use super::admission::Trial;
use super::commands::{Prepared, kind_name};
use super::turn::Turn;
use super::update::Update;
use super::write::is_terminating;
use super::{Core, New};
use crate::ApplyError;
use crate::job::Propagation;

/// A file as it is now.
pub(crate) struct ManifestFile {
    /// Its name within the directory.
    pub(crate) file: Arc<str>,
    /// A digest of its bytes.
    pub(crate) digest: Arc<str>,
    /// Its objects: defaulted and valid.
    pub(crate) objects: Vec<New>,
}

/// What taking a file over came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ManifestChanges {
    /// Objects that are new.
    pub created: usize,
    /// Objects that were changed.
    pub configured: usize,
    /// Objects that were deleted.
    pub deleted: usize,
}

enum Step {
    Create(Prepared, Option<[u8; 32]>),
    Update(Update, ManifestObject),
}

impl Core {
    /// Takes a file over: wholly or not at all.
    pub(super) fn apply_manifest(
        &mut self,
        turn: &mut Turn,
        manifest: ManifestFile,
    ) -> Result<ManifestChanges, ApplyError> {
        let record = self.manifests.get(&manifest.file).cloned();
        if record
            .as_ref()
            .is_some_and(|old| old.digest == manifest.digest)
        {
            return Ok(ManifestChanges::default());
        }
        let now = self.clock.wall();
        let mut steps = Vec::with_capacity(manifest.objects.len());
        for new in manifest.objects {
            let names = new.names();
            let kind = new.kind();
            let given = given(&new);
            let existing = names.and_then(|names| Some((self.named_as(&new, &names)?, names)));
            let step = match existing {
                None => Step::Create(self.prepare(new, now)?, given),
                Some((uid, (namespace, name))) => {
                    let object = ManifestObject {
                        key: Key { kind, uid },
                        namespace,
                        name,
                        given,
                    };
                    self.check_owner(&manifest.file, &object)?;
                    self.check_stays(&object, new.kind_name())?;
                    let update = match new {
                        New::Job(job, base) => self.prepare_job_update(uid, *job, &base)?,
                        New::CronJob(cron_job, base) => {
                            self.prepare_cron_job_update(uid, *cron_job, base)?
                        }
                        New::Pod(pod, _) => {
                            let objects = record.iter().flat_map(|old| &old.objects);
                            let mut before = objects.filter(|old| old.key == object.key);
                            let before = before.find_map(|old| old.given);
                            let is_same = given.is_some() && before == given;
                            self.check_pod_update(uid, *pod, is_same)?
                        }
                        New::Kept(kept) => self.prepare_kept_update(uid, *kept)?,
                    };
                    Step::Update(update, object)
                }
            };
            steps.push(step);
        }
        let old = record.as_ref().map_or(&[][..], |old| &old.objects);
        let mut trial = Trial::default();
        for old in old {
            let stays = |step: &Step| matches!(step, Step::Update(_, it) if it.key == old.key);
            if !steps.iter().any(stays) {
                self.try_without(&mut trial, old.key);
            }
        }
        let new = steps.iter().filter_map(|step| match step {
            Step::Create(prepared, _) => Some(prepared),
            Step::Update(..) => None,
        });
        self.check_newcomers_in(&mut trial, new)?;
        let mut changes = ManifestChanges::default();
        let mut objects = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Create(prepared, given) => {
                    let made = self.create(turn, prepared);
                    changes.created += 1;
                    objects.push(ManifestObject {
                        key: made.key,
                        namespace: made.namespace,
                        name: made.name,
                        given,
                    });
                }
                Step::Update(update, object) => {
                    changes.configured += usize::from(!matches!(update, Update::Same));
                    self.update(turn, update);
                    objects.push(object);
                }
            }
        }
        for gone in old
            .iter()
            .filter(|old| objects.iter().all(|new| new.key != old.key))
        {
            changes.deleted += usize::from(self.exists(gone.key));
            self.delete(turn, gone.key, Propagation::Background);
        }
        let uid = record.map_or_else(|| self.random.uid(), |old| old.uid);
        let record = Arc::new(ManifestRecord {
            uid,
            file: Arc::clone(&manifest.file),
            digest: manifest.digest,
            objects,
        });
        turn.transaction.put(Object::Manifest(Arc::clone(&record)));
        self.manifests.insert(manifest.file, record);
        Ok(changes)
    }

    /// A file has another name; what it stands for is the same.
    pub(super) fn rename_manifest(
        &mut self,
        turn: &mut Turn,
        from: &str,
        to: Arc<str>,
    ) -> ManifestChanges {
        if let Some(record) = self.manifests.remove(from) {
            let record = Arc::new(ManifestRecord {
                file: Arc::clone(&to),
                ..(*record).clone()
            });
            turn.transaction.put(Object::Manifest(Arc::clone(&record)));
            self.manifests.insert(to, record);
        }
        ManifestChanges::default()
    }

    /// A file is gone: so is what it stood for.
    pub(super) fn remove_manifest(&mut self, turn: &mut Turn, file: &str) -> ManifestChanges {
        let mut changes = ManifestChanges::default();
        let Some(record) = self.manifests.remove(file) else {
            return changes;
        };
        for object in &record.objects {
            changes.deleted += usize::from(self.exists(object.key));
            self.delete(turn, object.key, Propagation::Background);
        }
        turn.transaction.delete(Key {
            kind: Kind::Manifest,
            uid: record.uid,
        });
        changes
    }

    fn exists(&self, key: Key) -> bool {
        match key.kind {
            Kind::Job => self.jobs.contains_key(&key.uid),
            Kind::CronJob => self.cron_jobs.contains_key(&key.uid),
            Kind::Pod => self.pod(key.uid).is_some(),
            Kind::Generic => self.generic_object(key.uid).is_some(),
            Kind::Event | Kind::Manifest => false,
        }
    }

    /// What is being deleted cannot be taken over: it would go all the same.
    fn check_stays(&self, object: &ManifestObject, kind: &str) -> Result<(), ApplyError> {
        let uid = object.key.uid;
        let is_going = match object.key.kind {
            Kind::Job => self
                .jobs
                .get(&uid)
                .is_some_and(|entry| entry.job.deletion.is_some()),
            Kind::CronJob => self
                .cron_jobs
                .get(&uid)
                .is_some_and(|entry| entry.cron_job.deletion.is_some()),
            Kind::Pod => self.pod(uid).is_some_and(|pod| pod.deletion.is_some()),
            Kind::Generic => self
                .generic_object(uid)
                .is_some_and(|object| is_terminating(&object.json)),
            Kind::Event | Kind::Manifest => false,
        };
        if !is_going {
            return Ok(());
        }
        Err(ApplyError::Terminating(format!(
            "{kind} \"{}/{}\"",
            object.namespace, object.name
        )))
    }

    /// A pod's spec does not change. One `is_same` that the file gave before; what came in
    /// is that with what admission gave it, by the policies of that time.
    fn check_pod_update(
        &self,
        uid: Uid,
        mut new: core::Pod,
        is_same: bool,
    ) -> Result<Update, ApplyError> {
        let Some(pod) = self.pod(uid) else {
            return Ok(Update::Same);
        };
        let stands = |new: &core::Pod| new.spec.as_ref() == Some(&*pod.template.spec);
        // Not known of one that came in otherwise, or before this was kept.
        if is_same || stands(&new) || self.admit_pod(&mut new).is_ok() && stands(&new) {
            return Ok(Update::Same);
        }
        Err(ApplyError::Invalid(format!(
            "Pod \"{}\" is invalid: spec: Forbidden: pod updates may not change fields; give it another name",
            pod.name
        )))
    }

    /// An object belongs to one file.
    fn check_owner(&self, file: &str, object: &ManifestObject) -> Result<(), ApplyError> {
        let mut others = self.manifests.values().filter(|other| &*other.file != file);
        let other = others.find(|other| other.objects.iter().any(|own| own.key == object.key));
        match other {
            None => Ok(()),
            Some(other) => Err(ApplyError::Invalid(format!(
                "{} \"{}/{}\" is defined in `{}` already; give it another name or namespace",
                kind_name(object.key.kind),
                object.namespace,
                object.name,
                other.file
            ))),
        }
    }
}

/// Stands for what a file gives of a pod.
fn given(new: &New) -> Option<[u8; 32]> {
    let New::Pod(pod, _) = new else {
        return None;
    };
    // Kubernetes' types always have a form as JSON.
    let spec = serde_json::to_vec(&pod.spec).unwrap_or_default();
    Some(Sha256::digest(spec).into())
}
