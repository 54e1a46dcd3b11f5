//! How much the files of a directory may grow.
//!
//! A write takes what it needs at most from what is left before it is made, so
//! what stands on the disk is never more than the limit and a block or two. The
//! account only falls: what a guest removes or overwrites is found when nothing
//! is left and the directory is looked at. So nobody can dodge it, and a guest
//! that is far from its limit costs a subtraction each write.
//!
//! A look belongs to nobody: it ends and is accounted for also when the guest that
//! wanted it is gone, there is one at a time, and none follows at once. Nothing is
//! moved or linked in the directory meanwhile, or it could be where the look has been.
//! What was removed and is still open counts, too (`open_files`).
//!
//! One thing can pass: a write that is under way when its guest is killed, and that
//! the disk makes later, is missed by a look in that moment.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Turn, Notify, OwnedRwLockReadGuard, RwLock, Semaphore};

use crate::clock::now;
use crate::open_files::{BLOCK, OpenFiles, Opening};

/// How many times as long as a look at a directory took nobody looks at it again: a
/// guest with many files beside little room cannot keep the host busy counting them.
const REST: u32 = 9;

/// How long a write waits for others that are under way, which may take less than they might.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nobody looks again where that could not be told.
const RETRY: Duration = Duration::from_millis(100);

/// Looks at once, everywhere: each takes one of the threads that guests' files need, and
/// a few descriptors.
static LOOKS: Semaphore = Semaphore::const_new(4);

/// The same of first looks, without which nobody writes at all: they do not wait for those
/// who are at their limit all the time.
static FIRST_LOOKS: Semaphore = Semaphore::const_new(2);

/// Finds out how many bytes a directory's files take, unless that cannot be told now.
/// Called where it may block.
type Look = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// One limit, of one directory or of several together. Everybody who writes there shares it.
pub struct Quota {
    account: Mutex<Account>,
    look: Look,
    full: Option<Box<dyn Fn() + Send + Sync>>,
    /// What is open there.
    open: OpenFiles,
    /// Whose turn it is to look.
    turn: Arc<Turn<()>>,
    /// Taken to look, and shared by those who move files.
    places: Arc<RwLock<()>>,
    /// Woken when a write that was under way is done.
    done: Notify,
}

#[derive(Debug)]
struct Account {
    limit: u64,
    /// Bytes that may be taken before somebody must look; none in the beginning.
    left: u64,
    /// Bytes that were taken for writes that are being made.
    under_way: u64,
    /// Bytes that the last look found, if it could tell.
    found: Option<u64>,
    /// Looks that were begun, and the number of the last one that ended.
    begun: u64,
    ended: u64,
    /// When somebody may look again.
    again: Option<Instant>,
    /// Whether the look that is going on has missed a file.
    missed: bool,
}

/// What became of a wish for room.
enum Answer {
    /// So many bytes may be written, for which so much was taken.
    Granted(u64, u64),
    /// There is no room.
    Full,
    /// There may be when what is under way is done.
    Wait,
    /// A look with that number or a later one must tell, from then on.
    Look(u64, Option<Instant>),
}

impl std::fmt::Debug for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Quota").field(&*self.account()).finish()
    }
}

impl Quota {
    /// A limit of so many bytes; `look` finds out how many there are in the directory, and
    /// may block. If it cannot tell, who writes waits until it can.
    #[must_use]
    pub fn new(limit: u64, look: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self {
            account: Mutex::new(Account {
                limit,
                left: 0,
                under_way: 0,
                found: None,
                begun: 0,
                ended: 0,
                again: None,
                missed: false,
            }),
            look: Box::new(look),
            full: None,
            open: OpenFiles::default(),
            turn: Arc::default(),
            places: Arc::default(),
            done: Notify::new(),
        }
    }

    /// Has `full` called when a write was refused, on a thread of guests: it must be quick.
    #[must_use]
    pub fn when_full(mut self, full: impl Fn() + Send + Sync + 'static) -> Self {
        self.full = Some(Box::new(full));
        self
    }

    /// Changes the limit, in bytes.
    pub fn set_limit(&self, limit: u64) {
        let mut account = self.account();
        if account.limit != limit {
            account.limit = limit;
            // Whoever looks next knows what is left of the new one.
            account.left = 0;
        }
    }

