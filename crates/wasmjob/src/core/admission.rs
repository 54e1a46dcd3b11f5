//! Admission: whether objects may come in, and what pods come in as.
//!
//! A client is told at once what is against its object. The pods of a Job come in as the
//! Job's template is admitted, which is decided once per template and per change of what
//! decides; where that, or a quota, leaves no room, the Job waits (`core::refused`).

use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;
use wasmjob_api::field::aggregate;
use wasmjob_api::k8s_openapi::api::core::v1 as core;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{Amount, CronJob, Job, PodTemplate, Uid, defaults, validation};
use wasmjob_controllers::admission::{
    Account, AccountError, Amounts, PodClaim, Quota, count_usage,
};
use wasmjob_controllers::cron_job::Plan;
use wasmjob_store::{GenericObject, Key, Kind};

use super::Core;
use super::commands::Prepared;
use super::policies::{CLAIMS, derived, pod_claim, read, usage_of};
use crate::ApplyError;
use crate::objects::ACCOUNTS;

/// The annotation that says what LimitRanges have set.
const LIMIT_RANGER: &str = "kubernetes.io/limit-ranger";

/// Why a pod may not come in.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Somebody has decided so.
    Forbidden(String),
    /// With what it was given it is not valid.
    Invalid(String),
}

impl Refusal {
    /// As it is said of the pod `name`.
    pub(super) fn text(&self, name: &str) -> String {
        match self {
            Self::Forbidden(why) => format!("pods {name:?} is forbidden: {why}"),
            Self::Invalid(why) => format!("Pod {name:?} is invalid: {why}"),
        }
    }

    fn of_pod(self, name: &str) -> ApplyError {
        match self {
            Self::Forbidden(why) => ApplyError::Forbidden {
                resource: "pods".to_owned(),
                name: name.to_owned(),
                why,
            },
            invalid @ Self::Invalid(_) => ApplyError::Invalid(invalid.text(name)),
        }
    }
}

/// What became of a Job's template.
pub(crate) struct Admitted {
    /// What decided then, and about what.
    version: u64,
    source: Arc<PodTemplate>,
    pub(super) outcome: Result<Came, Refusal>,
}

/// What pods come in as.
#[derive(Clone)]
pub(crate) struct Came {
    pub(super) template: Arc<PodTemplate>,
    /// What each takes, where there are quotas.
    pub(super) claim: Option<Arc<PodClaim>>,
}

/// How many pods a Job may have more.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) pods: u32,
    /// Nothing is tried before that.
    pub(super) waits: Option<Timestamp>,
}

impl Room {
    const ANY: Self = Self {
        pods: u32::MAX,
        waits: None,
    };
}

