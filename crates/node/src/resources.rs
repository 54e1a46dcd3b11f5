//! Requests, limits and capacity.

use wasmjob_api::Quantity;
use wasmjob_api::k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use wasmjob_api::k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use wasmjob_sandbox::Cpu;

/// The resource that a container's fuel budget is set with.
pub(crate) const FUEL: &str = "wasmjob.dev/fuel";

/// An amount of what the node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_milli: u64,
    /// Bytes of guests' memory.
    pub memory_bytes: u64,
    /// Pods.
    pub pods: u32,
}

impl Resources {
    /// What a pod is admitted with: the sum of its containers' requests and of
    /// its sidecars', or the largest of its init containers (with the sidecars
    /// that run beside it) if that is more. A container that asks for no memory
    /// counts with its limit, so that what may be used never exceeds what there is; one
    /// that has none, with `default_memory_bytes`.
    #[must_use]
    pub fn of_pod(spec: &PodSpec, default_memory_bytes: u64) -> Self {
        let of = |container: &Container| Self::of_container(container, default_memory_bytes);
        let mut sidecars = Self::default();
        let mut init_peak = Self::default();
        for init in spec.init_containers.iter().flatten() {
            let request = of(init);
            if init.restart_policy.as_deref() == Some("Always") {
                sidecars = sidecars.plus(request);
                init_peak = init_peak.max(sidecars);
            } else {
                init_peak = init_peak.max(sidecars.plus(request));
            }
        }
        let containers = spec.containers.iter().map(of).fold(sidecars, Self::plus);
        Self {
            pods: 1,
            ..containers.max(init_peak)
        }
    }

    fn of_container(container: &Container, default_memory_bytes: u64) -> Self {
        let resources = container.resources.as_ref();
        let request = |name| {
            resources.and_then(|r| {
                amount(r.requests.as_ref(), name).or_else(|| amount(r.limits.as_ref(), name))
            })
        };
        Self {
            cpu_milli: request("cpu").map_or(0, |q| q.milli().max(0).unsigned_abs()),
            memory_bytes: request("memory")
                .map_or(default_memory_bytes, |q| q.units().max(0).unsigned_abs()),
            pods: 0,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            pods: self.pods.max(other.pods),
        }
    }

    /// Adds `other`.
    pub(crate) fn add(&mut self, other: Self) {
        *self = self.plus(other);
    }

    /// Takes `other` off.
    pub(crate) fn subtract(&mut self, other: Self) {
        self.cpu_milli = self.cpu_milli.saturating_sub(other.cpu_milli);
        self.memory_bytes = self.memory_bytes.saturating_sub(other.memory_bytes);
        self.pods = self.pods.saturating_sub(other.pods);
    }

    /// What is lacking to add `more` to `self` within `capacity`, in the
    /// scheduler's words.
    pub(crate) fn lacks(self, more: Self, capacity: Self) -> Vec<&'static str> {
        let sum = self.plus(more);
        [
            (
                sum.cpu_milli > capacity.cpu_milli && more.cpu_milli > 0,
                "Insufficient cpu",
            ),
            (
                sum.memory_bytes > capacity.memory_bytes && more.memory_bytes > 0,
                "Insufficient memory",
            ),
            (sum.pods > capacity.pods, "Too many pods"),
        ]
        .into_iter()
        .filter_map(|(lacking, word)| lacking.then_some(word))
        .collect()
    }
}

/// The quantity `name` in a list of resources, if it is there and reads as one.
fn amount(list: Option<&std::collections::BTreeMap<String, Text>>, name: &str) -> Option<Quantity> {
    list?.get(name)?.0.parse().ok()
}

/// A container's limit of `name`, in units.
pub(crate) fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Option<u64> {
    amount(resources?.limits.as_ref(), name).map(|q| q.units().max(0).unsigned_abs())
}

/// A container's share of the processors. As in Kubernetes, who sets only a limit asks
/// for as much.
pub(crate) fn cpu(resources: Option<&ResourceRequirements>) -> Cpu {
    let milli = |list: Option<&_>| {
        let milli = amount(list, "cpu")?.milli().max(0).unsigned_abs();
        Some(u32::try_from(milli).unwrap_or(u32::MAX))
    };
    let limit_milli = milli(resources.and_then(|it| it.limits.as_ref()));
    let request = milli(resources.and_then(|it| it.requests.as_ref()));
    Cpu {
        weight: request.or(limit_milli).unwrap_or(Cpu::default().weight),
        limit_milli,
    }
}

/// The request or limit `limits.cpu`-like selector of a `resourceFieldRef`.
pub(crate) fn selected(
    resources: Option<&ResourceRequirements>,
    selector: &str,
) -> Option<Quantity> {
    let (list, name) = selector.split_once('.')?;
    let resources = resources?;
    match list {
        "limits" => amount(resources.limits.as_ref(), name),
        "requests" => amount(resources.requests.as_ref(), name)
            .or_else(|| amount(resources.limits.as_ref(), name)),
        _ => None,
    }
}
