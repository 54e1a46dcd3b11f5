//! Reading and committing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use tokio::sync::Notify;

use crate::{Change, Key, Kind, Object, Stored, Watch};

/// Changes that are kept for watchers that come back. A pod's life is about six.
const HISTORY_CHANGES: usize = 100_000;

/// Events that are kept, oldest dropped first: they are hints for people, and
/// Kubernetes drops its own after an hour.
const EVENTS_KEPT: usize = 20_000;

/// A change of many objects that happens wholly or not at all.
#[derive(Debug, Default)]
pub struct Transaction {
    pub(crate) writes: Vec<Write>,
}

#[derive(Debug)]
pub(crate) enum Write {
    Put(Object),
    Delete(Key),
}

impl Transaction {
    /// Adds or replaces an object.
    pub fn put(&mut self, object: Object) {
        self.writes.push(Write::Put(object));
    }

    /// Removes an object; one that is not there stays so.
    pub fn delete(&mut self, key: Key) {
        self.writes.push(Write::Delete(key));
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// The objects. Cheap to clone; all clones are one store.
#[derive(Clone, Default)]
pub struct Store(Arc<Shared>);

#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told of every commit, and when there will be none any more.
    pub(crate) committed: Notify,
    closed: AtomicBool,
}

#[derive(Default)]
pub(crate) struct State {
    revision: u64,
    jobs: HashMap<Key, Stored>,
    pods: HashMap<Key, Stored>,
    events: HashMap<Key, Stored>,
    events_by_age: VecDeque<Key>,
    /// Changes with their revision, oldest first.
    pub(crate) history: VecDeque<(u64, Change)>,
    /// The last revision whose changes are no longer all in `history`.
    pub(crate) forgotten: u64,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs between two writes of a commit.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn table(&mut self, kind: Kind) -> &mut HashMap<Key, Stored> {
        match kind {
            Kind::Job => &mut self.jobs,
            Kind::Pod => &mut self.pods,
            Kind::Event => &mut self.events,
        }
    }

    fn apply(&mut self, write: Write, revision: u64) {
        let change = match write {
            Write::Put(object) => {
                let key = object.key();
                let stored = Stored {
                    revision,
                    object: object.clone(),
                };
                let before = self.table(key.kind).insert(key, stored);
                if key.kind == Kind::Event && before.is_none() {
                    self.events_by_age.push_back(key);
                }
                if before.is_some() {
                    Change::Modified(object)
                } else {
                    Change::Added(object)
                }
            }
            Write::Delete(key) => match self.table(key.kind).remove(&key) {
                Some(stored) => Change::Deleted(stored.object),
                None => return,
            },
        };
        self.history.push_back((revision, change));
    }

    fn forget(&mut self) {
        while self.events_by_age.len() > EVENTS_KEPT {
            if let Some(key) = self.events_by_age.pop_front() {
                self.events.remove(&key);
            }
        }
        while self.history.len() > HISTORY_CHANGES {
            if let Some((revision, _)) = self.history.pop_front() {
                self.forgotten = revision;
            }
        }
    }
}

impl Store {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits `transaction` and gives its revision. An empty one commits
    /// nothing and gives the current revision.
    pub fn commit(&self, transaction: Transaction) -> u64 {
        let mut state = self.0.lock();
        if transaction.is_empty() {
            return state.revision;
        }
        state.revision += 1;
        let revision = state.revision;
        for write in transaction.writes {
            state.apply(write, revision);
        }
        state.forget();
        drop(state);
        self.0.committed.notify_waiters();
        revision
    }

    /// The revision of the last commit.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.lock().revision
    }

