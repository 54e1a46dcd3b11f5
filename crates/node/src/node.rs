//! The node: what one thread owns and drives.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use tokio::sync::oneshot;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{Disruption, Event, Phase, Pod, PodStatus, PodTemplate, Terminated, Uid};
use wasmjob_image::Images;
use wasmjob_sandbox::{Engine, Exits, Outcome};

use crate::admission::{Admission, Candidate, Turn, Waiter};
use crate::disk::{ClaimHolders, ClaimQuotas, Limits, Memory, Overrun};
use crate::images::is_missing;
use crate::logs::LogWriter;
use crate::network::{self, NetworkPolicy};
use crate::pod::{Ending, PodRun, Slot, Stage};
use crate::probe::{ProbeKind, ProbeOutput};
use crate::projected::View;
use crate::template::{Prepared, TemplateImages};
use crate::timers::{Timer, Timers};
use crate::told::Told;
use crate::volumes::{HostPathPolicy, Places, VolumeError, Volumes};
use crate::workers::Workers;
use crate::{Clock, ConfigKind, ConfigName, LogDir, LogLimits, Logs, Objects, Resources};

/// How often the directories of a pod with a limit on them are measured.
pub(crate) const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// Enough that one slow disk or compilation does not hold up all others.
const WORKERS: usize = 2;
/// Pulls at once.
const PULLERS: usize = 4;

/// A token is not made anew sooner than that after it was looked at, whatever the clock does.
const RENEWAL_WAIT_MIN: Duration = Duration::from_secs(1);

/// A pod that makes room has no longer than that, whatever grace it was given: others
/// wait for it, and its owner is not to decide for how long.
const PREEMPTION_GRACE_MAX: Duration = Duration::from_secs(30);

/// What the operator decides.
#[derive(Clone)]
pub struct NodeConfig {
    /// The node's name.
    pub name: Arc<str>,
    /// What requests are admitted against.
    pub capacity: Resources,
    /// Bytes of memory of a container that sets no limit.
    pub default_memory_bytes: u64,
    /// Where emptyDirs stand.
    pub scratch: PathBuf,
    /// Where files of Secrets and volumes of the medium `Memory` stand, if not there: in
    /// memory. It is made when it is first needed, for nobody else to enter.
    pub memory_scratch: Option<PathBuf>,
    /// Where claimed volumes stand, each under its claim's UID. They outlive pods.
    pub claims: PathBuf,
    /// What of the host pods may see.
    pub host_paths: HostPathPolicy,
    /// What of the network pods may reach.
    pub network: NetworkPolicy,
    /// How much of the logs is kept.
    pub logs: LogLimits,
    /// Where the logs are kept; if nowhere, in memory.
    pub log_dir: Option<LogDir>,
    /// A pod whose image cannot be had, however often one tries, fails; without this it
    /// waits, as in Kubernetes. A pod's annotation says otherwise.
    pub fail_on_terminal_pull: bool,
}

/// Why a node could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A thread could not be started.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// The directory of the logs could not be used.
    #[error("failed to open the logs in `{}`", dir.display())]
    Logs {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What the node works with.
pub struct NodeParts {
    /// Runs guests.
    pub engine: Engine,
    /// Finds and compiles modules.
    pub images: Arc<Images>,
    /// What pods read of other objects.
    pub objects: Arc<dyn Objects>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Called from any thread when [`Node::handle`] has something to look at.
    pub wake: Arc<dyn Fn(Urgency) + Send + Sync>,
}

/// How soon [`Node::handle`] should be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// Now.
    Now,
    /// With the engine's next tick: guests have enough to do, and looking at
    /// many ends at once costs less than looking at each.
    NextTick,
}

