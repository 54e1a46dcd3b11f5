//! A directory of manifests, taken over file by file.
//!
//! A file is one commit. One that is not valid, or holds nothing any more, leaves
//! what it stood for before; one that goes takes its objects along, also if it
//! went while nobody looked; one that was only renamed changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use wasmjob::api::manifest::{self, Source};
use wasmjob::{ApplyError, Health, Host};

use super::until;
use super::watch::{Change, Watch};
use crate::{files, host};

/// A file that was changed so shortly before may still be written, as far as a
/// look at the directory can tell.
const FRESH: Duration = Duration::from_millis(250);
/// How often a directory that is gone is looked for.
const LOOK_FOR_EVERY: Duration = Duration::from_secs(5);
/// When a file is tried again whose object is still being deleted.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// When a file is tried again that a quota, a class or an account keeps out: who frees
/// something, or decides otherwise, tells no file of it.
const FORBIDDEN_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How a file came to be pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    /// The system told that it is whole.
    Told,
    /// A look at the directory: it may still be written.
    Seen,
}

/// What was said of a file.
struct Refusal {
    texts: String,
    /// Of which bytes, if they could be read as objects.
    digest: Option<String>,
}

/// What taking a file over came to.
enum Taken {
    /// It is as it should be, and was before.
    Same,
    /// It is now as it should be.
    Done,
    /// It is wrong, for these reasons.
    Refused(String),
    /// It may not come in, for these reasons, which may pass.
    Forbidden(String),
    /// It cannot be taken over now.
    Later(ApplyError),
}

/// The directory.
pub(super) struct Manifests {
    dir: PathBuf,
    watch: Option<Watch>,
    /// Files to be looked at, and how it is known that they are whole.
    pending: BTreeMap<PathBuf, Found>,
    /// All of the directory is to be looked at.
    all: bool,
    /// The directory is not there.
    is_gone: bool,
    /// An operator has asked to look again: an empty directory is meant so.
    is_confirmed: bool,
    /// The digests of the files that were taken over, by name.
    known: Option<BTreeMap<PathBuf, String>>,
    /// Files that are not taken over, and what was said of them.
    refused: BTreeMap<PathBuf, Refusal>,
    /// Files that wait for what is being deleted.
    ending: BTreeSet<PathBuf>,
    /// Files that are tried again, and when.
    waiting: BTreeMap<PathBuf, Instant>,
    /// The digests of the files of which it was said what is to be said of them.
    told: BTreeMap<PathBuf, String>,
}

impl Manifests {
    /// `dir` should be absolute: objects keep it as what their images are
    /// relative to.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            watch: None,
            pending: BTreeMap::new(),
            all: true,
            is_gone: false,
            is_confirmed: false,
            known: None,
            refused: BTreeMap::new(),
            ending: BTreeSet::new(),
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Whether everything that can be looked at was taken over, or refused.
    pub(super) fn is_settled(&self) -> bool {
        self.is_gone || !self.all && self.pending.is_empty()
    }

    /// Looks at every file again, and says again what is wrong.
    pub(super) fn read_all_again(&mut self) {
        self.refused.clear();
        self.ending.clear();
        self.told.clear();
        // The directory may be another one by now, by a link.
        self.watch = None;
        self.all = true;
        self.is_confirmed = true;
    }

