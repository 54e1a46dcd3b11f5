//! Damaged segments: never a panic, never a wrong byte, and a gap that is told.

use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wasmjob_sandbox::Stream;

use super::super::record::{SEGMENT_HEAD_BYTES, Scan};
use super::{Host, LIMITS, Uid, files, pattern};

const PODS: u128 = 3;
const WRITES: usize = 6;

/// One segment with records of three pods, and where the records begin.
fn segment() -> (tempfile::TempDir, Host, PathBuf, Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LIMITS, 1 << 20);
    let logs: Vec<_> = (0..PODS).map(|n| host.begin(n, 0)).collect();
    for write in 0..WRITES {
        for (n, log) in logs.iter().enumerate() {
            log.append(Stream::Stdout, &pattern(n * 1_000 + write * 100, 60));
            log.append(Stream::Stderr, &pattern(n * 1_000 + write * 100 + 60, 40));
        }
        let spool = &host.logs.on_disk.as_ref().unwrap().spool;
        spool.queue.hurry(super::now());
        super::wait_until("it is written", || spool.room.used() == 0);
    }
    logs.iter().for_each(|log| host.end(log));
    let host = host.again();
    let file = files(dir.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    let mark = host.logs.on_disk.as_ref().unwrap().spool.mark;
    let starts: Vec<_> = Scan::new(mark, &bytes, SEGMENT_HEAD_BYTES)
        .map(|record| record.pos)
        .collect();
    assert_eq!(starts.len(), PODS as usize * WRITES);
    (dir, host, file, bytes, starts)
}

/// Reads all logs of a directory with that segment; bytes that are there, and
/// bytes that are said to be lost. None is wrong.
fn check(host: &Host, file: &std::path::Path, bytes: &[u8]) -> (usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file.file_name().unwrap()), bytes).unwrap();
    let disk = Box::new(super::Directory::open(dir.path()).unwrap());
    let host = Host::on(dir.path(), disk, LIMITS, 1 << 20, host.pods.clone());
    let (mut there, mut lost) = (0, 0);
    for n in 0..PODS {
        let whole = pattern(n as usize * 1_000, WRITES * 100);
        for log in host.logs.of(Uid::from_random(n)) {
            let read = log.read(0);
            let mut at = 0;
            for chunk in &read.chunks {
                at += chunk.lost as usize;
                for (offset, byte) in chunk.bytes.iter().enumerate() {
                    assert_eq!(*byte, whole[at + offset], "pod {n} at {at}");
                    let is_err = (at + offset) % 100 >= 60;
                    assert_eq!(is_err, chunk.stream == Stream::Stderr);
                }
                at += chunk.bytes.len();
            }
            there += super::bytes(&read).len();
            lost += read.lost as usize;
        }
    }
    // Somebody writes there again.
    let fresh = host.pod(77, b"fresh");
    let host = host.again();
    assert_eq!(host.output(fresh), b"fresh");
    (there, lost)
}

const ALL: usize = PODS as usize * WRITES * 100;

#[test]
fn the_whole_segment_is_read_whole() {
    let (_dir, host, file, bytes, _) = segment();
    assert_eq!(check(&host, &file, &bytes), (ALL, 0));
}

#[test]
fn one_flipped_bit_costs_one_record_and_is_told() {
    let (_dir, host, file, bytes, starts) = segment();
    let mut random = StdRng::seed_from_u64(1);
    for (n, start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).copied().unwrap_or(bytes.len());
        let mut places = vec![*start, start + 7, start + 20, start + 40, end - 1];
        places.extend((0..3).map(|_| random.random_range(*start..end)));
        for at in places {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.random_range(0..8);
            let (there, lost) = check(&host, &file, &damaged);
            assert_eq!(there, ALL - 100, "record {n}, byte {}", at - start);
            // Of a pod's last record nothing may be left that tells of it.
            let is_last = n + PODS as usize >= starts.len();
            assert!(lost == 100 || is_last, "record {n}: {lost}");
        }
    }
    // A head is there twice.
    for at in 0..SEGMENT_HEAD_BYTES {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(check(&host, &file, &damaged), (ALL, 0), "head, byte {at}");
    }
}

#[test]
fn a_segment_that_was_cut_off_anywhere_has_what_came_before() {
    let (_dir, host, file, bytes, starts) = segment();
    let cuts = starts
        .iter()
        .flat_map(|start| [*start, start + 1, start + 30, start + 52, start + 60]);
    for cut in cuts.chain([0, 1, SEGMENT_HEAD_BYTES - 1]) {
        let whole = starts.iter().filter(|start| **start + 176 <= cut).count();
        let (there, _) = check(&host, &file, &bytes[..cut]);
        assert_eq!(there, whole * 100, "cut at {cut}");
    }
}

#[test]
fn noise_is_survived() {
    let (_dir, host, file, bytes, _) = segment();
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..150 {
        let mut damaged = bytes.clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..damaged.len());
            let to = damaged.len().min(at + random.random_range(1..300));
            match random.random_range(0..4) {
                0 => damaged[at..to].fill(0),
                1 => drop(damaged.drain(at..to)),
                2 => damaged.extend_from_within(at..to),
                _ => damaged[at..to]
                    .iter_mut()
                    .for_each(|byte| *byte = random.random()),
            }
            if damaged.is_empty() {
                break;
            }
        }
        check(&host, &file, &damaged);
    }
}

#[test]
fn a_record_that_a_guest_wrote_is_output_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LIMITS, 1 << 20);
    // It guesses everything but the mark.
    let mut forged = Vec::new();
    let head = super::super::record::Head {
        run: super::super::index::RunId {
            pod: Uid::from_random(1),
            slot: 0,
            restarts: 0,
        },
        start: 0,
    };
    let chunk = super::super::record::Chunk {
        stream: Stream::Stdout,
        time: jiff::Timestamp::UNIX_EPOCH,
        bytes: b"forged",
    };
    super::super::record::encode(7, &head, [chunk].into_iter(), &mut forged);
    host.pod(2, &forged);
    host.pod(1, b"genuine");
    host.settle();
    let host = host.again();
    let file = files(dir.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    // Its own record's head is damaged, so that the scan goes through its output.
    bytes[SEGMENT_HEAD_BYTES + 9] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let host = host.again();
    assert_eq!(host.output(Uid::from_random(1)), b"genuine");
}
