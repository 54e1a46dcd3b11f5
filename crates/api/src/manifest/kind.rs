//! Which kinds a manifest may hold, and what to say of the others.

use super::check::did_you_mean;

/// What a document is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Job,
    CronJob,
    /// A CronJob of an API version that Kubernetes no longer serves.
    OldCronJob,
    Pod,
    ConfigMap,
    Secret,
    PersistentVolumeClaim,
    NetworkPolicy,
    /// A list; its items may leave out their own kind if it says which they are.
    List(Option<(&'static str, &'static str)>),
}

impl Kind {
    /// The message of the schema that describes it.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Job => "batch.v1.Job",
            Self::CronJob | Self::OldCronJob => "batch.v1.CronJob",
            Self::Pod => "core.v1.Pod",
            Self::ConfigMap => "core.v1.ConfigMap",
            Self::Secret => "core.v1.Secret",
            Self::PersistentVolumeClaim => "core.v1.PersistentVolumeClaim",
            Self::NetworkPolicy => "networking.v1.NetworkPolicy",
            Self::List(_) => "meta.v1.ListMeta",
        }
    }
}

/// Kinds that belong beside a Job in many manifests, and that a daemon knows.
const OF_THE_API: [&str; 11] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "LimitRange",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
];

/// The kind of `api_version` and `kind`, or why it is refused, and a hint.
pub(crate) fn recognise(api_version: &str, kind: &str) -> Result<Kind, (String, Option<String>)> {
    let found = match kind {
        "Job" => ("batch/v1", Kind::Job),
        "CronJob" if matches!(api_version, "batch/v1beta1" | "batch/v2alpha1") => {
            return Ok(Kind::OldCronJob);
        }
        "CronJob" => ("batch/v1", Kind::CronJob),
        "Pod" => ("v1", Kind::Pod),
        "ConfigMap" => ("v1", Kind::ConfigMap),
        "Secret" => ("v1", Kind::Secret),
        "PersistentVolumeClaim" => ("v1", Kind::PersistentVolumeClaim),
        "NetworkPolicy" => ("networking.k8s.io/v1", Kind::NetworkPolicy),
        "List" => ("v1", Kind::List(None)),
        "JobList" => ("batch/v1", Kind::List(Some(("batch/v1", "Job")))),
        "CronJobList" => ("batch/v1", Kind::List(Some(("batch/v1", "CronJob")))),
        "ConfigMapList" => ("v1", Kind::List(Some(("v1", "ConfigMap")))),
        "SecretList" => ("v1", Kind::List(Some(("v1", "Secret")))),
        "PodList" => ("v1", Kind::List(Some(("v1", "Pod")))),
        _ => return Err(unsupported(api_version, kind)),
    };
    if found.0 == api_version {
        return Ok(found.1);
    }
    let message = format!("no matches for kind {kind:?} in version {api_version:?}");
    Err((message, Some(format!("write `apiVersion: {}`", found.0))))
}

fn unsupported(api_version: &str, kind: &str) -> (String, Option<String>) {
    let ours = "wasmjob runs Job and CronJob (batch/v1) and Pod (v1), with ConfigMap, Secret, PersistentVolumeClaim and NetworkPolicy, also in a List";
    if OF_THE_API.contains(&kind) {
        let message = format!("kind {kind:?} is not taken from a manifest here: {ours}");
        let hint =
            "a daemon (`wasmjob serve`) takes it over its API: `wasmjob apply -f`, or kubectl";
        return (message, Some(hint.to_owned()));
    }
    let names = [
        "Job",
        "CronJob",
        "Pod",
        "ConfigMap",
        "Secret",
        "PersistentVolumeClaim",
        "NetworkPolicy",
        "List",
    ];
    let hint = did_you_mean(kind, names.into_iter()).map(|name| format!("did you mean `{name}`?"));
    (
        format!("kind {kind:?} of {api_version:?} is not supported: {ours}"),
        hint,
    )
}