    /// Takes over what is pending, or waits until something is. It may be dropped
    /// and called again: a file is done only when it is done.
    pub(super) async fn follow(&mut self, host: &Host) {
        if self.watch.is_none() {
            // Before the look, so that no change falls in between.
            match Watch::start(&self.dir) {
                Ok(watch) => {
                    self.watch = Some(watch);
                    self.is_gone = false;
                    self.all = true;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_gone, true) {
                        tracing::error!(
                            dir = %self.dir.display(), %error,
                            "the directory of manifests cannot be watched; what it stood for stays"
                        );
                    }
                    return tokio::time::sleep(LOOK_FOR_EVERY).await;
                }
            }
        }
        if std::mem::take(&mut self.all) {
            return self.look_at_all(host);
        }
        self.look_again();
        if self.pending.is_empty() {
            let due = self.waiting.values().min().copied();
            tokio::select! {
                () = self.wait_for_changes() => {}
                () = until(due) => {}
            }
            return;
        }
        let Some(name) = self.next() else {
            return tokio::time::sleep(FRESH).await;
        };
        match self.take_over(host, &name).await {
            taken @ (Taken::Same | Taken::Done) => {
                self.pending.remove(&name);
                self.told.remove(&name);
                self.ending.remove(&name);
                let was_refused = self.refused.remove(&name).is_some();
                if was_refused && matches!(taken, Taken::Same) {
                    tracing::info!(file = %self.dir.join(&name).display(), "the file is as it should be");
                }
                // What stood in the way of another may be gone.
                for refused in self.refused.keys() {
                    self.pending.entry(refused.clone()).or_insert(Found::Told);
                }
            }
            Taken::Refused(texts) => {
                self.pending.remove(&name);
                self.refuse(name, texts);
            }
            Taken::Forbidden(texts) => {
                self.wait(name.clone(), FORBIDDEN_AGAIN_AFTER);
                self.refuse(name, texts);
            }
            Taken::Later(error) => {
                let path = self.dir.join(&name);
                tracing::debug!(file = %path.display(), %error, "the file has to wait");
                match host.health() {
                    // Others need not wait for what is in the way of this one.
                    Health::Writable if matches!(error, ApplyError::Terminating(_)) => {
                        self.wait(name.clone(), TRY_AGAIN_AFTER);
                        // Said once; what is short is no news.
                        if self.ending.insert(name) {
                            tracing::warn!("{}: {error}", path.display());
                        }
                    }
                    Health::Writable => tokio::time::sleep(TRY_AGAIN_AFTER).await,
                    health => host.health_changed(&health).await,
                }
            }
        }
    }

    /// A file is tried again after a while.
    fn wait(&mut self, name: PathBuf, after: Duration) {
        self.pending.remove(&name);
        self.waiting.insert(name, Instant::now() + after);
    }

    /// Those that have waited long enough are looked at, like those that have changed.
    fn look_again(&mut self) {
        let now = Instant::now();
        let pending = &mut self.pending;
        self.waiting.retain(|name, at| {
            let waits = *at > now && !pending.contains_key(name);
            if !waits {
                pending.entry(name.clone()).or_insert(Found::Seen);
            }
            waits
        });
    }

    async fn wait_for_changes(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        match watch.next().await {
            Ok(changes) => changes.into_iter().for_each(|change| self.note(change)),
            Err(error) => {
                tracing::error!(%error, "the directory of manifests cannot be followed");
                self.watch = None;
            }
        }
    }

    fn note(&mut self, change: Change) {
        match change {
            Change::File(name) if is_manifest(&name) => {
                self.pending.insert(name, Found::Told);
            }
            Change::File(_) => {}
            Change::All => self.all = true,
            Change::Gone => {
                tracing::warn!(dir = %self.dir.display(), "the directory of manifests is gone");
                self.watch = None;
            }
        }
    }

    /// The next file to be looked at: those that went come first, because what
    /// they stood for may be in another one now; one that may still be written
    /// holds up no other.
    fn next(&self) -> Option<PathBuf> {
        let gone = self
            .pending
            .keys()
            .find(|name| !self.dir.join(name).exists());
        let whole =
            |(name, found): &(&PathBuf, &Found)| **found == Found::Told || !self.is_fresh(name);
        let whole = || self.pending.iter().find(whole).map(|(name, _)| name);
        gone.or_else(whole).cloned()
    }

    /// Finds the files that there are, and those that there were.
    fn look_at_all(&mut self, host: &Host) {
        let is_confirmed = std::mem::take(&mut self.is_confirmed);
        let names = match names(&self.dir) {
            Ok(names) => names,
            Err(error) => {
                tracing::error!(
                    dir = %self.dir.display(), %error,
                    "the directory of manifests cannot be read; what it stood for stays"
                );
                self.watch = None;
                return;
            }
        };
        let known = known(&mut self.known, host);
        if names.is_empty() && !known.is_empty() && !is_confirmed {
            tracing::error!(
                dir = %self.dir.display(), files = known.len(),
                "the directory is empty: it is taken for one that is not mounted, and what its files stood for stays; SIGHUP says that it is meant so"
            );
            return;
        }
        let known: Vec<PathBuf> = known.keys().cloned().collect();
        for name in names.into_iter().chain(known) {
            self.pending.entry(name).or_insert(Found::Seen);
        }
    }

    fn is_fresh(&self, name: &Path) -> bool {
        let modified = std::fs::metadata(self.dir.join(name)).and_then(|it| it.modified());
        #[expect(
            clippy::disallowed_methods,
            reason = "only to compare with what the file system wrote"
        )]
        let now = SystemTime::now();
        // A time in the future says nothing.
        modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age < FRESH))
    }

    fn refuse(&mut self, name: PathBuf, texts: String) {
        let digest = self.told.get(&name).cloned();
        let is_same = self.refused.get(&name).is_some_and(|before| {
            let lines = before.texts.lines().map(lasting);
            before.digest == digest && lines.eq(texts.lines().map(lasting))
        });
        if is_same {
            return;
        }
        for text in texts.lines() {
            tracing::error!("{text}");
        }
        tracing::error!(
            file = %self.dir.join(&name).display(),
            "the file is not taken over; what it stood for before stays"
        );
        self.refused.insert(name, Refusal { texts, digest });
    }

    async fn take_over(&mut self, host: &Host, name: &Path) -> Taken {
        let path = self.dir.join(name);
        let Some(file) = name.to_str() else {
            return Taken::Refused(format!("{}: its name is not UTF-8", path.display()));
        };
        let bytes = match files::bytes_of(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.let_go(host, name, file).await;
            }
            Err(error) => return Taken::Refused(format!("{}: {error}", path.display())),
        };
        let digest = self.digest(&bytes);
        let had = known(&mut self.known, host).get(name);
        if had == Some(&digest) {
            return Taken::Same;
        }
        let had_any = had.is_some();
        let text = path.display().to_string();
        let source = Source {
            name: &text,
            bytes: &bytes,
        };
        let manifest = match manifest::read(&source) {
            Ok(manifest) => manifest,
            Err(problems) => return Taken::Refused(problems.to_string()),
        };
        if manifest.objects.is_empty() && had_any {
            return Taken::Refused(format!(
                "{text}: it holds no objects any more; remove the file to remove what it stood for"
            ));
        }
        if self.told.get(name) != Some(&digest) {
            for warning in &manifest.warnings {
                tracing::warn!("{}:{}: {warning}", warning.file, warning.at);
            }
            for text in host::missing_images(host, &manifest, None) {
                tracing::warn!("{text}");
            }
            self.told.insert(name.to_owned(), digest.clone());
        }
        match host.apply_file(file, &digest, manifest).await {
            Ok(changes) => {
                tracing::info!(
                    file = text,
                    created = changes.created,
                    configured = changes.configured,
                    deleted = changes.deleted,
                    "took the file over"
                );
                known(&mut self.known, host).insert(name.to_owned(), digest);
                Taken::Done
            }
            Err(error @ (ApplyError::Unavailable(_) | ApplyError::Terminating(_))) => {
                Taken::Later(error)
            }
            Err(error @ ApplyError::Gone(_)) => Taken::Later(error),
            Err(error @ ApplyError::Forbidden { .. }) => {
                Taken::Forbidden(format!("{text}: {error}"))
            }
            Err(error) => Taken::Refused(format!("{text}: {error}")),
        }
    }

    /// A file is not there: it has another name now, or is gone with its objects.
    async fn let_go(&mut self, host: &Host, name: &Path, file: &str) -> Taken {
        let known = known(&mut self.known, host);
        let Some(digest) = known.get(name).cloned() else {
            return Taken::Done;
        };
        let dir = &self.dir;
        let others = self.pending.keys().filter(|other| *other != name);
        let renamed = others
            .filter(|other| !known.contains_key(*other))
            .filter(|other| {
                files::bytes_of(&dir.join(other))
                    .is_ok_and(|bytes| self::digest(dir, &bytes) == digest)
            })
            .find_map(|other| Some((other.clone(), other.to_str()?.to_owned())));
        let done = match &renamed {
            Some((_, to)) => host.rename_file(file, to).await,
            None => host.remove_file(file).await,
        };
        let changes = match done {
            Ok(changes) => changes,
            Err(error) => return Taken::Later(error),
        };
        known.remove(name);
        let path = self.dir.join(name);
        match renamed {
            Some((other, _)) => {
                tracing::info!(file = %path.display(), to = %other.display(), "the file has another name");
                known.insert(other, digest);
            }
            None => {
                tracing::info!(file = %path.display(), deleted = changes.deleted, "the file is gone, and so are its objects");
            }
        }
        Taken::Done
    }

    fn digest(&self, bytes: &[u8]) -> String {
        digest(&self.dir, bytes)
    }
}

