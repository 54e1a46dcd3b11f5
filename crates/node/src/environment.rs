//! A container's environment: what its variables come to.

use foldhash::HashMap;
use wasmjob_api::k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, Container, EnvFromSource, EnvVar, SecretKeySelector,
};

use crate::downward::Downward;
use crate::expand::expand;

/// Bytes that the variables of a container may take together, and its arguments as
/// well. More than any manifest can hold; what bounds it are references to ConfigMaps
/// and `$(VAR)` of `$(VAR)`, which can double with every variable.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// Why a container cannot be called.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum EnvError {
    /// Something that it refers to is not there, which may change. The texts are the
    /// kubelet's.
    #[error("{0}")]
    Config(String),
    /// It would be too much.
    #[error("the {0} of the container would take more than {BYTES_MAX} bytes")]
    TooLarge(&'static str),
}

/// Variables in the order in which they were first set.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    vars: Vec<(String, String)>,
    places: HashMap<String, usize>,
    bytes: usize,
    /// What was left out, in the kubelet's words.
    pub(crate) skipped: Vec<String>,
}

impl Environment {
    /// The environment of `container`, made anew from what there is now.
    pub(crate) fn of(container: &Container, downward: &Downward<'_>) -> Result<Self, EnvError> {
        let mut env = Self::default();
        for source in container.env_from.iter().flatten() {
            env.add_all(source, downward)?;
        }
        for var in container.env.iter().flatten() {
            env.add(var, container, downward)?;
        }
        Ok(env)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let place = self.places.get(name)?;
        self.vars.get(*place).map(|(_, value)| value.as_str())
    }

    pub(crate) fn into_vars(self) -> Vec<(String, String)> {
        self.vars
    }

    /// `text` with its `$(VAR)` replaced.
    pub(crate) fn expand(&self, text: &str, what: &'static str) -> Result<String, EnvError> {
        expand(text, BYTES_MAX, |name| self.get(name)).ok_or(EnvError::TooLarge(what))
    }

    fn set(&mut self, name: String, value: String) -> Result<(), EnvError> {
        self.bytes = self.bytes.saturating_add(name.len() + value.len());
        match self.places.get(&name) {
            Some(place) => {
                let old = &mut self.vars[*place].1;
                self.bytes = self.bytes.saturating_sub(name.len() + old.len());
                *old = value;
            }
            None => {
                self.places.insert(name.clone(), self.vars.len());
                self.vars.push((name, value));
            }
        }
        if self.bytes > BYTES_MAX {
            return Err(EnvError::TooLarge("environment"));
        }
        Ok(())
    }

    /// One of `env`. A value may refer to what stands before it.
    fn add(
        &mut self,
        var: &EnvVar,
        container: &Container,
        downward: &Downward<'_>,
    ) -> Result<(), EnvError> {
        let value = match &var.value_from {
            None => {
                let value = var.value.as_deref().unwrap_or_default();
                Some(self.expand(value, "environment")?)
            }
            Some(source) => match (&source.config_map_key_ref, &source.secret_key_ref) {
                (Some(selector), _) => config_map_key(selector, downward)?,
                (None, Some(selector)) => secret_key(selector, downward)?,
                (None, None) => Some(downward.value(source, container)),
            },
        };
        match value {
            Some(value) => self.set(var.name.clone(), value),
            None => Ok(()),
        }
    }