/// What became of a pod.
#[derive(Clone, Debug)]
pub struct Update {
    /// The pod.
    pub uid: Uid,
    /// The Job that controls it, if one does.
    pub owner: Option<Uid>,
    /// Its status now.
    pub status: PodStatus,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What other threads tell the node.
pub(crate) enum News {
    Exited(u64, Outcome),
    /// Holds the template, so that its address means it and no other.
    Images(Arc<Prepared>, Arc<TemplateImages>),
    /// A registry is asked for these images of the template.
    Pulling(Arc<Prepared>, Vec<Arc<str>>),
    Volumes(Uid, Result<Box<Volumes>, VolumeError>),
    /// What was over a limit when the disk was looked at, which began then.
    Measured(Uid, Option<Overrun>, Instant),
    /// A write found no room.
    Full(Uid, Overrun),
    /// A claim that one pod may have is free again.
    ClaimFree,
    /// The pod's volumes were made anew.
    Refreshed(Uid),
}

/// Where news arrives.
pub(crate) struct Inbox {
    news: Mutex<Vec<News>>,
    wake: Arc<dyn Fn(Urgency) + Send + Sync>,
}

/// Ends that wait for the next tick at most.
const ENDS_WAITING_MAX: usize = 32;

impl Inbox {
    pub(crate) fn push(&self, news: News) {
        self.add(news);
        (self.wake)(Urgency::Now);
    }

    /// Adds `news`; how many there are now.
    fn add(&self, news: News) -> usize {
        let mut queue = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(news);
        queue.len()
    }

    fn take(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Exits for Inbox {
    fn exited(&self, token: u64, outcome: Outcome) {
        self.push(News::Exited(token, outcome));
    }

    fn exited_among_others(&self, token: u64, outcome: Outcome) {
        match self.add(News::Exited(token, outcome)) {
            1 => (self.wake)(Urgency::NextTick),
            ENDS_WAITING_MAX.. => (self.wake)(Urgency::Now),
            _ => {}
        }
    }
}

/// The address of a template.
pub(crate) type TemplateKey = usize;

pub(crate) struct TemplateEntry {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) images: Option<Arc<TemplateImages>>,
    pub(crate) waiting: Vec<Uid>,
    users: usize,
}

/// What a run is for.
pub(crate) enum Purpose {
    Container(Slot),
    Probe(Slot, ProbeKind, Arc<ProbeOutput>, u64),
    Exec(Slot, oneshot::Sender<Terminated>),
}

/// The node. One thread owns it.
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) engine: Engine,
    pub(crate) images: Arc<Images>,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) logs: Logs,
    claim_quotas: Arc<ClaimQuotas>,
    claim_holders: Arc<ClaimHolders>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) workers: Workers,
    /// For pulls: a registry that is slow must not hold up what is here.
    pub(crate) pullers: Workers,
    pub(crate) admission: Admission,
    pub(crate) timers: Timers,
    pub(crate) pods: HashMap<Uid, PodRun>,
    pub(crate) templates: HashMap<TemplateKey, TemplateEntry>,
    pub(crate) runs: HashMap<u64, (Uid, Purpose, u32)>,
    pub(crate) next_token: u64,
    pub(crate) slots_used: u32,
    /// Those of them that commands have.
    pub(crate) exec_slots: u32,
    /// Containers that wait for a slot of the pool.
    pub(crate) slot_waiters: VecDeque<(Uid, Slot)>,
    /// Pods that have been admitted, by what they refer to.
    config_users: HashMap<ConfigName, HashSet<Uid>>,
    changed: Vec<Uid>,
    ended: Vec<Update>,
    pub(crate) told: Told,
    /// Somebody gave something back since the queue was looked at.
    room: bool,
    /// Writes the logs. It ends last, when no guest writes any more.
    _log_writer: Option<LogWriter>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // What a slow registry would still send for minutes is not waited for.
        if let Some(registries) = self.images.registries() {
            registries.stop();
        }
        // Names and connections that do not come about have time limits of their own.
        self.pullers.let_go();
    }
}

