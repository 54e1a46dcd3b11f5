//! The directories that a container sees, opened.

use std::path::PathBuf;
use std::sync::Arc;

use wasmjob_sandbox::Mount;

use crate::environment::EnvError;
use crate::pod::{PodRun, Slot};
use crate::sub_path;
use crate::volumes::split_termination_path;

/// The directories of a container whose environment looks up `env`.
pub(crate) fn mounts<'a>(
    run: &PodRun,
    slot: Slot,
    env: impl Fn(&str) -> Option<&'a str>,
) -> Result<Arc<[Mount]>, EnvError> {
    let spec = run.spec(slot);
    let image = run
        .images
        .as_ref()
        .map(|all| &all.images[run.image_index(slot)]);
    let files = image.and_then(|image| image.as_ref().ok()?.files.as_ref());
    let mut mounts = Vec::new();
    if let Some(files) = files {
        let dir = files.open().map_err(|error| {
            EnvError::Config(format!("the image's files cannot be opened: {error}"))
        })?;
        mounts.push(Mount {
            dir,
            guest_path: "/".to_owned(),
            read_only: true,
            quotas: Arc::default(),
        });
    }
    let Some(volumes) = &run.volumes else {
        return Ok(mounts.into());
    };
    // Directories in which single files stand, by their guest paths.
    let mut file_dirs: Vec<(&str, PathBuf)> = Vec::new();
    for mount in &spec.mounts {
        let Some(dir) = volumes.opened(&mount.name) else {
            continue;
        };
        let failed = |error: &dyn std::fmt::Display| {
            EnvError::Config(format!(
                "failed to prepare subPath for volumeMount {:?} of container {:?}: {error}",
                mount.name, spec.name
            ))
        };
        let part = sub_path::of(mount, &env).map_err(|text| failed(&text))?;
        let projected = volumes.projected(&mount.name);
        if let Some(volume) = projected
            && volume.join(&part).is_file()
        {
            let Some((parent, name)) = mount.mount_path.rsplit_once('/') else {
                continue;
            };
            let known = file_dirs.iter().position(|(guest, _)| *guest == parent);
            let place = known.unwrap_or(file_dirs.len());
            let Some(files) = volumes.files_dir(&spec.name, place) else {
                continue;
            };
            sub_path::put_file(volume, &part, &files, name).map_err(|error| failed(&error))?;
            if known.is_none() {
                file_dirs.push((parent, files));
            }
            continue;
        }
        let dir = match (part.as_str(), projected) {
            ("", _) => dir.try_clone(),
            (part, Some(volume)) if !volume.join(part).is_dir() => {
                return Err(failed(&"there is no such file or directory in the volume"));
            }
            (part, _) => sub_path::open(dir, part),
        };
        mounts.push(Mount {
            dir: dir.map_err(|error| failed(&error))?,
            guest_path: mount.mount_path.clone(),
            read_only: mount.read_only.unwrap_or(false)
                || projected.is_some()
                || volumes.is_read_only(&mount.name),
            quotas: volumes.quotas(&mount.name),
        });
    }
    for (guest_path, dir) in file_dirs {
        let guest_path = if guest_path.is_empty() {
            "/"
        } else {
            guest_path
        };
        if mounts.iter().any(|mount| mount.guest_path == guest_path) {
            return Err(EnvError::Config(format!(
                "a single file cannot be mounted into {guest_path}, which is a mount of its own"
            )));
        }
        let opened = std::fs::File::open(&dir).map_err(|error| {
            EnvError::Config(format!(
                "the directory of {guest_path} cannot be opened: {error}"
            ))
        })?;
        mounts.push(Mount {
            dir: opened.into(),
            guest_path: guest_path.to_owned(),
            read_only: true,
            quotas: Arc::default(),
        });
    }
    if let Some(dir) = volumes.termination_dir(&spec.name)
        && let Some((guest_dir, _)) = split_termination_path(spec.termination_path())
    {
        let opened = std::fs::File::open(dir).map_err(|error| {
            EnvError::Config(format!("the termination message's directory: {error}"))
        })?;
        mounts.push(Mount {
            dir: opened.into(),
            guest_path: guest_dir.to_owned(),
            read_only: false,
            quotas: volumes.scratch_quotas(),
        });
    }
    Ok(mounts.into())
}
