//! The host's thread: the one place where decisions become changes.
//!
//! It turns in one loop: take what callers ask and what the node reports, let
//! the controllers plan for the Jobs that this touched, commit everything as one
//! transaction, and only then let the node act on it. So a pod never runs before
//! its row is committed, and counting a pod, replacing it and saying so in the
//! Job's status are one change.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use wasmjob_api::k8s_openapi::api::{batch::v1 as batch, core::v1 as core};
use wasmjob_api::{
    Deletion, Event, EventNote, EventType, Job, Pod, PodTemplate, Uid, defaults, validation,
};
use wasmjob_controllers::invariants::check_plan;
use wasmjob_controllers::job::{NewPod, Plan, plan, pod_name_prefix};
use wasmjob_controllers::ttl::{self, Ttl};
use wasmjob_node::{Clock, Node, Update};
use wasmjob_store::{EventRecord, Key, Kind, Object, Store, Transaction};

use crate::job::{JobEntry, JobTimers, Propagation};
use crate::random::Random;
use crate::{ApplyError, ContainerResult, EditError, JobResult, PodResult};

/// What callers ask of the host's thread.
pub(crate) enum Command {
    Apply(Vec<New>, oneshot::Sender<Result<Vec<Applied>, ApplyError>>),
    WaitJob(Uid, oneshot::Sender<JobResult>),
    WaitPod(Uid, oneshot::Sender<PodResult>),
    Edit(Uid, EditFn, oneshot::Sender<Result<(), EditError>>),
    Delete(Key),
    Stop,
}

/// Changes a spec.
pub(crate) type EditFn = Box<dyn FnOnce(&mut batch::JobSpec) + Send>;

/// An object to take on: defaulted and valid, but for what creation adds.
pub(crate) enum New {
    Job(Box<batch::Job>, Arc<Path>),
    Pod(Box<core::Pod>, Arc<Path>),
}

/// An object that was taken on.
pub(crate) struct Applied {
    pub(crate) key: Key,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// Where commands arrive, and how the thread is woken.
#[derive(Default)]
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    thread: OnceLock<Thread>,
    woken: AtomicBool,
    /// To be woken with the engine's next tick.
    at_tick: AtomicBool,
    stopped: AtomicBool,
}

impl Mailbox {
    pub(crate) fn send(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked under the lock, so that no command comes after the last look.
        if self.stopped.load(Ordering::Acquire) {
            // Dropping the command drops its reply, which its caller sees.
            return;
        }
        commands.push(command);
        drop(commands);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Wakes the thread with the engine's next tick.
    pub(crate) fn wake_at_tick(&self) {
        self.at_tick.store(true, Ordering::Release);
    }

    /// The engine ticks.
    pub(crate) fn tick(&self) {
        if self.at_tick.load(Ordering::Relaxed) && self.at_tick.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells everybody that the host's thread is gone.
struct CloseOnDrop(Arc<Mailbox>, Store);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut commands = self
            .0
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.0.stopped.store(true, Ordering::Release);
        let left = std::mem::take(&mut *commands);
        drop(commands);
        drop(left);
        self.1.close();
    }
}

/// What the host's thread owns.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) node: Node,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) mailbox: Arc<Mailbox>,
    jobs: HashMap<Uid, JobEntry>,
    job_names: HashMap<(Arc<str>, Arc<str>), Uid>,
    /// Pods of no Job, and pods of Jobs that are gone, until they have ended.
    loose: HashMap<Uid, Arc<Pod>>,
    pod_names: HashSet<(Arc<str>, Arc<str>)>,
    pod_waiters: HashMap<Uid, Vec<oneshot::Sender<PodResult>>>,
    timers: JobTimers,
    dirty: Vec<Uid>,
    /// When changes of pods that go on are committed.
    changes_due: Option<Instant>,
}

/// How long the change of a pod that goes on may wait to be committed. Most pods
/// of a busy host end before that, and then only their end is.
const CHANGES_WAIT: Duration = Duration::from_millis(1);

