//! The host's thread: the one place where decisions become changes.
//!
//! It turns in one loop: take what callers ask and what the node reports, let
//! the controllers plan for the Jobs that this touched, commit everything as one
//! transaction, and only then let the node act on it. So a pod never runs before
//! its row is committed, and counting a pod, replacing it and saying so in the
//! Job's status are one change.
//!
//! With a durable store a commit takes effect only once it is visible there. The
//! thread does not wait for that: it goes on turning, on what it has decided,
//! and what follows from a turn (answers, starts) happens when the store shows
//! it. Only what ends pods does not wait: a crash would end them as well.

mod admission;
mod answers;
mod claim;
mod commands;
mod cron;
mod events;
mod garbage;
mod jobs;
mod lines;
mod mailbox;
mod manifests;
mod pods;
mod policies;
mod recover;
mod refused;
mod results;
mod time;
mod turn;
mod update;
mod write;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use jiff::Timestamp;
use tokio::sync::oneshot;
use wasmjob_api::schedule::Zone;
use wasmjob_api::{Cause, Pod, Uid};
use wasmjob_controllers::cron_job::Awake;
use wasmjob_node::{Clock, Node};

use wasmjob_store::{GenericObject, Health, ManifestRecord, Store};

pub(crate) use admission::Admitted;
use answers::Answers;
use commands::Names;
use events::RecentEvents;
pub(crate) use garbage::FinishedPods;
use mailbox::CloseOnDrop;
pub(crate) use mailbox::{Applied, Command, EditFn, Mailbox, New};
pub use manifests::ManifestChanges;
pub(crate) use manifests::ManifestFile;
use policies::Policies;
pub(crate) use refused::Refused;
use turn::{Effects, Finished, Relabelled, Turn};
use write::GenericNames;
pub use write::{NewObject, Replacement, Write, WriteError, Written};

use crate::clock::SteadyClock;
use crate::clock_watch::ClockWatch;
use crate::cron::{CronEntry, CronTimers};
use crate::job::{JobEntry, JobTimers};
use crate::objects::{ACCOUNTS, config_name};
use crate::random::Random;
use crate::{ApplyError, Counts, EditError, Figures, PodResult};

/// What the host's thread owns.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) node: Node,
    pub(crate) clock: Arc<SteadyClock>,
    pub(crate) random: Random,
    pub(crate) mailbox: Arc<Mailbox>,
    jobs: HashMap<Uid, JobEntry>,
    job_names: HashMap<Names, Uid>,
    /// Pods of no Job, and pods of Jobs that are gone, until they have ended.
    loose: HashMap<Uid, Arc<Pod>>,
    pod_names: HashMap<Names, Uid>,
    /// Pods of which the node does not know whose they are by now.
    adopted: HashMap<Uid, Uid>,
    /// Jobs whose selectors were written by hand, and may take pods that are there.
    manual_selectors: BTreeSet<Uid>,
    cron_jobs: HashMap<Uid, CronEntry>,
    cron_names: HashMap<Names, Uid>,
    cron_timers: CronTimers,
    dirty_cron: Vec<Uid>,
    manifests: HashMap<Arc<str>, Arc<ManifestRecord>>,
    /// Objects of kinds that nothing here acts on.
    generic: HashMap<GenericNames, Arc<GenericObject>>,
    generic_uids: HashMap<Uid, GenericNames>,
    /// The namespaces, and whether they are being deleted.
    namespaces: HashMap<Arc<str>, bool>,
    /// What decides about newcomers.
    policies: Policies,
    pod_waiters: HashMap<Uid, Vec<oneshot::Sender<PodResult>>>,
    timers: JobTimers,
    dirty: Vec<Uid>,
    /// Jobs that CronJobs made, to be looked at when no CronJob is due any more.
    fresh: Vec<Uid>,
    /// When changes of pods that go on are committed.
    changes_due: Option<Instant>,
    /// What follows from commits that are not visible yet, by their revision.
    waiting: VecDeque<(u64, Effects)>,
    answers: Answers,
    /// Commands that came while nothing was taken in.
    deferred: Vec<Command>,
    /// The zone of CronJobs that name none.
    zone: Zone,
    /// When this process began (wall time).
    started: Timestamp,
    /// Since when the host has looked at CronJobs without a break.
    awake: Awake,
    clock_watch: Option<ClockWatch>,
    /// When somebody last tried to start it.
    clock_watch_tried: Option<Instant>,
    finished_pods: FinishedPods,
    recent_events: RecentEvents,
    /// What was done since the host began.
    counts: Counts,
    /// Nothing is begun any more; who asked for that is told when nothing runs.
    draining: Option<oneshot::Sender<()>>,
    /// Pods that were to be started while it drains.
    never_started: Vec<Uid>,
}

