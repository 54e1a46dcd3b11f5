//! Processes that are killed: what was written a second before is there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use wasmjob_sandbox::Stream;

use super::{Host, LIMITS, LogLimits, Uid, lock, now, pattern, pod_of};

const DIR: &str = "WASMJOB_LOGS_TEST_DIR";
const RUNS: u128 = 4;
const LARGE: LogLimits = LogLimits {
    run_bytes_max: 50 << 20,
    ..LIMITS
};

/// Not a test by itself: what the killed process does. Four runs write, and
/// each says how far it has come.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let host = Host::new(Path::new(&dir), LARGE, 1 << 20);
    std::thread::scope(|scope| {
        for n in 0..RUNS {
            let log = host.begin(n, 0);
            scope.spawn(move || {
                let mut from = 0;
                loop {
                    log.append(Stream::Stdout, &pattern(from, 100));
                    from += 100;
                    println!("wrote {n} {from}");
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        // Ends, and is there without any delay worth the name.
        let log = host.begin(RUNS, 0);
        log.append(Stream::Stdout, b"short");
        host.end(&log);
        host.settle_all_but_running();
        println!("ended");
    });
}

impl Host {
    fn settle_all_but_running(&self) {
        super::wait_until("it is written", || {
            lock(&self.logs.registry).pods.len() == RUNS as usize
        });
    }
}

#[test]
fn a_killed_process_has_kept_what_was_written_a_while_before() {
    for cycle in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "logs::tests::kill::child",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let reader = std::thread::Builder::new()
            .spawn(move || {
                let mut wrote = Vec::new();
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // The harness says the test's name on the first line.
                    if line.ends_with("ended") {
                        let _ = begun.send(());
                    }
                    let Some(rest) = line.strip_prefix("wrote ") else {
                        continue;
                    };
                    let (run, upto) = rest.split_once(' ').unwrap();
                    let run: usize = run.parse().unwrap();
                    wrote.push((now(), run, upto.parse::<u64>().unwrap()));
                }
                wrote
            })
            .unwrap();
        // A busy machine begins late.
        let patience = Duration::from_secs(60);
        has_begun.recv_timeout(patience).unwrap();
        std::thread::sleep(Duration::from_millis(1_300 + cycle * 170));
        let killed = now();
        child.kill().unwrap();
        child.wait().unwrap();
        let wrote = reader.join().unwrap();
        let mut least = [0; RUNS as usize];
        for (at, run, upto) in wrote {
            if killed.saturating_duration_since(at) > Duration::from_secs(1) {
                least[run] = upto;
            }
        }
        let pods = super::Pods::default();
        for n in 0..=RUNS {
            let pod = Arc::new(pod_of(n, None));
            lock(&pods).insert(pod.uid, pod);
        }
        let disk = Box::new(super::Directory::open(dir.path()).unwrap());
        let host = Host::on(dir.path(), disk, LARGE, 1 << 20, pods);
        assert_eq!(host.output(Uid::from_random(RUNS)), b"short");
        for (n, least) in least.iter().enumerate() {
            let output = host.output(Uid::from_random(n as u128));
            assert!(
                *least > 0 && output.len() as u64 >= *least,
                "{} of {least}",
                output.len()
            );
            assert_eq!(output, pattern(0, output.len()));
        }
    }
}
