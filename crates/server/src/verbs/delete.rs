//! Deleting: one object or many, with preconditions, grace and what they own.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use wasmjob::{Object, Propagation, Write, WriteError};
use wasmjob_machinery::status::{self, Details, Status};

use crate::api::Api;
use crate::body::Reply;
use crate::cache::Entry;
use crate::call::{Call, cause, check_dry_run, invalid_options, number};
use crate::decode;
use crate::kinds::{Change, Draft, meta, metadata};
use crate::render::seconds;
use crate::request::Query;
use crate::select::{Selection, kept_as};
use crate::show;
use crate::verbs::read::check_options;

/// How often a deletion is tried anew when the object has changed meanwhile.
const ATTEMPTS: usize = 10;

/// What is said when a Job is deleted and nothing is said of its pods.
const ORPHANS: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

/// What is said when a namespace is deleted again.
const EMPTYING: &str = "The system is ensuring all content is removed from this namespace.  Upon completion, this namespace will automatically be purged by the system.";

/// Namespaces that stay.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Resources whose deletion is answered with the object, also if it is gone at once
/// (`ReturnDeletedObject` of their stores): typed clients read it as one.
const RETURNED: [&str; 6] = [
    "pods",
    "persistentvolumeclaims",
    "persistentvolumes",
    "resourcequotas",
    "serviceaccounts",
    "services",
];

