//! What people type: `scripts/seeds.sh`, a script of `kubectl` commands and of what they
//! must say, for the kubectls that are here.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kubectls on `PATH`, and the oldest of those that stand beside them under names like
/// `kubectl.1.27`.
fn kubectls() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = Vec::new();
    let mut beside = BTreeMap::new();
    for dir in std::env::split_paths(&path) {
        let Ok(kubectl) = dir.join("kubectl").canonicalize() else {
            continue;
        };
        if found.contains(&kubectl) {
            continue;
        }
        for entry in kubectl.parent().unwrap().read_dir().unwrap() {
            let entry = entry.unwrap().path();
            let name = entry.file_name().unwrap().to_str().unwrap_or_default();
            if let Some(minor) = name.strip_prefix("kubectl.1.")
                && let Ok(minor) = minor.parse::<u32>()
            {
                beside.insert(minor, entry);
            }
        }
        found.push(kubectl);
    }
    found.extend(beside.into_values().next());
    found
}

#[test]
fn every_command_does_what_the_tutorials_say() {
    let kubectls = kubectls();
    if kubectls.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "there is no kubectl");
        println!("skipped: there is no kubectl");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/seeds.sh");
    // Each waits for its minute to begin: together they wait once.
    let runs: Vec<_> = kubectls
        .into_iter()
        .map(|kubectl| {
            let script = script.clone();
            std::thread::spawn(move || {
                let mut command = Command::new("bash");
                command
                    .arg(script)
                    .arg(env!("CARGO_BIN_EXE_wasmjob"))
                    .env("KUBECTL", &kubectl);
                (kubectl, command.output().unwrap())
            })
        })
        .collect();
    for run in runs {
        let (kubectl, output) = run.join().unwrap();
        let (said, why) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let kubectl = kubectl.display();
        assert!(output.status.success(), "{kubectl}:\n{said}\n{why}");
        println!("{kubectl}: {} commands", said.matches("\n$ ").count());
    }
}
