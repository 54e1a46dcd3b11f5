//! Logs on a disk against a model: every byte in its place, whatever happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use wasmjob_sandbox::Stream;

use super::{Host, LIMITS, LogBuffer, Uid, pattern, wait_until};

/// What one run wrote: bytes and their streams.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    streams: Vec<bool>,
    /// No more than is kept.
    fits: bool,
}

fn stream(is_err: bool) -> Stream {
    if is_err {
        Stream::Stderr
    } else {
        Stream::Stdout
    }
}

/// Checks that `log` holds what was written at the offsets where it was, and
/// says what it does not hold.
fn check(log: &LogBuffer, written: &Written) {
    let mut place = 0;
    let mut at = 0usize;
    loop {
        // In portions, as a server reads.
        let read = log.read_at_most(place, 5_000);
        for chunk in &read.chunks {
            at += chunk.lost as usize;
            let to = at + chunk.bytes.len();
            assert_eq!(chunk.bytes, written.bytes[at..to], "at {at}");
            let mut streams = written.streams[at..to].iter();
            assert!(streams.all(|is_err| stream(*is_err) == chunk.stream));
            at = to;
        }
        at += read.lost_at_end() as usize;
        assert_eq!(read.next, at as u64);
        if written.fits {
            assert_eq!(read.lost, 0);
        }
        if read.next == place {
            break;
        }
        place = read.next;
    }
    assert_eq!(at, written.bytes.len());
    let tail = log.tail(usize::MAX, 10);
    let last = String::from_utf8_lossy(&written.bytes[at - at.min(10)..]).into_owned();
    assert_eq!(tail, last.lines().collect::<Vec<_>>().join("\n"));
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        pod: u128,
        is_err: bool,
        len: usize,
    },
    /// The pod's container starts again.
    Restart(u128),
    End(u128),
    Forget(u128),
    /// Lets the writer write and compact.
    Wait,
    /// Stops, and starts again.
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pod = 0..4u128;
    let write = (pod.clone(), any::<bool>(), 0..6_000usize)
        .prop_map(|(pod, is_err, len)| Step::Write { pod, is_err, len });
    let step = prop_oneof![
        20 => write,
        1 => pod.clone().prop_map(Step::Restart),
        2 => pod.clone().prop_map(Step::End),
        1 => pod.prop_map(Step::Forget),
        2 => Just(Step::Wait),
        1 => Just(Step::Again),
    ];
    proptest::collection::vec(step, 1..150)
}

/// A pod that exists: its number, its log, if it goes on, and its runs.
type PodModel = (u128, Option<Arc<LogBuffer>>, BTreeMap<u32, Written>);

/// What exists.
#[derive(Default)]
struct Model {
    generation: u128,
    pods: BTreeMap<u128, PodModel>,
}

impl Model {
    /// The log of the pod, which begins if it does not exist.
    fn log(&mut self, host: &Host, pod: u128) -> Option<Arc<LogBuffer>> {
        self.generation += 10;
        let number = self.generation + pod;
        let (_, log, _) = self.pods.entry(pod).or_insert_with(|| {
            let fresh = Written {
                fits: true,
                ..Written::default()
            };
            (
                number,
                Some(host.begin(number, 0)),
                BTreeMap::from([(0, fresh)]),
            )
        });
        log.clone()
    }

    fn check(&self, host: &Host) {
        for (number, _, runs) in self.pods.values() {
            let logs = host.logs.of(Uid::from_random(*number));
            // The current run and the one before it, if they wrote anything.
            let kept: Vec<u32> = runs.keys().rev().take(2).copied().collect();
            for log in &logs {
                assert!(kept.contains(&log.restarts), "run {}", log.restarts);
                check(log, &runs[&log.restarts]);
            }
            let found: Vec<u32> = logs.iter().map(|log| log.restarts).collect();
            for restarts in kept {
                assert!(found.contains(&restarts) || runs[&restarts].bytes.is_empty());
            }
        }
    }
}

fn run(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::new(dir.path(), LIMITS, 16 << 10);
    let mut model = Model::default();
    let mut from = 0;
    for step in steps {
        match *step {
            Step::Write { pod, is_err, len } => {
                let Some(log) = model.log(&host, pod) else {
                    continue;
                };
                let bytes = pattern(from, len);
                from += len;
                log.append(stream(is_err), &bytes);
                let (_, _, runs) = model.pods.get_mut(&pod).unwrap();
                let written = runs.get_mut(&log.restarts).unwrap();
                written.bytes.extend_from_slice(&bytes);
                written.streams.resize(written.bytes.len(), is_err);
                written.fits = written.bytes.len() <= LIMITS.run_bytes_max;
            }
            Step::Restart(pod) => {
                let Some(log) = model.log(&host, pod) else {
                    continue;
                };
                log.end();
                let (number, log, runs) = model.pods.get_mut(&pod).unwrap();
                let restarts = runs.len() as u32;
                runs.insert(
                    restarts,
                    Written {
                        fits: true,
                        ..Written::default()
                    },
                );
                *log = Some(host.begin(*number, restarts));
            }
            Step::End(pod) => {
                let Some(log) = model.log(&host, pod) else {
                    continue;
                };
                host.end(&log);
                model.pods.get_mut(&pod).unwrap().1 = None;
            }
            Step::Forget(pod) => {
                let Some((number, log, _)) = model.pods.remove(&pod) else {
                    continue;
                };
                host.forget(Uid::from_random(number));
                assert!(host.logs.of(Uid::from_random(number)).is_empty());
                if let Some(log) = log {
                    log.append(Stream::Stdout, b"too late");
                    log.end();
                }
            }
            Step::Wait => std::thread::sleep(super::super::spool::WRITE_WAIT / 4),
            Step::Again => {
                host = host.again();
                model.pods.values_mut().for_each(|(_, log, _)| *log = None);
            }
        }
        model.check(&host);
    }
    host = host.again();
    model.check(&host);
    for (number, _, _) in model.pods.values() {
        host.forget(Uid::from_random(*number));
    }
    wait_until("all is gone from the disk", || host.size() <= 48);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_is_where_it_was_written(steps in steps()) {
        run(&steps);
    }
}

#[test]
fn runs_that_write_at_once_do_not_mix_and_readers_see_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let limits = super::LogLimits {
        run_bytes_max: 4 << 20,
        ..LIMITS
    };
    let host = Host::new(dir.path(), limits, 1 << 20);
    let logs: Vec<_> = (0..4).map(|n| host.begin(n, 0)).collect();
    std::thread::scope(|scope| {
        for log in &logs {
            scope.spawn(|| {
                let mut from = 0;
                while from < 3 << 20 {
                    let len = 1 + from % 3_001;
                    log.append(stream(from % 2 == 1), &pattern(from, len));
                    from += len;
                }
                host.end(log);
            });
            scope.spawn(|| {
                let mut place = 0;
                loop {
                    let read = log.read_at_most(place, 100_000);
                    assert_eq!(
                        super::bytes(&read),
                        pattern(place as usize, (read.next - place) as usize)
                    );
                    assert_eq!(read.lost, 0);
                    place = read.next;
                    if read.ended {
                        break;
                    }
                }
                assert!(place >= 3 << 20);
            });
        }
    });
}
