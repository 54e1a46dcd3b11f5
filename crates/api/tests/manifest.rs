//! Manifests: what is read, and every message, as users see it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use wasmjob_api::manifest::{Object, Source, read, read_all};

const POD: &str =
    "template: {spec: {restartPolicy: Never, containers: [{name: c, image: ./c.wasm}]}}";

/// A Job whose spec begins with `lines`.
fn job(lines: &str) -> String {
    format!("apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  {POD}\n{lines}\n")
}

fn problems(text: &str) -> String {
    match read(&Source {
        name: "job.yaml",
        bytes: text.as_bytes(),
    }) {
        Ok(_) => "fine".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(problems(text), expected);
}

#[track_caller]
fn warnings(text: &str, expected: &str) {
    let manifest = read(&Source {
        name: "job.yaml",
        bytes: text.as_bytes(),
    })
    .unwrap();
    let found: Vec<String> = manifest.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(found.join("\n"), expected);
}

#[test]
fn wrong_types_are_told_with_place_and_path() {
    check(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: nightly\nspec:\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}}\n  schedule:   5\n",
        "error: job.yaml:7:15: spec.schedule: expected a string, found the integer 5\nhint: put it in quotes",
    );
    check(
        &job("  suspend: ture"),
        "error: job.yaml:6:12: spec.suspend: expected a boolean, found the string \"ture\"\nhint: write true without quotes",
    );
    check(
        &job("  completions: 1.5"),
        "error: job.yaml:6:16: spec.completions: expected an integer, found the number 1.5",
    );
    check(
        &job("  completions: \"3\""),
        "error: job.yaml:6:16: spec.completions: expected an integer, found the string \"3\"\nhint: write 3 without quotes",
    );
    check(
        &job("  parallelism: 2147483648"),
        "error: job.yaml:6:16: spec.parallelism: expected an integer of 32 bits, found the integer 2147483648",
    );
    check(
        &job("  activeDeadlineSeconds: 9223372036854775808"),
        "error: job.yaml:6:26: spec.activeDeadlineSeconds: expected an integer of 64 bits, found the integer 9223372036854775808",
    );
    check(
        &job("  activeDeadlineSeconds: 1e999"),
        "error: job.yaml:6:26: spec.activeDeadlineSeconds: expected an integer, found the number inf",
    );
    check(
        &job("  selector: []"),
        "error: job.yaml:6:13: spec.selector: expected an object, found a list",
    );
}

#[test]
fn scalars_mean_what_they_mean_for_kubernetes() {
    let text = job("  suspend: yes\n  backoffLimit: 014\n  ttlSecondsAfterFinished: 1_000");
    let manifest = read(&Source {
        name: "job.yaml",
        bytes: text.as_bytes(),
    })
    .unwrap();
    let Object::Job(job) = &manifest.objects[0].object else {
        panic!("a Job")
    };
    let spec = job.spec.as_ref().unwrap();
    assert_eq!(spec.suspend, Some(true));
    assert_eq!(spec.backoff_limit, Some(12));
    assert_eq!(spec.ttl_seconds_after_finished, Some(1000));
}

#[test]
fn unknown_and_duplicate_fields_are_errors() {
    check(
        &job("  backofLimit: 3"),
        "error: job.yaml:6:3: spec.backofLimit: unknown field\nhint: did you mean `backoffLimit`?",
    );
    check(
        &job("  suspend: true\n  suspend: false"),
        "error: job.yaml:7:3: key \"suspend\" is already set at 6:3",
    );
    check(
        "{\"apiVersion\": \"batch/v1\", \"kind\": \"Job\", \"kind\": \"Job\", \"metadata\": {\"name\": \"\\ud83d\\ude00\"},\n \"spec\": {\"template\": {\"spec\": {\"restartPolicy\": \"Never\", \"containers\": []}}}}",
        "error: job.yaml:1:43: key \"kind\" is already set at 1:28\nerror: job.yaml:1:79: metadata.name: Invalid value: \"😀\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\nerror: job.yaml:2:59: spec.template.spec.containers: Required value",
    );
}

