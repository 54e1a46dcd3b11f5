//! LimitRanges (`plugin/pkg/admission/limitranger`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use wasmjob_api::{Amount, defaults};

use super::amounts::{self, Amounts};

/// A LimitRange, read.
#[derive(Clone, Debug)]
pub struct LimitRange {
    limits: Vec<Limit>,
}

#[derive(Clone, Debug)]
struct Limit {
    of: Of,
    min: Amounts,
    max: Amounts,
    ratio: Amounts,
    /// As they are written, for they become part of pods.
    default: BTreeMap<String, Text>,
    default_request: BTreeMap<String, Text>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Container,
    Pod,
    Claim,
    /// Of a type that nothing here has.
    Other,
}

impl Of {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::Pod => "Pod",
            Self::Claim => "PersistentVolumeClaim",
            Self::Other => "",
        }
    }
}

impl LimitRange {
    /// Reads a LimitRange, with the defaults that follow from it.
    #[must_use]
    pub fn read(mut object: core::LimitRange) -> Self {
        defaults::limit_range(&mut object);
        let limits = object.spec.map(|spec| spec.limits).unwrap_or_default();
        let read = |item: core::LimitRangeItem| Limit {
            of: match item.type_.as_str() {
                "Container" => Of::Container,
                "Pod" => Of::Pod,
                "PersistentVolumeClaim" => Of::Claim,
                _ => Of::Other,
            },
            min: amounts::read(item.min.as_ref()),
            max: amounts::read(item.max.as_ref()),
            ratio: amounts::read(item.max_limit_request_ratio.as_ref()),
            default: item.default.unwrap_or_default(),
            default_request: item.default_request.unwrap_or_default(),
        };
        Self {
            limits: limits.into_iter().map(read).collect(),
        }
    }

    /// Gives containers what they do not say themselves. What was set is told, as the
    /// annotation `kubernetes.io/limit-ranger` tells it.
    #[must_use]
    pub fn fill(&self, spec: &mut PodSpec) -> Vec<String> {
        let mut told = Vec::new();
        // All items of a type count as one, of which the last wins.
        let (mut limits, mut requests) = (BTreeMap::new(), BTreeMap::new());
        for limit in self.limits.iter().filter(|it| it.of == Of::Container) {
            limits.extend(limit.default.iter());
            requests.extend(limit.default_request.iter());
        }
        let mut fill = |container: &mut Container, what: &str| {
            let resources = container.resources.get_or_insert_default();
            let mut set = |list: &mut Option<BTreeMap<String, Text>>,
                           from: &BTreeMap<&String, &Text>,
                           word| {
                let mut names = Vec::new();
                for (name, amount) in from {
                    let list = list.get_or_insert_default();
                    if !list.contains_key(*name) {
                        list.insert((*name).clone(), (*amount).clone());
                        names.push(name.as_str());
                    }
                }
                if !names.is_empty() {
                    let names = names.join(", ");
                    told.push(format!("{names} {word} for {what} {}", container.name));
                }
            };
            set(&mut resources.requests, &requests, "request");
            set(&mut resources.limits, &limits, "limit");
        };
        let containers = spec.containers.iter_mut();
        containers.for_each(|container| fill(container, "container"));
        let init = spec.init_containers.iter_mut().flatten();
        init.for_each(|container| fill(container, "init container"));
        told
    }

    /// Whether a pod stays within the limits.
    ///
    /// # Errors
    ///
    /// All that it does not stay within.
    pub fn check_pod(&self, spec: &PodSpec) -> Result<(), String> {
        let mut errors = Vec::new();
        for limit in &self.limits {
            match limit.of {
                Of::Container => {
                    let init = spec.init_containers.iter().flatten();
                    for container in spec.containers.iter().chain(init) {
                        let requests = amounts::requests(container);
                        limit.check(&requests, &amounts::limits(container), &mut errors);
                    }
                }
                Of::Pod => {
                    let requests = amounts::of_pod(spec, amounts::requests);
                    let limits = amounts::of_pod(spec, amounts::limits);
                    limit.check(&requests, &limits, &mut errors);
                }
                Of::Claim | Of::Other => {}
            }
        }
        aggregate(errors)
    }