impl Node {
    /// Makes the node.
    ///
    /// # Errors
    ///
    /// When its threads cannot be started, or the logs' directory cannot be used.
    pub fn new(config: NodeConfig, parts: NodeParts) -> Result<Self, NodeError> {
        let (logs, log_writer) = open_logs(&config, &parts.clock)?;
        Ok(Self {
            logs,
            claim_quotas: Arc::default(),
            claim_holders: Arc::default(),
            inbox: Arc::new(Inbox {
                news: Mutex::default(),
                wake: parts.wake,
            }),
            workers: Workers::start("worker", WORKERS).map_err(NodeError::Thread)?,
            pullers: Workers::start("pull", PULLERS).map_err(NodeError::Thread)?,
            admission: Admission::new(config.capacity),
            timers: Timers::default(),
            pods: HashMap::default(),
            templates: HashMap::default(),
            runs: HashMap::default(),
            next_token: 0,
            slots_used: 0,
            exec_slots: 0,
            slot_waiters: VecDeque::new(),
            config_users: HashMap::default(),
            changed: Vec::new(),
            ended: Vec::new(),
            told: Told::default(),
            room: false,
            _log_writer: log_writer,
            config,
            engine: parts.engine,
            images: parts.images,
            objects: parts.objects,
            clock: parts.clock,
        })
    }

