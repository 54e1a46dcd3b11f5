//! The CronJobs of manifests, as rows that nothing has happened to yet.

use std::path::PathBuf;

use jiff::Timestamp;
use wasmjob::api::manifest::{Manifest, Object};
use wasmjob::api::schedule::Zone;
use wasmjob::api::{CronJob, Uid};

use crate::check::refused;
use crate::exit::{Exit, say};
use crate::files;

/// Reads the CronJobs that `files` hold, as if they were created at `created`.
///
/// # Errors
///
/// With the exit code, when the manifests are not valid and that was said.
pub(crate) fn read(files: &[PathBuf], created: Timestamp) -> Result<Vec<CronJob>, Exit> {
    let manifest = files::read(files).map_err(|failure| refused(&failure))?;
    for warning in &manifest.warnings {
        say(format_args!("{}:{}: {warning}", warning.file, warning.at));
    }
    let cron_jobs = cron_jobs(manifest, created);
    if cron_jobs.is_empty() {
        say("warning: no CronJob in these manifests");
    }
    Ok(cron_jobs)
}

fn cron_jobs(manifest: Manifest, created: Timestamp) -> Vec<CronJob> {
    let objects = manifest.objects.into_iter();
    let mut rows = Vec::new();
    for loaded in objects {
        let Object::CronJob(mut object) = loaded.object else {
            continue;
        };
        let metadata = &mut object.metadata;
        if metadata.name.as_deref().unwrap_or_default().is_empty() {
            metadata.name.clone_from(&metadata.generate_name);
        }
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let uid = uid(namespace, metadata.name.as_deref().unwrap_or_default());
        rows.push(CronJob::new(*object, uid, created));
    }
    rows
}

/// An identity that follows from the name, so that a forecast can be repeated. It is not
/// the one that a host will give. (FNV-1a, 128 bits.)
fn uid(namespace: &str, name: &str) -> Uid {
    let bytes = namespace.bytes().chain([b'/']).chain(name.bytes());
    let hash = bytes.fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
        |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        },
    );
    Uid::from_random(hash)
}

/// The zone of the CronJob, or else `default`.
pub(crate) fn zone<'a>(cron_job: &'a CronJob, default: &'a Zone) -> &'a Zone {
    let own = cron_job.spec.zone.as_ref().ok().and_then(Option::as_ref);
    own.unwrap_or(default)
}

/// The CronJob as people name it.
pub(crate) fn name(cron_job: &CronJob) -> String {
    format!("{}/{}", cron_job.namespace, cron_job.name)
}
