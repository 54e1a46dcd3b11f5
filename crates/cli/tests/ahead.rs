//! The commands that look ahead: `next` and `forecast`.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn wasmjob(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may refuse its arguments before it reads.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    child.wait_with_output().unwrap()
}

fn cron_job(name: &str, schedule: &str, zone: &str, rest: &str) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let zone = match zone {
        "" => String::new(),
        zone => format!("timeZone: {}, ", text(zone)),
    };
    format!(
        "---\n{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{schedule: {}, {zone}{rest}\
         jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: ./a.wasm}}]}}}}}}}}}}}}\n",
        text(schedule)
    )
}

fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Every tenth of the vectors through the binary; the crate `schedule` has them all.
#[test]
fn next_agrees_with_the_vectors() {
    let vectors = include_str!("../../schedule/tests/cron.jsonl");
    let newer = include_str!("../../schedule/tests/cron-2026f.jsonl");
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let key = |vector: &Value| {
        (
            vector["expr"].clone(),
            vector["tz"].clone(),
            vector["start"].clone(),
        )
    };
    let newer: Vec<Value> = newer.lines().map(read).collect();
    let mut compared = 0;
    let mut refused = 0;
    for vector in vectors.lines().map(read).step_by(10) {
        // Zones that changed since the vectors were made have newer answers.
        let vector = newer
            .iter()
            .find(|newer| key(newer) == key(&vector))
            .cloned()
            .unwrap_or(vector);
        let (expr, zone) = (
            vector["expr"].as_str().unwrap(),
            vector["tz"].as_str().unwrap(),
        );
        let from = vector["start"].as_str().unwrap();
        let manifest = cron_job("c", expr, zone, "");
        let output = wasmjob(&["next", "-", "--from", from, "-o", "json"], &manifest);
        if !vector["valid"].as_bool().unwrap() || expr.contains("TZ=") {
            assert_eq!(output.status.code(), Some(2), "{vector}");
            refused += 1;
            continue;
        }
        let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(found[0]["next"], vector["next"], "{vector}");
        assert_eq!(found[0]["schedule"], vector["expr"]);
        compared += 1;
    }
    assert!(
        compared > 80 && refused > 5,
        "{compared} compared, {refused} refused"
    );
}

#[test]
fn next_says_what_never_runs_and_what_is_suspended() {
    let manifest = cron_job("never", "0 0 31 2 *", "", "")
        + &cron_job("held", "0 0 * * *", "", "suspend: true, ");
    let output = wasmjob(
        &["next", "-", "--from", "2026-11-25T00:00:00Z", "-n", "1"],
        &manifest,
    );
    let text = stdout(&output);
    assert!(text.contains("default/never"), "{text}");
    assert!(text.contains("never"), "{text}");
    assert!(text.contains("suspended"), "{text}");
    let broken = wasmjob(&["next", "-"], &cron_job("bad", "61 * * * *", "", ""));
    assert_eq!(broken.status.code(), Some(2));
    let none = wasmjob(&["next", "-", "-n", "0"], &manifest);
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn forecast_counts_runs_skips_and_the_clocks() {
    let manifest = cron_job("nightly", "30 2 * * *", "Europe/Berlin", "")
        + &cron_job("slow", "*/5 * * * *", "", "concurrencyPolicy: Forbid, ");
    let args = [
        "forecast",
        "-",
        "--from",
        "2027-03-27T00:00:00Z",
        "--for",
        "2d",
        "--duration",
        "7m",
        "-o",
        "json",
    ];
    let found: Value = serde_json::from_str(&stdout(&wasmjob(&args, &manifest))).unwrap();
    let jobs = found["cronJobs"].as_array().unwrap();
    let one = |name: &str| jobs.iter().find(|job| job["name"] == name).unwrap().clone();
    // The night of the change has no 02:30.
    assert_eq!(one("nightly")["jobs"], 1, "{found}");
    assert_eq!(one("nightly")["dst"][0]["effect"], "Skipped", "{found}");
    let slow = one("slow");
    assert_eq!(slow["overlaps"], 0, "{slow}");
    // Of 576 slots every second waits for the one before, and then runs late.
    assert!(
        slow["late"].as_u64().unwrap() + slow["skipped"].as_u64().unwrap() > 200,
        "{slow}"
    );
    let text = wasmjob(&args[..args.len() - 2], &manifest);
    assert!(stdout(&text).contains("02:30 does not run"));
    let endless = wasmjob(&["forecast", "-", "--for", "9999999d"], &manifest);
    assert_eq!(endless.status.code(), Some(2));
}
