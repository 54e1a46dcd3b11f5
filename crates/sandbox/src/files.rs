//! Where WASI's files differ here from Wasmtime's.
//!
//! - Only files, directories and links can be opened. Whoever opens a FIFO waits
//!   for its other end in a thread of the host, which no deadline gives back; a
//!   device may do anything. They are refused with `ENXIO` (0.2: `no-such-device`),
//!   as a socket is in POSIX. The path is looked at before it is opened, so
//!   somebody who renames a FIFO at the right moment gets one opened: guests
//!   cannot make FIFOs, and the threads that they can hold are counted
//!   (`Limits::blocking_threads`).
//! - A quarter of the process' descriptors is the host's. All guests together may
//!   take the others; who then opens a file is told `ENFILE` (0.2:
//!   `insufficient-memory`), and who would be started with a directory is not.
//!   One guest has a limit of its own besides (`Limits::handles`).
//! - A read or write of more than the host may copy at once
//!   (`Limits::hostcall_fuel`) is a short one (`buffers`). This is for WASI 0.1: a
//!   component that hands over more in one call traps, because arguments are copied
//!   before the function is called. Its streams say how much they take, which is less.
//! - What is written, made or created takes room of its mount's quotas before it is
//!   done (`writes`); creating a file is done here, as it is opening.

use std::fs::File;
use std::sync::Arc;

use rustix::fd::AsRawFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource as Limited, getrlimit};
use wasmtime::component::Resource;
use wasmtime::{AsContextMut, Caller, Extern, Memory, StoreContextMut};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p1::types::{Errno, Error, Fd, Filetype, Lookupflags};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as p1, WasiSnapshotPreview1};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, Host, HostDescriptor, OpenFlags, PathFlags,
};
use wiggle::{GuestMemory, GuestPtr};

use crate::open_files::Opening;
use crate::{ComponentLinker, CoreLinker, Guest};

pub(crate) const P1: &str = "wasi_snapshot_preview1";

/// The interface of files for components, as Wasmtime has just defined it.
pub(crate) const P2: &str = "wasi:filesystem/types@0.2.12";

/// The flag of `path_open` by which a file is made that is not there.
const CREATE: i32 = 1;

/// Redefines what differs; shadowing must be allowed.
pub(crate) fn core(linker: &mut CoreLinker) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        P1,
        "path_open",
        |mut caller: Caller<'_, Guest>,
         (dir, follow, path, len, create, rights, inherited, flags, to): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i64,
            i64,
            i32,
            i32,
        )| {
            Box::new(async move {
                let (memory, fuel) = enter(&mut caller)?;
                let (bytes, guest) = memory.data_and_store_mut(&mut caller);
                let mut memory = GuestMemory::Unshared(bytes);
                guest.wasi.set_hostcall_fuel(fuel);
                let name = GuestPtr::new((path.cast_unsigned(), len.cast_unsigned()));
                if !descriptors_left() {
                    return Ok(Errno::Nfile as i32);
                }
                let found = look_at(guest, &mut memory, dir, follow, name).await;
                if matches!(found, Found::Special) {
                    return Ok(Errno::Nxio as i32);
                }
                let makes = matches!(found, Found::Nothing) && create & CREATE != 0;
                let Ok(_room) = guest.places.room(dir.cast_unsigned(), makes.into()).await else {
                    return Ok(Errno::Nospc as i32);
                };
                guest.wasi.set_hostcall_fuel(fuel);
                let (opening, place) = (Opening::begin(), next_place(guest));
                let opened = p1::path_open(
                    &mut guest.wasi,
                    &mut memory,
                    dir,
                    follow,
                    path,
                    len,
                    create,
                    rights,
                    inherited,
                    flags,
                    to,
                )
                .await?;
                if opened == Errno::Success as i32
                    && let Some(fd) = read_u32(bytes, to)
                {
                    let file = place.and_then(|place| file_at(guest, place));
                    let dir = dir.cast_unsigned();
                    guest.places.opened(dir, fd, file.as_ref(), opening);
                }
                Ok(opened)
            })
        },
    )?;
    Ok(())
}

/// Whether guests may take one more of the process' descriptors. The kernel
/// gives out the lowest number that is free, so a new one tells how many there
/// are, whoever opened them; counting would have to learn of every closing.
/// Guests that ask at the same time may each take one: the host's share is far
/// larger than the number of threads that open files.
pub(crate) fn descriptors_left() -> bool {
    let Some(limit) = getrlimit(Limited::Nofile).current else {
        return true;
    };
    let guests = limit - limit / 4;
    let probe = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    probe.is_ok_and(|probe| u64::from(probe.as_raw_fd().cast_unsigned()) < guests)
}

