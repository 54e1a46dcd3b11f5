//! One pod as the node holds it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wasmjob_api::{
    ContainerState, ContainerStatus, Event, Phase, Pod, PodStatus, Terminated, Uid, Usage,
};
use wasmjob_sandbox::{Egress, Exit, KillReason, Mount, Outcome, RunHandle};

use crate::backoff::{Backoff, PullBackoff};
use crate::beside::Beside;
use crate::logs::LogBuffer;
use crate::probe::Streak;
use crate::template::{ContainerSpec, Prepared, TemplateImages};
use crate::timers::TimerKey;
use crate::volumes::Volumes;

/// A container of a pod: its place among the init containers or the containers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) init: bool,
    pub(crate) n: usize,
}

/// Where a pod stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Waits to be admitted.
    Queued,
    /// Its modules are loaded.
    Images,
    /// Its directories are made.
    Volumes,
    /// Its containers run, or wait to be restarted.
    Running,
}

/// Why a pod is being ended as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// It is being deleted.
    Deleted,
    /// Its own deadline is over.
    Deadline,
    /// It makes room for one that is more important.
    Preempted(String),
    /// It used more of the disk than it may.
    Evicted(String),
    /// An image of it cannot be had, for good.
    Image {
        reason: &'static str,
        message: String,
    },
    /// Its directories could not be made, for good.
    Volumes(String),
    /// All its containers have ended; sidecars are being ended.
    Done,
}

/// A pod and all that runs for it.
pub(crate) struct PodRun {
    pub(crate) pod: Arc<Pod>,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) host_name: String,
    pub(crate) stage: Stage,
    pub(crate) status: PodStatus,
    pub(crate) events: Vec<Event>,
    /// The status is not what was last reported.
    pub(crate) dirty: bool,
    pub(crate) ending: Option<Ending>,
    pub(crate) images: Option<Arc<TemplateImages>>,
    pub(crate) image_backoff: PullBackoff,
    pub(crate) volumes: Option<Arc<Volumes>>,
    pub(crate) volume_backoff: Backoff,
    /// It waits for room, and for nothing else.
    pub(crate) in_line: bool,
    /// Its directories wait for something.
    pub(crate) volumes_wait: bool,
    /// For when they are tried again whatever happens.
    pub(crate) volumes_timer: Option<TimerKey>,
    /// What they are made of has changed since they were begun.
    pub(crate) volumes_again: bool,
    pub(crate) init: Vec<ContainerRun>,
    pub(crate) containers: Vec<ContainerRun>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) deadline_timer: Option<TimerKey>,
    /// For the first of its tokens that is to be made anew.
    pub(crate) renewal_timer: Option<TimerKey>,
    /// What policies leave open to it.
    pub(crate) egress: Arc<Egress>,
    /// Probes of its containers, and commands in them.
    pub(crate) beside: Vec<Beside>,
}

/// One container's runs.
#[derive(Default)]
pub(crate) struct ContainerRun {
    /// The run that goes on.
    pub(crate) run: Option<Run>,
    /// Processor time of the runs that have ended, and of probes.
    pub(crate) cpu_before: Duration,
    pub(crate) backoff: Backoff,
    /// The log of the last run.
    pub(crate) log: Option<Arc<LogBuffer>>,
    /// How its image came was told already, of its next start.
    pub(crate) told_pull: bool,
    /// It waits for its next start.
    pub(crate) waits: bool,
    /// It waits, for a ConfigMap or a Secret.
    pub(crate) wants_config: bool,
    /// It will be looked at for that after a while.
    pub(crate) config_timer: bool,
    /// It will not be started again.
    pub(crate) done: bool,
    pub(crate) startup: Streak,
    pub(crate) readiness: Streak,
    pub(crate) liveness: Streak,
}

/// A run that goes on.
pub(crate) struct Run {
    pub(crate) token: u64,
    pub(crate) handle: RunHandle,
    pub(crate) started: Timestamp,
    pub(crate) since: Instant,
    /// When it is killed at the latest, if it is being ended and that ever comes.
    pub(crate) kill_at: Option<Instant>,
    pub(crate) kill_timer: Option<TimerKey>,
    /// It hears signals.
    pub(crate) hears: bool,
    /// The environment that it was started with, which its probes and commands get.
    pub(crate) env: Arc<[(String, String)]>,
    pub(crate) env_own: Vec<(String, String)>,
    /// And the directories, likewise: a part of a volume stays what it was.
    pub(crate) mounts: Arc<[Mount]>,
}