/// How long the change of a pod that goes on may wait to be committed. Most pods
/// of a busy host end before that, and then only their end is.
const CHANGES_WAIT: Duration = Duration::from_millis(1);

impl Core {
    pub(crate) fn new(
        store: Store,
        node: Node,
        clock: Arc<SteadyClock>,
        random: Random,
        mailbox: Arc<Mailbox>,
        zone: Zone,
        finished_pods: FinishedPods,
    ) -> Self {
        let started = clock.wall();
        Self {
            store,
            node,
            clock,
            random,
            mailbox,
            jobs: HashMap::default(),
            job_names: HashMap::default(),
            loose: HashMap::default(),
            pod_names: HashMap::default(),
            adopted: HashMap::default(),
            manual_selectors: BTreeSet::new(),
            cron_jobs: HashMap::default(),
            cron_names: HashMap::default(),
            cron_timers: CronTimers::default(),
            dirty_cron: Vec::new(),
            manifests: HashMap::default(),
            generic: HashMap::default(),
            generic_uids: HashMap::default(),
            namespaces: HashMap::default(),
            policies: Policies::default(),
            pod_waiters: HashMap::default(),
            timers: JobTimers::default(),
            dirty: Vec::new(),
            fresh: Vec::new(),
            changes_due: None,
            waiting: VecDeque::new(),
            answers: Answers::default(),
            deferred: Vec::new(),
            zone,
            started,
            awake: Awake {
                since: started,
                after: Cause::Down,
            },
            clock_watch: None,
            clock_watch_tried: None,
            finished_pods,
            recent_events: RecentEvents::default(),
            counts: Counts::default(),
            draining: None,
            never_started: Vec::new(),
        }
    }

