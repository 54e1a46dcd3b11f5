//! What decides about newcomers: LimitRanges, ResourceQuotas, PriorityClasses and service
//! accounts, read once per change; and what is used of quotas.
//!
//! What is used changes with the objects that use it, in the same turn and so in the same
//! commit: two pods never get the last place of a quota. Where a namespace has no quota,
//! nothing is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use serde_json::{Value as Json, json};
use wasmjob_api::k8s_openapi::api::core::v1 as core;
use wasmjob_api::k8s_openapi::api::scheduling::v1 as scheduling;
use wasmjob_api::{Pod, PodTemplate, Uid, defaults};
use wasmjob_controllers::admission::{
    Account, Amounts, Charged, LimitRange, PodClaim, Priorities, PriorityClass, Quota, claim_usage,
    count_usage, service_usage,
};
use wasmjob_store::{GenericObject, Object};

use super::Core;
use super::commands::Names;
use super::lines::Lines;
use super::turn::Turn;
use crate::objects::ACCOUNTS;

const LIMIT_RANGES: &str = "limitranges";
pub(super) const QUOTAS: &str = "resourcequotas";
const PRIORITY_CLASSES: &str = "priorityclasses.scheduling.k8s.io";
pub(super) const CLAIMS: &str = "persistentvolumeclaims";
const SERVICES: &str = "services";

/// What decides about newcomers.
#[derive(Default)]
pub(super) struct Policies {
    pub(super) priorities: Priorities,
    namespaces: HashMap<Arc<str>, Namespace>,
    /// The service accounts from which pods get something.
    accounts: HashMap<Names, Account>,
    /// Counts the changes of all of it: what was decided before is decided anew.
    pub(super) version: u64,
    /// Who waits for room.
    pub(super) lines: Lines,
    /// All objects are known, so that they can be counted.
    counts: bool,
}

/// What holds in one namespace.
#[derive(Default)]
pub(super) struct Namespace {
    pub(super) limit_ranges: BTreeMap<Arc<str>, LimitRange>,
    pub(super) quotas: BTreeMap<Arc<str>, Quota>,
    /// Pods, each with what it takes, and whether it has not ended. Only with quotas.
    pods: HashMap<Uid, (Arc<PodClaim>, bool)>,
    /// What other objects take. Only with quotas.
    objects: HashMap<Uid, Arc<Amounts>>,
    /// What is used may not be what the quotas say.
    is_dirty: bool,
}

impl Policies {
    pub(super) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// What pods of that account get, if they get anything.
    pub(super) fn account(&self, namespace: &Arc<str>, name: &str) -> Option<&Account> {
        if self.accounts.is_empty() {
            return None;
        }
        self.accounts.get(&(Arc::clone(namespace), name.into()))
    }

    /// The quotas of a namespace, if it has any.
    pub(super) fn quotas(&self, namespace: &str) -> Option<&Namespace> {
        let namespace = self.namespaces.get(namespace)?;
        (!namespace.quotas.is_empty()).then_some(namespace)
    }

    fn counting(&mut self, namespace: &str) -> Option<&mut Namespace> {
        if self.namespaces.is_empty() || !self.counts {
            return None;
        }
        let namespace = self.namespaces.get_mut(namespace)?;
        (!namespace.quotas.is_empty()).then_some(namespace)
    }

    /// A pod is there as `now`, or gone.
    pub(super) fn charge_pod(
        &mut self,
        namespace: &Arc<str>,
        uid: Uid,
        now: Option<(Arc<PodClaim>, bool)>,
    ) {
        let Some(own) = self.counting(namespace) else {
            return;
        };
        let old = match &now {
            Some(now) => own.pods.insert(uid, now.clone()),
            None => own.pods.remove(&uid),
        };
        let Some((claim, _)) = now.as_ref().or(old.as_ref()) else {
            return;
        };
        let is_live = |of: &Option<(Arc<PodClaim>, bool)>| of.as_ref().map(|it| it.1);
        let (old, new) = (is_live(&old), is_live(&now));
        if old == new {
            return;
        }
        let quotas = own.quotas.values_mut();
        let charged: Vec<_> = quotas
            .map(|quota| quota.pod_changed(claim, old, new))
            .collect();
        self.note(namespace, &charged);
    }