    /// Whether a claim stays within the limits.
    ///
    /// # Errors
    ///
    /// All that it does not stay within.
    pub fn check_claim(&self, claim: &core::PersistentVolumeClaim) -> Result<(), String> {
        let spec = claim.spec.as_ref();
        let resources = spec.and_then(|spec| spec.resources.as_ref());
        let requests = amounts::read(resources.and_then(|it| it.requests.as_ref()));
        let mut errors = Vec::new();
        for limit in self.limits.iter().filter(|it| it.of == Of::Claim) {
            for (name, min) in &limit.min {
                errors.extend(limit.min(name, *min, &requests, &Amounts::new()));
            }
            for (name, max) in &limit.max {
                let head = format!("maximum {name} usage per {} is {max}", limit.of.as_str());
                errors.extend(match requests.get(name) {
                    None => Some(format!("{head}.  No request is specified")),
                    Some(it) if it.quantity > max.quantity => {
                        Some(format!("{head}, but request is {it}"))
                    }
                    Some(_) => None,
                });
            }
        }
        aggregate(errors)
    }
}

impl Limit {
    fn check(&self, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
        for (name, min) in &self.min {
            errors.extend(self.min(name, *min, requests, limits));
        }
        for (name, max) in &self.max {
            errors.extend(self.max(name, *max, requests, limits));
        }
        for (name, ratio) in &self.ratio {
            errors.extend(self.ratio(name, *ratio, requests, limits));
        }
    }

    fn min(&self, name: &str, min: Amount, requests: &Amounts, limits: &Amounts) -> Option<String> {
        let head = format!("minimum {name} usage per {} is {min}", self.of.as_str());
        let below = |list: &Amounts, word| {
            let it = list.get(name).filter(|it| it.quantity < min.quantity)?;
            Some(format!("{head}, but {word} is {it}"))
        };
        if !requests.contains_key(name) {
            return Some(format!("{head}.  No request is specified"));
        }
        below(requests, "request").or_else(|| below(limits, "limit"))
    }

    fn max(&self, name: &str, max: Amount, requests: &Amounts, limits: &Amounts) -> Option<String> {
        let head = format!("maximum {name} usage per {} is {max}", self.of.as_str());
        let above = |list: &Amounts, word| {
            let it = list.get(name).filter(|it| it.quantity > max.quantity)?;
            Some(format!("{head}, but {word} is {it}"))
        };
        if !limits.contains_key(name) {
            return Some(format!("{head}.  No limit is specified"));
        }
        above(limits, "limit").or_else(|| above(requests, "request"))
    }

    fn ratio(
        &self,
        name: &str,
        most: Amount,
        requests: &Amounts,
        limits: &Amounts,
    ) -> Option<String> {
        let of = self.of.as_str();
        let head = format!("{name} max limit to request ratio per {of} is {most}");
        let some = |list: &Amounts| {
            let amount = list.get(name).filter(|it| !it.quantity.is_zero());
            amount.map(|it| it.quantity)
        };
        let Some(request) = some(requests) else {
            return Some(format!(
                "{head}, but no request is specified or request is 0"
            ));
        };
        let Some(limit) = some(limits) else {
            return Some(format!("{head}, but no limit is specified or limit is 0"));
        };
        let is_over = limit.exceeds_ratio(request, most.quantity);
        is_over.then(|| format!("{head}, but provided ratio is {:.6}", limit.ratio(request)))
    }
}

