//! What we import beyond the standard library: wasmjob's signal functions, and
//! of WASI the names of the preopened directories and random bytes.

/// SIGTERM's number.
pub(crate) const SIGTERM: i32 = 15;

/// Takes the signal that is pending, or returns 0.
pub(crate) fn pending_signal() -> i32 {
    imports::pending_signal()
}

/// Sleeps; returns early, with the signal's number, when one is pending.
pub(crate) fn sleep_ms(ms: u64) -> i32 {
    imports::sleep_ms(ms)
}

/// Fills `bytes` with random ones.
pub(crate) fn random(bytes: &mut [u8]) {
    imports::random(bytes);
}

/// The guest paths of the preopened directories.
pub(crate) fn preopens() -> Vec<String> {
    imports::preopens()
}

/// What identifies the preopened directory `path`: device and inode.
pub(crate) fn identity(path: &str) -> Option<(u64, u64)> {
    imports::identity(path)
}

#[cfg(target_family = "wasm")]
mod imports {
    //! Their WebAssembly signatures. Each `unsafe` call passes pointers to memory
    //! that it owns, with its true length.

    #[link(wasm_import_module = "wasmjob")]
    extern "C" {
        #[link_name = "pending-signal"]
        fn wasmjob_pending_signal() -> i32;
        #[link_name = "sleep-ms"]
        fn wasmjob_sleep_ms(ms: i64) -> i32;
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        fn fd_prestat_get(fd: i32, prestat: *mut [u32; 2]) -> i32;
        fn fd_prestat_dir_name(fd: i32, path: *mut u8, length: i32) -> i32;
        fn fd_filestat_get(fd: i32, stat: *mut [u64; 8]) -> i32;
        fn random_get(bytes: *mut u8, length: i32) -> i32;
    }

    /// The first preopened directory's descriptor, behind standard error's.
    const FIRST_PREOPEN: i32 = 3;

    pub(super) fn pending_signal() -> i32 {
        unsafe { wasmjob_pending_signal() }
    }

    pub(super) fn sleep_ms(ms: u64) -> i32 {
        unsafe { wasmjob_sleep_ms(i64::try_from(ms).unwrap_or(i64::MAX)) }
    }

    pub(super) fn random(bytes: &mut [u8]) {
        unsafe { random_get(bytes.as_mut_ptr(), bytes.len() as i32) };
    }

    pub(super) fn preopens() -> Vec<String> {
        (FIRST_PREOPEN..).map_while(name).collect()
    }

    pub(super) fn identity(path: &str) -> Option<(u64, u64)> {
        let fd = (FIRST_PREOPEN..)
            .map_while(|fd| Some((fd, name(fd)?)))
            .find(|(_, name)| name == path)?
            .0;
        let mut stat = [0; 8];
        (unsafe { fd_filestat_get(fd, &mut stat) } == 0).then_some((stat[0], stat[1]))
    }

    fn name(fd: i32) -> Option<String> {
        let mut prestat = [0; 2];
        if unsafe { fd_prestat_get(fd, &mut prestat) } != 0 {
            return None;
        }
        let mut name = vec![0; prestat[1] as usize];
        unsafe { fd_prestat_dir_name(fd, name.as_mut_ptr(), prestat[1] as i32) };
        Some(String::from_utf8_lossy(&name).into_owned())
    }
}

#[cfg(not(target_family = "wasm"))]
mod imports {
    //! The same for a build on the developer's machine, to try things quickly.

    use std::io::Read as _;

    pub(super) fn pending_signal() -> i32 {
        0
    }

    pub(super) fn sleep_ms(ms: u64) -> i32 {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        0
    }

    pub(super) fn random(bytes: &mut [u8]) {
        if let Ok(mut file) = std::fs::File::open("/dev/urandom") {
            let _ = file.read_exact(bytes);
        }
    }

    pub(super) fn preopens() -> Vec<String> {
        vec!["/".to_owned()]
    }

    pub(super) fn identity(_: &str) -> Option<(u64, u64)> {
        None
    }
}