    /// Says that nothing will be committed any more; who waits for a change is woken.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.committed.notify_waiters();
    }

    /// Whether nothing will be committed any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Waits until something after `revision` is committed, or nothing ever will be.
    pub async fn changed(&self, revision: u64) {
        loop {
            // Registered before the look, so that no commit falls in between.
            let committed = self.0.committed.notified();
            if self.revision() > revision || self.is_closed() {
                return;
            }
            committed.await;
        }
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Stored> {
        self.0.lock().table(key.kind).get(&key).cloned()
    }

    /// All objects of a kind that `pick` picks, and the revision at which that
    /// is true. In no order. `pick` runs under the store's lock and must be quick.
    pub fn list(&self, kind: Kind, mut pick: impl FnMut(&Object) -> bool) -> (u64, Vec<Stored>) {
        let mut state = self.0.lock();
        let found = state
            .table(kind)
            .values()
            .filter(|s| pick(&s.object))
            .cloned()
            .collect();
        (state.revision, found)
    }

    /// Watches all changes after `revision`.
    #[must_use]
    pub fn watch(&self, revision: u64) -> Watch {
        Watch::new(Arc::clone(&self.0), revision)
    }
}

#[cfg(test)]
mod tests {
    use wasmjob_api::{Event, Uid};

    use super::*;
    use crate::EventRecord;

    fn event(n: u128) -> Object {
        let key = Key {
            kind: Kind::Event,
            uid: Uid::from_random(n),
        };
        Object::Event(Arc::new(EventRecord {
            uid: key.uid,
            regarding: key,
            namespace: Arc::from("default"),
            name: Arc::from("x"),
            event: Event::normal("Test", format!("event {n}")),
            time: jiff::Timestamp::UNIX_EPOCH,
            source: "test",
        }))
    }

    fn put(store: &Store, objects: impl IntoIterator<Item = Object>) -> u64 {
        let mut transaction = Transaction::default();
        objects
            .into_iter()
            .for_each(|object| transaction.put(object));
        store.commit(transaction)
    }

    fn names(changes: &[(u64, Change)]) -> Vec<(u64, &'static str, u128)> {
        changes
            .iter()
            .map(|(revision, change)| {
                let n = (1..9)
                    .find(|n| change.object().key() == event(*n).key())
                    .unwrap_or(0);
                let what = match change {
                    Change::Added(_) => "added",
                    Change::Modified(_) => "modified",
                    Change::Deleted(_) => "deleted",
                };
                (*revision, what, n)
            })
            .collect()
    }

    #[test]
    fn one_transaction_is_one_revision() {
        let store = Store::new();
        assert_eq!(put(&store, [event(1), event(2)]), 1);
        assert_eq!(put(&store, [event(2)]), 2);
        assert_eq!(store.commit(Transaction::default()), 2);
        assert_eq!(store.get(event(1).key()).unwrap().revision, 1);
        assert_eq!(store.get(event(2).key()).unwrap().revision, 2);
        assert_eq!(store.list(Kind::Event, |_| true).1.len(), 2);
    }

    #[test]
    fn a_watch_sees_every_change_once_and_in_order() {
        let store = Store::new();
        let mut watch = store.watch(0);
        put(&store, [event(1), event(2)]);
        let mut gone = Transaction::default();
        gone.put(event(1));
        gone.delete(event(2).key());
        gone.delete(event(3).key());
        store.commit(gone);
        let seen = watch.try_next().unwrap();
        assert_eq!(
            names(&seen),
            [
                (1, "added", 1),
                (1, "added", 2),
                (2, "modified", 1),
                (2, "deleted", 2)
            ]
        );
        assert!(watch.try_next().unwrap().is_empty());
        put(&store, [event(4)]);
        assert_eq!(names(&watch.try_next().unwrap()), [(3, "added", 4)]);
        // Another one resumes where the first was.
        assert_eq!(
            names(&store.watch(2).try_next().unwrap()),
            [(3, "added", 4)]
        );
    }

    #[test]
    fn a_watch_that_comes_too_late_is_told() {
        let store = Store::new();
        let mut late = store.watch(0);
        for n in 0..=HISTORY_CHANGES as u128 {
            put(&store, [event(n)]);
        }
        let expired = late.try_next().unwrap_err();
        assert_eq!(expired.to_string(), "too old resource version: 0 (1)");
        assert_eq!(store.watch(store.revision()).try_next().unwrap().len(), 0);
    }
}
