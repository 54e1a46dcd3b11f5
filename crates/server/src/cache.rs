//! The objects by name, as clients ask for them, and who watches them.
//!
//! The cache follows the store. Whoever reads first takes in what has become
//! visible since, so a read never misses a write that was acknowledged. Every
//! state of an object is one [`Entry`], rendered once, whoever reads it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use wasmjob::{Change, Expired, Kind, Object, Store, Stored, Written};

use crate::render::{self, NodeName};

/// Bytes of rendered objects that are kept. Beyond that they are rendered anew
/// for whoever reads them.
const RENDERED_BYTES_MAX: usize = 64 << 20;

/// Events that a watcher may be behind before it is cut off.
const WATCH_QUEUE: usize = 1_000;

/// One state of one object.
pub(crate) struct Entry {
    pub(crate) object: Object,
    pub(crate) revision: u64,
    node: NodeName,
    json: OnceLock<Bytes>,
    rendered: Arc<AtomicUsize>,
}

impl Entry {
    fn new(object: Object, revision: u64, shared: &Shared) -> Arc<Self> {
        Arc::new(Self {
            object,
            revision,
            node: shared.node.clone(),
            json: OnceLock::new(),
            rendered: Arc::clone(&shared.rendered),
        })
    }

    /// The object as JSON, in the version that it is kept in.
    pub(crate) fn json(&self) -> Bytes {
        if let Some(json) = self.json.get() {
            return json.clone();
        }
        let bytes = serde_json::to_vec(&self.value()).unwrap_or_default();
        let json = Bytes::from(bytes);
        if self.rendered.load(Ordering::Relaxed) < RENDERED_BYTES_MAX
            && self.json.set(json.clone()).is_ok()
        {
            self.rendered.fetch_add(json.len(), Ordering::Relaxed);
        }
        json
    }

    /// The object as a value.
    pub(crate) fn value(&self) -> Value {
        match self.json.get() {
            Some(json) => serde_json::from_slice(json).unwrap_or(Value::Null),
            None => render::value(&self.object, self.revision, &self.node),
        }
    }

    /// This state of the object as that of another revision.
    pub(crate) fn at_revision(&self, revision: u64) -> Arc<Self> {
        Arc::new(Self {
            object: self.object.clone(),
            revision,
            node: self.node.clone(),
            json: OnceLock::new(),
            rendered: Arc::clone(&self.rendered),
        })
    }

    /// Whether its deletion was asked for already.
    pub(crate) fn is_being_deleted(&self) -> bool {
        match &self.object {
            Object::Job(job) => job.deletion.is_some(),
            Object::CronJob(cron_job) => cron_job.deletion.is_some(),
            Object::Pod(pod) => pod.deletion.is_some(),
            Object::Generic(_) => {
                let at = &self.value()["metadata"]["deletionTimestamp"];
                !at.is_null()
            }
            Object::Event(_) | Object::Manifest(_) => false,
        }
    }

    /// `deletionTimestamp`: when it should be gone, if its deletion was asked for.
    pub(crate) fn deletion(&self) -> Option<Timestamp> {
        match &self.object {
            Object::Job(job) => job.deletion,
            Object::CronJob(cron_job) => cron_job.deletion,
            Object::Pod(pod) => pod.deletion.map(|deletion| deletion.at),
            Object::Generic(_) => {
                let value = self.value();
                value["metadata"]["deletionTimestamp"]
                    .as_str()?
                    .parse()
                    .ok()
            }
            Object::Event(_) | Object::Manifest(_) => None,
        }
    }

    /// The name of the node.
    pub(crate) fn node(&self) -> &str {
        &self.node.0
    }

    /// Its namespace, empty if it has none, and its name.
    pub(crate) fn names(&self) -> Names {
        names(&self.object)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(json) = self.json.get() {
            self.rendered.fetch_sub(json.len(), Ordering::Relaxed);
        }
    }
}

/// Namespace and name.
pub(crate) type Names = (Arc<str>, Arc<str>);

fn names(object: &Object) -> Names {
    match object {
        Object::Job(job) => (Arc::clone(&job.namespace), Arc::clone(&job.name)),
        Object::CronJob(job) => (Arc::clone(&job.namespace), Arc::clone(&job.name)),
        Object::Pod(pod) => (Arc::clone(&pod.namespace), Arc::clone(&pod.name)),
        Object::Event(event) => (
            Arc::clone(&event.namespace),
            render::event_name(event).into(),
        ),
        Object::Generic(object) => (Arc::clone(&object.namespace), Arc::clone(&object.name)),
        Object::Manifest(manifest) => (Arc::from(""), Arc::clone(&manifest.file)),
    }
}

