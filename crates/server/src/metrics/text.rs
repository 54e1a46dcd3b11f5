//! Prometheus' text format.

use std::fmt::Write as _;

/// A label and its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// What has been written.
#[derive(Default)]
pub(super) struct Text(String);

/// What a metric is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl Text {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// Begins a metric; its samples follow.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        // Writing to a text cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: self, name }
    }

    /// A gauge of one sample without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Into<Number>) {
        self.family(name, Kind::Gauge, help).sample("", &[], value);
    }
}

/// A metric on its way.
pub(super) struct Family<'a> {
    text: &'a mut Text,
    name: &'a str,
}

impl Family<'_> {
    /// A sample. `common` are labels that were written by [`labels`] before.
    pub(super) fn sample(&mut self, common: &str, more: &[Label<'_>], value: impl Into<Number>) {
        self.sample_of("", common, more, value);
    }

    /// A sample of a part of a histogram: `_bucket`, `_sum`, `_count`.
    pub(super) fn sample_of(
        &mut self,
        suffix: &str,
        common: &str,
        more: &[Label<'_>],
        value: impl Into<Number>,
    ) {
        let text = &mut self.text.0;
        text.push_str(self.name);
        text.push_str(suffix);
        if !common.is_empty() || !more.is_empty() {
            text.push('{');
            text.push_str(common);
            if !common.is_empty() && !more.is_empty() {
                text.push(',');
            }
            add_labels(text, more);
            text.push('}');
        }
        text.push(' ');
        match value.into() {
            Number::Whole(number) => {
                let _ = writeln!(text, "{number}");
            }
            Number::Real(number) => {
                let _ = writeln!(text, "{number}");
            }
        }
    }
}

/// The value of a sample.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(i64),
    Real(f64),
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Whole(value)
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// Labels as they stand between the braces.
pub(super) fn labels(labels: &[Label<'_>]) -> String {
    let mut text = String::new();
    add_labels(&mut text, labels);
    text
}

fn add_labels(text: &mut String, labels: &[Label<'_>]) {
    for (place, (name, value)) in labels.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for char in value.chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                char => text.push(char),
            }
        }
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Text, labels};

    #[test]
    fn labels_are_escaped_and_numbers_are_plain() {
        let mut text = Text::default();
        let mut family = text.family("a_seconds", Kind::Gauge, "How long.");
        family.sample("", &[], 1.5);
        family.sample(&labels(&[("n", "x")]), &[("v", "a\\b\"c\nd")], 3_u64);
        family.sample(&labels(&[("n", "ü\r")]), &[], -2_i64);
        text.gauge("b", "Whether.", true);
        assert_eq!(
            String::from_utf8(text.into_bytes()).unwrap(),
            "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
             a_seconds{n=\"x\",v=\"a\\\\b\\\"c\\nd\"} 3\na_seconds{n=\"ü\r\"} -2\n\
             # HELP b Whether.\n# TYPE b gauge\nb 1\n"
        );
    }
}
