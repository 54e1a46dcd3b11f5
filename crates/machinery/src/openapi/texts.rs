//! What is said of messages and fields, and which fields are required.

use std::collections::HashMap;
use std::sync::LazyLock;

const TABLE: &str = include_str!("descriptions.tsv");

/// What the API of metrics says; it is not part of the core API.
const METRICS: &str = "\
metrics.v1beta1.ContainerMetrics\t\t\tContainerMetrics sets resource usage metrics of a container.
metrics.v1beta1.ContainerMetrics\tname\trequired\tContainer name corresponding to the one from pod.spec.containers.
metrics.v1beta1.ContainerMetrics\tusage\trequired\tThe memory usage is the memory working set.
metrics.v1beta1.NodeMetrics\t\t\tNodeMetrics sets resource usage metrics of a node.
metrics.v1beta1.NodeMetrics\ttimestamp\trequired\tThe end of the interval in which the usage was measured.
metrics.v1beta1.NodeMetrics\twindow\trequired\tThe length of the interval in which the usage was measured.
metrics.v1beta1.NodeMetrics\tusage\trequired\tThe memory usage is the memory working set.
metrics.v1beta1.PodMetrics\t\t\tPodMetrics sets resource usage metrics of a pod.
metrics.v1beta1.PodMetrics\ttimestamp\trequired\tThe end of the interval in which the usage was measured.
metrics.v1beta1.PodMetrics\twindow\trequired\tThe length of the interval in which the usage was measured.
metrics.v1beta1.PodMetrics\tcontainers\trequired\tMetrics of all containers of the pod, from the same interval.
";

/// What is said of one field, or of a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    /// Whether the field must be there.
    pub(super) required: bool,
    /// The description; may be empty.
    pub(super) description: String,
}

static TEXTS: LazyLock<HashMap<(&'static str, &'static str), Text>> = LazyLock::new(|| {
    TABLE
        .lines()
        .chain(METRICS.lines())
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut columns = line.splitn(4, '\t');
            let key = (columns.next()?, columns.next()?);
            let required = !columns.next()?.is_empty();
            let description = unescape(columns.next()?);
            Some((
                key,
                Text {
                    required,
                    description,
                },
            ))
        })
        .collect()
});

/// What is said of a field; of the message itself if the field has no name.
pub(super) fn of(message: &'static str, field: &'static str) -> Option<&'static Text> {
    TEXTS.get(&(message, field))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{TABLE, TEXTS, of};
    use crate::types::message;

    #[test]
    fn every_text_belongs_to_a_field() {
        assert!(TEXTS.len() >= TABLE.lines().count() - 2);
        for (name, field) in TEXTS.keys() {
            let message = message(name).unwrap();
            assert!(
                field.is_empty() || message.field(field).is_some(),
                "{name}.{field}"
            );
        }
    }

    #[test]
    fn required_fields_and_line_breaks_are_read() {
        assert!(of("batch.v1.JobSpec", "template").unwrap().required);
        assert!(!of("batch.v1.JobSpec", "suspend").unwrap().required);
        let protocol = of("core.v1.ServicePort", "appProtocol").unwrap();
        assert!(protocol.description.contains(":\n\n* "));
    }
}