    /// Bytes that there are for certain, removed files included that guests have open, if
    /// that can be told. Blocks.
    #[must_use]
    pub fn measure(&self) -> Option<u64> {
        Some(self.bounds()?.0)
    }

    /// Bytes that there are at least and at most: one that is removed meanwhile may have
    /// been listed or not.
    fn bounds(&self) -> Option<(u64, u64)> {
        let before = self.open.removed();
        let listed = (self.look)()?;
        let after = self.open.removed();
        let known = after.iter().filter(|(id, _)| before.contains_key(id));
        let sum = |sum: u64, (_, bytes): (_, &u64)| sum.saturating_add(*bytes);
        Some((known.fold(listed, sum), after.iter().fold(listed, sum)))
    }

    /// A guest has opened a file.
    pub(crate) fn opened(&self, file: &Arc<File>, opening: Opening) {
        self.open.add(file);
        if opening.may_have_been_missed(file) {
            let mut account = self.account();
            account.left = 0;
            account.missed = account.ended != account.begun;
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // Nothing that can panic runs between two changes.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for a write of so many bytes, or of fewer: how many, and what was taken.
    async fn take(self: &Arc<Self>, bytes: u64) -> (u64, u64) {
        let mut looked = None;
        loop {
            let mut done = std::pin::pin!(self.done.notified());
            done.as_mut().enable();
            let answer = self.account().take(bytes, looked);
            match answer {
                Answer::Granted(bytes, taken) => return (bytes, taken),
                Answer::Full => {
                    if let Some(full) = &self.full {
                        full();
                    }
                    return (0, 0);
                }
                // A stream that nobody polls keeps what it took: that is no reason to wait long.
                Answer::Wait => match tokio::time::timeout(PATIENCE, done).await {
                    Ok(()) => looked = None,
                    Err(_) => return (0, 0),
                },
                Answer::Look(number, at) => {
                    looked = Some(number);
                    if let Some(at) = at {
                        tokio::time::sleep(at.saturating_duration_since(now())).await;
                    }
                    self.look_as(number).await;
                }
            }
        }
    }

    /// Looks, unless somebody else has meanwhile, or has only just.
    async fn look_as(self: &Arc<Self>, number: u64) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let ended = self.account().ended;
        if ended >= number {
            return;
        }
        let looks = if ended == 0 { &FIRST_LOOKS } else { &LOOKS };
        let permit = looks.acquire().await;
        let alone = Arc::clone(&self.places).write_owned().await;
        let began = now();
        let under_way = {
            let mut account = self.account();
            if account.ended >= number || account.again.is_some_and(|at| began < at) {
                return;
            }
            account.begun += 1;
            // From here on everybody else waits. What is under way may be made where the
            // look has been, and be done before it ends.
            account.left = 0;
            account.under_way
        };
        let quota = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || {
            let bounds = quota.bounds();
            let ended = now();
            let mut account = quota.account();
            let limit = account.limit;
            // Where only the most would be too much, nobody is told that it is.
            let found = bounds.and_then(|(least, most)| match limit {
                limit if most < limit || least == most => Some(most),
                limit if least > limit => Some(least),
                _ => None,
            });
            account.found = found;
            account.ended = account.begun;
            let mut rest = (ended - began).saturating_mul(REST);
            account.left = match (found, std::mem::take(&mut account.missed)) {
                (Some(found), false) => {
                    let used = found.saturating_add(under_way);
                    account.limit.saturating_sub(used)
                }
                (Some(_), true) => 0,
                (None, _) => {
                    rest = rest.max(RETRY);
                    0
                }
            };
            account.again = Some(ended + rest);
            drop(account);
            drop((alone, permit, turn));
        });
        // It goes on without us. Who cannot look has left nothing.
        let _ = looking.await;
    }

    /// A write is made, or will not be: what it left on the disk can be seen there.
    fn done(&self, taken: u64) {
        if taken > 0 {
            self.account().under_way -= taken;
            self.done.notify_waiters();
        }
    }
}

