//! Events: what people are told, one row for what happens again and again.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::fast::FixedState;
use wasmjob_api::{Event, EventNote, EventType, Job};
use wasmjob_node::Clock as _;
use wasmjob_store::{EventRecord, Key, Kind, Object};

use super::Core;
use super::commands::kind_name;
use super::turn::Turn;

/// Events that may happen again, by what they say. As many as client-go's
/// recorder keeps; beyond that the count begins anew.
#[derive(Default)]
pub(super) struct RecentEvents(HashMap<u64, Arc<EventRecord>>);

const RECENT_MAX: usize = 4096;

impl RecentEvents {
    /// The event before `new` that said the same.
    fn before(&self, key: u64, new: &EventRecord) -> Option<&Arc<EventRecord>> {
        let old = self.0.get(&key)?;
        let same =
            old.regarding == new.regarding && old.event == new.event && old.source == new.source;
        same.then_some(old)
    }
}

impl Core {
    pub(super) fn job_event(&mut self, turn: &mut Turn, job: &Job, event: Event) {
        let key = Key {
            kind: Kind::Job,
            uid: job.uid,
        };
        self.event(
            turn,
            key,
            &job.namespace,
            &job.name,
            event,
            "job-controller",
        );
    }

    pub(super) fn event(
        &mut self,
        turn: &mut Turn,
        regarding: Key,
        namespace: &Arc<str>,
        name: &Arc<str>,
        event: Event,
        source: &'static str,
    ) {
        if event.event_type == EventType::Warning {
            tracing::info!(
                kind = kind_name(regarding.kind),
                %namespace,
                %name,
                reason = %event.reason,
                "{}",
                event.note
            );
        }
        let now = self.clock.wall();
        let mut record = EventRecord {
            uid: self.random.uid(),
            regarding,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            event,
            time: now,
            first: now,
            count: 1,
            source: source.into(),
        };
        // What names a pod that was made or deleted happens once.
        let EventNote::Text(text) = &record.event.note else {
            turn.transaction.put(Object::Event(Arc::new(record)));
            return;
        };
        let said = (
            regarding,
            &record.event.reason,
            text,
            &record.event.field_path,
        );
        let key = FixedState::default().hash_one(said);
        if let Some(old) = self.recent_events.before(key, &record) {
            record.uid = old.uid;
            record.first = old.first;
            record.count = old.count.saturating_add(1);
        }
        let record = Arc::new(record);
        if self.recent_events.0.len() >= RECENT_MAX {
            self.recent_events.0.clear();
        }
        self.recent_events.0.insert(key, Arc::clone(&record));
        turn.transaction.put(Object::Event(record));
    }
}
