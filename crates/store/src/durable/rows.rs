//! From objects to rows, and what of them still has to be folded.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{CronJob, CronJobSpec, Job, JobSpec, Pod, PodTemplate, Uid};

use super::record::{self, Row, RowError, RowKey};
use crate::object::{Key, Kind, Object};
use crate::state::Write;

fn put(out: &mut Vec<RowChange>, row: Row, id: u128, bytes: Vec<u8>) {
    out.push(RowChange {
        key: row.key(id),
        value: Some(bytes.into()),
    });
}

/// A row's bytes, or none if the row goes.
pub(super) type Value = Option<Arc<[u8]>>;

/// A row's new value.
pub(super) struct RowChange {
    pub(super) key: RowKey,
    pub(super) value: Value,
}

/// Turns objects into rows. It remembers what the disk has of them, so that a
/// change writes what changed: a Job's status without its spec, a pod without
/// its template.
#[derive(Default)]
pub(super) struct Rows {
    jobs: HashMap<Uid, (Arc<JobSpec>, Arc<ObjectMeta>)>,
    cron_jobs: HashMap<Uid, (Arc<CronJobSpec>, Arc<ObjectMeta>)>,
    /// The template of each pod.
    pods: HashMap<Uid, u64>,
    templates: HashMap<u64, Template>,
    /// Numbers of templates by their address, which is theirs as long as they
    /// stand in `templates`.
    numbers: HashMap<usize, u64>,
    next_template: u64,
    /// Pods whose metadata somebody changed, as the disk has it.
    pod_metadata: HashMap<Uid, Arc<ObjectMeta>>,
}

struct Template {
    template: Arc<PodTemplate>,
    pods: usize,
}

impl Rows {
    /// The disk has this Job.
    pub(super) fn know_job(&mut self, job: &Job) {
        let parts = (Arc::clone(&job.spec), Arc::clone(&job.metadata));
        self.jobs.insert(job.uid, parts);
    }

    /// The disk has this CronJob.
    pub(super) fn know_cron_job(&mut self, cron_job: &CronJob) {
        let parts = (Arc::clone(&cron_job.spec), Arc::clone(&cron_job.metadata));
        self.cron_jobs.insert(cron_job.uid, parts);
    }

    /// The disk has this metadata of a pod.
    pub(super) fn know_pod_metadata(&mut self, pod: Uid, metadata: &Arc<ObjectMeta>) {
        self.pod_metadata.insert(pod, Arc::clone(metadata));
    }

    /// The disk has this pod, with the template of that number.
    pub(super) fn know_pod(&mut self, pod: &Pod, template: u64) {
        self.pods.insert(pod.uid, template);
        self.next_template = self.next_template.max(template + 1);
        let address = Arc::as_ptr(&pod.template).addr();
        self.numbers.insert(address, template);
        let known = self.templates.entry(template).or_insert_with(|| Template {
            template: Arc::clone(&pod.template),
            pods: 0,
        });
        known.pods += 1;
    }

