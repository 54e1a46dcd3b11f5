//! Volumes whose files are made of other objects, and made anew when those change or,
//! if they are tokens, before they end.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::Pod;
use wasmjob_api::k8s_openapi::api::core::v1::Volume;

use crate::atomic_dir;
use crate::projected::{Budget, View, payload};
use crate::token::Tokens;

/// When files are tried again that could not be made: the disk is full, for one.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Such volumes of one pod.
pub(crate) struct Projections {
    state: Mutex<State>,
    /// A thread will make them anew, and has not begun.
    is_queued: AtomicBool,
    /// The pod as it is now, if it is another since the files were made.
    pod: Mutex<Option<Arc<Pod>>>,
    /// When they are to be made anew whatever has changed, in seconds of wall time;
    /// beyond all times, if never.
    due: AtomicI64,
}

struct State {
    view: View,
    volumes: Vec<Projection>,
    budget: Budget,
    tokens: Tokens,
    /// How often directories were written.
    written: u64,
    /// The pod's directories are being removed.
    is_closed: bool,
}

struct Projection {
    volume: Volume,
    dir: PathBuf,
    /// What stands there, so that what is the same is not written again.
    digest: u64,
}

/// Why files are not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What they are made of is not there; when it is, somebody says so.
    #[error("{0}")]
    Missing(String),
    #[error("failed to write its files: {0}")]
    Write(#[source] io::Error),
}

impl Projections {
    pub(crate) fn new(view: View) -> Self {
        Self {
            state: Mutex::new(State {
                view,
                volumes: Vec::new(),
                budget: Budget::default(),
                tokens: Tokens::default(),
                written: 0,
                is_closed: false,
            }),
            pod: Mutex::default(),
            is_queued: AtomicBool::new(false),
            due: AtomicI64::new(i64::MAX),
        }
    }

    /// Fills `dir`, which is empty, with the files of `volume`. Blocks.
    ///
    /// # Errors
    ///
    /// Why there are none yet, in the kubelet's words.
    pub(crate) fn add(&self, volume: &Volume, dir: &Path) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut projection = Projection {
            volume: volume.clone(),
            dir: dir.to_owned(),
            digest: 0,
        };
        let State {
            budget,
            written,
            tokens,
            view,
            ..
        } = &mut *state;
        let done = projection.write(view, budget, tokens, written);
        done.map_err(|error| error.to_string())?;
        state.volumes.push(projection);
        self.note_due(state.tokens.due());
        Ok(())
    }

    /// The pod has other metadata from now on, which the next refresh shows.
    pub(crate) fn follow(&self, pod: Arc<Pod>) {
        *self.pod.lock().unwrap_or_else(PoisonError::into_inner) = Some(pod);
    }

    /// When somebody must call [`Projections::refresh`], whatever has changed.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.due.load(Ordering::Acquire)).ok()
    }

    fn note_due(&self, due: Option<Timestamp>) {
        let due = due.map_or(i64::MAX, Timestamp::as_second);
        self.due.store(due, Ordering::Release);
    }

    /// Whether somebody must now call [`Projections::refresh`]: not if somebody is
    /// about to.
    pub(crate) fn wants_refresh(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// Makes all files anew that are others now. What cannot be made stays as it is, and
    /// is tried again after a while. Blocks.
    pub(crate) fn refresh(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the objects are looked at, so that no change falls in between.
        self.is_queued.store(false, Ordering::Release);
        if state.is_closed {
            return;
        }
        let State {
            volumes,
            written,
            tokens,
            view,
            ..
        } = &mut *state;
        let changed = self
            .pod
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(pod) = changed {
            view.pod = pod;
        }
        let mut budget = Budget::default();
        let began = view.clock.wall();
        let mut again = None;
        for projection in volumes {
            if let Err(error) = projection.write(view, &mut budget, tokens, written) {
                if let Failure::Write(_) = error {
                    again = began.checked_add(AGAIN).ok();
                }
                let pod = &view.pod;
                tracing::warn!(
                    namespace = %pod.namespace,
                    pod = %pod.name,
                    volume = projection.volume.name,
                    "the volume stays as it is: {error}"
                );
            }
        }
        tokens.put_off(began);
        self.note_due(tokens.due().into_iter().chain(again).min());
    }

    /// Nothing is written any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_closed = true;
    }
}

impl Projection {
    fn write(
        &mut self,
        view: &View,
        budget: &mut Budget,
        tokens: &mut Tokens,
        written: &mut u64,
    ) -> Result<(), Failure> {
        let files = payload(&self.volume, view, budget, tokens).map_err(Failure::Missing)?;
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        let digest = hasher.finish().max(1);
        if digest == self.digest {
            return Ok(());
        }
        *written += 1;
        atomic_dir::write(&self.dir, &files, *written).map_err(Failure::Write)?;
        self.digest = digest;
        Ok(())
    }
}

impl std::fmt::Debug for Projections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Projections")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::token::tests::{Account, pod};
    use crate::{Clock, Resources, SystemClock};

    #[test]
    fn what_could_not_be_written_is_tried_again() {
        let volume = r#"{"name": "l", "downwardAPI": {"items":
            [{"path": "mood", "fieldRef": {"fieldPath": "metadata.labels['mood']"}}]}}"#;
        let volume: Volume = serde_json::from_str(volume).unwrap();
        let projections = Projections::new(View {
            pod: Arc::new(pod()),
            node_name: "node".into(),
            capacity: Resources::default(),
            default_memory_bytes: 0,
            objects: Arc::new(Account::default()),
            clock: Arc::new(SystemClock),
        });
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("l");
        fs::create_dir(&dir).unwrap();
        projections.add(&volume, &dir).unwrap();
        assert_eq!(projections.due(), None);
        let mut changed = pod();
        changed.metadata = Some(Arc::new(ObjectMeta {
            labels: Some([("mood".to_owned(), "high".to_owned())].into()),
            ..ObjectMeta::default()
        }));
        projections.follow(Arc::new(changed));
        fs::rename(&dir, top.path().join("away")).unwrap();
        projections.refresh();
        let due = projections.due().unwrap();
        let wait = due.duration_since(SystemClock.wall());
        assert!(
            wait <= AGAIN && wait > AGAIN - SignedDuration::from_secs(30),
            "{wait}"
        );
        fs::rename(top.path().join("away"), &dir).unwrap();
        assert_eq!(fs::read(dir.join("mood")).unwrap(), b"");
        projections.refresh();
        assert_eq!(fs::read(dir.join("mood")).unwrap(), b"high");
        assert_eq!(projections.due(), None);
    }
}
