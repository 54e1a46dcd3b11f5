//! What a kubelet does, with a shell as the guest.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::path::Path;
use std::time::{Duration, Instant};

use wasmjob::api::{ContainerState, Phase, Terminated};
use wasmjob::{Host, HostBuilder, PodResult};

const BUSYBOX: &[u8] = include_bytes!("../../../wasm-examples/busybox/busybox.wasm");

fn builder() -> HostBuilder {
    Host::builder()
        .module("busybox", BUSYBOX)
        .limits(wasmjob::Limits {
            guests: 64,
            ..wasmjob::Limits::default()
        })
}

fn host() -> Host {
    builder().build().unwrap()
}

/// Runs a bare Pod to its end.
fn pod(host: &Host, spec: &str) -> PodResult {
    let yaml = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: test}}}}\nspec:\n{spec}"
    );
    let source = wasmjob::api::manifest::Source {
        name: "pod.yaml",
        bytes: yaml.as_bytes(),
    };
    let manifest =
        wasmjob::api::manifest::read(&source).unwrap_or_else(|problems| panic!("{problems}"));
    let pod = host.apply(manifest).unwrap().pods.remove(0);
    block_on(async {
        tokio::time::timeout(Duration::from_secs(60), pod.wait())
            .await
            .unwrap()
            .unwrap()
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn out(result: &PodResult) -> String {
    String::from_utf8_lossy(&result.containers[0].output).into_owned()
}

fn end(result: &PodResult) -> &Terminated {
    result.containers[0].end.as_ref().unwrap()
}

#[test]
fn environment_arguments_and_the_downward_api_arrive_expanded() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    command: [sh, -c]
    args: ['echo "$A|$B|$NAME|$NS|$APP|$NODE|$MEM|$HOSTNAME|$(A)|\$$(A)"']
    resources: {limits: {memory: 64Mi}}
    env:
    - {name: A, value: one}
    - {name: B, value: '$(A) and $(MISSING)'}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
"#,
    );
    assert_eq!(result.phase(), Phase::Succeeded, "{}", out(&result));
    let text = out(&result);
    assert!(
        text.starts_with("one|one and $(MISSING)|p|default|test|wasmjob|64|p|one|"),
        "{text}"
    );
}

#[test]
fn init_containers_run_in_order_and_share_an_empty_dir() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - {name: first, image: busybox, command: [sh, -c, 'echo one > /data/f'], volumeMounts: [{name: data, mountPath: /data}]}
  - {name: second, image: busybox, command: [sh, -c, 'echo two >> /data/f'], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
  - {name: c, image: busybox, command: [cat, /data/f], volumeMounts: [{name: data, mountPath: /data, readOnly: true}]}
"#,
    );
    assert_eq!(
        (result.phase(), out(&result).as_str()),
        (Phase::Succeeded, "one\ntwo\n")
    );
}

#[test]
fn a_failed_init_container_fails_the_pod_and_nothing_else_runs() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  initContainers: [{name: i, image: busybox, command: [sh, -c, 'exit 7']}]
  containers: [{name: c, image: busybox, command: [echo, never]}]
"#,
    );
    assert_eq!(result.phase(), Phase::Failed);
    let init = &result.pod.status.init_containers[0];
    assert_eq!(init.state.terminated().unwrap().exit_code, 7);
    assert!(matches!(
        result.pod.status.containers[0].state,
        ContainerState::Waiting { .. }
    ));
    assert!(result.containers[0].output.is_empty());
}

#[test]
fn a_sidecar_runs_beside_the_container_and_ends_with_it() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - name: sidecar
    image: busybox
    restartPolicy: Always
    command: [sh, -c, 'echo ready > /data/ready; sleep 3600']
    volumeMounts: [{name: data, mountPath: /data}]
    startupProbe: {exec: {command: [test, -f, /data/ready]}, periodSeconds: 1, failureThreshold: 60, timeoutSeconds: 20}
  containers:
  - {name: c, image: busybox, command: [cat, /data/ready], volumeMounts: [{name: data, mountPath: /data}]}
"#,
    );
    assert_eq!(
        (result.phase(), out(&result).as_str()),
        (Phase::Succeeded, "ready\n")
    );
    assert!(
        result.pod.status.init_containers[0]
            .state
            .terminated()
            .is_some()
    );
}

#[test]
fn on_failure_restarts_in_place_at_once_the_first_time() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: OnFailure
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'if [ -f /data/seen ]; then echo again; exit 0; fi; touch /data/seen; exit 5']
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!(
        (result.phase(), out(&result).as_str()),
        (Phase::Succeeded, "again\n")
    );
    let status = &result.pod.status.containers[0];
    assert_eq!(status.restarts, 1);
    assert_eq!(status.last_terminated.as_ref().unwrap().exit_code, 5);
}

