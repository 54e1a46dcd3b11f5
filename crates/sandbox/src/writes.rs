//! What adds to the files of a mount: room is taken first, and what was written is told.
//!
//! Moving and linking from one mount to another are refused (`EXDEV`, 0.2:
//! `cross-device`), as between file systems: they would bring files past their
//! limits. Making a file longer without writing takes no room, as such files have
//! holes; WASI's `fd_allocate` is not there in Wasmtime.

use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno as OsError;
use wasmtime::component::Resource;
use wasmtime::{Caller, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p1::types::Errno;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as p1, WasiSnapshotPreview1};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor, PathFlags};
use wasmtime_wasi::p2::{
    DynOutputStream, FsResult, OutputStream, Pollable, StreamError, StreamResult,
};
use wiggle::GuestMemory;

use crate::executor::Cell;
use crate::files::{P1, P2, enter, told};
use crate::quota::{Quotas, Room};
use crate::{ComponentLinker, CoreLinker, Guest};

/// The interface of preopened directories, as Wasmtime has just defined it.
const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// Bytes that a directory or a link is taken to need.
const ENTRY_BYTES: u64 = 4_096;

/// The most that a stream takes at once.
const PERMIT_BYTES: usize = 64 << 10;

/// Redefines what differs; shadowing must be allowed.
pub(crate) fn core(linker: &mut CoreLinker) -> wasmtime::Result<()> {
    macro_rules! make {
        ($name:literal, $function:ident, ($($before:ident),*) $dir:ident ($($after:ident),*), [$($ty:ty),*]) => {
            linker.func_wrap_async(
                P1,
                $name,
                |mut caller: Caller<'_, Guest>, ($($before,)* $dir, $($after,)*): ($($ty,)*)| {
                    Box::new(async move {
                        let (memory, fuel) = enter(&mut caller)?;
                        let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                        let room = guest.places.room($dir.cast_unsigned(), ENTRY_BYTES).await;
                        let Ok(_room) = room else {
                            return Ok(Errno::Nospc as i32);
                        };
                        guest.wasi.set_hostcall_fuel(fuel);
                        let mut memory = GuestMemory::Unshared(bytes);
                        p1::$function(&mut guest.wasi, &mut memory, $($before,)* $dir, $($after,)*).await
                    })
                },
            )?;
        };
    }
    make!("path_create_directory", path_create_directory, () dir (path, length), [i32, i32, i32]);
    make!("path_symlink", path_symlink, (old, old_length) dir (path, length), [i32, i32, i32, i32, i32]);

    macro_rules! within_mount {
        ($name:literal, $function:ident, $bytes:expr, $from:ident ($($between:ident),*) $to:ident ($($after:ident),*), [$($ty:ty),*]) => {
            linker.func_wrap_async(
                P1,
                $name,
                |mut caller: Caller<'_, Guest>, ($from, $($between,)* $to, $($after,)*): ($($ty,)*)| {
                    Box::new(async move {
                        let (memory, fuel) = enter(&mut caller)?;
                        let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                        if !guest.places.are_together($from.cast_unsigned(), $to.cast_unsigned()) {
                            return Ok(Errno::Xdev as i32);
                        }
                        let Ok(_room) = guest.places.room($to.cast_unsigned(), $bytes).await else {
                            return Ok(Errno::Nospc as i32);
                        };
                        let _moving = guest.places.moving($to.cast_unsigned()).await;
                        guest.wasi.set_hostcall_fuel(fuel);
                        let mut memory = GuestMemory::Unshared(bytes);
                        p1::$function(&mut guest.wasi, &mut memory, $from, $($between,)* $to, $($after,)*).await
                    })
                },
            )?;
        };
    }
    within_mount!("path_link", path_link, ENTRY_BYTES, from (flags, old, old_length) to (new, new_length), [i32, i32, i32, i32, i32, i32, i32]);
    within_mount!("path_rename", path_rename, 0, from (old, old_length) to (new, new_length), [i32, i32, i32, i32, i32, i32]);

    linker.func_wrap_async(
        P1,
        "fd_renumber",
        |mut caller: Caller<'_, Guest>, (from, to): (i32, i32)| {
            Box::new(async move {
                let (memory, _) = enter(&mut caller)?;
                let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                let mut memory = GuestMemory::Unshared(bytes);
                let done = p1::fd_renumber(&mut guest.wasi, &mut memory, from, to).await?;
                if done == Errno::Success as i32 && from != to {
                    let (from, to) = (from.cast_unsigned(), to.cast_unsigned());
                    guest.places.renumbered(from, to);
                }
                Ok(done)
            })
        },
    )?;
    Ok(())
}