impl Account {
    fn take(&mut self, bytes: u64, looked: Option<u64>) -> Answer {
        let most = growth(bytes);
        if most <= self.left {
            self.left -= most;
            self.under_way += most;
            return Answer::Granted(bytes, most);
        }
        if looked.is_none_or(|number| self.ended < number) {
            return Answer::Look(looked.unwrap_or(self.begun + 1), self.again);
        }
        if self.ended < self.begun {
            // Somebody looks again already: what was granted meanwhile it might not see.
            return Answer::Look(self.begun, self.again);
        }
        let Some(found) = self.found else {
            return Answer::Look(self.begun + 1, self.again);
        };
        match self.left {
            0 if found > self.limit || self.limit == 0 => Answer::Full,
            0 if self.under_way > 0 => Answer::Wait,
            // All blocks are taken, and their last may not be filled: what does not fit
            // into it is found by the next look, and is the last. There is one such, so
            // others wait meanwhile.
            0 if found == self.limit => {
                self.under_way += BLOCK;
                Answer::Granted(bytes.min(BLOCK), BLOCK)
            }
            0 => Answer::Look(self.begun + 1, self.again),
            // What a write of that many takes is known within two blocks: the next one looks.
            left => {
                let granted = bytes.min(left);
                let taken = growth(granted).min(left);
                self.left -= taken;
                self.under_way += taken;
                Answer::Granted(granted, taken)
            }
        }
    }
}

/// Bytes by which a file grows on disk at most if so many are written somewhere.
fn growth(bytes: u64) -> u64 {
    match bytes {
        0 => 0,
        bytes => bytes.saturating_add(2 * (BLOCK - 1)) / BLOCK * BLOCK,
    }
}

/// The limits of one mount.
pub(crate) type Quotas = Arc<[Arc<Quota>]>;

