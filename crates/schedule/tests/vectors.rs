//! 1,148 answers of Go's robfig/cron v3: expressions × zones × starts.
//!
//! The rules of zones change. The oracle knew those of 2025; since then Morocco and Cuba
//! changed theirs, from autumn 2026 on. Five vectors ask for times after that; what is
//! right by the database in the binary stands in `cron-2026f.jsonl`.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use jiff::Timestamp;
use wasmjob_schedule::{DstPolicy, Schedule, Zone};

#[derive(serde::Deserialize)]
struct Vector {
    expr: String,
    tz: String,
    start: Timestamp,
    valid: bool,
    next: Vec<String>,
}

fn parse(line: &str) -> Vector {
    serde_json::from_str(line).unwrap()
}

#[test]
fn every_vector_comes_out_as_in_go() {
    let utc = Zone::utc();
    let newer = include_str!("cron-2026f.jsonl").lines().map(parse);
    let newer: HashMap<_, _> = newer
        .map(|vector| ((vector.expr, vector.tz, vector.start), vector.next))
        .collect();
    assert_eq!(newer.len(), 5);
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("cron.jsonl").lines() {
        let vector = parse(line);
        count += 1;
        let schedule = Schedule::parse(&vector.expr);
        if schedule.is_ok() != vector.valid {
            wrong.push(format!("{line}: {schedule:?}"));
            continue;
        }
        let Ok(schedule) = schedule else { continue };
        let zone = Zone::load(&vector.tz, &utc).unwrap();
        let mut at = vector.start;
        let mut next = Vec::new();
        while next.len() < 5
            && let Some(then) = schedule.next_after(at, &zone, DstPolicy::Kubernetes)
        {
            next.push(zone.rfc3339(then));
            at = then;
        }
        let key = (vector.expr, vector.tz, vector.start);
        if next != *newer.get(&key).unwrap_or(&vector.next) {
            wrong.push(format!("{line}: {next:?}"));
        }
    }
    assert_eq!(count, 1148);
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
