//! Sets of completion indexes as sorted intervals, and their text form (`1,3-5,7`).
//!
//! Kubernetes writes such sets in `status.completedIndexes`,
//! `status.failedIndexes` and `successPolicy.rules[].succeededIndexes`. The
//! cost of everything here follows the number of intervals, never the number
//! of completions: a Job of 2147483647 completions is as cheap as one of 3.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of indexes, kept as sorted, disjoint, non-adjacent intervals.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IndexSet {
    /// First and last index of each interval, both inside.
    intervals: Vec<(u32, u32)>,
}

/// Why a text is not a set of indexes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct IndexSetError(String);

impl IndexSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            intervals: Vec::new(),
        }
    }

    /// Reads `text`, all of whose indexes must be below `completions` and increase strictly.
    ///
    /// # Errors
    ///
    /// Says what is wrong in the words of Kubernetes' `validateIndexesFormat`.
    /// An empty text is the empty set.
    pub fn parse(text: &str, completions: u32) -> Result<Self, IndexSetError> {
        let mut set = Self::new();
        if text.is_empty() {
            return Ok(set);
        }
        let mut previous: Option<u32> = None;
        for part in text.split(',') {
            let (first, last) = parse_interval(part, completions)?;
            if let Some(previous) = previous.filter(|previous| *previous >= first) {
                return Err(not_increasing(previous, first));
            }
            previous = Some(last);
            set.append(first, last);
        }
        Ok(set)
    }

    /// Reads what can be read of `text`, leaving out indexes from `completions` on.
    ///
    /// As `parseIndexesFromString` of the Job controller: an interval that is
    /// not made of numbers is skipped.
    #[must_use]
    pub fn parse_lenient(text: &str, completions: u32) -> Self {
        let mut set = Self::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let last = last.split('-').next().unwrap_or_default();
            let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
                continue;
            };
            let last = last.min(completions.saturating_sub(1));
            if first < completions && first <= last {
                set.insert_interval(first, last);
            }
        }
        set
    }

    /// The set of all indexes below `n`.
    #[must_use]
    pub fn below(n: u32) -> Self {
        let mut set = Self::new();
        if n > 0 {
            set.append(0, n - 1);
        }
        set
    }

    /// How many indexes it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.intervals
            .iter()
            .map(|(first, last)| u64::from(last - first) + 1)
            .sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The largest index.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.intervals.last().map(|(_, last)| *last)
    }

    /// Whether `index` is in it.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.find(index).is_ok()
    }

    /// The smallest index from `from` on that is not in it; `None` past the last `u32`.
    #[must_use]
    pub fn first_missing_from(&self, from: u32) -> Option<u32> {
        match self.find(from) {
            Ok(at) => self.intervals[at].1.checked_add(1),
            Err(_) => Some(from),
        }
    }

    /// Adds `index`; false if it was there already.
    pub fn insert(&mut self, index: u32) -> bool {
        let Err(at) = self.find(index) else {
            return false;
        };
        let joins_before = at > 0 && self.intervals[at - 1].1 + 1 == index;
        let joins_after = at < self.intervals.len() && self.intervals[at].0 == index + 1;
        match (joins_before, joins_after) {
            (true, true) => {
                self.intervals[at - 1].1 = self.intervals[at].1;
                self.intervals.remove(at);
            }
            (true, false) => self.intervals[at - 1].1 = index,
            (false, true) => self.intervals[at].0 = index,
            (false, false) => self.intervals.insert(at, (index, index)),
        }
        true
    }

    /// Takes `index` out; false if it was not there.
    pub fn remove(&mut self, index: u32) -> bool {
        let Ok(at) = self.find(index) else {
            return false;
        };
        let (first, last) = self.intervals[at];
        match (first == index, last == index) {
            (true, true) => {
                self.intervals.remove(at);
            }
            (true, false) => self.intervals[at].0 = index + 1,
            (false, true) => self.intervals[at].1 = index - 1,
            (false, false) => {
                self.intervals[at].1 = index - 1;
                self.intervals.insert(at + 1, (index + 1, last));
            }
        }
        true
    }

    /// Adds all indexes from `first` to `last`, both inside. Nothing if `first > last`.
    pub fn insert_interval(&mut self, first: u32, last: u32) {
        if first > last {
            return;
        }
        // The intervals that touch the new one make room for their union with it.
        let start = self
            .intervals
            .partition_point(|(_, l)| l.checked_add(1).is_some_and(|next| next < first));
        let end = self
            .intervals
            .partition_point(|(f, _)| last.checked_add(1).is_none_or(|next| *f <= next));
        let mut union = (first, last);
        if let (Some(left), true) = (self.intervals.get(start), start < end) {
            union = (first.min(left.0), last.max(self.intervals[end - 1].1));
        }
        self.intervals.splice(start..end, [union]);
    }

    /// Adds all indexes of `other`.
    pub fn union_with(&mut self, other: &Self) {
        for (first, last) in &other.intervals {
            self.insert_interval(*first, *last);
        }
    }

    /// How many indexes are in both.
    #[must_use]
    pub fn intersection_len(&self, other: &Self) -> u64 {
        let (mut a, mut b) = (0, 0);
        let mut common = 0;
        while let (Some(x), Some(y)) = (self.intervals.get(a), other.intervals.get(b)) {
            let (first, last) = (x.0.max(y.0), x.1.min(y.1));
            if first <= last {
                common += u64::from(last - first) + 1;
            }
            if x.1 <= y.1 {
                a += 1;
            }
            if y.1 <= x.1 {
                b += 1;
            }
        }
        common
    }

    /// Drops the indexes from `n` on.
    pub fn retain_below(&mut self, n: u32) {
        while let Some(tail) = self.intervals.last_mut() {
            if tail.0 >= n {
                self.intervals.pop();
            } else {
                tail.1 = tail.1.min(n - 1);
                return;
            }
        }
    }

    /// The intervals, in order: first and last index, both inside.
    pub fn intervals(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.intervals.iter().copied()
    }

    /// The indexes, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.intervals().flat_map(|(first, last)| first..=last)
    }

    /// Where the interval that holds `index` is, or where it would be.
    fn find(&self, index: u32) -> Result<usize, usize> {
        let at = self.intervals.partition_point(|(_, last)| *last < index);
        match self.intervals.get(at) {
            Some((first, _)) if *first <= index => Ok(at),
            _ => Err(at),
        }
    }

    /// Adds an interval that lies behind all others.
    fn append(&mut self, first: u32, last: u32) {
        match self.intervals.last_mut() {
            Some(tail) if tail.1.checked_add(1) == Some(first) => tail.1 = last,
            _ => self.intervals.push((first, last)),
        }
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        let mut set = Self::new();
        for index in indexes {
            set.insert(index);
        }
        set
    }
}

