//! From objects to rows, and what of them still has to be folded.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use wasmjob_api::k8s_openapi::api::core::v1::PodSpec;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{CronJob, CronJobSpec, Job, JobSpec, Pod, PodTemplate, Uid};

use super::record::{self, Row, RowError, RowKey};
use super::seal::SecretKey;
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
    jobs: HashMap<Uid, KnownJob>,
    cron_jobs: HashMap<Uid, (Arc<CronJobSpec>, Arc<ObjectMeta>)>,
    /// The template of each pod.
    pods: HashMap<Uid, u64>,
    templates: HashMap<u64, Template>,
    /// Numbers of templates by their address, which is theirs as long as they
    /// stand in `templates`.
    numbers: HashMap<usize, u64>,
    next_template: u64,
    pod_specs: PodSpecNumbers,
    /// Pods whose metadata somebody changed, as the disk has it.
    pod_metadata: HashMap<Uid, Arc<ObjectMeta>>,
    /// What Secrets are encrypted with.
    key: Option<SecretKey>,
}

struct KnownJob {
    spec: Arc<JobSpec>,
    metadata: Arc<ObjectMeta>,
    /// The number of its pod spec; what older formats wrote has none.
    pod_spec: Option<u64>,
}

struct Template {
    template: Arc<PodTemplate>,
    pod_spec: Option<u64>,
    pods: usize,
}

impl Rows {
    pub(super) fn new(key: Option<SecretKey>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }

    pub(super) fn key(&self) -> Option<&SecretKey> {
        self.key.as_ref()
    }