#[test]
fn a_containers_own_rules_beat_the_pods_policy() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'if [ -f /data/seen ]; then exit 9; fi; touch /data/seen; exit 42']
    restartPolicy: Never
    restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!((result.phase(), end(&result).exit_code), (Phase::Failed, 9));
    assert_eq!(result.pod.status.containers[0].restarts, 1);
}

#[test]
fn a_liveness_probe_that_fails_restarts_the_container() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: OnFailure
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'if [ -f /data/seen ]; then echo done; exit 0; fi; touch /data/seen; sleep 3600']
    livenessProbe: {exec: {command: [test, -f, /nowhere]}, initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 1}
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!(
        (result.phase(), out(&result).as_str()),
        (Phase::Succeeded, "done\n")
    );
    // The shell hears SIGTERM, which comes first.
    let last = result.pod.status.containers[0]
        .last_terminated
        .as_ref()
        .unwrap();
    assert_eq!(last.exit_code, 143);
}

#[test]
fn a_probe_does_not_outlive_its_container_nor_the_pods_deadline() {
    let spinning = "exec: {command: [sh, -c, 'while true; do :; done']}, timeoutSeconds: 3600";
    for (lives, phase) in [("sleep 2", Phase::Succeeded), ("sleep 3600", Phase::Failed)] {
        let deadline = if phase == Phase::Failed { 2 } else { 3600 };
        let host = host();
        let result = pod(
            &host,
            &format!(
                r#"
  restartPolicy: Never
  activeDeadlineSeconds: {deadline}
  containers:
  - name: c
    image: busybox
    command: [sh, -c, '{lives}']
    readinessProbe: {{{spinning}}}
"#
            ),
        );
        assert_eq!(result.phase(), phase);
        // Not later either: the pod has ended when all that ran for it has.
        let figures = block_on(host.figures()).unwrap();
        assert_eq!(figures.usage.guests, 0, "{lives}");
    }
}

#[test]
fn the_pods_own_deadline_fails_it_in_time() {
    let host = host();
    // Loading counts, and on a busy machine takes all of the deadline.
    host.preload("busybox", std::path::Path::new(".")).unwrap();
    let begin = Instant::now();
    let result = pod(
        &host,
        r#"
  restartPolicy: Never
  activeDeadlineSeconds: 1
  containers: [{name: c, image: busybox, command: [sh, -c, 'while true; do :; done']}]
"#,
    );
    assert_eq!(result.phase(), Phase::Failed);
    assert_eq!(
        result.pod.status.reason.as_deref(),
        Some("DeadlineExceeded")
    );
    assert_eq!(
        result.pod.status.message.as_deref(),
        Some("Pod was active on the node longer than the specified deadline")
    );
    assert_eq!(end(&result).exit_code, 137);
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(3),
        "{took:?}"
    );
}

#[test]
fn the_termination_message_is_read_from_its_file() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  containers: [{name: c, image: busybox, command: [sh, -c, 'echo "last words" > /dev/termination-log; exit 3']}]
"#,
    );
    assert_eq!(
        (end(&result).exit_code, &*end(&result).message),
        (3, "last words\n")
    );
}

#[test]
fn logs_serve_as_the_termination_message_if_asked() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    terminationMessagePolicy: FallbackToLogsOnError
    command: [sh, -c, 'echo what went wrong; exit 3']
"#,
    );
    assert_eq!(&*end(&result).message, "what went wrong");
}

#[test]
fn an_empty_dir_over_its_limit_evicts_the_pod() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {sizeLimit: 1Mi}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'x=0123456789abcdef0123456789abcdef; while true; do echo $x$x$x$x$x$x$x$x >> /data/f; done']
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!(
        (result.phase(), result.pod.status.reason.as_deref()),
        (Phase::Failed, Some("Evicted"))
    );
    assert_eq!(
        result.pod.status.message.as_deref(),
        Some("Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\". ")
    );
}

/// As in Kubernetes, where a limit counts if it is more than nothing.
#[test]
fn an_empty_dir_whose_limit_is_zero_has_none() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {sizeLimit: "0"}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'echo hello > /data/f && cat /data/f']
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!(
        (result.phase(), out(&result).as_str()),
        (Phase::Succeeded, "hello\n")
    );
}