/// Redefines what differs; shadowing must be allowed.
pub(crate) fn component(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    linker.instance(PREOPENS)?.func_wrap(
        "get-directories",
        |mut store: StoreContextMut<'_, Guest>, (): ()| {
            let guest = store.data_mut();
            let all = guest.filesystem().get_directories()?;
            guest.places.given_out(all.iter().map(|(dir, _)| dir.rep()));
            Ok((all,))
        },
    )?;
    let mut files = linker.instance(P2)?;
    files.func_wrap_async(
        "[method]descriptor.write",
        |mut store: StoreContextMut<'_, Guest>,
         (file, mut bytes, offset): (Resource<Descriptor>, Vec<u8>, u64)| {
            Box::new(async move {
                let guest = store.data_mut();
                let room = guest.places.room(file.rep(), bytes.len() as u64).await;
                let Ok(room) = room else {
                    return Ok((Err(ErrorCode::InsufficientSpace),));
                };
                if let Some(room) = &room {
                    bytes.truncate(usize::try_from(room.bytes).unwrap_or(usize::MAX));
                }
                let written = guest.filesystem().write(file, bytes, offset).await;
                if let Ok(written) = &written {
                    guest.cell.wrote(*written);
                }
                Ok((told(guest, written)?,))
            })
        },
    )?;
    files.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (file, offset): (Resource<Descriptor>, u64)| {
            let guest = store.data_mut();
            let descriptor = file.rep();
            let stream = guest.filesystem().write_via_stream(file, offset);
            let stream = metered(guest, descriptor, stream)?;
            Ok((told(guest, stream)?,))
        },
    )?;
    files.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, Guest>, (file,): (Resource<Descriptor>,)| {
            let guest = store.data_mut();
            let descriptor = file.rep();
            let stream = guest.filesystem().append_via_stream(file);
            let stream = metered(guest, descriptor, stream)?;
            Ok((told(guest, stream)?,))
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.create-directory-at",
        |mut store: StoreContextMut<'_, Guest>, (dir, path): (Resource<Descriptor>, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                let Ok(_room) = guest.places.room(dir.rep(), ENTRY_BYTES).await else {
                    return Ok((Err(ErrorCode::InsufficientSpace),));
                };
                let made = guest.filesystem().create_directory_at(dir, path).await;
                Ok((told(guest, made)?,))
            })
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.symlink-at",
        |mut store: StoreContextMut<'_, Guest>,
         (dir, old, new): (Resource<Descriptor>, String, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                let Ok(_room) = guest.places.room(dir.rep(), ENTRY_BYTES).await else {
                    return Ok((Err(ErrorCode::InsufficientSpace),));
                };
                let made = guest.filesystem().symlink_at(dir, old, new).await;
                Ok((told(guest, made)?,))
            })
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.link-at",
        |mut store: StoreContextMut<'_, Guest>,
         (from, flags, old, to, new): (
            Resource<Descriptor>,
            PathFlags,
            String,
            Resource<Descriptor>,
            String,
        )| {
            Box::new(async move {
                let guest = store.data_mut();
                if !guest.places.are_together(from.rep(), to.rep()) {
                    return Ok((Err(ErrorCode::CrossDevice),));
                }
                let Ok(_room) = guest.places.room(to.rep(), ENTRY_BYTES).await else {
                    return Ok((Err(ErrorCode::InsufficientSpace),));
                };
                let _moving = guest.places.moving(to.rep()).await;
                let mut files = guest.filesystem();
                let linked = files.link_at(from, flags, old, to, new).await;
                Ok((told(guest, linked)?,))
            })
        },
    )?;
    files.func_wrap_async(
        "[method]descriptor.rename-at",
        |mut store: StoreContextMut<'_, Guest>,
         (from, old, to, new): (Resource<Descriptor>, String, Resource<Descriptor>, String)| {
            Box::new(async move {
                let guest = store.data_mut();
                if !guest.places.are_together(from.rep(), to.rep()) {
                    return Ok((Err(ErrorCode::CrossDevice),));
                }
                let _moving = guest.places.moving(to.rep()).await;
                let moved = guest.filesystem().rename_at(from, old, to, new).await;
                Ok((told(guest, moved)?,))
            })
        },
    )?;
    Ok(())
}

