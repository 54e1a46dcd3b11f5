//! How much the files of a directory may grow.
//!
//! A write takes what it needs at most from what is left before it is made, so
//! what stands on the disk is never more than the limit and a block or two. The
//! account only falls: what a guest removes or overwrites is found when nothing
//! is left and the directory is looked at. So nobody can dodge it, and a guest
//! that is far from its limit costs a subtraction each write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::clock::now;

/// Bytes that a file system gives to a file at least.
const BLOCK: u64 = 4_096;

/// How many times as long as a look at a directory took nobody looks at it again: a
/// guest with many files beside little room cannot keep the host busy counting them.
const REST: u32 = 9;

/// Finds out how many bytes a directory's files take. Called where it may block.
type Look = Box<dyn Fn() -> u64 + Send + Sync>;

/// One limit, of one directory or of several together. Everybody who writes there shares it.
pub struct Quota {
    limit: u64,
    look: Look,
    full: Option<Box<dyn Fn() + Send + Sync>>,
    /// Bytes that may be taken before somebody must look; none in the beginning.
    left: AtomicU64,
    /// Bytes that were taken for writes that are being made.
    under_way: AtomicU64,
    /// When somebody may look again.
    looking: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quota")
            .field("limit", &self.limit)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Quota {
    /// A limit of so many bytes; `look` finds out how many there are, and may block.
    #[must_use]
    pub fn new(limit: u64, look: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            limit,
            look: Box::new(look),
            full: None,
            left: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            looking: Mutex::new(None),
        }
    }

    /// Has `full` called when a write was refused, on a thread of guests: it must be quick.
    #[must_use]
    pub fn when_full(mut self, full: impl Fn() + Send + Sync + 'static) -> Self {
        self.full = Some(Box::new(full));
        self
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that may be written before anybody must look, at least.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// Takes room for a write of so many bytes, if there is enough without looking.
    fn take_known(&self, bytes: u64) -> Option<u64> {
        let most = growth(bytes);
        let take = |left: u64| left.checked_sub(most);
        self.left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .ok()?;
        self.under_way.fetch_add(most, Ordering::AcqRel);
        Some(most)
    }

    /// Takes room for a write of so many bytes, or of fewer: how many, and what was taken.
    async fn take(self: &Arc<Self>, bytes: u64) -> (u64, u64) {
        if let Some(taken) = self.take_known(bytes) {
            return (bytes, taken);
        }
        let mut again = self.looking.lock().await;
        // Somebody may have looked meanwhile.
        if let Some(taken) = self.take_known(bytes) {
            return (bytes, taken);
        }
        if let Some(at) = *again {
            tokio::time::sleep(at.saturating_duration_since(now())).await;
        }
        // From here on everybody else waits, so what is under way is known.
        self.left.store(0, Ordering::Release);
        let under_way = self.under_way.load(Ordering::Acquire);
        let (quota, began) = (Arc::clone(self), now());
        let looked = tokio::task::spawn_blocking(move || (quota.look)()).await;
        let ended = now();
        *again = Some(ended + pause(ended.saturating_duration_since(began)));
        // Who cannot look knows of no room.
        let used = looked.unwrap_or(u64::MAX).saturating_add(under_way);
        let free = self.limit.saturating_sub(used);
        let granted = bytes.min(free);
        // What a write of that many takes is known within two blocks: the next one looks.
        let taken = growth(granted).min(free);
        self.under_way.fetch_add(taken, Ordering::AcqRel);
        self.left.store(free - taken, Ordering::Release);
        drop(again);
        if granted == 0
            && let Some(full) = &self.full
        {
            full();
        }
        (granted, taken)
    }

    /// Gives back what was taken and is not needed.
    fn give_back(&self, taken: u64) {
        self.left.fetch_add(taken, Ordering::AcqRel);
        self.done(taken);
    }

    /// A write is made, or will not be: what it left on the disk can be seen there.
    fn done(&self, taken: u64) {
        self.under_way.fetch_sub(taken, Ordering::AcqRel);
    }
}

/// Bytes by which a file grows on disk at most if so many are written somewhere.
fn growth(bytes: u64) -> u64 {
    match bytes {
        0 => 0,
        bytes => bytes
            .saturating_add(2 * (BLOCK - 1))
            .checked_div(BLOCK)
            .unwrap_or(0)
            .saturating_mul(BLOCK),
    }
}

fn pause(took: Duration) -> Duration {
    took.saturating_mul(REST)
}

/// The limits of one mount.
pub(crate) type Quotas = Arc<[Arc<Quota>]>;

/// Room for one write.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    quotas: Quotas,
    /// What was taken of each.
    taken: Vec<u64>,
}

impl Room {
    /// Room for `bytes`, or for fewer if there is not so much; for none, if there is none.
    pub(crate) async fn take(quotas: &Quotas, bytes: u64) -> Self {
        let mut room = Self::none(quotas, bytes);
        for quota in quotas.iter() {
            let (granted, taken) = quota.take(room.bytes).await;
            room.bytes = granted;
            room.taken.push(taken);
            if granted == 0 {
                break;
            }
        }
        room
    }

