//! Reading and committing.

use std::sync::Arc;

#[cfg(feature = "durable")]
use crate::durable::{self, Disk, JournalThread, OpenError, SecretKey};
#[cfg(not(feature = "durable"))]
use crate::no_journal::JournalThread;
use crate::state::{Shared, Write};
use crate::{Key, Kind, Object, Stored, Watch};

/// A change of many objects that happens wholly or not at all.
///
/// Each write has a revision of its own, the first that of the last commit and 1.
/// So whoever has seen one of them can go on with the next.
#[derive(Debug, Default)]
pub struct Transaction {
    writes: Vec<Write>,
}

impl Transaction {
    /// Adds or replaces an object.
    pub fn put(&mut self, object: Object) {
        self.writes.push(Write::Put(object));
    }

    /// Puts `object` in place of what is put as the `place`th write, counted from 0;
    /// at the end where there is no such write.
    pub fn put_at(&mut self, place: usize, object: Object) {
        match self.writes.get_mut(place) {
            Some(write) => *write = Write::Put(object),
            None => self.put(object),
        }
    }

    /// The place of the last write of `key`, counted from 0.
    #[must_use]
    pub fn place(&self, key: Key) -> Option<usize> {
        self.writes.iter().rposition(|write| match write {
            Write::Put(object) => object.key() == key,
            Write::Delete(gone) => *gone == key,
        })
    }

    /// How many writes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
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

/// Whether commits can become durable.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// They can.
    #[default]
    Writable,
    /// Not now, for this reason (a full disk, say). What was committed waits,
    /// unseen, and is tried again.
    Stalled(String),
    /// Never again, for this reason. What was not visible yet may be lost; the
    /// store must be opened anew to know.
    Failed(String),
}

/// The objects. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    /// A store in memory has none: its commits are visible at once.
    durable: Option<JournalThread>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// Makes an empty store in memory.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Handle {
            shared: Arc::default(),
            durable: None,
        }))
    }

    /// Opens the store on `disk`, and begins it where there is none. All that was
    /// visible before is visible again, under the same revisions; watches begin
    /// here. Blocks until all of it is read.
    ///
    /// # Errors
    ///
    /// When it is damaged, was written by a newer version, or cannot be read.
    /// Nothing is changed then.
    #[cfg(feature = "durable")]
    pub fn open(disk: impl Disk) -> Result<Self, OpenError> {
        Self::open_with(disk, None)
    }

    /// As [`Store::open`], with a key that Secrets are encrypted with on the disk. Those
    /// that are not yet are written anew at once, as a commit of their own; what stood
    /// there before may be found in pages of the database that are not in use, until
    /// they are.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; and when Secrets are encrypted and `key` is none, or another.
    #[cfg(feature = "durable")]
    pub fn open_with(disk: impl Disk, key: Option<SecretKey>) -> Result<Self, OpenError> {
        let mut loaded = durable::load(&disk, key)?;
        let plain = std::mem::take(&mut loaded.plain);
        let shared = Arc::new(Shared::new(std::mem::take(&mut loaded.state)));
        let thread = JournalThread::start(Box::new(disk), loaded, Arc::clone(&shared));
        let store = Self(Arc::new(Handle {
            shared,
            durable: Some(thread.map_err(|source| OpenError::Io {
                step: "start the store's thread".to_owned(),
                source,
            })?),
        }));
        let mut transaction = Transaction::default();
        plain.into_iter().for_each(|object| transaction.put(object));
        store.commit(transaction);
        Ok(store)
    }

    /// Commits `transaction` and gives the revision of its last write. An empty one
    /// commits nothing and gives the revision of the last commit.
    ///
    /// In memory it is visible when this returns. A durable store shows it once
    /// it is durable, when [`Store::revision`] has reached it.
    pub fn commit(&self, transaction: Transaction) -> u64 {
        if transaction.is_empty() {
            return self.last_revision();
        }
        if let Some(durable) = &self.0.durable {
            return durable.push(transaction.writes);
        }
        let mut state = self.0.shared.lock();
        let before = state.revision;
        state.apply(before, transaction.writes);
        let revision = state.revision;
        while state.forget_event().is_some() {}
        drop(state);
        self.0.shared.committed.notify_waiters();
        revision
    }

    /// The revision of the last commit that is visible.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.shared.lock().revision
    }

    /// The revision of the last commit, visible or not.
    #[must_use]
    pub fn last_revision(&self) -> u64 {
        match &self.0.durable {
            Some(durable) => durable.assigned(),
            None => self.revision(),
        }
    }

    /// How many commits are not visible yet.
    #[must_use]
    pub fn commits_waiting(&self) -> usize {
        match &self.0.durable {
            Some(durable) => durable.waiting(),
            None => 0,
        }
    }

    /// Whether commits can become durable; in memory they need not.
    #[must_use]
    pub fn health(&self) -> Health {
        match &self.0.durable {
            Some(durable) => durable.health(),
            None => Health::Writable,
        }
    }

    /// Waits until the health is another one than `known`, or nothing will be
    /// committed any more.
    pub async fn health_changed(&self, known: &Health) {
        loop {
            // Registered before the look, so that no change falls in between.
            let changed = self.0.shared.health_changed.notified();
            if self.health() != *known || self.is_closed() {
                return;
            }
            changed.await;
        }
    }

    /// Calls `hook` whenever commits have become visible after [`Store::commit`]
    /// returned, and when the health changes for the worse. It is called by the
    /// store's thread and must be quick. The first hook stays.
    pub fn on_visible(&self, hook: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.shared.on_visible.set(Box::new(hook));
    }

    /// Ends the commits: what was committed becomes durable, the disk is given
    /// back, and who waits for a change is woken. What is visible can still be read.
    pub fn close(&self) {
        if let Some(durable) = &self.0.durable {
            durable.stop();
        }
        self.0.shared.close();
    }

    /// Whether nothing will be committed any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.shared.is_closed()
    }

    /// Waits until something after `revision` is visible, or nothing ever will be.
    pub async fn changed(&self, revision: u64) {
        loop {
            // Registered before the look, so that no commit falls in between.
            let committed = self.0.shared.committed.notified();
            if self.revision() > revision || self.is_closed() {
                return;
            }
            committed.await;
        }
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Stored> {
        self.0.shared.lock().table(key.kind).get(&key).cloned()
    }

    /// The object of `Kind::Generic` with that resource, namespace (empty for one of
    /// the whole cluster) and name.
    #[must_use]
    pub fn named(&self, resource: &str, namespace: &str, name: &str) -> Option<Stored> {
        let names = (resource.into(), namespace.into(), name.into());
        self.0.shared.lock().named(&names).cloned()
    }

    /// The objects of `Kind::Generic` of that resource in that namespace, by name.
    #[must_use]
    pub fn of_namespace(&self, resource: &str, namespace: &str) -> Vec<Stored> {
        let state = self.0.shared.lock();
        state.of_namespace(resource, namespace).cloned().collect()
    }

    /// All objects of a kind that `pick` picks, and the revision at which that
    /// is true. In no order. `pick` runs under the store's lock and must be quick.
    pub fn list(&self, kind: Kind, mut pick: impl FnMut(&Object) -> bool) -> (u64, Vec<Stored>) {
        let mut state = self.0.shared.lock();
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
        Watch::new(Arc::clone(&self.0.shared), revision)
    }
}