    /// A pod that is counted has ended.
    pub(super) fn pod_ended(&mut self, pod: &Pod) {
        let claim = self
            .counting(&pod.namespace)
            .and_then(|own| Some(Arc::clone(&own.pods.get(&pod.uid)?.0)));
        if let Some(claim) = claim {
            self.charge_pod(&pod.namespace, pod.uid, Some((claim, false)));
        }
    }

    /// An object other than a pod takes that, or is gone.
    pub(super) fn charge_object(
        &mut self,
        namespace: &Arc<str>,
        uid: Uid,
        usage: impl FnOnce() -> Option<Amounts>,
    ) {
        let Some(own) = self.counting(namespace) else {
            return;
        };
        let new = usage().map(Arc::new);
        let old = match &new {
            Some(new) => own.objects.insert(uid, Arc::clone(new)),
            None => own.objects.remove(&uid),
        };
        let quotas = own.quotas.values_mut();
        let charged: Vec<_> = quotas
            .map(|quota| quota.object_changed(old.as_deref(), new.as_deref()))
            .collect();
        self.note(namespace, &charged);
    }

    fn note(&mut self, namespace: &Arc<str>, charged: &[Charged]) {
        if charged.iter().all(|charged| *charged == Charged::Same) {
            return;
        }
        if charged.contains(&Charged::Less) {
            self.lines.free(namespace);
        }
        if let Some(own) = self.namespaces.get_mut(namespace) {
            own.is_dirty = true;
        }
    }

    /// What was decided about newcomers may be otherwise now.
    fn changed(&mut self, namespace: Option<&Arc<str>>) {
        self.version += 1;
        match namespace {
            Some(namespace) => self.lines.decide_anew(namespace),
            None => self.lines.decide_all_anew(),
        }
    }
}

impl Namespace {
    /// Counts what a quota is about that is new, or another one.
    fn count(&self, quota: &mut Quota) {
        for (claim, is_live) in self.pods.values() {
            quota.pod_changed(claim, None, Some(*is_live));
        }
        for usage in self.objects.values() {
            quota.object_changed(None, Some(usage));
        }
    }
}

/// What a pod of that spec takes.
pub(super) fn pod_claim(spec: &core::PodSpec) -> Arc<PodClaim> {
    let mut spec = spec.clone();
    defaults::requests_from_limits(&mut spec);
    Arc::new(PodClaim::of(&spec))
}

/// What a generic object takes.
pub(super) fn usage_of(object: &GenericObject) -> Amounts {
    let by_name = || count_usage(&object.resource);
    match &*object.resource {
        CLAIMS => read(object).map_or_else(by_name, |claim| claim_usage(&claim)),
        SERVICES => read(object).map_or_else(by_name, |service| service_usage(&service)),
        _ => by_name(),
    }
}

/// The object as Kubernetes' type. What cannot be read was stored before it was looked
/// at, and decides nothing.
pub(super) fn read<T: serde::de::DeserializeOwned>(object: &GenericObject) -> Option<T> {
    let read = serde_json::from_slice(&object.json);
    read.map_err(|error| {
        tracing::error!(
            resource = %object.resource,
            namespace = %object.namespace,
            name = %object.name,
            %error,
            "an object in the store is not understood"
        );
    })
    .ok()
}