    /// All of one of `envFrom`.
    fn add_all(&mut self, source: &EnvFromSource, downward: &Downward<'_>) -> Result<(), EnvError> {
        let namespace = &*downward.pod.namespace;
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut invalid = Vec::new();
        let mut set = |env: &mut Self, key: &str, value: String| {
            let name = format!("{prefix}{key}");
            if !is_variable_name(&name) {
                invalid.push(name);
                return Ok(());
            }
            env.set(name, value)
        };
        let (kind, name) = if let Some(reference) = &source.config_map_ref {
            let Some(map) = downward.objects.config_map(namespace, &reference.name) else {
                return missing("configmap", &reference.name, reference.optional).map(|_| ());
            };
            for (key, value) in map.data.iter().flatten() {
                set(self, key, value.clone())?;
            }
            ("configMap", &reference.name)
        } else if let Some(reference) = &source.secret_ref {
            let Some(secret) = downward.objects.secret(namespace, &reference.name) else {
                return missing("secret", &reference.name, reference.optional).map(|_| ());
            };
            for (key, value) in secret.data.iter().flatten() {
                set(
                    self,
                    key,
                    secret_text(&value.0, key, namespace, &reference.name)?,
                )?;
            }
            ("secret", &reference.name)
        } else {
            return Ok(());
        };
        if !invalid.is_empty() {
            self.skipped.push(format!(
                "Keys [{}] from the EnvFrom {kind} {namespace}/{name} were skipped since they are considered invalid environment variable names.",
                invalid.join(", ")
            ));
        }
        Ok(())
    }
}

/// Nothing, if the reference is optional; the kubelet's error, if not.
fn missing(kind: &str, name: &str, optional: Option<bool>) -> Result<Option<String>, EnvError> {
    if optional == Some(true) {
        return Ok(None);
    }
    Err(EnvError::Config(format!("{kind} {name:?} not found")))
}

fn config_map_key(
    selector: &ConfigMapKeySelector,
    downward: &Downward<'_>,
) -> Result<Option<String>, EnvError> {
    let (namespace, name, key) = (&*downward.pod.namespace, &selector.name, &selector.key);
    let Some(map) = downward.objects.config_map(namespace, name) else {
        return missing("configmap", name, selector.optional);
    };
    match map.data.as_ref().and_then(|data| data.get(key)) {
        Some(value) => Ok(Some(value.clone())),
        None if selector.optional == Some(true) => Ok(None),
        None => Err(EnvError::Config(format!(
            "couldn't find key {key} in ConfigMap {namespace}/{name}"
        ))),
    }
}

fn secret_key(
    selector: &SecretKeySelector,
    downward: &Downward<'_>,
) -> Result<Option<String>, EnvError> {
    let (namespace, name, key) = (&*downward.pod.namespace, &selector.name, &selector.key);
    let Some(secret) = downward.objects.secret(namespace, name) else {
        return missing("secret", name, selector.optional);
    };
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        Some(value) => secret_text(&value.0, key, namespace, name).map(Some),
        None if selector.optional == Some(true) => Ok(None),
        None => Err(EnvError::Config(format!(
            "couldn't find key {key} in Secret {namespace}/{name}"
        ))),
    }
}

/// A Secret's value as a variable can have it.
fn secret_text(bytes: &[u8], key: &str, namespace: &str, name: &str) -> Result<String, EnvError> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(EnvError::Config(format!(
            "key {key} in Secret {namespace}/{name} is no text without NUL, as a variable must be; mount it as a volume"
        ))),
    }
}