impl Core {
    /// Whether there is an API, whose service accounts and classes pods refer to.
    fn has_api(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// Gives a new pod what it comes in with, and says whether it may.
    pub(super) fn admit_pod(&self, pod: &mut core::Pod) -> Result<(), ApplyError> {
        let namespace: Arc<str> = pod
            .metadata
            .namespace
            .as_deref()
            .unwrap_or("default")
            .into();
        let name = pod.metadata.name.clone().unwrap_or_default();
        let spec = pod.spec.get_or_insert_default();
        if self.is_plain(&namespace, spec) {
            return Ok(());
        }
        self.admit_spec(&namespace, spec, &mut pod.metadata)
            .map(|_| ())
            .map_err(|refusal| refusal.of_pod(&name))
    }

    /// Whether nothing is decided about such a pod.
    fn is_plain(&self, namespace: &Arc<str>, spec: &core::PodSpec) -> bool {
        let own = self.policies.namespace(namespace);
        let has_limits = own.is_some_and(|own| !own.limit_ranges.is_empty());
        !has_limits && (!self.has_api() || !self.has_wishes(namespace, spec))
    }

    /// Whether the pod has to do with classes or accounts that give something.
    fn has_wishes(&self, namespace: &Arc<str>, spec: &core::PodSpec) -> bool {
        spec.priority_class_name.is_some()
            || spec.priority.is_some()
            || spec.preemption_policy.is_some()
            || self.policies.priorities.has_default()
            || spec.automount_service_account_token == Some(true)
            || Account::name_of(spec) != "default"
            || self
                .policies
                .account(namespace, Account::name_of(spec))
                .is_some()
    }

    /// Gives a pod what it comes in with; whether that is something.
    fn admit_spec(
        &self,
        namespace: &Arc<str>,
        spec: &mut core::PodSpec,
        metadata: &mut ObjectMeta,
    ) -> Result<bool, Refusal> {
        let mut has_changed = false;
        if self.has_api() {
            has_changed |= self.give_account(namespace, spec)?;
            let filled = self.policies.priorities.fill(spec);
            has_changed |= filled.map_err(Refusal::Forbidden)?;
        }
        let own = self.policies.namespace(namespace);
        let limit_ranges = own.map(|own| &own.limit_ranges);
        let Some(limit_ranges) = limit_ranges.filter(|all| !all.is_empty()) else {
            return Ok(has_changed);
        };
        defaults::requests_from_limits(spec);
        let mut told = Vec::new();
        for limit_range in limit_ranges.values() {
            told.extend(limit_range.fill(spec));
        }
        if !told.is_empty() {
            has_changed = true;
            let text = format!("LimitRanger plugin set: {}", told.join("; "));
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(LIMIT_RANGER.to_owned(), text);
            check_resources(spec)?;
        }
        for limit_range in limit_ranges.values() {
            limit_range.check_pod(spec).map_err(Refusal::Forbidden)?;
        }
        Ok(has_changed)
    }

    fn give_account(
        &self,
        namespace: &Arc<str>,
        spec: &mut core::PodSpec,
    ) -> Result<bool, Refusal> {
        let name: Arc<str> = Account::name_of(spec).into();
        let key = (ACCOUNTS.into(), Arc::clone(namespace), Arc::clone(&name));
        // `default` comes with every namespace, and may come a moment later.
        if &*name != "default" && self.generic_uid(&key).is_none() {
            let (namespace, name) = (namespace.to_string(), name.to_string());
            let error = AccountError::NotFound { namespace, name };
            return Err(Refusal::Forbidden(error.to_string()));
        }
        let none = Account::default();
        let account = self.policies.account(namespace, &name);
        Ok(account.unwrap_or(&none).fill(spec))
    }

    /// Whether quotas and limits have room for all of `new` together.
    pub(super) fn check_newcomers<'a>(
        &self,
        new: impl IntoIterator<Item = &'a Prepared>,
    ) -> Result<(), ApplyError> {
        self.check_newcomers_in(&mut Trial::default(), new)
    }

