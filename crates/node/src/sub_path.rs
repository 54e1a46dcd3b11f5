//! A part of a volume, mounted as if it were the whole.
//!
//! WASI opens directories, not files. A `subPath` that names a file of a ConfigMap or
//! the like is mounted as the directory of its mount path, in which that file stands
//! alone; a file of another volume, in which guests write, cannot be had so.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use wasmjob_api::k8s_openapi::api::core::v1::VolumeMount;

use crate::volumes::{make_beneath, open_beneath};

/// The part of its volume that `mount` names; empty for all of it.
///
/// # Errors
///
/// When `subPathExpr` refers to what is no variable, or the path leads out.
pub(crate) fn of<'a>(
    mount: &VolumeMount,
    lookup: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    let path = if expression.is_empty() {
        mount.sub_path.clone().unwrap_or_default()
    } else {
        let known = |name: &str| lookup(name).is_some();
        if let Some(name) = first_unknown(expression, known) {
            return Err(format!(
                "missing value for {name:?} in subPathExpr {expression:?}"
            ));
        }
        let expanded = crate::expand::expand(expression, 4096, lookup);
        expanded.ok_or_else(|| format!("subPathExpr {expression:?} is too long"))?
    };
    let leads_out = path.starts_with('/') || path.contains('\0');
    if leads_out || path.split('/').any(|part| part == "..") {
        return Err(format!(
            "subPath {path:?} must be a relative path without `..`"
        ));
    }
    Ok(path)
}

/// The first `$(NAME)` that is not known.
fn first_unknown(expression: &str, known: impl Fn(&str) -> bool) -> Option<String> {
    let mut rest = expression;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        rest = if let Some(tail) = after.strip_prefix('$') {
            tail
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|s| s.split_once(')')) {
            if !known(name) {
                return Some(name.to_owned());
            }
            tail
        } else {
            after
        };
    }
    None
}

/// Opens the directory `path` of a volume, made if it is not there. No link leads out.
pub(crate) fn open(volume: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let base = File::from(volume.try_clone()?);
    make_beneath(&base, Path::new(path))?;
    open_beneath(&base, Path::new(path))
}

/// Puts the file `path` of a volume that only we write into `dir` as `name`, in place
/// of what stands there. It stays as it is when the volume changes, as in Kubernetes.
pub(crate) fn put_file(volume: &Path, path: &str, dir: &Path, name: &str) -> io::Result<()> {
    let source: PathBuf = volume.join(path).canonicalize()?;
    if !source.starts_with(volume.canonicalize()?) {
        return Err(io::Error::other("it leads out of the volume"));
    }
    fs::create_dir_all(dir)?;
    let place = dir.join(name);
    match fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => match fs::hard_link(&source, &place) {
            // One stands in memory and the other does not.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::copy(source, place).map(|_| ())
            }
            linked => linked,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(sub_path: Option<&str>, expression: Option<&str>) -> Result<String, String> {
        let mount = VolumeMount {
            sub_path: sub_path.map(str::to_owned),
            sub_path_expr: expression.map(str::to_owned),
            ..VolumeMount::default()
        };
        of(&mount, |name| match name {
            "NAME" => Some("pod-1"),
            "UP" => Some("../.."),
            _ => None,
        })
    }

    #[test]
    fn expressions_are_expanded_and_lead_nowhere_else() {
        assert_eq!(part(Some("a/b"), None).unwrap(), "a/b");
        assert_eq!(part(None, Some("logs/$(NAME)")).unwrap(), "logs/pod-1");
        assert_eq!(
            part(None, Some("$(NONE)")).unwrap_err(),
            r#"missing value for "NONE" in subPathExpr "$(NONE)""#
        );
        assert!(part(None, Some("a/$(UP)")).is_err());
        assert!(part(Some("/a"), None).is_err());
    }

    #[test]
    fn a_link_out_of_the_volume_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, outside) = (dir.path().join("volume"), dir.path().join("outside"));
        fs::create_dir(&volume).unwrap();
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, volume.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../outside", volume.join("relative")).unwrap();
        let opened = OwnedFd::from(File::open(&volume).unwrap());
        for path in ["absolute", "relative", "absolute/new", "relative/new"] {
            assert!(open(&opened, path).is_err(), "{path}");
        }
        open(&opened, "new/deep").unwrap();
        assert!(volume.join("new/deep").is_dir());
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
    }
}