/// One turn's changes, and what is to be done once they are committed.
#[derive(Default)]
struct Turn {
    transaction: Transaction,
    /// Pods to be put, in the order in which they were first touched; a pod that
    /// changes more than once in a turn is put once.
    pods: Vec<Arc<Pod>>,
    pod_places: HashMap<Uid, usize>,
    /// Pods whose rows go; after all that is put.
    gone: Vec<Uid>,
    start: Vec<Arc<Pod>>,
    stop: Vec<(Uid, Duration)>,
    finished: Vec<Uid>,
    pods_ended: Vec<Arc<Pod>>,
    /// What callers are told: only once it is committed.
    answers: Vec<Box<dyn FnOnce()>>,
}

impl Turn {
    fn put_pod(&mut self, pod: &Arc<Pod>) {
        match self.pod_places.get(&pod.uid) {
            Some(&place) => self.pods[place] = Arc::clone(pod),
            None => {
                self.pod_places.insert(pod.uid, self.pods.len());
                self.pods.push(Arc::clone(pod));
            }
        }
    }

    /// The transaction with everything in it.
    fn close(&mut self) -> Transaction {
        let mut transaction = std::mem::take(&mut self.transaction);
        self.pods
            .drain(..)
            .for_each(|pod| transaction.put(Object::Pod(pod)));
        self.gone.drain(..).for_each(|uid| {
            transaction.delete(Key {
                kind: Kind::Pod,
                uid,
            })
        });
        transaction
    }

    fn answer<T: 'static>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        self.answers.push(Box::new(move || {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }));
    }
}

