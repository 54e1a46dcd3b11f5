//! ConfigMaps and Secrets in pods, with a shell as the guest.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use wasmjob::api::{ContainerState, Phase, PodStatus};
use wasmjob::{Host, Kind, Object, PodHandle, PodResult, Taken};

const BUSYBOX: &[u8] = include_bytes!("../../../wasm-examples/busybox/busybox.wasm");

fn host() -> Host {
    let limits = wasmjob::Limits {
        guests: 64,
        ..wasmjob::Limits::default()
    };
    let builder = Host::builder().module("busybox", BUSYBOX);
    builder.limits(limits).build().unwrap()
}

fn apply(host: &Host, yaml: &str) -> Taken {
    let source = wasmjob::api::manifest::Source {
        name: "config.yaml",
        bytes: yaml.as_bytes(),
    };
    let manifest =
        wasmjob::api::manifest::read(&source).unwrap_or_else(|problems| panic!("{problems}"));
    host.apply(manifest).unwrap()
}

/// A pod whose shell runs `script`, with more of a container.
fn pod(host: &Host, script: &str, container: &str) -> PodHandle {
    let yaml = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{restartPolicy: Never, \
         containers: [{{name: c, image: busybox, command: [sh, -c, {script:?}], {container}}}]}}}}"
    );
    apply(host, &yaml).pods.remove(0)
}

fn end(pod: &PodHandle) -> PodResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let wait = async { tokio::time::timeout(Duration::from_secs(60), pod.wait()).await };
    runtime.block_on(wait).unwrap().unwrap()
}

fn out(result: &PodResult) -> String {
    String::from_utf8_lossy(&result.containers[0].output).into_owned()
}

/// Waits until `look` sees what it waits for.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "waited too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn status(host: &Host) -> Option<PodStatus> {
    let (_, pods) = host.store().list(Kind::Pod, |_| true);
    Some(pods.first()?.object.as_pod()?.status.clone())
}

fn waits_for(host: &Host, wanted: &str) {
    let status = until(|| {
        let status = status(host)?;
        match &status.containers.first()?.state {
            ContainerState::Waiting { reason, message }
                if reason == "CreateContainerConfigError" && &**message == wanted =>
            {
                Some(status.clone())
            }
            _ => None,
        }
    });
    assert_eq!(status.phase, Phase::Pending);
    assert_eq!(status.containers[0].restarts, 0);
}

fn events(host: &Host) -> Vec<String> {
    let (_, events) = host.store().list(Kind::Event, |_| true);
    let text = |object: &Object| match object {
        Object::Event(record) => Some(format!("{} {}", record.event.reason, record.event.note)),
        _ => None,
    };
    events.iter().filter_map(|it| text(&it.object)).collect()
}

const MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: '7'}
";
const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: hunter2}
data: {user: YWRtaW4=}
";

#[test]
fn variables_come_from_the_objects_of_the_same_file() {
    let host = host();
    apply(&host, &format!("{MAP}---{SECRET}"));
    let pod = pod(
        &host,
        r#"echo "$colour|$S_user|$S_password|$X|$NONE|""#,
        "envFrom: [{configMapRef: {name: settings}}, {prefix: S_, secretRef: {name: key}}, \
         {configMapRef: {name: none, optional: true}}], \
         env: [{name: X, valueFrom: {configMapKeyRef: {name: settings, key: size}}}, \
         {name: NONE, valueFrom: {secretKeyRef: {name: key, key: none, optional: true}}}]",
    );
    assert_eq!(out(&end(&pod)), "blue|admin|hunter2|7||\n");
}

