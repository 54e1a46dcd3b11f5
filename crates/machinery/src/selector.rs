//! Which objects a list or a watch is about: label selectors and field selectors.
//!
//! Both are parsed once per request and matched against every object, so a parsed
//! selector borrows nothing and matching allocates nothing. The errors are worded as
//! Kubernetes words them, for clients show them to people.

pub mod field;
pub mod label;
mod label_text;
mod object;

pub use field::FieldSelector;
pub use label::{LabelSelector, Operator, Requirement};
