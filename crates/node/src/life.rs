//! The life of a pod's containers: started in order, restarted, probed, ended.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use wasmjob_api::{ContainerState, Event, Phase, Uid};
use wasmjob_sandbox::{Exit, KillReason, Outcome, Output, Signal, Task};

use crate::beside::Beside;
use crate::downward::Downward;
use crate::environment::EnvError;
use crate::logs::LogOutput;
use crate::mounts::mounts;
use crate::node::{Node, Purpose};
use crate::pod::{ContainerRun, Ending, PodRun, Run, Slot, Stage, terminated};
use crate::probe::{self, ProbeKind, ProbeOutput, Streak, Verdict};
use crate::timers::Timer;
use crate::volumes::split_termination_path;

/// Bytes of a termination message (the kubelet's figure).
const MESSAGE_BYTES_MAX: usize = 4096;
/// What of a log serves as one: lines and bytes (the kubelet's figures).
const MESSAGE_LOG: (usize, usize) = (80, 2048);

/// After what time a container that waits for a ConfigMap or a Secret is looked at even
/// if none changed.
const CONFIG_AGAIN: Duration = Duration::from_secs(60);

/// What is to be done next for a pod.
enum Next {
    Nothing,
    Start(Vec<Slot>),
    Finish,
}

impl Node {
    /// Starts what is due for the pod: init containers one after another,
    /// sidecars among them, then the containers; or ends it.
    pub(crate) fn advance(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.stage != Stage::Running || run.ending.is_some() {
            return self.finish_if_ended(uid);
        }
        match next(run) {
            Next::Nothing => {}
            Next::Start(slots) => {
                for slot in slots {
                    // Starting one may have failed, which starts the others or ends the pod.
                    if self.can_start(uid, slot) {
                        self.start_container(uid, slot);
                    }
                }
            }
            Next::Finish => self.end_pod_done(uid),
        }
    }

    /// Whether the container neither runs, nor waits, nor is done.
    fn can_start(&mut self, uid: Uid, slot: Slot) -> bool {
        let Some(run) = self.pods.get_mut(&uid) else {
            return false;
        };
        let container = run.run(slot);
        let idle = container.run.is_none() && !container.waits && !container.done;
        idle && run.ending.is_none()
    }

    /// All containers have ended: sidecars are asked to, too.
    fn end_pod_done(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        let grace = run.prepared.grace;
        self.end_pod(uid, Ending::Done, grace);
    }

    fn start_container(&mut self, uid: Uid, slot: Slot) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let Some(images) = run.images.clone() else {
            return;
        };
        let container = run.run(slot);
        (container.waits, container.wants_config) = (false, false);
        let image = match &images.images[run.image_index(slot)] {
            Ok(image) => image,
            Err(error) => {
                let text = error.to_string();
                return self.cannot_start(uid, slot, text);
            }
        };
        let slots = image.module.slots();
        if self.slots_used.saturating_add(slots) > self.engine.capacity().guests
            && self.slots_used > 0
        {
            run.run(slot).waits = true;
            return self.slot_waiters.push_back((uid, slot));
        }
        let downward = Downward {
            pod: &run.pod,
            node_name: &self.config.name,
            capacity: self.config.capacity,
            default_memory_bytes: self.config.default_memory_bytes,
            objects: &*self.objects,
        };
        let spec = run.spec(slot);
        let call = match spec.invocation(&run.pod, image, &run.host_name, &downward) {
            Ok(call) => call,
            Err(EnvError::Config(text)) => return self.config_missing(uid, slot, &text),
            Err(error) => return self.cannot_start(uid, slot, error.to_string()),
        };
        let mounts = match mounts(run, slot, |name| call.get(name)) {
            Ok(mounts) => mounts,
            Err(EnvError::Config(text)) => return self.config_missing(uid, slot, &text),
            Err(error) => return self.cannot_start(uid, slot, error.to_string()),
        };
        for text in &call.skipped {
            let event = Event::warning("InvalidEnvironmentVariableNames", text.clone());
            run.tell(slot, event);
        }
        let now = self.clock.wall();
        let restarts = {
            let status = run.container_status(slot);
            if let ContainerState::Terminated(last) = &status.state {
                status.last_terminated = Some(last.clone());
            }
            if status.last_terminated.is_some() {
                status.restarts = status.restarts.saturating_add(1);
            }
            status.restarts
        };
        let network = match run.network() {
            Ok(network) => network,
            Err(text) => return self.cannot_start(uid, slot, text),
        };
        forget_message(run, slot);
        let log = self.logs.begin(&run.pod, &run.spec(slot).name, restarts);
        let output: Arc<dyn Output> = Arc::new(LogOutput(Arc::clone(&log)));
        let spec = run.spec(slot);
        let (env, env_own) = (Arc::clone(&call.env), call.own.clone());
        let opened = Arc::clone(&mounts);
        let task = Task {
            module: image.module.clone(),
            args: call.args,
            env: call.env,
            env_own: call.own,
            mounts,
            working_dir: spec.working_dir_in(image),
            memory_bytes_max: spec.memory_bytes_max,
            cpu: spec.cpu,
            fuel: spec.fuel,
            deadline: run.deadline,
            output,
            input: None,
            beside: None,
            network,
            extension: None,
        };
        let (hears, has_startup) = (image.module.hears_signals(), spec.probes.startup.is_some());
        let has_readiness = spec.probes.readiness.is_some();
        let image_id: Arc<str> = image.id.clone();
        self.next_token += 1;
        let token = self.next_token;
        self.runs
            .insert(token, (uid, Purpose::Container(slot), slots));
        self.slots_used += slots;
        let since = self.clock.monotonic();
        let handle = self.engine.start(task, Arc::clone(&self.inbox) as _, token);

