//! The node: what one thread owns and drives.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use tokio::sync::oneshot;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{Event, Pod, PodStatus, PodTemplate, Terminated, Uid};
use wasmjob_image::Images;
use wasmjob_sandbox::{Engine, Exits, Outcome};

use crate::admission::Admission;
use crate::disk::{ClaimQuotas, Overrun};
use crate::holders::ClaimHolders;
use crate::logs::LogWriter;
use crate::network::{self, NetworkPolicy};
use crate::pod::{Ending, PodRun, Slot, Stage};
use crate::probe::{ProbeKind, ProbeOutput};
use crate::template::{Prepared, TemplateImages};
use crate::timers::Timers;
use crate::told::Told;
use crate::volumes::{HostPathPolicy, VolumeError, Volumes};
use crate::workers::Workers;
use crate::{Clock, ConfigKind, ConfigName, LogDir, LogLimits, Logs, Objects, Resources};

/// Enough that one slow disk or compilation does not hold up all others.
const WORKERS: usize = 2;
/// Pulls at once.
const PULLERS: usize = 4;

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
    pub(crate) claim_quotas: Arc<ClaimQuotas>,
    pub(crate) claim_holders: Arc<ClaimHolders>,
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
    /// Pods that have been admitted, by what they refer to, and those that wait for a
    /// claim.
    pub(crate) config_users: HashMap<ConfigName, HashSet<Uid>>,
    pub(crate) changed: Vec<Uid>,
    pub(crate) ended: Vec<Update>,
    pub(crate) told: Told,
    /// Somebody gave something back since the queue was looked at.
    pub(crate) room: bool,
    pub(crate) heeds_clock: bool,
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
            heeds_clock: false,
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
        let run = PodRun::new(pod, prepared);
        self.pods.insert(uid, run);
        self.changed.push(uid);
        self.stand_in_line(uid);
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
    pub(crate) fn leave_template(&mut self, run: &PodRun) {
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

    /// A ConfigMap, a Secret or a NetworkPolicy has been made, changed or removed: pods
    /// that it concerns look at it anew.
    pub fn config_changed(&mut self, name: &ConfigName) {
        let users = self.config_users.get(name);
        let users: Vec<Uid> = users.into_iter().flatten().copied().collect();
        for uid in users {
            let Some(run) = self.pods.get(&uid) else {
                continue;
            };
            if run.stage == Stage::Queued {
                self.stand_in_line(uid);
                continue;
            }
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
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(projections) = projections {
            projections.follow(Arc::clone(&run.pod));
        }
        self.refresh_volumes(uid);
        true
    }
}

/// What the pod refers to.
pub(crate) fn config_names(run: &PodRun) -> impl Iterator<Item = ConfigName> {
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
