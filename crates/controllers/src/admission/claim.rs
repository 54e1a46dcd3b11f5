//! What objects take of a quota (`pkg/quota/v1/evaluator/core`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, PodSpec, Service};
use wasmjob_api::{Amount, Quantity};

use super::amounts::{self, Amounts};
use super::scope::Facts;

/// What containers must ask for where a quota counts it.
const ASKED_FOR: [&str; 6] = [
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];

/// What a pod takes of the quotas of its namespace, and what they ask about it. It is
/// that of every pod of its template.
#[derive(Clone, Debug, Default)]
pub struct PodClaim {
    /// Until it has ended.
    pub live: Amounts,
    /// For as long as it is there.
    pub ended: Amounts,
    pub(super) facts: Facts,
    /// By what is not asked for: the containers that do not.
    missing: BTreeMap<&'static str, BTreeSet<String>>,
}

/// What two claims have in common for which quotas have the same room.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Likeness {
    live: Vec<(String, Quantity)>,
    facts: Facts,
}

impl PodClaim {
    /// What it has in common with others.
    #[must_use]
    pub fn likeness(&self) -> Likeness {
        let live = self.live.iter();
        Likeness {
            live: live
                .map(|(name, amount)| (name.clone(), amount.quantity))
                .collect(),
            facts: self.facts.clone(),
        }
    }

    /// Reads the spec of a pod, in which what is limited is asked for.
    #[must_use]
    pub fn of(spec: &PodSpec) -> Self {
        let ended = one("count/pods");
        let mut live = ended.clone();
        live.insert("pods".to_owned(), Amount::of(1));
        let requests = amounts::of_pod(spec, amounts::requests);
        let limits = amounts::of_pod(spec, amounts::limits);
        amounts::add(&mut live, &compute(&requests, &limits));
        let mut missing: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let init = spec.init_containers.iter().flatten();
        for container in spec.containers.iter().chain(init) {
            for name in not_asked_for(container) {
                let names = missing.entry(name).or_default();
                names.insert(container.name.clone());
            }
        }
        Self {
            live,
            ended,
            facts: Facts::of(spec),
            missing,
        }
    }

    /// Whether the containers ask for what a quota counts that is told by `counts`.
    pub(super) fn check_asks(&self, counts: impl Fn(&str) -> bool) -> Result<(), String> {
        let lacking = self.missing.iter().filter(|(name, _)| counts(name));
        let texts: Vec<String> = lacking
            .map(|(name, containers)| {
                let containers: Vec<&str> = containers.iter().map(String::as_str).collect();
                format!("{name} for: {}", containers.join(","))
            })
            .collect();
        match texts.is_empty() {
            true => Ok(()),
            false => Err(format!("must specify {}", texts.join("; "))),
        }
    }
}

fn one(name: &str) -> Amounts {
    Amounts::from([(name.to_owned(), Amount::of(1))])
}

fn not_asked_for(container: &Container) -> impl Iterator<Item = &'static str> {
    let asked = compute(&amounts::requests(container), &amounts::limits(container));
    ASKED_FOR
        .into_iter()
        .filter(move |name| !asked.contains_key(*name))
}

/// `podComputeUsageHelper`
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut usage = Amounts::new();
    for (name, amount) in requests {
        let is_plain = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        if is_plain {
            usage.insert(name.clone(), *amount);
        }
        if is_plain || name.contains('/') {
            usage.insert(format!("requests.{name}"), *amount);
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            usage.insert(format!("limits.{name}"), *amount);
        }
    }
    usage
}

/// What an object takes by being there. `resource` is its plural and group, e.g.
/// `configmaps` or `jobs.batch`.
#[must_use]
pub fn count_usage(resource: &str) -> Amounts {
    const BY_NAME: [&str; 5] = [
        "configmaps",
        "persistentvolumeclaims",
        "resourcequotas",
        "secrets",
        "services",
    ];
    // Nobody could say why a quota is used up by them.
    if resource == "events" || resource == "events.events.k8s.io" {
        return Amounts::new();
    }
    let mut usage = one(&format!("count/{resource}"));
    if BY_NAME.contains(&resource) {
        usage.insert(resource.to_owned(), Amount::of(1));
    }
    usage
}

/// What a claim takes: storage, by its class as well.
#[must_use]
pub fn claim_usage(claim: &PersistentVolumeClaim) -> Amounts {
    let mut usage = count_usage("persistentvolumeclaims");
    let spec = claim.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.as_deref());
    let class = class.filter(|class| !class.is_empty());
    let of_class = |class: &str, name: &str| format!("{class}.storageclass.storage.k8s.io/{name}");
    if let Some(class) = class {
        usage.insert(of_class(class, "persistentvolumeclaims"), Amount::of(1));
    }
    let resources = spec.and_then(|spec| spec.resources.as_ref());
    let requests = amounts::read(resources.and_then(|it| it.requests.as_ref()));
    if let Some(storage) = requests.get("storage") {
        usage.insert("requests.storage".to_owned(), *storage);
        if let Some(class) = class {
            usage.insert(of_class(class, "requests.storage"), *storage);
        }
    }
    usage
}

/// What a Service takes: by its type, load balancers and ports of nodes.
#[must_use]
pub fn service_usage(service: &Service) -> Amounts {
    let mut usage = count_usage("services");
    let Some(spec) = &service.spec else {
        return usage;
    };
    let ports = spec.ports.as_ref().map_or(0, Vec::len);
    let ports = Amount::of(i64::try_from(ports).unwrap_or(i64::MAX));
    match spec.type_.as_deref() {
        Some("NodePort") => {
            usage.insert("services.nodeports".to_owned(), ports);
        }
        Some("LoadBalancer") => {
            usage.insert("services.loadbalancers".to_owned(), Amount::of(1));
            if spec.allocate_load_balancer_node_ports != Some(false) {
                usage.insert("services.nodeports".to_owned(), ports);
            }
        }
        _ => {}
    }
    usage
}
