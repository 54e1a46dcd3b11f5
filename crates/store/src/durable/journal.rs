//! The thread that makes commits durable, and only then visible.
//!
//! Whatever arrives while one batch is being written is the next batch, so that
//! many writers share an `fsync`.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::Database;
use serde_bytes::Bytes;

use super::load::{self, Loaded};
use super::record::{self, ChangeOut, CommitRow, Row, RowError};
use super::rows::{Fold, Pace, RowChange, Rows, Unfolded};
use super::{Disk, JOURNAL, OBJECTS, OpenError};
use crate::Health;
use crate::state::{Shared, Write};

/// How long a batch that could not be written waits to be tried again: at first,
/// and after it has waited twice as long each time. Each time the database is
/// opened anew, and may have to be repaired.
const RETRY_AFTER: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(30)];

/// Writes of a batch, unless one commit alone has more: a few milliseconds' work,
/// after which what is done can be seen, and a row of about 1 MiB.
const BATCH_WRITES_MAX: usize = 2_048;

/// Changes of a batch from which on it is a rush of its own.
const RUSH_CHANGES: usize = 1_000;

/// A commit that is not durable yet.
struct Pending {
    /// The revision before that of its first write.
    before: u64,
    writes: Vec<Write>,
}

impl Pending {
    /// The revision of its last write.
    fn last(&self) -> u64 {
        self.before + self.writes.len() as u64
    }
}

#[derive(Default)]
struct Queue {
    commits: VecDeque<Pending>,
    /// The last revision that was given to a commit.
    assigned: u64,
    /// Commits that are not visible yet.
    waiting: usize,
    health: Health,
    stopped: bool,
}

impl Queue {
    /// The oldest commits, as many as make one batch; at least one.
    fn take_batch(&mut self) -> Vec<Pending> {
        let mut writes = 0;
        let has_room = |commit: &&Pending| {
            let first = writes == 0;
            writes += commit.writes.len();
            first || writes <= BATCH_WRITES_MAX
        };
        let count = self.commits.iter().take_while(has_room).count();
        self.commits.drain(..count).collect()
    }
}

