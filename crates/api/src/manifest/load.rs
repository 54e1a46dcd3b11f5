//! One source into objects and problems: the order of the steps for each document.

use k8s_openapi::Metadata;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::check::{self, Misfit};
use super::consequence::{follows, place_and_meant};
use super::kind::{Kind, recognise};
use super::problem::{Position, Problem, Severity, Warning};
use super::settle::{pod_spec, remove_nulls, settle};
use super::tree::{Node, Value};
use super::{Kept, Loaded, Manifest, Object, Source, convert, document, hint};
use crate::field::{ErrorList, Path};
use crate::{network_policy, support, validation};

/// Reads `source` into `manifest`, and what is wrong with it into `problems`.
pub(crate) fn source(source: &Source<'_>, manifest: &mut Manifest, problems: &mut Vec<Problem>) {
    let told_before = problems.len();
    let documents = document::read(source.bytes);
    for refusal in documents.refusals {
        problems.push(Problem {
            file: source.name.to_owned(),
            at: refusal.at,
            path: String::new(),
            message: refusal.message,
            hint: refusal.hint.map(str::to_owned),
        });
    }
    for root in documents.roots {
        let file = source.name;
        let lines_before = root.lines_before;
        let mut loader = Loader {
            file,
            lines_before,
            manifest,
            problems,
        };
        loader.document(&root.node, None);
    }
    problems[told_before..].sort_by_key(|problem| problem.at);
}

struct Loader<'a> {
    file: &'a str,
    lines_before: usize,
    manifest: &'a mut Manifest,
    problems: &'a mut Vec<Problem>,
}

