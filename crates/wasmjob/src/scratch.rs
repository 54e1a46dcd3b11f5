//! The directory of emptyDirs: one that a caller names, one in the data directory, or one
//! of our own among temporary files.
//!
//! One of our own goes with the host. A host that is killed leaves it there; whoever ends
//! next finds that nobody holds it any more, and removes it with the files of Secrets to
//! which it leads.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use wasmjob_api::Uid;
use wasmjob_node::remove_tree;

use crate::BuildError;
use crate::memory_dir;
use crate::random::Random;

/// What the names of our own begin with.
const PREFIX: &str = "wasmjob-run-";

pub(crate) struct Scratch {
    dir: PathBuf,
    own: Option<Own>,
}

/// One of our own.
struct Own {
    base: PathBuf,
    /// Locked, as long as the process lives; not where that cannot be done.
    _held: Option<File>,
}

impl Scratch {
    /// The one in a data directory, without what was left there by a host that
    /// was killed.
    pub(crate) fn of_data_dir(dir: &Path) -> Result<PathBuf, BuildError> {
        let dir = dir.join("scratch");
        match remove_tree(&dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(BuildError::Scratch { dir, source })
            }
            _ => Ok(dir),
        }
    }

    /// Makes `dir`, or one of our own.
    pub(crate) fn make(dir: Option<PathBuf>) -> Result<Self, BuildError> {
        let Some(dir) = dir else {
            let base = std::env::temp_dir();
            return Self::make_own(&base)
                .map_err(|source| BuildError::Scratch { dir: base, source });
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        match made {
            Ok(()) => Ok(Self { dir, own: None }),
            Err(source) => Err(BuildError::Scratch { dir, source }),
        }
    }

    fn make_own(base: &Path) -> io::Result<Self> {
        // Not by the seed: two hosts may have the same one, and nobody may guess it.
        let name = format!("{PREFIX}{}", Random::new(None).uid());
        // It must be new, so that nobody has prepared it; and nobody sweeps it away before
        // it is held, because nobody knows the name.
        let hidden = base.join(format!(".{name}"));
        DirBuilder::new().mode(0o700).create(&hidden)?;
        let dir = base.join(name);
        let held = hold(&hidden).and_then(|held| {
            fs::rename(&hidden, &dir)?;
            Ok(held)
        });
        // Network file systems may lock no directories. What is hidden is never swept.
        let (dir, held) = match held {
            Ok(held) => (dir, Some(held)),
            Err(_) => (hidden, None),
        };
        Ok(Self {
            dir,
            own: Some(Own {
                base: base.to_owned(),
                _held: held,
            }),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// It goes with the host.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        if let Err(error) = remove_tree(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), %error, "failed to remove the scratch directory");
        }
        if let Err(error) = sweep(&own.base) {
            tracing::debug!(dir = %own.base.display(), %error, "nothing was swept");
        }
    }
}

/// Opens a directory and locks it, if nobody else has.
fn hold(dir: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = File::from(rustix::fs::open(dir, flags, Mode::empty())?);
    flock(&held, FlockOperation::NonBlockingLockExclusive)?;
    Ok(held)
}

/// Whether a host gives such a name to a directory.
fn is_name(name: &OsStr) -> bool {
    let uid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    uid.is_some_and(|uid| uid.parse::<Uid>().is_ok())
}

/// Removes what hosts have left that were killed: what is ours, and held by nobody.
fn sweep(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let name = entry?.file_name();
        if !is_name(&name) {
            continue;
        }
        let dir = base.join(name);
        // Somebody else's cannot be opened, as a rule, and is left alone if it can.
        let Ok(held) = hold(&dir) else { continue };
        let is_ours = held.metadata().is_ok_and(|it| {
            it.uid() == rustix::process::geteuid().as_raw() && it.mode() & 0o777 == 0o700
        });
        // What leads to files of Secrets stays as long as they do.
        if !is_ours || !memory_dir::remove_old(&dir) {
            continue;
        }
        if let Err(error) = remove_tree(&dir) {
            tracing::warn!(dir = %dir.display(), %error, "failed to remove what a killed host left");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_killed_host_left_goes_and_what_is_held_stays() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        // As if its process were gone: nobody holds it.
        let named = |number| format!("{PREFIX}{}", Uid::from_random(number));
        let dead = base.join(named(1));
        DirBuilder::new().mode(0o700).create(&dead).unwrap();
        fs::create_dir_all(dead.join("pod/volume")).unwrap();
        let elsewhere = base.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, dead.join("memory")).unwrap();
        symlink(&elsewhere, base.join(named(2))).unwrap();
        for somebodys in ["wasmjob-other", "wasmjob-run-mine", "wasmjob-run-"] {
            let mut private = DirBuilder::new();
            private.mode(0o700).create(base.join(somebodys)).unwrap();
        }
        fs::create_dir(base.join(named(3))).unwrap();
        let living = Scratch::make_own(base).unwrap();
        fs::create_dir(living.path().join("pod")).unwrap();
        let ends = Scratch::make_own(base).unwrap();
        let gone = ends.path().to_owned();
        drop(ends);
        assert!(!gone.exists() && !dead.exists());
        assert!(living.path().join("pod").is_dir());
        assert!(elsewhere.is_dir() && base.join("wasmjob-other").is_dir());
        drop(living);
        // Those of others: four directories, the link and where it leads.
        assert_eq!(fs::read_dir(base).unwrap().count(), 6);
    }
}
