//! Texts as Go prints them, because clients and people know Kubernetes' messages.

use std::fmt::Write;

/// A text as Go's `%q` prints it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        // Writing to a String does not fail.
        let _ = match character {
            '"' => quoted.write_str("\\\""),
            '\\' => quoted.write_str("\\\\"),
            '\u{7}' => quoted.write_str("\\a"),
            '\u{8}' => quoted.write_str("\\b"),
            '\u{c}' => quoted.write_str("\\f"),
            '\n' => quoted.write_str("\\n"),
            '\r' => quoted.write_str("\\r"),
            '\t' => quoted.write_str("\\t"),
            '\u{b}' => quoted.write_str("\\v"),
            ' '..='~' => quoted.write_char(character),
            '\0'..='\u{7f}' => write!(quoted, "\\x{:02x}", u32::from(character)),
            // Rust escapes here what it does not print.
            _ if character.escape_debug().count() == 1 => quoted.write_char(character),
            '\u{80}'..='\u{ffff}' => write!(quoted, "\\u{:04x}", u32::from(character)),
            _ => write!(quoted, "\\U{:08x}", u32::from(character)),
        };
    }
    quoted.push('"');
    quoted
}

/// A list of texts as Go's `%q` prints it: `["a" "b"]`.
pub(crate) fn quoted_list<T: AsRef<str>>(texts: &[T]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_does() {
        for (text, wanted) in [
            ("", r#""""#),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("a\n\t\r\u{1b}\u{7f}", r#""a\n\t\r\x1b\x7f""#),
            ("käse 茶 🍵", "\"käse 茶 🍵\""),
            ("\u{200b}\u{85}\u{e0001}", r#""\u200b\u0085\U000e0001""#),
        ] {
            assert_eq!(quoted(text), wanted);
        }
        assert_eq!(quoted_list(&["a", "b\""]), r#"["a" "b\""]"#);
        assert_eq!(quoted_list::<&str>(&[]), "[]");
    }
}