/// The resource that an object is kept as: `jobs.batch`, `pods`, `configmaps`.
fn resource(object: &Object) -> &str {
    match object {
        Object::Job(_) => "jobs.batch",
        Object::CronJob(_) => "cronjobs.batch",
        Object::Pod(_) => "pods",
        Object::Event(_) => "events",
        Object::Generic(object) => &object.resource,
        Object::Manifest(_) => "",
    }
}

/// What a watcher is told. All watchers share it.
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// How the object is; of one that is gone, how it was, under the revision of its end.
    pub(crate) entry: Arc<Entry>,
    /// How it was before it was modified.
    pub(crate) before: Option<Arc<Entry>>,
    /// The event as most watchers get it.
    frame: OnceLock<Bytes>,
}

/// What has become of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    Added,
    Modified,
    Deleted,
}

impl EventKind {
    /// The word that Kubernetes uses.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

impl Event {
    fn new(kind: EventKind, entry: Arc<Entry>, before: Option<Arc<Entry>>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            entry,
            before,
            frame: OnceLock::new(),
        })
    }

    /// The event as a line of JSON.
    pub(crate) fn frame(&self) -> Bytes {
        let frame = || frame(self.kind.as_str(), &self.entry.json());
        self.frame.get_or_init(frame).clone()
    }
}

/// An event as a line of JSON.
pub(crate) fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}

/// Which objects are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) name: Option<Arc<str>>,
}

impl Scope {
    fn covers(&self, (namespace, name): &Names) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
            && self.name.as_ref().is_none_or(|own| own == name)
    }
}

struct Watcher {
    scope: Scope,
    sender: mpsc::Sender<Arc<Event>>,
}

#[derive(Default)]
struct Table {
    objects: BTreeMap<Names, Arc<Entry>>,
    /// The revision that last changed it.
    changed: u64,
    watchers: Vec<Watcher>,
}

struct Shared {
    node: NodeName,
    rendered: Arc<AtomicUsize>,
}

struct Inner {
    watch: wasmjob::Watch,
    tables: HashMap<Box<str>, Table>,
    /// Names of events by their age: the store forgets the oldest without a word.
    events: VecDeque<Names>,
    events_max: usize,
}

/// The objects by name.
pub(crate) struct Cache {
    store: Store,
    shared: Shared,
    inner: Mutex<Inner>,
}

/// Objects at one revision, by name.
pub(crate) struct Listed {
    pub(crate) revision: u64,
    pub(crate) entries: Vec<Arc<Entry>>,
}

/// A watch that has begun.
pub(crate) struct Watching {
    /// What happened between the revision that was asked for and now.
    pub(crate) missed: Vec<Arc<Event>>,
    /// What happens from now on; it ends when the watcher is too slow.
    pub(crate) receiver: mpsc::Receiver<Arc<Event>>,
}

impl Cache {
    pub(crate) fn new(store: Store, node: NodeName) -> Self {
        let inner = Inner {
            watch: store.watch(0),
            tables: HashMap::new(),
            events: VecDeque::new(),
            events_max: wasmjob::EVENTS_KEPT,
        };
        let cache = Self {
            store,
            shared: Shared {
                node,
                rendered: Arc::default(),
            },
            inner: Mutex::new(inner),
        };
        let mut inner = cache.inner.lock().unwrap_or_else(PoisonError::into_inner);
        cache.relist(&mut inner);
        drop(inner);
        cache
    }

    pub(crate) fn node(&self) -> &Arc<str> {
        &self.shared.node.0
    }

    /// Tells watchers of what happens, for as long as the store is there.
    pub(crate) async fn follow(&self) {
        loop {
            let seen = self.fresh().watch.revision();
            if self.store.is_closed() {
                return;
            }
            self.store.changed(seen).await;
        }
    }

