//! The directories of a pod: made before its containers start, made anew when what they
//! are made of changes, and measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmjob_api::{Event, Uid};

use crate::disk::{Limits, Memory, Overrun};
use crate::images::is_missing;
use crate::node::{News, Node};
use crate::pod::{Ending, PodRun, Slot, Stage};
use crate::projected::View;
use crate::refresh::Projections;
use crate::template::TemplateImages;
use crate::timers::Timer;
use crate::volumes::{Places, VolumeError, Volumes};

/// How often the directories of a pod with a limit on them are measured.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// A token is not made anew sooner than that after it was looked at, whatever the clock does.
const RENEWAL_WAIT_MIN: Duration = Duration::from_secs(1);

impl Node {
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
    pub(crate) fn make_volumes(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        (run.volumes_wait, run.volumes_again) = (false, false);
        self.timers.cancel(run.volumes_timer.take());
        let wanted = wants_termination(run);
        let view = View {
            pod: Arc::clone(&run.pod),
            node_name: Arc::clone(&self.config.name),
            capacity: self.config.capacity,
            default_memory_bytes: self.config.default_memory_bytes,
            objects: Arc::clone(&self.objects),
            clock: Arc::clone(&self.clock),
        };
        let freed = Arc::clone(&self.inbox);
        let places = Places {
            scratch: self.config.scratch.clone(),
            memory: self.config.memory_scratch.clone(),
            host_paths: self.config.host_paths.clone(),
            claims: self.config.claims.clone(),
            claim_quotas: Arc::clone(&self.claim_quotas),
            claim_holders: Arc::clone(&self.claim_holders),
            claim_freed: Arc::new(move || freed.push(News::ClaimFree)),
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

    /// Something that pods' directories may wait for is free. One whose directories are
    /// being made may have found that it was not.
    pub(crate) fn retry_waiting_volumes(&mut self) {
        let in_stage = self
            .pods
            .iter()
            .filter(|(_, run)| run.stage == Stage::Volumes);
        let waiting: Vec<Uid> = in_stage.map(|(uid, _)| *uid).collect();
        for uid in waiting {
            self.refresh_volumes(uid);
        }
    }

    /// What the pod's directories are made of has changed.
    pub(crate) fn refresh_volumes(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.stage == Stage::Volumes {
            run.volumes_again = true;
            return self.retry_volumes(uid);
        }
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(projections) = projections.filter(|it| it.wants_refresh()).cloned() {
            self.make_anew(uid, projections);
        }
    }

    pub(crate) fn make_anew(&self, uid: Uid, projections: Arc<Projections>) {
        let inbox = Arc::clone(&self.inbox);
        self.workers.submit(move || {
            projections.refresh();
            inbox.push(News::Refreshed(uid));
        });
    }

    /// Sets a timer for the first token of the pod's volumes that is to be made anew.
    pub(crate) fn await_renewal(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        self.timers.cancel(run.renewal_timer.take());
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(due) = projections.and_then(|it| it.due()) {
            let wait = due.duration_since(self.clock.wall());
            let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
            let at = self.clock.monotonic() + wait.max(RENEWAL_WAIT_MIN);
            run.renewal_timer = Some(self.timers.at(at, Timer::Tokens(uid)));
            self.heeds_clock = true;
        }
    }

    /// The clock on the wall was set: what waits for a time on it waits anew.
    pub fn clock_set(&mut self) {
        let waiting = self
            .pods
            .iter()
            .filter(|(_, run)| run.renewal_timer.is_some());
        let waiting: Vec<Uid> = waiting.map(|(uid, _)| *uid).collect();
        waiting.into_iter().for_each(|uid| self.await_renewal(uid));
    }

    /// Whether something has ever waited for a time on the wall, so that
    /// [`Node::clock_set`] should be called without delay.
    #[must_use]
    pub fn heeds_clock(&self) -> bool {
        self.heeds_clock
    }

    /// Has tokens made anew whose time has come.
    pub(crate) fn renew_tokens(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        let projections = run.volumes.as_ref().and_then(|it| it.projections());
        if let Some(projections) = projections.cloned() {
            self.make_anew(uid, projections);
        }
    }

    /// Something that the pod's directories are made of is not there.
    pub(crate) fn volumes_missing(&mut self, uid: Uid, message: String) {
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
        let at = self.clock.monotonic() + delay;
        run.volumes_timer = Some(self.timers.at(at, Timer::Volumes(uid)));
        self.touch(uid);
    }

    pub(crate) fn volumes_made(&mut self, uid: Uid, volumes: Result<Box<Volumes>, VolumeError>) {
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
                    // It may have got other labels meanwhile.
                    if let Some(projections) = run.volumes.as_ref().and_then(|it| it.projections())
                    {
                        projections.follow(Arc::clone(&run.pod));
                    }
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

    pub(crate) fn evict(&mut self, uid: Uid, overrun: Overrun) {
        self.end_pod(uid, Ending::Evicted(overrun.message), Duration::ZERO);
    }

    pub(crate) fn measured(&mut self, uid: Uid, overrun: Option<Overrun>, began: Instant) {
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
