//! The example does what it says.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[test]
fn the_plugins_end_as_the_example_says() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_plugin-host"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "adder: CompletionsReached: Reached expected number of succeeded pods\n\
         runaway: DeadlineExceeded: Job was active longer than specified deadline\n\
         the sum is 42 after 2 attempts\n"
    );
}