#[cfg(test)]
mod tests {
    use wasmjob_api::{Event, Uid};

    use super::*;
    use crate::state::HISTORY_CHANGES;
    use crate::{Change, EventRecord};

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
            first: jiff::Timestamp::UNIX_EPOCH,
            count: 1,
            source: "test".into(),
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
                    Change::Modified(..) => "modified",
                    Change::Deleted(_) => "deleted",
                };
                (*revision, what, n)
            })
            .collect()
    }

    #[test]
    fn every_write_has_a_revision() {
        let store = Store::new();
        assert_eq!(put(&store, [event(1), event(2)]), 2);
        assert_eq!(put(&store, [event(2)]), 3);
        assert_eq!(store.commit(Transaction::default()), 3);
        assert_eq!(store.get(event(1).key()).unwrap().revision, 1);
        assert_eq!(store.get(event(2).key()).unwrap().revision, 3);
        assert_eq!(store.list(Kind::Event, |_| true).1.len(), 2);
    }

    #[test]
    fn a_name_leads_to_who_has_it_now() {
        let store = Store::new();
        let config = |n: u128, name: &str| {
            Object::Generic(Arc::new(crate::GenericObject {
                uid: Uid::from_random(n),
                resource: "configmaps".into(),
                namespace: "default".into(),
                name: name.into(),
                json: Box::default(),
            }))
        };
        let of = |name| Some(store.named("configmaps", "default", name)?.object.key());
        put(&store, [config(1, "a"), config(2, "b")]);
        assert_eq!(of("a"), Some(config(1, "a").key()));
        assert_eq!(of("c"), None);
        let mut again = Transaction::default();
        again.delete(config(1, "a").key());
        again.put(config(3, "a"));
        store.commit(again);
        assert_eq!(of("a"), Some(config(3, "a").key()));
        let mut gone = Transaction::default();
        gone.put(config(4, "b"));
        gone.delete(config(2, "b").key());
        store.commit(gone);
        assert_eq!(of("b"), Some(config(4, "b").key()));
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
                (2, "added", 2),
                (3, "modified", 1),
                (4, "deleted", 2)
            ]
        );
        assert!(watch.try_next().unwrap().is_empty());
        // What was to be deleted and was not there has a revision as well.
        put(&store, [event(4)]);
        assert_eq!(names(&watch.try_next().unwrap()), [(6, "added", 4)]);
        // Another one resumes where the first was, also between two writes of a commit.
        assert_eq!(
            names(&store.watch(3).try_next().unwrap()),
            [(4, "deleted", 2), (6, "added", 4)]
        );
    }

    #[test]
    fn a_watch_ends_when_the_store_is_closed() {
        let store = Store::new();
        let mut watch = store.watch(0);
        let waiting = std::thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let mut next = || runtime.as_ref().unwrap().block_on(watch.next()).unwrap();
            (next(), next(), next())
        });
        put(&store, [event(1)]);
        store.close();
        let (seen, end, and_again) = waiting.unwrap().join().unwrap();
        assert_eq!(names(&seen), [(1, "added", 1)]);
        assert!(end.is_empty() && and_again.is_empty());
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
