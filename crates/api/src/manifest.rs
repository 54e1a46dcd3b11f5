//! Manifests: from text to checked objects, or to everything that is wrong with it.
//!
//! The way is: bytes → documents (`document`) → trees that know their positions
//! → the strict check against Kubernetes' own field table (`check`, [`types`](crate::types))
//! → the typed object → defaults → validation → what wasmjob supports. Every
//! problem on this way is told with file, line, column and field path, and all of
//! them at once. A document may have 3 MiB (what the API server takes) and nest 128
//! deep (Kubernetes follows 10,000, and no object of its API needs 30). Reading files and walking directories is the caller's.
//!
//! ```
//! use wasmjob_api::manifest::{Object, Source, read};
//!
//! let text = "
//! apiVersion: batch/v1
//! kind: Job
//! metadata: {name: hello}
//! spec:
//!   template:
//!     spec:
//!       containers: [{name: hello, image: ./hello.wasm}]
//!       restartPolicy: Never
//! ";
//! let manifest = read(&Source { name: "hello.yaml", bytes: text.as_bytes() }).unwrap();
//! assert!(matches!(&manifest.objects[0].object, Object::Job(job) if job.metadata.name.as_deref() == Some("hello")));
//! ```

mod check;
mod consequence;
mod convert;
mod document;
mod hint;
mod json;
mod kind;
mod load;
mod plain;
mod problem;
mod scalar;
mod settle;
mod tree;
mod yaml;

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use plain::{PlainYaml, Tree, plain_yaml};
pub use problem::{Position, Problem, Problems, Severity, Warning};

/// A text to be read, and the name it goes by in messages.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The name, e.g. the path of the file as the user gave it; `-` for standard input.
    pub name: &'a str,
    /// The text.
    pub bytes: &'a [u8],
}

/// Objects that were read, defaulted and found valid.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// In the order of the sources.
    pub objects: Vec<Loaded>,
    /// What is worth saying; each thing once, however often it occurs.
    pub warnings: Vec<Warning>,
}

/// An object and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The object.
    pub object: Object,
    /// The name of its source.
    pub file: String,
    /// Where in the source it begins.
    pub at: Position,
}

/// An object of a kind that wasmjob runs, or that what it runs refers to, defaulted. What only creation can give
/// (UID, generated names, selectors) is not in it yet: see [`crate::defaults::prepare_job`].
#[derive(Clone, Debug)]
pub enum Object {
    /// A `batch/v1` Job.
    Job(Box<Job>),
    /// A `batch/v1` CronJob.
    CronJob(Box<CronJob>),
    /// A `v1` Pod.
    Pod(Box<Pod>),
    /// An object that pods refer to, or that selects pods.
    Kept(Box<Kept>),
}

/// An object that is only kept, for those that refer to it or that it selects: a
/// ConfigMap, a Secret, a claim, a NetworkPolicy.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its version, e.g. `v1`.
    pub api_version: &'static str,
    /// Its kind, e.g. `ConfigMap`.
    pub kind: &'static str,
    /// Its plural and its group, e.g. `configmaps`.
    pub resource: &'static str,
    /// The metadata, which is also in `json`.
    pub metadata: ObjectMeta,
    /// The whole object, defaulted.
    pub json: serde_json::Value,
}

impl Object {
    /// The kind, e.g. `Job`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Job(_) => "Job",
            Self::CronJob(_) => "CronJob",
            Self::Pod(_) => "Pod",
            Self::Kept(kept) => kept.kind,
        }
    }

    /// The metadata.
    #[must_use]
    pub const fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Job(job) => &job.metadata,
            Self::CronJob(cron_job) => &cron_job.metadata,
            Self::Pod(pod) => &pod.metadata,
            Self::Kept(kept) => &kept.metadata,
        }
    }
}

/// Reads one source.
///
/// # Errors
///
/// Everything that is wrong with it. An empty source is not an error.
pub fn read(source: &Source<'_>) -> Result<Manifest, Problems> {
    read_all(std::slice::from_ref(source))
}

/// Reads several sources as one manifest.
///
/// # Errors
///
/// Everything that is wrong with any of them; an object that stands there twice too.
pub fn read_all(sources: &[Source<'_>]) -> Result<Manifest, Problems> {
    let mut manifest = Manifest::default();
    let mut problems = Vec::new();
    for source in sources {
        load::source(source, &mut manifest, &mut problems);
    }
    problems.extend(duplicates(&manifest.objects));
    let mut said = HashSet::new();
    manifest
        .warnings
        .retain(|warning| said.insert(warning.message.clone()));
    if problems.is_empty() {
        Ok(manifest)
    } else {
        Err(Problems(problems))
    }
}

/// Objects that share kind, namespace and name with an earlier one.
fn duplicates(objects: &[Loaded]) -> Vec<Problem> {
    let mut first: HashMap<(&str, &str, &str), &Loaded> = HashMap::new();
    let mut problems = Vec::new();
    for loaded in objects {
        let metadata = loaded.object.metadata();
        let Some(name) = metadata.name.as_deref() else {
            continue;
        };
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let kind = loaded.object.kind();
        if let Some(earlier) = first.insert((kind, namespace, name), loaded) {
            problems.push(Problem {
                file: loaded.file.clone(),
                at: loaded.at,
                path: "metadata.name".to_owned(),
                message: format!(
                    "{kind} {name:?} is already defined at {}:{}",
                    earlier.file, earlier.at
                ),
                hint: None,
            });
        }
    }
    problems
}