/// Files may be moved and linked as long as this is held.
pub(crate) struct Moving(#[expect(dead_code, reason = "held")] Vec<OwnedRwLockReadGuard<()>>);

impl Moving {
    /// Waits until nobody looks.
    pub(crate) async fn begin(quotas: &Quotas) -> Self {
        let mut all = Vec::with_capacity(quotas.len());
        for quota in quotas.iter() {
            all.push(Arc::clone(&quota.places).read_owned().await);
        }
        Self(all)
    }
}

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
            match quota.account().take(bytes, None) {
                Answer::Granted(_, taken) => room.taken.push(taken),
                // What was taken of others is found by their next look.
                _ => return None,
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    /// A directory that holds what is written.
    fn quota(limit: u64, used: &Arc<AtomicU64>) -> Quotas {
        let used = Arc::clone(used);
        Arc::new([Arc::new(Quota::new(limit, move || {
            Some(used.load(Ordering::SeqCst))
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
            // The last block may be one that was begun.
            let last = (1 << 20)..=(1 << 20) + BLOCK;
            assert!(last.contains(&written), "{written} in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn what_was_removed_can_be_written_again() {
        let used = Arc::new(AtomicU64::new(0));
        let quotas = quota(1 << 20, &used);
        assert_eq!(Room::take(&quotas, 1 << 20).await.bytes, 1 << 20);
        used.store((1 << 20) + 1, Ordering::SeqCst);
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
            Some(seen.load(Ordering::SeqCst))
        }))]);
        for n in 1..=256 {
            let room = Room::take(&quotas, 1).await;
            assert_eq!(room.bytes, 1);
            used.store(n * BLOCK, Ordering::SeqCst);
        }
        assert_eq!(
            Room::take(&quotas, 1).await.bytes,
            1,
            "its block may be there"
        );
        used.store(257 * BLOCK, Ordering::SeqCst);
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
        // Nothing is on the disk yet, so it is not full: there may be room again.
        let third = Room::take(&quotas, 1);
        let waiting = tokio::time::timeout(Duration::from_millis(20), third).await;
        assert!(waiting.is_err());
        drop(first);
        assert_eq!(Room::take(&quotas, 4_096).await.bytes, 4_096);
    }

    /// As a component asks whether a stream is ready: and lets go of the question.
    #[tokio::test]
    async fn a_look_that_nobody_waits_for_is_one_look() {
        let (looks, (go, gate)) = (
            Arc::new(AtomicU64::new(0)),
            std::sync::mpsc::channel::<()>(),
        );
        let (counted, held) = (Arc::clone(&looks), Mutex::new(gate));
        let quotas: Quotas = Arc::new([Arc::new(Quota::new(1 << 20, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = held.lock().unwrap().recv();
            Some(0)
        }))]);
        for _ in 0..1_000 {
            let take = Room::take(&quotas, 1);
            assert!(tokio::time::timeout(Duration::ZERO, take).await.is_err());
        }
        assert!(looks.load(Ordering::SeqCst) <= 1);
        drop(go);
        assert_eq!(Room::take(&quotas, 1).await.bytes, 1);
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_last_block_is_for_one() {
        let quotas = quota(1 << 20, &Arc::new(AtomicU64::new(1 << 20)));
        let mut all = JoinSet::new();
        for _ in 0..50 {
            let quotas = Arc::clone(&quotas);
            all.spawn(async move { Room::take(&quotas, BLOCK).await });
        }
        let rooms = all.join_all().await;
        let bytes: u64 = rooms.iter().map(|room| room.bytes).sum();
        assert_eq!(bytes, BLOCK);
        // It was written in place, so that it can be again.
        drop(rooms);
        assert_eq!(Room::take(&quotas, BLOCK).await.bytes, BLOCK);
    }

    /// As when the process has no descriptors left.
    #[tokio::test]
    async fn who_writes_waits_until_a_look_can_tell() {
        let (told, looks) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let full = Arc::clone(&told);
        let quota = Quota::new(1 << 20, move || {
            match looks.fetch_add(1, Ordering::SeqCst) {
                0 => Some((1 << 20) + 1),
                1 | 2 => None,
                _ => Some(1 << 19),
            }
        });
        let quota = quota.when_full(move || {
            full.fetch_add(1, Ordering::SeqCst);
        });
        let quotas: Quotas = Arc::new([Arc::new(quota)]);
        assert_eq!(Room::take(&quotas, 1).await.bytes, 0);
        assert_eq!(Room::take(&quotas, 1 << 20).await.bytes, 1 << 19);
        assert_eq!(told.load(Ordering::SeqCst), 1, "once it could tell");
    }

    /// What the look has passed when it is written is on the disk when the look ends.
    #[tokio::test]
    async fn what_ends_during_a_look_is_not_lost() {
        let used = Arc::new(AtomicU64::new(0));
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (seen, held) = (Arc::clone(&used), Mutex::new(gate));
        let quotas: Quotas = Arc::new([Arc::new(Quota::new(1 << 20, move || {
            let found = seen.load(Ordering::SeqCst);
            let _ = held.lock().unwrap().recv();
            Some(found)
        }))]);
        go.send(()).unwrap();
        let first = Room::take(&quotas, 1 << 19).await;
        assert_eq!(first.bytes, 1 << 19);
        // Somebody wants more than is left: a look, which goes past the place of the first.
        let quota = Arc::clone(&quotas[0]);
        quota.set_limit((1 << 20) + 1);
        let mut second = JoinSet::new();
        second.spawn({
            let quotas = Arc::clone(&quotas);
            async move { Room::take(&quotas, 1 << 20).await }
        });
        while quota.account().begun < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        used.store(1 << 19, Ordering::SeqCst);
        drop(first);
        go.send(()).unwrap();
        let second = second.join_all().await;
        let second = &second[0];
        assert!(second.bytes <= (1 << 19) + 1, "{} bytes", second.bytes);
        drop(go);
    }

    #[tokio::test]
    async fn nothing_moves_while_somebody_looks() {
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(gate);
        let quotas: Quotas = Arc::new([Arc::new(Quota::new(1 << 20, move || {
            let _ = held.lock().unwrap().recv();
            Some(0)
        }))]);
        let take = Room::take(&quotas, 1);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), take)
                .await
                .is_err()
        );
        let moving = Moving::begin(&quotas);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), moving)
                .await
                .is_err()
        );
        drop(go);
        let moving = Moving::begin(&quotas).await;
        quotas[0].set_limit(1 << 21);
        let take = Room::take(&quotas, 1);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), take)
                .await
                .is_err()
        );
        drop(moving);
        assert_eq!(Room::take(&quotas, 1 << 20).await.bytes, 1 << 20);
    }

    #[tokio::test]
    async fn several_limits_hold_together() {
        let used = Arc::new(AtomicU64::new(0));
        let (wide, narrow) = (quota(1 << 30, &used), quota(1 << 16, &used));
        let told = Arc::new(AtomicU64::new(0));
        let full = Arc::clone(&told);
        let last = Quota::new(0, || Some(0)).when_full(move || {
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
