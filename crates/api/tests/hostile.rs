//! Manifests made to hurt: they are refused early, and nothing panics.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use wasmjob_api::manifest::{Source, read};

/// Reads `text` within `limit` (times ten without optimisation) and returns the problems.
#[expect(clippy::disallowed_methods, reason = "this test measures")]
fn read_within(text: &str, limit: Duration) -> String {
    let start = Instant::now();
    let outcome = read(&Source {
        name: "x",
        bytes: text.as_bytes(),
    });
    let limit = if cfg!(debug_assertions) {
        limit * 10
    } else {
        limit
    };
    let took = start.elapsed();
    assert!(took < limit, "took {took:?}");
    outcome.map_or_else(|problems| problems.to_string(), |_| "fine".to_owned())
}

#[test]
fn an_alias_bomb_is_cut_off() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            [below.as_str(); 10].join(",")
        ));
    }
    let found = read_within(&text, Duration::from_millis(50));
    assert_eq!(
        found,
        "error: x:5:34: the document contains excessive aliasing"
    );
}

#[test]
fn depth_is_limited_in_yaml_and_in_json() {
    let limit = Duration::from_millis(200);
    let deep = "nested more than 128 levels deep";
    assert_eq!(
        read_within(&"[".repeat(100_000), limit),
        format!("error: x:1:129: {deep}")
    );
    assert_eq!(
        read_within(&"{\"a\":".repeat(100_000), limit),
        format!("error: x:1:641: {deep}")
    );
    let block: String = (0..300)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    assert_eq!(
        read_within(&block, limit),
        format!("error: x:129:129: {deep}")
    );
}

#[test]
fn a_huge_document_is_refused_unread() {
    let text = format!("a: {}\n", "x".repeat(3 << 20));
    let found = read_within(&text, Duration::from_millis(20));
    assert_eq!(
        found,
        "error: x:1:1: the document has 3145732 bytes, more than 3145728"
    );
}

#[test]
fn text_that_is_slow_to_scan_is_not_slow_here() {
    for piece in [
        ": ", "- ", "? ", "[", "\t", "%a\n", "a: b\n", "!", "&a ", "{a: ", "#", "'", "\"\\",
    ] {
        let text = piece.repeat(300_000 / piece.len());
        read_within(&text, Duration::from_millis(400));
    }
}

#[test]
fn of_very_many_duplicate_keys_some_are_told() {
    let text = "a: b\n".repeat(100_000);
    let found = read_within(&text, Duration::from_millis(100));
    assert_eq!(found.lines().count(), 101);
}

#[test]
fn bytes_that_are_no_text_are_told_where() {
    let problems = read(&Source {
        name: "x",
        bytes: b"a: b\nc: \xff",
    })
    .unwrap_err();
    assert_eq!(problems.to_string(), "error: x:2:4: not valid UTF-8");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&Source { name: "x", bytes: &bytes });
    }

    #[test]
    fn random_yaml_never_panics(text in "([a-z0-9:\\-?,\\[\\]{}'\"&*!|>#%@\\\\ \n]|---\n){0,80}") {
        let _ = read(&Source { name: "x", bytes: text.as_bytes() });
    }

    #[test]
    fn a_spec_with_random_values_never_panics(
        field in "(parallelism|completions|selector|template|successPolicy|podFailurePolicy|suspend|managedBy)",
        value in "[a-z0-9:\\-,\\[\\]{}'\"*. ]{0,40}",
        mode in "(Indexed|NonIndexed|x)",
    ) {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  completionMode: {mode}\n  {field}: {value}\n"
        );
        let _ = read(&Source { name: "x", bytes: text.as_bytes() });
    }
}