        let status = run.container_status(slot);
        status.state = ContainerState::Running { started: now };
        status.image_id = Some(image_id);
        status.started = !has_startup;
        status.ready = !has_startup && !has_readiness;
        let container = run.run(slot);
        container.log = Some(log);
        container.run = Some(Run {
            token,
            handle,
            started: now,
            since,
            kill_at: None,
            kill_timer: None,
            hears,
            env,
            env_own,
            mounts: opened,
        });
        (container.startup, container.readiness, container.liveness) = Default::default();
        if !slot.init {
            run.status.phase = Phase::Running;
        }
        run.update_ready(now);
        // All of it or nothing: the three happen as one here.
        if self.told.may(since) {
            let image = run.spec(slot).object.image.as_deref().unwrap_or_default();
            let pulled = format!(
                "Container image \"{image}\" already present on machine and can be accessed by the pod"
            );
            if !std::mem::take(&mut run.run(slot).told_pull) {
                run.tell(slot, Event::normal("Pulled", pulled));
            }
            run.tell(slot, Event::normal("Created", "Container created"));
            run.tell(slot, Event::normal("Started", "Container started"));
        }
        self.touch(uid);
        self.begin_probes(uid, slot, token);
        // A sidecar that has no startup probe lets the next one start at once.
        if slot.init {
            self.advance(uid);
        }
    }

    /// The container cannot be started at all.
    fn cannot_start(&mut self, uid: Uid, slot: Slot, text: String) {
        let outcome = Outcome {
            exit: Exit::Start(text),
            usage: wasmjob_sandbox::Usage::default(),
        };
        let now = self.clock.wall();
        self.container_ended(uid, slot, &outcome, now, Duration::ZERO);
    }

    /// Lets a container wait for a ConfigMap or a Secret. It is started when one that
    /// its pod refers to changes; the timer is for what nobody thought of.
    fn config_missing(&mut self, uid: Uid, slot: Slot, text: &str) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let container = run.run(slot);
        (container.waits, container.wants_config) = (true, true);
        if !std::mem::replace(&mut container.config_timer, true) {
            let at = self.clock.monotonic() + CONFIG_AGAIN;
            self.timers.at(at, Timer::Config(uid, slot));
        }
        let status = run.container_status(slot);
        let waiting = ContainerState::Waiting {
            reason: Cow::Borrowed("CreateContainerConfigError"),
            message: Arc::from(text),
        };
        if status.state != waiting {
            if let ContainerState::Terminated(last) = std::mem::replace(&mut status.state, waiting)
            {
                status.last_terminated = Some(last);
            }
            let event = Event::warning("Failed", format!("Error: {text}"));
            run.events.push(event);
        }
        self.touch(uid);
    }

    /// Starts the container if it waits for a ConfigMap or a Secret.
    pub(crate) fn retry_config(&mut self, uid: Uid, slot: Slot) {
        let wants = self
            .pods
            .get(&uid)
            .is_some_and(|run| run.ending.is_none() && run.container(slot).wants_config);
        if wants {
            self.start_container(uid, slot);
        }
    }

    fn begin_probes(&mut self, uid: Uid, slot: Slot, token: u64) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        let spec = run.spec(slot);
        let kinds: &[ProbeKind] = if spec.probes.startup.is_some() {
            &[ProbeKind::Startup]
        } else {
            &[ProbeKind::Readiness, ProbeKind::Liveness]
        };
        let now = self.clock.monotonic();
        for kind in kinds {
            if let Some(probe) = kind.of(&spec.probes) {
                self.timers.at(
                    now + probe.initial_delay,
                    Timer::Probe(uid, slot, token, *kind),
                );
            }
        }
    }

    /// A run has ended.
    pub(crate) fn exited(&mut self, token: u64, outcome: &Outcome) {
        let Some((uid, purpose, slots)) = self.runs.remove(&token) else {
            return;
        };
        self.slots_used = self.slots_used.saturating_sub(slots);
        self.charge(uid, &purpose, outcome);
        match purpose {
            Purpose::Container(slot) => {
                let ended = self.pods.get_mut(&uid).and_then(|run| {
                    let container = run.run(slot);
                    let ended = container.run.take_if(|going| going.token == token);
                    run.kill_beside(slot);
                    ended
                });
                if let Some(ended) = ended {
                    self.timers.cancel(ended.kill_timer);
                    let now = self.clock.monotonic();
                    let ran = now.saturating_duration_since(ended.since);
                    self.container_ended(uid, slot, outcome, ended.started, ran);
                }
            }
            Purpose::Probe(slot, kind, output, probed) => {
                if let Some(run) = self.pods.get_mut(&uid) {
                    run.take_beside(token);
                }
                self.probed(uid, slot, probed, kind, &outcome.exit, &output.text());
                self.finish_if_ended(uid);
            }
            Purpose::Exec(_, ended) => {
                self.exec_slots = self.exec_slots.saturating_sub(slots);
                self.exec_ended(uid, token, outcome, ended);
            }
        }
        self.start_waiter();
    }

    /// Adds what a run has used to its container's account.
    fn charge(&mut self, uid: Uid, purpose: &Purpose, outcome: &Outcome) {
        let (Purpose::Container(slot) | Purpose::Probe(slot, ..) | Purpose::Exec(slot, _)) =
            purpose;
        if let Some(run) = self.pods.get_mut(&uid) {
            let container = run.run(*slot);
            container.cpu_before = container.cpu_before.saturating_add(outcome.usage.cpu);
        }
    }

    /// A slot of the pool is free: starts the next container that waits for one.
    fn start_waiter(&mut self) {
        while let Some((uid, slot)) = self.slot_waiters.pop_front() {
            let waits = self
                .pods
                .get_mut(&uid)
                .is_some_and(|run| run.ending.is_none() && run.run(slot).waits);
            if !waits {
                continue;
            }
            self.start_container(uid, slot);
            // One that failed on the way took no slot, so the next may have it.
            let took = self
                .pods
                .get_mut(&uid)
                .is_some_and(|run| run.run(slot).run.is_some());
            let waits_again = self.slot_waiters.back() == Some(&(uid, slot));
            if took || waits_again {
                return;
            }
        }
    }

    /// A container's run has ended, or could not begin.
    fn container_ended(
        &mut self,
        uid: Uid,
        slot: Slot,
        outcome: &Outcome,
        started: jiff::Timestamp,
        ran: Duration,
    ) {
        let now = self.clock.wall();
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if let Some(log) = &run.run(slot).log {
            log.end();
        }
        let mut end = terminated(outcome, started, now);
        if end.message.is_empty()
            && let Some(message) = termination_message(run, slot, end.exit_code)
        {
            end.message = Arc::from(message);
        }
        let code = end.exit_code;
        if let Exit::Start(text) = &outcome.exit {
            run.tell_failed(slot, text);
        }
        let status = run.container_status(slot);
        status.state = ContainerState::Terminated(Box::new(end));
        status.ready = slot.init && code == 0;
        status.started = false;
        if outcome.exit == Exit::Killed(KillReason::Deadline) && run.ending.is_none() {
            run.update_ready(now);
            self.touch(uid);
            return self.end_pod(uid, Ending::Deadline, Duration::ZERO);
        }
        let restart = &run.spec(slot).restart;
        let again = run.ending.is_none()
            && if slot.init && !restart.is_always() {
                restart.after_init(code)
            } else {
                restart.after(code)
            };
        if again {
            self.back_off(uid, slot, ran);
        } else {
            run.run(slot).done = true;
        }
        if let Some(run) = self.pods.get_mut(&uid) {
            run.update_ready(now);
        }
        self.touch(uid);
        self.advance(uid);
    }

    /// Lets a container wait for its next start.
    fn back_off(&mut self, uid: Uid, slot: Slot, ran: Duration) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let delay = run.run(slot).backoff.next(ran);
        run.run(slot).waits = true;
        if !delay.is_zero() {
            let pod = &run.pod;
            let message = format!(
                "back-off {} restarting failed container={} pod={}_{}({})",
                human(delay),
                run.spec(slot).name,
                pod.name,
                pod.namespace,
                pod.uid
            );
            run.tell(slot, Event::warning("BackOff", message.clone()));
            let status = run.container_status(slot);
            let waiting = ContainerState::Waiting {
                reason: Cow::Borrowed("CrashLoopBackOff"),
                message: Arc::from(message),
            };
            if let ContainerState::Terminated(last) = std::mem::replace(&mut status.state, waiting)
            {
                status.last_terminated = Some(last);
            }
        }
        self.timers
            .at(self.clock.monotonic() + delay, Timer::Restart(uid, slot));
    }

    /// Ends a container's run: by a signal first, if it hears one and has the time.
    pub(crate) fn kill(&mut self, uid: Uid, slot: Slot, grace: Duration) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let container = run.run(slot);
        (container.waits, container.wants_config) = (false, false);
        let Some(going) = &mut container.run else {
            return;
        };
        let now = self.clock.monotonic();
        let grace = if going.hears { grace } else { Duration::ZERO };
        let is_sooner = going.is_killed_sooner(now, grace);
        if is_sooner {
            going.kill_at = now.checked_add(grace);
        }
        if grace.is_zero() {
            return going.handle.kill();
        }
        going.handle.signal(Signal::Term);
        if let Some(at) = going.kill_at.filter(|_| is_sooner) {
            self.timers.cancel(going.kill_timer.take());
            going.kill_timer = Some(self.timers.at(at, Timer::Kill(going.token)));
        }
    }

    /// A timer is due.
    pub(crate) fn due(&mut self, timer: Timer) {
        match timer {
            Timer::Deadline(uid) => self.end_pod(uid, Ending::Deadline, Duration::ZERO),
            Timer::Restart(uid, slot) => {
                let waits = self
                    .pods
                    .get_mut(&uid)
                    .is_some_and(|run| run.run(slot).waits);
                if waits {
                    self.start_container(uid, slot);
                }
            }
            Timer::Config(uid, slot) => {
                if let Some(run) = self.pods.get_mut(&uid) {
                    run.run(slot).config_timer = false;
                }
                self.retry_config(uid, slot);
            }
            Timer::Kill(token) => {
                if let Some((uid, Purpose::Container(slot), _)) = self.runs.get(&token) {
                    let (uid, slot) = (*uid, *slot);
                    self.kill(uid, slot, Duration::ZERO);
                }
            }
            Timer::Probe(uid, slot, token, kind) => self.probe(uid, slot, token, kind),
            Timer::Measure(uid) => self.measure(uid),
            Timer::Images(uid) => self.want_images(uid),
            Timer::ImageBackoff(uid) => self.images_back_off(uid),
            Timer::Volumes(uid) => self.retry_volumes(uid),
            Timer::Tokens(uid) => self.renew_tokens(uid),
        }
    }

    /// Starts a probe of the run `token`, if that still goes on.
    fn probe(&mut self, uid: Uid, slot: Slot, token: u64, kind: ProbeKind) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let goes_on = run
            .run(slot)
            .run
            .as_ref()
            .is_some_and(|going| going.token == token);
        let Some(images) = run.images.clone() else {
            return;
        };
        let Ok(image) = &images.images[run.image_index(slot)] else {
            return;
        };
        if !goes_on || run.ending.is_some() {
            return;
        }
        let Some(going) = &run.container(slot).run else {
            return;
        };
        let spec = run.spec(slot);
        let Some(probe) = kind.of(&spec.probes) else {
            return;
        };
        let output = Arc::new(ProbeOutput::default());
        let now = self.clock.monotonic();
        let task = Task {
            module: image.module.clone(),
            args: Arc::clone(&probe.command),
            env: Arc::clone(&going.env),
            env_own: going.env_own.clone(),
            mounts: Arc::clone(&going.mounts),
            working_dir: spec.working_dir_in(image),
            memory_bytes_max: spec.memory_bytes_max,
            cpu: spec.cpu,
            fuel: spec.fuel,
            deadline: [run.deadline, now.checked_add(probe.timeout)]
                .into_iter()
                .flatten()
                .min(),
            output: Arc::clone(&output) as _,
            input: None,
            beside: Some(going.handle.clone()),
            network: run.network().unwrap_or_default(),
            extension: None,
        };
        let slots = image.module.slots();
        if self.slots_used.saturating_add(slots) > self.engine.capacity().guests {
            // No room says nothing about the container: asked again later.
            self.timers
                .at(now + probe.period, Timer::Probe(uid, slot, token, kind));
            return;
        }
        self.next_token += 1;
        let probing = self.next_token;
        self.slots_used += slots;
        self.runs.insert(
            probing,
            (uid, Purpose::Probe(slot, kind, output, token), slots),
        );
        let handle = self
            .engine
            .start(task, Arc::clone(&self.inbox) as _, probing);
        let started = self.clock.wall();
        if let Some(run) = self.pods.get_mut(&uid) {
            run.beside.push(Beside {
                token: probing,
                slot,
                handle,
                started,
                is_command: false,
            });
        }
    }

    /// A probe of the run `token` has ended.
    fn probed(
        &mut self,
        uid: Uid,
        slot: Slot,
        token: u64,
        kind: ProbeKind,
        exit: &Exit,
        output: &str,
    ) {
        let now = self.clock.wall();
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        let Some(probe) = kind.of(&run.spec(slot).probes).cloned() else {
            return;
        };
        let container = run.run(slot);
        if container
            .run
            .as_ref()
            .is_none_or(|going| going.token != token)
            || run.ending.is_some()
        {
            return;
        }
        let failure = probe::failure(exit, output);
        let container = run.run(slot);
        let verdict = streak(container, kind).count(failure.is_none(), &probe);
        if let Some(failure) = &failure {
            let text = format!("{} probe failed: {failure}", kind.as_str());
            run.tell(slot, Event::warning("Unhealthy", text));
        }
        let mut go_on = true;
        match (kind, verdict) {
            (ProbeKind::Startup, Verdict::Passes) => {
                let has_readiness = run.spec(slot).probes.readiness.is_some();
                let status = run.container_status(slot);
                status.started = true;
                status.ready = !has_readiness;
                go_on = false;
                let base = self.clock.monotonic();
                for kind in [ProbeKind::Readiness, ProbeKind::Liveness] {
                    if let Some(next) = kind.of(&run.spec(slot).probes) {
                        self.timers.at(
                            base + next.initial_delay,
                            Timer::Probe(uid, slot, token, kind),
                        );
                    }
                }
            }
            (ProbeKind::Readiness, Verdict::Passes | Verdict::Fails) => {
                // What is as it was is no news: to take it for one is a commit each period.
                let ready = verdict == Verdict::Passes;
                if run.container_status_now(slot).ready != ready {
                    run.container_status(slot).ready = ready;
                }
            }
            (ProbeKind::Startup | ProbeKind::Liveness, Verdict::Fails) => {
                go_on = false;
                let text = format!(
                    "Container {} failed {} probe, will be restarted",
                    run.spec(slot).name,
                    kind.as_str().to_lowercase()
                );
                run.tell(slot, Event::normal("Killing", text));
                let grace = run.prepared.grace;
                self.kill(uid, slot, grace);
            }
            (_, Verdict::Unsure) | (ProbeKind::Liveness, Verdict::Passes) => {}
        }
        if go_on {
            let at = self.clock.monotonic() + probe.period;
            self.timers.at(at, Timer::Probe(uid, slot, token, kind));
        }
        if let Some(run) = self.pods.get_mut(&uid) {
            run.update_ready(now);
        }
        self.touch(uid);
        self.advance(uid);
    }
}

