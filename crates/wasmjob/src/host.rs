//! The host: what an application holds.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use wasmjob_api::k8s_openapi::api::core::v1::{HostPathVolumeSource, PodSpec};
use wasmjob_api::manifest::{self, Manifest, Source};
use wasmjob_api::schedule::Zone;
use wasmjob_api::{Job, Uid};
use wasmjob_image::{ImageError, Images, PullPolicy, Wanted};
use wasmjob_node::{Clock as _, HostPathPolicy, LogFeed, Logs, Resources};
use wasmjob_store::{Health, Key, Kind, Store, Watch};

use crate::clock::SteadyClock;
use crate::core::{
    Applied, Command, Mailbox, ManifestChanges, ManifestFile, New, NewObject, Write, WriteError,
    Written,
};
use crate::job::Propagation;
use crate::memory_dir::MemoryDir;
use crate::objects::{PodTokens, TokenMaker};
use crate::scratch::Scratch;
use crate::{
    ApplyError, Figures, HostBuilder, HostGone, JobHandle, LogBuffer, PodHandle, k8s_openapi,
};

/// Keeps Jobs and runs their pods. Dropping it ends all that it started.
pub struct Host {
    threads: Threads,
    store: Store,
    logs: Logs,
    images: Arc<Images>,
    node: HostNode,
}

/// What a host tells of its node.
pub(crate) struct HostNode {
    pub(crate) name: Arc<str>,
    pub(crate) capacity: Resources,
    pub(crate) default_memory_bytes: u64,
    pub(crate) host_paths: HostPathPolicy,
    pub(crate) clock: Arc<SteadyClock>,
    pub(crate) zone: Zone,
    pub(crate) own_port: Arc<AtomicU16>,
    pub(crate) claims: PathBuf,
    pub(crate) tokens: TokenMaker,
}

/// The host's thread and what must outlive it.
pub(crate) struct Threads {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) thread: Option<JoinHandle<()>>,
    /// Before the scratch, in which a link leads to it.
    pub(crate) _memory: Option<MemoryDir>,
    pub(crate) _scratch: Scratch,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.mailbox.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the host's thread panicked");
        }
    }
}

/// What was taken on from a manifest.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Its Jobs, in its order.
    pub jobs: Vec<JobHandle>,
    /// Its bare Pods, in its order.
    pub pods: Vec<PodHandle>,
    /// Its CronJobs, in its order: what identifies them.
    pub cron_jobs: Vec<Uid>,
}

