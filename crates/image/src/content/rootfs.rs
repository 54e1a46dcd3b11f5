//! An image's files on the disk, and how a program is found among them.

use std::ffi::OsStr;
use std::fs::{File, hard_link};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2, syncfs};

use super::files::{make_dir, open_read, remove, sync_parent, unused};
use super::layer::Unpacking;
use super::tree::{Dir, Node};
use super::{Content, Lease};
use crate::Digest;
use crate::registry::{Packing, PullError};

/// Where programs are looked for if neither image nor container says (Docker's).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A layer to unpack.
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) packing: Packing,
    /// Its digest, unpacked.
    pub(crate) diff_id: Digest,
}

impl Content {
    /// Unpacks the layers of an image, whose blobs are here; the bytes that they take.
    pub(crate) fn unpack(&self, manifest: Digest, layers: &[Layer]) -> Result<u64, PullError> {
        let failed = |error: io::Error| PullError::host("failed to unpack the image", &error);
        let aside = unused(&self.aside());
        let done = (|| {
            make_dir(&aside.join("files")).map_err(failed)?;
            make_dir(&aside.join("root")).map_err(failed)?;
            let mut unpacking = Unpacking {
                aside: aside.join("files"),
                root: Dir::default(),
                limits: *self.limits(),
                files: 0,
                entries: 0,
                bytes: 0,
            };
            for layer in layers {
                let file = open_read(&self.blob_path(layer.digest)).map_err(failed)?;
                // Decoders of foreign formats: a panic is a format's fault, not the host's.
                let applied = catch_unwind(AssertUnwindSafe(|| {
                    unpacking.apply(file, layer.packing, layer.diff_id)
                }));
                applied
                    .unwrap_or_else(|_| Err(PullError::corrupt("a layer cannot be read")))
                    .map_err(|error| error.of(layer.digest))?;
            }
            write(&unpacking.root, &aside.join("files"), &aside.join("root")).map_err(failed)?;
            let to = self.rootfs_path(manifest);
            // Left without a record, so nobody uses it.
            remove(&to).map_err(failed)?;
            let root = File::open(aside.join("root")).map_err(failed)?;
            // One call for all files, before the name that promises them.
            syncfs(&root).map_err(|error| failed(error.into()))?;
            std::fs::rename(aside.join("root"), &to).map_err(failed)?;
            sync_parent(&to).map_err(failed)?;
            Ok(unpacking.bytes)
        })();
        if let Err(error) = remove(&aside) {
            tracing::debug!(dir = %aside.display(), %error, "failed to clean up");
        }
        done
    }
}

/// Writes a tree into the new directory `to`. Names are plain, and every directory on the
/// way was made just now, so nothing is followed.
fn write(dir: &Dir, files: &Path, to: &Path) -> io::Result<()> {
    for (name, node) in &dir.entries {
        let to = to.join(OsStr::from_bytes(name));
        match node {
            Node::File(n) => hard_link(files.join(n.to_string()), to)?,
            Node::Link(target) => symlink(OsStr::from_bytes(target), to)?,
            Node::Dir(inner) => {
                std::fs::create_dir(&to)?;
                write(inner, files, &to)?;
            }
            Node::Gone => {}
        }
    }
    Ok(())
}

/// An image's file system. It stays as long as this lives.
#[derive(Clone, Debug)]
pub(crate) struct Rootfs {
    pub(crate) dir: PathBuf,
    pub(crate) _lease: Arc<Lease>,
}

/// Why a program is not there; what follows its name.
pub(crate) enum NoProgram {
    Missing(String),
    Unreadable(io::Error),
}

impl Rootfs {
    /// The bytes of the program that `word` names, as a shell would find it.
    pub(crate) fn program(
        &self,
        word: &str,
        working_dir: &str,
        path: Option<&str>,
        max: u64,
    ) -> Result<Vec<u8>, NoProgram> {
        let root = File::open(&self.dir).map_err(NoProgram::Unreadable)?;
        let candidates: Vec<PathBuf> = match word.contains('/') {
            true => vec![Path::new("/").join(working_dir).join(word)],
            false => {
                let dirs = path
                    .filter(|path| !path.is_empty())
                    .unwrap_or(PATH)
                    .split(':');
                // Images of one module have it at the root.
                let dirs = dirs.chain(["/"]).filter(|dir| dir.starts_with('/'));
                dirs.map(|dir| Path::new(dir).join(word)).collect()
            }
        };
        for candidate in &candidates {
            match read(&root, candidate, max) {
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(NoProgram::Unreadable(error)),
                Ok(bytes) => return Ok(bytes),
            }
        }
        Err(NoProgram::Missing(match word.contains('/') {
            true => "no such file or directory".to_owned(),
            false => "executable file not found in $PATH".to_owned(),
        }))
    }
}

fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

/// Reads a file below `root`, links followed as if that were all there is.
fn read(root: &File, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(root, path, flags, Mode::empty(), resolve)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.len() > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {max} bytes"),
        ));
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
