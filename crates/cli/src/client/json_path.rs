//! The part of kubectl's JSONPath that scripts use: text, and paths in braces.
//!
//! A path is made of `.name`, `['name']`, `[0]`, `[-1]`, `[*]`, `..name` and `@` or `$`
//! at its beginning. Several values are joined by spaces. Ranges and filters are not known.

use serde_json::Value;

use super::failure::{Failure, Result};

/// Prints what the paths of `template` find in `value`.
pub(crate) fn print(template: &str, value: &Value) -> Result<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((text, braced)) = rest.split_once('{') {
        out.push_str(text);
        let (path, behind) = closed(braced)?;
        out.push_str(&expression(path.trim(), value)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands before the brace that closes, and behind it; quotes hide braces.
fn closed(braced: &str) -> Result<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in braced.char_indices() {
        match (quote, char) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), char) if open == char => quote = None,
            (None, '"' | '\'') => quote = Some(char),
            (None, '}') => return Ok((&braced[..at], &braced[at + 1..])),
            _ => {}
        }
    }
    Err(wrong("a brace is not closed"))
}

fn expression(path: &str, value: &Value) -> Result<String> {
    if let Some(quoted) = quoted(path) {
        return Ok(quoted);
    }
    if path == "end" || path.starts_with("range") {
        return Err(wrong("ranges are not known here"));
    }
    let found = find(path, value)?;
    Ok(found
        .iter()
        .map(|value| shown(value))
        .collect::<Vec<_>>()
        .join(" "))
}

/// Text in quotes, with `\n` and `\t`.
fn quoted(path: &str) -> Option<String> {
    let quote = path.chars().next().filter(|char| "\"'".contains(*char))?;
    let inner = path.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match (char, char == '\\') {
            (_, true) => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => {}
            },
            (char, false) => text.push(char),
        }
    }
    Some(text)
}

fn find<'a>(path: &str, value: &'a Value) -> Result<Vec<&'a Value>> {
    let mut found = vec![value];
    let mut rest = path.strip_prefix(['$', '@']).unwrap_or(path);
    if !rest.is_empty() && !rest.starts_with(['.', '[']) {
        return Err(wrong(&format!("a path begins with a dot: .{rest}")));
    }
    while !rest.is_empty() {
        if let Some(deep) = rest.strip_prefix("..") {
            let (name, behind) = name(deep);
            found = found
                .into_iter()
                .flat_map(|value| all_within(value, &name))
                .collect();
            rest = behind;
        } else if let Some(field) = rest.strip_prefix('.') {
            let (name, behind) = name(field);
            found = match name.as_str() {
                "" => found,
                "*" => found.into_iter().flat_map(children).collect(),
                name => found
                    .into_iter()
                    .filter_map(|value| value.get(name))
                    .collect(),
            };
            rest = behind;
        } else {
            let end = rest
                .find(']')
                .ok_or_else(|| wrong("a bracket is not closed"))?;
            found = index(&rest[1..end], found)?;
            rest = &rest[end + 1..];
        }
    }
    Ok(found)
}

/// A name up to the next dot or bracket; `\.` is a dot of the name.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, char)| char)),
            char => name.push(char),
        }
    }
    (name, "")
}

fn index<'a>(inner: &str, found: Vec<&'a Value>) -> Result<Vec<&'a Value>> {
    if inner == "*" {
        return Ok(found.into_iter().flat_map(children).collect());
    }
    if let Some(name) = quoted(inner) {
        return Ok(found
            .into_iter()
            .filter_map(|value| value.get(&name))
            .collect());
    }
    let number: i64 = inner
        .parse()
        .map_err(|_| wrong(&format!("[{inner}] is not known here")))?;
    let at = |value: &'a Value| {
        let items = value.as_array()?;
        let place = match number {
            0.. => usize::try_from(number).ok()?,
            _ => items.len().checked_sub(usize::try_from(-number).ok()?)?,
        };
        items.get(place)
    };
    Ok(found.into_iter().filter_map(at).collect())
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn all_within<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = value.get(name).into_iter().collect();
    for child in children(value) {
        found.extend(all_within(child, name));
    }
    found
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn wrong(why: &str) -> Failure {
    Failure::usage(format!("jsonpath: {why}"))
}

#[cfg(test)]
mod tests {
    use super::print;
    use serde_json::json;

    #[test]
    fn paths_are_followed() {
        let value = json!({
            "items": [{"metadata": {"name": "a", "labels": {"x.y/z": "1"}}}, {"metadata": {"name": "b"}}],
            "status": {"succeeded": 2, "list": [1]},
        });
        for (template, expected) in [
            ("{.status.succeeded}", "2"),
            (".status", ".status"),
            ("n={.status.succeeded}{\"\\n\"}", "n=2\n"),
            ("{.items[*].metadata.name}", "a b"),
            ("{.items..name}", "a b"),
            ("{$.items[0].metadata.name}", "a"),
            ("{.items[-1:].x}", "error"),
            ("{.items[-1].metadata.name}", "b"),
            ("{.items[0].metadata.labels['x.y/z']}", "1"),
            ("{.items[0].metadata.labels.x\\.y/z}", "1"),
            ("{.status.list}", "[1]"),
            ("{.nothing.there}", ""),
            ("{range .items[*]}", "error"),
            ("{.open", "error"),
            ("{status}", "error"),
        ] {
            let printed = print(template, &value).unwrap_or_else(|_| "error".to_owned());
            assert_eq!(printed, expected, "{template}");
        }
    }
}