impl Run {
    /// Whether to end it now with `grace` kills it sooner than it would be killed anyway.
    pub(crate) fn is_killed_sooner(&self, now: Instant, grace: Duration) -> bool {
        let at = now.checked_add(grace);
        at.is_some_and(|at| self.kill_at.is_none_or(|before| at < before))
    }
}

/// A variable; what is a container's own wins.
pub(crate) fn variable<'a>(
    env: &'a [(String, String)],
    own: &'a [(String, String)],
    name: &str,
) -> Option<&'a str> {
    let mut all = own.iter().chain(env);
    all.find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

impl PodRun {
    pub(crate) fn new(pod: Arc<Pod>, prepared: Arc<Prepared>) -> Self {
        let waiting = |reason: &'static str| ContainerStatus {
            state: ContainerState::Waiting {
                reason: Cow::Borrowed(reason),
                message: Arc::from(""),
            },
            ..ContainerStatus::default()
        };
        let first = if prepared.init.is_empty() {
            "ContainerCreating"
        } else {
            "PodInitializing"
        };
        let status = PodStatus {
            containers: prepared.containers.iter().map(|_| waiting(first)).collect(),
            init_containers: prepared
                .init
                .iter()
                .map(|_| waiting("PodInitializing"))
                .collect(),
            ..pod.status.clone()
        };
        Self {
            host_name: host_name(&pod),
            status,
            stage: Stage::Queued,
            events: Vec::new(),
            dirty: false,
            ending: None,
            egress: Arc::default(),
            images: None,
            image_backoff: PullBackoff::default(),
            volumes: None,
            volume_backoff: Backoff::default(),
            in_line: false,
            volumes_wait: false,
            volumes_timer: None,
            volumes_again: false,
            init: prepared
                .init
                .iter()
                .map(|_| ContainerRun::default())
                .collect(),
            containers: prepared
                .containers
                .iter()
                .map(|_| ContainerRun::default())
                .collect(),
            deadline: None,
            deadline_timer: None,
            renewal_timer: None,
            beside: Vec::new(),
            pod,
            prepared,
        }
    }

    /// The Job that controls it.
    pub(crate) fn owner(&self) -> Option<Uid> {
        self.pod.template.owner.as_ref().map(|owner| owner.uid)
    }

    pub(crate) fn spec(&self, slot: Slot) -> &ContainerSpec {
        if slot.init {
            &self.prepared.init[slot.n]
        } else {
            &self.prepared.containers[slot.n]
        }
    }

    pub(crate) fn container(&self, slot: Slot) -> &ContainerRun {
        if slot.init {
            &self.init[slot.n]
        } else {
            &self.containers[slot.n]
        }
    }

    pub(crate) fn run(&mut self, slot: Slot) -> &mut ContainerRun {
        if slot.init {
            &mut self.init[slot.n]
        } else {
            &mut self.containers[slot.n]
        }
    }

    pub(crate) fn container_status_now(&self, slot: Slot) -> &ContainerStatus {
        if slot.init {
            &self.status.init_containers[slot.n]
        } else {
            &self.status.containers[slot.n]
        }
    }

    /// The status of a container, to be changed.
    pub(crate) fn container_status(&mut self, slot: Slot) -> &mut ContainerStatus {
        self.dirty = true;
        if slot.init {
            &mut self.status.init_containers[slot.n]
        } else {
            &mut self.status.containers[slot.n]
        }
    }

    /// Tells an event of a container.
    pub(crate) fn tell(&mut self, slot: Slot, event: Event) {
        let path = self.path(slot);
        self.events.push(event.about(path));
    }

    /// Tells that a container did not start after all.
    pub(crate) fn tell_failed(&mut self, slot: Slot, text: &str) {
        let path = self.path(slot);
        let is_start = |event: &Event| {
            event.reason == "Started" && event.field_path.as_deref() == Some(&*path)
        };
        if let Some(place) = self.events.iter().rposition(is_start) {
            self.events.remove(place);
        }
        let event = Event::warning("Failed", format!("Error: {text}"));
        self.events.push(event.about(path));
    }

    fn path(&self, slot: Slot) -> String {
        let name = &self.spec(slot).name;
        match slot.init {
            true => format!("spec.initContainers{{{name}}}"),
            false => format!("spec.containers{{{name}}}"),
        }
    }

    /// The place of the slot's image among the template's.
    pub(crate) fn image_index(&self, slot: Slot) -> usize {
        if slot.init {
            slot.n
        } else {
            self.init.len() + slot.n
        }
    }

    /// Every container, init containers first.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let init = (0..self.init.len()).map(|n| Slot { init: true, n });
        init.chain((0..self.containers.len()).map(|n| Slot { init: false, n }))
    }

    /// Whether any guest runs.
    pub(crate) fn is_live(&self) -> bool {
        let mut containers = self.init.iter().chain(&self.containers);
        !self.beside.is_empty() || containers.any(|container| container.run.is_some())
    }

    /// Whether it is being ended, and whatever of it still runs is killed by `at`.
    pub(crate) fn ends_by(&self, at: Instant) -> bool {
        let containers = self.init.iter().chain(&self.containers);
        let mut going = containers.filter_map(|container| container.run.as_ref());
        self.ending.is_some() && going.all(|run| run.kill_at.is_some_and(|kill| kill <= at))
    }

    /// Sets `ready` from the containers, and when it changed.
    pub(crate) fn update_ready(&mut self, now: Timestamp) {
        let ready = self.status.phase == Phase::Running
            && self.ending.is_none()
            && self
                .status
                .containers
                .iter()
                .all(|container| container.ready);
        if ready != self.status.ready || self.status.ready_transition.is_none() {
            self.status.ready = ready;
            self.status.ready_transition = Some(now);
            self.dirty = true;
        }
    }

    /// The phase that the ends of the containers come to.
    pub(crate) fn final_phase(&self) -> Phase {
        let failed = |status: &ContainerStatus| {
            status
                .state
                .terminated()
                .is_none_or(|terminated| terminated.exit_code != 0)
        };
        if self.status.containers.iter().any(failed) {
            Phase::Failed
        } else {
            Phase::Succeeded
        }
    }
}

