//! Compiled code on disk, under a MAC.
//!
//! Loading compiled code is running it, so an entry is believed only if its MAC
//! says that this user's wasmjob wrote it, for this module, this compiler and
//! these settings. The bytes are verified in memory and then used from memory:
//! what is on disk may change in between, and does not matter.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::OFlags;
use sha2::Sha256;
use wasmjob_sandbox::ModuleKind;

use crate::Digest;
use crate::digest::hex;

const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// The first bytes of an entry; another format gets another one.
const HEADER: &[u8; 16] = b"wasmjob-code-v1\n";
/// No compiled module is larger.
const ENTRY_BYTES_MAX: u64 = 1 << 30;

/// What identifies compiled code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheKey {
    pub(crate) digest: Digest,
    /// [`wasmjob_sandbox::Engine::compatibility`].
    pub(crate) compatibility: u64,
    pub(crate) metered: bool,
}

/// A directory of compiled modules.
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// Opens the cache in `dir`, and makes directory and key if they are not there.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        let key = match read_key(&dir.join("key")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(dir)?,
            key => key?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            key,
        })
    }

    /// The code for `key`. An entry that does not verify is removed.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<(ModuleKind, Vec<u8>)> {
        let path = self.path(key);
        let mut entry = match read_regular(&path, ENTRY_BYTES_MAX) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "failed to read a compiled module");
                return None;
            }
        };
        let Some(kind) = self.verify(key, &entry) else {
            tracing::warn!(path = %path.display(), "a compiled module does not verify and is compiled anew");
            let _ = std::fs::remove_file(&path);
            return None;
        };
        entry.drain(..HEADER.len() + MAC_BYTES + 1);
        Some((kind, entry))
    }

    /// Keeps `code`. A failure costs only time later.
    pub(crate) fn put(&self, key: &CacheKey, kind: ModuleKind, code: &[u8]) {
        let path = self.path(key);
        if let Err(error) = self.write(&path, key, kind, code) {
            tracing::debug!(path = %path.display(), %error, "failed to keep a compiled module");
        }
    }

    fn write(&self, path: &Path, key: &CacheKey, kind: ModuleKind, code: &[u8]) -> io::Result<()> {
        let kind = kind_byte(kind);
        let mac = self.mac(key, kind, code).finalize().into_bytes();
        // A name of its own, so that two writers and a crash leave whole entries only.
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let write = WRITES.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{write}.tmp", std::process::id()));
        // Left by a process of the same number that died: in a container all are 1.
        let _ = std::fs::remove_file(&temporary);
        let mut file = new_file(&temporary)?;
        let written = [HEADER, mac.as_slice(), &[kind], code]
            .iter()
            .try_for_each(|part| file.write_all(part))
            .and_then(|()| std::fs::rename(&temporary, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    fn verify(&self, key: &CacheKey, entry: &[u8]) -> Option<ModuleKind> {
        let rest = entry.strip_prefix(HEADER)?;
        let (mac, rest) = rest.split_at_checked(MAC_BYTES)?;
        let (&kind, code) = rest.split_first()?;
        // In constant time.
        self.mac(key, kind, code).verify_slice(mac).ok()?;
        match kind {
            0 => Some(ModuleKind::Core),
            1 => Some(ModuleKind::Component),
            _ => None,
        }
    }

    fn mac(&self, key: &CacheKey, kind: u8, code: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any key length is valid");
        mac.update(HEADER);
        mac.update(key.digest.bytes());
        mac.update(&key.compatibility.to_le_bytes());
        mac.update(&[u8::from(key.metered), kind]);
        mac.update(code);
        mac
    }

    fn path(&self, key: &CacheKey) -> PathBuf {
        let mut name = String::with_capacity(84);
        // Writing to a String cannot fail.
        let _ = hex(key.digest.bytes(), &mut name);
        let _ = write!(
            name,
            "-{:016x}{}",
            key.compatibility,
            if key.metered { "-fuel" } else { "" }
        );
        self.dir.join(name)
    }
}

fn kind_byte(kind: ModuleKind) -> u8 {
    match kind {
        ModuleKind::Core => 0,
        ModuleKind::Component => 1,
    }
}

/// Creates a file that only its owner can read, and that was not there.
fn new_file(path: &Path) -> io::Result<File> {
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(path)
}

/// The bytes of a regular file, no symbolic link followed, at most `max`.
pub(crate) fn read_regular(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    // Not blocking: a FIFO would wait for a writer for ever.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(max)).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {max} bytes"),
        ));
    }
    Ok(bytes)
}

