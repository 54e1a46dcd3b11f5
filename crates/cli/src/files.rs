//! Manifests: from arguments to texts.

use std::io::Read;
use std::path::{Path, PathBuf};

use wasmjob::api::manifest::{Manifest, Problems, Source, read_all};

/// Bytes of one source that are read; a document may be 3 MiB.
const SOURCE_BYTES_MAX: u64 = 256 << 20;

/// Endings of manifests in a directory, as kubectl knows them.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Why the manifests cannot be used.
pub(crate) enum Failure {
    /// A file cannot be read.
    Read(String),
    /// They are not valid.
    Invalid(Problems),
}

/// Reads and checks everything that `paths` name.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Manifest, Failure> {
    let texts = texts(paths).map_err(Failure::Read)?;
    let sources: Vec<_> = texts
        .iter()
        .map(|(name, bytes)| Source {
            name,
            bytes: bytes.as_slice(),
        })
        .collect();
    let manifest = read_all(&sources).map_err(Failure::Invalid)?;
    if manifest.objects.is_empty() {
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(Failure::Read(format!(
            "{}: no objects found",
            names.join(", ")
        )));
    }
    Ok(manifest)
}

/// The texts that `paths` name, and what they are called.
pub(crate) fn texts(paths: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut texts = Vec::new();
    paths
        .iter()
        .try_for_each(|path| collect(path, &mut texts))?;
    Ok(texts)
}

fn collect(path: &Path, texts: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("failed to read {}: {error}", path.display());
    if path == Path::new("-") {
        texts.push((
            "-".to_owned(),
            bytes(std::io::stdin().lock()).map_err(failed)?,
        ));
        return Ok(());
    }
    if !path.is_dir() {
        let file = std::fs::File::open(path).map_err(failed)?;
        texts.push((path.display().to_string(), bytes(file).map_err(failed)?));
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && is_manifest(&path) {
            entries.push(path);
        }
    }
    if entries.is_empty() {
        return Err(format!(
            "{}: no .yaml, .yml or .json files in this directory",
            path.display()
        ));
    }
    entries.sort();
    entries.iter().try_for_each(|path| collect(path, texts))
}

/// Whether a file of a directory is a manifest, by its ending.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// The bytes of a regular file. Anything else (a FIFO would wait for its writer)
/// is refused without waiting.
pub(crate) fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt;
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    bytes(file)
}

fn bytes(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(SOURCE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SOURCE_BYTES_MAX {
        let text = format!("larger than {} MiB", SOURCE_BYTES_MAX >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}