/// Errors as Kubernetes joins them; what is said twice is said once.
fn aggregate(errors: Vec<String>) -> Result<(), String> {
    let mut texts: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        if !texts.contains(&error) {
            texts.push(error);
        }
    }
    match texts.as_slice() {
        [] => Ok(()),
        [_] => Err(texts.remove(0)),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(items: &str) -> LimitRange {
        let json = format!(r#"{{"metadata":{{}},"spec":{{"limits":[{items}]}}}}"#);
        LimitRange::read(serde_json::from_str(&json).unwrap())
    }

    fn pod(containers: &str) -> PodSpec {
        let mut spec =
            serde_json::from_str(&format!(r#"{{"containers":[{containers}]}}"#)).unwrap();
        defaults::requests_from_limits(&mut spec);
        spec
    }

    fn said(items: &str, containers: &str) -> String {
        limits(items)
            .check_pod(&pod(containers))
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn containers_get_what_they_do_not_say() {
        let range = limits(
            r#"{"type":"Container","default":{"memory":"128Mi"},"defaultRequest":{"cpu":"100m"},"max":{"cpu":"2"},"min":{"ephemeral-storage":"1Mi"}}"#,
        );
        let mut spec = pod(
            r#"{"name":"a"},{"name":"b","resources":{"limits":{"memory":"64Mi","cpu":"1"},"requests":{"cpu":"10m","ephemeral-storage":"2Mi"}}}"#,
        );
        let told = range.fill(&mut spec);
        assert_eq!(
            told,
            [
                "cpu, ephemeral-storage, memory request for container a",
                "cpu, memory limit for container a",
            ]
        );
        let shown = serde_json::to_string(&spec.containers[0].resources).unwrap();
        assert_eq!(
            shown,
            r#"{"limits":{"cpu":"2","memory":"128Mi"},"requests":{"cpu":"100m","ephemeral-storage":"1Mi","memory":"128Mi"}}"#
        );
        let shown = serde_json::to_string(&spec.containers[1].resources).unwrap();
        assert_eq!(
            shown,
            r#"{"limits":{"cpu":"1","memory":"64Mi"},"requests":{"cpu":"10m","ephemeral-storage":"2Mi","memory":"64Mi"}}"#
        );
        assert!(range.fill(&mut spec).is_empty());
    }

    #[test]
    fn what_is_beyond_the_limits_is_said_in_kubernetes_words() {
        let max = r#"{"type":"Container","max":{"memory":"1Gi"}}"#;
        let asks = |more: &str| format!(r#"{{"name":"c","resources":{{{more}}}}}"#);
        assert_eq!(
            said(max, &asks(r#""limits":{"memory":"2Gi"}"#)),
            "maximum memory usage per Container is 1Gi, but limit is 2Gi"
        );
        assert_eq!(
            said(max, &asks("")),
            "maximum memory usage per Container is 1Gi.  No limit is specified"
        );
        assert_eq!(said(max, &asks(r#""limits":{"memory":"1024Mi"}"#)), "");
        let min = r#"{"type":"Container","min":{"memory":"64Mi","cpu":"100m"}}"#;
        assert_eq!(
            said(min, &asks(r#""requests":{"memory":"1Mi"}"#)),
            "[minimum cpu usage per Container is 100m.  No request is specified, minimum memory usage per Container is 64Mi, but request is 1Mi]"
        );
        let ratio = r#"{"type":"Container","maxLimitRequestRatio":{"memory":"2"}}"#;
        assert_eq!(
            said(
                ratio,
                &asks(r#""limits":{"memory":"300Mi"},"requests":{"memory":"100Mi"}"#)
            ),
            "memory max limit to request ratio per Container is 2, but provided ratio is 3.000000"
        );
        assert_eq!(
            said(ratio, &asks("")),
            "memory max limit to request ratio per Container is 2, but no request is specified or request is 0"
        );
        assert_eq!(said(ratio, &asks(r#""limits":{"memory":"1Mi"}"#)), "");
    }

    #[test]
    fn a_pod_counts_with_all_its_containers() {
        let pod_max = r#"{"type":"Pod","max":{"memory":"100Mi"}}"#;
        let one = r#"{"name":"a","resources":{"limits":{"memory":"60Mi"}}}"#;
        assert_eq!(said(pod_max, one), "");
        assert_eq!(
            said(pod_max, &format!("{one},{one}")),
            "maximum memory usage per Pod is 100Mi, but limit is 120Mi"
        );
    }

    #[test]
    fn claims_are_held_against_theirs() {
        let range = limits(
            r#"{"type":"PersistentVolumeClaim","min":{"storage":"1Gi"},"max":{"storage":"2Gi"}}"#,
        );
        let of = |storage: &str| {
            let json = format!(
                r#"{{"metadata":{{}},"spec":{{"resources":{{"requests":{{"storage":"{storage}"}}}}}}}}"#
            );
            let claim = serde_json::from_str(&json).unwrap();
            range.check_claim(&claim).err().unwrap_or_default()
        };
        assert_eq!(of("1Gi"), "");
        assert_eq!(
            of("3Gi"),
            "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"
        );
        assert_eq!(
            of("1Mi"),
            "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"
        );
    }
}