fn read_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let bytes = read_regular(path, KEY_BYTES as u64)?;
    bytes.try_into().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is not a key; remove it", path.display()),
        )
    })
}

/// Makes the key: written beside its place and linked there, so that of two
/// processes that start at once both read the same one.
fn make_key(dir: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let temporary = dir.join(format!("key.{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    new_file(&temporary)?.write_all(&key)?;
    let path = dir.join("key");
    let linked = std::fs::hard_link(&temporary, &path);
    let _ = std::fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_key(&path),
        linked => linked.map(|()| key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &[u8]) -> CacheKey {
        CacheKey {
            digest: Digest::of(name),
            compatibility: 7,
            metered: false,
        }
    }

    #[test]
    fn an_entry_comes_back_and_only_under_its_own_key() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        cache.put(&key(b"a"), ModuleKind::Core, b"code");
        assert_eq!(
            cache.get(&key(b"a")),
            Some((ModuleKind::Core, b"code".to_vec()))
        );
        assert_eq!(
            cache.get(&CacheKey {
                compatibility: 8,
                ..key(b"a")
            }),
            None
        );
        assert_eq!(
            cache.get(&CacheKey {
                metered: true,
                ..key(b"a")
            }),
            None
        );
        // A swapped entry: right MAC, wrong module.
        std::fs::rename(cache.path(&key(b"a")), cache.path(&key(b"b"))).unwrap();
        assert_eq!(cache.get(&key(b"b")), None);
    }

    #[test]
    fn no_flipped_bit_and_no_truncation_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        cache.put(&key(b"a"), ModuleKind::Component, b"some code");
        let path = cache.path(&key(b"a"));
        let good = std::fs::read(&path).unwrap();
        for n in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[n / 8] ^= 1 << (n % 8);
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(cache.get(&key(b"a")), None, "bit {n}");
        }
        for len in 0..good.len() {
            std::fs::write(&path, &good[..len]).unwrap();
            assert_eq!(cache.get(&key(b"a")), None, "length {len}");
        }
        std::fs::write(&path, &good).unwrap();
        assert!(cache.get(&key(b"a")).is_some());
    }

    #[test]
    fn a_symbolic_link_is_not_followed_and_another_key_believes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        cache.put(&key(b"a"), ModuleKind::Core, b"code");
        let real = dir.path().join("elsewhere");
        std::fs::rename(cache.path(&key(b"a")), &real).unwrap();
        std::os::unix::fs::symlink(&real, cache.path(&key(b"a"))).unwrap();
        assert_eq!(cache.get(&key(b"a")), None);
        std::fs::remove_file(cache.path(&key(b"a"))).unwrap();
        std::fs::rename(&real, cache.path(&key(b"a"))).unwrap();
        std::fs::remove_file(dir.path().join("key")).unwrap();
        assert_eq!(Cache::open(dir.path()).unwrap().get(&key(b"a")), None);
    }

    #[test]
    fn what_a_dead_writer_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        for write in 0..1000 {
            let left = format!("{}-{write}.tmp", std::process::id());
            std::fs::write(cache.path(&key(b"a")).with_extension(left), b"half").unwrap();
        }
        cache.put(&key(b"a"), ModuleKind::Core, b"code");
        assert!(cache.get(&key(b"a")).is_some());
    }

    #[test]
    fn files_are_private_and_the_key_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = Cache::open(dir.path()).unwrap().key;
        assert_eq!(first, Cache::open(dir.path()).unwrap().key);
        assert_ne!(first, [0; KEY_BYTES]);
        let mode = |name: &str| {
            std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!((mode("key"), mode(".")), (0o600, 0o700));
    }
}
