//! Values as YAML, written as `kubectl -o yaml` writes them: keys in natural order,
//! lists not indented, long text folded after column 80.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// The column after which text is folded at a space.
const FOLD_AFTER: usize = 80;

/// A value as a document.
pub(crate) fn write(value: &Value) -> String {
    let mut writer = Writer::default();
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, false),
        Value::Array(items) if !items.is_empty() => writer.list(items, 0, false),
        scalar => {
            writer.scalar(scalar, 0);
            writer.newline();
        }
    }
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Characters in the line that is being written.
    column: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        self.push(&" ".repeat(indent));
    }

    /// `begun`: the line has its dash already.
    fn map(&mut self, map: &Map<String, Value>, indent: usize, begun: bool) {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by(|(a, _), (b, _)| natural(a, b));
        for (place, (key, value)) in entries.into_iter().enumerate() {
            if place > 0 || !begun {
                self.indent(indent);
            }
            self.text(key, indent, true);
            self.push(":");
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.newline();
                    self.map(map, indent + 2, false);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.newline();
                    self.list(items, indent, false);
                }
                scalar => {
                    self.push(" ");
                    self.scalar(scalar, indent);
                    self.newline();
                }
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize, begun: bool) {
        for (place, item) in items.iter().enumerate() {
            if place > 0 || !begun {
                self.indent(indent);
            }
            self.push("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2, true),
                Value::Array(items) if !items.is_empty() => self.list(items, indent + 2, true),
                scalar => {
                    self.scalar(scalar, indent);
                    self.newline();
                }
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(value) => self.push(if *value { "true" } else { "false" }),
            Value::Number(number) => self.push(&number.to_string()),
            Value::String(text) => self.text(text, indent, false),
            Value::Array(_) => self.push("[]"),
            Value::Object(_) => self.push("{}"),
        }
    }

    fn text(&mut self, text: &str, indent: usize, is_key: bool) {
        let shape = Shape::of(text);
        let folds = !is_key;
        match () {
            () if text.contains('\n') && shape.literal && !is_key => self.literal(text, indent),
            () if text.contains('\n') || shape.escapes || means_something_else(text) => {
                self.double(text, indent, folds);
            }
            () if shape.plain => self.folded(text, indent, folds),
            () => {
                self.push("'");
                self.folded(&text.replace('\'', "''"), indent, folds);
                self.push("'");
            }
        }
    }

    /// Text that is folded at single spaces once the line is long.
    fn folded(&mut self, text: &str, indent: usize, folds: bool) {
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (place, char) in chars.iter().enumerate() {
            let inside = place > 0 && place + 1 < chars.len();
            let next_is_space = chars.get(place + 1) == Some(&' ');
            let may = folds && inside && !after_space && !next_is_space;
            if *char == ' ' && may && self.column > FOLD_AFTER {
                self.newline();
                self.indent(indent + 2);
            } else {
                self.push(char.encode_utf8(&mut [0; 4]));
            }
            after_space = *char == ' ';
        }
    }

    fn double(&mut self, text: &str, indent: usize, folds: bool) {
        self.push("\"");
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (place, char) in chars.iter().enumerate() {
            let inside = place > 0 && place + 1 < chars.len();
            if *char == ' ' && folds && inside && !after_space && self.column > FOLD_AFTER {
                self.newline();
                self.indent(indent + 2);
                if chars.get(place + 1) == Some(&' ') {
                    self.push("\\");
                }
            } else {
                self.escaped(*char);
            }
            after_space = *char == ' ';
        }
        self.push("\"");
    }

    fn escaped(&mut self, char: char) {
        let short = match char {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            char if is_printable(char) => return self.push(char.encode_utf8(&mut [0; 4])),
            char => {
                let code = u32::from(char);
                return match code {
                    0..=0xff => self.push(&format!("\\x{code:02X}")),
                    0x100..=0xffff => self.push(&format!("\\u{code:04X}")),
                    _ => self.push(&format!("\\U{code:08X}")),
                };
            }
        };
        self.push(short);
    }

    /// Lines as they are, below `|`; how they end, and how they begin, stands behind it.
    fn literal(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ', '\n']) {
            self.push("2");
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.push("-"),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.push("+"),
            Some(_) => {}
        }
        for line in body.unwrap_or(text).split('\n') {
            self.newline();
            if !line.is_empty() {
                self.indent(indent + 2);
                self.push(line);
            }
        }
    }
}

/// In which styles a text can be written.
struct Shape {
    plain: bool,
    literal: bool,
    /// It must be escaped.
    escapes: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let at = |place: usize| chars.get(place).copied();
        let is_blank = |char: Option<char>| matches!(char, None | Some(' ' | '\n' | '\t'));
        let escapes = chars
            .iter()
            .any(|char| *char != '\n' && !is_printable(*char));
        let before_break = text.contains(" \n");
        let ends_blank = text.ends_with(' ');
        let mut plain = !text.starts_with([' ', '\n']) && !text.ends_with([' ', '\n']);
        plain &= !text.starts_with("---") && !text.starts_with("...");
        plain &= !text.contains("\n ") && !before_break;
        plain &= match at(0) {
            Some('?' | ':' | '-') => !is_blank(at(1)),
            Some(first) => !"#,[]{}&*!|>'\"%@`".contains(first),
            None => false,
        };
        for (place, char) in chars.iter().enumerate().skip(1) {
            let indicates = match char {
                ':' => is_blank(at(place + 1)),
                '#' => is_blank(at(place - 1)),
                _ => false,
            };
            plain &= !indicates;
        }
        Self {
            plain,
            literal: !escapes && !before_break && !ends_blank,
            escapes,
        }
    }
}

