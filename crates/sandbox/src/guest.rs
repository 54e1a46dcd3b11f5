//! What a store carries for its guest.

use std::any::Any;
use std::sync::Arc;

use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::executor::Cell;
use crate::http::Http;
use crate::limiter::Limiter;
use crate::network::Reach;
use crate::places::Places;

/// The host's side of one running guest. Host functions of an embedder get it
/// through `Caller::data` and ask it who calls.
pub struct Guest {
    // Dropped before the handles in `wasi`: requests learn that they end with them.
    pub(crate) http: Http,
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) limiter: Limiter,
    pub(crate) cell: Arc<Cell>,
    /// Where its descriptors lie.
    pub(crate) places: Places,
    /// Its network, if it has one.
    pub(crate) reach: Option<Reach>,
    pub(crate) extension: Option<Arc<dyn Any + Send + Sync>>,
}

impl Guest {
    /// What the task carried for host functions, if it is a `T`.
    #[must_use]
    pub fn extension<T: Any>(&self) -> Option<&T> {
        self.extension.as_deref()?.downcast_ref()
    }

    /// Whether the guest is to stop. A host function that works for long on
    /// this thread should ask now and then, because it cannot be interrupted;
    /// an async one is dropped at its next await.
    #[must_use]
    pub fn must_stop(&self) -> bool {
        self.cell.killed().is_some()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}