/// `spec.hostname`, an indexed pod's own, or the pod's name.
fn host_name(pod: &Pod) -> String {
    if let Some(name) = &pod.template.spec.hostname {
        return name.clone();
    }
    match (pod.index, &pod.template.owner) {
        (Some(index), Some(job)) => format!("{}-{index}", job.name),
        _ => pod.name.to_string(),
    }
}

/// How a run ended, as a container's status says it. The table is in ARCHITECTURE.md.
pub(crate) fn terminated(outcome: &Outcome, started: Timestamp, finished: Timestamp) -> Terminated {
    let (exit_code, reason, message): (u8, &'static str, String) = match &outcome.exit {
        Exit::Code(0) => (0, "Completed", String::new()),
        Exit::Code(code) => (*code, "Error", String::new()),
        Exit::Trap(text) => (134, "Error", text.clone()),
        Exit::OutOfMemory { wanted_bytes } => (
            137,
            "OOMKilled",
            format!(
                "memory limit exceeded: it wanted {wanted_bytes} bytes; raise resources.limits.memory"
            ),
        ),
        Exit::OutOfFuel => (
            152,
            "FuelExhausted",
            "the fuel budget is used up; raise resources.limits[\"wasmjob.dev/fuel\"]".to_owned(),
        ),
        Exit::Killed(KillReason::Requested | KillReason::Deadline) => (137, "Error", String::new()),
        Exit::Killed(KillReason::Memory) => (
            137,
            "OOMKilled",
            "the container needs the memory that it had left".to_owned(),
        ),
        Exit::Start(text) => (128, "StartError", text.clone()),
        Exit::Host(text) => (128, "ContainerCannotRun", text.clone()),
    };
    Terminated {
        exit_code,
        reason: Cow::Borrowed(reason),
        message: if message.is_empty() {
            empty()
        } else {
            Arc::from(message)
        },
        started,
        finished,
        usage: Usage {
            cpu: outcome.usage.cpu,
            fuel: outcome.usage.fuel,
            memory_bytes_peak: outcome.usage.memory_bytes_peak,
            written_bytes: outcome.usage.written_bytes,
        },
    }
}

/// One empty text for all: most messages are.
fn empty() -> Arc<str> {
    static EMPTY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from(""));
    Arc::clone(&EMPTY)
}
