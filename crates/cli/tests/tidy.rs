//! Rules of the house that no lint knows.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn crates() -> Vec<PathBuf> {
    std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    for dir in crates() {
        let mut files = Vec::new();
        sources(&dir.join("src"), &mut files);
        for file in files {
            let name = file.file_stem().unwrap().to_str().unwrap();
            if matches!(name, "lib" | "main") {
                continue;
            }
            let parent = file.parent().unwrap();
            let candidates = [
                parent.join("lib.rs"),
                parent.join("main.rs"),
                parent.with_extension("rs"),
            ];
            let named = candidates
                .iter()
                .filter_map(|path| std::fs::read_to_string(path).ok());
            let line = format!("mod {name};");
            assert!(
                named.into_iter().any(|text| text.contains(&line)),
                "no mod names {}",
                file.display()
            );
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for dir in crates() {
        let mut files = Vec::new();
        sources(&dir.join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("//!"),
                "{} does not open with //!",
                file.display()
            );
        }
    }
}

/// `schedule`, `api` and `controllers` are pure: what would make them otherwise is not there.
#[test]
fn pure_rooms_stay_pure() {
    for room in ["schedule", "api", "controllers"] {
        let manifest =
            std::fs::read_to_string(root().join(format!("crates/{room}/Cargo.toml"))).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for dependency in [
            "tokio",
            "wasmtime",
            "rand",
            "wasmjob-store",
            "wasmjob-sandbox",
            "rustix",
        ] {
            assert!(
                !dependencies.contains(dependency),
                "{room} depends on {dependency}"
            );
        }
        let mut files = Vec::new();
        sources(&root().join(format!("crates/{room}/src")), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in [
                "std::fs",
                "std::env",
                "std::net",
                "async fn",
                "SystemTime::now",
                "Instant::now",
            ] {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

/// Rooms that may not know Wasmtime do not.
#[test]
fn only_the_sandbox_knows_wasmtime() {
    for dir in crates() {
        let room = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        assert_eq!(
            dependencies.contains("\nwasmtime"),
            room == "sandbox",
            "{room}"
        );
    }
}
