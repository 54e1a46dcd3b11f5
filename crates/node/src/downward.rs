//! The downward API in environment variables.

use wasmjob_api::Pod;
use wasmjob_api::Quantity;
use wasmjob_api::k8s_openapi::api::core::v1::{Container, EnvVarSource, ResourceFieldSelector};
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::Objects;
use crate::resources::{Resources, selected};

/// Label and annotation that hold a pod's completion index.
pub(crate) const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What a variable can be made of.
pub(crate) struct Downward<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) node_name: &'a str,
    pub(crate) capacity: Resources,
    pub(crate) default_memory_bytes: u64,
    pub(crate) objects: &'a dyn Objects,
}

impl Downward<'_> {
    /// The value of a variable's source. What validation let pass and the pod
    /// does not have is empty, as in Kubernetes.
    pub(crate) fn value(&self, source: &EnvVarSource, container: &Container) -> String {
        if let Some(field) = &source.field_ref {
            return self.field(&field.field_path);
        }
        if let Some(selector) = &source.resource_field_ref {
            return self.resource(selector, container);
        }
        String::new()
    }

    /// The content of a file of a downwardAPI volume, which may also be all labels or
    /// all annotations.
    pub(crate) fn file(&self, path: &str) -> String {
        let metadata = self.metadata();
        let list = match path {
            "metadata.labels" => metadata.labels.clone(),
            "metadata.annotations" => metadata.annotations.clone(),
            _ => return self.field(path),
        };
        let mut list = list.unwrap_or_default();
        if let Some(index) = self.index() {
            list.insert(COMPLETION_INDEX.to_owned(), index.to_string());
        }
        let lines = list
            .iter()
            .map(|(key, value)| format!("{key}={}", quoted(value)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The pod's own metadata, once it has other than its template.
    fn metadata(&self) -> &ObjectMeta {
        let own = self.pod.metadata.as_deref();
        own.unwrap_or(&self.pod.template.metadata)
    }

    /// The index, if the metadata do not have it: they are many pods'.
    fn index(&self) -> Option<u32> {
        self.pod.index.filter(|_| self.pod.metadata.is_none())
    }

    fn field(&self, path: &str) -> String {
        let pod = self.pod;
        let spec = &pod.template.spec;
        match path {
            "metadata.name" => pod.name.to_string(),
            "metadata.namespace" => pod.namespace.to_string(),
            "metadata.uid" => pod.uid.to_string(),
            "spec.nodeName" => self.node_name.to_owned(),
            "spec.serviceAccountName" => spec
                .service_account_name
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            _ => self.keyed(path).unwrap_or_default(),
        }
    }

    /// `metadata.labels['KEY']` and `metadata.annotations['KEY']`.
    fn keyed(&self, path: &str) -> Option<String> {
        let (list, key) = path.strip_suffix("']")?.split_once("['")?;
        let metadata = self.metadata();
        let list = match list {
            "metadata.labels" => metadata.labels.as_ref(),
            "metadata.annotations" => metadata.annotations.as_ref(),
            _ => return None,
        };
        if key == COMPLETION_INDEX
            && let Some(index) = self.index()
        {
            return Some(index.to_string());
        }
        list?.get(key).cloned()
    }

    pub(crate) fn resource(
        &self,
        selector: &ResourceFieldSelector,
        container: &Container,
    ) -> String {
        let spec = &self.pod.template.spec;
        let named = selector.container_name.as_deref().and_then(|name| {
            let all = spec
                .containers
                .iter()
                .chain(spec.init_containers.iter().flatten());
            all.into_iter().find(|c| c.name == name)
        });
        let container = named.unwrap_or(container);
        let divisor = selector
            .divisor
            .as_ref()
            .and_then(|d| d.0.parse::<Quantity>().ok());
        let divisor_milli = divisor.map_or(1000, Quantity::milli).max(1);
        let is_cpu = selector.resource.ends_with(".cpu");
        let milli = match selected(container.resources.as_ref(), &selector.resource) {
            Some(quantity) => i128::from(quantity.milli()),
            // Without a limit: what the node has.
            None if is_cpu => i128::from(self.capacity.cpu_milli),
            None if selector.resource == "limits.memory" => {
                i128::from(self.default_memory_bytes) * 1000
            }
            None => 0,
        };
        // Kubernetes rounds up, and a divisor of 0 counts as 1.
        let divisor = if divisor.is_none_or(|d| d.milli() == 0) {
            1000
        } else {
            i128::from(divisor_milli)
        };
        milli
            .saturating_add(divisor - 1)
            .div_euclid(divisor)
            .to_string()
    }
}

/// A text as Go's `%q` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => out.extend(['\\', sign]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            _ if !sign.is_control() => out.push(sign),
            _ if sign < '\u{80}' => out.push_str(&format!("\\x{:02x}", u32::from(sign))),
            _ => out.push_str(&format!("\\u{:04x}", u32::from(sign))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_are_quoted_as_go_does() {
        assert_eq!(
            quoted("a \"b\"\\\n\u{1}\u{85}ü"),
            r#""a \"b\"\\\n\x01\u0085ü""#
        );
    }
}
