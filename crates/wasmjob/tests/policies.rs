//! Policies of hosts, as their objects and their clock change.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests measure real time, and stop where something fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use wasmjob::api::Uid;
use wasmjob::{
    Clock, GenericObject, Host, Key, Kind, NewObject, Object, Replacement, Write, WriteError,
    Written,
};

const QUICK: &str = "(module (func (export \"_start\")))";

/// The system's clock, and what it was set forward.
#[derive(Default)]
struct SettableClock(AtomicI64);

impl Clock for SettableClock {
    fn wall(&self) -> Timestamp {
        let set = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        Timestamp::now() + set
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A host with a namespace, which is what one with an API has.
fn host(clock: &Arc<SettableClock>) -> Host {
    let host = Host::builder()
        .module("quick", wat::parse_str(QUICK).unwrap())
        .clock(Arc::clone(clock) as Arc<dyn Clock>)
        .build()
        .unwrap();
    create(&host, 1, "namespaces", "default", "{}");
    host
}

fn write(host: &Host, write: Write) -> Result<Written, WriteError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(host.write(write))
}

fn object(number: u128, resource: &str, name: &str, spec: &str) -> GenericObject {
    let namespace = match resource {
        "namespaces" => "",
        _ => "default",
    };
    let json = format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{spec}}}"#);
    GenericObject {
        uid: Uid::from_random(number),
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
        json: json.into_bytes().into(),
    }
}

fn create(host: &Host, number: u128, resource: &str, name: &str, spec: &str) {
    let new = NewObject::Generic(object(number, resource, name, spec));
    write(host, Write::Create(new)).unwrap();
}

fn seen(host: &Host, number: u128) -> Object {
    let kind = Kind::Generic;
    let uid = Uid::from_random(number);
    host.store().get(Key { kind, uid }).unwrap().object
}

fn text(object: &Object) -> String {
    String::from_utf8(object.as_generic().unwrap().json.to_vec()).unwrap()
}

#[test]
fn a_quota_of_a_busy_namespace_can_be_changed() {
    let host = host(&Arc::default());
    let quota = |count| format!(r#"{{"hard":{{"configmaps":"{count}"}}}}"#);
    create(&host, 2, "resourcequotas", "q", &quota(5));
    let old = seen(&host, 2);
    create(&host, 3, "configmaps", "m", "{}");
    let used = seen(&host, 2);
    assert!(!Arc::ptr_eq(
        old.as_generic().unwrap(),
        used.as_generic().unwrap()
    ));
    let replace = |seen: Object, count| {
        let new = object(2, "resourcequotas", "q", &quota(count));
        let new = Replacement::Generic(new);
        write(&host, Write::Replace { seen, new })
    };
    replace(old.clone(), 6).unwrap();
    let changed = text(&seen(&host, 2));
    let status = r#""status":{"hard":{"configmaps":"6"},"used":{"configmaps":"1"}}"#;
    assert!(changed.contains(status), "{changed}");
    // Not if somebody has changed what a client may change.
    let error = replace(old, 7).unwrap_err();
    assert!(matches!(error, WriteError::Conflict), "{error}");
    // Of other objects, their status counts.
    let map = seen(&host, 3);
    let with = |status: &str| {
        let mut new = object(3, "configmaps", "m", "{}");
        new.json = format!(r#"{{"spec":{{}},"status":"{status}"}}"#)
            .into_bytes()
            .into();
        let new = Replacement::Generic(new);
        let seen = map.clone();
        write(&host, Write::Replace { seen, new })
    };
    with("a").unwrap();
    assert!(matches!(with("b"), Err(WriteError::Conflict)));
}

#[test]
fn a_job_that_was_refused_tries_again_whatever_the_clock_is_set_to() {
    let clock = Arc::default();
    let host = host(&clock);
    create(&host, 2, "resourcequotas", "q", r#"{"hard":{"pods":"0"}}"#);
    let yaml = "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: \
                {restartPolicy: Never, containers: [{name: c, image: quick}]}}}}";
    host.apply_yaml("test.yaml", yaml).unwrap();
    let refused = || {
        let events = host.store().list(Kind::Event, |_| true).1;
        let events = events.iter().filter_map(|it| match &it.object {
            Object::Event(event) if event.event.reason == "FailedCreate" => Some(event.count),
            _ => None,
        });
        events.sum::<u32>()
    };
    let wait_for = |times| {
        let begun = Instant::now();
        while refused() < times {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", refused());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait_for(1);
    clock.0.store(-3600, Ordering::Relaxed);
    // Something happens, so that the host looks at the clock.
    create(&host, 3, "configmaps", "m", "{}");
    wait_for(2);
}

#[test]
fn a_job_that_wants_more_than_a_quota_holds_leaves_room_for_others() {
    let host = host(&Arc::default());
    create(&host, 2, "resourcequotas", "q", r#"{"hard":{"pods":"2"}}"#);
    let job = |name: &str, more: &str| {
        let yaml = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{more} template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: c, image: quick}}]}}}}}}}}"
        );
        host.apply_yaml("test.yaml", &yaml).unwrap().remove(0)
    };
    let greedy = job("greedy", "parallelism: 3, completions: 1000000,");
    let others = ["a", "b", "c"].map(|name| job(name, ""));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    for other in others {
        let wait = async { tokio::time::timeout(Duration::from_secs(30), other.wait()).await };
        let result = runtime.block_on(wait).expect("it found no room").unwrap();
        assert!(result.is_complete());
    }
    assert!(host.job("default", "greedy").is_some());
    drop(greedy);
}
