//! Private files: read whole, written so that a crash leaves the old or the new
//! content and never a part of it.
//!
//! It knows nothing of what the files hold. Everything it makes can be read by
//! the owner only: files 0600, directories 0700.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No certificate, key or kubeconfig of ours comes near it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file is called until all of it is written.
const TEMPORARY: &str = ".tmp";

/// Reads a regular file of at most [`FILE_BYTES_MAX`].
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = fs::metadata(path)?;
    // Opening a FIFO would wait for a writer for ever.
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 MiB",
        ));
    }
    // With the capacity beforehand, growing leaves no copies of a key behind.
    let capacity = usize::try_from(metadata.len())
        .unwrap_or_default()
        .saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces `path` by a file of mode 0600 with these bytes, and returns once both
/// the file and its name are on the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_all(&[(path, bytes)])
}

/// Replaces several files of one directory. Whatever can fail for want of space has
/// been done before the first of them is replaced.
pub(crate) fn write_all(files: &[(&Path, &[u8])]) -> io::Result<()> {
    let written = files
        .iter()
        .try_for_each(|(path, bytes)| write_beside(path, bytes))
        .and_then(|()| {
            let mut files = files.iter();
            files.try_for_each(|(path, _)| fs::rename(beside(path, TEMPORARY), path))
        });
    if written.is_err() {
        for (path, _) in files {
            // The first error is the one to report.
            let _ = fs::remove_file(beside(path, TEMPORARY));
        }
    }
    written?;
    files
        .first()
        .map_or(Ok(()), |(path, _)| sync_directory(parent(path)))
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, TEMPORARY);
    remove_if_there(&temporary)?;
    // `create_new` also refuses to follow a symbolic link that someone put there.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a directory of mode 0700, with its parents, unless it is there.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes names that were added, renamed or removed in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Takes the rights of group and others away; says whether there were any.
pub(crate) fn make_private(path: &Path) -> io::Result<bool> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))?;
    Ok(true)
}

/// The same path with something added to its last name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory that holds `path`, which a bare name does not spell.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_private_and_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/here/key");
        make_directory(parent(&path)).unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_slice(), b"two");
        assert_eq!((mode(&path), mode(parent(&path))), (0o600, 0o700));
        assert_eq!(
            fs::read_dir(parent(&path)).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_link_in_the_place_of_the_temporary_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (
            directory.path().join("key"),
            directory.path().join("victim"),
        );
        fs::write(&victim, "keep").unwrap();
        std::os::unix::fs::symlink(&victim, beside(&path, TEMPORARY)).unwrap();
        write(&path, b"secret").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"keep");
    }

    #[test]
    fn of_several_files_all_are_replaced_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (key, certificate) = (path("key"), path("crt"));
        write_all(&[(&key, b"1"), (&certificate, b"1")]).unwrap();
        fs::create_dir(path("crt.tmp")).unwrap();
        write_all(&[(&key, b"2"), (&certificate, b"2")]).unwrap_err();
        assert_eq!(read(&key).unwrap().as_slice(), b"1");
        assert!(!path("key.tmp").exists());
        fs::remove_dir(path("crt.tmp")).unwrap();
        write_all(&[(&key, b"3"), (&certificate, b"3")]).unwrap();
        assert_eq!(read(&certificate).unwrap().as_slice(), b"3");
    }

    #[test]
    fn rights_of_others_are_taken_away_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write(&path, b"x").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(make_private(&path).unwrap());
        assert!(!make_private(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_err());
        let path = directory.path().join("big");
        File::create(&path)
            .unwrap()
            .set_len(FILE_BYTES_MAX + 1)
            .unwrap();
        assert!(read(&path).is_err());
    }
}
