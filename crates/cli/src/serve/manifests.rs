//! A directory of manifests, taken over file by file.
//!
//! A file is one commit. One that is not valid leaves what it stood for before;
//! one that goes takes its objects along, also if it went while nobody looked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wasmjob::Host;
use wasmjob::api::manifest::{self, Source};

use super::watch::{Change, Watch};
use crate::{files, host};

/// A file that was changed so shortly before may still be written, as far as a
/// look at the directory can tell.
const FRESH: Duration = Duration::from_millis(250);
/// How often a directory that is gone is looked for.
const LOOK_FOR_EVERY: Duration = Duration::from_secs(5);

/// How a file came to be pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    /// The system told that it is whole.
    Told,
    /// A look at the directory: it may still be written.
    Seen,
}

/// The directory.
pub(super) struct Manifests {
    dir: PathBuf,
    watch: Option<Watch>,
    /// Files to be looked at, and how it is known that they are whole.
    pending: BTreeMap<PathBuf, Found>,
    /// All of the directory is to be looked at.
    all: bool,
    /// Files that are not valid, by the digest of what was said already.
    refused: BTreeMap<PathBuf, String>,
}

impl Manifests {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            watch: None,
            pending: BTreeMap::new(),
            all: true,
            refused: BTreeMap::new(),
        }
    }

    /// Whether everything that is known of was taken over.
    pub(super) fn is_settled(&self) -> bool {
        !self.all && self.pending.is_empty()
    }

    /// Looks at every file again, and says again what is wrong.
    pub(super) fn read_all_again(&mut self) {
        self.refused.clear();
        self.all = true;
    }

    /// Takes over what is pending, or waits until something is. It may be dropped
    /// and called again: a file is done only when it is done.
    pub(super) async fn follow(&mut self, host: &Host) {
        if self.watch.is_none() {
            // Before the look, so that no change falls in between.
            match Watch::start(&self.dir) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => {
                    tracing::error!(
                        dir = %self.dir.display(), %error,
                        "the directory of manifests cannot be watched; what it stood for stays"
                    );
                    self.all = false;
                    tokio::time::sleep(LOOK_FOR_EVERY).await;
                    self.all = true;
                    return;
                }
            }
        }
        if self.all {
            return self.look_at_all(host);
        }
        let first = self.pending.first_key_value();
        if let Some((name, found)) = first.map(|(name, found)| (name.clone(), *found)) {
            if found == Found::Seen && self.is_fresh(&name) {
                tokio::time::sleep(FRESH).await;
                return;
            }
            self.take_over(host, &name).await;
            self.pending.remove(&name);
            return;
        }
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
                self.all = true;
            }
        }
    }

    /// Finds the files that there are, and those that there were.
    fn look_at_all(&mut self, host: &Host) {
        self.all = false;
        match names(&self.dir) {
            Ok(names) => {
                let known = host.files();
                let known = known.iter().map(|(file, _)| PathBuf::from(&**file));
                for name in names.into_iter().chain(known) {
                    self.pending.entry(name).or_insert(Found::Seen);
                }
            }
            Err(error) => {
                tracing::error!(
                    dir = %self.dir.display(), %error,
                    "the directory of manifests cannot be read; what it stood for stays"
                );
                self.watch = None;
            }
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

    async fn take_over(&mut self, host: &Host, name: &Path) {
        let path = self.dir.join(name);
        let Some(file) = name.to_str() else {
            tracing::error!(file = %path.display(), "its name is not UTF-8");
            return;
        };
        let bytes = match files::bytes_of(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.refused.remove(name);
                match host.remove_file(file).await {
                    Ok(changes) if changes.deleted > 0 => {
                        tracing::info!(file = %path.display(), deleted = changes.deleted, "the file is gone, and so are its objects");
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(file = %path.display(), "{error}"),
                }
                return;
            }
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "the file cannot be read; what it stood for stays");
                return;
            }
        };
        let digest = digest(&bytes);
        let known = host.files();
        let had = known.iter().find(|(known, _)| &**known == file);
        if had.is_some_and(|(_, had)| **had == *digest) {
            self.refused.remove(name);
            return;
        }
        if self.refused.get(name) == Some(&digest) {
            return;
        }
        if let Err(texts) = self.apply(host, file, &path, &bytes, &digest).await {
            for text in texts.lines() {
                tracing::error!("{text}");
            }
            tracing::error!(file = %path.display(), "the file is not taken over; what it stood for before stays");
            self.refused.insert(name.to_owned(), digest);
        }
    }

    async fn apply(
        &self,
        host: &Host,
        file: &str,
        path: &Path,
        bytes: &[u8],
        digest: &str,
    ) -> Result<(), String> {
        let name = path.display().to_string();
        let source = Source { name: &name, bytes };
        let manifest = manifest::read(&source).map_err(|problems| problems.to_string())?;
        for warning in &manifest.warnings {
            tracing::warn!("{}:{}: {warning}", warning.file, warning.at);
        }
        for text in host::missing_images(host, &manifest) {
            tracing::warn!("{text}");
        }
        let changes = host
            .apply_file(file, digest, manifest)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        tracing::info!(
            file = name,
            created = changes.created,
            configured = changes.configured,
            deleted = changes.deleted,
            "took the file over"
        );
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Manifests by their ending; what is hidden is somebody's own.
fn is_manifest(name: &Path) -> bool {
    let hidden = name.to_str().is_none_or(|name| name.starts_with('.'));
    !hidden && files::is_manifest(name)
}

fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = PathBuf::from(entry?.file_name());
        if is_manifest(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