fn streak(container: &mut ContainerRun, kind: ProbeKind) -> &mut Streak {
    match kind {
        ProbeKind::Startup => &mut container.startup,
        ProbeKind::Readiness => &mut container.readiness,
        ProbeKind::Liveness => &mut container.liveness,
    }
}

/// What is due, from what the containers do.
fn next(run: &mut PodRun) -> Next {
    for n in 0..run.init.len() {
        let slot = Slot { init: true, n };
        let is_sidecar = run.spec(slot).restart.is_always();
        let (container, status) = (&run.init[n], &run.status.init_containers[n]);
        let ended = status.state.terminated().map(|end| end.exit_code);
        let begun = container.run.is_some() || container.waits || ended.is_some() || container.done;
        if !begun {
            return Next::Start(vec![slot]);
        }
        if is_sidecar {
            if !status.started && run.status.phase == Phase::Pending {
                return Next::Nothing;
            }
        } else if container.done && ended != Some(0) {
            // An init container failed for good; nothing else will start.
            return Next::Finish;
        } else if !container.done {
            return Next::Nothing;
        }
    }
    let waiting = |n: &usize| {
        let container = &run.containers[*n];
        container.run.is_none() && !container.waits && !container.done
    };
    let start: Vec<_> = (0..run.containers.len())
        .filter(waiting)
        .map(|n| Slot { init: false, n })
        .collect();
    if !start.is_empty() {
        return Next::Start(start);
    }
    if run.containers.iter().all(|container| container.done) {
        Next::Finish
    } else {
        Next::Nothing
    }
}