/// Where commits wait to become durable.
#[derive(Default)]
struct Journal {
    queue: Mutex<Queue>,
    ready: Condvar,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A push does not panic halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, writes: Vec<Write>) -> u64 {
        let mut queue = self.lock();
        let commit = Pending {
            before: queue.assigned,
            writes,
        };
        let revision = commit.last();
        queue.assigned = revision;
        queue.waiting += 1;
        // A failed store shows nothing any more; keeping what comes serves nobody.
        if !matches!(queue.health, Health::Failed(_)) {
            queue.commits.push_back(commit);
            drop(queue);
            self.ready.notify_one();
        }
        revision
    }

    fn set_health(&self, health: Health) -> bool {
        let mut queue = self.lock();
        if matches!(health, Health::Failed(_)) {
            queue.commits.clear();
        }
        let changed = queue.health != health;
        queue.health = health;
        changed
    }

    /// Whether commits wait for the batch that is being written.
    fn is_busy(&self) -> bool {
        !self.lock().commits.is_empty()
    }

    /// The next batch; `None` once it is stopped and nothing is left.
    fn next(&self) -> Option<Vec<Pending>> {
        let mut queue = self.lock();
        loop {
            if !queue.commits.is_empty() {
                return Some(queue.take_batch());
            }
            if queue.stopped {
                return None;
            }
            queue = self
                .ready
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits to try again; whether it should.
    fn wait_to_retry(&self, wait: Duration) -> bool {
        let queue = self.lock();
        let (queue, _) = self
            .ready
            .wait_timeout_while(queue, wait, |queue| !queue.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        !queue.stopped
    }
}

/// The journal and its thread, which ends when this is stopped or dropped,
/// having written what it was given.
pub(crate) struct JournalThread {
    journal: Arc<Journal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl JournalThread {
    pub(crate) fn start(
        disk: Box<dyn Disk>,
        loaded: Loaded,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let journal = Arc::new(Journal::default());
        let durable = shared.lock().revision;
        journal.lock().assigned = durable;
        let mut writer = Writer {
            disk,
            database: Some(loaded.database),
            sync_failed: loaded.sync_failed,
            rows: loaded.rows,
            unfolded: loaded.unfolded,
            durable,
            journal: Arc::clone(&journal),
            shared,
        };
        let thread = std::thread::Builder::new()
            .name("wasmjob-store".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            journal,
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl JournalThread {
    /// Takes a commit on and gives its revision.
    pub(crate) fn push(&self, writes: Vec<Write>) -> u64 {
        self.journal.push(writes)
    }

    /// The last revision that was given to a commit.
    pub(crate) fn assigned(&self) -> u64 {
        self.journal.lock().assigned
    }

    /// How many commits are not visible yet.
    pub(crate) fn waiting(&self) -> usize {
        self.journal.lock().waiting
    }

    pub(crate) fn health(&self) -> Health {
        self.journal.lock().health.clone()
    }

    /// Writes what is left, and gives the disk back.
    pub(crate) fn stop(&self) {
        self.journal.lock().stopped = true;
        self.journal.ready.notify_all();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl Drop for JournalThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why a batch is not durable.
enum WriteError {
    /// It may be tried again.
    Again(String),
    /// It may not.
    Never(String),
}

struct Writer {
    disk: Box<dyn Disk>,
    /// None after an error, until it is opened anew.
    database: Option<Database>,
    sync_failed: Arc<AtomicBool>,
    rows: Rows,
    unfolded: Unfolded,
    /// The last durable revision.
    durable: u64,
    journal: Arc<Journal>,
    shared: Arc<Shared>,
}

/// Says that nothing will become visible any more, also after a panic.
struct CloseOnDrop(Arc<Journal>, Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the store's thread panicked".to_owned();
            self.0.set_health(Health::Failed(reason));
            self.1.health_changed.notify_waiters();
        }
        if let Some(hook) = self.1.on_visible.get() {
            hook();
        }
    }
}

impl Writer {
    fn run(&mut self) {
        let _close = CloseOnDrop(Arc::clone(&self.journal), Arc::clone(&self.shared));
        while let Some(batch) = self.journal.next() {
            if !self.make_durable(batch) {
                return;
            }
        }
    }

    /// Writes a batch until it is durable, and shows it; `false` if it never will be.
    fn make_durable(&mut self, batch: Vec<Pending>) -> bool {
        let Some(last) = batch.last().map(Pending::last) else {
            return true;
        };
        let rows = match self.translate(&batch) {
            Ok(rows) => rows,
            Err(error) => return self.fail(error.to_string()),
        };
        let bytes = match journal_row(&rows) {
            Ok(bytes) => bytes,
            Err(error) => return self.fail(error.to_string()),
        };
        let changes = rows.iter().map(|(_, changes)| changes.len()).sum();
        let pace = match changes > RUSH_CHANGES || self.journal.is_busy() {
            true => Pace::Rush,
            false => Pace::Calm,
        };
        let fold = self
            .unfolded
            .plan(changes, self.disk.journal_bytes_max(), pace);
        let [mut wait, wait_max] = RETRY_AFTER;
        loop {
            match self.write(last, &bytes, &fold) {
                Ok(()) => break,
                Err(WriteError::Never(reason)) => return self.fail(reason),
                Err(WriteError::Again(reason)) => {
                    if self.journal.set_health(Health::Stalled(reason.clone())) {
                        tracing::error!(%reason, "nothing can be written; it will be tried again");
                        self.tell_health();
                    }
                    if !self.journal.wait_to_retry(wait) {
                        return false;
                    }
                    wait = (wait * 2).min(wait_max);
                }
            }
        }
        if self.journal.set_health(Health::Writable) {
            tracing::warn!("the store can be written again");
            self.tell_health();
        }
        self.durable = last;
        self.disk.mark(last);
        self.unfolded.folded(fold);
        for (revision, changes) in rows {
            for change in changes {
                self.unfolded.add(revision, change);
            }
        }
        self.unfolded.add_journal(last, bytes.len());
        self.show(batch, last);
        true
    }

    fn translate(&mut self, batch: &[Pending]) -> Result<Vec<(u64, Vec<RowChange>)>, RowError> {
        let mut rows = Vec::new();
        for commit in batch {
            for (revision, write) in (commit.before + 1..).zip(&commit.writes) {
                let mut changes = Vec::new();
                self.rows.translate(write, &mut changes)?;
                if !changes.is_empty() {
                    rows.push((revision, changes));
                }
            }
        }
        Ok(rows)
    }

    /// Makes a durable batch visible.
    fn show(&mut self, batch: Vec<Pending>, last: u64) {
        let commits = batch.len();
        let mut state = self.shared.lock();
        for commit in batch {
            state.apply(commit.before, commit.writes);
        }
        while let Some(key) = state.forget_event() {
            // The journal need not know: what is read back is forgotten as well.
            let key = Row::Event.key(key.uid.bits());
            self.unfolded.add(last, RowChange { key, value: None });
        }
        drop(state);
        self.journal.lock().waiting -= commits;
        self.tell();
    }

    fn tell(&self) {
        self.shared.committed.notify_waiters();
        if let Some(hook) = self.shared.on_visible.get() {
            hook();
        }
    }

    fn tell_health(&self) {
        self.shared.health_changed.notify_waiters();
        self.tell();
    }

    fn fail(&self, reason: String) -> bool {
        tracing::error!(%reason, "the store has failed: nothing will be written any more");
        self.journal.set_health(Health::Failed(reason));
        self.tell_health();
        false
    }

    fn write(&mut self, last: u64, bytes: &[u8], fold: &Fold) -> Result<(), WriteError> {
        let reopened = self.database.is_none();
        let database = match self.database.take() {
            Some(database) => database,
            None => self.reopen()?,
        };
        if reopened {
            // The attempt that failed may have been written all the same.
            let found = load::last_revision(&database).map_err(|error| self.sort_open(error))?;
            if found == last {
                self.database = Some(database);
                return Ok(());
            }
            if found != self.durable {
                return Err(WriteError::Never(format!(
                    "revision {} was acknowledged, and the last one on the disk is {found}",
                    self.durable
                )));
            }
        }
        match self.commit(&database, last, bytes, fold) {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            // Dropped: it trusts itself no more.
            Err(error) => Err(self.sort(&error)),
        }
    }

    fn reopen(&self) -> Result<Database, WriteError> {
        match load::open(&*self.disk, &self.sync_failed, false) {
            Ok(Some(database)) => Ok(database),
            Ok(None) => Err(WriteError::Never("its file is gone".to_owned())),
            Err(error) => Err(self.sort_open(error)),
        }
    }

    /// What the system refuses now, it may give later; damage stays.
    fn sort_open(&self, error: OpenError) -> WriteError {
        match error {
            error if self.has_failed_sync() => WriteError::Never(sync_failed(&error)),
            OpenError::Io { source, step } => {
                WriteError::Again(format!("failed to {step}: {source}"))
            }
            error => WriteError::Never(error.to_string()),
        }
    }

    fn has_failed_sync(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    fn sort(&self, error: &dyn std::error::Error) -> WriteError {
        if self.has_failed_sync() {
            WriteError::Never(sync_failed(error))
        } else {
            WriteError::Again(error.to_string())
        }
    }

    fn commit(
        &self,
        database: &Database,
        last: u64,
        bytes: &[u8],
        fold: &Fold,
    ) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        {
            let mut journal = transaction.open_table(JOURNAL)?;
            journal.insert(last, bytes)?;
            for last in &fold.journal {
                journal.remove(last)?;
            }
            let mut objects = transaction.open_table(OBJECTS)?;
            let mut row = Vec::new();
            for (place, key, value) in &fold.rows {
                match value {
                    Some((revision, value)) => {
                        row.clear();
                        row.extend_from_slice(&revision.to_le_bytes());
                        row.extend_from_slice(key);
                        row.extend_from_slice(value);
                        objects.insert(place, row.as_slice())?;
                    }
                    None => {
                        objects.remove(place)?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn sync_failed(error: &dyn std::error::Error) -> String {
    format!(
        "fsync failed ({error}): what was written last may be lost; stop and start again to read what is there"
    )
}

fn journal_row(rows: &[(u64, Vec<RowChange>)]) -> Result<Vec<u8>, RowError> {
    let commits: Vec<CommitRow<ChangeOut<'_>>> = rows
        .iter()
        .map(|(revision, changes)| CommitRow {
            revision: *revision,
            changes: changes
                .iter()
                .map(|change| ChangeOut {
                    key: change.key,
                    value: change.value.as_deref().map(Bytes::new),
                })
                .collect(),
        })
        .collect();
    record::to_bytes(&commits)
}
