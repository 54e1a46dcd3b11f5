//! Patterns that name files.

use super::Shell;
use crate::{paths, pattern};

impl Shell {
    /// The paths that match a pattern, sorted; none if none does.
    pub(super) fn glob(&self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        let mut rest = pattern;
        while !rest.is_empty() {
            let slashes = rest.len() - rest.trim_start_matches('/').len();
            for path in &mut found {
                path.push_str(&rest[..slashes]);
            }
            rest = &rest[slashes..];
            let end = rest.find('/').unwrap_or(rest.len());
            let (part, behind) = rest.split_at(end);
            rest = behind;
            if !part.is_empty() {
                found = found
                    .iter()
                    .flat_map(|path| self.step(path, part, !behind.is_empty()))
                    .collect();
            }
        }
        found.sort_unstable();
        found
    }

    /// The paths that `path` becomes with what matches `part` behind it.
    fn step(&self, path: &str, part: &str, more: bool) -> Vec<String> {
        if !pattern::is_pattern(part) {
            let next = format!("{path}{}", pattern::unescape(part));
            return if more || self.exists(&next) {
                vec![next]
            } else {
                Vec::new()
            };
        }
        let directory = paths::normalize(&self.directory, if path.is_empty() { "." } else { path });
        let names = paths::names(&directory).unwrap_or_default();
        names
            .iter()
            .filter(|name| !name.starts_with('.') || part.starts_with('.'))
            .filter(|name| pattern::matches(part, name))
            .map(|name| format!("{path}{name}"))
            .filter(|path| !more || self.is_directory(path))
            .collect()
    }

    fn exists(&self, path: &str) -> bool {
        paths::stat(&paths::normalize(&self.directory, path), false).is_ok()
    }

    fn is_directory(&self, path: &str) -> bool {
        let stat = paths::stat(&paths::normalize(&self.directory, path), true);
        stat.is_ok_and(|stat| stat.kind == paths::Kind::Directory)
    }
}
