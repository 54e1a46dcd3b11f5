//! Files of a directory of manifests, as they change.
#![expect(clippy::unwrap_used, reason = "tests stop where something fails")]

use serde_json::{Value, json};
use wasmjob::api::Uid;
use wasmjob::api::manifest::{self, Source};
use wasmjob::{
    ApplyError, GenericObject, Host, Kind, ManifestChanges, NewObject, Propagation, Replacement,
    Write,
};

const ENDLESS: &str = "(module (func (export \"_start\") (loop (br 0))))";

fn block_on<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(future)
}

fn host() -> Host {
    builder().build().unwrap()
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

/// The generic object of that resource and name.
fn object(host: &Host, resource: &str, name: &str) -> Option<Value> {
    let found = host.store().list(Kind::Generic, |_| true).1;
    let mut found = found.iter().filter_map(|stored| stored.object.as_generic());
    let found = found.find(|it| &*it.resource == resource && &*it.name == name)?;
    Some(serde_json::from_slice(&found.json).unwrap())
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

fn claim(name: &str, storage: &str, metadata: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: {name}, {metadata}}}, \
         spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {storage}}}}}}}}}\n"
    )
}

#[test]
fn a_claim_of_a_file_stays_bound() {
    let host = host();
    with_namespace(&host);
    take(&host, "a", &claim("c", "1Gi", "")).unwrap();
    edit(&host, "persistentvolumeclaims", "c", |claim| {
        claim["spec"]["volumeName"] = "pvc-1".into();
        claim["status"] = json!({ "phase": "Bound" });
        claim["metadata"]["annotations"] = json!({ "pv.kubernetes.io/bind-completed": "yes" });
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    let bound = object(&host, "persistentvolumeclaims", "c").unwrap();
    let labelled = claim("c", "1Gi", "labels: {a: b}, annotations: {c: d}");
    assert_eq!(take(&host, "a", &labelled).unwrap(), changes(0, 1, 0));
    let seen = object(&host, "persistentvolumeclaims", "c").unwrap();
    assert_eq!(seen["metadata"]["labels"], json!({ "a": "b" }));
    assert_eq!(
        seen["metadata"]["annotations"],
        json!({ "c": "d", "pv.kubernetes.io/bind-completed": "yes" })
    );
    let plain = claim("c", "1Gi", "");
    assert_eq!(take(&host, "a", &plain).unwrap(), changes(0, 1, 0));
    assert_eq!(object(&host, "persistentvolumeclaims", "c"), Some(bound));
    let error = take(&host, "a", &claim("c", "100Gi", "")).unwrap_err();
    assert!(error.to_string().contains("must support resize"), "{error}");
    let limits = json!({ "metadata": { "name": "l" }, "spec": { "limits": [
        { "type": "PersistentVolumeClaim", "max": { "storage": "512Mi" } }] } });
    create(&host, "limitranges", "default", &limits);
    let error = take(&host, "a", &labelled).unwrap_err();
    assert!(error.to_string().contains("maximum storage"), "{error}");
}

#[test]
fn what_finalizers_hold_goes_with_the_last_of_them() {
    let host = host();
    let held = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: m, finalizers: [a/b]}}\n";
    let file = claim("c", "1Gi", "finalizers: [kubernetes.io/pvc-protection]") + held;
    take(&host, "a", &file).unwrap();
    assert_eq!(take(&host, "a", &config("x")).unwrap(), changes(0, 1, 1));
    // The ConfigMap is in the file still, which takes no finalizer away.
    let map = object(&host, "configmaps", "m").unwrap();
    assert_eq!(map["metadata"]["finalizers"], json!(["a/b"]));
    let seen = object(&host, "persistentvolumeclaims", "c").unwrap();
    assert!(seen["metadata"]["deletionTimestamp"].is_string(), "{seen}");
    // What goes is not taken over, and goes all the same.
    let error = take(&host, "b", &claim("c", "1Gi", "")).unwrap_err();
    assert!(matches!(error, ApplyError::Terminating(_)), "{error}");
    let removed = block_on(host.remove_file("a")).unwrap();
    assert_eq!(removed, changes(0, 0, 1));
    let map = object(&host, "configmaps", "m").unwrap();
    assert!(map["metadata"]["deletionTimestamp"].is_string(), "{map}");
    let stored = host.store().list(Kind::Generic, |_| true).1;
    for stored in &stored {
        block_on(host.write(Write::Delete {
            key: stored.object.key(),
            seen: None,
            propagation: Propagation::Background,
            grace: None,
        }))
        .unwrap();
    }
    let file = claim("c", "1Gi", "") + &config("other");
    assert_eq!(take(&host, "b", &file).unwrap(), changes(2, 0, 0));
}

#[test]
fn what_a_file_drops_makes_room_for_what_it_brings() {
    let host = host();
    with_namespace(&host);
    let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
        "count/jobs.batch": "1", "configmaps": "1" } } });
    create(&host, "resourcequotas", "default", &quota);
    let job = |name: &str, metadata: &str| {
        format!(
            "---\n{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, {metadata}}}, spec: \
             {{suspend: true, template: {{spec: {{restartPolicy: Never, \
             containers: [{{name: c, image: endless}}]}}}}}}}}\n"
        )
    };
    let file = job("a", "") + &config("one");
    assert_eq!(take(&host, "a", &file).unwrap(), changes(2, 0, 0));
    let file = job("b", "") + &config("one").replace("name: m", "name: other");
    assert_eq!(take(&host, "a", &file).unwrap(), changes(2, 0, 2));
    let used = object(&host, "resourcequotas", "q").unwrap()["status"]["used"].clone();
    assert_eq!(used, json!({ "count/jobs.batch": "1", "configmaps": "1" }));
    // Only for that, and not where a finalizer keeps what is dropped.
    let held = job("c", "finalizers: [a/b]");
    assert_eq!(take(&host, "a", &held).unwrap(), changes(1, 0, 2));
    for file in [job("d", ""), held + &job("e", "")] {
        let error = take(&host, "a", &file).unwrap_err();
        assert!(matches!(error, ApplyError::Forbidden { .. }), "{error}");
    }
    let error = take(&host, "b", &job("f", "")).unwrap_err();
    assert!(matches!(error, ApplyError::Forbidden { .. }), "{error}");
}
