//! The list of resources; see [`super`].
//!
//! Groups stand in the order in which clients should prefer them, the versions of a
//! group likewise, and resources by name.

use super::{Resource, Subresource};

/// What can be done with an object that is stored.
const STORED: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// Namespaces are deleted one by one.
const NAMESPACES: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];
const CREATE: &[&str] = &["create"];
const CREATE_GET: &[&str] = &["create", "get"];
const GET: &[&str] = &["get"];
const GET_LIST: &[&str] = &["get", "list"];
const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];
const UPDATE: &[&str] = &["update"];

/// A namespaced, stored resource of the core group without anything special.
const fn core(
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    message: &'static str,
) -> Resource {
    Resource {
        group: "",
        version: "v1",
        plural,
        singular,
        kind,
        namespaced: true,
        short_names: &[],
        categories: &[],
        verbs: STORED,
        subresources: &[],
        message,
    }
}

/// The `status` of an object of that kind.
const fn status(kind: &'static str, message: &'static str) -> Subresource {
    sub("status", kind, GET_PATCH_UPDATE, message)
}

const fn sub(
    name: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
    message: &'static str,
) -> Subresource {
    Subresource {
        name,
        group: "",
        version: "",
        kind,
        verbs,
        message,
    }
}

/// A question that is answered, and stored nowhere.
const fn review(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    message: &'static str,
) -> Resource {
    Resource {
        group,
        namespaced: false,
        verbs: CREATE,
        ..core(plural, singular, kind, message)
    }
}

const JOB_STATUS: &[Subresource] = &[status("Job", "batch.v1.Job")];
const CRON_JOB_STATUS: &[Subresource] = &[status("CronJob", "batch.v1.CronJob")];

