//! Volumes whose files are made of other objects, and made anew when those change or,
//! if they are tokens, before they end.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use wasmjob_api::k8s_openapi::api::core::v1::Volume;

use crate::atomic_dir;
use crate::projected::{Budget, View, payload};
use crate::token::Tokens;

/// Such volumes of one pod.
pub(crate) struct Projections {
    view: View,
    state: Mutex<State>,
    /// A thread will make them anew, and has not begun.
    is_queued: AtomicBool,
    /// When a token among them is to be made anew, in seconds of wall time; beyond all
    /// times, if there is none.
    due: AtomicI64,
}

#[derive(Default)]
struct State {
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

impl Projections {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view,
            state: Mutex::default(),
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
            ..
        } = &mut *state;
        projection.write(&self.view, budget, tokens, written)?;
        state.volumes.push(projection);
        self.note_due(&state.tokens);
        Ok(())
    }

    /// When somebody must call [`Projections::refresh`], whatever has changed.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.due.load(Ordering::Acquire)).ok()
    }

    fn note_due(&self, tokens: &Tokens) {
        let due = tokens.due().map_or(i64::MAX, Timestamp::as_second);
        self.due.store(due, Ordering::Release);
    }

    /// Whether somebody must now call [`Projections::refresh`]: not if somebody is
    /// about to.
    pub(crate) fn wants_refresh(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// Makes all files anew that are others now. What cannot be made stays as it is.
    /// Blocks.
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
            ..
        } = &mut *state;
        let mut budget = Budget::default();
        let began = self.view.clock.wall();
        for projection in volumes {
            if let Err(error) = projection.write(&self.view, &mut budget, tokens, written) {
                let pod = &self.view.pod;
                tracing::warn!(
                    namespace = %pod.namespace,
                    pod = %pod.name,
                    volume = projection.volume.name,
                    "the volume stays as it is: {error}"
                );
            }
        }
        state.tokens.put_off(began);
        self.note_due(&state.tokens);
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
    ) -> Result<(), String> {
        let files = payload(&self.volume, view, budget, tokens)?;
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        let digest = hasher.finish().max(1);
        if digest == self.digest {
            return Ok(());
        }
        *written += 1;
        atomic_dir::write(&self.dir, &files, *written)
            .map_err(|error| format!("failed to write its files: {error}"))?;
        self.digest = digest;
        Ok(())
    }
}

impl std::fmt::Debug for Projections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Projections")
    }
}