/// Has a stream to a file take room for what is written, and tell of it.
fn metered(
    guest: &mut Guest,
    descriptor: u32,
    stream: FsResult<Resource<DynOutputStream>>,
) -> wasmtime::Result<FsResult<Resource<DynOutputStream>>> {
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    let quotas = guest.places.quotas(descriptor).cloned();
    let cell = Arc::clone(&guest.cell);
    let table = guest.ctx().table;
    let inner = table.delete(stream)?;
    let stream: DynOutputStream = Box::new(Metered {
        inner,
        cell,
        quotas: quotas.filter(|quotas| !quotas.is_empty()),
        waiting: Bytes::new(),
        writing: None,
        failed: None,
    });
    Ok(Ok(table.push(stream)?))
}

/// A stream to a file. What has no room that is known of waits here until somebody
/// has looked, which is when the guest waits for the stream.
struct Metered {
    inner: DynOutputStream,
    cell: Arc<Cell>,
    /// The limits, if there are any.
    quotas: Option<Quotas>,
    /// What waits for room.
    waiting: Bytes,
    /// Room for what is being written.
    writing: Option<Room>,
    /// What went wrong since the guest last asked, of which it is told once.
    failed: Option<StreamError>,
}

impl Metered {
    /// Tells the guest once what went wrong.
    fn tell(&mut self) -> StreamResult<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Writes what waits, as far as there is room. It may be dropped wherever it waits, as
    /// a guest may let go of a question, so that bytes leave only as they are written.
    async fn write_waiting(&mut self) -> StreamResult<()> {
        while let Some(quotas) = &self.quotas
            && !self.waiting.is_empty()
        {
            // What was written before needs its room no longer, or we would wait for it here.
            self.inner.ready().await;
            self.writing = None;
            self.inner.check_write()?;
            let room = Room::take(quotas, self.waiting.len() as u64).await;
            if room.bytes == 0 {
                let error = std::io::Error::from(OsError::NOSPC);
                return Err(StreamError::LastOperationFailed(error.into()));
            }
            let length = usize::try_from(room.bytes).unwrap_or(usize::MAX);
            let part = self.waiting.split_to(length.min(self.waiting.len()));
            self.cell.wrote(part.len() as u64);
            self.writing = Some(room);
            self.inner.write(part)?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Pollable for Metered {
    async fn ready(&mut self) {
        if let Err(error) = self.write_waiting().await {
            self.waiting.clear();
            self.failed = Some(error);
        }
        self.inner.ready().await;
        self.writing = None;
    }
}

#[async_trait::async_trait]
impl OutputStream for Metered {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.waiting.is_empty() || self.failed.is_some() {
            let text = "write not permitted: check_write not called first";
            return Err(StreamError::Trap(wasmtime::format_err!("{text}")));
        }
        let length = bytes.len() as u64;
        if let Some(quotas) = &self.quotas
            && length > 0
        {
            self.writing = Room::take_known(quotas, length);
            if self.writing.is_none() {
                self.waiting = bytes;
                return Ok(());
            }
        }
        self.inner.write(bytes)?;
        self.cell.wrote(length);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.tell()?;
        let ready = self.inner.check_write();
        if !matches!(ready, Ok(0)) {
            self.writing = None;
        }
        let ready = ready?.min(PERMIT_BYTES);
        match self.waiting.is_empty() {
            true => Ok(ready),
            // Whoever waits until it is ready has it written.
            false => Ok(0),
        }
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.quotas.is_none() {
            let length = bytes.len() as u64;
            self.inner.blocking_write_and_flush(bytes).await?;
            self.cell.wrote(length);
            return Ok(());
        }
        self.ready().await;
        self.tell()?;
        self.inner.check_write()?;
        self.waiting = bytes;
        self.ready().await;
        self.tell()?;
        self.inner.check_write().map(|_| ())
    }

    async fn cancel(&mut self) {
        // Who lets go of it has written what was taken.
        self.ready().await;
        self.inner.cancel().await;
    }
}
