//! Server-side apply: objects that several managers write, each owning the fields
//! that it sets, recorded in `metadata.managedFields`.
//!
//! [`apply`] merges what a manager wants into the live object, removes what it no
//! longer wants and nobody else owns, and refuses to change what others own.
//! [`track_update`] records what every other write changes. Both are driven by the
//! table of types, which says what is a field, an item or a whole; where the table
//! knows nothing, objects are owned field by field and lists as a whole.
//!
//! Every kind is served in one version here, so the entries of other versions are
//! read as if they were of this one.

mod compare;
mod conflict;
mod field_set;
mod last_applied;
mod managed;
mod merge;
mod operation;
mod path;
mod prune;
mod schema;
mod scope;
mod set;
mod update;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use conflict::{Cause, Conflict};
pub use field_set::fields_of;
pub use operation::{ApplyError, Applying, apply};
pub use path::Element;
pub use set::FieldSet;
pub use update::{Tracking, track_update};