/// Runs of three and more are `a-b`, runs of two `a,b`, as Kubernetes writes them.
impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (first, last)) in self.intervals().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            match last - first {
                0 => write!(f, "{first}")?,
                1 => write!(f, "{first},{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn parse_interval(part: &str, completions: u32) -> Result<(u32, u32), IndexSetError> {
    let mut limits = part.split('-');
    let (first, last, more) = (limits.next(), limits.next(), limits.next());
    if more.is_some() {
        return Err(IndexSetError(format!(
            "the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'"
        )));
    }
    let first = parse_index(first.unwrap_or_default(), completions)?;
    let Some(last) = last else {
        return Ok((first, first));
    };
    let last = parse_index(last, completions)?;
    if first >= last {
        return Err(not_increasing(first, last));
    }
    Ok((first, last))
}

fn parse_index(text: &str, completions: u32) -> Result<u32, IndexSetError> {
    let number: i64 = text.parse().map_err(|_| {
        IndexSetError(format!(
            "cannot convert string to integer for index: {text:?}"
        ))
    })?;
    u32::try_from(number)
        .ok()
        .filter(|index| *index < completions)
        .ok_or_else(|| IndexSetError(format!("too large index: {text:?}")))
}

fn not_increasing(previous: u32, current: u32) -> IndexSetError {
    IndexSetError(format!(
        "non-increasing order, previous: {previous}, current: {current}"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::IndexSet;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = IndexSet::parse(text, 100).map(|set| set.to_string());
        assert_eq!(
            parsed.as_deref().map_err(ToString::to_string),
            expected.map_err(ToString::to_string)
        );
    }

    #[test]
    fn a_text_of_indexes_is_read_strictly() {
        check("", Ok(""));
        check("7", Ok("7"));
        check("1,2", Ok("1,2"));
        check("1-2", Ok("1,2"));
        check("1,2,3", Ok("1-3"));
        check("0,2-4,99", Ok("0,2-4,99"));
        check(
            "x",
            Err("cannot convert string to integer for index: \"x\""),
        );
        check(
            "1,",
            Err("cannot convert string to integer for index: \"\""),
        );
        check("100", Err("too large index: \"100\""));
        check("98-100", Err("too large index: \"100\""));
        check("99999999999", Err("too large index: \"99999999999\""));
        check("5,3", Err("non-increasing order, previous: 5, current: 3"));
        check("3-3", Err("non-increasing order, previous: 3, current: 3"));
        check(
            "1-2-3",
            Err(
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ),
        );
    }

    #[test]
    fn the_last_index_there_is_can_be_in_a_set() {
        let mut set = IndexSet::new();
        set.insert_interval(0, u32::MAX - 1);
        assert_eq!(set.first_missing_from(0), Some(u32::MAX));
        set.insert_interval(u32::MAX, u32::MAX);
        assert_eq!(set.first_missing_from(7), None);
        assert_eq!(set.len(), 1 << 32);
    }

    proptest! {
        #[test]
        fn a_set_of_intervals_behaves_as_a_set_of_numbers(
            steps in prop::collection::vec((0..4u8, 0..40u32, 0..10u32), 0..60),
        ) {
            let (mut set, mut model) = (IndexSet::new(), BTreeSet::new());
            for (kind, at, width) in steps {
                match kind {
                    0 => prop_assert_eq!(set.insert(at), model.insert(at)),
                    1 => prop_assert_eq!(set.remove(at), model.remove(&at)),
                    2 => {
                        set.insert_interval(at, at + width);
                        model.extend(at..=at + width);
                    }
                    _ => {
                        set.retain_below(at + 20);
                        model.retain(|index| *index < at + 20);
                    }
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), model.len() as u64);
                let missing = (at..).find(|index| !model.contains(index));
                prop_assert_eq!(set.first_missing_from(at), missing);
                prop_assert_eq!(&IndexSet::parse(&set.to_string(), 1000).unwrap(), &set);
                prop_assert_eq!(&IndexSet::parse_lenient(&set.to_string(), 1000), &set);
            }
        }

        #[test]
        fn an_intersection_counts_what_both_hold(
            a in prop::collection::btree_set(0..60u32, 0..40),
            b in prop::collection::btree_set(0..60u32, 0..40),
        ) {
            let (x, y): (IndexSet, IndexSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.intersection_len(&y), a.intersection(&b).count() as u64);
            let mut both = x;
            both.union_with(&y);
            prop_assert_eq!(both.iter().collect::<BTreeSet<_>>(), &a | &b);
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in "[-,0-9x+ ]{0,24}", completions in any::<u32>()) {
            let _ = IndexSet::parse(&text, completions);
            let set = IndexSet::parse_lenient(&text, completions);
            prop_assert!(set.last().is_none_or(|last| last < completions));
        }
    }
}
