//! Runs what stands in `wasm-examples/` through the binary, and the Jobs of the
//! seeds' tutorials through aliases.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// How a manifest ended.
struct Run {
    code: i32,
    /// The final objects.
    objects: Vec<Value>,
    /// What the guests printed, with the pods' names before each line.
    log: String,
}

impl Run {
    /// Runs a manifest in its own directory: once for the objects, with the logs
    /// on standard error.
    fn of(manifest: &Path, args: &[&str]) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
            .current_dir(manifest.parent().unwrap())
            .args([
                "run",
                "--no-cache",
                "-o",
                "json",
                "--logs",
                "all",
                "--timeout",
                "120s",
            ])
            .args(args)
            .arg(manifest.file_name().unwrap())
            // No configuration of this machine's user.
            .env("XDG_CONFIG_HOME", manifest.parent().unwrap().join("none"))
            .env("HOME", manifest.parent().unwrap().join("none"))
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let list: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}\n{log}", manifest.display()));
        let objects = list["items"].as_array().unwrap().clone();
        Self {
            code: output.status.code().unwrap(),
            objects,
            log,
        }
    }

    fn of_example(path: &str) -> Self {
        Self::of(&example(path), &[])
    }

    fn all(&self, kind: &str) -> Vec<&Value> {
        self.objects
            .iter()
            .filter(|object| object["kind"] == kind)
            .collect()
    }

    fn job(&self) -> &Value {
        let jobs = self.all("Job");
        assert_eq!(jobs.len(), 1, "{:#?}", self.objects);
        jobs[0]
    }

    /// The Job's last condition and its reason.
    fn end(&self) -> (&str, &str) {
        let conditions = self.job()["status"]["conditions"].as_array().unwrap();
        let last = conditions.last().unwrap();
        (
            last["type"].as_str().unwrap(),
            last["reason"].as_str().unwrap_or_default(),
        )
    }

    fn succeeded(&self) -> u64 {
        self.job()["status"]["succeeded"].as_u64().unwrap_or(0)
    }

    fn assert_complete(&self) -> &Self {
        assert_eq!((self.code, self.end().0), (0, "Complete"), "{}", self.log);
        self
    }

    fn assert_failed(&self, reason: &str) -> &Self {
        assert_eq!(
            (self.code, self.end()),
            (1, ("Failed", reason)),
            "{}",
            self.log
        );
        self
    }

    /// Asserts that some line of the guests' output ends so.
    fn assert_printed(&self, text: &str) -> &Self {
        assert!(
            self.log.lines().any(|line| line.ends_with(text)),
            "no `{text}` in:\n{}",
            self.log
        );
        self
    }

    /// The first container's end, of the first pod.
    fn container_end(&self) -> &Value {
        let status = &self.all("Pod")[0]["status"]["containerStatuses"][0];
        &status["state"]["terminated"]
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wasm-examples")
        .canonicalize()
        .unwrap()
}

fn example(path: &str) -> PathBuf {
    examples().join(path)
}

#[test]
fn configuration_arrives_as_variables_and_as_files() {
    let run = Run::of_example("busybox/config.yaml");
    run.assert_complete()
        .assert_printed("Sales of the week, as reader")
        .assert_printed("the password has 13 characters");
}

#[test]
fn hello_greets_and_knows_its_pod() {
    let run = Run::of_example("hello/job.yaml");
    run.assert_complete().assert_printed("Hello, Job!");
    let pod = run.all("Pod")[0]["metadata"]["name"].as_str().unwrap();
    run.assert_printed(&format!("I am the pod {pod}."));
}

#[test]
fn pi_computes_the_digits_of_each_index() {
    let run = Run::of_example("pi/job.yaml");
    run.assert_complete();
    assert_eq!(run.succeeded(), 4);
    assert_eq!(run.job()["status"]["completedIndexes"], "0-3");
    for digits in ["243F6A88", "85A308D3", "13198A2E", "03707344"] {
        run.assert_printed(digits);
    }
}

#[test]
fn pi_stands_in_for_perl() {
    let run = Run::of(&example("pi/perl.yaml"), &["--alias", "perl=./pi.wasm"]);
    run.assert_complete();
    assert_pi(&run);
}

/// Asserts that 2000 digits of pi were printed.
fn assert_pi(run: &Run) {
    let line = run
        .log
        .lines()
        .find(|line| line.contains("3.14159265358979"))
        .unwrap();
    let digits = &line[line.find("3.14159").unwrap()..];
    assert_eq!(digits.len(), 2001);
    // The last digits, as Perl prints them: the 2000th is rounded.
    assert!(digits.ends_with("4780275901"), "{digits}");
}

#[test]
fn wordcount_reads_what_its_init_container_wrote() {
    let run = Run::of_example("wordcount/job.yaml");
    run.assert_complete()
        .assert_printed("   4 job")
        .assert_printed("42 different words");
}

#[test]
fn flaky_succeeds_in_its_second_attempt() {
    let run = Run::of_example("flaky/job.yaml");
    run.assert_complete().assert_printed("attempt 2 succeeds");
    let restarts = &run.all("Pod")[0]["status"]["containerStatuses"][0]["restartCount"];
    assert_eq!(restarts, 1);
}

#[test]
fn flaky_gives_up_the_index_whose_input_is_bad() {
    let run = Run::of_example("flaky/fail-index.yaml");
    run.assert_failed("FailedIndexes");
    assert_eq!(run.job()["status"]["completedIndexes"], "0,2");
    assert_eq!(run.job()["status"]["failedIndexes"], "1");
    assert_eq!(run.job()["status"]["failed"], 1);
}