impl Loader<'_> {
    fn document(&mut self, node: &Node, implied: Option<(&'static str, &'static str)>) {
        if node.is_null() {
            return;
        }
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("expected an object, found {}", node.describe());
            return self.problem(node.at, "", message, None);
        }
        let implied = if node.entry("kind").is_none() {
            implied
        } else {
            None
        };
        let (api_version, kind) = match implied {
            Some(implied) => implied,
            None => match (
                self.required(node, "apiVersion"),
                self.required(node, "kind"),
            ) {
                (Some(api_version), Some(kind)) => (api_version, kind),
                _ => return,
            },
        };
        match recognise(api_version, kind) {
            Ok(Kind::List(items)) => self.list(node, items),
            Ok(kind) => self.object(node, kind),
            Err((message, hint)) => self.problem(node.locate("kind"), "", message, hint),
        }
    }

    fn required<'n>(&mut self, node: &'n Node, field: &str) -> Option<&'n str> {
        let text = node.text(field);
        if text.is_none() {
            let message = match node.entry(field) {
                Some(entry) => format!("expected a string, found {}", entry.value.describe()),
                None => "Required value".to_owned(),
            };
            self.problem(node.locate(field), field, message, None);
        }
        text
    }

    fn list(&mut self, node: &Node, implied: Option<(&'static str, &'static str)>) {
        let Value::Map(entries) = &node.value else {
            return;
        };
        for entry in entries {
            match (entry.key.as_str(), &entry.value.value) {
                ("apiVersion" | "kind" | "metadata", _) | ("items", Value::Null) => {}
                ("items", Value::List(items)) => {
                    for item in items {
                        self.document(item, implied);
                    }
                }
                ("items", _) => {
                    let message = format!("expected a list, found {}", entry.value.describe());
                    self.problem(entry.value.at, "items", message, None);
                }
                (key, _) => self.problem(entry.key_at, key, "unknown field".to_owned(), None),
            }
        }
    }

    fn object(&mut self, node: &Node, kind: Kind) {
        let mut misfits = Vec::new();
        let mut json = check::object(node, kind.message(), &mut misfits);
        let warning = (kind == Kind::OldCronJob)
            .then(|| convert::cron_job(&mut json, node, self.file, self.lines_before));
        self.manifest.warnings.extend(warning);
        // What does not fit is told already; the rest of the object is still
        // looked at, so that one run shows everything.
        remove_nulls(&mut json);
        let object = match kind {
            Kind::Job => self
                .typed::<Job>(node, json)
                .map(|job| Object::Job(Box::new(job))),
            Kind::Pod => self
                .typed::<Pod>(node, json)
                .map(|pod| Object::Pod(Box::new(pod))),
            Kind::CronJob | Kind::OldCronJob => self
                .typed::<CronJob>(node, json)
                .map(|cron_job| Object::CronJob(Box::new(cron_job))),
            Kind::ConfigMap => self.kept::<ConfigMap>(node, json, kind),
            Kind::Secret => self.kept::<Secret>(node, json, kind),
            Kind::PersistentVolumeClaim => self.kept::<PersistentVolumeClaim>(node, json, kind),
            Kind::NetworkPolicy => self.kept::<NetworkPolicy>(node, json, kind),
            Kind::List(_) => None,
        };
        let Some(mut object) = object else { return };
        let errors = settle(&mut object);
        self.report(node, misfits, errors);
        self.remark(node, &object);
        let at = self.place(node.at);
        self.manifest.objects.push(Loaded {
            object,
            file: self.file.to_owned(),
            at,
        });
    }

    /// An object that is only kept: it must fit its type, and stays JSON.
    fn kept<T>(&mut self, node: &Node, json: Json, kind: Kind) -> Option<Object>
    where
        T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
    {
        let metadata = self.typed::<T>(node, json.clone())?.metadata().clone();
        let (api_version, kind, resource) = match kind {
            Kind::Secret => ("v1", "Secret", "secrets"),
            Kind::PersistentVolumeClaim => {
                ("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
            }
            Kind::NetworkPolicy => (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                network_policy::RESOURCE,
            ),
            _ => ("v1", "ConfigMap", "configmaps"),
        };
        Some(Object::Kept(Box::new(Kept {
            api_version,
            kind,
            resource,
            metadata,
            json,
        })))
    }

    fn typed<T: DeserializeOwned>(&mut self, node: &Node, mut json: Json) -> Option<T> {
        // Items of a JobList may leave them out, and the type insists on neither.
        if let Some(object) = json.as_object_mut() {
            object.remove("apiVersion");
            object.remove("kind");
        }
        match serde_json::from_value(json) {
            Ok(object) => Some(object),
            Err(error) => {
                self.problem(node.at, "", format!("not understood: {error}"), None);
                None
            }
        }
    }

    fn report(&mut self, node: &Node, misfits: Vec<Misfit>, errors: ErrorList) {
        let told: Vec<(Path, Option<Path>)> = misfits.iter().map(place_and_meant).collect();
        for misfit in misfits {
            self.problem(misfit.at, misfit.path.as_str(), misfit.message, misfit.hint);
        }
        let has_bad_name = errors.iter().any(|error| error.field == "metadata.name");
        for error in errors {
            if told
                .iter()
                .any(|(path, meant)| follows(&error, path, meant.as_ref()))
            {
                continue;
            }
            // Creation makes labels of the name; a bad name is enough to hear of once.
            if has_bad_name && error.field.ends_with("job-name]") {
                continue;
            }
            let hint = hint::for_error(&error);
            // Kubernetes leaves `metadata` out of these paths.
            let place = error
                .field
                .replace("template.labels", "template.metadata.labels");
            let place = place.replace("template.annotations", "template.metadata.annotations");
            self.problem(node.locate(&place), &error.field, error.body(), hint);
        }
    }

    /// Says what has no effect here, and what looks like a mistake.
    fn remark(&mut self, node: &Node, object: &Object) {
        let spec = pod_spec(object);
        let notes = spec
            .iter()
            .flat_map(|(spec, path)| support::notes(spec, path));
        let notes = notes.map(|note| {
            let message = format!("{} {}", note.path, note.effect);
            (note.path, Severity::Note, message)
        });
        let lints = spec.iter().flat_map(|(spec, path)| hint::lints(spec, path));
        let lints = lints.map(|(path, message)| {
            let at = self.place(node.locate(path.as_str()));
            let message = format!("{}:{at}: {path} {message}", self.file);
            (path, Severity::Warning, message)
        });
        let warnings = validation::warnings(object)
            .into_iter()
            .map(|(path, message)| {
                let message = format!("{path}: {message}");
                (path, Severity::Warning, message)
            });
        let all: Vec<_> = notes.chain(lints).chain(warnings).collect();
        for (path, severity, message) in all {
            let at = self.place(node.locate(path.as_str()));
            let file = self.file.to_owned();
            self.manifest.warnings.push(Warning {
                file,
                at,
                severity,
                message,
            });
        }
    }

    fn problem(&mut self, at: Position, path: &str, message: String, hint: Option<String>) {
        let at = self.place(at);
        let (file, path) = (self.file.to_owned(), path.to_owned());
        self.problems.push(Problem {
            file,
            at,
            path,
            message,
            hint,
        });
    }

    const fn place(&self, at: Position) -> Position {
        Position {
            line: at.line + self.lines_before,
            column: at.column,
        }
    }
}