fn is_printable(char: char) -> bool {
    matches!(char, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(char, '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        || char == '\u{a0}'
}

/// Whether a reader would take the text for something else than text.
fn means_something_else(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "y",
        "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off",
        "OFF", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
        "-.Inf", "-.INF",
    ];
    WORDS.contains(&text)
        || text.starts_with(|first: char| "+-.".contains(first) || first.is_ascii_digit())
            && (is_number(text) || is_base_60(text) || is_time(text))
}

fn is_number(text: &str) -> bool {
    let text = text.replace('_', "");
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let all =
        |rest: &str, radix: u32| !rest.is_empty() && rest.chars().all(|char| char.is_digit(radix));
    let prefixed = [
        ("0x", 16),
        ("0X", 16),
        ("0b", 2),
        ("0B", 2),
        ("0o", 8),
        ("0O", 8),
    ];
    if prefixed.iter().any(|(prefix, radix)| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| all(rest, *radix))
    }) {
        return true;
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let exponent_fits = exponent
        .is_none_or(|exponent| all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), 10));
    let mantissa_fits = match mantissa.split_once('.') {
        None => all(mantissa, 10),
        Some(("", fraction)) => all(fraction, 10),
        Some((whole, fraction)) => all(whole, 10) && (fraction.is_empty() || all(fraction, 10)),
    };
    exponent_fits && mantissa_fits
}

/// `190:20:30`, which old YAML counts in sixties.
fn is_base_60(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest: Vec<&str> = parts.collect();
    if let Some(last) = rest.last_mut() {
        *last = last.split('.').next().unwrap_or_default();
    }
    let is_part = |part: &&str| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [b'0'..=b'5', digit] => digit.is_ascii_digit(),
        _ => false,
    };
    first.starts_with(|char: char| char.is_ascii_digit())
        && first
            .chars()
            .all(|char| char.is_ascii_digit() || char == '_')
        && !rest.is_empty()
        && rest.iter().all(is_part)
}

/// A date, or a date and a time of day.
fn is_time(text: &str) -> bool {
    let Some(date_end) = text.find(|char: char| !char.is_ascii_digit() && char != '-') else {
        return is_date(text);
    };
    let (date, rest) = text.split_at(date_end);
    let (separator, rest) = rest.split_at(1);
    let time_end = rest.find(|char: char| !char.is_ascii_digit() && !":.".contains(char));
    let (time, zone) = rest.split_at(time_end.unwrap_or(rest.len()));
    let zone_fits = match separator {
        " " => zone.is_empty(),
        "T" | "t" => zone == "Z" || zone.starts_with(['+', '-']) && zone.len() == 6,
        _ => false,
    };
    is_date(date) && time.matches(':').count() == 2 && zone_fits
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let fits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.chars().all(|char| char.is_ascii_digit())
    };
    matches!(parts.as_slice(), [year, month, day]
        if year.len() == 4 && fits(year, 4) && fits(month, 2) && fits(day, 2))
}

/// Numbers in keys count as numbers, and letters stand behind everything else.
fn natural(a: &str, b: &str) -> Ordering {
    let (a_chars, b_chars): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let differs = a_chars.iter().zip(&b_chars).position(|(a, b)| a != b);
    let Some(at) = differs else {
        return a_chars.len().cmp(&b_chars.len());
    };
    let (left, right) = (a_chars[at], b_chars[at]);
    match (left.is_alphabetic(), right.is_alphabetic()) {
        (true, true) => return left.cmp(&right),
        (false, false) => {}
        (left_is, _) => {
            let after_digit = at > 0 && a_chars[at - 1].is_ascii_digit();
            return match left_is == after_digit {
                true => Ordering::Less,
                false => Ordering::Greater,
            };
        }
    }
    let begin = a_chars[..at]
        .iter()
        .rposition(|char| !char.is_ascii_digit())
        .map_or(0, |it| it + 1);
    let digits = |chars: &[char]| -> String {
        chars[begin..]
            .iter()
            .take_while(|char| char.is_ascii_digit())
            .collect()
    };
    let (left_digits, right_digits) = (digits(&a_chars), digits(&b_chars));
    let number = |digits: &str| digits.trim_start_matches('0').to_owned();
    let (left_number, right_number) = (number(&left_digits), number(&right_digits));
    left_number
        .len()
        .cmp(&right_number.len())
        .then_with(|| left_number.cmp(&right_number))
        .then_with(|| left_digits.len().cmp(&right_digits.len()))
        .then_with(|| left.cmp(&right))
}

#[cfg(test)]
mod tests;
