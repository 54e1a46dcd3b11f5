//! Files of a directory of manifests, as they change.
#![expect(clippy::unwrap_used, reason = "tests stop where something fails")]

use serde_json::{Value, json};
use wasmjob::api::Uid;
use wasmjob::api::manifest::{self, Source};
use wasmjob::{
    ApplyError, GenericObject, Host, Kind, ManifestChanges, NewObject, Replacement, Write,
};

const ENDLESS: &str = "(module (func (export \"_start\") (loop (br 0))))";

fn block_on<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(future)
}

fn builder() -> wasmjob::HostBuilder {
    Host::builder().module("endless", wat::parse_str(ENDLESS).unwrap())
}

/// Takes a file over that holds `text`.
fn take(host: &Host, file: &str, text: &str) -> Result<ManifestChanges, ApplyError> {
    let source = Source {
        name: file,
        bytes: text.as_bytes(),
    };
    let manifest = manifest::read(&source).unwrap();
    block_on(host.apply_file(file, text, manifest))
}

fn changes(created: usize, configured: usize, deleted: usize) -> ManifestChanges {
    ManifestChanges {
        created,
        configured,
        deleted,
    }
}

fn generic(resource: &str, namespace: &str, value: &Value) -> GenericObject {
    let uid = Uid::from_random(rand::random());
    let mut value = value.clone();
    value["metadata"]["uid"] = uid.to_string().into();
    GenericObject {
        uid,
        resource: resource.into(),
        namespace: namespace.into(),
        name: value["metadata"]["name"].as_str().unwrap().into(),
        json: serde_json::to_vec(&value).unwrap().into(),
    }
}

fn create(host: &Host, resource: &str, namespace: &str, value: &Value) {
    let object = generic(resource, namespace, value);
    block_on(host.write(Write::Create(NewObject::Generic(object)))).unwrap();
}

/// What makes the host one with an API.
fn with_namespace(host: &Host) {
    let namespace = json!({ "metadata": { "name": "default" } });
    create(host, "namespaces", "", &namespace);
}

/// Puts what `edit` makes of it in the place of such an object.
fn edit(host: &Host, resource: &str, name: &str, edit: impl FnOnce(&mut Value)) {
    let found = host.store().list(Kind::Generic, |_| true).1;
    let mut found = found.iter().map(|stored| &stored.object);
    let is_it = |it: &GenericObject| &*it.resource == resource && &*it.name == name;
    let seen = found.find(|it| it.as_generic().is_some_and(|it| is_it(it)));
    let seen = seen.unwrap().clone();
    let mut new = (**seen.as_generic().unwrap()).clone();
    let mut value = serde_json::from_slice(&new.json).unwrap();
    edit(&mut value);
    new.json = serde_json::to_vec(&value).unwrap().into();
    let new = Replacement::Generic(new);
    block_on(host.write(Write::Replace { seen, new })).unwrap();
}

fn pod(more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{restartPolicy: Never, \
         {more} containers: [{{name: c, image: endless}}]}}}}\n"
    )
}

fn config(value: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{k: {value}}}}}\n"
    )
}

#[test]
fn a_pod_that_admission_gave_something_is_still_what_its_file_says() {
    let dir = tempfile::tempdir().unwrap();
    let durable = || builder().data_dir(dir.path()).build().unwrap();
    let host = durable();
    with_namespace(&host);
    let class = json!({ "metadata": { "name": "high" }, "value": 100 });
    create(&host, "priorityclasses.scheduling.k8s.io", "", &class);
    let limits = json!({ "metadata": { "name": "l" }, "spec": { "limits": [
        { "type": "Container", "default": { "memory": "64Mi" } }] } });
    create(&host, "limitranges", "default", &limits);
    let file = |value: &str| pod("priorityClassName: high,") + &config(value);
    assert_eq!(take(&host, "a", &file("one")).unwrap(), changes(2, 0, 0));
    assert_eq!(take(&host, "a", &file("two")).unwrap(), changes(0, 1, 0));
    // Not by the policies of now, but by what was said; also after a restart.
    edit(&host, "limitranges", "l", |range| {
        range["spec"]["limits"][0]["default"]["memory"] = "32Mi".into();
    });
    assert_eq!(take(&host, "a", &file("three")).unwrap(), changes(0, 1, 0));
    drop(host);
    let host = durable();
    assert_eq!(take(&host, "a", &file("four")).unwrap(), changes(0, 1, 0));
    let other = pod("") + &config("four");
    let error = take(&host, "a", &other).unwrap_err();
    assert!(error.to_string().contains("may not change"), "{error}");
}
