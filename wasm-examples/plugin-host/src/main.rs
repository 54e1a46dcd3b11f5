//! An application that runs plugins as Jobs: with a host function, a retry and a deadline.
//!
//! `adder` asks the application for numbers, fails the first time, and is started
//! again as its Job's restart policy says. `runaway` never ends, and is ended by
//! its deadline. Neither sees anything but what the application offers.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use wasmjob::Host;

const ADDER: &str = include_str!("adder.wat");
const RUNAWAY: &str = "(module (func (export \"_start\") (loop (br 0))))";

const JOBS: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: adder}
spec:
  backoffLimit: 3
  template:
    spec:
      restartPolicy: OnFailure
      containers:
      - name: plugin
        image: adder
        resources: {limits: {memory: 1Mi}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: runaway}
spec:
  activeDeadlineSeconds: 1
  template:
    spec:
      restartPolicy: Never
      containers: [{name: plugin, image: runaway}]
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let sum = Arc::new(AtomicI64::new(0));
    let attempts = Arc::new(AtomicU32::new(0));
    let (total, counted) = (Arc::clone(&sum), Arc::clone(&attempts));
    let host = Host::builder()
        .module("adder", wat::parse_str(ADDER)?)
        .module("runaway", wat::parse_str(RUNAWAY)?)
        .core_functions(move |linker| {
            let (total, counted) = (Arc::clone(&total), Arc::clone(&counted));
            linker.func_wrap("app", "attempt", move || {
                counted.fetch_add(1, Ordering::Relaxed)
            })?;
            linker.func_wrap("app", "add", move |number: i64| {
                total.fetch_add(number, Ordering::Relaxed);
            })?;
            Ok(())
        })
        .build()?;
    for job in host.apply_yaml("plugins.yaml", JOBS)? {
        let result = job.wait().await?;
        println!("{}: {}: {}", job.name(), result.reason(), result.message());
    }
    println!(
        "the sum is {} after {} attempts",
        sum.load(Ordering::Relaxed),
        attempts.load(Ordering::Relaxed)
    );
    Ok(())
}
