//! Pods, in total.

use std::collections::BTreeMap;

use wasmjob::api::Phase;

use super::text::{Kind, Text};
use crate::api::Api;
use crate::cache::Scope;

const PHASES: [Phase; 4] = [
    Phase::Pending,
    Phase::Running,
    Phase::Succeeded,
    Phase::Failed,
];

pub(super) fn write(text: &mut Text, api: &Api) {
    let listed = api.cache.list("pods", &Scope::default());
    let mut totals: BTreeMap<&str, [u64; PHASES.len()]> = BTreeMap::new();
    for pod in listed.entries.iter().filter_map(|it| it.object.as_pod()) {
        let phase = pod.status.phase;
        let total = totals.entry(&pod.namespace).or_default();
        if let Some(place) = PHASES.iter().position(|it| *it == phase) {
            total[place] += 1;
        }
    }
    let mut family = text.family(
        "kube_pod_status_phase",
        Kind::Gauge,
        "The pods of a namespace by their current phase, in total.",
    );
    for (namespace, total) in totals {
        for (phase, count) in PHASES.iter().zip(total) {
            let labels = [("namespace", namespace), ("phase", phase.as_str())];
            family.sample("", &labels, count);
        }
    }
}
