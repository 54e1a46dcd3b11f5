//! Sets of completion indexes as sorted intervals, and their text form (`1,3-5,7`).

/// A set of indexes, kept as sorted, disjoint, non-adjacent intervals.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IndexSet {
    intervals: Vec<(u32, u32)>,
}

/// Why a text is not a set of indexes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct IndexSetError(String);
