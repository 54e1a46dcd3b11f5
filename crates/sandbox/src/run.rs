//! One run of one guest, from store to outcome.

use std::sync::Arc;

use rustix::fd::AsRawFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::executor::Cell;
use crate::files::descriptors_left;
use crate::guest::Guest;
use crate::http::{Common, Http};
use crate::limiter::Limiter;
use crate::module::{Entry, START};
use crate::network::Reach;
use crate::output::{Pipe, Stream};
use crate::places::Places;
use crate::trap::{Killed, exit_of, printable};
use crate::{Exit, Limits, Module, Mount, Task, Usage};

/// Runs `task` on a guest thread. Resolves to how it ended; dropped, it ends the
/// guest. Either way its cell learns what it used.
pub(crate) async fn run(task: Task, cell: Arc<Cell>, limits: Limits, common: Arc<Common>) -> Exit {
    if let Some(reason) = cell.killed() {
        return Exit::Killed(reason);
    }
    let fuel = task.fuel;
    let module = task.module.clone();
    let store = match prepare(task, &cell, &limits, common) {
        Ok(store) => store,
        Err(error) => return Exit::Start(printable(&format!("{error:#}"))),
    };
    let mut metered = Metered { store, fuel };
    let store = &mut metered.store;
    match &module.0.entry {
        Entry::Core(pre) => core(store, pre, &cell, &module, &limits).await,
        Entry::Component(pre) => component(store, pre, &cell, &module, &limits).await,
    }
}

/// A store that says what its guest used when it is dropped: the only moment
/// that comes also for a guest that is killed in a host call.
struct Metered {
    store: Store<Guest>,
    /// The budget.
    fuel: Option<u64>,
}

impl Drop for Metered {
    fn drop(&mut self) {
        let used = |budget: u64| budget.saturating_sub(self.store.get_fuel().unwrap_or(0));
        let guest = self.store.data();
        guest.cell.holds(0);
        guest.cell.used(Usage {
            cpu: std::time::Duration::ZERO,
            fuel: self.fuel.map(used),
            memory_bytes_peak: guest.limiter.peak(),
            written_bytes: guest.cell.live_usage().written_bytes,
        });
    }
}

/// Makes the store, with every limit set.
fn prepare(
    task: Task,
    cell: &Arc<Cell>,
    limits: &Limits,
    common: Arc<Common>,
) -> wasmtime::Result<Store<Guest>> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.args(&task.args)
        .stdout(Pipe {
            output: Arc::clone(&task.output),
            stream: Stream::Stdout,
        })
        .stderr(Pipe {
            output: task.output,
            stream: Stream::Stderr,
        })
        .max_random_size(limits.random_bytes)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    if let Some(input) = task.input {
        wasi.stdin(input);
    }
    for (name, value) in task.env.iter() {
        if !task.env_own.iter().any(|(own, _)| own == name) {
            wasi.env(name, value);
        }
    }
    for (name, value) in &task.env_own {
        wasi.env(name, value);
    }
    let mut preopened: Vec<usize> = (0..task.mounts.len()).collect();
    for mount in task.mounts.iter() {
        open(&mut wasi, mount, "", &mount.guest_path)?;
    }
    if let Some(dir) = &task.working_dir {
        wasi.initial_cwd(&**dir);
        if let Some((number, mount, rest)) = mount_of(&task.mounts, dir) {
            open(&mut wasi, mount, rest, ".")?;
            preopened.push(number);
        }
    }
    let lookups = common.lookups();
    let http = Http::new(task.network.clone(), lookups.clone(), limits, common);
    let reach = task
        .network
        .map(|network| Reach::open(network, lookups, &mut wasi));
    let mut wasi = wasi.build_p1();
    wasmtime_wasi::WasiView::ctx(&mut wasi)
        .table
        .set_max_capacity(limits.handles);

    let linked = &task.module.0;
    let main = task.beside.map(|main| main.cell);
    if let Some(main) = &main {
        main.beside.add(cell);
    }
    let memory_bytes_max = task.memory_bytes_max.min(limits.memory_bytes_max);
    let guest = Guest {
        wasi,
        limiter: Limiter::new(Arc::clone(cell), main, memory_bytes_max, limits),
        cell: Arc::clone(cell),
        places: Places::new(task.mounts, preopened),
        reach,
        http,
        extension: task.extension,
    };
    let engine = match &linked.entry {
        Entry::Core(pre) => pre.module().engine(),
        Entry::Component(pre) => pre.engine(),
    };
    let mut store = Store::try_new(engine, guest)?;
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(limits.hostcall_fuel);
    if let Some(fuel) = task.fuel {
        store.set_fuel(fuel)?;
    } else if linked.metered {
        store.set_fuel(u64::MAX)?;
    }
    // One tick from now, and then every tick: before instantiation, because a
    // start function is guest code too.
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|guest| {
        let cell = &guest.data().cell;
        if cell.killed().is_some() {
            return Err(Killed.into());
        }
        // So that what it has used can be told while it computes.
        cell.charge();
        Ok(if cell.others_wait() || cell.is_throttled() {
            UpdateDeadline::Yield(1)
        } else {
            UpdateDeadline::Continue(1)
        })
    });
    Ok(store)
}