#[test]
fn a_container_waits_for_what_it_needs_and_starts_when_it_is_there() {
    let host = host();
    let pod = pod(
        &host,
        r#"echo "$A $B""#,
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}, \
         {name: B, valueFrom: {secretKeyRef: {name: key, key: user}}}]",
    );
    waits_for(&host, "configmap \"settings\" not found");
    apply(
        &host,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: other}, data: {colour: red}}",
    );
    let began = Instant::now();
    apply(&host, MAP);
    waits_for(&host, "secret \"key\" not found");
    assert!(events(&host).contains(&"Failed Error: secret \"key\" not found".to_owned()));
    apply(&host, SECRET);
    assert_eq!(out(&end(&pod)), "blue admin\n");
    // Not by the slow look that is there for safety.
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_key_that_is_missing_is_named_and_no_value_of_a_secret_is_told() {
    let host = host();
    apply(&host, SECRET);
    let pod = pod(
        &host,
        "true",
        "env: [{name: A, valueFrom: {secretKeyRef: {name: key, key: none}}}]",
    );
    waits_for(&host, "couldn't find key none in Secret default/key");
    assert!(!format!("{:?}", events(&host)).contains("hunter2"));
    pod.cancel();
    until(|| status(&host).is_none().then_some(()));
}

#[test]
fn a_jobs_deadline_ends_pods_that_wait() {
    let host = host();
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {activeDeadlineSeconds: 600, \
               template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox, \
               command: ['true'], envFrom: [{secretRef: {name: none}}]}]}}}}";
    let job = apply(&host, job).jobs.remove(0);
    waits_for(&host, "secret \"none\" not found");
    job.edit(|spec| spec.active_deadline_seconds = Some(1))
        .unwrap();
    let result = job.wait_blocking().unwrap();
    assert!(!result.is_complete());
    assert_eq!(
        job.get().unwrap().finished().unwrap().reason,
        "DeadlineExceeded"
    );
}

/// A pod with volumes: its shell runs `script`; `mounts` and `volumes` are lists.
fn with_volumes(host: &Host, script: &str, mounts: &str, volumes: &str) -> PodHandle {
    let yaml = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p, labels: {{app: shop, tier: back}}}}, \
         spec: {{restartPolicy: Never, volumes: [{volumes}], containers: [{{name: c, image: busybox, \
         command: [sh, -c, {script:?}], resources: {{limits: {{memory: 64Mi}}}}, \
         volumeMounts: [{mounts}]}}]}}}}"
    );
    apply(host, &yaml).pods.remove(0)
}

#[test]
fn files_come_from_config_maps_secrets_and_the_pod() {
    let host = host();
    apply(&host, &format!("{MAP}---{SECRET}"));
    let pod = with_volumes(
        &host,
        "cat /map/colour; echo; cat /map/size; echo; cat /one/deep/c; echo; cat /secret/user; echo; \
         cat /all/password /all/name; echo; cat /pod/labels; echo; cat /pod/memory; echo; \
         echo x > /map/new || echo refused; ls /none | wc -l",
        "{name: map, mountPath: /map}, {name: one, mountPath: /one}, {name: secret, mountPath: /secret}, \
         {name: all, mountPath: /all}, {name: pod, mountPath: /pod}, {name: none, mountPath: /none}",
        "{name: map, configMap: {name: settings}}, \
         {name: one, configMap: {name: settings, items: [{key: colour, path: deep/c}]}}, \
         {name: secret, secret: {secretName: key, defaultMode: 0400}}, \
         {name: all, projected: {sources: [{secret: {name: key, items: [{key: password, path: password}]}}, \
         {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}]}}, \
         {name: pod, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, \
         {path: memory, resourceFieldRef: {containerName: c, resource: limits.memory, divisor: 1Mi}}]}}, \
         {name: none, configMap: {name: none, optional: true}}",
    );
    let result = end(&pod);
    let lines: Vec<String> = out(&result).lines().map(str::to_owned).collect();
    assert_eq!(
        lines[..8],
        [
            "blue",
            "7",
            "blue",
            "admin",
            "hunter2p",
            "app=\"shop\"",
            "tier=\"back\"",
            "64"
        ]
    );
    assert!(lines.contains(&"refused".to_owned()), "{lines:?}");
    assert_eq!(lines.last().map(|line| line.trim()), Some("0"));
}

