//! The final objects as a `v1` List, as `kubectl get -o json` prints one.

use std::io::Write;

use serde_json::{Value, json};
use wasmjob::api::Pod;

use crate::run::State;

/// The node's name in the objects.
const NODE_NAME: &str = "wasmjob";

/// Prints Jobs, then their pods, then bare Pods.
pub(crate) fn print(state: &State, out: &mut impl Write) -> anyhow::Result<()> {
    let mut items = Vec::new();
    for job in &state.jobs {
        items.push(serde_json::to_value(job.to_object())?);
    }
    for job in &state.jobs {
        for pod in state.pods_of(job) {
            items.push(object(pod)?);
        }
    }
    for uid in &state.bare {
        if let Some(pod) = state.pods.get(uid) {
            items.push(object(pod)?);
        }
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
    serde_json::to_writer_pretty(&mut *out, &list)?;
    writeln!(out)?;
    Ok(())
}

fn object(pod: &Pod) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(pod.to_object(NODE_NAME, 0))?)
}