#[test]
fn endless_is_stopped_by_its_deadline() {
    let run = Run::of_example("endless/job.yaml");
    run.assert_failed("DeadlineExceeded")
        .assert_printed("counting for ever");
}

#[test]
fn hungry_is_stopped_by_its_memory_limit() {
    let run = Run::of_example("hungry/job.yaml");
    run.assert_failed("BackoffLimitExceeded");
    assert_eq!(run.container_end()["reason"], "OOMKilled");
    assert_eq!(run.container_end()["exitCode"], 137);
    run.assert_printed("10 MiB");
    assert!(!run.log.contains("16 MiB\n"), "{}", run.log);
}

#[test]
fn c_hello_greets_from_c() {
    let run = Run::of_example("c-hello/job.yaml");
    run.assert_complete()
        .assert_printed("Hello from C, Job!")
        .assert_printed("Hello from C, Pod!");
}

#[test]
fn component_gets_arguments_and_environment() {
    let run = Run::of_example("component/job.yaml");
    run.assert_complete()
        .assert_printed("called with 2 arguments: one two words")
        .assert_printed("GREETING=hello");
}

#[test]
fn busybox_runs_a_script() {
    let run = Run::of_example("busybox/job.yaml");
    run.assert_complete()
        .assert_printed("5 lines in /work")
        .assert_printed("sum of squares: 55");
}

#[test]
fn busybox_ends_gracefully() {
    let run = Run::of_example("busybox/graceful.yaml");
    run.assert_failed("DeadlineExceeded")
        .assert_printed("saved at step 1");
}

#[test]
fn busybox_shares_work_between_indexes() {
    let run = Run::of_example("busybox/parallel.yaml");
    run.assert_complete();
    for item in 0..12 {
        run.assert_printed(&format!("item {item} is done by index {}", item % 6));
    }
}

#[test]
fn busybox_runs_a_cron_job_now() {
    let run = Run::of(&example("busybox/cronjob.yaml"), &["--now"]);
    assert_eq!(run.code, 0, "{}", run.log);
    run.assert_printed("Hello from the Kubernetes cluster");
}

#[test]
fn every_example_says_what_to_expect_and_is_listed() {
    let readme = std::fs::read_to_string(example("README.md")).unwrap();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap();
        // Others hold sources.
        if !dir.join(name).with_extension("wasm").is_file() {
            continue;
        }
        assert!(
            readme.contains(&format!("`{name}/`")),
            "README.md does not list {name}"
        );
        for file in std::fs::read_dir(&dir).unwrap() {
            let file = file.unwrap().path();
            if file
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(text.starts_with("# Shows "), "{}", file.display());
            }
        }
    }
}

/// The fenced block of a seed that contains `text`, or `None`, with a notice, if
/// the seeds are not beside this checkout.
fn seed(file: &str, text: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/seeds")
        .join(file);
    let Ok(seed) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let normalized = seed.replace("~~~", "```");
    let block = normalized
        .split("```")
        .skip(1)
        .step_by(2)
        .find(|block| block.contains(text))
        .unwrap();
    // The first line is the block's language.
    Some(block.split_once('\n').unwrap().1.to_owned())
}

/// Runs a seed's manifest with busybox and perl standing for our modules.
fn run_seed(yaml: &str) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seed.yaml");
    std::fs::write(&file, yaml).unwrap();
    let alias = |name: &str, module: &str| format!("{name}={}", example(module).display());
    let busybox = alias("busybox", "busybox/busybox.wasm");
    let perl = alias("perl", "pi/pi.wasm");
    Run::of(&file, &["--alias", &busybox, "--alias", &perl])
}

#[test]
fn the_seeds_echo_job_runs() {
    let Some(yaml) = seed("001_12412037b3d904e2.txt", "name: job-echo") else {
        return;
    };
    // The tutorial resumes it with kubectl; here it begins resumed.
    assert!(yaml.contains("suspend: true"));
    let run = run_seed(&yaml.replace("suspend: true", "suspend: false"));
    run.assert_complete().assert_printed("Hello, Job");
    assert_eq!(run.succeeded(), 2);
}

#[test]
fn the_seeds_busybox_job_runs() {
    let Some(yaml) = seed("003_ab88581d85fdcc51.txt", "name: my-busybox-job") else {
        return;
    };
    // As it stands it takes two minutes; only the minute is shortened.
    assert!(yaml.contains("sleep 60"));
    let run = run_seed(&yaml.replace("sleep 60", "sleep 1"));
    run.assert_complete()
        .assert_printed("Welcome to k8s")
        .assert_printed("Next to Meet you");
    assert_eq!(run.succeeded(), 4);
}

#[test]
fn the_seeds_pi_jobs_run() {
    for file in ["002_3f6cdd32667f34fc.txt", "004_4763c8a4ab3dc84b.txt"] {
        let Some(yaml) = seed(file, "print bpi(2000)") else {
            return;
        };
        let run = run_seed(&yaml);
        run.assert_complete();
        assert_pi(&run);
    }
}

#[test]
fn the_seeds_pi_job_with_a_time_to_live_runs() {
    let Some(yaml) = seed("004_4763c8a4ab3dc84b.txt", "name: pi-with-ttl") else {
        return;
    };
    let run = run_seed(&yaml);
    run.assert_complete();
    assert_pi(&run);
}
