//! Paths: resolving them against a working directory that WASI does not have,
//! the directories above the mounts, which exist only as names, and the devices
//! that scripts take for granted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::time::SystemTime;

use crate::host;
use crate::stream::{Input, Output};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Device,
}

/// What is known about a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    pub(crate) modified: Option<SystemTime>,
}

/// The working directory at the start: PWD if it is absolute, else the mount
/// that `.` is, else `.` itself if there is such a directory, else the root.
pub(crate) fn initial_directory() -> String {
    match std::env::var("PWD") {
        Ok(path) if path.starts_with('/') => return normalize("/", &path),
        _ => {}
    }
    let Some(own) = host::identity(".") else {
        return "/".to_owned();
    };
    host::preopens()
        .into_iter()
        .find(|path| path.starts_with('/') && host::identity(path) == Some(own))
        .unwrap_or_else(|| ".".to_owned())
}

/// `path` seen from `directory`, without `.`, `..` and doubled slashes.
pub(crate) fn normalize(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{directory}/{path}")
    };
    let absolute = whole.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => format!("./{joined}"),
    }
}

/// What the resolved path leads to; follows links if asked.
pub(crate) fn stat(path: &str, follow: bool) -> io::Result<Stat> {
    if is_device(path) {
        return Ok(Stat {
            kind: Kind::Device,
            bytes: 0,
            modified: None,
        });
    }
    if is_above_mounts(path) {
        return Ok(Stat {
            kind: Kind::Directory,
            bytes: 0,
            modified: None,
        });
    }
    let data = if follow {
        fs::metadata(path)?
    } else {
        fs::symlink_metadata(path)?
    };
    let kind = if data.is_symlink() {
        Kind::Link
    } else if data.is_dir() {
        Kind::Directory
    } else if data.is_file() {
        Kind::File
    } else {
        Kind::Device
    };
    Ok(Stat {
        kind,
        bytes: data.len(),
        modified: data.modified().ok(),
    })
}

/// The names in a directory, sorted, without `.` and `..`.
pub(crate) fn names(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    if is_above_mounts(path) {
        let prefix = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        for mount in host::preopens() {
            if let Some(rest) = mount.strip_prefix(&prefix) {
                names.extend(rest.split('/').next().map(str::to_owned));
            }
        }
        names.push(if path == "/" {
            "dev".to_owned()
        } else {
            String::new()
        });
    } else {
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Whether the path is a directory on the way to a mount and not in any.
fn is_above_mounts(path: &str) -> bool {
    let mounts = host::preopens();
    if mounts.iter().any(|mount| mount == path || mount == "/") {
        return false;
    }
    path == "/"
        || mounts.iter().any(|mount| {
            mount
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
}

fn is_device(path: &str) -> bool {
    matches!(
        path,
        "/dev/null"
            | "/dev/zero"
            | "/dev/random"
            | "/dev/urandom"
            | "/dev/stdin"
            | "/dev/stdout"
            | "/dev/stderr"
    )
}

/// Opens a resolved path for reading. `stdin` is what /dev/stdin means.
pub(crate) fn open(path: &str, stdin: &Input) -> io::Result<Input> {
    match path {
        "/dev/null" => Ok(Input::empty()),
        "/dev/stdin" => Ok(stdin.clone()),
        "/dev/zero" => Ok(Input::new(BufReader::new(io::repeat(0)))),
        "/dev/random" | "/dev/urandom" => Ok(Input::new(BufReader::new(Random))),
        _ if stat(path, true).is_ok_and(|stat| stat.kind == Kind::Directory) => {
            Err(io::Error::other("Is a directory"))
        }
        _ => Ok(Input::new(BufReader::new(File::open(path)?))),
    }
}

/// Opens a resolved path for writing. `outputs` are what /dev/stdout and
/// /dev/stderr mean.
pub(crate) fn create(path: &str, append: bool, outputs: (&Output, &Output)) -> io::Result<Output> {
    match path {
        "/dev/null" | "/dev/zero" => Ok(Output::Null),
        "/dev/stdout" => Ok(outputs.0.clone()),
        "/dev/stderr" => Ok(outputs.1.clone()),
        _ => {
            let mut options = OpenOptions::new();
            options.create(true);
            if append {
                options.append(true);
            } else {
                options.write(true).truncate(true);
            }
            Ok(Output::File(Rc::new(options.open(path)?)))
        }
    }
}

/// The bytes of /dev/urandom.
struct Random;

impl Read for Random {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // Hosts may refuse large requests.
        let count = bytes.len().min(256);
        host::random(&mut bytes[..count]);
        Ok(count)
    }
}

/// All lines of an input, without their line feeds.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .lines()
        .map_while(Result::ok)
        .map(String::into_bytes)
        .collect()
}