    /// Adds what `write` changes to `out`.
    pub(super) fn translate(
        &mut self,
        write: &Write,
        out: &mut Vec<RowChange>,
    ) -> Result<(), RowError> {
        match write {
            Write::Put(Object::Job(job)) => {
                let id = job.uid.bits();
                let is_known = self.jobs.get(&job.uid).is_some_and(|(spec, metadata)| {
                    Arc::ptr_eq(spec, &job.spec) && Arc::ptr_eq(metadata, &job.metadata)
                });
                if !is_known {
                    put(out, Row::Job, id, record::job_to_bytes(job)?);
                    self.know_job(job);
                }
                put(out, Row::JobStatus, id, record::job_status_to_bytes(job)?);
            }
            Write::Put(Object::Pod(pod)) => {
                let (number, is_new) = self.template(pod, out);
                if is_new {
                    let bytes = record::template_to_bytes(&pod.template)?;
                    put(out, Row::Template, number.into(), bytes);
                }
                let id = pod.uid.bits();
                put(out, Row::Pod, id, record::pod_to_bytes(pod, number)?);
                self.translate_pod_metadata(pod, out)?;
            }
            Write::Put(Object::CronJob(cron_job)) => {
                let id = cron_job.uid.bits();
                let is_known = self
                    .cron_jobs
                    .get(&cron_job.uid)
                    .is_some_and(|(spec, meta)| {
                        Arc::ptr_eq(spec, &cron_job.spec) && Arc::ptr_eq(meta, &cron_job.metadata)
                    });
                if !is_known {
                    put(out, Row::CronJob, id, record::cron_job_to_bytes(cron_job)?);
                    self.know_cron_job(cron_job);
                }
                let status = record::cron_job_status_to_bytes(cron_job)?;
                put(out, Row::CronJobStatus, id, status);
            }
            Write::Put(Object::Manifest(manifest)) => {
                let id = manifest.uid.bits();
                put(out, Row::Manifest, id, record::to_bytes(&**manifest)?);
            }
            Write::Put(Object::Generic(generic)) => {
                let id = generic.uid.bits();
                put(out, Row::Generic, id, record::to_bytes(&**generic)?);
            }
            Write::Put(Object::Event(event)) => {
                put(
                    out,
                    Row::Event,
                    event.uid.bits(),
                    record::event_to_bytes(event)?,
                );
            }
            Write::Delete(key) => self.delete(*key, out),
        }
        Ok(())
    }

    fn translate_pod_metadata(
        &mut self,
        pod: &Pod,
        out: &mut Vec<RowChange>,
    ) -> Result<(), RowError> {
        let key = Row::PodMetadata.key(pod.uid.bits());
        let known = match &pod.metadata {
            Some(metadata) => self.pod_metadata.insert(pod.uid, Arc::clone(metadata)),
            None => self.pod_metadata.remove(&pod.uid),
        };
        let value: Value = match (&pod.metadata, known) {
            (Some(new), Some(known)) if Arc::ptr_eq(new, &known) => return Ok(()),
            (Some(new), _) => Some(serde_json::to_vec(&**new)?.into()),
            (None, Some(_)) => None,
            (None, None) => return Ok(()),
        };
        out.push(RowChange { key, value });
        Ok(())
    }

    /// The number of the pod's template, and whether the disk does not have it yet.
    fn template(&mut self, pod: &Pod, out: &mut Vec<RowChange>) -> (u64, bool) {
        let address = Arc::as_ptr(&pod.template).addr();
        let known = self.numbers.get(&address).copied();
        let number = known.unwrap_or(self.next_template);
        match self.pods.get(&pod.uid).copied() {
            Some(had) if had == number => {}
            had => {
                // A pod that is nobody's any more has another one.
                if let Some(had) = had {
                    self.leave_template(had, out);
                }
                self.know_pod(pod, number);
            }
        }
        (number, known.is_none())
    }

    /// One pod less has the template.
    fn leave_template(&mut self, number: u64, out: &mut Vec<RowChange>) {
        let Some(template) = self.templates.get_mut(&number) else {
            return;
        };
        template.pods -= 1;
        if template.pods == 0 {
            let address = Arc::as_ptr(&template.template).addr();
            self.numbers.remove(&address);
            self.templates.remove(&number);
            out.push(RowChange {
                key: Row::Template.key(number.into()),
                value: None,
            });
        }
    }

    fn delete(&mut self, key: Key, out: &mut Vec<RowChange>) {
        let mut gone = |row: Row, id: u128| {
            out.push(RowChange {
                key: row.key(id),
                value: None,
            });
        };
        let id = key.uid.bits();
        match key.kind {
            Kind::Job => {
                if self.jobs.remove(&key.uid).is_some() {
                    gone(Row::Job, id);
                    gone(Row::JobStatus, id);
                }
            }
            Kind::Pod => {
                let Some(number) = self.pods.remove(&key.uid) else {
                    return;
                };
                gone(Row::Pod, id);
                if self.pod_metadata.remove(&key.uid).is_some() {
                    gone(Row::PodMetadata, id);
                }
                self.leave_template(number, out);
            }
            Kind::Event => gone(Row::Event, id),
            Kind::Manifest => gone(Row::Manifest, id),
            Kind::Generic => gone(Row::Generic, id),
            Kind::CronJob => {
                if self.cron_jobs.remove(&key.uid).is_some() {
                    gone(Row::CronJob, id);
                    gone(Row::CronJobStatus, id);
                }
            }
        }
    }
}

