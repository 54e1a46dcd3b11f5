//! What is written in these tests: random commits of Jobs, pods and events, and
//! what a store must hold after each of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wasmjob_api::k8s_openapi::api::batch::v1 as batch;
use wasmjob_api::k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{
    Cause, ContainerState, ContainerStatus, CronJob, Event, Job, JobReference, JobSpec, Phase, Pod,
    PodStatus, SlotRecord, SlotVerdict, Terminated, Uid, Usage,
};
use wasmjob_store::{
    EventRecord, GenericObject, Health, Key, Kind, ManifestObject, ManifestRecord, Object, Store,
    Transaction,
};

/// Makes commits that depend on nothing but the seed.
pub(crate) struct Work {
    random: StdRng,
    next: u128,
    jobs: Vec<Arc<Job>>,
    pods: Vec<Arc<Pod>>,
    events: Vec<Key>,
    cron_jobs: Vec<Arc<CronJob>>,
    manifests: Vec<Arc<ManifestRecord>>,
    generic: Vec<Arc<GenericObject>>,
    /// A store in memory that has taken the same commits.
    pub(crate) model: Store,
}

impl Work {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            next: 1,
            jobs: Vec::new(),
            pods: Vec::new(),
            events: Vec::new(),
            cron_jobs: Vec::new(),
            manifests: Vec::new(),
            generic: Vec::new(),
            model: Store::new(),
        }
    }

    /// The next commit.
    pub(crate) fn transaction(&mut self) -> Transaction {
        let before = self.model.last_revision();
        let mut objects = Vec::new();
        let mut deleted = Vec::new();
        for _ in 0..self.random.random_range(1..=5) {
            let revision = before + objects.len() as u64 + 1;
            match self.random.random_range(0..17) {
                0 => objects.push(self.new_job(revision)),
                1 | 2 if !self.jobs.is_empty() => objects.push(self.change_job(revision)),
                3 | 4 if !self.jobs.is_empty() => objects.push(self.new_pod()),
                5 | 6 if !self.pods.is_empty() => objects.push(self.change_pod()),
                7 if !self.pods.is_empty() => {
                    let at = self.random.random_range(0..self.pods.len());
                    deleted.push(Object::Pod(self.pods.swap_remove(at)).key());
                }
                8 if self.jobs.len() > 3 => {
                    let at = self.random.random_range(0..self.jobs.len());
                    deleted.push(Object::Job(self.jobs.swap_remove(at)).key());
                }
                10 => objects.push(self.new_cron_job(revision)),
                11 if !self.cron_jobs.is_empty() => objects.push(self.change_cron_job(revision)),
                12 => objects.push(self.manifest()),
                13 if self.cron_jobs.len() > 2 => {
                    deleted.push(Object::CronJob(self.cron_jobs.swap_remove(0)).key());
                    deleted.extend(self.manifests.pop().map(|it| Object::Manifest(it).key()));
                }
                14 | 15 => objects.push(self.put_generic()),
                16 if self.generic.len() > 3 => {
                    deleted.push(Object::Generic(self.generic.swap_remove(0)).key());
                }
                9 if self.events.len() > 5 => deleted.push(self.events.swap_remove(0)),
                _ => objects.push(self.new_event()),
            }
        }
        let build = || {
            let mut transaction = Transaction::default();
            objects
                .iter()
                .cloned()
                .for_each(|object| transaction.put(object));
            deleted.iter().for_each(|key| transaction.delete(*key));
            transaction
        };
        self.model.commit(build());
        build()
    }

    fn uid(&mut self) -> Uid {
        self.next += 1;
        Uid::from_random(self.next << 80)
    }

    fn now(&mut self) -> Timestamp {
        Timestamp::from_nanosecond(self.random.random_range(0..1 << 60)).unwrap()
    }

    fn new_job(&mut self, revision: u64) -> Object {
        let uid = self.uid();
        let now = self.now();
        // Some have their pod spec in common with others.
        if !self.jobs.is_empty() && self.random.random() {
            let before = &self.jobs[self.random.random_range(0..self.jobs.len())];
            let name = format!("job-{}", self.next).into();
            let mut job = before.again(&name, uid, now);
            job.resource_version = revision;
            let job = Arc::new(job);
            self.jobs.push(Arc::clone(&job));
            return Object::Job(job);
        }
        // Some do not fit a page.
        let filler = "x".repeat(self.random.random_range(0..3) * 3_000);
        let object = batch::Job {
            metadata: ObjectMeta {
                name: Some(format!("job-{}", self.next)),
                namespace: Some("default".to_owned()),
                annotations: Some([("filler".to_owned(), filler)].into()),
                ..ObjectMeta::default()
            },
            spec: Some(batch::JobSpec {
                template: PodTemplateSpec {
                    metadata: None,
                    spec: Some(PodSpec {
                        containers: vec![Container {
                            name: "main".to_owned(),
                            image: Some("./a.wasm".to_owned()),
                            ..Container::default()
                        }],
                        ..PodSpec::default()
                    }),
                },
                ..batch::JobSpec::default()
            }),
            status: None,
        };
        let base = Arc::from(std::path::Path::new("/srv/manifests"));
        let mut job = Job::new_in(object, uid, now, &base);
        job.resource_version = revision;
        let job = Arc::new(job);
        self.jobs.push(Arc::clone(&job));
        Object::Job(job)
    }

    fn change_job(&mut self, revision: u64) -> Object {
        let at = self.random.random_range(0..self.jobs.len());
        let mut job = (*self.jobs[at]).clone();
        job.resource_version = revision;
        job.status.start_time = Some(self.now());
        job.status.succeeded += 1;
        if self.random.random_ratio(1, 4) {
            let mut spec = job.spec.to_object();
            spec.template.spec.get_or_insert_default().hostname = Some(self.next.to_string());
            let base = Arc::clone(&job.spec.template.base);
            job.spec = Arc::new(JobSpec::parse_in(spec, &job.name, job.uid, &base));
        }
        job.status
            .completed_indexes
            .insert(self.random.random_range(0..1000));
        self.jobs[at] = Arc::new(job);
        Object::Job(Arc::clone(&self.jobs[at]))
    }

    fn new_pod(&mut self) -> Object {
        let uid = self.uid();
        let now = self.now();
        let job = &self.jobs[self.random.random_range(0..self.jobs.len())];
        let pod = Arc::new(Pod {
            uid,
            namespace: Arc::clone(&job.namespace),
            name: format!("{}-{}", job.name, self.next).into(),
            template: Arc::clone(&job.spec.template),
            metadata: None,
            index: Some(3),
            index_failure_count: None,
            index_ignored_failure_count: None,
            created: now,
            deletion: None,
            tracked: true,
            status: PodStatus::default(),
        });
        self.pods.push(Arc::clone(&pod));
        Object::Pod(pod)
    }

    fn change_pod(&mut self) -> Object {
        let at = self.random.random_range(0..self.pods.len());
        let now = self.now();
        let mut pod = (*self.pods[at]).clone();
        pod.status.phase = Phase::Succeeded;
        pod.status.message = Some("done".into());
        if self.random.random_bool(0.3) {
            pod.metadata = Some(Arc::new(ObjectMeta {
                labels: Some([("seen".to_owned(), self.next.to_string())].into()),
                ..ObjectMeta::default()
            }));
        }
        pod.status.containers = vec![ContainerStatus {
            state: ContainerState::Terminated(Box::new(Terminated {
                exit_code: self.random.random(),
                reason: "Completed".into(),
                message: "".into(),
                started: now,
                finished: now,
                usage: Usage {
                    cpu: Duration::from_nanos(self.random.random_range(0..1 << 40)),
                    fuel: Some(self.random.random()),
                    memory_bytes_peak: 1 << 20,
                    written_bytes: 0,
                },
            })),
            ..ContainerStatus::default()
        }];
        self.pods[at] = Arc::new(pod);
        Object::Pod(Arc::clone(&self.pods[at]))
    }

    /// A new ConfigMap, or another state of one.
    fn put_generic(&mut self) -> Object {
        let old = self.random.random_range(0..2 * self.generic.len().max(1));
        let uid = match self.generic.get(old) {
            Some(old) => old.uid,
            None => self.uid(),
        };
        let bytes = self.random.random_range(0..9_000);
        let object = Arc::new(GenericObject {
            uid,
            resource: "configmaps".into(),
            namespace: "default".into(),
            name: uid.to_string().into(),
            json: vec![self.random.random(); bytes].into(),
        });
        match self.generic.get_mut(old) {
            Some(old) => *old = Arc::clone(&object),
            None => self.generic.push(Arc::clone(&object)),
        }
        Object::Generic(object)
    }

    fn new_cron_job(&mut self, revision: u64) -> Object {
        let (uid, now) = (self.uid(), self.now());
        let object = batch::CronJob {
            metadata: ObjectMeta {
                name: Some(format!("cron-{}", self.next)),
                annotations: Some([("wasmjob.dev/jitter".to_owned(), "30s".to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: batch::CronJobSpec {
                schedule: "*/5 * * * mon-fri".to_owned(),
                time_zone: Some("Europe/Berlin".to_owned()),
                ..batch::CronJobSpec::default()
            },
            status: None,
        };
        let mut cron_job = CronJob::new(object, uid, now);
        cron_job.resource_version = revision;
        let cron_job = Arc::new(cron_job);
        self.cron_jobs.push(Arc::clone(&cron_job));
        Object::CronJob(cron_job)
    }

    fn change_cron_job(&mut self, revision: u64) -> Object {
        let at = self.random.random_range(0..self.cron_jobs.len());
        let (uid, now) = (self.uid(), self.now());
        let mut cron_job = (*self.cron_jobs[at]).clone();
        cron_job.resource_version = revision;
        let status = &mut cron_job.status;
        status.last_schedule_time = Some(now);
        status.active = vec![JobReference {
            uid,
            name: "cron-1-29934421".into(),
        }];
        status.told.reboot = Some(now);
        status.ledger.settled = Some(now);
        status.ledger.slots = vec![
            SlotRecord {
                slot: now,
                until: Some(now),
                count: 7,
                verdict: SlotVerdict::Missed {
                    because: Cause::Down,
                },
            },
            SlotRecord {
                slot: now,
                until: None,
                count: 1,
                verdict: SlotVerdict::Ran { late_seconds: 3 },
            },
        ];
        self.cron_jobs[at] = Arc::new(cron_job);
        Object::CronJob(Arc::clone(&self.cron_jobs[at]))
    }

    fn manifest(&mut self) -> Object {
        let uid = match self.manifests.first() {
            Some(known) if self.random.random() => known.uid,
            _ => self.uid(),
        };
        let record = Arc::new(ManifestRecord {
            uid,
            file: "a.yaml".into(),
            digest: format!("{:x}", self.next).into(),
            objects: vec![ManifestObject {
                key: Key {
                    kind: Kind::CronJob,
                    uid,
                },
                namespace: "default".into(),
                name: "a".into(),
                given: self.random.random::<bool>().then(|| self.random.random()),
            }],
        });
        self.manifests.retain(|known| known.uid != uid);
        self.manifests.push(Arc::clone(&record));
        Object::Manifest(record)
    }

    fn new_event(&mut self) -> Object {
        let event = EventRecord {
            uid: self.uid(),
            regarding: Key {
                kind: Kind::Pod,
                uid: Uid::from_random(7),
            },
            namespace: "default".into(),
            name: "x".into(),
            event: Event::warning("Test", format!("event {}", self.next)),
            time: self.now(),
            first: self.now(),
            count: 1,
            source: "test".into(),
        };
        let object = Object::Event(Arc::new(event));
        self.events.push(object.key());
        object
    }
}

/// All that a store shows, as text.
pub(crate) fn dump(store: &Store) -> Vec<String> {
    let kinds = [
        Kind::Job,
        Kind::Pod,
        Kind::Event,
        Kind::CronJob,
        Kind::Manifest,
        Kind::Generic,
    ];
    let mut all: Vec<String> = kinds
        .into_iter()
        .flat_map(|kind| store.list(kind, |_| true).1)
        .map(|stored| format!("{} {:?}", stored.revision, stored.object))
        .collect();
    all.sort_unstable();
    all
}

/// Waits until `revision` is visible, or the store has failed.
#[expect(clippy::disallowed_methods, reason = "a test that hangs should say so")]
pub(crate) fn wait_for(store: &Store, revision: u64) -> Result<(), String> {
    let begun = Instant::now();
    while store.revision() < revision {
        if let Health::Failed(reason) = store.health() {
            return Err(reason);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            store.health()
        );
        std::thread::yield_now();
    }
    Ok(())
}
