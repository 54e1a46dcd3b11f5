//! Lists of resources, and what a pod asks for as a whole.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use wasmjob_api::Amount;

/// How much of what.
pub type Amounts = BTreeMap<String, Amount>;

/// The list as it reads; what is no quantity is left out, which validation refuses.
pub(super) fn read(list: Option<&BTreeMap<String, Text>>) -> Amounts {
    let list = list.into_iter().flatten();
    list.filter_map(|(name, text)| Some((name.clone(), text.0.parse().ok()?)))
        .collect()
}

pub(super) fn requests(container: &Container) -> Amounts {
    read(
        container
            .resources
            .as_ref()
            .and_then(|it| it.requests.as_ref()),
    )
}

pub(super) fn limits(container: &Container) -> Amounts {
    read(
        container
            .resources
            .as_ref()
            .and_then(|it| it.limits.as_ref()),
    )
}

/// What the containers of a pod come to (`PodRequests` and `PodLimits`): the sum of the
/// containers and sidecars, or the largest of the init containers with the sidecars that
/// run beside it, resource by resource.
pub(super) fn of_pod(spec: &PodSpec, of: fn(&Container) -> Amounts) -> Amounts {
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for init in spec.init_containers.iter().flatten() {
        let own = of(init);
        if init.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            let mut together = sidecars.clone();
            add(&mut together, &own);
            raise(&mut peak, &together);
        }
    }
    let mut sum = sidecars;
    spec.containers
        .iter()
        .for_each(|container| add(&mut sum, &of(container)));
    raise(&mut sum, &peak);
    sum
}

pub(super) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_default();
        *entry = entry.plus(*amount);
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = most.entry(name.clone()).or_insert(*amount);
        *entry = entry.max(*amount);
    }
}
