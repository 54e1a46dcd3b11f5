//! The daemon's tables, as `kubectl get` prints them.

use serde_json::Value;
use wasmjob_machinery::resource::Resource;

use super::api::{name, text};
use super::kinds::called;

/// Spaces after the longest cell of a column, and how wide a column is at least.
const GAP: usize = 3;
const WIDTH_MIN: usize = 6;

/// Which columns there are.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Look {
    pub(crate) wide: bool,
    pub(crate) labels: bool,
    pub(crate) namespace: bool,
    /// Whether names have their kind in front.
    pub(crate) kind: bool,
    pub(crate) headers: bool,
}

/// A table that grows; columns stay as wide as they were.
pub(crate) struct Table {
    resource: &'static Resource,
    look: Look,
    /// Places of the columns that are shown.
    shown: Vec<usize>,
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    pub(crate) const fn new(resource: &'static Resource, look: Look) -> Self {
        Self {
            resource,
            look,
            shown: Vec::new(),
            rows: Vec::new(),
            widths: Vec::new(),
        }
    }

    /// Takes in what the daemon sent.
    pub(crate) fn add(&mut self, table: &Value) {
        let empty = Vec::new();
        if self.shown.is_empty() {
            let columns = table["columnDefinitions"].as_array().unwrap_or(&empty);
            self.choose(columns);
        }
        for row in table["rows"].as_array().unwrap_or(&empty) {
            let row = self.row(row);
            self.rows.push(row);
        }
    }

    fn choose(&mut self, columns: &[Value]) {
        let is_shown = |column: &Value| self.look.wide || column["priority"].as_i64() == Some(0);
        let shown = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| is_shown(column));
        let shown: Vec<usize> = shown.map(|(place, _)| place).collect();
        if self.look.headers && !shown.is_empty() {
            let titles = shown
                .iter()
                .map(|place| text(&columns[*place], "/name").to_uppercase());
            let mut header: Vec<String> = titles.collect();
            if self.look.namespace {
                header.insert(0, "NAMESPACE".to_owned());
            }
            if self.look.labels {
                header.push("LABELS".to_owned());
            }
            self.rows.push(header);
        }
        self.shown = shown;
    }

    fn row(&self, row: &Value) -> Vec<String> {
        let mut cells = Vec::new();
        if self.look.namespace {
            cells.push(text(row, "/object/metadata/namespace").to_owned());
        }
        for (nth, place) in self.shown.iter().enumerate() {
            let text = cell(&row["cells"][*place]);
            cells.push(match nth == 0 && self.look.kind {
                true => format!("{}/{text}", called(self.resource)),
                false => text,
            });
        }
        if self.look.labels {
            cells.push(labels(&row["object"]["metadata"]["labels"]));
        }
        cells
    }

    /// Whether nothing waits to be printed, not even a header.
    pub(crate) fn is_empty(&self) -> bool {
        let headers = usize::from(self.look.headers && self.widths.is_empty());
        self.rows.len() <= headers
    }

    /// What was added since the last time, as text.
    pub(crate) fn take(&mut self) -> String {
        for row in &self.rows {
            for (place, cell) in row.iter().enumerate() {
                let width = (cell.chars().count() + GAP).max(WIDTH_MIN);
                match self.widths.get_mut(place) {
                    Some(known) => *known = width.max(*known),
                    None => self.widths.push(width),
                }
            }
        }
        let mut text = String::new();
        for row in std::mem::take(&mut self.rows) {
            let last = row.len().saturating_sub(1);
            for (place, cell) in row.iter().enumerate() {
                text.push_str(cell);
                if place < last {
                    let pad = self.widths[place].saturating_sub(cell.chars().count());
                    text.extend(std::iter::repeat_n(' ', pad));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// A value in one line that plays no tricks on a terminal.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return "<nil>".to_owned(),
        Value::String(text) => text.as_str(),
        other => return other.to_string(),
    };
    let line = text.split(['\n', '\r', '\u{c}']).next().unwrap_or_default();
    let mut shown = printable(line);
    if line.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// Text without control characters: what an object says is not for the terminal to obey.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\u{1b}' => shown.push_str("^["),
            '\t' => shown.push(' '),
            char if char.is_control() => shown.extend(char.escape_default()),
            char => shown.push(char),
        }
    }
    shown
}

fn labels(labels: &Value) -> String {
    let labels = labels.as_object().filter(|labels| !labels.is_empty());
    labels.map_or_else(
        || "<none>".to_owned(),
        |labels| {
            let pair = |(key, value): (&String, &Value)| {
                format!("{key}={}", value.as_str().unwrap_or_default())
            };
            labels.iter().map(pair).collect::<Vec<_>>().join(",")
        },
    )
}

/// How commands that change an object name it: `job.batch/report`.
pub(crate) fn reference(resource: &Resource, object: &Value) -> String {
    format!("{}/{}", called(resource), name(object))
}

#[cfg(test)]
mod tests {
    use super::{Look, Table};
    use serde_json::json;
    use wasmjob_machinery::resource;

    #[test]
    fn columns_are_padded_as_kubectl_pads_them_and_stay_wide() {
        let jobs = resource::find("batch", "v1", "jobs").unwrap();
        let look = Look {
            labels: true,
            namespace: true,
            kind: true,
            headers: true,
            ..Look::default()
        };
        let mut table = Table::new(jobs, look);
        let columns = json!([
            {"name": "Name", "priority": 0}, {"name": "Up", "priority": 0}, {"name": "More", "priority": 1},
        ]);
        let row = |name: &str, up: &str| json!({"cells": [name, up, "hidden"], "object": {"metadata": {"namespace": "ns", "labels": {"a": "b", "c": "d"}}}});
        table.add(&json!({"columnDefinitions": columns, "rows": []}));
        assert!(table.is_empty());
        table.add(&json!({"columnDefinitions": columns, "rows": [row("report", "1")]}));
        assert!(!table.is_empty());
        assert_eq!(
            table.take(),
            "NAMESPACE   NAME               UP    LABELS\n\
             ns          job.batch/report   1     a=b,c=d\n"
        );
        table.add(&json!({"rows": [row("x", "two\nlines\u{1b}[0m")]}));
        assert_eq!(
            table.take(),
            "ns          job.batch/x        two...   a=b,c=d\n"
        );
        table.add(&json!({"rows": [row("\u{1b}[2Jx", "")]}));
        assert_eq!(
            table.take(),
            "ns          job.batch/^[[2Jx            a=b,c=d\n"
        );
    }
}
