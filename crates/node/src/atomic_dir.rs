//! A directory whose files change all at once (the kubelet's `AtomicWriter`).
//!
//! The files stand in a directory `..N`, to which a link `..data` leads; every name
//! that a guest opens is a link into `..data`. New files are written beside the old
//! ones, and then the link is replaced by a rename: whoever opens two files one after
//! the other may see two versions, but nobody sees half of one. Links lead nowhere
//! but into the directory, so a guest's preopen follows them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::projected::Payload;

const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// Makes `payload` the content of `dir`, in which nobody else writes. `number` is
/// another one each time. If it cannot be written as a whole, nothing of it stays: what
/// lacks may be room. Blocks.
pub(crate) fn write(dir: &Path, payload: &Payload, number: u64) -> io::Result<()> {
    let name = format!("..{number}");
    let next = dir.join(&name);
    let done = fill(&next, payload).and_then(|()| lead_to(dir, &name));
    if let Err(error) = done {
        // What could not be written is told, not what could not be removed of it.
        let _ = fs::remove_dir_all(&next);
        return Err(error);
    }
    tidy(dir, &name, payload)
}

/// Writes the files of `payload` into `next`, which it makes.
fn fill(next: &Path, payload: &Payload) -> io::Result<()> {
    fs::create_dir(next)?;
    for (path, content) in payload {
        let path = next.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&content.bytes)?;
        // Who serves the guest must be able to read it; a kubelet may read everything.
        file.set_permissions(Permissions::from_mode(content.mode | 0o400))?;
    }
    Ok(())
}

/// Lets the directory `name`, which is full, be the content of `dir`.
fn lead_to(dir: &Path, name: &str) -> io::Result<()> {
    remove_file(&dir.join(DATA_NEXT))?;
    symlink(name, dir.join(DATA_NEXT))?;
    fs::rename(dir.join(DATA_NEXT), dir.join(DATA))
}

/// Makes the links that are missing, and removes what is no longer part of it.
fn tidy(dir: &Path, name: &str, payload: &Payload) -> io::Result<()> {
    let names: BTreeSet<&str> = payload
        .keys()
        .filter_map(|path| path.split('/').next())
        .collect();
    for name in &names {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if found != name {
                fs::remove_dir_all(entry.path())?;
            }
        } else if found != DATA && !names.contains(&*found) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projected::Content;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let content = |text: &str| Content {
            bytes: text.into(),
            mode: 0o640,
        };
        let files = files.iter();
        files
            .map(|(path, text)| ((*path).to_owned(), content(text)))
            .collect()
    }

    fn listing(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_change_together_and_what_is_old_goes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, &payload(&[("a", "1"), ("b/c", "2")]), 1).unwrap();
        assert_eq!(listing(dir), ["..1", "..data", "a", "b"]);
        assert_eq!(fs::read(dir.join("b/c")).unwrap(), b"2");
        let mode = fs::metadata(dir.join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let before = fs::File::open(dir.join("a")).unwrap();
        write(dir, &payload(&[("a", "3"), ("d", "4")]), 2).unwrap();
        assert_eq!(listing(dir), ["..2", "..data", "a", "d"]);
        assert_eq!(fs::read(dir.join("a")).unwrap(), b"3");
        assert_eq!(io::read_to_string(before).unwrap(), "1");
        write(dir, &Payload::new(), 3).unwrap();
        assert_eq!(listing(dir), ["..3", "..data"]);
    }

    #[test]
    fn a_file_cannot_stand_where_a_directory_does() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write(dir.path(), &payload(&[("a", "1"), ("a/b", "2")]), 1).is_err());
        assert!(listing(dir.path()).is_empty(), "what was begun is gone");
    }
}