    /// The cache with everything in it that is visible.
    fn fresh(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs between two changes of the tables.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match inner.watch.try_next() {
                Ok(changes) if changes.is_empty() => return inner,
                Ok(changes) => {
                    for (revision, change) in changes {
                        self.take_in(&mut inner, revision, change);
                    }
                }
                Err(Expired { .. }) => self.relist(&mut inner),
            }
        }
    }

    /// Too much happened at once, or it begins: reads everything, and cuts all
    /// watchers off, who come again.
    fn relist(&self, inner: &mut Inner) {
        inner.tables.clear();
        inner.events.clear();
        // What happens while the kinds are read is taken in afterwards once more.
        inner.watch = self.store.watch(self.store.revision());
        let kinds = [
            Kind::Job,
            Kind::CronJob,
            Kind::Pod,
            Kind::Event,
            Kind::Generic,
        ];
        for kind in kinds {
            let (_, mut found) = self.store.list(kind, |_| true);
            if kind == Kind::Event {
                found.sort_by_key(|stored| stored.revision);
            }
            for Stored { revision, object } in found {
                self.insert(inner, Entry::new(object, revision, &self.shared));
            }
        }
        // Something may have gone unseen.
        let revision = inner.watch.revision();
        inner
            .tables
            .values_mut()
            .for_each(|table| table.changed = revision);
    }

    fn insert(&self, inner: &mut Inner, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let table = table(&mut inner.tables, resource(&entry.object));
        let names = entry.names();
        let is_event = matches!(entry.object, Object::Event(_));
        table.changed = table.changed.max(entry.revision);
        let before = table.objects.insert(names.clone(), entry);
        if is_event && before.is_none() {
            inner.events.push_back(names);
            if inner.events.len() > inner.events_max
                && let Some(oldest) = inner.events.pop_front()
            {
                table.objects.remove(&oldest);
            }
        }
        before
    }

    fn take_in(&self, inner: &mut Inner, revision: u64, change: Change) {
        let event = match change {
            Change::Added(object) | Change::Modified(object, _)
                if matches!(object, Object::Manifest(_)) =>
            {
                return;
            }
            Change::Added(object) | Change::Modified(object, _) => {
                let entry = Entry::new(object, revision, &self.shared);
                match self.insert(inner, Arc::clone(&entry)) {
                    Some(before) if before.revision >= revision => return,
                    Some(before) => Event::new(EventKind::Modified, entry, Some(before)),
                    None => Event::new(EventKind::Added, entry, None),
                }
            }
            Change::Deleted(object) => {
                let Some(table) = inner.tables.get_mut(resource(&object)) else {
                    return;
                };
                table.objects.remove(&names(&object));
                table.changed = revision;
                let entry = Entry::new(object, revision, &self.shared);
                Event::new(EventKind::Deleted, entry, None)
            }
        };
        let entry = &event.entry;
        let Some(table) = inner.tables.get_mut(resource(&entry.object)) else {
            return;
        };
        if table.watchers.is_empty() {
            return;
        }
        let names = entry.names();
        // One that is too slow, or has gone, is dropped, which ends its stream.
        table.watchers.retain(|watcher| {
            !watcher.scope.covers(&names) || watcher.sender.try_send(Arc::clone(&event)).is_ok()
        });
    }

    /// The object of that name.
    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        let inner = self.fresh();
        let table = inner.tables.get(resource)?;
        let names = (Arc::from(namespace), Arc::from(name));
        table.objects.get(&names).cloned()
    }

    /// The state that a change has led to, also if the object has changed again since;
    /// none if the change was its end.
    pub(crate) fn written(&self, written: &Written) -> Option<Arc<Entry>> {
        let mut watch = self.store.watch(written.revision.saturating_sub(1));
        while watch.revision() < written.revision {
            let changes = watch.try_next().ok()?;
            if changes.is_empty() {
                break;
            }
            for (revision, change) in changes {
                let (Change::Added(object) | Change::Modified(object, _)) = change else {
                    continue;
                };
                if revision == written.revision && object.key() == written.key {
                    return Some(Entry::new(object, revision, &self.shared));
                }
            }
        }
        None
    }

    /// All objects of a resource in `scope`, by namespace and name.
    pub(crate) fn list(&self, resource: &str, scope: &Scope) -> Listed {
        let inner = self.fresh();
        let revision = inner.watch.revision();
        let entries = inner
            .tables
            .get(resource)
            .map(|table| entries(table, scope))
            .unwrap_or_default();
        Listed { revision, entries }
    }

    /// The revision that last changed one of the resources.
    pub(crate) fn changed(&self, resources: &[&str]) -> u64 {
        let inner = self.fresh();
        let tables = resources.iter().filter_map(|it| inner.tables.get(*it));
        tables.map(|table| table.changed).max().unwrap_or(0)
    }

    /// Everything in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &Arc<str>) -> Vec<Arc<Entry>> {
        let scope = Scope {
            namespace: Some(Arc::clone(namespace)),
            name: None,
        };
        let inner = self.fresh();
        let tables = inner.tables.values();
        tables.flat_map(|table| entries(table, &scope)).collect()
    }

    /// How many watch each resource.
    pub(crate) fn watchers(&self) -> BTreeMap<Box<str>, usize> {
        let inner = self.fresh();
        let is_open = |watcher: &&Watcher| !watcher.sender.is_closed();
        let counted = inner.tables.iter().map(|(resource, table)| {
            let open = table.watchers.iter().filter(is_open);
            (resource.clone(), open.count())
        });
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// The revision of what is visible.
    pub(crate) fn revision(&self) -> u64 {
        self.fresh().watch.revision()
    }

    /// Watches a resource from the state at `since` on.
    pub(crate) fn watch(
        &self,
        resource: &str,
        scope: Scope,
        since: Option<u64>,
    ) -> Result<Watching, Expired> {
        let mut inner = self.fresh();
        let revision = inner.watch.revision();
        let missed = match since {
            Some(since) => self.missed(resource, &scope, since, revision)?,
            None => Vec::new(),
        };
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE);
        let table = table(&mut inner.tables, resource);
        table.watchers.retain(|watcher| !watcher.sender.is_closed());
        table.watchers.push(Watcher { scope, sender });
        Ok(Watching { missed, receiver })
    }

    /// As [`Cache::watch`] from now on, with what there is now.
    pub(crate) fn list_and_watch(&self, resource: &str, scope: Scope) -> (Listed, Watching) {
        let mut inner = self.fresh();
        let revision = inner.watch.revision();
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE);
        let table = table(&mut inner.tables, resource);
        table.watchers.retain(|watcher| !watcher.sender.is_closed());
        let entries = entries(table, &scope);
        table.watchers.push(Watcher { scope, sender });
        let watching = Watching {
            missed: Vec::new(),
            receiver,
        };
        (Listed { revision, entries }, watching)
    }

    /// What happened to a resource after `since`, up to `until`.
    fn missed(
        &self,
        resource: &str,
        scope: &Scope,
        since: u64,
        until: u64,
    ) -> Result<Vec<Arc<Event>>, Expired> {
        let mut watch = self.store.watch(since);
        let mut missed = Vec::new();
        while watch.revision() < until {
            let changes = watch.try_next()?;
            if changes.is_empty() {
                break;
            }
            for (revision, change) in changes {
                let object = change.object();
                if revision > until
                    || self::resource(object) != resource
                    || !scope.covers(&names(object))
                {
                    continue;
                }
                let entry = |object| Entry::new(object, revision, &self.shared);
                missed.push(match change {
                    Change::Added(object) => Event::new(EventKind::Added, entry(object), None),
                    Change::Modified(object, before) => {
                        let before = Some(entry(before));
                        Event::new(EventKind::Modified, entry(object), before)
                    }
                    Change::Deleted(object) => Event::new(EventKind::Deleted, entry(object), None),
                });
            }
        }
        Ok(missed)
    }
}

fn table<'a>(tables: &'a mut HashMap<Box<str>, Table>, resource: &str) -> &'a mut Table {
    if !tables.contains_key(resource) {
        tables.insert(Box::from(resource), Table::default());
    }
    // It was put there if it was not there.
    tables.entry(Box::from(resource)).or_default()
}

fn entries(table: &Table, scope: &Scope) -> Vec<Arc<Entry>> {
    match &scope.namespace {
        None => {
            let all = table.objects.iter();
            all.filter(|(names, _)| scope.covers(names))
                .map(|(_, entry)| Arc::clone(entry))
                .collect()
        }
        Some(namespace) => {
            let first = (Arc::clone(namespace), Arc::from(""));
            let from = table
                .objects
                .range((Bound::Included(first), Bound::Unbounded));
            from.take_while(|((own, _), _)| own == namespace)
                .filter(|(names, _)| scope.covers(names))
                .map(|(_, entry)| Arc::clone(entry))
                .collect()
        }
    }
}