#[test]
fn what_was_meant_is_hinted_at() {
    check(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  template: {spec: {restartPolicy: Onfailure, containers: [{name: c, image: x}]}}\n",
        "error: job.yaml:5:36: spec.template.spec.restartPolicy: Unsupported value: \"Onfailure\": supported values: \"Always\", \"OnFailure\", \"Never\"\nhint: did you mean `OnFailure`?\nerror: job.yaml:5:36: spec.template.spec.restartPolicy: Unsupported value: \"Onfailure\": supported values: \"OnFailure\", \"Never\"\nhint: did you mean `OnFailure`?",
    );
    check(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: j}\nspec:\n  schedule: '* * * * *'\n  concurrencyPolicy: Forbin\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}}\n",
        "error: job.yaml:6:22: spec.concurrencyPolicy: Unsupported value: \"Forbin\": supported values: \"Allow\", \"Forbid\", \"Replace\"\nhint: did you mean `Forbid`?",
    );
    check(
        &job("  backoffLimit: 1").replace("name: j}", "name: My_Job}"),
        "error: job.yaml:3:18: metadata.name: Invalid value: \"My_Job\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\nhint: `my-job` would do",
    );
    check(
        &job("").replace(
            "image: ./c.wasm",
            "image: x, resources: {limits: {memory: 5GB}}",
        ),
        "error: job.yaml:5:105: spec.template.spec.containers[0].resources.limits[memory]: \"5GB\" is not a quantity: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\nhint: did you mean `5G`?",
    );
}

#[test]
fn kinds_that_are_not_run_are_named() {
    check(
        "apiVersion: apps/v1\nkind: Deployment\n",
        "error: job.yaml:2:7: kind \"Deployment\" of \"apps/v1\" is not supported: wasmjob runs Job and CronJob (batch/v1) and Pod (v1), with ConfigMap, Secret, PersistentVolumeClaim and NetworkPolicy, also in a List",
    );
    check(
        "apiVersion: v1\nkind: Job\n",
        "error: job.yaml:2:7: no matches for kind \"Job\" in version \"v1\"\nhint: write `apiVersion: batch/v1`",
    );
    check(
        "apiVersion: batch/v1\nkind: job\n",
        "error: job.yaml:2:7: kind \"job\" of \"batch/v1\" is not supported: wasmjob runs Job and CronJob (batch/v1) and Pod (v1), with ConfigMap, Secret, PersistentVolumeClaim and NetworkPolicy, also in a List\nhint: did you mean `Job`?",
    );
    check(
        "metadata: {}\n",
        "error: job.yaml:1:1: apiVersion: Required value\nerror: job.yaml:1:1: kind: Required value",
    );
    check(
        "- a\n",
        "error: job.yaml:1:1: expected an object, found a list",
    );
}

#[test]
fn all_problems_of_all_sources_come_at_once() {
    let (a, b) = (job("  parallelism: -1\n---\n}"), job("  completions: x"));
    let sources = [
        Source {
            name: "a.yaml",
            bytes: a.as_bytes(),
        },
        Source {
            name: "b.yaml",
            bytes: b.as_bytes(),
        },
    ];
    assert_eq!(
        read_all(&sources).unwrap_err().to_string(),
        "error: a.yaml:6:16: spec.parallelism: Invalid value: -1: must be greater than or equal to 0\nerror: a.yaml:8:1: not valid YAML: misplaced bracket\nerror: b.yaml:6:16: spec.completions: expected an integer, found the string \"x\"\nerror: b.yaml:1:1: metadata.name: Job \"j\" is already defined at a.yaml:1:1",
    );
}