#[test]
fn a_pod_waits_for_what_its_volumes_are_made_of() {
    let host = host();
    let pod = with_volumes(
        &host,
        "cat /map/colour",
        "{name: map, mountPath: /map}",
        "{name: map, configMap: {name: settings}}",
    );
    let wanted = "FailedMount MountVolume.SetUp failed for volume \"map\" : configmap \"settings\" not found";
    until(|| events(&host).contains(&wanted.to_owned()).then_some(()));
    assert_eq!(status(&host).unwrap().phase, Phase::Pending);
    let began = Instant::now();
    apply(&host, MAP);
    assert_eq!(out(&end(&pod)), "blue");
    // Not by the slow look that is there for safety.
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[test]
fn a_part_of_a_volume_is_mounted_and_nothing_outside_of_it() {
    let host = host();
    apply(&host, MAP);
    let pod = with_volumes(
        &host,
        "cat /etc/app/colour.conf; echo; ls /etc/app; echo kept > /data/file; cat /whole/own/p/file; \
         ls /data",
        "{name: map, mountPath: /etc/app/colour.conf, subPath: colour}, \
         {name: map, mountPath: /etc/app/size, subPath: size}, \
         {name: dir, mountPath: /data, subPath: own/p}, {name: dir, mountPath: /whole}",
        "{name: map, configMap: {name: settings}}, {name: dir, emptyDir: {}}",
    );
    assert_eq!(out(&end(&pod)), "blue\ncolour.conf\nsize\nkept\nfile\n");
}

#[test]
fn a_config_map_that_changes_reaches_the_pods_that_mount_it() {
    let host = host();
    apply(&host, MAP);
    let pod = with_volumes(
        &host,
        "cat /map/colour; echo; while [ \"$(cat /map/colour)\" != green ]; do sleep 0.01; done; \
         cat /map/colour; echo; test -e /map/size || echo gone; cat /part/size",
        "{name: map, mountPath: /map}, {name: map, mountPath: /part/size, subPath: size}",
        "{name: map, configMap: {name: settings}}",
    );
    until(|| (status(&host)?.phase == Phase::Running).then_some(()));
    until(|| {
        let logs = host.logs(pod.uid());
        let text = logs.first()?.tail(10, 1000);
        text.contains("blue").then_some(())
    });
    let (_, found) = host.store().list(Kind::Generic, |_| true);
    let seen = found[0].object.clone();
    let row = seen.as_generic().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&row.json).unwrap();
    json["data"] = serde_json::json!({"colour": "green"});
    let new = wasmjob::GenericObject {
        json: serde_json::to_vec(&json).unwrap().into(),
        ..(**row).clone()
    };
    let write = wasmjob::Write::Replace {
        seen: seen.clone(),
        new: wasmjob::Replacement::Generic(new),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(host.write(write)).unwrap();
    assert_eq!(out(&end(&pod)), "blue\ngreen\ngone\n7");
}

#[test]
fn a_volume_in_memory_counts_against_the_memory_limit() {
    let host = host();
    let fill = |megabytes: u32| {
        let script = format!(
            "yes | head -c 1000000 > /m/a; i=0; while [ $i -lt {megabytes} ]; do cat /m/a >> /m/b; \
             i=$((i+1)); done; sleep {}; echo done",
            if megabytes > 40 { 60 } else { 1 }
        );
        let pod = with_volumes(
            &host,
            &script,
            "{name: m, mountPath: /m}",
            "{name: m, emptyDir: {medium: Memory}}",
        );
        let result = end(&pod);
        pod.cancel();
        until(|| status(&host).is_none().then_some(()));
        result
    };
    assert_eq!(out(&fill(8)), "done\n");
    let began = Instant::now();
    let result = fill(80);
    assert_eq!(result.pod.status.reason.as_deref(), Some("Evicted"));
    assert!(began.elapsed() < Duration::from_secs(50));
}
