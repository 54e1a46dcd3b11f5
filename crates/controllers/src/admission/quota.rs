//! ResourceQuotas (`plugin/resourcequota/controller.go`).

use std::cmp::Ordering;

use k8s_openapi::api::core::v1::ResourceQuota;
use wasmjob_api::{Amount, Quantity};

use super::PodClaim;
use super::amounts::{self, Amounts};
use super::scope::Scope;

/// A ResourceQuota, and what is used of it.
#[derive(Clone, Debug)]
pub struct Quota {
    name: String,
    hard: Amounts,
    scopes: Vec<Scope>,
    used: Amounts,
}

impl Quota {
    /// Reads a quota, of which nothing is used.
    #[must_use]
    pub fn read(object: &ResourceQuota) -> Self {
        let spec = object.spec.as_ref();
        let hard = amounts::read(spec.and_then(|spec| spec.hard.as_ref()));
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            used: hard
                .keys()
                .map(|name| (name.clone(), Amount::default()))
                .collect(),
            hard,
            scopes: spec.map(Scope::all).unwrap_or_default(),
        }
    }

    /// What may be used.
    #[must_use]
    pub const fn hard(&self) -> &Amounts {
        &self.hard
    }

    /// What is used of it, of each thing that it counts.
    #[must_use]
    pub const fn used(&self) -> &Amounts {
        &self.used
    }

    /// Whether it is about such pods.
    fn takes(&self, pod: &PodClaim) -> bool {
        self.scopes.iter().all(|scope| scope.takes(&pod.facts))
    }

    /// Whether there is room for one more pod.
    ///
    /// # Errors
    ///
    /// What is lacking, or what the pod does not say.
    pub fn check_pod(&self, pod: &PodClaim) -> Result<(), String> {
        if !self.takes(pod) {
            return Ok(());
        }
        let counts = |name: &str| self.hard.contains_key(name);
        pod.check_asks(counts)
            .map_err(|text| format!("failed quota: {}: {text}", self.name))?;
        self.check(&pod.live)
    }

    /// How many such pods there is room for.
    #[must_use]
    pub fn room(&self, pod: &PodClaim) -> u32 {
        if !self.takes(pod) {
            return u32::MAX;
        }
        if self.check_pod(pod).is_err() {
            return 0;
        }
        let parts = self.counted(&pod.live);
        parts
            .map(|(name, part)| {
                let free = self.hard[name].quantity.minus(self.used_of(name).quantity);
                free.holds(part.quantity)
            })
            .min()
            .unwrap_or(u32::MAX)
    }

    /// Whether such a pod could come in if nothing else were used.
    #[must_use]
    pub fn may_hold(&self, pod: &PodClaim) -> bool {
        if !self.takes(pod) {
            return true;
        }
        let counts = |name: &str| self.hard.contains_key(name);
        let mut parts = self.counted(&pod.live);
        pod.check_asks(counts).is_ok()
            && parts.all(|(name, part)| part.quantity <= self.hard[name].quantity)
    }

    /// Whether there is room for an object other than a pod, which takes `usage` more.
    ///
    /// # Errors
    ///
    /// What is lacking.
    pub fn check_object(&self, usage: &Amounts) -> Result<(), String> {
        match self.scopes.is_empty() {
            true => self.check(usage),
            false => Ok(()),
        }
    }

    fn check(&self, usage: &Amounts) -> Result<(), String> {
        let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (name, amount) in self.counted(usage) {
            let (before, hard) = (self.used_of(name), self.hard[name]);
            if before.plus(*amount).quantity > hard.quantity {
                requested.push(format!("{name}={amount}"));
                used.push(format!("{name}={before}"));
                limited.push(format!("{name}={hard}"));
            }
        }
        if requested.is_empty() {
            return Ok(());
        }
        Err(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            self.name,
            requested.join(","),
            used.join(","),
            limited.join(",")
        ))
    }

    /// What of `usage` it counts. What takes nothing is never too much.
    fn counted<'a>(&'a self, usage: &'a Amounts) -> impl Iterator<Item = (&'a String, &'a Amount)> {
        let nothing = Quantity::default();
        usage.iter().filter(move |(name, amount)| {
            amount.quantity > nothing && self.hard.contains_key(*name)
        })
    }

    fn used_of(&self, name: &str) -> Amount {
        self.used.get(name).copied().unwrap_or_default()
    }

    /// A pod has become `new` that was `old`; nothing stands for one that is not there.
    /// Whether that changes what is used, and whether it leaves more room.
    pub fn pod_changed(&mut self, pod: &PodClaim, old: Option<bool>, new: Option<bool>) -> Charged {
        if !self.takes(pod) {
            return Charged::Same;
        }
        let usage = |is_live: Option<bool>| match is_live {
            None => None,
            Some(true) => Some(&pod.live),
            Some(false) => Some(&pod.ended),
        };
        self.charge(usage(old), usage(new))
    }

    /// An object other than a pod that took `old` takes `new`.
    pub fn object_changed(&mut self, old: Option<&Amounts>, new: Option<&Amounts>) -> Charged {
        match self.scopes.is_empty() {
            true => self.charge(old, new),
            false => Charged::Same,
        }
    }

    fn charge(&mut self, old: Option<&Amounts>, new: Option<&Amounts>) -> Charged {
        let nothing = Amounts::new();
        let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
        let mut charged = Charged::Same;
        let more = new.keys().filter(|name| !old.contains_key(*name));
        for name in old.keys().chain(more) {
            let Some(used) = self.used.get_mut(name) else {
                continue;
            };
            let of = |usage: &Amounts| usage.get(name).copied().unwrap_or_default();
            let before = used.quantity;
            *used = used.plus(of(new)).minus(of(old));
            match used.quantity.cmp(&before) {
                Ordering::Less => charged = Charged::Less,
                Ordering::Greater if charged == Charged::Same => charged = Charged::More,
                _ => {}
            }
        }
        charged
    }
}