impl Host {
    /// Starts to configure a host.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    pub(crate) fn new(
        threads: Threads,
        store: Store,
        logs: Logs,
        images: Arc<Images>,
        node: HostNode,
    ) -> Self {
        Self {
            threads,
            store,
            logs,
            images,
            node,
        }
    }

    /// Takes on the Jobs of a manifest, given as text. `name` is what messages
    /// call it; relative references to modules are relative to its directory.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it; then nothing was taken on.
    pub fn apply_yaml(&self, name: &str, text: &str) -> Result<Vec<JobHandle>, ApplyError> {
        let manifest = manifest::read(&Source {
            name,
            bytes: text.as_bytes(),
        })?;
        Ok(self.apply(manifest)?.jobs)
    }

    /// Takes on what a manifest holds.
    ///
    /// # Errors
    ///
    /// When it holds an object whose name is taken; then nothing was taken on.
    pub fn apply(&self, manifest: Manifest) -> Result<Taken, ApplyError> {
        self.take_on(manifest.objects.into_iter().map(new).collect())
    }

    /// Takes over what a file of a directory of manifests stands for: its objects
    /// are created or changed, and those that it no longer names are deleted, in
    /// one commit. `file` names the file for good, and `digest` stands for its
    /// bytes: one that was taken over already changes nothing, so that a Job that
    /// has ended and gone is not run again.
    ///
    /// # Errors
    ///
    /// When something in it is not allowed: then nothing was changed, and what it
    /// stood for before goes on.
    pub async fn apply_file(
        &self,
        file: &str,
        digest: &str,
        manifest: Manifest,
    ) -> Result<ManifestChanges, ApplyError> {
        let (reply, answer) = oneshot::channel();
        let manifest = ManifestFile {
            file: file.into(),
            digest: digest.into(),
            objects: manifest.objects.into_iter().map(new).collect(),
        };
        let mailbox = &self.threads.mailbox;
        mailbox.send(Command::ApplyManifest(manifest, reply));
        answer.await.map_err(|_| HostGone)?
    }

    /// Deletes what a file of a directory of manifests stood for.
    ///
    /// # Errors
    ///
    /// When the host is gone.
    pub async fn remove_file(&self, file: &str) -> Result<ManifestChanges, ApplyError> {
        let (reply, answer) = oneshot::channel();
        let mailbox = &self.threads.mailbox;
        mailbox.send(Command::RemoveManifest(file.into(), reply));
        answer.await.map_err(|_| HostGone)?
    }

    /// Gives the record of a file another name; what it stands for is the same.
    ///
    /// # Errors
    ///
    /// When the host is gone.
    pub async fn rename_file(&self, from: &str, to: &str) -> Result<ManifestChanges, ApplyError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::RenameManifest(from.into(), to.into(), reply);
        self.threads.mailbox.send(command);
        answer.await.map_err(|_| HostGone)?
    }

    /// The files that stand for something, by name, with the digests of their
    /// bytes as they were taken over.
    #[must_use]
    pub fn files(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let (_, found) = self.store.list(Kind::Manifest, |_| true);
        let records = found
            .iter()
            .filter_map(|stored| stored.object.as_manifest());
        records
            .map(|record| (Arc::clone(&record.file), Arc::clone(&record.digest)))
            .collect()
    }

    /// Lets pods have tokens of their service accounts, which `maker` makes. Those that
    /// wait for one are tried again.
    pub fn makes_tokens(&self, maker: Arc<dyn PodTokens>) {
        let tokens = &self.node.tokens;
        *tokens.lock().unwrap_or_else(PoisonError::into_inner) = Some(maker);
        self.threads.mailbox.send(Command::Tokens);
    }

    /// Changes one object, as a client of an API asks for it; the change is visible
    /// when this returns.
    ///
    /// # Errors
    ///
    /// See [`WriteError`]; then nothing was changed.
    pub async fn write(&self, write: Write) -> Result<Written, WriteError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Write(Box::new(write), reply);
        self.threads.mailbox.send(command);
        answer.await.map_err(|_| HostGone)?
    }

    /// Says whether an object may be created, by the limits, quotas and classes that there
    /// are, and what a pod would come in as. Nothing is created.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub async fn review(
        &self,
        new: NewObject,
    ) -> Result<Option<Box<k8s_openapi::api::core::v1::Pod>>, WriteError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Review(Box::new(new), reply);
        self.threads.mailbox.send(command);
        answer.await.map_err(|_| HostGone)?
    }

    /// Whether a change could be made as [`Host::write`] makes it. Nothing happens.
    ///
    /// # Errors
    ///
    /// Why it could not.
    pub async fn review_write(&self, write: Write) -> Result<(), WriteError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::ReviewWrite(Box::new(write), reply);
        self.threads.mailbox.send(command);
        answer.await.map_err(|_| HostGone)?
    }

    /// Deletes an object, and what it owns as `propagation` says.
    pub fn delete(&self, key: Key, propagation: Propagation) {
        let mailbox = &self.threads.mailbox;
        mailbox.send(Command::Delete(key, propagation));
    }

    /// Takes on a Job that was built in code. Relative references to modules
    /// are relative to the working directory.
    ///
    /// # Errors
    ///
    /// When it is not valid or its name is taken.
    pub fn submit(
        &self,
        mut job: k8s_openapi::api::batch::v1::Job,
    ) -> Result<JobHandle, ApplyError> {
        wasmjob_api::defaults::job(&mut job);
        let taken = self.take_on(vec![New::Job(Box::new(job), Arc::from(Path::new(".")))])?;
        taken
            .jobs
            .into_iter()
            .next()
            .ok_or(ApplyError::Gone(HostGone))
    }

    fn take_on(&self, new: Vec<New>) -> Result<Taken, ApplyError> {
        let (reply, answer) = oneshot::channel();
        self.threads.mailbox.send(Command::Apply(new, reply));
        let applied = block_on(answer).map_err(|_| HostGone)??;
        let mut taken = Taken::default();
        for Applied {
            key,
            namespace,
            name,
        } in applied
        {
            match key.kind {
                Kind::Job => taken.jobs.push(self.handle(key.uid, namespace, name)),
                Kind::CronJob => taken.cron_jobs.push(key.uid),
                Kind::Generic => {}
                _ => taken.pods.push(PodHandle {
                    uid: key.uid,
                    namespace,
                    name,
                    mailbox: Arc::clone(&self.threads.mailbox),
                }),
            }
        }
        Ok(taken)
    }

    fn handle(&self, uid: Uid, namespace: Arc<str>, name: Arc<str>) -> JobHandle {
        JobHandle {
            uid,
            namespace,
            name,
            mailbox: Arc::clone(&self.threads.mailbox),
            store: self.store.clone(),
            logs: self.logs.clone(),
        }
    }

    /// The Job of that name, which may have been taken on by a process before.
    #[must_use]
    pub fn job(&self, namespace: &str, name: &str) -> Option<JobHandle> {
        let is_it = |job: &Job| &*job.namespace == namespace && &*job.name == name;
        let (_, found) = self.store.list(Kind::Job, |object| {
            object.as_job().is_some_and(|job| is_it(job))
        });
        let job = found.first()?.object.as_job()?;
        Some(self.handle(job.uid, Arc::clone(&job.namespace), Arc::clone(&job.name)))
    }

    /// Begins nothing more, and waits until nothing runs: no pod is started or
    /// replaced, no CronJob looked at. What is left is left for the next start.
    pub async fn drain(&self) {
        let (reply, answer) = oneshot::channel();
        self.threads.mailbox.send(Command::Drain(reply));
        // If the host is gone, nothing runs.
        let _ = answer.await;
    }

    /// Whether the host's thread answers; waits until it does, or is gone.
    pub async fn is_responsive(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.threads.mailbox.send(Command::Ping(reply));
        answer.await.is_ok()
    }

    pub(crate) fn send(&self, command: Command) {
        self.threads.mailbox.send(command);
    }

    /// Whether a pod has the claim of that name, or may yet have it. One that waits for a
    /// claim that stays does not have one that is being deleted.
    ///
    /// # Errors
    ///
    /// When the host is gone.
    pub async fn claim_in_use(&self, namespace: &str, name: &str) -> Result<bool, HostGone> {
        let (reply, answer) = oneshot::channel();
        let command = Command::ClaimInUse(namespace.into(), name.into(), reply);
        self.threads.mailbox.send(command);
        answer.await.map_err(|_| HostGone)
    }

    /// What it has done and what its pods use now.
    ///
    /// # Errors
    ///
    /// When the host is gone.
    pub async fn figures(&self) -> Result<Figures, HostGone> {
        let (reply, answer) = oneshot::channel();
        self.threads.mailbox.send(Command::Figures(reply));
        answer.await.map_err(|_| HostGone)
    }

    /// Waits until [`Host::health`] is another than `known`, or the host is gone.
    pub async fn health_changed(&self, known: &Health) {
        self.store.health_changed(known).await;
    }

    /// Whether what is done can be kept; see [`Health`]. In memory it always can.
    #[must_use]
    pub fn health(&self) -> Health {
        self.store.health()
    }

    /// Finds the module that an image's name stands for, as running it would,
    /// without loading it. Blocks.
    ///
    /// # Errors
    ///
    /// When nothing stands for it or its file cannot be read.
    pub fn locate(&self, image: &str, base: &Path) -> Result<(), ImageError> {
        self.images.locate(image, base)
    }

    /// Whether [`Host::fetch`] would ask a registry. Looks at the disk.
    #[must_use]
    pub fn must_pull(&self, image: &str, base: &Path, policy: Option<&str>) -> bool {
        self.images.must_pull(&Wanted {
            policy: PullPolicy::parse(policy),
            ..Wanted::new(image, base)
        })
    }

    /// Ends pulls that go on; there will be no more. What is here stays usable.
    pub fn stop_pulls(&self) {
        if let Some(registries) = self.images.registries() {
            registries.stop();
        }
    }

    /// Makes sure that an image is here, as running it would: pulls it if its policy (a
    /// container's `imagePullPolicy`) says so, with the host's credentials. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub fn fetch(&self, image: &str, base: &Path, policy: Option<&str>) -> Result<(), ImageError> {
        self.images.fetch(&Wanted {
            policy: PullPolicy::parse(policy),
            ..Wanted::new(image, base)
        })
    }

    /// Loads and compiles the module that an image's name stands for, as running
    /// it would, so that it is there when it is needed. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be found, read, compiled or linked.
    pub fn preload(&self, image: &str, base: &Path) -> Result<(), ImageError> {
        self.images.get(&Wanted::new(image, base)).map(|_| ())
    }

    /// Whether the host's thread has ended, which it does by itself only when it
    /// panicked: nothing will change any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.store.is_closed()
    }

    /// The objects, to read and to watch.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Watches all changes from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.store.watch(self.store.revision())
    }

    /// Follows the output of all pods from now on.
    #[must_use]
    pub fn follow_logs(&self) -> LogFeed {
        self.logs.feed(None)
    }

    /// Follows the output of one Job's pods from now on.
    #[must_use]
    pub fn follow_logs_of(&self, job: Uid) -> LogFeed {
        self.logs.feed(Some(job))
    }

    /// The name of its node.
    #[must_use]
    pub fn node_name(&self) -> &Arc<str> {
        &self.node.name
    }

    /// Says at which port this host's own API listens: pods may connect to it only
    /// where they name it, and may, by address and port.
    pub fn listens_at(&self, port: u16) {
        self.node.own_port.store(port, Ordering::Relaxed);
    }

    /// Where claimed volumes stand, each under the UID of its claim. Whoever deletes a
    /// claim decides what becomes of its directory.
    #[must_use]
    pub fn claims_dir(&self) -> &Path {
        &self.node.claims
    }

    /// The time zone of CronJobs that name none.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.node.zone
    }

    /// What its node can give to pods.
    #[must_use]
    pub fn capacity(&self) -> Resources {
        self.node.capacity
    }

    /// Bytes of memory that a container counts with which sets neither request nor limit;
    /// it is its limit, too.
    #[must_use]
    pub fn default_memory(&self) -> u64 {
        self.node.default_memory_bytes
    }

    /// Whether a hostPath may be mounted, as far as its text tells.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn check_host_path(&self, source: &HostPathVolumeSource) -> Result<(), String> {
        self.node.host_paths.check(source)
    }

    /// What a pod of `spec` asks its node for, with what is taken for granted where a
    /// container says nothing. If it is more than [`Host::capacity`], it waits for ever.
    #[must_use]
    pub fn request_of(&self, spec: &PodSpec) -> Resources {
        Resources::of_pod(spec, self.node.default_memory_bytes)
    }

    /// What time it is for this host (wall time).
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.node.clock.wall()
    }

    /// The logs of a pod, as far as they are kept: one for each run of a container.
    #[must_use]
    pub fn logs(&self, pod: Uid) -> Vec<Arc<LogBuffer>> {
        self.logs.of(pod)
    }
}

/// Waits for an answer of the host's thread, also on a thread of an async
/// runtime: the answer waits for the host's current turn and, where the store is
/// on a disk, for that turn's commit to be durable.
pub(crate) fn block_on<T>(
    mut answer: oneshot::Receiver<T>,
) -> Result<T, oneshot::error::RecvError> {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut answer).poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn new(loaded: manifest::Loaded) -> New {
    let dir = Path::new(&loaded.file)
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty());
    let base: Arc<Path> = Arc::from(dir.unwrap_or_else(|| Path::new(".")));
    match loaded.object {
        manifest::Object::Job(job) => New::Job(job, base),
        manifest::Object::Pod(pod) => New::Pod(pod, base),
        manifest::Object::CronJob(cron_job) => New::CronJob(cron_job, base),
        manifest::Object::Kept(kept) => New::Kept(kept),
    }
}