#[test]
fn documents_lists_and_empty_ones_are_flattened() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {generateName: p-}, spec: {containers: [{name: c, image: x}]}}";
    let text = format!(
        "# a comment\n---\n---\n{}---\napiVersion: v1\nkind: List\nitems:\n- {pod}\n- {pod}\n---\n",
        job("")
    );
    let manifest = read(&Source {
        name: "job.yaml",
        bytes: text.as_bytes(),
    })
    .unwrap();
    let found: Vec<_> = manifest
        .objects
        .iter()
        .map(|l| (l.object.kind(), l.at.line))
        .collect();
    assert_eq!(found, [("Job", 4), ("Pod", 14), ("Pod", 15)]);
}

#[test]
fn items_of_a_job_list_need_not_repeat_their_kind() {
    let text = format!(
        "apiVersion: batch/v1\nkind: JobList\nitems:\n- metadata: {{name: a}}\n  spec: {{{POD}}}\n"
    );
    let manifest = read(&Source {
        name: "job.yaml",
        bytes: text.as_bytes(),
    })
    .unwrap();
    assert_eq!(manifest.objects[0].object.kind(), "Job");
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let text = "
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - &base {name: a, image: ./a.wasm, args: [x]}
      - <<: *base
        name: b
";
    let manifest = read(&Source {
        name: "job.yaml",
        bytes: text.as_bytes(),
    })
    .unwrap();
    let Object::Job(job) = &manifest.objects[0].object else {
        panic!("a Job")
    };
    let containers = &job
        .spec
        .as_ref()
        .unwrap()
        .template
        .spec
        .as_ref()
        .unwrap()
        .containers;
    assert_eq!(
        (containers[1].name.as_str(), containers[1].args.as_deref()),
        ("b", Some(&["x".to_owned()][..]))
    );
}

#[test]
fn what_would_change_isolation_or_meaning_is_refused() {
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostNetwork: true\n  volumes:\n  - name: s\n    nfs: {server: x, path: /}\n  containers:\n  - name: c\n    image: x\n    stdin: true\n    securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}}\n    resources: {limits: {nvidia.com/gpu: 1, wasmjob.dev/fuel: 1000}}\n    livenessProbe: {httpGet: {port: 80}}\n",
        "error: job.yaml:5:16: spec.hostNetwork: Forbidden: not supported: a module never shares the host's network\nerror: job.yaml:8:5: spec.volumes[0].nfs: Forbidden: not supported yet: volumes are configMap, downwardAPI, emptyDir, hostPath, persistentVolumeClaim, projected or secret\nerror: job.yaml:12:12: spec.containers[0].stdin: Forbidden: not supported: a Job's modules have no terminal\nerror: job.yaml:13:35: spec.containers[0].securityContext.privileged: Forbidden: not supported: every module stays in its sandbox\nerror: job.yaml:13:56: spec.containers[0].securityContext.capabilities.add: Forbidden: not supported: every module stays in its sandbox\nerror: job.yaml:14:42: spec.containers[0].resources.limits[nvidia.com/gpu]: Forbidden: not supported: this node has no such device\nerror: job.yaml:15:21: spec.containers[0].livenessProbe.httpGet: Forbidden: not supported: a module has no network address; use exec",
    );
}

#[test]
fn what_is_harmless_is_said_once() {
    let pod = job("").replace("spec: {restart", "spec: {nodeSelector: {a: b}, restart");
    let twice = format!("{pod}---\n{}", pod.replace("name: j}", "name: k}"));
    warnings(
        &twice,
        "note: spec.template.spec.nodeSelector has no effect here: there is one node",
    );
}

