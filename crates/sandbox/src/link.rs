//! What a guest may import.

use std::future::poll_fn;
use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime::{Caller, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::IoError;

use crate::trap::ExitCode;
use crate::{Guest, buffers, files, http, names, network, writes};

/// Defines functions for core modules. An embedder's functions go here.
pub type CoreLinker = wasmtime::Linker<Guest>;

/// Defines interfaces for components. An embedder's interfaces go here.
pub type ComponentLinker = wasmtime::component::Linker<Guest>;

/// What linking may fail with.
pub type LinkError = wasmtime::Error;

/// The interface of errors of streams, as Wasmtime has just defined it.
const IO_ERROR: &str = "wasi:io/error@0.2.12";

/// The interface of signals for components.
const SIGNALS: &str = "wasmjob:guest/signals@0.1.0";

/// Defines all that core modules may import: WASI 0.1 and our signal functions.
pub(crate) fn core(linker: &mut CoreLinker) -> wasmtime::Result<()> {
    wasmtime_wasi::p1::add_to_linker_async(linker, |guest| &mut guest.wasi)?;
    // Wasmtime's own refuses codes above 125; containers have 0 to 255.
    linker.allow_shadowing(true);
    files::core(linker)?;
    buffers::core(linker)?;
    writes::core(linker)?;
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(ExitCode(code).into()) },
    )?;
    linker.allow_shadowing(false);
    linker.func_wrap("wasmjob", "pending-signal", |caller: Caller<'_, Guest>| {
        i32::from(caller.data().cell.take_signal())
    })?;
    linker.func_wrap_async(
        "wasmjob",
        "sleep-ms",
        |caller: Caller<'_, Guest>, (ms,): (i64,)| {
            let cell = std::sync::Arc::clone(&caller.data().cell);
            Box::new(async move { i32::from(sleep(&cell, ms.max(0).unsigned_abs()).await) })
        },
    )?;
    Ok(())
}

/// Defines all that components may import: WASI 0.2 with `wasi:http`, and our signal
/// functions.
pub(crate) fn component(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    files::component(linker)?;
    writes::component(linker)?;
    network::component(linker)?;
    names::component(linker)?;
    // Wasmtime's own may show a backtrace of the host.
    linker.instance(IO_ERROR)?.func_wrap(
        "[method]error.to-debug-string",
        |mut store: StoreContextMut<'_, Guest>, (error,): (Resource<IoError>,)| {
            let table = WasiView::ctx(store.data_mut()).table;
            Ok((format!("{:#}", table.get(&error)?),))
        },
    )?;
    linker.allow_shadowing(false);
    http::component(linker)?;
    let mut signals = linker.instance(SIGNALS)?;
    signals.func_wrap(
        "pending-signal",
        |store: StoreContextMut<'_, Guest>, (): ()| {
            Ok((u32::from(store.data().cell.take_signal()),))
        },
    )?;
    signals.func_wrap_async(
        "sleep-ms",
        |store: StoreContextMut<'_, Guest>, (ms,): (u64,)| {
            let cell = std::sync::Arc::clone(&store.data().cell);
            Box::new(async move { Ok((u32::from(sleep(&cell, ms).await),)) })
        },
    )?;
    Ok(())
}

/// Sleeps `ms` milliseconds, or until a signal is pending: its number, or 0.
async fn sleep(cell: &crate::executor::Cell, ms: u64) -> u8 {
    tokio::select! {
        biased;
        number = poll_fn(|cx| cell.poll_signal(cx)) => number,
        () = tokio::time::sleep(Duration::from_millis(ms)) => 0,
    }
}
