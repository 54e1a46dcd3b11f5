//! Fields that are harmless here: what they ask for is given anyway, or has no
//! meaning for a module. Each is said once.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value as Json;

use crate::field::Path;

/// A field that has no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Its path.
    pub path: Path,
    /// `has no effect here: …`
    pub effect: &'static str,
}

const ONE_NODE: &str = "has no effect here: there is one node";
const NO_SERVICES: &str = "has no effect here: there are no services to find";
const ONLY_SERVED: &str = "has an effect only where there is an API: in `wasmjob serve`";
const NO_DNS: &str = "has no effect here: names are resolved by the host";
const NO_USERS: &str = "has no effect here: a module runs as no user";
const NO_LSM: &str = "has no effect here: a module makes no system calls";
const NO_LISTENING: &str = "has no effect here: a module cannot be reached from outside";

/// Fields of the pod that matter to no module.
const POD: [(&str, &str); 18] = [
    ("affinity", ONE_NODE),
    ("automountServiceAccountToken", ONLY_SERVED),
    ("dnsConfig", NO_DNS),
    ("dnsPolicy", NO_DNS),
    ("enableServiceLinks", NO_SERVICES),
    ("nodeName", ONE_NODE),
    ("nodeSelector", ONE_NODE),
    ("overhead", ONE_NODE),
    ("preemptionPolicy", ONLY_SERVED),
    ("priority", ONLY_SERVED),
    ("priorityClassName", ONLY_SERVED),
    (
        "runtimeClassName",
        "has no effect here: there is one runtime",
    ),
    ("schedulerName", ONE_NODE),
    ("serviceAccountName", ONLY_SERVED),
    ("setHostnameAsFQDN", NO_DNS),
    ("subdomain", NO_DNS),
    ("tolerations", ONE_NODE),
    ("topologySpreadConstraints", ONE_NODE),
];

/// Fields of a pod's and of a container's securityContext.
const SECURITY: [(&str, &str); 14] = [
    ("allowPrivilegeEscalation", NO_LSM),
    ("appArmorProfile", NO_LSM),
    ("capabilities", NO_LSM),
    ("fsGroup", NO_USERS),
    ("fsGroupChangePolicy", NO_USERS),
    (
        "readOnlyRootFilesystem",
        "has no effect here: an image's files can only be read",
    ),
    ("runAsGroup", NO_USERS),
    ("runAsNonRoot", NO_USERS),
    ("runAsUser", NO_USERS),
    ("seLinuxChangePolicy", NO_LSM),
    ("seLinuxOptions", NO_LSM),
    ("seccompProfile", NO_LSM),
    ("supplementalGroups", NO_USERS),
    ("supplementalGroupsPolicy", NO_USERS),
];

const CONTAINER: [(&str, &str); 3] = [
    ("ports", NO_LISTENING),
    (
        "resizePolicy",
        "has no effect here: resources are set before a module starts",
    ),
    (
        "stdinOnce",
        "has no effect here: a Job's modules have no terminal",
    ),
];

/// The fields of a defaulted `spec` (at `path`) that have no effect. What the
/// defaults have put there is nobody's wish, and is not mentioned.
#[must_use]
pub fn notes(spec: &PodSpec, path: &Path) -> Vec<Note> {
    let Ok(json) = serde_json::to_value(spec) else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    collect(&mut notes, &json, path, &POD);
    collect(
        &mut notes,
        &json["securityContext"],
        &path.child("securityContext"),
        &SECURITY,
    );
    for field in ["initContainers", "containers"] {
        for (index, container) in json[field].as_array().into_iter().flatten().enumerate() {
            let path = path.child(field).index(index);
            collect(&mut notes, container, &path, &CONTAINER);
            let context = &container["securityContext"];
            collect(
                &mut notes,
                context,
                &path.child("securityContext"),
                &SECURITY,
            );
        }
    }
    notes
}

/// As [`notes`], where there is an API.
#[must_use]
pub fn served_notes(spec: &PodSpec, path: &Path) -> Vec<Note> {
    let mut notes = notes(spec, path);
    notes.retain(|note| note.effect != ONLY_SERVED);
    notes
}

fn collect(
    notes: &mut Vec<Note>,
    object: &Json,
    path: &Path,
    fields: &[(&'static str, &'static str)],
) {
    for (field, effect) in fields {
        let value = &object[*field];
        let is_default = match *field {
            "dnsPolicy" => value == "ClusterFirst",
            "schedulerName" => value == "default-scheduler",
            "enableServiceLinks" => value == true,
            _ => false,
        };
        let is_empty = match value {
            Json::Null => true,
            Json::Array(items) => items.is_empty(),
            Json::Object(object) => object.is_empty(),
            Json::String(text) => text.is_empty(),
            Json::Bool(_) | Json::Number(_) => false,
        };
        if !is_empty && !is_default {
            notes.push(Note {
                path: path.child(field),
                effect,
            });
        }
    }
}
