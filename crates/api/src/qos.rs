//! The quality-of-service class of a pod (`status.qosClass`).

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::Quantity;

/// `Guaranteed`, `Burstable` or `BestEffort`, by the CPU and memory that `spec` asks for.
#[must_use]
pub fn class(spec: &PodSpec) -> &'static str {
    let containers = || {
        spec.init_containers
            .iter()
            .flatten()
            .chain(&spec.containers)
    };
    let asks = |container: &Container| {
        ["cpu", "memory"].into_iter().any(|resource| {
            amount(container, resource, false).is_some()
                || amount(container, resource, true).is_some()
        })
    };
    if !containers().any(asks) {
        return "BestEffort";
    }
    let is_guaranteed = containers().all(|container| {
        ["cpu", "memory"].into_iter().all(|resource| {
            let limit = amount(container, resource, true);
            let request = amount(container, resource, false).or(limit);
            limit.is_some() && limit == request
        })
    });
    if is_guaranteed {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn amount(container: &Container, resource: &str, is_limit: bool) -> Option<Quantity> {
    let resources = container.resources.as_ref()?;
    let list = if is_limit {
        &resources.limits
    } else {
        &resources.requests
    };
    let quantity: Quantity = list.as_ref()?.get(resource)?.0.parse().ok()?;
    (!quantity.is_zero()).then_some(quantity)
}