/// Objects that one batch folds at least, when there is something to fold.
const FOLD_MIN: usize = 32;

/// What the journal has and the table of objects has not.
#[derive(Default)]
pub(super) struct Unfolded {
    /// The newest value of each row, and its revision.
    rows: HashMap<RowKey, (u64, Value)>,
    /// The rows by the revision that first changed them since they were folded.
    order: VecDeque<(u64, RowKey)>,
    /// The journal's rows: last revision and size.
    journal: VecDeque<(u64, usize)>,
    journal_bytes: usize,
    /// Where the table has which row.
    places: HashMap<RowKey, u64>,
    next_place: u64,
}

/// A row's place, its key, and its new revision and value, or none if it goes.
pub(super) type FoldedRow = (u64, RowKey, Option<(u64, Arc<[u8]>)>);

/// What one batch folds.
#[derive(Default)]
pub(super) struct Fold {
    /// Rows of the table that are put or go.
    pub(super) rows: Vec<FoldedRow>,
    /// Rows of the journal that go.
    pub(super) journal: Vec<u64>,
    /// How many of the order are done with.
    order: usize,
    next_place: u64,
}

impl Unfolded {
    /// The table has a row.
    pub(super) fn know_place(&mut self, place: u64, key: RowKey) {
        self.places.insert(key, place);
        self.next_place = self.next_place.max(place + 1);
    }

    /// A row was changed by the commit `revision`.
    pub(super) fn add(&mut self, revision: u64, change: RowChange) {
        let new = (revision, change.value);
        if self.rows.insert(change.key, new).is_none() {
            self.order.push_back((revision, change.key));
        }
    }

    /// The journal has a row more.
    pub(super) fn add_journal(&mut self, last_revision: u64, bytes: usize) {
        self.journal.push_back((last_revision, bytes));
        self.journal_bytes += bytes;
    }

    /// What a batch of `changes` changes should fold, if the journal may have
    /// `journal_bytes_max` bytes.
    pub(super) fn plan(&self, changes: usize, journal_bytes_max: usize) -> Fold {
        let mut fold = Fold {
            next_place: self.next_place,
            ..Fold::default()
        };
        if self.journal_bytes <= journal_bytes_max {
            return fold;
        }
        fold.order = FOLD_MIN
            .max(changes.saturating_mul(4))
            .min(self.order.len());
        for (_, key) in self.order.iter().take(fold.order) {
            let place = self.places.get(key).copied();
            match (place, self.rows.get(key)) {
                (place, Some((revision, Some(value)))) => {
                    let place = place.unwrap_or_else(|| {
                        fold.next_place += 1;
                        fold.next_place - 1
                    });
                    let value = Some((*revision, Arc::clone(value)));
                    fold.rows.push((place, *key, value));
                }
                (Some(place), _) => fold.rows.push((place, *key, None)),
                // It came and went without ever being folded.
                (None, _) => {}
            }
        }
        let first_left = self.order.get(fold.order).map_or(u64::MAX, |(at, _)| *at);
        // The last row stays always: its key is the store's revision.
        let droppable = self.journal.len().saturating_sub(1);
        let dropped = self.journal.iter().take(droppable);
        let dropped = dropped.take_while(|(last, _)| *last < first_left);
        fold.journal = dropped.map(|(last, _)| *last).collect();
        fold
    }

    /// The fold is durable.
    pub(super) fn folded(&mut self, fold: Fold) {
        for (_, key) in self.order.drain(..fold.order) {
            self.rows.remove(&key);
        }
        for (_, bytes) in self.journal.drain(..fold.journal.len()) {
            self.journal_bytes -= bytes;
        }
        for (place, key, value) in fold.rows {
            match value {
                Some(_) => self.places.insert(key, place),
                None => self.places.remove(&key),
            };
        }
        self.next_place = fold.next_place;
    }
}