/// Opens `rest` below `mount` at `guest_path`.
fn open(
    wasi: &mut WasiCtxBuilder,
    mount: &Mount,
    rest: &str,
    guest_path: &str,
) -> wasmtime::Result<()> {
    if !descriptors_left() {
        return Err(wasmtime::format_err!(
            "the host has no file descriptors left for guests"
        ));
    }
    let perms = if mount.read_only {
        FsPerms::ReadOnly
    } else {
        FsPerms::ReadWrite
    };
    let refused = || {
        wasmtime::format_err!(
            "the directory at {} cannot be opened in the guest",
            if rest.is_empty() {
                guest_path
            } else {
                &mount.guest_path
            }
        )
    };
    // What is in the mount may be a guest's: links in it lead no further than the mount.
    let inside = match rest.is_empty() {
        true => None,
        false => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let opened = openat2(&mount.dir, rest, flags, Mode::empty(), resolve);
            Some(opened.map_err(|_| refused())?)
        }
    };
    let dir = inside.as_ref().unwrap_or(&mount.dir).as_raw_fd();
    // By the descriptor, so that nobody can put something else at the path.
    let host_path = format!("/proc/self/fd/{dir}/");
    wasi.preopened_dir(&host_path, guest_path, perms)
        .map(|_| ())
        .map_err(|_| refused())
}

/// The mount that `dir` lies in, the deepest one, with its number, and the rest of the path.
fn mount_of<'a>(mounts: &'a [Mount], dir: &'a str) -> Option<(usize, &'a Mount, &'a str)> {
    mounts
        .iter()
        .enumerate()
        .filter_map(|(number, mount)| {
            let rest = dir.strip_prefix(mount.guest_path.trim_end_matches('/'))?;
            let inside = rest.is_empty() || rest.starts_with('/');
            inside.then(|| (number, mount, rest.trim_matches('/')))
        })
        .filter(|(_, _, rest)| !rest.split('/').any(|part| part == ".."))
        .max_by_key(|(_, mount, _)| mount.guest_path.len())
}

async fn core(
    store: &mut Store<Guest>,
    pre: &wasmtime::InstancePre<Guest>,
    cell: &Cell,
    module: &Module,
    limits: &Limits,
) -> Exit {
    let instance = match pre.instantiate_async(&mut *store).await {
        Ok(instance) => instance,
        Err(error) => return failed_start(&error, cell, store, module, limits),
    };
    let start = match instance.get_typed_func::<(), ()>(&mut *store, START) {
        Ok(start) => start,
        Err(error) => return Exit::Start(printable(&format!("{error:#}"))),
    };
    store.data_mut().limiter.guest_code_runs();
    match start.call_async(&mut *store, ()).await {
        Ok(()) => Exit::Code(0),
        Err(error) => end_of(&error, cell, store, module, limits),
    }
}

async fn component(
    store: &mut Store<Guest>,
    pre: &wasmtime_wasi::p2::bindings::CommandPre<Guest>,
    cell: &Cell,
    module: &Module,
    limits: &Limits,
) -> Exit {
    let command = match pre.instantiate_async(&mut *store).await {
        Ok(command) => command,
        Err(error) => return failed_start(&error, cell, store, module, limits),
    };
    store.data_mut().limiter.guest_code_runs();
    match command.wasi_cli_run().call_run(&mut *store).await {
        Ok(Ok(())) => Exit::Code(0),
        Ok(Err(())) => Exit::Code(1),
        Err(error) => end_of(&error, cell, store, module, limits),
    }
}

fn end_of(
    error: &wasmtime::Error,
    cell: &Cell,
    store: &Store<Guest>,
    module: &Module,
    limits: &Limits,
) -> Exit {
    let limiter = &store.data().limiter;
    exit_of(
        error,
        cell,
        limiter,
        &module.0.places,
        limits.backtrace_frames,
    )
}

/// An instantiation that failed: guest code (a start function) may have run and
/// ended it, or it never came to that.
fn failed_start(
    error: &wasmtime::Error,
    cell: &Cell,
    store: &Store<Guest>,
    module: &Module,
    limits: &Limits,
) -> Exit {
    match end_of(error, cell, store, module, limits) {
        Exit::Trap(_) if !error.is::<wasmtime::Trap>() => {
            Exit::Start(printable(&error.root_cause().to_string()))
        }
        exit => exit,
    }
}
