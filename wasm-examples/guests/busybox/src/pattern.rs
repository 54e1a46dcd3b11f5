//! Shell patterns: `*`, `?`, `[…]`. A backslash makes the next character plain.

/// Whether all of `text` matches `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches_chars(&pattern, &text)
}

/// Remembers the last `*` only: to try earlier ones again never helps.
pub(crate) fn matches_chars(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p + 1, t));
            p += 1;
        } else if t == text.len() && p == pattern.len() {
            return true;
        } else if let Some(next) = (t < text.len()).then(|| one(pattern, p, text[t])).flatten() {
            p = next;
            t += 1;
        } else if let Some((after, from)) = star.filter(|(_, from)| *from < text.len()) {
            star = Some((after, from + 1));
            p = after;
            t = from + 1;
        } else {
            return false;
        }
    }
}

/// Whether the pattern has characters with a meaning.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// `text` as a pattern that matches it and nothing else.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '-' | '!' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A pattern that has no meaning as the text that it stands for.
pub(crate) fn unescape(pattern: &str) -> String {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().unwrap_or('\\')),
            _ => text.push(c),
        }
    }
    text
}

/// Where the pattern goes on if its element at `p` matches `c`.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match class(pattern, p + 1, c) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // A bracket that is never closed is itself.
            None => (c == '[').then_some(p + 1),
        },
        '\\' if p + 1 < pattern.len() => (pattern[p + 1] == c).then_some(p + 2),
        plain => (plain == c).then_some(p + 1),
    }
}

/// Whether `c` is in the class that begins at `p`, and where the class ends.
pub(crate) fn class(pattern: &[char], mut p: usize, c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(p), Some('!' | '^'));
    p += usize::from(negated);
    let mut found = false;
    let mut first = true;
    loop {
        let mut low = *pattern.get(p)?;
        if low == ']' && !first {
            return Some((found != negated, p + 1));
        }
        first = false;
        if low == '[' && pattern.get(p + 1) == Some(&':') {
            let end = (p + 2..pattern.len() - 1)
                .find(|end| pattern[*end] == ':' && pattern[end + 1] == ']')?;
            let name: String = pattern[p + 2..end].iter().collect();
            found |= in_named_class(&name, c);
            p = end + 2;
            continue;
        }
        if low == '\\' && p + 1 < pattern.len() {
            p += 1;
            low = pattern[p];
        }
        p += 1;
        if pattern.get(p) == Some(&'-') && pattern.get(p + 1).is_some_and(|next| *next != ']') {
            let high = pattern[p + 1];
            found |= (low..=high).contains(&c);
            p += 2;
        } else {
            found |= low == c;
        }
    }
}

/// POSIX's classes, for ASCII.
pub(crate) fn in_named_class(name: &str, c: char) -> bool {
    match name {
        "alpha" => c.is_ascii_alphabetic(),
        "digit" => c.is_ascii_digit(),
        "alnum" => c.is_ascii_alphanumeric(),
        "upper" => c.is_ascii_uppercase(),
        "lower" => c.is_ascii_lowercase(),
        "space" => c.is_ascii_whitespace() || c == '\x0b',
        "blank" => c == ' ' || c == '\t',
        "punct" => c.is_ascii_punctuation(),
        "print" => c.is_ascii_graphic() || c == ' ',
        "graph" => c.is_ascii_graphic(),
        "cntrl" => c.is_ascii_control(),
        "xdigit" => c.is_ascii_hexdigit(),
        _ => false,
    }
}
