//! Jobs whose pods found no room: what they say, and when they try again.
//!
//! A Job says `FailedCreate` and tries again after a back-off, as Kubernetes' Job controller
//! does. Those of a namespace also stand in line (`core::lines`): when something is freed
//! there, the first of them for which there is room try at once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Event, Job, Uid};
use wasmjob_controllers::job::pod_name_prefix;

use super::Core;
use super::admission::{Refusal, Room};
use super::lines::Place;
use super::turn::Turn;

/// The first and the longest back-off of a Job whose pods are refused
/// (`DefaultJobApiBackOff`, `MaxJobApiBackOff`).
const BACKOFF_FIRST: SignedDuration = SignedDuration::from_secs(1);
const BACKOFF_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Jobs of a namespace that one turn lets try for what was freed.
const WOKEN_MAX: usize = 64;

/// Jobs that one turn looks at because it is decided anew about newcomers.
const DECIDED_MAX: usize = 256;

/// A Job's pods were refused.
#[derive(Default)]
pub(crate) struct Refused {
    times: u32,
    /// Not tried before that.
    pub(super) until: Option<Timestamp>,
    /// Something was freed, and it is tried sooner.
    pub(super) is_woken: bool,
    /// Its place among those that wait.
    place: Option<Place>,
}

impl Core {
    /// After a look at a Job of which `refused` pods found no room, while others may have
    /// got some: says so, and when to try again. A Job that has all its pods is told as one
    /// that waits no longer.
    pub(super) fn note_refused(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        room: Room,
        (got_some, refused): (bool, u32),
        now: Timestamp,
    ) -> Option<Timestamp> {
        if refused == 0 {
            self.refused_no_more(uid);
            return None;
        }
        if room.waits.is_some() {
            return room.waits;
        }
        self.take_place(uid, got_some);
        let entry = self.jobs.get_mut(&uid)?;
        let was_woken = std::mem::take(&mut entry.refused.is_woken);
        if let Some(until) = entry
            .refused
            .until
            .filter(|until| was_woken && *until > now)
        {
            // Others were quicker. That is no news, and it waits no longer for it.
            return Some(until);
        }
        let job = Arc::clone(&entry.job);
        let why = self.why_refused(uid, &job)?;
        let text = format!("Error creating: {why}");
        self.job_event(turn, &job, Event::warning("FailedCreate", text));
        let refused = &mut self.jobs.get_mut(&uid)?.refused;
        let delay = BACKOFF_FIRST.saturating_mul(1 << refused.times.min(6));
        let until = now.saturating_add(delay.min(BACKOFF_MAX)).ok()?;
        refused.times = refused.times.saturating_add(1);
        refused.until = Some(until);
        Some(until)
    }

    /// The Job stands in line, if others can make room for it. One that `got_some` goes to
    /// its end: a Job that wants more than there ever is must not be the first for ever.
    fn take_place(&mut self, uid: Uid, got_some: bool) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let came = entry.admitted.as_ref().map(|it| it.outcome.as_ref());
        let claim = came.and_then(|came| came.ok()?.claim.as_ref());
        let (policies, namespace) = (&mut self.policies, &entry.job.namespace);
        let quotas = policies.quotas(namespace).map(|own| &own.quotas);
        let claim = claim.filter(|claim| {
            let mut quotas = quotas.into_iter().flatten();
            quotas.all(|(_, quota)| quota.may_hold(claim))
        });
        let mut before = entry.refused.place.take();
        if let Some(place) = before.take_if(|_| got_some) {
            policies.lines.leave(namespace, uid, &place);
        }
        let place = policies.lines.wait(namespace, uid, before, claim);
        entry.refused.place = Some(place);
    }

    /// What is against one more pod of the Job. Its name would be generated, so what
    /// it is generated from stands for it, and what is the same is said as the same.
    fn why_refused(&self, uid: Uid, job: &Job) -> Option<String> {
        let admitted = self.jobs.get(&uid)?.admitted.as_ref()?;
        let refusal = match &admitted.outcome {
            Err(refusal) => refusal.clone(),
            Ok(came) => {
                let own = self.policies.quotas(&job.namespace)?;
                let claim = came.claim.as_ref()?;
                let checked = own.quotas.values().map(|quota| quota.check_pod(claim));
                Refusal::Forbidden(checked.filter_map(Result::err).next()?)
            }
        };
        Some(refusal.text(&pod_name_prefix(&job.name, None)))
    }

    /// The Job waits for no room any more.
    pub(super) fn refused_no_more(&mut self, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let refused = std::mem::take(&mut entry.refused);
        if let Some(place) = refused.place {
            let (lines, namespace) = (&mut self.policies.lines, &entry.job.namespace);
            lines.leave(namespace, uid, &place);
            // What it was offered and does not take is for the next ones.
            lines.free(namespace);
        }
    }

    /// Looks at Jobs that wait for room where there may be some; whether there are such.
    pub(super) fn wake_refused(&mut self) -> bool {
        if self.policies.lines.is_quiet() {
            return false;
        }
        let mut woken = self.policies.lines.take_decided(DECIDED_MAX);
        for namespace in self.policies.lines.take_freed() {
            let own = self.policies.quotas(&namespace).into_iter();
            let quotas = own.flat_map(|own| own.quotas.values());
            let left = quotas.cloned().collect();
            let lines = &mut self.policies.lines;
            woken.extend(lines.offer(&namespace, left, WOKEN_MAX));
        }
        for uid in &woken {
            if let Some(entry) = self.jobs.get_mut(uid) {
                entry.refused.is_woken = true;
            }
            self.mark(*uid);
        }
        !woken.is_empty()
    }
}