    /// The logs of its pods.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Pods that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.pods.len()
    }

    /// Takes on `pod`.
    pub fn start(&mut self, pod: Arc<Pod>) {
        let prepared = self.template(&pod.template);
        let uid = pod.uid;
        self.admission
            .push(uid, prepared.request, prepared.priority);
        self.room = true;
        let run = PodRun::new(pod, prepared);
        self.pods.insert(uid, run);
        self.changed.push(uid);
    }

    /// Ends the pod `uid`: within `grace` if it hears signals, else at once.
    pub fn stop(&mut self, uid: Uid, grace: Duration) {
        self.end_pod(uid, Ending::Deleted, grace);
    }

    /// Gives back every pod that was not admitted, as if it had never been taken on.
    pub fn take_queued(&mut self) -> Vec<Uid> {
        let queued = self
            .pods
            .iter()
            .filter(|(_, run)| run.stage == Stage::Queued);
        let queued: Vec<Uid> = queued.map(|(uid, _)| *uid).collect();
        for uid in &queued {
            if let Some(mut run) = self.pods.remove(uid) {
                self.release(&mut run);
            }
        }
        queued
    }

    /// Looks at what happened since it was last called.
    pub fn handle(&mut self) {
        for news in self.inbox.take() {
            match news {
                News::Exited(token, outcome) => self.exited(token, &outcome),
                News::Images(prepared, images) => {
                    self.images_loaded(template_key(&prepared.template), &images);
                }
                News::Pulling(prepared, names) => {
                    self.images_pulling(template_key(&prepared.template), &names);
                }
                News::Volumes(uid, volumes) => self.volumes_made(uid, volumes),
                News::Measured(uid, overrun, began) => self.measured(uid, overrun, began),
                News::Full(uid, overrun) => self.evict(uid, overrun),
                News::ClaimFree => self.retry_waiting_volumes(),
                News::Refreshed(uid) => self.await_renewal(uid),
            }
        }
        let now = self.clock.monotonic();
        while let Some(timer) = self.timers.take(now) {
            self.due(timer);
        }
        // Who makes room may have ended at once.
        while std::mem::take(&mut self.room) {
            self.admit();
        }
    }

    /// When [`Node::handle`] must be called again even if nobody woke.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Pods that have ended since it was last called. They are no longer known here.
    pub fn take_ended(&mut self) -> Vec<Update> {
        std::mem::take(&mut self.ended)
    }

    /// Whether [`Node::take_ended`] has something to give.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Whether pods that go on have something new to say.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What became of pods that go on, since it was last called.
    pub fn take_changes(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        for uid in std::mem::take(&mut self.changed) {
            if let Some(run) = self.pods.get_mut(&uid)
                && (run.dirty || !run.events.is_empty())
            {
                run.dirty = false;
                let events = std::mem::take(&mut run.events);
                updates.push(Update {
                    uid,
                    owner: run.owner(),
                    status: run.status.clone(),
                    events,
                });
            }
        }
        updates
    }

    /// Marks that the pod has something to report.
    pub(crate) fn touch(&mut self, uid: Uid) {
        self.changed.push(uid);
    }

    fn template(&mut self, template: &Arc<PodTemplate>) -> Arc<Prepared> {
        let key = template_key(template);
        let memory = self.config.default_memory_bytes;
        let entry = self.templates.entry(key).or_insert_with(|| TemplateEntry {
            prepared: Arc::new(Prepared::new(template, memory, &self.config.network)),
            images: None,
            waiting: Vec::new(),
            users: 0,
        });
        entry.users += 1;
        Arc::clone(&entry.prepared)
    }

    /// The pod no longer needs its template. The key's address stays taken as
    /// long as `prepared` holds the template, that is, as long as the entry lives.
    fn leave_template(&mut self, run: &PodRun) {
        let key = template_key(&run.pod.template);
        if let Some(entry) = self.templates.get_mut(&key) {
            entry.users -= 1;
            // A Job's next pod finds its modules: kept while the Job's spec lives.
            if entry.users == 0 && Arc::strong_count(&entry.prepared.template) <= 2 {
                self.templates.remove(&key);
            }
        }
        if self.templates.len() > TEMPLATES_KEPT {
            self.templates.retain(|_, entry| entry.users > 0);
        }
    }

    fn admit(&mut self) {
        let mut waiting = Vec::new();
        for turn in self.admission.turns() {
            match turn {
                Turn::Admitted(uid) => self.admitted(uid),
                Turn::Waits(uid, lacks) => {
                    self.waits(uid, &lacks);
                    waiting.push(uid);
                }
            }
        }
        let waiters = waiting.into_iter().filter_map(|uid| self.waiter(uid));
        let waiters: Vec<Waiter> = waiters.collect();
        if !waiters.is_empty() {
            self.make_room(waiters);
        }
    }

    /// The pod, which waits, if others may have to end for it.
    fn waiter(&self, uid: Uid) -> Option<Waiter> {
        let prepared = &self.pods.get(&uid)?.prepared;
        let (request, priority) = (prepared.request, prepared.priority);
        let may = prepared.preempts && self.admission.may_preempt(request, priority);
        may.then_some(Waiter {
            uid,
            request,
            priority,
        })
    }

    /// Ends pods that are less important than the first of `waiters` that fits then.
    /// They have their grace period, for which it waits, within bounds.
    fn make_room(&mut self, waiters: Vec<Waiter>) {
        let soon = self.clock.monotonic() + PREEMPTION_GRACE_MAX;
        let admitted = self
            .pods
            .iter()
            .filter(|(_, run)| run.stage != Stage::Queued);
        let candidates = admitted.map(|(uid, run)| Candidate {
            uid: *uid,
            priority: run.prepared.priority,
            request: run.prepared.request,
            since: run.status.scheduled,
            is_ending: run.ends_by(soon),
        });
        let candidates: Vec<_> = candidates.collect();
        let made = self.admission.make_room(waiters.into_iter(), &candidates);
        let Some((uid, victims)) = made else {
            return;
        };
        let now = self.clock.wall();
        for victim in victims {
            let text = format!("Preempted by pod {uid} on node {}", self.config.name);
            let Some(run) = self.pods.get_mut(&victim) else {
                continue;
            };
            run.events.push(Event::normal("Preempted", text.clone()));
            run.status.disruption = Some(Box::new(Disruption {
                reason: "PreemptionByScheduler".into(),
                message: "default-scheduler: preempting to accommodate a higher priority pod"
                    .into(),
                at: now,
            }));
            run.dirty = true;
            let grace = run.prepared.grace.min(PREEMPTION_GRACE_MAX);
            self.touch(victim);
            self.end_pod(victim, Ending::Preempted(text), grace);
        }
    }

    fn waits(&mut self, uid: Uid, lacks: &[&str]) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let message = format!("0/1 nodes are available: 1 {}.", lacks.join(", 1 "));
        if run.status.message.as_deref() == Some(&*message) {
            return;
        }
        run.status.reason = Some("Unschedulable".into());
        run.status.message = Some(Arc::from(&*message));
        run.events.push(Event::warning("FailedScheduling", message));
        run.dirty = true;
        self.touch(uid);
    }

    fn admitted(&mut self, uid: Uid) {
        let now = self.clock.wall();
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        run.status.scheduled = Some(now);
        run.status.started = Some(now);
        run.status.reason = None;
        run.status.message = None;
        run.stage = Stage::Images;
        run.dirty = true;
        if self.told.may(self.clock.monotonic()) {
            let (pod, node) = (&run.pod, &self.config.name);
            let text = format!(
                "Successfully assigned {}/{} to {node}",
                pod.namespace, pod.name
            );
            run.events.push(Event::normal("Scheduled", text));
        }
        if let Some(limit) = run.prepared.active_deadline {
            // A deadline beyond what the clock can say never comes.
            run.deadline = self.clock.monotonic().checked_add(limit);
            if let Some(at) = run.deadline {
                self.timers.at(at, Timer::Deadline(uid));
            }
        }
        for name in config_names(run) {
            self.config_users.entry(name).or_default().insert(uid);
        }
        network::narrow(run, &*self.objects);
        self.touch(uid);
        self.want_images(uid);
    }

    /// A ConfigMap, a Secret or a NetworkPolicy has been made, changed or removed: pods
    /// that it concerns look at it anew.
    pub fn config_changed(&mut self, name: &ConfigName) {
        let users = self.config_users.get(name);
        let users: Vec<Uid> = users.into_iter().flatten().copied().collect();
        for uid in users {
            let Some(run) = self.pods.get(&uid) else {
                continue;
            };
            if name.kind == ConfigKind::NetworkPolicies {
                network::narrow(run, &*self.objects);
                continue;
            }
            for slot in run.slots() {
                self.retry_config(uid, slot);
            }
            self.refresh_volumes(uid);
        }
    }

    /// A pod has other metadata: other policies may select it. Whether it is there.
    pub fn relabelled(&mut self, uid: Uid, metadata: Option<&Arc<ObjectMeta>>) -> bool {
        let Some(run) = self.pods.get_mut(&uid) else {
            return false;
        };
        run.pod = Arc::new(Pod {
            metadata: metadata.cloned(),
            ..Pod::clone(&run.pod)
        });
        if run.stage != Stage::Queued {
            network::narrow(run, &*self.objects);
        }
        true
    }

    pub(crate) fn images_ready(&mut self, uid: Uid, images: Arc<TemplateImages>) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.stage != Stage::Images || run.ending.is_some() {
            return;
        }
        if images.images.iter().any(is_missing) {
            return self.images_missing(uid, &images);
        }
        run.images = Some(images);
        if !run.prepared.has_volumes && wants_termination(run).is_empty() {
            run.stage = Stage::Running;
            if run.prepared.scratch_bytes_max.is_some() {
                let at = self.clock.monotonic() + MEASURE_EVERY;
                self.timers.at(at, Timer::Measure(uid));
            }
            return self.advance(uid);
        }
        run.stage = Stage::Volumes;
        self.make_volumes(uid);
    }

    /// Has the pod's directories made.
    fn make_volumes(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        (run.volumes_wait, run.volumes_again) = (false, false);
        let wanted = wants_termination(run);
        let view = View {
            pod: Arc::clone(&run.pod),
            node_name: Arc::clone(&self.config.name),
            capacity: self.config.capacity,
            default_memory_bytes: self.config.default_memory_bytes,
            objects: Arc::clone(&self.objects),
            clock: Arc::clone(&self.clock),
        };
        let places = Places {
            scratch: self.config.scratch.clone(),
            memory: self.config.memory_scratch.clone(),
            host_paths: self.config.host_paths.clone(),
            claims: self.config.claims.clone(),
            claim_quotas: Arc::clone(&self.claim_quotas),
            claim_holders: Arc::clone(&self.claim_holders),
        };
        let inbox = Arc::clone(&self.inbox);
        let full = Arc::clone(&self.inbox);
        let limits = Limits {
            scratch_bytes_max: run.prepared.scratch_bytes_max,
            memory_bytes_max: run.prepared.memory_bytes_max,
            evict: Arc::new(move |message| {
                full.push(News::Full(uid, Overrun { message }));
            }),
        };
        self.workers.submit(move || {
            let spec = Arc::clone(&view.pod.template.spec);
            let volumes =
                Volumes::prepare(&places, uid, &spec, &wanted, limits, view).map(Box::new);
            inbox.push(News::Volumes(uid, volumes));
        });
    }

    /// Tries the pod's directories again, if they wait for something.
    pub(crate) fn retry_volumes(&mut self, uid: Uid) {
        if let Some(run) = self.pods.get(&uid)
            && run.stage == Stage::Volumes
            && run.ending.is_none()
            && run.volumes_wait
        {
            self.make_volumes(uid);
        }
    }

    /// Something that pods' directories may wait for is free.
    fn retry_waiting_volumes(&mut self) {
        let waiting = self.pods.iter().filter(|(_, run)| run.volumes_wait);
        let waiting: Vec<Uid> = waiting.map(|(uid, _)| *uid).collect();
        for uid in waiting {
            self.retry_volumes(uid);
        }
    }

    /// What the pod's directories are made of has changed.
    fn refresh_volumes(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.stage == Stage::Volumes {
            run.volumes_again = true;
            return self.retry_volumes(uid);
        }
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(projections) = projections.filter(|it| it.wants_refresh()).cloned() {
            self.workers.submit(move || projections.refresh());
        }
    }

    /// Sets a timer for the first token of the pod's volumes that is to be made anew.
    fn await_renewal(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(due) = projections.and_then(|it| it.due()) {
            let wait = due.duration_since(self.clock.wall());
            let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
            let wait = wait.max(RENEWAL_WAIT_MIN);
            self.timers
                .at(self.clock.monotonic() + wait, Timer::Tokens(uid));
        }
    }

    /// Has tokens made anew whose time has come.
    pub(crate) fn renew_tokens(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(projections) = projections.cloned() {
            let inbox = Arc::clone(&self.inbox);
            self.workers.submit(move || {
                projections.refresh();
                inbox.push(News::Refreshed(uid));
            });
        }
    }

    /// Something that the pod's directories are made of is not there.
    fn volumes_missing(&mut self, uid: Uid, message: String) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        run.volumes_wait = true;
        let event = Event::warning("FailedMount", message);
        run.events.push(event);
        if run.volumes_again {
            return self.retry_volumes(uid);
        }
        let delay = run.volume_backoff.next(Duration::ZERO);
        let delay = delay.max(Duration::from_secs(30));
        self.timers
            .at(self.clock.monotonic() + delay, Timer::Volumes(uid));
        self.touch(uid);
    }

    fn volumes_made(&mut self, uid: Uid, volumes: Result<Box<Volumes>, VolumeError>) {
        let Some(run) = self.pods.get_mut(&uid) else {
            // It ended meanwhile.
            if let Ok(volumes) = volumes {
                self.workers.submit(move || volumes.remove());
            }
            return;
        };
        match volumes {
            Ok(volumes) => {
                if volumes.watched().is_needed() || run.prepared.scratch_bytes_max.is_some() {
                    self.timers
                        .at(self.clock.monotonic() + MEASURE_EVERY, Timer::Measure(uid));
                }
                run.volumes = Some(Arc::new(*volumes));
                run.stage = Stage::Running;
                if std::mem::take(&mut run.volumes_again) {
                    self.refresh_volumes(uid);
                }
                self.await_renewal(uid);
                self.advance(uid);
            }
            Err(VolumeError::Waits(message)) if run.ending.is_none() => {
                self.volumes_missing(uid, message);
            }
            Err(VolumeError::Waits(message) | VolumeError::Fails(message)) => {
                run.events
                    .push(Event::warning("FailedMount", message.clone()));
                self.end_pod(uid, Ending::Volumes(message), Duration::ZERO);
            }
        }
    }

    fn evict(&mut self, uid: Uid, overrun: Overrun) {
        self.end_pod(uid, Ending::Evicted(overrun.message), Duration::ZERO);
    }

    fn measured(&mut self, uid: Uid, overrun: Option<Overrun>, began: Instant) {
        if !self.pods.contains_key(&uid) {
            return;
        }
        match overrun {
            Some(overrun) => self.evict(uid, overrun),
            None => {
                // A tenth of the time at most is spent looking.
                let now = self.clock.monotonic();
                let took = now.saturating_duration_since(began);
                let at = now + MEASURE_EVERY.max(took.saturating_mul(9));
                self.timers.at(at, Timer::Measure(uid));
            }
        }
    }

    pub(crate) fn measure(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        // A pod without volumes has its logs still.
        let watched = run
            .volumes
            .as_ref()
            .map(|volumes| volumes.watched().clone())
            .unwrap_or_default();
        let limit = run.prepared.scratch_bytes_max;
        let memory = Memory {
            used: run.memory_bytes(),
            max: run.prepared.memory_bytes_max,
        };
        let logs = self.logs.of(uid);
        let inbox = Arc::clone(&self.inbox);
        let began = self.clock.monotonic();
        self.workers.submit(move || {
            let log_bytes = logs.iter().map(|log| log.kept_bytes() as u64).sum();
            inbox.push(News::Measured(
                uid,
                watched.overrun(limit, log_bytes, memory),
                began,
            ));
        });
    }

    /// Begins to end a pod as a whole.
    pub(crate) fn end_pod(&mut self, uid: Uid, ending: Ending, grace: Duration) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        // Whatever comes later only shortens the grace of the first. It must do that: a
        // pod that has all the time there is would else outlive its limits.
        let is_first = run.ending.is_none();
        run.ending.get_or_insert(ending);
        let now = self.clock.monotonic();
        let slots: Vec<Slot> = run.slots().collect();
        for slot in &slots {
            let going = run.container(*slot).run.as_ref();
            let is_news = going.is_some_and(|it| is_first || it.is_killed_sooner(now, grace));
            if is_news && self.told.may(now) {
                let text = format!("Stopping container {}", run.spec(*slot).name);
                run.tell(*slot, Event::normal("Killing", text));
            }
        }
        for slot in slots {
            self.kill(uid, slot, grace);
        }
        self.finish_if_ended(uid);
    }

    /// Ends the pod's account once nothing of it runs any more.
    pub(crate) fn finish_if_ended(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        if run.ending.is_none() || run.is_live() {
            return;
        }
        let Some(mut run) = self.pods.remove(&uid) else {
            return;
        };
        let now = self.clock.wall();
        match run.ending.take() {
            None | Some(Ending::Done) => run.status.phase = run.final_phase(),
            Some(Ending::Deleted) => {
                let ran = run
                    .status
                    .containers
                    .iter()
                    .any(|c| c.state.terminated().is_some());
                run.status.phase = if ran {
                    run.final_phase()
                } else {
                    Phase::Failed
                };
            }
            Some(Ending::Deadline) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some("DeadlineExceeded".into());
                run.status.message = Some(Arc::from(
                    "Pod was active on the node longer than the specified deadline",
                ));
            }
            Some(Ending::Image { reason, message }) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some(reason.into());
                run.status.message = Some(Arc::from(message));
            }
            Some(Ending::Preempted(message)) => {
                // It may have done its work within its grace.
                run.status.phase = run.final_phase();
                if run.status.phase != Phase::Succeeded {
                    run.status.reason = Some("Preempted".into());
                    run.status.message = Some(Arc::from(message));
                }
            }
            Some(Ending::Evicted(message)) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some("Evicted".into());
                run.events.push(Event::warning("Evicted", message.clone()));
                run.status.message = Some(Arc::from(message));
            }
            Some(Ending::Volumes(message)) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some("FailedMount".into());
                run.status.message = Some(Arc::from(message));
            }
        }
        for status in &mut run.status.containers {
            status.ready = false;
        }
        // One that has done its work stays ready, as with a kubelet.
        for (status, spec) in run
            .status
            .init_containers
            .iter_mut()
            .zip(&run.prepared.init)
        {
            let done = |end: &Terminated| end.exit_code == 0 && !spec.restart.is_always();
            status.ready = status.state.terminated().is_some_and(done);
        }
        run.update_ready(now);
        self.release(&mut run);
        self.logs.pod_ended(uid);
        self.ended.push(Update {
            uid,
            owner: run.owner(),
            status: std::mem::take(&mut run.status),
            events: std::mem::take(&mut run.events),
        });
    }

    /// Gives back what the pod had.
    fn release(&mut self, run: &mut PodRun) {
        let uid = run.pod.uid;
        if run.stage == Stage::Queued {
            self.admission.forget(uid, run.prepared.priority);
        } else {
            let (request, priority) = (run.prepared.request, run.prepared.priority);
            self.admission.release(uid, request, priority);
            for name in config_names(run) {
                if let Some(users) = self.config_users.get_mut(&name) {
                    users.remove(&uid);
                    if users.is_empty() {
                        self.config_users.remove(&name);
                    }
                }
            }
        }
        self.room = true;
        if !self.slot_waiters.is_empty() {
            self.slot_waiters.retain(|(waiting, _)| *waiting != uid);
        }
        self.leave_template(run);
        if let Some(volumes) = run.volumes.take() {
            // Every run of the pod has ended, and its measuring holds copies.
            if let Ok(volumes) = Arc::try_unwrap(volumes) {
                let inbox = Arc::clone(&self.inbox);
                self.workers.submit(move || {
                    let held = volumes.holds_claims();
                    volumes.remove();
                    if held {
                        inbox.push(News::ClaimFree);
                    }
                });
            }
        }
    }
}

