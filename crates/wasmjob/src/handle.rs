//! Handles on what the host was given.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;
use wasmjob_api::k8s_openapi::api::batch::v1 as batch;
use wasmjob_api::{Job, Pod, Uid};
use wasmjob_node::{LogBuffer, LogFeed, Logs};
use wasmjob_store::{Change, Expired, Key, Kind, Store, Watch};

use crate::core::{Command, Mailbox};
use crate::host::block_on;
use crate::job::Propagation;
use crate::{EditError, HostGone, JobResult, PodResult};

/// A Job of a host. Dropping the handle changes nothing.
#[derive(Clone)]
pub struct JobHandle {
    pub(crate) uid: Uid,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) store: Store,
    pub(crate) logs: Logs,
}

impl JobHandle {
    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Job as it is now; `None` once it is deleted.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Job>> {
        self.store.get(self.key())?.object.as_job().cloned()
    }

    /// Its pods that exist now, in order of creation.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        let is_own = |pod: &Pod| {
            pod.template
                .owner
                .as_ref()
                .is_some_and(|job| job.uid == self.uid)
        };
        let (_, found) = self.store.list(Kind::Pod, |object| {
            object.as_pod().is_some_and(|pod| is_own(pod))
        });
        let mut pods: Vec<_> = found
            .iter()
            .filter_map(|stored| stored.object.as_pod().cloned())
            .collect();
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        pods
    }

    /// The logs of its pods, as far as they are kept.
    #[must_use]
    pub fn logs(&self) -> Vec<Arc<LogBuffer>> {
        self.pods()
            .iter()
            .flat_map(|pod| self.logs.of(pod.uid))
            .collect()
    }

    /// Follows the output of its pods from now on.
    #[must_use]
    pub fn follow_logs(&self) -> LogFeed {
        self.logs.feed(Some(self.uid))
    }

    /// Follows its pods: every change of each of them, from now on.
    #[must_use]
    pub fn follow_pods(&self) -> PodChanges {
        PodChanges {
            job: self.uid,
            watch: self.store.watch(self.store.revision()),
            ready: VecDeque::new(),
        }
    }

    /// Waits until it is Complete or Failed.
    ///
    /// # Errors
    ///
    /// When it is deleted, or the host dropped, before that.
    pub async fn wait(&self) -> Result<JobResult, HostGone> {
        self.ask().await.map_err(|_| HostGone)
    }

    /// [`JobHandle::wait`] for programs without an async runtime; blocks.
    ///
    /// # Errors
    ///
    /// As [`JobHandle::wait`].
    pub fn wait_blocking(&self) -> Result<JobResult, HostGone> {
        block_on(self.ask()).map_err(|_| HostGone)
    }

    fn ask(&self) -> oneshot::Receiver<JobResult> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Command::WaitJob(self.uid, reply));
        answer
    }

    /// Suspends it (its pods are ended) or resumes it.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn suspend(&self, suspend: bool) -> Result<(), EditError> {
        self.edit(move |spec| spec.suspend = Some(suspend))
    }

    /// Changes its spec, by the rules of `kubectl edit`: parallelism, deadlines,
    /// limits and `suspend` may change, most else is immutable.
    ///
    /// # Errors
    ///
    /// When the change is not allowed; nothing was changed then.
    pub fn edit(
        &self,
        edit: impl FnOnce(&mut batch::JobSpec) + Send + 'static,
    ) -> Result<(), EditError> {
        let (reply, answer) = oneshot::channel();
        self.mailbox
            .send(Command::Edit(self.uid, Box::new(edit), reply));
        block_on(answer).map_err(|_| HostGone)?
    }

    /// Deletes it; its pods are ended. Who waits for it learns that it is gone.
    pub fn cancel(&self) {
        let command = Command::Delete(self.key(), Propagation::Background);
        self.mailbox.send(command);
    }

    fn key(&self) -> Key {
        Key {
            kind: Kind::Job,
            uid: self.uid,
        }
    }
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobHandle({}/{})", self.namespace, self.name)
    }
}

/// The changes of one Job's pods.
pub struct PodChanges {
    job: Uid,
    watch: Watch,
    ready: VecDeque<Change>,
}

impl PodChanges {
    /// Waits for the next change of a pod; its object is always a pod. `None` once
    /// the host is gone and all has been seen.
    ///
    /// # Errors
    ///
    /// [`Expired`] when so much happened since the last call that some of it is
    /// no longer kept: look at [`JobHandle::pods`] and follow anew.
    pub async fn next(&mut self) -> Result<Option<Change>, Expired> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            let is_own = |change: &Change| {
                let owner = change
                    .object()
                    .as_pod()
                    .and_then(|pod| pod.template.owner.as_ref());
                owner.is_some_and(|owner| owner.uid == self.job)
            };
            let changes = self.watch.next().await?;
            if changes.is_empty() {
                return Ok(None);
            }
            self.ready
                .extend(changes.into_iter().map(|(_, change)| change).filter(is_own));
        }
    }
}

/// A bare Pod of a host. Dropping the handle changes nothing.
#[derive(Clone)]
pub struct PodHandle {
    pub(crate) uid: Uid,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl PodHandle {
    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it has Succeeded or Failed.
    ///
    /// # Errors
    ///
    /// When the host is dropped before that.
    pub async fn wait(&self) -> Result<PodResult, HostGone> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Command::WaitPod(self.uid, reply));
        answer.await.map_err(|_| HostGone)
    }

    /// Deletes it: it is ended.
    pub fn cancel(&self) {
        let key = Key {
            kind: Kind::Pod,
            uid: self.uid,
        };
        let command = Command::Delete(key, Propagation::Background);
        self.mailbox.send(command);
    }
}

impl fmt::Debug for PodHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodHandle({}/{})", self.namespace, self.name)
    }
}