#[test]
fn a_pod_is_checked_for_what_we_act_on() {
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a b: c}}\nspec:\n  restartPolicy: Sometimes\n  activeDeadlineSeconds: 0\n  volumes:\n  - {name: v, emptyDir: {}, hostPath: {path: /x}}\n  - {name: v}\n  initContainers:\n  - {name: c, image: x, livenessProbe: {exec: {command: [x]}}}\n  containers:\n  - {name: c, volumeMounts: [{name: w, mountPath: /a}, {name: v, mountPath: /a}]}\n  - {name: d, image: x, env: [{name: A=B}, {name: C, value: x, valueFrom: {fieldRef: {fieldPath: spec.what}}}]}\n  - {name: e, image: x, resources: {requests: {cpu: 2}, limits: {cpu: 1}}}\n",
        "error: job.yaml:3:21: metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\nerror: job.yaml:5:18: spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"\nerror: job.yaml:6:26: spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive\nerror: job.yaml:8:29: spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type\nerror: job.yaml:9:12: spec.volumes[1].name: Duplicate value: \"v\"\nerror: job.yaml:11:12: spec.initContainers[0].name: Duplicate value: \"c\"\nerror: job.yaml:11:25: spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always\nerror: job.yaml:13:5: spec.containers[0].image: Required value\nerror: job.yaml:13:37: spec.containers[0].volumeMounts[0].name: Not found: \"w\"\nerror: job.yaml:13:77: spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique\nerror: job.yaml:14:38: spec.containers[1].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='\nerror: job.yaml:14:64: spec.containers[1].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty\nerror: job.yaml:14:98: spec.containers[1].env[1].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.what\": error converting fieldPath: field label not supported: spec.what\nerror: job.yaml:15:37: spec.containers[2].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
    );
}

#[test]
fn what_follows_from_a_problem_is_not_a_second_problem() {
    check(
        &job("").replace("containers:", "container:"),
        "error: job.yaml:5:43: spec.template.spec.container: unknown field\nhint: did you mean `containers`?",
    );
    check(
        &job("").replace("[{name: c, image: ./c.wasm}]", "[./c.wasm]"),
        "error: job.yaml:5:56: spec.template.spec.containers[0]: expected an object, found the string \"./c.wasm\"",
    );
    check(
        &job(
            "  podFailurePolicy: {rules: [{action: Fail, onExitCodes: {operator: In, values: [x]}}]}",
        ),
        "error: job.yaml:6:39: spec.podFailurePolicy.rules[0].action: Unsupported value: \"Fail\": supported values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"\nhint: did you mean `FailJob`?\nerror: job.yaml:6:82: spec.podFailurePolicy.rules[0].onExitCodes.values[0]: expected an integer, found the string \"x\"",
    );
}

#[test]
fn sidecars_and_restart_rules_are_checked() {
    let pod = |containers: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers: [{{name: c, image: x}}]\n  initContainers:\n{containers}"
        )
    };
    check(
        &pod(
            "  - {name: s, image: x, restartPolicy: Always, livenessProbe: {exec: {command: [x]}}}\n",
        ),
        "fine",
    );
    check(
        &pod(
            "  - name: s\n    image: x\n    restartPolicyRules:\n    - {action: Stop, exitCodes: {operator: In, values: [1, 1]}}\n",
        ),
        "error: job.yaml:7:5: spec.initContainers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used\nerror: job.yaml:10:16: spec.initContainers[0].restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\"\nerror: job.yaml:10:60: spec.initContainers[0].restartPolicyRules[0].exitCodes.values[1]: Duplicate value: 1",
    );
    check(
        &pod(
            "  - {name: s, image: x, restartPolicy: Always, readinessProbe: {httpGet: {port: 1}, exec: {command: []}, terminationGracePeriodSeconds: 1}}\n",
        ),
        "error: job.yaml:7:65: spec.initContainers[0].readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type\nerror: job.yaml:7:65: spec.initContainers[0].readinessProbe.httpGet: Forbidden: not supported: a module has no network address; use exec\nerror: job.yaml:7:92: spec.initContainers[0].readinessProbe.exec.command: Required value\nerror: job.yaml:7:137: spec.initContainers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
    );
}

#[test]
fn what_only_a_daemon_takes_says_so() {
    check(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\n",
        "error: job.yaml:2:7: kind \"ResourceQuota\" is not taken from a manifest here: wasmjob runs Job and CronJob (batch/v1) and Pod (v1), with ConfigMap, Secret, PersistentVolumeClaim and NetworkPolicy, also in a List\nhint: a daemon (`wasmjob serve`) takes it over its API: `wasmjob apply -f`, or kubectl",
    );
}