/// The containers of a pod that write a termination message.
fn wants_termination(run: &PodRun) -> Vec<String> {
    let Some(images) = &run.images else {
        return Vec::new();
    };
    let wants = |slot: &Slot| {
        let image = &images.images[run.image_index(*slot)];
        let image = image.as_ref();
        image.is_ok_and(|image| run.spec(*slot).wants_termination_file(image))
    };
    let slots = run.slots().filter(wants);
    slots.map(|slot| run.spec(slot).name.to_string()).collect()
}

/// What the pod refers to.
fn config_names(run: &PodRun) -> impl Iterator<Item = ConfigName> {
    let configs = run.prepared.configs.iter();
    let configs = configs.map(|(kind, name)| (*kind, Arc::clone(name)));
    let has_network = matches!(run.prepared.network, Ok(Some(_)));
    let policies = has_network.then(|| (ConfigKind::NetworkPolicies, Arc::from("")));
    configs.chain(policies).map(|(kind, name)| ConfigName {
        kind,
        namespace: Arc::clone(&run.pod.namespace),
        name,
    })
}

fn open_logs(
    config: &NodeConfig,
    clock: &Arc<dyn Clock>,
) -> Result<(Logs, Option<LogWriter>), NodeError> {
    let clock = Arc::clone(clock);
    let Some(dir) = config.log_dir.clone() else {
        return Ok((Logs::new(config.logs, clock), None));
    };
    let path = dir.path.clone();
    let opened = Logs::open(config.logs, clock, dir);
    let (logs, writer) = opened.map_err(|source| NodeError::Logs { dir: path, source })?;
    Ok((logs, Some(writer)))
}

/// Templates kept beyond those in use, so that Jobs that come and go do not pile up.
const TEMPLATES_KEPT: usize = 1_000;

pub(crate) fn template_key(template: &Arc<PodTemplate>) -> TemplateKey {
    Arc::as_ptr(template).addr()
}