impl Core {
    /// Takes up an object that is new or another one, if it decides about newcomers.
    pub(super) fn know_policy(&mut self, object: &GenericObject) {
        let names = (Arc::clone(&object.namespace), Arc::clone(&object.name));
        match &*object.resource {
            LIMIT_RANGES => {
                let Some(limit_range) = read(object).map(LimitRange::read) else {
                    return self.forget_policy(object);
                };
                let own = self.policies.namespaces.entry(names.0).or_default();
                own.limit_ranges.insert(names.1, limit_range);
            }
            QUOTAS => {
                let Some(mut quota) = read(object).map(|it| Quota::read(&it)) else {
                    return self.forget_policy(object);
                };
                if self.policies.counts && self.policies.quotas(&names.0).is_none() {
                    self.count_objects(&names.0);
                }
                let own = self.policies.namespaces.entry(names.0).or_default();
                own.count(&mut quota);
                own.quotas.insert(names.1, quota);
                own.is_dirty = true;
            }
            PRIORITY_CLASSES => {
                let Some(class) = read::<scheduling::PriorityClass>(object) else {
                    return self.forget_policy(object);
                };
                let class = PriorityClass::read(&class);
                self.policies.priorities.insert(&names.1, class);
                return self.policies.changed(None);
            }
            ACCOUNTS => {
                let account = read(object).map(|it| Account::read(&it));
                let account = account.filter(Account::gives);
                let known = &mut self.policies.accounts;
                if account.as_ref() == known.get(&names) && account.is_some() {
                    // It is called otherwise, and gives the same.
                    return;
                }
                match account {
                    Some(account) => {
                        known.insert(names, account);
                    }
                    None => {
                        known.remove(&names);
                    }
                }
            }
            _ => return,
        }
        self.policies.changed(Some(&object.namespace));
    }

    /// An object is gone.
    pub(super) fn forget_policy(&mut self, object: &GenericObject) {
        let policies = &mut self.policies;
        match &*object.resource {
            LIMIT_RANGES => {
                if let Some(own) = policies.namespaces.get_mut(&object.namespace) {
                    own.limit_ranges.remove(&object.name);
                }
            }
            QUOTAS => {
                if let Some(own) = policies.namespaces.get_mut(&object.namespace) {
                    own.quotas.remove(&object.name);
                    if own.quotas.is_empty() {
                        (own.pods, own.objects) = (HashMap::default(), HashMap::default());
                    }
                }
            }
            PRIORITY_CLASSES => {
                policies.priorities.remove(&object.name);
                return policies.changed(None);
            }
            ACCOUNTS => {
                let names = (Arc::clone(&object.namespace), Arc::clone(&object.name));
                policies.accounts.remove(&names);
            }
            _ => return,
        }
        let is_empty = |own: &Namespace| own.limit_ranges.is_empty() && own.quotas.is_empty();
        if policies
            .namespaces
            .get(&object.namespace)
            .is_some_and(is_empty)
        {
            policies.namespaces.remove(&object.namespace);
        }
        policies.changed(Some(&object.namespace));
    }

    /// Everything is known that the store holds: it is counted from now on.
    pub(super) fn begin_counting(&mut self) {
        self.policies.counts = true;
        let namespaces: Vec<_> = self.policies.namespaces.keys().cloned().collect();
        for namespace in namespaces {
            if self.policies.quotas(&namespace).is_none() {
                continue;
            }
            self.count_objects(&namespace);
            if let Some(own) = self.policies.namespaces.get_mut(&namespace) {
                let mut quotas = std::mem::take(&mut own.quotas);
                quotas.values_mut().for_each(|quota| own.count(quota));
                own.quotas = quotas;
                own.is_dirty = true;
            }
        }
    }

