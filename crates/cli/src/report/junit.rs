//! A JUnit report: a suite for each Job, a case for each index or pod.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use wasmjob::Host;
use wasmjob::api::{Job, JobConditionType, Phase, Pod};

use crate::report::table::status;
use crate::run::{State, printable};

/// Bytes of a case's log in the report.
const LOG_BYTES_MAX: usize = 64 << 10;

/// Prints the report.
pub(crate) fn print(state: &State, host: &Host, out: &mut impl Write) -> anyhow::Result<()> {
    let mut report = Report::new("wasmjob");
    for job in &state.jobs {
        report.add_test_suite(suite(state, host, job));
    }
    if !state.bare.is_empty() {
        let mut suite = TestSuite::new("pods");
        for pod in state.bare.iter().filter_map(|uid| state.pods.get(uid)) {
            suite.add_test_case(case(host, &pod.name, &[pod]));
        }
        report.add_test_suite(suite);
    }
    report.serialize(&mut *out)?;
    writeln!(out)?;
    Ok(())
}

fn suite(state: &State, host: &Host, job: &Job) -> TestSuite {
    let mut suite = TestSuite::new(format!("{}/{}", job.namespace, job.name));
    let pods = state.pods_of(job);
    if job.spec.is_indexed() {
        // An index that was tried again is one case: its last pod counts.
        let mut indexes: BTreeMap<u32, Vec<&Arc<Pod>>> = BTreeMap::new();
        for pod in pods {
            indexes
                .entry(pod.index.unwrap_or(u32::MAX))
                .or_default()
                .push(pod);
        }
        for (index, pods) in indexes {
            suite.add_test_case(case(host, &format!("{}-{index}", job.name), &pods));
        }
    } else {
        for pod in pods {
            suite.add_test_case(case(host, &pod.name, &[pod]));
        }
    }
    if !job.status.is_true(JobConditionType::Complete) {
        suite.add_test_case(verdict(job));
    }
    suite
}

/// The Job's own failure, which need not be that of a pod.
fn verdict(job: &Job) -> TestCase {
    let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
    match job.finished() {
        Some(condition) => {
            failure
                .set_type(condition.reason.as_ref())
                .set_message(condition.message.as_ref());
        }
        None => {
            failure
                .set_type(status(job))
                .set_message("the Job did not end");
        }
    }
    TestCase::new(format!("job/{}", job.name), failure)
}

/// A case of pods that tried the same; the last one counts.
fn case(host: &Host, name: &str, pods: &[&Arc<Pod>]) -> TestCase {
    let Some(pod) = pods.last() else {
        return TestCase::new(name, TestCaseStatus::skipped());
    };
    let mut status = match pod.status.phase {
        Phase::Succeeded => TestCaseStatus::success(),
        Phase::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Phase::Pending | Phase::Running => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if pod.status.phase != Phase::Succeeded {
        let (kind, message) = why(pod);
        status
            .set_type(kind)
            .set_message(printable(message.as_bytes()));
    }
    let mut case = TestCase::new(name, status);
    case.set_classname(
        pod.template
            .owner
            .as_ref()
            .map_or("Pod", |job| &job.name)
            .to_owned(),
    );
    let ends = pod
        .status
        .containers
        .iter()
        .filter_map(|c| c.state.terminated());
    if let Some(seconds) = ends
        .map(|end| end.finished.duration_since(end.started))
        .max()
    {
        case.set_time(seconds.try_into().unwrap_or_default());
    }
    let logs = host.logs(pod.uid);
    let text: Vec<_> = logs
        .iter()
        .map(|log| log.tail(usize::MAX, LOG_BYTES_MAX))
        .collect();
    case.set_system_out(text.join("\n"));
    case
}

/// Reason and text of a pod that did not succeed.
fn why(pod: &Pod) -> (String, String) {
    if let Some(reason) = &pod.status.reason {
        let message = pod.status.message.as_deref().unwrap_or_default();
        return (reason.to_string(), message.to_owned());
    }
    let all = pod
        .status
        .init_containers
        .iter()
        .chain(&pod.status.containers);
    let mut ends = all.flat_map(|c| {
        c.last_terminated
            .as_deref()
            .into_iter()
            .chain(c.state.terminated())
    });
    let failed = ends.find(|end| end.exit_code != 0);
    match failed {
        Some(end) if end.message.is_empty() => (
            end.reason.to_string(),
            format!("exit code {}", end.exit_code),
        ),
        Some(end) => {
            let message = end.message.replace('\n', " ");
            (
                end.reason.to_string(),
                format!("exit code {}: {message}", end.exit_code),
            )
        }
        None if pod.status.phase.is_terminal() => {
            let phase = pod.status.phase.as_str();
            (
                phase.to_owned(),
                "it was ended before a container failed".to_owned(),
            )
        }
        None => (
            pod.status.phase.as_str().to_owned(),
            "the pod did not end".to_owned(),
        ),
    }
}
