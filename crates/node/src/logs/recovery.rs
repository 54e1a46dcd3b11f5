//! Finding the logs again that an earlier process has written.
//!
//! Every record says whose it is, so the index is made by reading the segments
//! once. Records of pods that no longer exist are dead, and so are those of runs
//! that were let go while their pod went on: a pod's status says how often its
//! containers were restarted, also when the newest run has written nothing. What is
//! damaged is passed over; a reader sees the gap. Nothing is ever appended to a segment that does
//! not end with a whole record.

use std::io;
use std::sync::Arc;

use wasmjob_api::{Pod, Uid};

use super::disk::Disk;
use super::index::{Index, RunId, Usage};
use super::record::{FORMAT, SEGMENT_HEAD_BYTES, Scan, read_segment_head};
use super::writer::Writer;

/// What was found, beside what the index knows.
pub(super) struct Recovered {
    /// The directory's mark: the one it has, or the new one.
    pub(super) mark: u64,
    /// The segment to go on with, and its length.
    pub(super) active: Option<(u32, u64)>,
    /// The number of the next segment.
    pub(super) next: u32,
}

/// Fills `index` with the logs of pods that exist, which `find_pod` gives. Reads
/// everything once.
///
/// # Errors
///
/// When the segments cannot be listed or read, or are of a format that this
/// version does not know. Damage is no error.
pub(super) fn recover(
    disk: &dyn Disk,
    index: &mut Index,
    new_mark: u64,
    segment_bytes_max: u64,
    find_pod: impl Fn(Uid) -> Option<Arc<Pod>>,
) -> io::Result<Recovered> {
    let segments = disk.list()?;
    let mark = directory_mark(disk, &segments)?.unwrap_or(new_mark);
    let mut active = None;
    // Records of one pod are often neighbours.
    let mut last: Option<(Uid, Option<Arc<Pod>>)> = None;
    for &segment in &segments {
        let bytes = disk.read(segment, 0, u32::MAX as usize)?;
        let size = bytes.len() as u64;
        index.segments.insert(segment, Usage { size, live: 0 });
        let mut scan = Scan::new(mark, &bytes, SEGMENT_HEAD_BYTES.min(bytes.len()));
        for record in &mut scan {
            let pod = record.head.run.pod;
            let found = match last.take() {
                Some((last, found)) if last == pod => found,
                _ => find_pod(pod),
            };
            let is_kept = found
                .as_ref()
                .is_some_and(|found| is_recent(found, &record.head.run));
            last = Some((pod, found));
            if is_kept {
                let (id, piece) = Writer::piece(segment, &record);
                index.add(&id, &piece);
            }
        }
        let is_whole = scan.was_clean() && read_segment_head(&bytes) == Some((FORMAT, mark));
        active = (is_whole && size < segment_bytes_max / 4 * 3).then_some((segment, size));
    }
    index.forget_old_runs();
    // Even if nothing is live any more, the files are to go.
    index.died = true;
    Ok(Recovered {
        mark,
        active,
        next: segments.last().map_or(0, |last| last + 1),
    })
}

/// Whether a run is the current one of its container, as far as its pod's status
/// knows, or the one before it, or a newer one.
fn is_recent(pod: &Pod, run: &RunId) -> bool {
    let status = &pod.status;
    let mut containers = status.init_containers.iter().chain(&status.containers);
    let status = containers.nth(usize::from(run.slot));
    status.is_none_or(|status| run.restarts.saturating_add(1) >= status.restarts)
}

/// The mark that the segments have.
fn directory_mark(disk: &dyn Disk, segments: &[u32]) -> io::Result<Option<u64>> {
    for &segment in segments {
        let head = disk.read(segment, 0, SEGMENT_HEAD_BYTES)?;
        match read_segment_head(&head) {
            Some((FORMAT, mark)) => return Ok(Some(mark)),
            Some((format, _)) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!(
                        "segment {segment} of the logs has format {format}, this version knows {FORMAT}"
                    ),
                ));
            }
            None => {}
        }
    }
    Ok(None)
}
