//! The end of a run for people: a table, and what failed.

use std::io::Write;
use std::sync::Arc;

use console::style;
use wasmjob::Host;
use wasmjob::api::{Job, JobConditionType, Phase, Pod, Terminated};

use crate::report::table;
use crate::run::{State, never_ends, printable};

/// Failed pods of one Job that are shown in full.
const PODS_SHOWN: usize = 3;
/// Lines of their logs that are shown.
const LINES_SHOWN: usize = 10;
/// Bytes of their logs that are shown.
const BYTES_SHOWN: usize = 4096;

/// Prints the summary.
pub(crate) fn print(
    state: &State,
    host: &Host,
    color: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut rows = Vec::new();
    if !state.jobs.is_empty() {
        rows.push(header());
        rows.extend(state.jobs.iter().map(|job| row(job, color)));
        writeln!(out)?;
        table::print(&rows, out)?;
    }
    failures(state, host, color, out)?;
    for uid in &state.bare {
        if let Some(bare) = state.pods.get(uid)
            && bare.status.phase != Phase::Failed
        {
            writeln!(out, "pod/{}: {}", bare.name, bare.status.phase.as_str())?;
        }
    }
    Ok(())
}

/// Prints what failed, and nothing if all is well.
pub(crate) fn failures(
    state: &State,
    host: &Host,
    color: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    for job in &state.jobs {
        if !job.status.is_true(JobConditionType::Complete) {
            failure(state, host, job, color, out)?;
        }
    }
    for uid in &state.bare {
        if let Some(bare) = state.pods.get(uid)
            && bare.status.phase == Phase::Failed
        {
            writeln!(out, "pod/{}: {}", bare.name, bare.status.phase.as_str())?;
            pod(host, bare, out)?;
        }
    }
    Ok(())
}

fn header() -> Vec<String> {
    ["NAME", "STATUS", "COMPLETIONS", "FAILED PODS", "DURATION"]
        .map(str::to_owned)
        .to_vec()
}

fn row(job: &Job, color: bool) -> Vec<String> {
    let status = table::status(job);
    let status = match status {
        "Complete" => style(status).green(),
        "Failed" => style(status).red(),
        _ => style(status).yellow(),
    };
    vec![
        format!("job/{}", job.name),
        status.force_styling(color).to_string(),
        table::completions(job),
        job.status.failed.to_string(),
        table::took(job),
    ]
}

/// Why a Job is not Complete, with the last words of its pods.
fn failure(
    state: &State,
    host: &Host,
    job: &Job,
    color: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let name = style(format!("job/{}", job.name))
        .bold()
        .force_styling(color);
    writeln!(out)?;
    match job.finished() {
        Some(condition) => writeln!(
            out,
            "{name} failed: {}: {}",
            condition.reason, condition.message
        )?,
        None => match never_ends(job) {
            Some(why) => writeln!(out, "{name} was not run: {why}")?,
            None => writeln!(out, "{name} was stopped before its end")?,
        },
    }
    let failed: Vec<&Arc<Pod>> = state
        .pods_of(job)
        .into_iter()
        // Also those that still wait for something, if they say for what.
        .filter(|pod| {
            pod.status.phase == Phase::Failed
                || !pod.status.phase.is_terminal() && pod.status.reason.is_some()
        })
        .collect();
    // The last ones: what they say is why the Job failed.
    let hidden = failed.len().saturating_sub(PODS_SHOWN);
    if hidden > 0 {
        writeln!(
            out,
            "  ({hidden} earlier pods are not shown; -o json has them all)"
        )?;
    }
    for failed in failed.into_iter().skip(hidden) {
        pod(host, failed, out)?;
    }
    Ok(())
}

/// A failed pod: how its containers ended, and the last lines of their logs.
fn pod(host: &Host, pod: &Pod, out: &mut impl Write) -> std::io::Result<()> {
    let status = &pod.status;
    if let Some(reason) = &status.reason {
        let message = status.message.as_deref().unwrap_or_default();
        writeln!(out, "  pod/{}: {reason}: {message}", pod.name)?;
    } else {
        writeln!(out, "  pod/{}:", pod.name)?;
    }
    let spec = &pod.template.spec;
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .zip(&status.init_containers);
    for (container, status) in init.chain(spec.containers.iter().zip(&status.containers)) {
        let now = status.state.terminated();
        // Of one that was restarted, what ended it before says more than its kill.
        let killed =
            |end: &&Terminated| matches!(end.exit_code, 137 | 143) && end.reason == "Error";
        let last = status.last_terminated.as_deref();
        let last = last.filter(|_| now.as_ref().is_none_or(killed));
        for end in last.into_iter().chain(now).filter(|end| end.exit_code != 0) {
            ended(host, pod, &container.name, end, out)?;
        }
    }
    Ok(())
}

fn ended(
    host: &Host,
    pod: &Pod,
    container: &str,
    end: &Terminated,
    out: &mut impl Write,
) -> std::io::Result<()> {
    writeln!(
        out,
        "    container {container}: exit code {} ({})",
        end.exit_code, end.reason
    )?;
    for line in end.message.lines() {
        writeln!(out, "      {}", printable(line.as_bytes()))?;
    }
    let logs = host.logs(pod.uid);
    let Some(log) = logs.iter().rev().find(|log| &*log.container == container) else {
        return Ok(());
    };
    for line in log.tail(LINES_SHOWN, BYTES_SHOWN).lines() {
        writeln!(out, "    | {}", printable(line.as_bytes()))?;
    }
    Ok(())
}