/// Where the next handle of a guest will be: WASI 0.1 does not tell where those are that
/// stand behind its file descriptors.
fn next_place(guest: &mut Guest) -> Option<u32> {
    let table = guest.ctx().table;
    let taken = table.push(()).ok()?;
    let place = taken.rep();
    table.delete(taken).ok()?;
    Some(place)
}

/// The open file or directory behind a handle.
fn file_at(guest: &mut Guest, place: u32) -> Option<Arc<File>> {
    let table = guest.ctx().table;
    match table.get(&Resource::new_borrow(place)).ok()? {
        Descriptor::File(file) => Some(Arc::clone(&file.file)),
        Descriptor::Dir(dir) => Some(Arc::clone(&dir.dir)),
    }
}

/// The guest's memory, and how much the host may copy in this call.
pub(crate) fn enter(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<(Memory, usize)> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Err(wasmtime::format_err!("missing required memory export"));
    };
    Ok((memory, caller.as_context_mut().hostcall_fuel()))
}

/// What a path names.
enum Found {
    /// What may be opened.
    Plain,
    /// What must not be.
    Special,
    /// Nothing, or nothing that can be told: opening it will tell.
    Nothing,
}

/// What `path` in `dir` names.
async fn look_at(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    dir: i32,
    follow: i32,
    path: GuestPtr<str>,
) -> Found {
    let Ok(follow) = Lookupflags::try_from(follow) else {
        return Found::Nothing;
    };
    let wasi = &mut guest.wasi;
    match wasi
        .path_filestat_get(memory, Fd::from(dir), follow, path)
        .await
    {
        Ok(found) => match found.filetype {
            Filetype::RegularFile | Filetype::Directory | Filetype::SymbolicLink => Found::Plain,
            _ => Found::Special,
        },
        // Some kinds, such as sockets, have no name in WASI.
        Err(error) => match Error::downcast(error) {
            Ok(_) => Found::Nothing,
            Err(_) => Found::Special,
        },
    }
}

/// A number in a guest's memory.
pub(crate) fn read_u32(memory: &[u8], at: i32) -> Option<u32> {
    let bytes = memory.get(at.cast_unsigned() as usize..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Redefines what differs; shadowing must be allowed.
pub(crate) fn component(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut files = linker.instance(P2)?;
    files.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: StoreContextMut<'_, Guest>,
         (dir, follow, path, create, flags): (
            Resource<Descriptor>,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            Box::new(async move {
                if !descriptors_left() {
                    return Ok((Err(ErrorCode::InsufficientMemory),));
                }
                let guest = store.data_mut();
                let parent = dir.rep();
                let look = Resource::new_borrow(parent);
                let found = guest.filesystem().stat_at(look, follow, path.clone()).await;
                let makes = match found {
                    Ok(found) if !is_openable(found.type_) => {
                        return Ok((Err(ErrorCode::NoSuchDevice),));
                    }
                    Ok(_) => false,
                    Err(_) => create.contains(OpenFlags::CREATE),
                };
                let Ok(_room) = guest.places.room(parent, makes.into()).await else {
                    return Ok((Err(ErrorCode::InsufficientSpace),));
                };
                let opening = Opening::begin();
                let mut files = guest.filesystem();
                let opened = files.open_at(dir, follow, path, create, flags).await;
                let opened = told(guest, opened)?;
                if let Ok(opened) = &opened {
                    let descriptor = opened.rep();
                    let file = file_at(guest, descriptor);
                    let places = &mut guest.places;
                    places.opened(parent, descriptor, file.as_ref(), opening);
                }
                Ok((opened,))
            })
        },
    )?;
    Ok(())
}

/// An error code for the guest; what is none must end it.
pub(crate) fn told<T>(
    guest: &mut Guest,
    result: FsResult<T>,
) -> wasmtime::Result<Result<T, ErrorCode>> {
    Ok(match result {
        Ok(value) => Ok(value),
        Err(error) => Err(guest.filesystem().convert_error_code(error)?),
    })
}

fn is_openable(kind: DescriptorType) -> bool {
    matches!(
        kind,
        DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink
    )
}