/// What a client says of a deletion (`meta/v1` DeleteOptions).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Options {
    grace_period_seconds: Option<i64>,
    preconditions: Preconditions,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Options {
    /// Those of the body, or else of the query.
    fn of(call: &Call, body: &[u8]) -> Result<Self, Status> {
        if body.is_empty() {
            return Self::of_query(&call.query)?.checked(call);
        }
        Self::of_value(call, decode::delete_options(call, body)?)
    }

    /// Those of an object.
    pub(crate) fn of_value(call: &Call, mut value: Value) -> Result<Self, Status> {
        if let Some(fields) = value.as_object_mut() {
            // In Go, null says as much as nothing.
            fields.retain(|_, field| !field.is_null());
        }
        let read = serde_json::from_value(value).map(|options: Option<Self>| options);
        read.map_err(|error| Status::bad_request(format!("DeleteOptions: {error}")))?
            .unwrap_or_default()
            .checked(call)
    }

    fn checked(self, call: &Call) -> Result<Self, Status> {
        let mut options = self;
        if call.query.get("dryRun").is_some() {
            let values = call.query.all("dryRun").map(str::to_owned);
            options.dry_run.extend(values);
        }
        options.check()?;
        if options
            .grace_period_seconds
            .is_some_and(|seconds| seconds < 0)
        {
            options.grace_period_seconds = Some(1);
        }
        Ok(options)
    }

    fn of_query(query: &Query) -> Result<Self, Status> {
        let grace = query.get("gracePeriodSeconds").map(number);
        Ok(Self {
            grace_period_seconds: grace.transpose()?,
            orphan_dependents: query
                .get("orphanDependents")
                .map(|_| query.is_set("orphanDependents")),
            propagation_policy: query.get("propagationPolicy").map(str::to_owned),
            ..Self::default()
        })
    }

    /// Whether the options have values that they may have.
    fn check(&self) -> Result<(), Status> {
        let mut causes = Vec::new();
        let policy = self.propagation_policy.as_deref();
        if let (Some(policy), Some(_)) = (policy, self.orphan_dependents) {
            let text = format!(
                "Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set"
            );
            causes.push(cause("propagationPolicy", text));
        }
        if let Some(policy) = policy
            && !matches!(policy, "Foreground" | "Background" | "Orphan")
        {
            let text = format!(
                "Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            );
            causes.push(cause("propagationPolicy", text));
        }
        let dry_run: Vec<&str> = self.dry_run.iter().map(String::as_str).collect();
        if let Err(text) = check_dry_run(&dry_run) {
            causes.push(cause("dryRun", text));
        }
        invalid_options("DeleteOptions", causes)
    }

    fn propagation(&self, call: &Call) -> Propagation {
        match (self.propagation_policy.as_deref(), self.orphan_dependents) {
            (Some("Foreground"), _) => Propagation::Foreground,
            (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
            (None, None) if kept_as(call.target.resource) == "jobs.batch" => {
                call.warn(ORPHANS);
                Propagation::Orphan
            }
            _ => Propagation::Background,
        }
    }
}

/// What a deletion has come to.
pub(crate) enum Deleted {
    /// The object is gone.
    Gone(Value),
    /// It goes, once nothing holds it.
    Going(Value),
}

impl Api {
    pub(crate) async fn delete(&self, call: &Call, body: Bytes) -> Result<Reply, Status> {
        let options = Options::of(call, &body)?;
        check_immortal(call)?;
        let entry = self.entry(call)?;
        let propagation = options.propagation(call);
        let deleted = self.delete_one(call, entry, &options, propagation).await?;
        let resource = call.target.resource;
        match deleted {
            Deleted::Gone(old) if RETURNED.contains(&resource.plural) => {
                show::value(call, StatusCode::OK, old, self.now())
            }
            Deleted::Gone(old) => {
                let done = status::deleted(resource, call.name(), meta(&old, "uid"));
                show::status(call, StatusCode::OK, &done)
            }
            Deleted::Going(value) => show::value(call, StatusCode::OK, value, self.now()),
        }
    }

    pub(crate) async fn delete_collection(
        &self,
        call: &Call,
        body: Bytes,
    ) -> Result<Reply, Status> {
        check_options(&call.query)?;
        let options = Options::of(call, &body)?;
        let propagation = options.propagation(call);
        let selection = Selection::of(&call.target, &call.query)?;
        let resource = kept_as(call.target.resource);
        let listed = self.cache.list(&resource, &selection.scope);
        let mut page = show::Page {
            revision: listed.revision,
            entries: Vec::new(),
            continues: None,
            remaining: None,
        };
        for entry in listed.entries {
            if !selection.covers(&entry) {
                continue;
            }
            let deleted = self.delete_one(call, entry.clone(), &options, propagation);
            match deleted.await {
                Ok(_) => page.entries.push(entry),
                // Somebody else was quicker.
                Err(status) if status.reason == "NotFound" => {}
                Err(status) => return Err(status),
            }
        }
        show::page(call, page, self.now())
    }

    pub(crate) async fn delete_one(
        &self,
        call: &Call,
        mut entry: std::sync::Arc<Entry>,
        options: &Options,
        propagation: Propagation,
    ) -> Result<Deleted, Status> {
        let (namespace, name) = entry.names();
        let resource = call.target.resource;
        for _ in 0..ATTEMPTS {
            let value = entry.value();
            check_preconditions(call, &name, &value, &options.preconditions)?;
            if !options.dry_run.is_empty() {
                return Ok(Deleted::Gone(value));
            }
            if propagation == Propagation::Orphan {
                let orphaned = self.orphan(entry.object.key().uid).await;
                orphaned.map_err(|error| self.refused(call, &name, error))?;
            }
            let insists = options.preconditions.resource_version.is_some();
            let write = match self.marking(call, &entry, &value, propagation)? {
                Marking::Going => return Ok(Deleted::Going(value)),
                Marking::Mark(write) => *write,
                Marking::Delete => Write::Delete {
                    key: entry.object.key(),
                    seen: insists.then(|| entry.object.clone()),
                    propagation,
                    grace: options
                        .grace_period_seconds
                        .map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
                },
            };
            match self.host.write(write).await {
                Ok(_) => {
                    let kept = kept_as(resource);
                    let now = self.cache.get(&kept, &namespace, &name);
                    let now = now.filter(|now| now.object.key() == entry.object.key());
                    return Ok(match now {
                        Some(now) => Deleted::Going(now.value()),
                        None => Deleted::Gone(value),
                    });
                }
                Err(WriteError::Conflict) if !insists => {
                    let store = self.host.store();
                    let wait = store.changed(entry.revision);
                    let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
                    let kept = kept_as(resource);
                    entry = self
                        .cache
                        .get(&kept, &namespace, &name)
                        .ok_or_else(|| Status::not_found(resource, &name))?;
                }
                Err(error) => {
                    self.keep_dependents(entry.object.key().uid);
                    return Err(self.refused(call, &name, error));
                }
            }
        }
        self.keep_dependents(entry.object.key().uid);
        Err(Status::modified(resource, &name))
    }

    /// Whether an object must be marked before it can go: the host holds Jobs, pods
    /// and CronJobs itself.
    fn marking(
        &self,
        call: &Call,
        entry: &std::sync::Arc<Entry>,
        value: &Value,
        propagation: Propagation,
    ) -> Result<Marking, Status> {
        let resource = call.target.resource;
        if !matches!(entry.object, Object::Generic(_)) {
            return Ok(Marking::Delete);
        }
        let metadata_of = &value["metadata"];
        let list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
        let is_namespace = resource.kind == "Namespace";
        let is_held = list(&metadata_of["finalizers"])
            || is_namespace && list(&value["spec"]["finalizers"])
            || propagation == Propagation::Foreground;
        if !is_held {
            return Ok(Marking::Delete);
        }
        if metadata_of
            .get("deletionTimestamp")
            .is_some_and(|at| !at.is_null())
        {
            if is_namespace && list(&value["spec"]["finalizers"]) {
                return Err(Status::conflict(resource, meta(value, "name"), EMPTYING));
            }
            return Ok(Marking::Going);
        }
        let mut marked = value.clone();
        if is_namespace {
            marked["status"]["phase"] = "Terminating".into();
        }
        let change = Change {
            old: entry,
            old_value: value,
            new: marked.clone(),
            subresource: "",
        };
        let mut draft = Draft::update(resource, change)?;
        draft.value = marked;
        let fields = metadata(&mut draft.value);
        fields.insert("deletionTimestamp".to_owned(), seconds(self.now()).into());
        fields.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
        if propagation == Propagation::Foreground {
            let finalizers = fields
                .entry("finalizers")
                .or_insert_with(|| serde_json::json!([]));
            if let Some(list) = finalizers.as_array_mut() {
                list.push("foregroundDeletion".into());
            }
        }
        Ok(Marking::Mark(Box::new(Write::Replace {
            seen: entry.object.clone(),
            new: draft.into_replacement(resource, entry),
        })))
    }
}

enum Marking {
    /// It can be deleted.
    Delete,
    /// It is to be marked, and goes when nothing holds it any more.
    Mark(Box<Write>),
    /// It is marked already.
    Going,
}

fn check_immortal(call: &Call) -> Result<(), Status> {
    let resource = call.target.resource;
    if resource.kind == "Namespace" && IMMORTAL.contains(&call.name()) {
        let why = "this namespace may not be deleted";
        return Err(Status::forbidden_because(
            resource.qualified(),
            call.name(),
            why,
        ));
    }
    Ok(())
}

fn check_preconditions(
    call: &Call,
    name: &str,
    is: &Value,
    wanted: &Preconditions,
) -> Result<(), Status> {
    let resource = call.target.resource;
    let checked = [
        (
            "UID",
            wanted.uid.as_deref(),
            meta(is, "uid"),
            "deleted and then recreated",
        ),
        (
            "ResourceVersion",
            wanted.resource_version.as_deref(),
            meta(is, "resourceVersion"),
            "modified",
        ),
    ];
    for (of, wanted, is, what) in checked {
        let Some(wanted) = wanted.filter(|wanted| *wanted != is) else {
            continue;
        };
        if resource.kind == "Namespace" && of == "UID" {
            return Err(Status::precondition_uid(resource, name, wanted, is));
        }
        // Of the kind, and not of the resource as elsewhere.
        let kind = resource.qualified_kind();
        let text = format!(
            "Operation cannot be fulfilled on {kind} {name:?}: the {of} in the precondition ({wanted}) does not match the {of} in record ({is}). The object might have been {what}"
        );
        return Err(Status {
            details: Some(Box::new(Details {
                name: name.to_owned(),
                group: kind.group.to_owned(),
                kind: kind.name.to_owned(),
                ..Details::default()
            })),
            ..Status::new(409, "Conflict", text)
        });
    }
    Ok(())
}
