//! One turn's changes, and what follows from them.

use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use tokio::sync::oneshot;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{Job, Pod, Uid};
use wasmjob_node::ConfigName;
use wasmjob_store::{Key, Kind, Object, Transaction};

use super::answers::Answer;
use crate::JobResult;

/// One turn's changes, and what is to be done about them.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) transaction: Transaction,
    /// Where the transaction puts what it has put: once in a turn, however often it changes.
    places: HashMap<Key, usize>,
    /// Pods whose rows go; after all that is put.
    pub(super) gone: Vec<Uid>,
    /// Pods to be ended. That waits for no disk.
    pub(super) stop: Vec<(Uid, Duration)>,
    pub(super) effects: Effects,
}

/// What happens once a turn's changes are visible: until then a crash undoes them.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) start: Vec<Arc<Pod>>,
    /// ConfigMaps and Secrets that pods may refer to and that are others now.
    pub(super) configs: Vec<ConfigName>,
    /// Pods with other metadata.
    pub(super) relabelled: Vec<Relabelled>,
    /// Jobs that have finished, and who waited for that. A Job may be gone by then.
    pub(super) finished: Vec<Finished>,
    /// Jobs that had, whose new waiters are to be told.
    pub(super) asked: Vec<Uid>,
    /// Pods whose waiters are to be told.
    pub(super) ended: Vec<Arc<Pod>>,
    /// Pods that are gone, whose logs go as well.
    pub(super) gone: Vec<Uid>,
    /// What callers are told.
    pub(super) answers: Vec<Answer>,
}

/// A pod, and its metadata from now on.
pub(super) type Relabelled = (Uid, Option<Arc<ObjectMeta>>);

/// A Job's end.
pub(super) struct Finished {
    pub(super) job: Arc<Job>,
    /// Its pods, if somebody waits.
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) waiters: Vec<oneshot::Sender<JobResult>>,
}

impl Effects {
    /// Whether nothing follows, but for answers.
    pub(super) fn is_empty(&self) -> bool {
        self.start.is_empty()
            && self.configs.is_empty()
            && self.relabelled.is_empty()
            && self.finished.is_empty()
            && self.asked.is_empty()
            && self.ended.is_empty()
            && self.gone.is_empty()
    }

    /// Answers once all of it is visible, or that it is `unavailable` when that takes
    /// too long; a refusal changed nothing, and is answered at once. Whoever asked
    /// may have gone.
    pub(super) fn answer_or_refuse<T, E>(
        &mut self,
        reply: oneshot::Sender<Result<T, E>>,
        answer: Result<T, E>,
        unavailable: fn(String) -> E,
    ) where
        T: Send + 'static,
        E: Send + 'static,
    {
        if answer.is_err() {
            let _ = reply.send(answer);
            return;
        }
        self.answers.push(Box::new(move |reason| {
            let _ = reply.send(match reason {
                None => answer,
                Some(reason) => Err(unavailable(reason)),
            });
        }));
    }
}

impl Turn {
    pub(super) fn put_pod(&mut self, pod: &Arc<Pod>) {
        let object = Object::Pod(Arc::clone(pod));
        let place = self.place(object.key());
        self.transaction.put_at(place, object);
    }

    /// Where an object is put in the transaction, now or again.
    pub(super) fn place(&mut self, key: Key) -> usize {
        let next = self.transaction.len();
        *self.places.entry(key).or_insert(next)
    }

    /// The transaction with everything in it.
    pub(super) fn close(&mut self) -> Transaction {
        let mut transaction = std::mem::take(&mut self.transaction);
        self.gone.drain(..).for_each(|uid| {
            transaction.delete(Key {
                kind: Kind::Pod,
                uid,
            })
        });
        transaction
    }
}