    /// As [`Core::check_newcomers`], after what was tried before.
    pub(super) fn check_newcomers_in<'a>(
        &self,
        trial: &mut Trial,
        new: impl IntoIterator<Item = &'a Prepared>,
    ) -> Result<(), ApplyError> {
        for newcomer in new {
            if let Prepared::Generic(object) = newcomer {
                self.check_claim(object)
                    .map_err(|why| forbidden(newcomer, why))?;
            }
            let quotas = trial.quotas(self, newcomer.namespace());
            if quotas.is_empty() {
                continue;
            }
            let charge = Charge::of(newcomer);
            for quota in &*quotas {
                let checked = match &charge {
                    Charge::Pod(claim) => quota.check_pod(claim),
                    Charge::Object(usage) => quota.check_object(usage),
                };
                checked.map_err(|why| forbidden(newcomer, why))?;
            }
            for quota in quotas {
                match &charge {
                    Charge::Pod(claim) => quota.pod_changed(claim, None, Some(true)),
                    Charge::Object(usage) => quota.object_changed(None, Some(usage)),
                };
            }
        }
        Ok(())
    }

    /// Tries what it leaves if an object is deleted, with what it owns. What finalizers
    /// hold, and a pod, which takes its time to end, leave nothing yet.
    pub(super) fn try_without(&self, trial: &mut Trial, key: Key) {
        let is_held = |metadata: &ObjectMeta| metadata.finalizers.iter().flatten().count() > 0;
        match key.kind {
            Kind::Job => {
                let job = self.jobs.get(&key.uid).map(|entry| &entry.job);
                if let Some(job) = job.filter(|job| !is_held(&job.metadata)) {
                    trial.gone(self, &job.namespace, &count_usage("jobs.batch"));
                }
            }
            Kind::CronJob => {
                let Some(entry) = self.cron_jobs.get(&key.uid) else {
                    return;
                };
                for uid in entry.jobs.iter().copied() {
                    let kind = Kind::Job;
                    self.try_without(trial, Key { kind, uid });
                }
                let cron_job = &entry.cron_job;
                if !is_held(&cron_job.metadata) {
                    trial.gone(self, &cron_job.namespace, &count_usage("cronjobs.batch"));
                }
            }
            Kind::Generic if self.held_generic(key.uid).is_none() => {
                if let Some(object) = self.generic_object(key.uid) {
                    trial.gone(self, &object.namespace, &usage_of(object));
                }
            }
            Kind::Generic | Kind::Pod | Kind::Event | Kind::Manifest => {}
        }
    }

    /// Whether quotas have room for the Jobs that the plan for a CronJob creates, when those
    /// that it deletes are gone.
    pub(super) fn check_new_jobs(&self, row: &CronJob, plan: &Plan) -> Result<(), ApplyError> {
        if plan.create.is_empty() || self.policies.quotas(&row.namespace).is_none() {
            return Ok(());
        }
        let mut trial = Trial::default();
        for uid in plan.delete.iter().copied() {
            let kind = Kind::Job;
            self.try_without(&mut trial, Key { kind, uid });
        }
        let mut usage = count_usage("jobs.batch");
        for amount in usage.values_mut() {
            *amount = Amount::of(i64::try_from(plan.create.len()).unwrap_or(i64::MAX));
        }
        let mut quotas = trial.quotas(self, &row.namespace).iter();
        let checked = quotas.try_for_each(|quota| quota.check_object(&usage));
        checked.map_err(|why| ApplyError::Forbidden {
            resource: "jobs.batch".to_owned(),
            name: format!("{}-", row.name),
            why,
        })
    }

    /// Whether a claim of a volume stays within the limits of its namespace.
    pub(super) fn check_claim(&self, object: &GenericObject) -> Result<(), String> {
        let own = self.policies.namespace(&object.namespace);
        let Some(own) = own.filter(|_| &*object.resource == CLAIMS) else {
            return Ok(());
        };
        let Some(claim) = read(object) else {
            return Ok(());
        };
        let mut limit_ranges = own.limit_ranges.values();
        limit_ranges.try_for_each(|limit_range| limit_range.check_claim(&claim))
    }

    /// Whether a generic object may be created.
    pub(super) fn check_new_generic(&self, object: &GenericObject) -> Result<(), String> {
        self.check_claim(object)?;
        self.check_default_class(object)?;
        match self.policies.quotas(&object.namespace) {
            None => Ok(()),
            Some(own) => {
                let usage = usage_of(object);
                let mut quotas = own.quotas.values();
                quotas.try_for_each(|quota| quota.check_object(&usage))
            }
        }
    }

    /// Whether a generic object may become `new`.
    pub(super) fn check_changed_generic(
        &self,
        old: &GenericObject,
        new: &GenericObject,
    ) -> Result<(), String> {
        self.check_default_class(new)?;
        let Some(own) = self.policies.quotas(&new.namespace) else {
            return Ok(());
        };
        let (before, mut more) = (usage_of(old), usage_of(new));
        for (name, amount) in &mut more {
            if let Some(before) = before.get(name) {
                *amount = amount.minus(*before);
            }
        }
        let mut quotas = own.quotas.values();
        quotas.try_for_each(|quota| quota.check_object(&more))
    }

    fn check_default_class(&self, object: &GenericObject) -> Result<(), String> {
        use wasmjob_api::k8s_openapi::api::scheduling::v1::PriorityClass;
        if &*object.resource != "priorityclasses.scheduling.k8s.io" {
            return Ok(());
        }
        let class: Option<PriorityClass> = read(object);
        match class.and_then(|class| class.global_default) {
            Some(true) => self.policies.priorities.check_default(&object.name),
            _ => Ok(()),
        }
    }

    /// What pods of the Job come in as; decided once.
    fn admitted(&mut self, uid: Uid) -> Option<&Result<Came, Refusal>> {
        let version = self.policies.version;
        let entry = self.jobs.get(&uid)?;
        let source = &entry.job.spec.template;
        let is_known = |it: &Admitted| it.version == version && Arc::ptr_eq(&it.source, source);
        if !entry.admitted.as_ref().is_some_and(is_known) {
            let source = Arc::clone(source);
            let outcome = self.admit_template(&entry.job, entry.admitted.as_ref());
            let admitted = Admitted {
                version,
                source,
                outcome,
            };
            self.jobs.get_mut(&uid)?.admitted = Some(admitted);
        }
        let entry = self.jobs.get(&uid)?;
        entry.admitted.as_ref().map(|it| &it.outcome)
    }

    fn admit_template(&self, job: &Job, before: Option<&Admitted>) -> Result<Came, Refusal> {
        let source = &job.spec.template;
        let mut template = Arc::clone(source);
        if !self.is_plain(&job.namespace, &source.spec) {
            let (mut spec, mut metadata) = ((*source.spec).clone(), source.metadata.clone());
            if self.admit_spec(&job.namespace, &mut spec, &mut metadata)? {
                let new = derived(source, spec, metadata);
                // What is the same stays the same template, to the node and to the disk.
                let before = before.and_then(|before| before.outcome.as_ref().ok());
                template = match before.filter(|before| *before.template == new) {
                    Some(before) => Arc::clone(&before.template),
                    None => Arc::new(new),
                };
            }
        }
        let has_quotas = self.policies.quotas(&job.namespace).is_some();
        let claim = has_quotas.then(|| pod_claim(&template.spec));
        Ok(Came { template, claim })
    }

    /// How many pods the Job may have more.
    pub(super) fn room(&mut self, uid: Uid, now: Timestamp) -> Room {
        let Some(entry) = self.jobs.get(&uid) else {
            return Room::ANY;
        };
        let job = &entry.job;
        if job.spec.suspend || job.deletion.is_some() || job.finished().is_some() {
            return Room::ANY;
        }
        let refused = &entry.refused;
        let until = refused.until.filter(|until| *until > now);
        if let Some(until) = until.filter(|_| !refused.is_woken) {
            return Room {
                pods: 0,
                waits: Some(until),
            };
        }
        let namespace = Arc::clone(&job.namespace);
        let claim = match self.admitted(uid) {
            None => return Room::ANY,
            Some(Err(_)) => Some(None),
            Some(Ok(came)) => came.claim.clone().map(Some),
        };
        let pods = match claim {
            None => u32::MAX,
            Some(None) => 0,
            Some(Some(claim)) => self.policies.quotas(&namespace).map_or(u32::MAX, |own| {
                let rooms = own.quotas.values().map(|quota| quota.room(&claim));
                rooms.min().unwrap_or(u32::MAX)
            }),
        };
        Room { pods, waits: None }
    }

    /// What pods of the Job come in as, when there was room for some.
    pub(super) fn came(&self, uid: Uid) -> Option<Came> {
        let admitted = self.jobs.get(&uid)?.admitted.as_ref()?;
        admitted.outcome.as_ref().ok().cloned()
    }
}

