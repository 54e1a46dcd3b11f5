//! A disk that remembers everything that was done to it, and so can tell what
//! it might hold after a power cut at any moment: of what was not synced, some
//! is there and some is not, in any order, and writes are torn between sectors.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use rand::rngs::StdRng;
use wasmjob_store::{Disk, Medium, OpenError};

/// What a disk writes at once.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    /// Another file took its place.
    Replace(Vec<u8>),
    Sync,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// What was there when it was made.
    first: Vec<u8>,
    ops: Vec<Op>,
    mark: Option<u64>,
    /// What is made beside it.
    new: Option<SimDisk>,
    /// The operation of this number fails, and those of its kind after it, so many times.
    fault: Option<Fault>,
    faults_met: u32,
}

/// An operation that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// Counted over all writes, changes of length and syncs.
    pub(crate) at: usize,
    /// How often, from there on.
    pub(crate) times: u32,
    /// How.
    pub(crate) error: i32,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    pub(crate) fn new(bytes: Vec<u8>, mark: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(State {
            first: bytes.clone(),
            bytes,
            mark,
            ..State::default()
        })))
    }

    pub(crate) fn failing(fault: Fault) -> Self {
        let disk = Self::default();
        disk.lock().fault = Some(fault);
        disk
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations there were.
    pub(crate) fn ops(&self) -> usize {
        self.lock().ops.len()
    }

    pub(crate) fn faults_met(&self) -> u32 {
        let state = self.lock();
        state.faults_met + state.new.as_ref().map_or(0, Self::faults_met)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    pub(crate) fn last_mark(&self) -> Option<u64> {
        self.lock().mark
    }

    /// What the disk may hold when the power goes after so many operations.
    pub(crate) fn image(&self, ops: usize, random: &mut StdRng) -> Vec<u8> {
        let state = self.lock();
        let done = &state.ops[..ops];
        let synced = done
            .iter()
            .rposition(|op| matches!(op, Op::Sync))
            .map_or(0, |at| at + 1);
        let mut image = state.first.clone();
        for op in &done[..synced] {
            apply(&mut image, op);
        }
        let mut loose: Vec<&Op> = done[synced..].iter().collect();
        // Now and then all of it is there, in order: a process was killed.
        if random.random_ratio(1, 8) {
            loose.into_iter().for_each(|op| apply(&mut image, op));
            return image;
        }
        // As often in order as not: a disk seldom turns everything around.
        if random.random() {
            for n in (1..loose.len()).rev() {
                loose.swap(n, random.random_range(0..=n));
            }
        }
        let kept = random.random_range(0..=4);
        for op in loose {
            match random.random_range(0..4) {
                n if n < kept => apply(&mut image, op),
                3 => tear(&mut image, op, random),
                _ => {}
            }
        }
        image
    }

    fn step(&self, op: Op) -> io::Result<()> {
        let mut state = self.lock();
        let at = state.ops.len();
        if let Some(fault) = &mut state.fault
            && at >= fault.at
            && fault.times > 0
        {
            fault.times -= 1;
            let error = fault.error;
            state.faults_met += 1;
            // Half of it may have been written.
            if let Op::Write(offset, bytes) = &op {
                let half = Op::Write(*offset, bytes[..bytes.len() / 2].to_vec());
                apply(&mut state.bytes, &half);
                state.ops.push(half);
            }
            return Err(io::Error::from_raw_os_error(error));
        }
        apply(&mut state.bytes, &op);
        state.ops.push(op);
        Ok(())
    }
}

fn apply(image: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, bytes) => put(image, *offset as usize, bytes),
        Op::SetLen(len) => image.resize(*len as usize, 0),
        Op::Replace(bytes) => image.clone_from(bytes),
        Op::Sync => {}
    }
}

fn put(image: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    let end = start + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

/// Some sectors of it.
fn tear(image: &mut Vec<u8>, op: &Op, random: &mut StdRng) {
    let Op::Write(offset, bytes) = op else { return };
    let mut at = 0;
    while at < bytes.len() {
        let place = *offset as usize + at;
        let len = (SECTOR - place % SECTOR).min(bytes.len() - at);
        if random.random() {
            put(image, place, &bytes[at..at + len]);
        }
        at += len;
    }
}

impl Medium for SimDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = state.bytes.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(Op::Write(offset, bytes.to_vec()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(Op::SetLen(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.step(Op::Sync)
    }
}

impl Disk for SimDisk {
    fn open(&self) -> Result<Option<Arc<dyn Medium>>, OpenError> {
        let is_there = !self.lock().bytes.is_empty();
        Ok(is_there.then(|| Arc::new(self.clone()) as Arc<dyn Medium>))
    }

    fn create(&self) -> Result<Arc<dyn Medium>, OpenError> {
        let new = Self::default();
        let mut state = self.lock();
        new.lock().fault = state.fault.take();
        state.new = Some(new.clone());
        Ok(Arc::new(new))
    }

    /// A rename, which is there or not.
    fn publish(&self) -> Result<(), OpenError> {
        let new = self.lock().new.take().unwrap();
        let (mut state, mut new) = (self.lock(), new.lock());
        state.fault = new.fault.take();
        state.faults_met += new.faults_met;
        state.bytes.clone_from(&new.bytes);
        state.ops.push(Op::Replace(new.bytes.clone()));
        state.ops.push(Op::Sync);
        Ok(())
    }

    /// So little that most batches fold something, and some nothing.
    fn journal_bytes_max(&self) -> usize {
        8_000
    }

    fn mark(&self, revision: u64) {
        self.lock().mark = Some(revision);
    }

    fn marked(&self) -> Option<u64> {
        self.lock().mark
    }
}
