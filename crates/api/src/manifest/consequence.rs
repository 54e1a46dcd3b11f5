//! Which errors only follow from something that could not be read.

use super::check::Misfit;
use crate::field::{Error, ErrorKind, Path};

/// Where a misfit stands, and the field that was meant instead, if the hint names it.
pub(super) fn place_and_meant(misfit: &Misfit) -> (Path, Option<Path>) {
    let name = misfit
        .hint
        .as_deref()
        .and_then(|hint| hint.strip_prefix("did you mean `")?.strip_suffix("`?"));
    let parent = misfit
        .path
        .as_str()
        .rsplit_once('.')
        .map(|(parent, _)| Path::new(parent));
    let meant = name.map(|name| parent.unwrap_or_default().child(name));
    (misfit.path.clone(), meant)
}

/// Whether `error` is there only because what stands at `path` could not be read:
/// it is about that field, about something in it, or misses what holds it.
pub(super) fn follows(error: &Error, path: &Path, meant: Option<&Path>) -> bool {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let is_required = error.kind == ErrorKind::Required;
    within(&error.field, path.as_str())
        || (is_required && within(path.as_str(), &error.field))
        || is_item_of(path.as_str(), &error.field)
        || (is_required && meant.is_some_and(|meant| meant.as_str() == error.field))
}

/// Whether `path` is an item of the list `list`, which is shorter without it.
fn is_item_of(path: &str, list: &str) -> bool {
    path.strip_prefix(list)
        .is_some_and(|rest| rest.starts_with('['))
}
