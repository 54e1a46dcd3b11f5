//! The file of the key that the Secrets in a data directory are encrypted with.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use wasmjob_store::{Directory, OpenError, SecretKey, Store};

/// Bytes of the file that are looked at.
const FILE_BYTES_MAX: u64 = 1024;

/// Why a key could not be had. None of its bytes is told.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The file could not be read or made.
    #[error("failed to {step} the file of the secret key `{}`", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no key.
    #[error(
        "`{}` holds no secret key: it must be 64 hexadecimal digits, as `openssl rand -hex 32` prints",
        .0.display()
    )]
    Form(PathBuf),
    /// Others may read it.
    #[error("the file of the secret key `{}` can be read by anybody: chmod 600 it", .0.display())]
    Open(PathBuf),
    /// It stands beside what it protects.
    #[error(
        "the file of the secret key `{}` must not stand in the data directory: who copies one would have both",
        .0.display()
    )]
    Beside(PathBuf),
    /// There are encrypted Secrets, and the key is gone.
    #[error(
        "the Secrets in the store are encrypted, and the file of their key `{}` is not there: put it back from a copy",
        .0.display()
    )]
    Gone(PathBuf),
}

/// Why a store with encrypted Secrets could not be opened.
pub(crate) enum SealedError {
    Key(SecretKeyError),
    Store(OpenError),
}

/// Opens the store in `dir` with the key in the file `path`, which is made where there
/// is neither a file nor anything encrypted.
pub(crate) fn open(dir: &Path, path: &Path) -> Result<Store, SealedError> {
    let directory = Directory::lock(dir).map_err(SealedError::Store)?;
    if is_inside(path, dir) {
        return Err(SealedError::Key(SecretKeyError::Beside(path.to_owned())));
    }
    let (key, is_new) = match read(path).map_err(SealedError::Key)? {
        Some(key) => (key, false),
        None => (make(path).map_err(SealedError::Key)?, true),
    };
    match Store::open_with(directory, Some(SecretKey::new(&key))) {
        Err(OpenError::OtherKey) if is_new => {
            // It would be taken for the right one.
            let _ = std::fs::remove_file(path);
            Err(SealedError::Key(SecretKeyError::Gone(path.to_owned())))
        }
        opened => opened.map_err(SealedError::Store),
    }
}

fn is_inside(path: &Path, dir: &Path) -> bool {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    matches!((parent, dir.canonicalize()), (Ok(parent), Ok(dir)) if parent.starts_with(&dir))
}

fn failed(step: &'static str, path: &Path) -> impl Fn(io::Error) -> SecretKeyError {
    let path = path.to_owned();
    move |source| SecretKeyError::Io {
        step,
        path: path.clone(),
        source,
    }
}

/// The key in the file; `None` if there is no file.
fn read(path: &Path) -> Result<Option<[u8; SecretKey::LEN]>, SecretKeyError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("open", path))?,
    };
    let mode = file.metadata().map_err(failed("read", path))?.mode();
    if mode & 0o007 != 0 {
        return Err(SecretKeyError::Open(path.to_owned()));
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(failed("read", path))?;
    let key = parse(text.trim_ascii());
    key.map(Some)
        .ok_or_else(|| SecretKeyError::Form(path.to_owned()))
}

fn parse(text: &[u8]) -> Option<[u8; SecretKey::LEN]> {
    let mut key = [0; SecretKey::LEN];
    if text.len() != 2 * SecretKey::LEN {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

/// Makes the file with a new key, for good before anything is encrypted with it.
fn make(path: &Path) -> Result<[u8; SecretKey::LEN], SecretKeyError> {
    let failed = failed("make", path);
    let key = SecretKey::generate().map_err(&failed)?;
    let mut text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(&failed)?;
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(parent.unwrap_or(Path::new(".")))?.sync_all())
        .map_err(&failed)?;
    tracing::info!(file = %path.display(), "made a key for Secrets; keep a copy of it");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_digits() {
        let text = "00ff".repeat(16);
        let key = parse(text.as_bytes()).unwrap();
        assert_eq!(key[..4], [0, 255, 0, 255]);
        for text in ["", "00", &"zz".repeat(32), &"00".repeat(33)] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
