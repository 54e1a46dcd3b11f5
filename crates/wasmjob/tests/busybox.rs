//! The shell and the applets of `wasm-examples/busybox`, row by row: a script,
//! its exit status, its standard output. All rows run in one host.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use wasmjob::{Host, JobHandle, Stream};

/// A row of `tests.txt`.
struct Row<'a> {
    name: &'a str,
    script: String,
    status: i32,
    output: String,
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wasm-examples/busybox")
        .join(file)
}

fn rows(text: &str) -> Vec<Row<'_>> {
    // The head of the file is a comment.
    text.split("\n== ").skip(1).map(row).collect()
}

fn row(text: &str) -> Row<'_> {
    let (name, rest) = text.split_once('\n').unwrap();
    let (script, rest) = rest
        .split_once("\n-- ")
        .unwrap_or_else(|| panic!("{name} has no status"));
    let (status, output) = rest.split_once('\n').unwrap_or((rest, ""));
    let output = if output.is_empty() || output.ends_with('\n') {
        output.to_owned()
    } else {
        format!("{output}\n")
    };
    Row {
        name,
        script: script.to_owned(),
        status: status.parse().unwrap(),
        output,
    }
}

fn host() -> Host {
    let module = std::fs::read(example("busybox.wasm")).unwrap();
    Host::builder().module("busybox", module).build().unwrap()
}

/// Submits a script as a Job of its own, with an empty /tmp as working directory.
fn submit(host: &Host, number: usize, script: &str) -> JobHandle {
    // `$(NAME)` in a manifest is Kubernetes' own; a doubled dollar is a dollar.
    // Debug's escapes are those of YAML's double quotes for what rows contain.
    let script = script.replace('$', "$$");
    submit_command(host, number, &format!("command: [sh, -c, {script:?}]"))
}

/// Submits a Job whose container has `command`, in YAML, and an empty /tmp.
fn submit_command(host: &Host, number: usize, command: &str) -> JobHandle {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: row-{number}}}, spec: {{\
         activeDeadlineSeconds: 60, backoffLimit: 0, template: {{spec: {{restartPolicy: Never, \
         volumes: [{{name: tmp, emptyDir: {{}}}}], containers: [{{name: sh, image: busybox, \
         {command}, workingDir: /tmp, \
         volumeMounts: [{{name: tmp, mountPath: /tmp}}]}}]}}}}}}}}"
    );
    host.apply_yaml("row.yaml", &yaml).unwrap().remove(0)
}

/// Waits for a row's end: its status and its standard output.
fn end(job: &JobHandle) -> (i32, String) {
    let result = job.wait_blocking().unwrap();
    let end = result.pods[0].containers[0].end.as_ref().unwrap();
    let chunks = job
        .logs()
        .iter()
        .flat_map(|log| log.read(0).chunks)
        .collect::<Vec<_>>();
    let bytes: Vec<u8> = chunks
        .iter()
        .filter(|chunk| chunk.stream == Stream::Stdout)
        .flat_map(|chunk| chunk.bytes.clone())
        .collect();
    (end.exit_code.into(), String::from_utf8(bytes).unwrap())
}

#[test]
fn scripts_do_what_the_table_says() {
    let text = std::fs::read_to_string(example("tests.txt")).unwrap();
    let rows = rows(&text);
    assert!(rows.len() >= 150, "only {} rows were found", rows.len());
    let host = host();
    let jobs: Vec<JobHandle> = rows
        .iter()
        .enumerate()
        .map(|(number, row)| submit(&host, number, &row.script))
        .collect();
    let mut wrong = Vec::new();
    for (row, job) in rows.iter().zip(&jobs) {
        let (status, output) = end(job);
        if (status, &output) != (row.status, &row.output) {
            wrong.push(format!(
                "{}: expected {} and {:?}, found {status} and {output:?}",
                row.name, row.status, row.output
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_script_without_a_line_feed_at_its_end_runs() {
    let host = host();
    assert_eq!(
        end(&submit(&host, 0, "printf done; exit 3")),
        (3, "done".to_owned())
    );
}

#[test]
fn the_first_argument_chooses_the_applet() {
    let host = host();
    let cases = [
        ("command: [echo, 'Hello, Job']", 0, "Hello, Job\n"),
        ("command: [/bin/echo, hello]", 0, "hello\n"),
        ("command: [busybox, echo, hello]", 0, "hello\n"),
        // Called by its file's name, as an image's entrypoint would be.
        ("args: [/bin/sh, -c, 'echo hello; exit 4']", 4, "hello\n"),
        (
            "command: [sh, -c], args: ['echo $0 $1', name, one]",
            0,
            "name one\n",
        ),
        ("command: [nosuchapplet]", 127, ""),
        ("command: ['false']", 1, ""),
    ];
    for (number, (command, status, output)) in cases.into_iter().enumerate() {
        let found = end(&submit_command(&host, number, command));
        assert_eq!(found, (status, output.to_owned()), "{command}");
    }
}