/// What the container left as its last word.
fn termination_message(run: &mut PodRun, slot: Slot, code: u8) -> Option<String> {
    let spec = run.spec(slot);
    let from_logs = spec.message_from_logs && code != 0;
    let file = run.volumes.as_ref().and_then(|volumes| {
        let dir = volumes.termination_dir(&spec.name)?;
        let (_, name) = split_termination_path(spec.termination_path())?;
        read_message(&dir.join(name))
    });
    if file.is_some() || !from_logs {
        return file;
    }
    let (lines, bytes) = MESSAGE_LOG;
    run.run(slot)
        .log
        .as_ref()
        .map(|log| log.tail(lines, bytes))
        .filter(|text| !text.is_empty())
}

/// Removes what an earlier run of the container left as its last word.
fn forget_message(run: &PodRun, slot: Slot) {
    let spec = run.spec(slot);
    let dir = run
        .volumes
        .as_ref()
        .and_then(|volumes| volumes.termination_dir(&spec.name));
    if let Some(dir) = dir
        && let Some((_, name)) = split_termination_path(spec.termination_path())
    {
        // There is none before the first run; a link is removed, not followed.
        let _ = std::fs::remove_file(dir.join(name));
    }
}

/// A small regular file's text; the guest may have put anything there, a link
/// out of its directory for one, which is not followed.
fn read_message(path: &std::path::Path) -> Option<String> {
    use rustix::fs::{Mode, OFlags, open};
    use std::io::Read;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MESSAGE_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// A duration as Go prints whole seconds: `10s`, `2m40s`, `5m0s`.
fn human(delay: Duration) -> String {
    match delay.as_secs() {
        secs @ 0..60 => format!("{secs}s"),
        secs => format!("{}m{}s", secs / 60, secs % 60),
    }
}