    /// The same, if it is known that there is so much.
    pub(crate) fn take_known(quotas: &Quotas, bytes: u64) -> Option<Self> {
        let mut room = Self::none(quotas, bytes);
        for quota in quotas.iter() {
            match quota.take_known(bytes) {
                Some(taken) => room.taken.push(taken),
                None => {
                    room.give_back();
                    return None;
                }
            }
        }
        Some(room)
    }

    fn none(quotas: &Quotas, bytes: u64) -> Self {
        Self {
            bytes,
            quotas: Arc::clone(quotas),
            taken: Vec::with_capacity(quotas.len()),
        }
    }

    /// Nothing will be written.
    pub(crate) fn give_back(mut self) {
        for (quota, taken) in self.quotas.iter().zip(self.taken.drain(..)) {
            quota.give_back(taken);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (quota, taken) in self.quotas.iter().zip(self.taken.drain(..)) {
            quota.done(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that holds what is written.
    fn quota(limit: u64, used: &Arc<AtomicU64>) -> Quotas {
        let used = Arc::clone(used);
        Arc::new([Arc::new(Quota::new(limit, move || {
            used.load(Ordering::SeqCst)
        }))])
    }

    #[tokio::test]
    async fn exactly_the_limit_fits_in_any_pieces() {
        for piece in [1_000, 4_096, 65_536, 1 << 20] {
            let used = Arc::new(AtomicU64::new(0));
            let quotas = quota(1 << 20, &used);
            let mut written = 0;
            loop {
                let room = Room::take(&quotas, piece).await;
                if room.bytes == 0 {
                    break;
                }
                written += room.bytes;
                used.store(written, Ordering::SeqCst);
            }
            assert_eq!(written, 1 << 20, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn what_was_removed_can_be_written_again() {
        let used = Arc::new(AtomicU64::new(0));
        let quotas = quota(1 << 20, &used);
        assert_eq!(Room::take(&quotas, 1 << 20).await.bytes, 1 << 20);
        used.store(1 << 20, Ordering::SeqCst);
        assert_eq!(Room::take(&quotas, 1).await.bytes, 0);
        used.store(1 << 19, Ordering::SeqCst);
        assert_eq!(Room::take(&quotas, 1 << 20).await.bytes, 1 << 19);
    }

    /// Scattered bytes take a block each, whatever they count.
    #[tokio::test]
    async fn small_writes_are_counted_by_what_they_may_take() {
        let (used, looks) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (seen, counted) = (Arc::clone(&used), Arc::clone(&looks));
        let quotas: Quotas = Arc::new([Arc::new(Quota::new(1 << 20, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            seen.load(Ordering::SeqCst)
        }))]);
        for n in 1..=256 {
            let room = Room::take(&quotas, 1).await;
            assert_eq!(room.bytes, 1);
            used.store(n * BLOCK, Ordering::SeqCst);
        }
        assert_eq!(Room::take(&quotas, 1).await.bytes, 0);
        assert!(looks.load(Ordering::SeqCst) < 20, "{looks:?}");
    }

    /// What is under way is not on the disk yet.
    #[tokio::test]
    async fn writes_at_the_same_time_share_what_there_is() {
        let used = Arc::new(AtomicU64::new(0));
        let quotas = quota(1 << 20, &used);
        let first = Room::take(&quotas, 1 << 19).await;
        let second = Room::take(&quotas, 1 << 20).await;
        assert_eq!(first.bytes, 1 << 19);
        assert!(second.bytes <= 1 << 19 && second.bytes > 0);
        assert_eq!(Room::take(&quotas, 1).await.bytes, 0);
        first.give_back();
        assert!(Room::take(&quotas, 1 << 20).await.bytes > 0);
    }

    #[tokio::test]
    async fn several_limits_hold_together() {
        let used = Arc::new(AtomicU64::new(0));
        let (wide, narrow) = (quota(1 << 30, &used), quota(1 << 16, &used));
        let told = Arc::new(AtomicU64::new(0));
        let full = Arc::clone(&told);
        let last = Quota::new(0, || 0).when_full(move || {
            full.fetch_add(1, Ordering::SeqCst);
        });
        let both: Quotas = Arc::new([Arc::clone(&wide[0]), Arc::clone(&narrow[0])]);
        assert_eq!(Room::take(&both, 1 << 20).await.bytes, 1 << 16);
        let none: Quotas = Arc::new([Arc::clone(&wide[0]), Arc::new(last)]);
        assert_eq!(Room::take(&none, 1).await.bytes, 0);
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn growth_is_never_less_than_what_a_write_takes() {
        for (bytes, most) in [
            (0, 0),
            (1, 4_096),
            (2, 8_192),
            (4_096, 8_192),
            (4_098, 12_288),
        ] {
            assert_eq!(growth(bytes), most, "{bytes}");
        }
    }
}
