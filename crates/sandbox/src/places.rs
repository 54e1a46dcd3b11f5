//! In which mount each of a guest's descriptors lies.
//!
//! WASI's implementation knows directories, not mounts. Descriptors come from
//! two places only, the preopened directories and opening below another, so
//! whoever notes both knows where each lies.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use crate::Mount;
use crate::open_files::Opening;
use crate::quota::{Moving, Quotas, Room};

/// The first descriptor of a preopened directory, after the three streams.
const FIRST_PREOPENED: u32 = 3;

/// Where a guest's descriptors lie: file descriptors of WASI 0.1, handles of 0.2.
#[derive(Default)]
pub(crate) struct Places {
    mounts: Arc<[Mount]>,
    /// The mounts of the preopened directories, in their order.
    preopened: Vec<usize>,
    of: HashMap<u32, usize>,
}

/// There is no room.
#[derive(Debug)]
pub(crate) struct Full;

impl Places {
    /// `preopened` names the mounts that the preopened directories lie in.
    pub(crate) fn new(mounts: Arc<[Mount]>, preopened: Vec<usize>) -> Self {
        let first = (FIRST_PREOPENED..).zip(preopened.iter().copied());
        Self {
            of: first.collect(),
            mounts,
            preopened,
        }
    }

    /// The mount that a descriptor lies in; none for streams.
    fn mount(&self, descriptor: u32) -> Option<usize> {
        self.of.get(&descriptor).copied()
    }

    /// Whether it is no stream.
    pub(crate) fn is_file(&self, descriptor: u32) -> bool {
        self.of.contains_key(&descriptor)
    }

    /// The limits of the files where a descriptor lies; none for streams.
    pub(crate) fn quotas(&self, descriptor: u32) -> Option<&Quotas> {
        Some(&self.mounts.get(self.mount(descriptor)?)?.quotas)
    }

    /// Room for so many bytes, or for fewer, where a descriptor lies, if that is limited.
    pub(crate) async fn room(&self, descriptor: u32, bytes: u64) -> Result<Option<Room>, Full> {
        let quotas = self.quotas(descriptor).filter(|quotas| !quotas.is_empty());
        let Some(quotas) = quotas.filter(|_| bytes > 0) else {
            return Ok(None);
        };
        match Room::take(quotas, bytes).await {
            room if room.bytes == 0 => Err(Full),
            room => Ok(Some(room)),
        }
    }

    /// Waits until nobody looks at the files where a descriptor lies, so that some may be
    /// moved.
    pub(crate) async fn moving(&self, descriptor: u32) -> Option<Moving> {
        Some(Moving::begin(self.quotas(descriptor)?).await)
    }

    /// Whether two descriptors lie in one mount: otherwise files cannot be moved or
    /// linked from one to the other, as between file systems.
    pub(crate) fn are_together(&self, a: u32, b: u32) -> bool {
        self.mount(a) == self.mount(b)
    }

    /// `descriptor` was opened below `parent`: `file`, if that is known.
    pub(crate) fn opened(
        &mut self,
        parent: u32,
        descriptor: u32,
        file: Option<&Arc<File>>,
        opening: Opening,
    ) {
        if let (Some(quotas), Some(file)) = (self.quotas(parent), file) {
            for quota in quotas.iter() {
                quota.opened(file, opening);
            }
        }
        match self.mount(parent) {
            Some(mount) => self.of.insert(descriptor, mount),
            None => self.of.remove(&descriptor),
        };
    }

    /// The preopened directories were given out as these handles.
    pub(crate) fn given_out(&mut self, handles: impl IntoIterator<Item = u32>) {
        let handles = handles.into_iter();
        self.of.extend(handles.zip(self.preopened.iter().copied()));
    }

    /// `from` is called `to` from now on.
    pub(crate) fn renumbered(&mut self, from: u32, to: u32) {
        match self.of.remove(&from) {
            Some(mount) => self.of.insert(to, mount),
            None => self.of.remove(&to),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(Arc::new([]), vec![0, 1, 0])
    }

    #[test]
    fn preopened_directories_come_after_the_streams() {
        let places = places();
        assert!(places.are_together(3, 5) && !places.are_together(3, 4));
        assert!(!places.are_together(3, 2) && !places.are_together(3, 6));
    }

    #[test]
    fn what_is_opened_lies_where_its_directory_does() {
        let mut places = places();
        places.opened(4, 9, None, Opening::begin());
        assert!(places.are_together(9, 4));
        places.renumbered(9, 3);
        assert!(places.are_together(3, 4) && !places.are_together(9, 4));
        // The number comes again.
        places.opened(5, 9, None, Opening::begin());
        assert!(places.are_together(9, 5));
        // A stream that is called as a file was is no file.
        places.renumbered(1, 4);
        assert!(!places.are_together(4, 3));
        assert_eq!(places.mount(4), None);
    }

    #[test]
    fn handles_are_known_when_they_are_given_out() {
        let mut places = places();
        places.given_out([20, 21, 22]);
        assert!(places.are_together(20, 22) && !places.are_together(20, 21));
    }
}