    /// Turns until it is told to stop, or the store fails. `ready` is answered
    /// when everybody can see what a restart has made of the objects.
    pub(crate) fn run(mut self, ready: oneshot::Sender<()>) {
        // Also when this thread panics: nobody must wait for it then.
        let _closed = CloseOnDrop(Arc::clone(&self.mailbox), self.store.clone());
        // Set once, by this thread.
        let _ = self.mailbox.thread.set(std::thread::current());
        self.recover(ready);
        loop {
            self.mailbox.woken.store(false, Ordering::Release);
            if !self.turn() {
                break;
            }
            // Starting and stopping pods may have ended some at once.
            let more = self.node.has_ended()
                || self.draining.is_none()
                    && !(self.dirty.is_empty() && self.policies.lines.is_quiet())
                || self.begins() && !self.dirty_cron.is_empty();
            if more && !self.is_backlogged() || self.mailbox.woken.load(Ordering::Acquire) {
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
        if self.is_backlogged() {
            let timeouts = [self.node.next_timeout(), self.answers.next_timeout()];
            return timeouts.into_iter().flatten().min();
        }
        [
            self.node.next_timeout(),
            self.answers.next_timeout(),
            self.timers.next(),
            self.changes_due,
            self.cron_timeout().filter(|_| self.begins()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// One turn; `false` ends the thread.
    fn turn(&mut self) -> bool {
        if let Health::Failed(_) = self.store.health() {
            return false;
        }
        self.take_effect();
        self.give_up_answers();
        if self.is_backlogged() {
            return self.turn_backlogged();
        }
        let mut turn = Turn::default();
        self.follow_clock(&mut turn);
        for command in self.take_commands() {
            match command {
                Command::Apply(new, reply) => {
                    let applied = match self.refusal() {
                        Some(reason) => Err(ApplyError::Unavailable(reason)),
                        None => self.apply(&mut turn, new),
                    };
                    turn.effects
                        .answer_or_refuse(reply, applied, ApplyError::Unavailable);
                }
                Command::WaitJob(uid, reply) => self.wait_job(&mut turn, uid, reply),
                Command::WaitPod(uid, reply) => self.wait_pod(&mut turn, uid, reply),
                Command::Edit(uid, edit, reply) => {
                    let edited = match self.refusal() {
                        Some(reason) => Err(EditError::Unavailable(reason)),
                        None => self.edit(&mut turn, uid, edit),
                    };
                    turn.effects
                        .answer_or_refuse(reply, edited, EditError::Unavailable);
                }
                Command::Write(write, reply) => {
                    let written = match self.refusal() {
                        Some(reason) => Err(WriteError::Unavailable(reason)),
                        None => self.write(&mut turn, *write),
                    };
                    turn.effects
                        .answer_or_refuse(reply, written, WriteError::Unavailable);
                }
                Command::Review(new, reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.review(*new));
                }
                Command::ReviewWrite(write, reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.review_write(*write));
                }
                Command::ClaimInUse(namespace, name, reply) => {
                    let _ = reply.send(self.node.has_claim(&namespace, &name));
                }
                Command::Figures(reply) => {
                    let (usage, counts) = (self.node.usage(), self.counts.clone());
                    // Who asked may have gone.
                    let _ = reply.send(Figures { usage, counts });
                }
                Command::Exec(exec, reply) => {
                    // Dropped, if nobody waits for it any more, it is killed.
                    let _ = reply.send(self.node.exec(*exec));
                }
                Command::Delete(key, propagation) => self.delete(&mut turn, key, propagation),
                Command::ApplyManifest(manifest, reply) => {
                    let changes = match self.refusal() {
                        Some(reason) => Err(ApplyError::Unavailable(reason)),
                        None => self.apply_manifest(&mut turn, manifest),
                    };
                    turn.effects
                        .answer_or_refuse(reply, changes, ApplyError::Unavailable);
                }
                Command::RemoveManifest(file, reply) => {
                    let changes = self.remove_manifest(&mut turn, &file);
                    turn.effects
                        .answer_or_refuse(reply, Ok(changes), ApplyError::Unavailable);
                }
                Command::Ping(reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                }
                Command::Tokens => {
                    let generic = self.generic.values();
                    let accounts = generic.filter(|it| &*it.resource == ACCOUNTS);
                    let names = accounts.filter_map(|account| config_name(account));
                    turn.effects.configs.extend(names);
                }
                Command::Drain(reply) => {
                    self.draining = Some(reply);
                    self.drop_queued(&mut turn);
                }
                Command::Stop => {
                    self.drop_queued(&mut turn);
                    self.act(turn);
                    return false;
                }
                Command::RenameManifest(from, to, reply) => {
                    let renamed = self.rename_manifest(&mut turn, &from, to);
                    turn.effects
                        .answer_or_refuse(reply, Ok(renamed), ApplyError::Unavailable);
                }
            }
        }
        self.node.handle();
        if self.node.heeds_clock() {
            self.watch_clock();
        }
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
        self.look_at_jobs(&mut turn, wall);
        // After the Jobs: what they came to is counted. A slot that comes while
        // nothing can be stored is found late, and says so.
        if self.begins() {
            self.look_at_cron_jobs(&mut turn, wall);
        }
        self.look_at_jobs(&mut turn, wall);
        for uid in std::mem::take(&mut self.never_started) {
            self.drop_pod(&mut turn, uid);
        }
        self.collect_pods(&mut turn);
        self.act(turn);
        self.drained();
        if self.changes_due.is_none() && self.node.has_changes() {
            self.changes_due = Some(now + CHANGES_WAIT);
        }
        true
    }

    /// Whether new Jobs may begin: not while nothing can be stored, and not while
    /// it drains.
    fn begins(&self) -> bool {
        self.draining.is_none() && self.store.health() == Health::Writable
    }

    fn look_at_jobs(&mut self, turn: &mut Turn, now: Timestamp) {
        if self.draining.is_some() {
            // What is left is left for the next start.
            return;
        }
        let some_woken = self.wake_refused();
        let mut dirty = std::mem::take(&mut self.dirty);
        if some_woken {
            // Who stands in line goes first, or whoever freed something takes it again.
            let waits = |uid: &Uid| self.jobs.get(uid).is_none_or(|job| !job.refused.is_woken);
            dirty.sort_by_key(waits);
        }
        for uid in dirty {
            self.look(turn, uid, now);
        }
    }

    /// Commits a turn's changes and does what follows from them, now or when
    /// they are visible.
    fn act(&mut self, mut turn: Turn) {
        self.settle_quotas(&mut turn);
        let revision = self.store.commit(turn.close());
        let answers = std::mem::take(&mut turn.effects.answers);
        self.answers.push(revision, answers, self.clock.monotonic());
        for (uid, grace) in turn.stop {
            self.node.stop(uid, grace);
        }
        if !turn.effects.is_empty() {
            self.waiting.push_back((revision, turn.effects));
        }
        self.take_effect();
    }

    /// Does what follows from the commits that are visible.
    fn take_effect(&mut self) {
        if self.waiting.is_empty() && self.answers.is_empty() {
            return;
        }
        let visible = self.store.revision();
        let mut started = false;
        // Before anybody hears of it: a policy that is there holds, for those that it
        // selects by now.
        let seen = self.waiting.iter_mut();
        for (_, effects) in seen.take_while(|(revision, _)| *revision <= visible) {
            started |= !effects.configs.is_empty();
            for name in std::mem::take(&mut effects.configs) {
                self.node.config_changed(&name);
            }
            // Those that are yet to start get their labels when they have.
            let yet_to_start =
                |(uid, metadata): &Relabelled| !self.node.relabelled(*uid, metadata.as_ref());
            effects.relabelled.retain(yet_to_start);
        }
        self.answers.tell(visible);
        while let Some((_, effects)) = self
            .waiting
            .pop_front_if(|(revision, _)| *revision <= visible)
        {
            started |= !effects.start.is_empty();
            for pod in effects.start {
                // It may have been deleted while its row was on its way: then it
                // ends before it is admitted.
                let (uid, is_wanted) = (pod.uid, self.is_wanted(&pod));
                if self.draining.is_some() && is_wanted {
                    // It is made anew at the next start.
                    self.never_started.push(uid);
                    continue;
                }
                self.node.start(pod);
                if !is_wanted {
                    self.node.stop(uid, Duration::ZERO);
                }
            }
            for (uid, metadata) in effects.relabelled {
                self.node.relabelled(uid, metadata.as_ref());
            }
            for Finished { job, pods, waiters } in effects.finished {
                if let Some(end) = job.finished() {
                    tracing::info!(
                        namespace = %job.namespace,
                        name = %job.name,
                        succeeded = job.status.succeeded,
                        failed = job.status.failed,
                        reason = %end.reason,
                        "Job is {}",
                        end.condition_type.as_str()
                    );
                }
                self.tell_end(&job, pods, waiters);
            }
            for uid in effects.asked {
                self.tell_finished(uid);
            }
            for pod in effects.ended {
                self.tell_ended(&pod);
            }
            for uid in effects.gone {
                self.node.logs().forget(uid);
            }
        }
        if started {
            // Admits them, and starts what can start, without another turn.
            self.node.handle();
        }
    }

    /// Tells who waits for that when nothing runs any more.
    fn drained(&mut self) {
        if self.node.live() == 0
            && self.waiting.is_empty()
            && self.answers.is_empty()
            && self.never_started.is_empty()
            && let Some(reply) = self.draining.take_if(|reply| !reply.is_closed())
        {
            // It stays drained: a closed reply begins nothing either.
            let (closed, _) = oneshot::channel();
            self.draining = Some(closed);
            let _ = reply.send(());
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
}