/// What became of what is used of a quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charged {
    /// Nothing.
    Same,
    /// Of nothing less is used, and of something more.
    More,
    /// Of something less is used.
    Less,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(spec: &str) -> Quota {
        let json = format!(r#"{{"metadata":{{"name":"q"}},"spec":{spec}}}"#);
        Quota::read(&serde_json::from_str(&json).unwrap())
    }

    fn pod(json: &str) -> PodClaim {
        let mut spec = serde_json::from_str(json).unwrap();
        wasmjob_api::defaults::requests_from_limits(&mut spec);
        PodClaim::of(&spec)
    }

    fn used(quota: &Quota) -> String {
        let used = quota.used().iter();
        let texts: Vec<_> = used.map(|(name, it)| format!("{name}={it}")).collect();
        texts.join(",")
    }

    const PLAIN: &str = r#"{"containers":[{"name":"c"}]}"#;
    const ASKS: &str = r#"{"containers":[{"name":"c","resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"500m"}}}]}"#;

    #[test]
    fn a_quota_is_used_up_and_freed() {
        let mut quota = quota(
            r#"{"hard":{"pods":"2","requests.cpu":"1","limits.memory":"1Gi","count/pods":"3"}}"#,
        );
        let pod = pod(ASKS);
        assert_eq!(quota.room(&pod), 2);
        assert_eq!(quota.pod_changed(&pod, None, Some(true)), Charged::More);
        assert_eq!(quota.pod_changed(&pod, None, Some(true)), Charged::More);
        assert_eq!(
            used(&quota),
            "count/pods=2,limits.memory=512Mi,pods=2,requests.cpu=1"
        );
        assert_eq!(quota.room(&pod), 0);
        assert_eq!(
            quota.check_pod(&pod).unwrap_err(),
            "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1"
        );
        // If the others go, there is room again.
        assert!(quota.may_hold(&pod));
        // One has ended: it is there still.
        assert_eq!(
            quota.pod_changed(&pod, Some(true), Some(false)),
            Charged::Less
        );
        assert_eq!(
            used(&quota),
            "count/pods=2,limits.memory=256Mi,pods=1,requests.cpu=500m"
        );
        assert_eq!(quota.room(&pod), 1);
        assert_eq!(quota.pod_changed(&pod, Some(false), None), Charged::Less);
        assert_eq!(
            used(&quota),
            "count/pods=1,limits.memory=256Mi,pods=1,requests.cpu=500m"
        );
    }

    #[test]
    fn containers_must_ask_for_what_is_counted() {
        let strict = quota(r#"{"hard":{"requests.cpu":"1","memory":"1Gi","limits.memory":"1Gi"}}"#);
        let two = pod(
            r#"{"containers":[{"name":"b"},{"name":"a","resources":{"requests":{"cpu":"1"}}}]}"#,
        );
        assert_eq!(
            strict.check_pod(&two).unwrap_err(),
            "failed quota: q: must specify limits.memory for: a,b; memory for: a,b; requests.cpu for: b"
        );
        assert_eq!(strict.room(&two), 0);
        assert!(!strict.may_hold(&two));
        let large = r#"{"containers":[{"name":"c","resources":{"limits":{"memory":"2Gi"},"requests":{"cpu":"1"}}}]}"#;
        assert!(!strict.may_hold(&pod(large)));
        assert!(strict.may_hold(&pod(&large.replace("2Gi", "1Gi"))));
        // Not of storage, as in Kubernetes.
        let storage = quota(r#"{"hard":{"requests.ephemeral-storage":"1Gi"}}"#);
        assert!(storage.check_pod(&two).is_ok());
        assert_eq!(storage.room(&two), u32::MAX);
    }

    #[test]
    fn scopes_say_which_pods_it_is_about() {
        let check = |spec: &str, json: &str, wanted: bool| {
            let spec = format!(r#"{{"hard":{{"pods":"0"}},{spec}}}"#);
            let is_about = quota(&spec).room(&pod(json)) == 0;
            assert_eq!(is_about, wanted, "{spec} {json}");
        };
        let ends = r#"{"activeDeadlineSeconds":5,"containers":[]}"#;
        let high = r#"{"priorityClassName":"high","containers":[]}"#;
        check(r#""scopes":["BestEffort"]"#, PLAIN, true);
        check(r#""scopes":["BestEffort"]"#, ASKS, false);
        check(r#""scopes":["NotBestEffort"]"#, ASKS, true);
        check(r#""scopes":["Terminating"]"#, ends, true);
        check(r#""scopes":["Terminating"]"#, PLAIN, false);
        check(r#""scopes":["NotTerminating","BestEffort"]"#, PLAIN, true);
        let by_class = |operator: &str, values: &str| {
            format!(
                r#""scopeSelector":{{"matchExpressions":[{{"scopeName":"PriorityClass","operator":"{operator}","values":[{values}]}}]}}"#
            )
        };
        check(&by_class("In", r#""high""#), high, true);
        check(&by_class("In", r#""low""#), high, false);
        check(&by_class("NotIn", r#""low""#), high, true);
        check(&by_class("NotIn", r#""low""#), PLAIN, true);
        check(&by_class("Exists", ""), high, true);
        check(&by_class("Exists", ""), PLAIN, false);
        check(&by_class("DoesNotExist", ""), PLAIN, true);
    }

    #[test]
    fn objects_are_counted_but_not_where_scopes_are() {
        let mut maps = quota(r#"{"hard":{"configmaps":"1","count/jobs.batch":"0"}}"#);
        let usage = super::super::count_usage("configmaps");
        assert!(maps.check_object(&usage).is_ok());
        maps.object_changed(None, Some(&usage));
        assert_eq!(
            maps.check_object(&usage).unwrap_err(),
            "exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1"
        );
        assert_eq!(
            maps.check_object(&super::super::count_usage("jobs.batch"))
                .unwrap_err(),
            "exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0"
        );
        assert!(
            maps.check_object(&super::super::count_usage("events"))
                .is_ok()
        );
        let scoped = quota(r#"{"hard":{"pods":"0"},"scopes":["BestEffort"]}"#);
        assert!(scoped.check_object(&usage).is_ok());
    }
}
