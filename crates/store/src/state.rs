//! The objects in memory, and the changes that watchers may ask for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use foldhash::HashMap;
use tokio::sync::Notify;

use crate::{Change, GenericObject, Key, Kind, Object, Stored};

/// Changes that are kept for watchers that come back. A pod's life is about six.
pub(crate) const HISTORY_CHANGES: usize = 100_000;

/// Events that are kept, oldest dropped first: they are hints for people, and
/// Kubernetes drops its own after an hour.
pub const EVENTS_KEPT: usize = 20_000;

/// Resource, namespace and name of an object of `Kind::Generic`.
pub(crate) type Names = (Arc<str>, Arc<str>, Arc<str>);

fn names(object: &GenericObject) -> Names {
    (
        Arc::clone(&object.resource),
        Arc::clone(&object.namespace),
        Arc::clone(&object.name),
    )
}

#[derive(Debug)]
pub(crate) enum Write {
    Put(Object),
    Delete(Key),
}

/// What all handles of a store share, and its journal's thread.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told of every commit, and when there will be none any more.
    pub(crate) committed: Notify,
    /// Told when the store's health changes.
    pub(crate) health_changed: Notify,
    closed: AtomicBool,
    /// Called after commits have become visible on their own, not within `commit`.
    pub(crate) on_visible: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Shared {
    #[cfg(feature = "durable")]
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            ..Self::default()
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs between two writes of a commit.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.committed.notify_waiters();
        self.health_changed.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) revision: u64,
    jobs: HashMap<Key, Stored>,
    pods: HashMap<Key, Stored>,
    events: HashMap<Key, Stored>,
    cron_jobs: HashMap<Key, Stored>,
    manifests: HashMap<Key, Stored>,
    generic: HashMap<Key, Stored>,
    /// In order, so that those of a resource and namespace stand together.
    generic_names: BTreeMap<Names, Key>,
    events_by_age: VecDeque<Key>,
    /// Changes with their revisions, oldest first.
    pub(crate) history: VecDeque<(u64, Change)>,
    /// The last revision whose change is no longer in `history`.
    pub(crate) forgotten: u64,
}

impl State {
    /// The objects as they were read from a disk. Events come in their order.
    #[cfg(feature = "durable")]
    pub(crate) fn recovered(revision: u64, objects: impl IntoIterator<Item = Stored>) -> Self {
        let mut state = Self {
            revision,
            forgotten: revision,
            ..Self::default()
        };
        for stored in objects {
            let key = stored.object.key();
            if key.kind == Kind::Event {
                state.events_by_age.push_back(key);
            }
            state.know_name(&stored.object);
            state.table(key.kind).insert(key, stored);
        }
        state
    }

    pub(crate) fn table(&mut self, kind: Kind) -> &mut HashMap<Key, Stored> {
        match kind {
            Kind::Job => &mut self.jobs,
            Kind::Pod => &mut self.pods,
            Kind::Event => &mut self.events,
            Kind::CronJob => &mut self.cron_jobs,
            Kind::Manifest => &mut self.manifests,
            Kind::Generic => &mut self.generic,
        }
    }

    /// The object of that name, of `Kind::Generic`.
    pub(crate) fn named(&self, names: &Names) -> Option<&Stored> {
        self.generic.get(self.generic_names.get(names)?)
    }

    /// The objects of that resource and namespace, of `Kind::Generic`, by name.
    pub(crate) fn of_namespace(
        &self,
        resource: &str,
        namespace: &str,
    ) -> impl Iterator<Item = &Stored> {
        let first: Names = (resource.into(), namespace.into(), "".into());
        let is_of = (Arc::clone(&first.0), Arc::clone(&first.1));
        let found = self.generic_names.range(first..);
        found
            .take_while(move |(names, _)| names.0 == is_of.0 && names.1 == is_of.1)
            .filter_map(|(_, key)| self.generic.get(key))
    }

    fn know_name(&mut self, object: &Object) {
        if let Object::Generic(generic) = object {
            self.generic_names.insert(names(generic), object.key());
        }
    }

    fn forget_name(&mut self, object: &Object) {
        // Another one may have the name by now.
        if let Object::Generic(generic) = object
            && self.generic_names.get(&names(generic)) == Some(&object.key())
        {
            self.generic_names.remove(&names(generic));
        }
    }

    /// Makes a commit visible, the revision of whose first write follows upon `before`.
    pub(crate) fn apply(&mut self, before: u64, writes: Vec<Write>) {
        self.revision = before;
        for write in writes {
            self.revision += 1;
            self.apply_write(write, self.revision);
        }
        while self.history.len() > HISTORY_CHANGES {
            if let Some((revision, _)) = self.history.pop_front() {
                self.forgotten = revision;
            }
        }
    }

    fn apply_write(&mut self, write: Write, revision: u64) {
        let change = match write {
            Write::Put(object) => {
                let key = object.key();
                let stored = Stored {
                    revision,
                    object: object.clone(),
                };
                let before = self.table(key.kind).insert(key, stored);
                self.know_name(&object);
                if key.kind == Kind::Event && before.is_none() {
                    self.events_by_age.push_back(key);
                }
                match before {
                    Some(before) => Change::Modified(object, before.object),
                    None => Change::Added(object),
                }
            }
            Write::Delete(key) => match self.table(key.kind).remove(&key) {
                Some(stored) => {
                    self.forget_name(&stored.object);
                    Change::Deleted(stored.object)
                }
                None => return,
            },
        };
        self.history.push_back((revision, change));
    }

    /// Drops the oldest event, if there are more than are kept. No watcher is told.
    pub(crate) fn forget_event(&mut self) -> Option<Key> {
        if self.events_by_age.len() <= EVENTS_KEPT {
            return None;
        }
        let key = self.events_by_age.pop_front()?;
        self.events.remove(&key);
        Some(key)
    }
}