/// All resources that are served.
pub static RESOURCES: &[Resource] = &[
    Resource {
        verbs: CREATE,
        ..core("bindings", "binding", "Binding", "core.v1.Binding")
    },
    Resource {
        short_names: &["cm"],
        ..core("configmaps", "configmap", "ConfigMap", "core.v1.ConfigMap")
    },
    Resource {
        short_names: &["ev"],
        ..core("events", "event", "Event", "core.v1.Event")
    },
    Resource {
        short_names: &["limits"],
        ..core(
            "limitranges",
            "limitrange",
            "LimitRange",
            "core.v1.LimitRange",
        )
    },
    Resource {
        namespaced: false,
        short_names: &["ns"],
        verbs: NAMESPACES,
        subresources: &[
            sub("finalize", "Namespace", UPDATE, "core.v1.Namespace"),
            status("Namespace", "core.v1.Namespace"),
        ],
        ..core("namespaces", "namespace", "Namespace", "core.v1.Namespace")
    },
    Resource {
        namespaced: false,
        short_names: &["no"],
        subresources: &[status("Node", "core.v1.Node")],
        ..core("nodes", "node", "Node", "core.v1.Node")
    },
    Resource {
        short_names: &["pvc"],
        subresources: &[status(
            "PersistentVolumeClaim",
            "core.v1.PersistentVolumeClaim",
        )],
        ..core(
            "persistentvolumeclaims",
            "persistentvolumeclaim",
            "PersistentVolumeClaim",
            "core.v1.PersistentVolumeClaim",
        )
    },
    Resource {
        namespaced: false,
        short_names: &["pv"],
        subresources: &[status("PersistentVolume", "core.v1.PersistentVolume")],
        ..core(
            "persistentvolumes",
            "persistentvolume",
            "PersistentVolume",
            "core.v1.PersistentVolume",
        )
    },
    Resource {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            sub("attach", "PodAttachOptions", CREATE_GET, ""),
            sub("binding", "Binding", CREATE, "core.v1.Binding"),
            Subresource {
                group: "policy",
                version: "v1",
                ..sub("eviction", "Eviction", CREATE, "policy.v1.Eviction")
            },
            sub("exec", "PodExecOptions", CREATE_GET, ""),
            sub("log", "Pod", GET, "core.v1.Pod"),
            sub("portforward", "PodPortForwardOptions", CREATE_GET, ""),
            status("Pod", "core.v1.Pod"),
        ],
        ..core("pods", "pod", "Pod", "core.v1.Pod")
    },
    Resource {
        short_names: &["quota"],
        subresources: &[status("ResourceQuota", "core.v1.ResourceQuota")],
        ..core(
            "resourcequotas",
            "resourcequota",
            "ResourceQuota",
            "core.v1.ResourceQuota",
        )
    },
    core("secrets", "secret", "Secret", "core.v1.Secret"),
    Resource {
        short_names: &["sa"],
        subresources: &[Subresource {
            group: "authentication.k8s.io",
            version: "v1",
            ..sub(
                "token",
                "TokenRequest",
                CREATE,
                "authentication.v1.TokenRequest",
            )
        }],
        ..core(
            "serviceaccounts",
            "serviceaccount",
            "ServiceAccount",
            "core.v1.ServiceAccount",
        )
    },
    Resource {
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[status("Service", "core.v1.Service")],
        ..core("services", "service", "Service", "core.v1.Service")
    },
    Resource {
        group: "events.k8s.io",
        short_names: &["ev"],
        ..core("events", "event", "Event", "events.v1.Event")
    },
    review(
        "authentication.k8s.io",
        "selfsubjectreviews",
        "selfsubjectreview",
        "SelfSubjectReview",
        "authentication.v1.SelfSubjectReview",
    ),
    review(
        "authentication.k8s.io",
        "tokenreviews",
        "tokenreview",
        "TokenReview",
        "authentication.v1.TokenReview",
    ),
    Resource {
        namespaced: true,
        ..review(
            "authorization.k8s.io",
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
            "LocalSubjectAccessReview",
            "authorization.v1.LocalSubjectAccessReview",
        )
    },
    review(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
        "authorization.v1.SelfSubjectAccessReview",
    ),
    review(
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
        "authorization.v1.SelfSubjectRulesReview",
    ),
    review(
        "authorization.k8s.io",
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
        "authorization.v1.SubjectAccessReview",
    ),
    Resource {
        group: "batch",
        short_names: &["cj"],
        categories: &["all"],
        subresources: CRON_JOB_STATUS,
        ..core("cronjobs", "cronjob", "CronJob", "batch.v1.CronJob")
    },
    Resource {
        group: "batch",
        categories: &["all"],
        subresources: JOB_STATUS,
        ..core("jobs", "job", "Job", "batch.v1.Job")
    },
    // Gone upstream since 1.25; the objects are those of v1.
    Resource {
        group: "batch",
        version: "v1beta1",
        short_names: &["cj"],
        categories: &["all"],
        subresources: CRON_JOB_STATUS,
        ..core("cronjobs", "cronjob", "CronJob", "batch.v1.CronJob")
    },
    Resource {
        group: "networking.k8s.io",
        short_names: &["netpol"],
        ..core(
            "networkpolicies",
            "networkpolicy",
            "NetworkPolicy",
            "networking.v1.NetworkPolicy",
        )
    },
    Resource {
        group: "rbac.authorization.k8s.io",
        namespaced: false,
        ..core(
            "clusterrolebindings",
            "clusterrolebinding",
            "ClusterRoleBinding",
            "rbac.v1.ClusterRoleBinding",
        )
    },
    Resource {
        group: "rbac.authorization.k8s.io",
        namespaced: false,
        ..core(
            "clusterroles",
            "clusterrole",
            "ClusterRole",
            "rbac.v1.ClusterRole",
        )
    },
    Resource {
        group: "rbac.authorization.k8s.io",
        ..core(
            "rolebindings",
            "rolebinding",
            "RoleBinding",
            "rbac.v1.RoleBinding",
        )
    },
    Resource {
        group: "rbac.authorization.k8s.io",
        ..core("roles", "role", "Role", "rbac.v1.Role")
    },
    Resource {
        group: "scheduling.k8s.io",
        namespaced: false,
        short_names: &["pc"],
        ..core(
            "priorityclasses",
            "priorityclass",
            "PriorityClass",
            "scheduling.v1.PriorityClass",
        )
    },
    Resource {
        group: "coordination.k8s.io",
        ..core("leases", "lease", "Lease", "coordination.v1.Lease")
    },
    Resource {
        group: "metrics.k8s.io",
        version: "v1beta1",
        namespaced: false,
        verbs: GET_LIST,
        ..core("nodes", "", "NodeMetrics", "metrics.v1beta1.NodeMetrics")
    },
    Resource {
        group: "metrics.k8s.io",
        version: "v1beta1",
        verbs: GET_LIST,
        ..core("pods", "", "PodMetrics", "metrics.v1beta1.PodMetrics")
    },
];