/// Copies of quotas, on which it is tried what a commit comes to before it is made.
#[derive(Default)]
pub(super) struct Trial(HashMap<Arc<str>, Vec<Quota>>);

impl Trial {
    /// Those of a namespace.
    fn quotas(&mut self, core: &Core, namespace: &Arc<str>) -> &mut Vec<Quota> {
        let copied = || {
            let own = core.policies.quotas(namespace).into_iter();
            own.flat_map(|own| own.quotas.values().cloned()).collect()
        };
        self.0.entry(Arc::clone(namespace)).or_insert_with(copied)
    }

    /// An object that took `usage` is gone.
    fn gone(&mut self, core: &Core, namespace: &Arc<str>, usage: &Amounts) {
        for quota in self.quotas(core, namespace) {
            quota.object_changed(Some(usage), None);
        }
    }
}

/// What a newcomer takes.
enum Charge {
    Pod(Arc<PodClaim>),
    Object(Amounts),
}

impl Charge {
    fn of(new: &Prepared) -> Self {
        match new {
            Prepared::Pod(pod) => Self::Pod(pod_claim(&pod.template.spec)),
            Prepared::Job(_) => Self::Object(count_usage("jobs.batch")),
            Prepared::CronJob(_) => Self::Object(count_usage("cronjobs.batch")),
            Prepared::Generic(object) => Self::Object(usage_of(object)),
        }
    }
}

fn forbidden(new: &Prepared, why: String) -> ApplyError {
    let (resource, name) = match new {
        Prepared::Pod(pod) => ("pods", &pod.name),
        Prepared::Job(job) => ("jobs.batch", &job.name),
        Prepared::CronJob(cron_job) => ("cronjobs.batch", &cron_job.name),
        Prepared::Generic(object) => (&*object.resource, &object.name),
    };
    ApplyError::Forbidden {
        resource: resource.to_owned(),
        name: name.to_string(),
        why,
    }
}

/// Whether requests and limits go together, now that some were given by others.
fn check_resources(spec: &core::PodSpec) -> Result<(), Refusal> {
    let pod = core::Pod {
        spec: Some(spec.clone()),
        ..core::Pod::default()
    };
    let mut errors = validation::validate_pod(&pod);
    errors.retain(|error| error.field.contains(".resources"));
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Invalid(aggregate(&errors))),
    }
}