    /// Looks at all objects of a namespace that has its first quota.
    fn count_objects(&mut self, namespace: &Arc<str>) {
        let mut pods = HashMap::default();
        let mut claims: HashMap<usize, Arc<PodClaim>> = HashMap::default();
        let mut objects = HashMap::default();
        let mut add = |pod: &Arc<Pod>| {
            let address = Arc::as_ptr(&pod.template).addr();
            let claim = claims
                .entry(address)
                .or_insert_with(|| pod_claim(&pod.template.spec));
            let is_live = !pod.status.phase.is_terminal();
            pods.insert(pod.uid, (Arc::clone(claim), is_live));
        };
        let jobs = Arc::new(count_usage("jobs.batch"));
        let own = self.jobs.values();
        for entry in own.filter(|entry| entry.job.namespace == *namespace) {
            objects.insert(entry.job.uid, Arc::clone(&jobs));
            entry.pods.iter().for_each(&mut add);
        }
        let loose = self.loose.values();
        loose
            .filter(|pod| pod.namespace == *namespace)
            .for_each(&mut add);
        let cron_jobs = Arc::new(count_usage("cronjobs.batch"));
        for entry in self.cron_jobs.values() {
            if entry.cron_job.namespace == *namespace {
                objects.insert(entry.cron_job.uid, Arc::clone(&cron_jobs));
            }
        }
        let generic = self.generic.values();
        for object in generic.filter(|object| object.namespace == *namespace) {
            objects.insert(object.uid, Arc::new(usage_of(object)));
        }
        let own = self
            .policies
            .namespaces
            .entry(Arc::clone(namespace))
            .or_default();
        (own.pods, own.objects) = (pods, objects);
    }

    /// Counts a new pod.
    pub(super) fn charge_new_pod(&mut self, pod: &Pod, claim: Option<Arc<PodClaim>>) {
        if self.policies.quotas(&pod.namespace).is_some() {
            let claim = claim.unwrap_or_else(|| pod_claim(&pod.template.spec));
            self.policies
                .charge_pod(&pod.namespace, pod.uid, Some((claim, true)));
        }
    }

    /// Says in the quotas what is used of them, in the turn that has changed it.
    pub(super) fn settle_quotas(&mut self, turn: &mut Turn) {
        if self.policies.namespaces.is_empty() || !self.policies.counts {
            return;
        }
        let mut changed = Vec::new();
        for (namespace, own) in &mut self.policies.namespaces {
            if !std::mem::take(&mut own.is_dirty) {
                continue;
            }
            for (name, quota) in &own.quotas {
                let names = (QUOTAS.into(), Arc::clone(namespace), Arc::clone(name));
                let Some(object) = self.generic.get(&names) else {
                    continue;
                };
                if let Some(json) = with_status(object, quota) {
                    let object = GenericObject {
                        json: json.into(),
                        ..(**object).clone()
                    };
                    changed.push((names, Arc::new(object)));
                }
            }
        }
        for (names, object) in changed {
            turn.transaction.put(Object::Generic(Arc::clone(&object)));
            self.generic.insert(names, object);
        }
    }
}

/// The quota with what is used of it; none if it says so already.
fn with_status(object: &GenericObject, quota: &Quota) -> Option<Vec<u8>> {
    let mut json: Json = serde_json::from_slice(&object.json).ok()?;
    let written = |amounts: &Amounts| -> Json {
        let amounts = amounts.iter();
        let fields = amounts.map(|(name, amount)| (name.clone(), amount.to_string().into()));
        Json::Object(fields.collect())
    };
    let status = match quota.hard().is_empty() {
        true => json!({}),
        false => json!({ "hard": written(quota.hard()), "used": written(quota.used()) }),
    };
    if json["status"] == status {
        return None;
    }
    json["status"] = status;
    // A value always has a form as text.
    Some(serde_json::to_vec(&json).unwrap_or_default())
}

/// The template that pods of `template` have whose spec is `spec`.
pub(super) fn derived(
    template: &PodTemplate,
    spec: core::PodSpec,
    metadata: wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> PodTemplate {
    PodTemplate {
        metadata,
        spec: Arc::new(spec),
        owner: template.owner.clone(),
        base: Arc::clone(&template.base),
    }
}
