//! Service accounts (`plugin/pkg/admission/serviceaccount`).
//!
//! Unlike there, no token is mounted unless the pod or its account asks for one in so
//! many words (`automountServiceAccountToken: true`): a guest has no network that it was
//! not given, so that a token would be a secret for nothing.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath,
    LocalObjectReference, ObjectFieldSelector, PodSpec, ProjectedVolumeSource, ServiceAccount,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

/// Where a token is mounted.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The name of the volume that holds it.
const VOLUME: &str = "kube-api-access";
/// A little more than an hour, by which the API server knows tokens that pods got unasked.
const EXPIRATION_SECONDS: i64 = 3607;

/// What pods get from a service account.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Account {
    pull_secrets: Vec<LocalObjectReference>,
    automounts: Option<bool>,
}

/// Why a pod cannot have its service account.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none of that name.
    #[error(
        "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
    )]
    NotFound {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Account {
    /// Reads a ServiceAccount.
    #[must_use]
    pub fn read(object: &ServiceAccount) -> Self {
        Self {
            pull_secrets: object.image_pull_secrets.clone().unwrap_or_default(),
            automounts: object.automount_service_account_token,
        }
    }

    /// Whether pods get anything from it.
    #[must_use]
    pub fn gives(&self) -> bool {
        !self.pull_secrets.is_empty() || self.automounts == Some(true)
    }

    /// The name of a pod's account.
    #[must_use]
    pub fn name_of(spec: &PodSpec) -> &str {
        let name = spec.service_account_name.as_deref();
        name.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// Gives a pod what it gets; whether that is something.
    pub fn fill(&self, spec: &mut PodSpec) -> bool {
        let mut has_changed = false;
        if !self.pull_secrets.is_empty()
            && spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty)
        {
            spec.image_pull_secrets = Some(self.pull_secrets.clone());
            has_changed = true;
        }
        let wanted = spec.automount_service_account_token.or(self.automounts);
        has_changed | (wanted == Some(true) && mount_token(spec))
    }
}

/// Mounts a token in each container that has nothing in its place.
fn mount_token(spec: &mut PodSpec) -> bool {
    let taken = |spec: &PodSpec, name: &str| {
        let mut volumes = spec.volumes.iter().flatten();
        volumes.any(|volume| volume.name == name)
    };
    let mut name = VOLUME.to_owned();
    while taken(spec, &name) {
        name.push_str("-x");
    }
    let mut has_mounted = false;
    let init = spec.init_containers.iter_mut().flatten();
    for container in spec.containers.iter_mut().chain(init) {
        let mounts = container.volume_mounts.get_or_insert_default();
        if mounts.iter().any(|mount| mount.mount_path == MOUNT_PATH) {
            continue;
        }
        mounts.push(VolumeMount {
            name: name.clone(),
            mount_path: MOUNT_PATH.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
        has_mounted = true;
    }
    if has_mounted {
        spec.volumes.get_or_insert_default().push(volume(name));
    }
    has_mounted
}

fn volume(name: String) -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            expiration_seconds: Some(EXPIRATION_SECONDS),
            path: "token".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".to_owned(),
            items: Some(vec![KeyToPath {
                key: "ca.crt".to_owned(),
                path: "ca.crt".to_owned(),
                mode: None,
            }]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".to_owned(),
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.namespace".to_owned(),
                }),
                ..Default::default()
            }]),
        }),
        ..Default::default()
    };
    Volume {
        name,
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o644),
            sources: Some(vec![token, authority, namespace]),
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(json: &str) -> Account {
        Account::read(&serde_json::from_str(json).unwrap())
    }

    fn spec(json: &str) -> PodSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn pull_secrets_come_from_the_account_where_the_pod_names_none() {
        let account = account(r#"{"metadata":{},"imagePullSecrets":[{"name":"a"},{"name":"b"}]}"#);
        let mut own = spec(r#"{"containers":[],"imagePullSecrets":[{"name":"mine"}]}"#);
        assert!(!account.fill(&mut own));
        let mut none = spec(r#"{"containers":[]}"#);
        assert!(account.fill(&mut none));
        let names = none.image_pull_secrets.unwrap();
        let names: Vec<_> = names.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_token_is_mounted_for_who_asks() {
        let plain = account(r#"{"metadata":{}}"#);
        assert!(!plain.gives());
        let mut silent = spec(r#"{"containers":[{"name":"c"}]}"#);
        assert!(!plain.fill(&mut silent));
        let mut asks = spec(
            r#"{"automountServiceAccountToken":true,"containers":[{"name":"c"},{"name":"d","volumeMounts":[{"name":"v","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}]}"#,
        );
        assert!(plain.fill(&mut asks));
        assert_eq!(asks.volumes.as_ref().unwrap().len(), 1);
        assert_eq!(asks.containers[0].volume_mounts.as_ref().unwrap().len(), 1);
        assert_eq!(asks.containers[1].volume_mounts.as_ref().unwrap().len(), 1);
        let generous = account(r#"{"metadata":{},"automountServiceAccountToken":true}"#);
        assert!(generous.fill(&mut silent));
        let mut refuses =
            spec(r#"{"automountServiceAccountToken":false,"containers":[{"name":"c"}]}"#);
        assert!(!generous.fill(&mut refuses));
    }
}