    /// The disk has this Job, with the pod spec of that number.
    pub(super) fn know_job(&mut self, job: &Job, pod_spec: Option<u64>) {
        self.pod_specs.know(job.spec.pod_spec(), pod_spec);
        let known = KnownJob {
            spec: Arc::clone(&job.spec),
            metadata: Arc::clone(&job.metadata),
            pod_spec,
        };
        self.jobs.insert(job.uid, known);
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

    /// The disk has this template under that number, with the pod spec of the other.
    pub(super) fn know_template(
        &mut self,
        template: &Arc<PodTemplate>,
        number: u64,
        pod_spec: Option<u64>,
    ) {
        self.next_template = self.next_template.max(number + 1);
        self.numbers.insert(Arc::as_ptr(template).addr(), number);
        self.pod_specs.know(&template.spec, pod_spec);
        let known = Template {
            template: Arc::clone(template),
            pod_spec,
            pods: 0,
        };
        self.templates.insert(number, known);
    }

    /// The disk has this pod, with the template of that number.
    pub(super) fn know_pod(&mut self, pod: Uid, template: u64) {
        self.pods.insert(pod, template);
        if let Some(known) = self.templates.get_mut(&template) {
            known.pods += 1;
        }
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
                let is_known = self.jobs.get(&job.uid).is_some_and(|known| {
                    Arc::ptr_eq(&known.spec, &job.spec)
                        && Arc::ptr_eq(&known.metadata, &job.metadata)
                });
                if !is_known {
                    let pod_spec = self.pod_specs.number(job.spec.pod_spec(), out)?;
                    put(out, Row::Job, id, record::job_to_bytes(job, pod_spec)?);
                    let before = self.jobs.remove(&job.uid);
                    self.know_job(job, Some(pod_spec));
                    self.pod_specs
                        .leave(before.and_then(|before| before.pod_spec), out);
                }
                put(out, Row::JobStatus, id, record::job_status_to_bytes(job)?);
            }
            Write::Put(Object::Pod(pod)) => {
                let number = self.template(pod, out)?;
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
                put(out, Row::Manifest, id, record::manifest_to_bytes(manifest)?);
            }
            Write::Put(Object::Generic(generic)) => {
                let id = generic.uid.bits();
                let key = self.key.as_ref();
                let sealed = key.map(|key| key.seal(generic)).transpose()?.flatten();
                let bytes = record::to_bytes(sealed.as_ref().unwrap_or(generic))?;
                put(out, Row::Generic, id, bytes);
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

    /// The number of the pod's template, which is put if the disk does not have it yet.
    fn template(&mut self, pod: &Pod, out: &mut Vec<RowChange>) -> Result<u64, RowError> {
        let address = Arc::as_ptr(&pod.template).addr();
        let number = match self.numbers.get(&address) {
            Some(number) => *number,
            None => {
                let number = self.next_template;
                let pod_spec = self.pod_specs.number(&pod.template.spec, out)?;
                let bytes = record::template_to_bytes(&pod.template, pod_spec)?;
                put(out, Row::Template, number.into(), bytes);
                self.know_template(&pod.template, number, Some(pod_spec));
                number
            }
        };
        let had = self.pods.get(&pod.uid).copied();
        if had != Some(number) {
            self.know_pod(pod.uid, number);
            // A pod that is nobody's any more has another one.
            if let Some(had) = had {
                self.leave_template(had, out);
            }
        }
        Ok(number)
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
            let pod_spec = template.pod_spec;
            self.templates.remove(&number);
            out.push(RowChange {
                key: Row::Template.key(number.into()),
                value: None,
            });
            self.pod_specs.leave(pod_spec, out);
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
                if let Some(job) = self.jobs.remove(&key.uid) {
                    gone(Row::Job, id);
                    gone(Row::JobStatus, id);
                    self.pod_specs.leave(job.pod_spec, out);
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

/// The pod specs that the disk has, each once, however many Jobs and templates have it.
#[derive(Default)]
struct PodSpecNumbers {
    known: HashMap<u64, KnownPodSpec>,
    /// By their address, which is theirs as long as they stand in `known`.
    numbers: HashMap<usize, u64>,
    next: u64,
}

struct KnownPodSpec {
    spec: Arc<PodSpec>,
    users: usize,
}

impl PodSpecNumbers {
    /// One more has it, under that number.
    fn know(&mut self, spec: &Arc<PodSpec>, number: Option<u64>) {
        let Some(number) = number else { return };
        self.next = self.next.max(number + 1);
        let known = self.known.entry(number).or_insert_with(|| KnownPodSpec {
            spec: Arc::clone(spec),
            users: 0,
        });
        known.users += 1;
        // Not that of an equal one: only this stays as long as the number does.
        let address = Arc::as_ptr(&known.spec).addr();
        self.numbers.insert(address, number);
    }

    /// Its number; it is put if the disk does not have it yet.
    fn number(&mut self, spec: &Arc<PodSpec>, out: &mut Vec<RowChange>) -> Result<u64, RowError> {
        if let Some(number) = self.numbers.get(&Arc::as_ptr(spec).addr()) {
            return Ok(*number);
        }
        let bytes = serde_json::to_vec(&**spec)?;
        put(out, Row::PodSpec, self.next.into(), bytes);
        Ok(self.next)
    }

    /// One less has it.
    fn leave(&mut self, number: Option<u64>, out: &mut Vec<RowChange>) {
        let Some(number) = number else { return };
        let Some(known) = self.known.get_mut(&number) else {
            return;
        };
        known.users -= 1;
        if known.users == 0 {
            self.numbers.remove(&Arc::as_ptr(&known.spec).addr());
            self.known.remove(&number);
            out.push(RowChange {
                key: Row::PodSpec.key(number.into()),
                value: None,
            });
        }
    }
}

/// Objects that one batch folds at least, when there is something to fold.
const FOLD_MIN: usize = 32;

/// While commits come in a rush, folding waits for a calmer moment: it would cost
/// more than they do. Only a journal that is so many times as long as it should be
/// grows no more.
const RUSH_FACTOR: usize = 4;

/// Whether there is time to fold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    Calm,
    Rush,
}

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

    /// A row was changed by the write `revision`.
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
    pub(super) fn plan(&self, changes: usize, journal_bytes_max: usize, pace: Pace) -> Fold {
        let mut fold = Fold {
            next_place: self.next_place,
            ..Fold::default()
        };
        // Calmly, more than comes.
        let (bytes_max, rows) = match pace {
            Pace::Calm => (journal_bytes_max, changes.saturating_mul(4)),
            Pace::Rush => (journal_bytes_max.saturating_mul(RUSH_FACTOR), changes),
        };
        if self.journal_bytes <= bytes_max {
            return fold;
        }
        fold.order = FOLD_MIN.max(rows).min(self.order.len());
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

#[cfg(test)]
mod tests {
    use wasmjob_api::k8s_openapi::api::batch::v1 as batch;

    use super::*;

    #[test]
    fn a_pod_spec_is_there_once_as_long_as_a_job_or_a_template_has_it() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let first = Job::new(batch::Job::default(), Uid::from_random(1), at);
        let second = first.again(&"second".into(), Uid::from_random(2), at);
        let jobs = [Arc::new(first), Arc::new(second)];
        let mut rows = Rows::default();
        // How many pod specs are put, and how many go.
        let mut translate = |write: Write| {
            let mut out = Vec::new();
            rows.translate(&write, &mut out).unwrap();
            let specs = out.iter().filter(|change| change.key[0] == b'S');
            let (put, gone): (Vec<_>, Vec<_>) = specs.partition(|change| change.value.is_some());
            (put.len(), gone.len())
        };
        let keys = jobs
            .each_ref()
            .map(|job| Object::Job(Arc::clone(job)).key());
        assert_eq!(
            translate(Write::Put(Object::Job(Arc::clone(&jobs[0])))),
            (1, 0)
        );
        assert_eq!(
            translate(Write::Put(Object::Job(Arc::clone(&jobs[1])))),
            (0, 0)
        );
        let pod = Arc::new(Pod {
            uid: Uid::from_random(3),
            namespace: "default".into(),
            name: "p".into(),
            template: Arc::clone(&jobs[1].spec.template),
            metadata: None,
            index: None,
            index_failure_count: None,
            index_ignored_failure_count: None,
            created: at,
            deletion: None,
            tracked: false,
            status: wasmjob_api::PodStatus::default(),
        });
        let pod_key = Object::Pod(Arc::clone(&pod)).key();
        assert_eq!(translate(Write::Put(Object::Pod(pod))), (0, 0));
        assert_eq!(translate(Write::Delete(keys[0])), (0, 0));
        assert_eq!(translate(Write::Delete(keys[1])), (0, 0));
        assert_eq!(translate(Write::Delete(pod_key)), (0, 1));
        assert_eq!(
            translate(Write::Put(Object::Job(Arc::clone(&jobs[0])))),
            (1, 0)
        );
    }
}
