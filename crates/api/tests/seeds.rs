//! The YAML of the five seed documents, read in place: what is valid there is
//! accepted, and each broken one gives the right error and a hint.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use std::path::PathBuf;

use wasmjob_api::manifest::{Object, Source, read};

/// The YAML blocks of the seed, or nothing (and a notice) where the seeds are not.
fn blocks(seed: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/seeds")
        .join(seed);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return Vec::new();
    };
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let is_fence = line.starts_with("```") || line.starts_with("~~~");
        match (&mut open, is_fence) {
            (None, true) => open = Some(String::new()),
            (Some(block), true) => {
                if block.contains("apiVersion") {
                    blocks.push(std::mem::take(block));
                }
                open = None;
            }
            (Some(block), false) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, false) => {}
        }
    }
    blocks
}

/// Kinds and names, then warnings; or the problems.
fn outcome(text: &str) -> String {
    match read(&Source {
        name: "seed.yaml",
        bytes: text.as_bytes(),
    }) {
        Ok(manifest) => {
            let objects = manifest.objects.iter().map(|loaded| {
                let metadata = loaded.object.metadata();
                format!(
                    "{} {}/{}",
                    loaded.object.kind(),
                    metadata.namespace.as_deref().unwrap_or_default(),
                    metadata.name.as_deref().unwrap_or_default()
                )
            });
            let warnings = manifest.warnings.iter().map(ToString::to_string);
            objects.chain(warnings).collect::<Vec<_>>().join("\n")
        }
        Err(problems) => problems.to_string(),
    }
}

fn check(seed: &str, expected: &[&str]) {
    let blocks = blocks(seed);
    if blocks.is_empty() {
        return;
    }
    let outcomes: Vec<String> = blocks.iter().map(|block| outcome(block)).collect();
    assert_eq!(outcomes.join("\n---\n"), expected.join("\n---\n"));
}

#[test]
fn seed_0_job_and_cron_job_are_accepted() {
    check(
        "000_8db2a77109b7830f.txt",
        &[r#"Job example/sms"#, r#"CronJob example/hello"#],
    );
}

#[test]
fn seed_1_suspended_job_is_accepted() {
    check("001_12412037b3d904e2.txt", &[r#"Job default/job-echo"#]);
}

#[test]
fn seed_2_pi_is_accepted() {
    check("002_3f6cdd32667f34fc.txt", &[r#"Job default/pi"#]);
}

#[test]
fn seed_3_valid_and_broken_examples() {
    check(
        "003_ab88581d85fdcc51.txt",
        &[
            r#"Job default/my-busybox-job"#,
            r#"error: seed.yaml:10:3: spec.failedJobHistoryLimit: unknown field
hint: did you mean `failedJobsHistoryLimit`?
error: seed.yaml:20:30: spec.jobTemplate.spec.template.spec.containers[0].imagePullPolicy: Unsupported value: "IfNotP-resent": supported values: "Always", "IfNotPresent", "Never"
hint: did you mean `IfNotPresent`?"#,
            r#"error: seed.yaml:5:1: spec.jobTemplate.spec.template.spec.containers: Required value
error: seed.yaml:5:1: spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
hint: a Job's pods say `restartPolicy: Never` (a new pod for every try) or `OnFailure` (restart in place)"#,
            r#"error: seed.yaml:44:25: not valid YAML: could not find expected ':'
hint: is a line above indented less than the text it belongs to?"#,
            r#"CronJob cronjob/default-restart
warning: seed.yaml:21:15: spec.jobTemplate.spec.template.spec.containers[0].command[0] contains ` - `: did you mean a list?"#,
        ],
    );
}

#[test]
fn seed_4_is_accepted_old_version_included() {
    check(
        "004_4763c8a4ab3dc84b.txt",
        &[
            r#"Job default/pi"#,
            r#"Job default/pi-with-ttl"#,
            r#"CronJob default/hello
warning: seed.yaml:1:13: CronJob of batch/v1beta1 is read as batch/v1; Kubernetes serves only batch/v1 since 1.25"#,
        ],
    );
}

#[test]
fn the_parallel_job_of_seed_3_is_read_as_written() {
    let blocks = blocks("003_ab88581d85fdcc51.txt");
    let Some(block) = blocks.first() else { return };
    let manifest = read(&Source {
        name: "seed.yaml",
        bytes: block.as_bytes(),
    })
    .unwrap();
    let Object::Job(job) = &manifest.objects[0].object else {
        panic!("a Job")
    };
    let spec = job.spec.as_ref().unwrap();
    assert_eq!((spec.parallelism, spec.completions), (Some(3), Some(4)));
    assert_eq!(
        (spec.backoff_limit, spec.ttl_seconds_after_finished),
        (Some(2), Some(100))
    );
}