impl Core {
    pub(crate) fn new(
        store: Store,
        node: Node,
        clock: Arc<dyn Clock>,
        random: Random,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            store,
            node,
            clock,
            random,
            mailbox,
            jobs: HashMap::default(),
            job_names: HashMap::default(),
            loose: HashMap::default(),
            pod_names: HashSet::default(),
            pod_waiters: HashMap::default(),
            timers: JobTimers::default(),
            dirty: Vec::new(),
            changes_due: None,
        }
    }

    /// Turns until it is told to stop.
    pub(crate) fn run(mut self) {
        // Also when this thread panics: nobody must wait for it then.
        let _closed = CloseOnDrop(Arc::clone(&self.mailbox), self.store.clone());
        // Set once, by this thread.
        let _ = self.mailbox.thread.set(std::thread::current());
        loop {
            self.mailbox.woken.store(false, Ordering::Release);
            if !self.turn() {
                break;
            }
            // Starting and stopping pods may have ended some at once.
            let more = self.node.has_ended() || !self.dirty.is_empty();
            if more || self.mailbox.woken.load(Ordering::Acquire) {
                continue;
            }
            match self.next_timeout() {
                None => std::thread::park(),
                Some(at) => {
                    let wait = at.saturating_duration_since(self.clock.monotonic());
                    if !wait.is_zero() {
                        std::thread::park_timeout(wait);
                    }
                }
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        [
            self.node.next_timeout(),
            self.timers.next(),
            self.changes_due,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// One turn; `false` ends the thread.
    fn turn(&mut self) -> bool {
        let mut turn = Turn::default();
        for command in self.mailbox.take() {
            match command {
                Command::Apply(new, reply) => {
                    let applied = self.apply(&mut turn, new);
                    turn.answer(reply, applied);
                }
                Command::WaitJob(uid, reply) => self.wait_job(uid, reply),
                Command::WaitPod(uid, reply) => self.wait_pod(uid, reply),
                Command::Edit(uid, edit, reply) => {
                    let edited = self.edit(&mut turn, uid, edit);
                    turn.answer(reply, edited);
                }
                Command::Delete(key) => self.delete(&mut turn, key),
                Command::Stop => return false,
            }
        }
        self.node.handle();
        let now = self.clock.monotonic();
        for update in self.node.take_ended() {
            self.pod_changed(&mut turn, update);
        }
        if self.changes_due.is_some_and(|due| due <= now) {
            self.changes_due = None;
            for update in self.node.take_changes() {
                self.pod_changed(&mut turn, update);
            }
        }
        while let Some(uid) = self.timers.take(now) {
            if let Some(entry) = self.jobs.get_mut(&uid) {
                entry.timer = None;
            }
            self.mark(uid);
        }
        let wall = self.clock.wall();
        for uid in std::mem::take(&mut self.dirty) {
            self.look(&mut turn, uid, wall);
        }
        self.act(turn);
        if self.changes_due.is_none() && self.node.has_changes() {
            self.changes_due = Some(now + CHANGES_WAIT);
        }
        true
    }

    /// Commits a turn's changes and does what follows from them.
    fn act(&mut self, mut turn: Turn) {
        self.store.commit(turn.close());
        turn.answers.into_iter().for_each(|answer| answer());
        for (uid, grace) in turn.stop {
            self.node.stop(uid, grace);
        }
        let started = !turn.start.is_empty();
        for pod in turn.start {
            self.node.start(pod);
        }
        if started {
            // Admits them, and starts what can start, without another turn.
            self.node.handle();
        }
        for uid in turn.finished {
            self.tell_finished(uid);
        }
        for pod in turn.pods_ended {
            self.tell_ended(&pod);
        }
    }

    /// The Job is to be looked at in this turn or the next.
    fn mark(&mut self, uid: Uid) {
        if let Some(entry) = self.jobs.get_mut(&uid)
            && !std::mem::replace(&mut entry.dirty, true)
        {
            self.dirty.push(uid);
        }
    }

    fn apply(&mut self, turn: &mut Turn, new: Vec<New>) -> Result<Vec<Applied>, ApplyError> {
        // All or nothing: first everything is checked.
        let mut names = HashSet::default();
        for new in &new {
            let (kind, metadata) = match new {
                New::Job(job, _) => ("Job", &job.metadata),
                New::Pod(pod, _) => ("Pod", &pod.metadata),
            };
            let Some(name) = &metadata.name else { continue };
            let namespace = metadata.namespace.as_deref().unwrap_or("default");
            let key = (Arc::from(namespace), Arc::from(name.as_str()));
            let taken = match kind {
                "Job" => self.job_names.contains_key(&key),
                _ => self.pod_names.contains(&key),
            };
            if taken || !names.insert((kind, key)) {
                let (namespace, name) = (namespace.to_owned(), name.clone());
                return Err(ApplyError::AlreadyExists {
                    kind,
                    namespace,
                    name,
                });
            }
        }
        let now = self.clock.wall();
        let prepared: Vec<_> = new
            .into_iter()
            .map(|new| self.prepare(new, now))
            .collect::<Result<_, _>>()?;
        let mut applied = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            applied.push(self.create(turn, prepared));
        }
        Ok(applied)
    }

    /// Gives a new object what creation adds, and validates it once more with that.
    fn prepare(&mut self, new: New, now: Timestamp) -> Result<Prepared, ApplyError> {
        let uid = self.random.uid();
        match new {
            New::Job(mut job, base) => {
                self.generate_name(&mut job.metadata);
                defaults::prepare_job(&mut job, uid);
                let errors = validation::validate_job(&job);
                if !errors.is_empty() {
                    let name = job.metadata.name.unwrap_or_default();
                    return Err(ApplyError::Invalid(format!(
                        "Job.batch {name:?} is invalid: {}",
                        wasmjob_api::field::aggregate(&errors)
                    )));
                }
                Ok(Prepared::Job(Job::new_in(*job, uid, now, &base)))
            }
            New::Pod(mut pod, base) => {
                self.generate_name(&mut pod.metadata);
                defaults::prepare_pod(&mut pod, uid);
                let template = PodTemplate {
                    spec: pod.spec.take().unwrap_or_default(),
                    owner: None,
                    metadata: pod.metadata.clone(),
                    base,
                };
                let metadata = pod.metadata;
                Ok(Prepared::Pod(Pod {
                    uid,
                    namespace: metadata.namespace.as_deref().unwrap_or("default").into(),
                    name: metadata.name.as_deref().unwrap_or_default().into(),
                    template: Arc::new(template),
                    index: None,
                    index_failure_count: None,
                    index_ignored_failure_count: None,
                    created: now,
                    deletion: None,
                    tracked: false,
                    status: wasmjob_api::PodStatus::default(),
                }))
            }
        }
    }

    fn generate_name(
        &mut self,
        metadata: &mut wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    ) {
        let Some(prefix) = metadata
            .generate_name
            .as_ref()
            .filter(|_| metadata.name.is_none())
        else {
            return;
        };
        let namespace: Arc<str> = Arc::from(metadata.namespace.as_deref().unwrap_or("default"));
        metadata.name = Some(loop {
            let mut suffix = String::new();
            self.random.append_suffix(&mut suffix);
            let name = defaults::generated_name(prefix, &suffix);
            let key = (Arc::clone(&namespace), Arc::from(name.as_str()));
            if !self.job_names.contains_key(&key) && !self.pod_names.contains(&key) {
                break name;
            }
        });
    }

    fn create(&mut self, turn: &mut Turn, prepared: Prepared) -> Applied {
        match prepared {
            Prepared::Job(job) => {
                let uid = job.uid;
                let applied = Applied {
                    key: Key {
                        kind: Kind::Job,
                        uid,
                    },
                    namespace: Arc::clone(&job.namespace),
                    name: Arc::clone(&job.name),
                };
                self.job_names
                    .insert((Arc::clone(&job.namespace), Arc::clone(&job.name)), uid);
                let job = self.put_job(turn, job);
                self.jobs.insert(uid, JobEntry::new(job));
                self.mark(uid);
                applied
            }
            Prepared::Pod(pod) => {
                let pod = Arc::new(pod);
                let applied = Applied {
                    key: Key {
                        kind: Kind::Pod,
                        uid: pod.uid,
                    },
                    namespace: Arc::clone(&pod.namespace),
                    name: Arc::clone(&pod.name),
                };
                self.pod_names
                    .insert((Arc::clone(&pod.namespace), Arc::clone(&pod.name)));
                self.loose.insert(pod.uid, Arc::clone(&pod));
                turn.put_pod(&pod);
                turn.start.push(pod);
                applied
            }
        }
    }

    /// Puts a Job into the transaction, with the revision that it will have.
    fn put_job(&self, turn: &mut Turn, mut job: Job) -> Arc<Job> {
        // This thread is the only one that commits.
        job.resource_version = self.store.last_revision() + 1;
        let job = Arc::new(job);
        turn.transaction.put(Object::Job(Arc::clone(&job)));
        job
    }

    /// Takes over what the node says of a pod.
    fn pod_changed(&mut self, turn: &mut Turn, update: Update) {
        let uid = update.uid;
        let Some(old) = self.pod(uid) else { return };
        let mut pod = (**old).clone();
        pod.status = update.status;
        let ended = pod.status.phase.is_terminal() && !old.status.phase.is_terminal();
        let pod = Arc::new(pod);
        for event in update.events {
            self.event(
                turn,
                Key {
                    kind: Kind::Pod,
                    uid,
                },
                &pod.namespace,
                &pod.name,
                event,
                "kubelet",
            );
        }
        if ended {
            turn.pods_ended.push(Arc::clone(&pod));
        }
        let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
        match owner.filter(|owner| self.jobs.contains_key(owner)) {
            Some(owner) => {
                turn.put_pod(&pod);
                if let Some(entry) = self.jobs.get_mut(&owner) {
                    entry.pods.update(pod);
                }
                self.mark(owner);
            }
            None if pod.deletion.is_some() && pod.status.phase.is_terminal() => {
                self.loose.remove(&uid);
                self.pod_gone(turn, &pod);
            }
            None => {
                turn.put_pod(&pod);
                self.loose.insert(uid, pod);
            }
        }
    }

    fn pod(&self, uid: Uid) -> Option<&Arc<Pod>> {
        if let Some(pod) = self.loose.get(&uid) {
            return Some(pod);
        }
        // The store's row may be a turn old, but its owner never changes.
        let stored = self.store.get(Key {
            kind: Kind::Pod,
            uid,
        })?;
        let owner = stored.object.as_pod()?.template.owner.as_ref()?.uid;
        self.jobs.get(&owner)?.pods.get(uid)
    }

    /// Plans for a Job and takes the plan over.
    fn look(&mut self, turn: &mut Turn, uid: Uid, now: Timestamp) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        entry.dirty = false;
        let plan = plan(&entry.job, &entry.pods, now);
        let look_again = plan.look_again;
        let watched = cfg!(debug_assertions).then(|| (Arc::clone(&entry.job), plan.clone()));
        self.take_over(turn, uid, plan, now);
        if let Some((before, plan)) = watched {
            self.assert_invariants(&before, &plan, now);
        }
        self.sweep(turn, uid);
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let again = match ttl::plan(&entry.job, now) {
            Ttl::Keep => look_again,
            Ttl::Until(at) => Some(look_again.map_or(at, |again| again.min(at))),
            Ttl::Expired => {
                self.delete_job(turn, uid, Propagation::Foreground);
                None
            }
        };
        self.arm(uid, again, now);
    }

    /// In builds with debug assertions, every plan that was taken over is held
    /// against the invariants of Jobs; a violation is a defect of ours.
    fn assert_invariants(&self, before: &Job, plan: &Plan, now: Timestamp) {
        let Some(entry) = self.jobs.get(&before.uid) else {
            return;
        };
        if let Err(violation) = check_plan(before, plan, &entry.job, &entry.pods, now) {
            panic!("Job {}/{}: {violation}", before.namespace, before.name);
        }
    }

    fn arm(&mut self, uid: Uid, again: Option<Timestamp>, now: Timestamp) {
        if again.is_some_and(|at| at <= now) {
            self.mark(uid);
        }
        let at = again.filter(|at| *at > now).and_then(|at| {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
            self.clock.monotonic().checked_add(wait)
        });
        if let Some(entry) = self.jobs.get_mut(&uid) {
            self.timers.set(uid, entry.timer, at);
            entry.timer = at;
        }
    }

    fn take_over(&mut self, turn: &mut Turn, uid: Uid, plan: Plan, now: Timestamp) {
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let job = Arc::clone(&entry.job);
        for pod in plan.release {
            self.change_pod(turn, uid, pod, |pod| pod.tracked = false);
        }
        for pod in &plan.delete {
            let grace = grace(&job.spec.template);
            self.delete_pod(turn, uid, *pod, grace, now);
            if let Some(pod) = self.jobs.get(&uid).and_then(|entry| entry.pods.get(*pod)) {
                let event = Event {
                    event_type: EventType::Normal,
                    reason: "SuccessfulDelete".into(),
                    note: EventNote::DeletedPod(Arc::clone(&pod.name)),
                };
                self.job_event(turn, &job, event);
            }
        }
        for new in plan.create {
            let pod = Arc::new(self.new_pod(&job, new, now));
            let event = Event {
                event_type: EventType::Normal,
                reason: "SuccessfulCreate".into(),
                note: EventNote::CreatedPod(Arc::clone(&pod.name)),
            };
            self.job_event(turn, &job, event);
            turn.put_pod(&pod);
            if let Some(entry) = self.jobs.get_mut(&uid) {
                entry.pods.insert(Arc::clone(&pod));
            }
            turn.start.push(pod);
        }
        for event in plan.events {
            self.job_event(turn, &job, event);
        }
        if let Some(status) = plan.status {
            let was_finished = job.finished().is_some();
            let job = self.put_job(
                turn,
                Job {
                    status,
                    ..(*job).clone()
                },
            );
            if job.finished().is_some() && !was_finished {
                turn.finished.push(uid);
            }
            if let Some(entry) = self.jobs.get_mut(&uid) {
                entry.job = job;
            }
        }
    }

    fn new_pod(&mut self, job: &Job, new: NewPod, now: Timestamp) -> Pod {
        let name = loop {
            let mut name = pod_name_prefix(&job.name, new.index);
            self.random.append_suffix(&mut name);
            let name: Arc<str> = Arc::from(name);
            if self
                .pod_names
                .insert((Arc::clone(&job.namespace), Arc::clone(&name)))
            {
                break name;
            }
        };
        Pod {
            uid: self.random.uid(),
            namespace: Arc::clone(&job.namespace),
            name,
            template: Arc::clone(&job.spec.template),
            index: new.index,
            index_failure_count: new.index_failure_count,
            index_ignored_failure_count: new.index_ignored_failure_count,
            created: now,
            deletion: None,
            tracked: true,
            status: wasmjob_api::PodStatus::default(),
        }
    }

    fn change_pod(&mut self, turn: &mut Turn, job: Uid, uid: Uid, change: impl FnOnce(&mut Pod)) {
        let Some(entry) = self.jobs.get_mut(&job) else {
            return;
        };
        let Some(pod) = entry.pods.get(uid) else {
            return;
        };
        let mut pod = (**pod).clone();
        change(&mut pod);
        let pod = Arc::new(pod);
        turn.put_pod(&pod);
        if pod.deletion.is_some() {
            entry.deleting.insert(pod.uid);
        }
        entry.pods.update(pod);
    }

    fn delete_pod(&mut self, turn: &mut Turn, job: Uid, uid: Uid, grace: Duration, now: Timestamp) {
        self.change_pod(turn, job, uid, |pod| {
            if pod.deletion.is_none() {
                pod.deletion = Some(deletion(now, grace));
            }
        });
        turn.stop.push((uid, grace));
        self.mark(job);
    }

    /// Removes the rows of a Job's pods that were deleted, have ended and are
    /// counted; and the Job itself, when it only waited for that.
    fn sweep(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let is_gone = |pod: &Arc<Pod>| pod.status.phase.is_terminal() && !pod.tracked;
        let deleting = entry.deleting.iter().filter_map(|uid| entry.pods.get(*uid));
        let gone: Vec<_> = deleting.filter(|pod| is_gone(pod)).cloned().collect();
        for pod in &gone {
            entry.pods.remove(pod.uid);
            entry.deleting.remove(&pod.uid);
        }
        let is_empty = entry.pods.is_empty();
        let waits = entry.foreground;
        for pod in &gone {
            self.pod_gone(turn, pod);
        }
        if waits && is_empty {
            self.forget_job(turn, uid);
        }
    }

    fn pod_gone(&mut self, turn: &mut Turn, pod: &Pod) {
        self.pod_names
            .remove(&(Arc::clone(&pod.namespace), Arc::clone(&pod.name)));
        turn.gone.push(pod.uid);
    }

    fn edit(&mut self, turn: &mut Turn, uid: Uid, edit: EditFn) -> Result<(), EditError> {
        let entry = self.jobs.get_mut(&uid).ok_or(EditError::NotFound)?;
        let old = entry.job.to_object();
        let mut new = old.clone();
        edit(new.spec.get_or_insert_default());
        if new.spec == old.spec {
            return Ok(());
        }
        let errors = validation::validate_job_update(&new, &old);
        if !errors.is_empty() {
            return Err(EditError::Invalid(format!(
                "Job.batch {:?} is invalid: {}",
                &*entry.job.name,
                wasmjob_api::field::aggregate(&errors)
            )));
        }
        let old = &entry.job;
        let base = &old.spec.template.base;
        let spec =
            wasmjob_api::JobSpec::parse_in(new.spec.unwrap_or_default(), &old.name, uid, base);
        let job = Job {
            spec: Arc::new(spec),
            generation: old.generation + 1,
            ..(**old).clone()
        };
        let job = self.put_job(turn, job);
        if let Some(entry) = self.jobs.get_mut(&uid) {
            entry.job = job;
        }
        self.mark(uid);
        Ok(())
    }

    fn delete(&mut self, turn: &mut Turn, key: Key) {
        match key.kind {
            Kind::Job => self.delete_job(turn, key.uid, Propagation::Background),
            Kind::Pod => {
                let now = self.clock.wall();
                let Some(pod) = self.pod(key.uid).cloned() else {
                    return;
                };
                let grace = grace(&pod.template);
                let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
                if let Some(owner) = owner.filter(|owner| self.jobs.contains_key(owner)) {
                    return self.delete_pod(turn, owner, key.uid, grace, now);
                }
                self.delete_loose(turn, &pod, grace, now);
            }
            Kind::Event => turn.transaction.delete(key),
        }
    }

    fn delete_loose(&mut self, turn: &mut Turn, pod: &Arc<Pod>, grace: Duration, now: Timestamp) {
        if pod.status.phase.is_terminal() {
            self.loose.remove(&pod.uid);
            return self.pod_gone(turn, pod);
        }
        let mut pod = (**pod).clone();
        pod.tracked = false;
        if pod.deletion.is_none() {
            pod.deletion = Some(deletion(now, grace));
        }
        let pod = Arc::new(pod);
        turn.put_pod(&pod);
        turn.stop.push((pod.uid, grace));
        self.loose.insert(pod.uid, pod);
    }

    fn delete_job(&mut self, turn: &mut Turn, uid: Uid, propagation: Propagation) {
        let now = self.clock.wall();
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let grace = grace(&entry.job.spec.template);
        let pods: Vec<_> = entry.pods.iter().cloned().collect();
        match propagation {
            Propagation::Foreground => {
                entry.foreground = true;
                let job = Job {
                    deletion: Some(now),
                    ..(*entry.job).clone()
                };
                let job = self.put_job(turn, job);
                if let Some(entry) = self.jobs.get_mut(&uid) {
                    entry.job = job;
                }
                for pod in pods {
                    self.change_pod(turn, uid, pod.uid, |pod| {
                        pod.tracked = false;
                        pod.deletion.get_or_insert(deletion(now, grace));
                    });
                    if !pod.status.phase.is_terminal() {
                        turn.stop.push((pod.uid, grace));
                    }
                }
                self.sweep(turn, uid);
                self.mark(uid);
            }
            Propagation::Background => {
                self.forget_job(turn, uid);
                for pod in pods {
                    self.delete_loose(turn, &pod, grace, now);
                }
            }
        }
    }

    fn forget_job(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.remove(&uid) else {
            return;
        };
        self.timers.set(uid, entry.timer, None);
        let job = &entry.job;
        self.job_names
            .remove(&(Arc::clone(&job.namespace), Arc::clone(&job.name)));
        turn.transaction.delete(Key {
            kind: Kind::Job,
            uid,
        });
    }

    fn job_event(&mut self, turn: &mut Turn, job: &Job, event: Event) {
        let key = Key {
            kind: Kind::Job,
            uid: job.uid,
        };
        self.event(
            turn,
            key,
            &job.namespace,
            &job.name,
            event,
            "job-controller",
        );
    }

    fn event(
        &mut self,
        turn: &mut Turn,
        regarding: Key,
        namespace: &Arc<str>,
        name: &Arc<str>,
        event: Event,
        source: &'static str,
    ) {
        turn.transaction.put(Object::Event(Arc::new(EventRecord {
            uid: self.random.uid(),
            regarding,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            event,
            time: self.clock.wall(),
            source: source.into(),
        })));
    }

    fn wait_job(&mut self, uid: Uid, reply: oneshot::Sender<JobResult>) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        entry.waiters.push(reply);
        if entry.job.finished().is_some() {
            self.tell_finished(uid);
        }
    }

    fn tell_finished(&mut self, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let waiters = std::mem::take(&mut entry.waiters);
        if waiters.is_empty() {
            return;
        }
        let mut pods: Vec<_> = entry.pods.iter().cloned().collect();
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let job = Arc::clone(&entry.job);
        let result = JobResult {
            status: job.status.clone(),
            job,
            pods: pods.iter().map(|pod| self.result(pod)).collect(),
        };
        for waiter in waiters {
            // Whoever waited may have gone.
            let _ = waiter.send(result.clone());
        }
    }

    fn wait_pod(&mut self, uid: Uid, reply: oneshot::Sender<PodResult>) {
        let Some(pod) = self.pod(uid).cloned() else {
            return;
        };
        self.pod_waiters.entry(uid).or_default().push(reply);
        if pod.status.phase.is_terminal() {
            self.tell_ended(&pod);
        }
    }

    fn tell_ended(&mut self, pod: &Arc<Pod>) {
        for waiter in self.pod_waiters.remove(&pod.uid).unwrap_or_default() {
            let _ = waiter.send(self.result(pod));
        }
    }

    fn result(&self, pod: &Arc<Pod>) -> PodResult {
        let logs = self.node.logs().of(pod.uid);
        let output = |name: &str| {
            let last = logs.iter().rev().find(|log| &*log.container == name);
            let chunks = last.map(|log| log.read(0).chunks).unwrap_or_default();
            chunks.into_iter().flat_map(|chunk| chunk.bytes).collect()
        };
        let names = pod
            .template
            .spec
            .containers
            .iter()
            .map(|container| &container.name);
        let ends = pod
            .status
            .containers
            .iter()
            .map(|status| status.state.terminated().cloned());
        let containers = names
            .zip(ends)
            .map(|(name, end)| ContainerResult {
                name: name.clone(),
                end,
                output: output(name),
            })
            .collect();
        PodResult {
            pod: Arc::clone(pod),
            containers,
        }
    }
}

enum Prepared {
    Job(Job),
    Pod(Pod),
}

/// A pod's grace period.
fn grace(template: &PodTemplate) -> Duration {
    let seconds = template.spec.termination_grace_period_seconds.unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn deletion(now: Timestamp, grace: Duration) -> Deletion {
    let wait = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    Deletion {
        at: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
        grace,
    }
}
