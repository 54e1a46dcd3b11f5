//! The node: this machine, as clients of a cluster expect to see one.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wasmjob::{Object, WriteError};

use crate::api::Api;
use crate::paths::arch;
use crate::render::seconds;

/// The namespace of nodes' leases.
const LEASES: &str = "kube-node-lease";

/// How old a lease may be when it is shown.
const LEASE_AGE: Duration = Duration::from_secs(10);

/// Says what the node is at this start.
pub(super) async fn settle(api: &Arc<Api>) -> Result<(), WriteError> {
    let name = Arc::clone(api.cache.node());
    let mut node = node(api, &name);
    match api.cache.get("nodes", "", &name) {
        None => api.ensure("nodes", "", node).await?,
        Some(entry) => {
            let Object::Generic(generic) = &entry.object else {
                return Ok(());
            };
            let mut value = entry.value();
            value["status"] = node["status"].take();
            match api.put(generic, &value).await {
                Ok(()) | Err(WriteError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": name },
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": micros(api.now()),
        },
    });
    let ensured = api.ensure("leases.coordination.k8s.io", LEASES, lease);
    match ensured.await {
        // A quota must not keep the server from starting.
        Err(WriteError::Forbidden(why)) => {
            tracing::warn!(why, "there is no Lease of the node");
            Ok(())
        }
        ensured => ensured,
    }
}

/// Renews the lease of the node, if somebody is about to read an old one: it says that
/// the node is alive, which whoever can read it knows; nobody needs it written when
/// nobody reads it.
pub(crate) async fn renew_lease(api: &Api) {
    let node = Arc::clone(api.cache.node());
    let Some(entry) = api.cache.get("leases.coordination.k8s.io", LEASES, &node) else {
        return;
    };
    let Object::Generic(generic) = &entry.object else {
        return;
    };
    let mut value = entry.value();
    let now = api.now();
    let renewed = value["spec"]["renewTime"].as_str();
    let renewed = renewed.and_then(|text| text.parse::<Timestamp>().ok());
    let age = renewed.map(|renewed| now.duration_since(renewed).abs());
    let least = SignedDuration::try_from(LEASE_AGE).unwrap_or(SignedDuration::MAX);
    if age.is_some_and(|age| age < least) {
        return;
    }
    value["spec"]["renewTime"] = micros(now).into();
    if let Err(error) = api.put(generic, &value).await {
        tracing::debug!(%error, "the node's lease was not renewed");
    }
}

fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn node(api: &Api, name: &str) -> Value {
    let now = seconds(api.now());
    let capacity = api.host.capacity();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        })
    };
    let resources = json!({
        "cpu": format!("{}m", capacity.cpu_milli),
        "memory": format!("{}Ki", capacity.memory_bytes >> 10),
        "pods": capacity.pods.to_string(),
    });
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {
                // Who adds up the requests of pods misses these.
                "wasmjob.dev/default-memory": format!("{}Ki", api.host.default_memory() >> 10),
            },
            "labels": {
                "kubernetes.io/arch": arch(),
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": std::env::consts::OS,
            },
        },
        "spec": {},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [
                { "type": "InternalIP", "address": "127.0.0.1" },
                { "type": "Hostname", "address": name },
            ],
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": text(uname.release()),
                "osImage": "wasmjob",
                "containerRuntimeVersion": format!("wasmjob://{}", env!("CARGO_PKG_VERSION")),
                "kubeletVersion": concat!("v1.36.0+wasmjob.", env!("CARGO_PKG_VERSION")),
                "kubeProxyVersion": "",
                "operatingSystem": std::env::consts::OS,
                "architecture": arch(),
            },
        },
    })
}