/// Kubernetes' rule since 1.34 (`IsRelaxedEnvVarName`).
fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::{Value, from_value, json};
    use wasmjob_api::k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret};
    use wasmjob_api::{Pod, PodTemplate, Uid};

    use super::*;
    use crate::{Objects, Resources};

    #[derive(Default)]
    struct Fixed {
        config_maps: BTreeMap<String, Arc<ConfigMap>>,
        secrets: BTreeMap<String, Arc<Secret>>,
    }

    impl Objects for Fixed {
        fn network_policies(
            &self,
            _: &str,
        ) -> Vec<Arc<wasmjob_api::k8s_openapi::api::networking::v1::NetworkPolicy>> {
            Vec::new()
        }

        fn token(&self, _: &crate::TokenWanted<'_>) -> Result<crate::PodToken, String> {
            Err("there are none".to_owned())
        }

        fn claim(
            &self,
            _: &str,
            _: &str,
        ) -> Option<Arc<wasmjob_api::k8s_openapi::api::core::v1::PersistentVolumeClaim>> {
            None
        }

        fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
            self.config_maps
                .get(name)
                .filter(|_| namespace == "shop")
                .cloned()
        }

        fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
            self.secrets
                .get(name)
                .filter(|_| namespace == "shop")
                .cloned()
        }
    }

    fn objects() -> Fixed {
        let map = json!({"data": {"a": "1", "b": "2"}});
        let secret = json!({"data": {"password": "aHVudGVyMg==", "raw": "//4="}});
        Fixed {
            config_maps: [("map".to_owned(), from_value(map).unwrap())].into(),
            secrets: [("key".to_owned(), from_value(secret).unwrap())].into(),
        }
    }

    fn of(container: Value) -> Result<Vec<String>, EnvError> {
        let objects = objects();
        let pod = Pod {
            uid: Uid::from_random(1),
            namespace: "shop".into(),
            name: "pod".into(),
            template: Arc::new(PodTemplate {
                metadata: Default::default(),
                spec: Arc::new(PodSpec::default()),
                owner: None,
                base: Arc::from(std::path::Path::new(".")),
            }),
            metadata: None,
            index: None,
            index_failure_count: None,
            index_ignored_failure_count: None,
            created: jiff::Timestamp::UNIX_EPOCH,
            deletion: None,
            tracked: false,
            status: Default::default(),
        };
        let downward = Downward {
            pod: &pod,
            node_name: "node",
            capacity: Resources::default(),
            default_memory_bytes: 1,
            objects: &objects,
        };
        let mut container = container;
        container["name"] = "c".into();
        let env = Environment::of(&from_value(container).unwrap(), &downward)?;
        let line = |(name, value): (String, String)| format!("{name}={value}");
        Ok(env.into_vars().into_iter().map(line).collect())
    }

    fn check(container: Value, expected: &[&str]) {
        assert_eq!(of(container).unwrap(), expected);
    }

    fn refuse(container: Value, expected: &str) {
        assert_eq!(of(container).unwrap_err().to_string(), expected);
    }

    #[test]
    fn values_come_from_config_maps_and_secrets() {
        check(
            json!({
                "envFrom": [
                    {"prefix": "P_", "configMapRef": {"name": "map"}},
                    {"configMapRef": {"name": "map"}},
                ],
                "env": [
                    {"name": "a", "value": "own $(b)"},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "b"}}},
                    {"name": "S", "valueFrom": {"secretKeyRef": {"name": "key", "key": "password"}}},
                    {"name": "D", "value": "$(S)!"},
                ],
            }),
            &[
                "P_a=1",
                "P_b=2",
                "a=own 2",
                "b=2",
                "C=2",
                "S=hunter2",
                "D=hunter2!",
            ],
        );
    }

    #[test]
    fn what_is_missing_is_told_in_the_kubelets_words() {
        let key = |kind: &str, name: &str, key: &str| json!({"env": [{"name": "X", "valueFrom": {kind: {"name": name, "key": key}}}]});
        refuse(
            key("configMapKeyRef", "no", "a"),
            r#"configmap "no" not found"#,
        );
        refuse(
            key("configMapKeyRef", "map", "no"),
            "couldn't find key no in ConfigMap shop/map",
        );
        refuse(key("secretKeyRef", "no", "a"), r#"secret "no" not found"#);
        refuse(
            key("secretKeyRef", "key", "no"),
            "couldn't find key no in Secret shop/key",
        );
        refuse(
            json!({"envFrom": [{"secretRef": {"name": "no"}}]}),
            r#"secret "no" not found"#,
        );
        refuse(
            key("secretKeyRef", "key", "raw"),
            "key raw in Secret shop/key is no text without NUL, as a variable must be; mount it as a volume",
        );
    }

    #[test]
    fn what_is_optional_may_be_missing() {
        check(
            json!({
                "envFrom": [{"configMapRef": {"name": "no", "optional": true}}],
                "env": [
                    {"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "a", "optional": true}}},
                    {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "no", "optional": true}}},
                ],
            }),
            &[],
        );
    }

    #[test]
    fn variables_that_double_are_bounded() {
        let double = |n: usize| json!({"name": format!("V{n}"), "value": format!("$(V{})$(V{})", n - 1, n - 1)});
        let mut env = vec![json!({"name": "V0", "value": "xxxxxxxx"})];
        env.extend((1..64).map(double));
        refuse(
            json!({"env": env}),
            "the environment of the container would take more than 4194304 bytes",
        );
    }
}
