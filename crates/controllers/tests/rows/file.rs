//! Reading the files of rows.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The files of one topic (or of all, for ""), with their text.
pub(crate) fn files(topic: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/job")
            .join(topic),
        &mut found,
    );
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Runs `check` on every row of a topic and reports all that fail.
pub(crate) fn check_rows<R: DeserializeOwned>(
    topic: &str,
    check: impl Fn(&R) -> Result<(), String>,
) {
    let mut rows = 0;
    let mut failures = Vec::new();
    for (path, text) in files(topic) {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            let row = serde_json::from_str(line).unwrap_or_else(|error| panic!("{place}: {error}"));
            rows += 1;
            if let Err(error) = check(&row) {
                failures.push(format!("{place}: {error}"));
            }
        }
    }
    assert!(rows > 0, "no rows of {topic}");
    assert!(
        failures.is_empty(),
        "{} of {rows} rows:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
