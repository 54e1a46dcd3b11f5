//! What must be there before the first client comes.

use std::sync::Arc;

use serde_json::json;
use wasmjob::WriteError;
use wasmjob::api::validation::SYSTEM_PRIORITY_CLASSES;

use super::namespaces::settle;
use super::node;
use crate::api::Api;

/// Namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what every cluster has, as far as it is not there.
pub(crate) async fn bootstrap(api: &Arc<Api>) -> Result<(), WriteError> {
    for name in NAMESPACES {
        settle(api, name).await?;
    }
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": api.address.ip().to_string(),
            "clusterIPs": [api.address.ip().to_string()],
            "ports": [{
                "name": "https",
                "port": api.address.port(),
                "protocol": "TCP",
                "targetPort": api.address.port(),
            }],
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
        },
        "status": { "loadBalancer": {} },
    });
    match api.ensure("services", "default", service).await {
        // A quota must not keep the server from starting.
        Err(WriteError::Forbidden(why)) => {
            tracing::warn!(why, "there is no Service kubernetes");
        }
        ensured => ensured?,
    }
    for (name, value) in SYSTEM_PRIORITY_CLASSES {
        let use_for = match name {
            "system-node-critical" => "that must not be moved from their current node",
            _ => "that must run in the cluster, but can be moved to another node if necessary",
        };
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": { "name": name },
            "value": value,
            "preemptionPolicy": "PreemptLowerPriority",
            "description": format!("Used for system critical pods {use_for}."),
        });
        api.ensure("priorityclasses.scheduling.k8s.io", "", class)
            .await?;
    }
    api.access.bootstrap(api).await?;
    node::settle(api).await
}