#[test]
fn a_host_path_is_seen_only_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let allowed = dir.path().join("allowed");
    std::fs::create_dir(&allowed).unwrap();
    std::fs::write(allowed.join("f"), "from the host").unwrap();
    std::fs::write(dir.path().join("secret"), "hidden").unwrap();
    std::os::unix::fs::symlink(dir.path(), allowed.join("out")).unwrap();
    let spec = |path: &Path, command: &str| {
        format!(
            "  restartPolicy: Never\n  volumes: [{{name: h, hostPath: {{path: {}}}}}]\n  containers:\n  - {{name: c, image: busybox, \
             command: [sh, -c, '{command}'], volumeMounts: [{{name: h, mountPath: /h}}]}}\n",
            path.display()
        )
    };
    let host = builder()
        .allow_host_path(&allowed)
        .unwrap()
        .build()
        .unwrap();
    let real = allowed.canonicalize().unwrap();
    let result = pod(&host, &spec(&real, "cat /h/f"));
    assert_eq!(
        (result.phase(), out(&result).as_str()),
        (Phase::Succeeded, "from the host")
    );

    let host = builder()
        .allow_host_path(&allowed)
        .unwrap()
        .build()
        .unwrap();
    let result = pod(&host, &spec(&real, "cat /h/out/secret"));
    assert!(
        !out(&result).contains("hidden") && result.phase() == Phase::Failed,
        "{}",
        out(&result)
    );

    for path in [real.parent().unwrap().to_owned(), real.join("out")] {
        let host = builder()
            .allow_host_path(&allowed)
            .unwrap()
            .build()
            .unwrap();
        let result = pod(&host, &spec(&path, "cat /h/secret"));
        assert_eq!(
            result.pod.status.reason.as_deref(),
            Some("FailedMount"),
            "{}",
            path.display()
        );
        assert!(
            result
                .pod
                .status
                .message
                .as_deref()
                .unwrap()
                .contains("hostPath")
        );
    }
}

#[test]
fn pods_that_do_not_fit_wait_and_run_later() {
    let host = builder().memory(300 << 20).build().unwrap();
    let yaml = "
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  completions: 4
  parallelism: 4
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: [sleep, '0.2'], resources: {limits: {memory: 128Mi}}}]
";
    let job = host.apply_yaml("job.yaml", yaml).unwrap().remove(0);
    std::thread::sleep(Duration::from_millis(100));
    let waiting: Vec<_> = job
        .pods()
        .into_iter()
        .filter(|pod| pod.status.scheduled.is_none())
        .collect();
    assert_eq!(waiting.len(), 2);
    for pod in waiting {
        assert_eq!(
            pod.status.message.as_deref(),
            Some("0/1 nodes are available: 1 Insufficient memory.")
        );
    }
    assert!(job.wait_blocking().unwrap().is_complete());
}

#[test]
fn a_guest_that_traps_term_ends_in_its_own_way_when_deleted() {
    let host = host();
    let yaml = "
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: busybox, command: [sh, -c, 'trap \"echo bye; exit 0\" TERM; echo up; sleep 3600']}]
";
    let job = host.apply_yaml("job.yaml", yaml).unwrap().remove(0);
    let feed = job.follow_logs();
    let begin = Instant::now();
    let log = loop {
        if let Some(log) = job.logs().into_iter().next()
            && log.tail(9, 99).contains("up")
        {
            break log;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the guest did not start"
        );
        std::thread::sleep(Duration::from_millis(10));
    };
    job.cancel();
    let begin = Instant::now();
    while !log.read(0).ended {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the guest did not end"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(log.tail(9, 99), "up\nbye");
    assert!(!feed.try_next().is_empty());
}

#[test]
fn a_container_that_cannot_start_starts_no_other_one_twice() {
    let host = builder()
        .module("text", b"no wasm".to_vec())
        .build()
        .unwrap();
    let result = pod(
        &host,
        r#"
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - {name: a, image: text}
  - name: b
    image: busybox
    command: [sh, -c, 'if [ -f /data/seen ]; then echo twice; fi; touch /data/seen; sleep 0.2; echo once']
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!(result.phase(), Phase::Failed);
    assert_eq!(end(&result).reason, "StartError");
    assert_eq!(
        String::from_utf8_lossy(&result.containers[1].output),
        "once\n"
    );
    assert_eq!(host.logs(result.pod.uid).len(), 1);
}

#[test]
fn a_termination_message_belongs_to_one_run() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: OnFailure
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'if [ -f /data/seen ]; then exit 0; fi; touch /data/seen; echo first > /dev/termination-log; exit 3']
    volumeMounts: [{name: data, mountPath: /data}]
"#,
    );
    assert_eq!((end(&result).exit_code, &*end(&result).message), (0, ""));
    let last = result.pod.status.containers[0]
        .last_terminated
        .as_ref()
        .unwrap();
    assert_eq!(&*last.message, "first\n");
}

#[test]
fn logs_count_as_scratch_of_a_pod_without_volumes() {
    let result = pod(
        &host(),
        r#"
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'while true; do echo 0123456789; sleep 0.01; done']
    resources: {limits: {ephemeral-storage: 500}}
"#,
    );
    assert_eq!(result.pod.status.reason.as_deref(), Some("Evicted"));
}
