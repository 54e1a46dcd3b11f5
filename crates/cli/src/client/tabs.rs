//! Text in columns: cells end with tabs, and a column reaches as far as lines have a
//! cell in it (elastic tabstops). `kubectl describe` is laid out so.

use std::fmt::Write as _;

/// Spaces after the longest cell of a column.
const GAP: usize = 2;

/// Text that is laid out at the end.
#[derive(Default)]
pub(crate) struct Tabbed(String);

impl Tabbed {
    /// Adds a line.
    pub(crate) fn line(&mut self, text: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    /// Adds what stands before a colon, and what behind.
    pub(crate) fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{name}:\t{value}"));
    }

    /// The text in columns.
    pub(crate) fn finish(self) -> String {
        let lines: Vec<Vec<&str>> = self
            .0
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        let mut out = String::with_capacity(self.0.len() * 2);
        lay_out(&lines, &mut Vec::new(), &mut out);
        out
    }
}

/// Lays out lines whose first columns have these widths already.
fn lay_out(lines: &[Vec<&str>], widths: &mut Vec<usize>, out: &mut String) {
    let column = widths.len();
    // The last cell of a line has no tab behind it, so it is in no column.
    let is_in = |line: &Vec<&str>| column + 1 < line.len();
    let mut rest = lines;
    while let Some(first) = rest.first() {
        let len = rest
            .iter()
            .take_while(|line| is_in(line) == is_in(first))
            .count();
        let (block, behind) = rest.split_at(len);
        if is_in(first) {
            let width = block.iter().map(|line| line[column].chars().count()).max();
            widths.push(width.unwrap_or(0) + GAP);
            lay_out(block, widths, out);
            widths.pop();
        } else {
            for line in block {
                write(line, widths, out);
            }
        }
        rest = behind;
    }
}

fn write(line: &[&str], widths: &[usize], out: &mut String) {
    for (place, cell) in line.iter().enumerate() {
        out.push_str(cell);
        if let Some(width) = widths.get(place) {
            let pad = width.saturating_sub(cell.chars().count());
            out.extend(std::iter::repeat_n(' ', pad));
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::Tabbed;

    #[test]
    fn columns_end_where_lines_have_no_cell_in_them() {
        let mut text = Tabbed::default();
        text.field("Name", "x");
        text.field("Completion Mode", "Indexed");
        text.line("\tmore");
        text.line("Containers:");
        text.line("  c:");
        text.field("    Image", "i");
        text.line("  a\tlong cell\tb");
        text.line("  aa\t\tb");
        assert_eq!(
            text.finish(),
            "Name:             x\n\
             Completion Mode:  Indexed\n                  \
             more\nContainers:\n  c:\n    Image:  i\n  a         long cell  b\n  aa                   b\n"
        );
    }
}