/// The digests of the files that were taken over. Only we take files over, so the
/// host is asked once.
fn known<'a>(
    known: &'a mut Option<BTreeMap<PathBuf, String>>,
    host: &Host,
) -> &'a mut BTreeMap<PathBuf, String> {
    known.get_or_insert_with(|| {
        let files = host.files().into_iter();
        files
            .map(|(file, digest)| (PathBuf::from(&*file), digest.to_string()))
            .collect()
    })
}

/// Stands for the bytes of a file in a directory: what is relative in them means
/// something else in another one.
fn digest(dir: &Path, bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(dir.as_os_str().as_bytes());
    hash.update([0]);
    hash.update(bytes);
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Manifests by their ending; what is hidden is somebody's own.
fn is_manifest(name: &Path) -> bool {
    let is_hidden = name.as_os_str().as_bytes().starts_with(b".");
    !is_hidden && files::is_manifest(name)
}

fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        if is_manifest(&name) && !entry.path().is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

/// What of a refusal stays the same while others use a quota: not how much is used.
fn lasting(text: &str) -> &str {
    match text.find("exceeded quota: ") {
        Some(at) => {
            &text[..text[at..]
                .find(", requested: ")
                .map_or(text.len(), |end| at + end)]
        }
        None => text,
    }
}
