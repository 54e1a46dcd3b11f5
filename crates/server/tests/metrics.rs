//! What the server tells of what pods use, and of everything else in numbers.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

mod support;

use support::Served;

const QUICK: &str = "(module (func (export \"_start\")))";
const FAILING: &str = "(module (func (export \"_start\") unreachable))";
const BUSY: &str = "(module (memory 16) (func (export \"_start\") (loop (br 0))))";

fn job(served: &Served, name: &str, image: &str) {
    served.create(
        "/apis/batch/v1/namespaces/default/jobs",
        &format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{backoffLimit: 0, template: \
             {{spec: {{restartPolicy: Never, containers: [{{name: c, image: {image}, \
             env: [{{name: PASSWORD, value: hunter2}}]}}]}}}}}}}}"
        ),
    );
}

#[test]
fn jobs_cron_jobs_pods_and_requests_are_counted() {
    let served = Served::start(&[("quick", QUICK), ("failing", FAILING), ("busy", BUSY)]);
    job(&served, "good", "quick");
    job(&served, "bad", "failing");
    job(&served, "long", "busy");
    served.create(
        "/apis/batch/v1/namespaces/default/cronjobs",
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: yearly}, spec: {schedule: '0 0 1 1 *', \
         jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: quick}]}}}}}}",
    );
    served.wait(|| {
        let metrics = served.get("/metrics");
        metrics.contains(
            "kube_job_complete{namespace=\"default\",job_name=\"good\",condition=\"true\"} 1\n",
        ) && metrics.contains(
            "kube_job_failed{namespace=\"default\",job_name=\"bad\",condition=\"true\"} 1\n",
        ) && metrics.contains("wasmjob_pods_running 1\n")
            // The node knows before everybody can see it.
            && metrics.contains("kube_pod_status_phase{namespace=\"default\",phase=\"Running\"} 1\n")
            // A pod runs before its guest has its memory.
            && metrics.contains("wasmjob_guest_memory_bytes 1048576\n")
    });
    let metrics = served.get("/metrics");
    for line in [
        "kube_job_info{namespace=\"default\",job_name=\"long\"} 1",
        "kube_job_status_active{namespace=\"default\",job_name=\"long\"} 1",
        "kube_job_status_succeeded{namespace=\"default\",job_name=\"good\"} 1",
        "kube_job_status_failed{namespace=\"default\",job_name=\"bad\",reason=\"BackoffLimitExceeded\"} 1",
        "kube_job_status_failed{namespace=\"default\",job_name=\"good\"} 0",
        "kube_job_owner{namespace=\"default\",job_name=\"good\",owner_kind=\"\",owner_name=\"\",owner_is_controller=\"\"} 1",
        "kube_cronjob_info{namespace=\"default\",cronjob=\"yearly\",schedule=\"0 0 1 1 *\",concurrency_policy=\"Allow\",timezone=\"local\"} 1",
        "kube_cronjob_spec_successful_job_history_limit{namespace=\"default\",cronjob=\"yearly\"} 3",
        "kube_pod_status_phase{namespace=\"default\",phase=\"Running\"} 1",
        "kube_pod_status_phase{namespace=\"default\",phase=\"Succeeded\"} 1",
        "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",reason=\"\",result=\"succeeded\"} 1",
        "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",reason=\"BackoffLimitExceeded\",result=\"failed\"} 1",
        "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\"} 1",
        "apiserver_request_total{verb=\"POST\",group=\"batch\",version=\"v1\",resource=\"jobs\",subresource=\"\",code=\"201\"} 3",
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1",
        "wasmjob_store_writable 1",
        "wasmjob_guest_memory_bytes 1048576",
    ] {
        assert!(
            metrics.lines().any(|it| it == line),
            "{line} is not in:\n{metrics}"
        );
    }
    assert!(metrics.contains("\nkube_cronjob_next_schedule_time{"));
    assert!(!metrics.contains("hunter2"));
    // Every sample is below the words about its metric, and each metric stands once.
    let mut names = Vec::new();
    for line in metrics.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.push(rest.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(names.last().unwrap()), "{line}");
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    let metrics = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), metrics);
}

#[test]
fn what_runs_is_measured_when_somebody_asks() {
    let served = Served::start(&[("quick", QUICK), ("busy", BUSY)]);
    served.pod("spins", "busy", "");
    served.pod("ended", "quick", "");
    served.wait_for_phase("spins", "Running");
    served.wait_for_phase("ended", "Succeeded");
    let base = "/apis/metrics.k8s.io/v1beta1";
    let pods = served.get_json(&format!("{base}/namespaces/default/pods"));
    assert_eq!(pods["kind"], "PodMetricsList");
    assert_eq!(pods["items"].as_array().unwrap().len(), 1, "{pods}");
    let pod = &pods["items"][0];
    assert_eq!(pod["metadata"]["name"], "spins");
    assert_eq!(pod["metadata"]["labels"]["app"], "spins");
    assert_eq!(pod["containers"][0]["name"], "c");
    assert_eq!(pod["containers"][0]["usage"]["memory"], "1024Ki");
    let cpu = pod["containers"][0]["usage"]["cpu"].as_str().unwrap();
    let nanos: u64 = cpu.strip_suffix('n').unwrap().parse().unwrap();
    assert!((100_000_000..=1_100_000_000).contains(&nanos), "{pod}");
    assert!(pod["window"].as_str().unwrap().ends_with("ms"), "{pod}");

    let node = served.get_json(&format!("{base}/nodes"));
    assert_eq!(node["items"][0]["usage"]["memory"], "1024Ki", "{node}");
    assert_eq!(node["items"][0]["usage"]["cpu"], cpu, "{node}");
    let name = node["items"][0]["metadata"]["name"].as_str().unwrap();
    let one = served.get_json(&format!("{base}/nodes/{name}"));
    assert_eq!(one["kind"], "NodeMetrics");

    let chosen = |query: &str| {
        let found = served.get_json(&format!("{base}/pods?{query}"));
        found["items"].as_array().unwrap().len()
    };
    assert_eq!(chosen("labelSelector=app%3Dspins"), 1);
    assert_eq!(chosen("labelSelector=app%3Dended"), 0);
    assert_eq!(chosen("fieldSelector=metadata.name%3Dspins"), 1);
    let missing = |name: &str| {
        let path = format!("{base}/namespaces/default/pods/{name}");
        let (code, body) = served.request("GET", &path, "", "");
        assert_eq!(code, 404, "{body}");
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        status["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        missing("ended"),
        "podmetrics.metrics.k8s.io \"default/ended\" not found"
    );
    assert_eq!(missing("nobody"), "pods \"default/nobody\" not found");
    let accept = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n";
    let path = format!("{base}/namespaces/default/pods");
    let (_, table) = served.request("GET", &path, accept, "");
    assert!(table.contains("\"kind\":\"Table\"") && table.contains("1024Ki"));
}
