//! The names of time zones, as they stand in `timeZone`.
//!
//! Only the names: the rules of the zones belong to whoever computes times.

use std::collections::HashSet;
use std::sync::LazyLock;

static NAMES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("time_zones.txt").lines().collect());

/// Whether IANA has a zone of this name, in this spelling.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(name)
}

/// Whether `name` has the form of a zone's name: parts of 1 to 14 characters, none
/// of which leads anywhere else when it becomes part of a path.
pub(super) fn is_well_formed(name: &str) -> bool {
    name.split('/').all(|part| {
        (1..=14).contains(&part.len())
            && part != "."
            && part != ".."
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    })
}
