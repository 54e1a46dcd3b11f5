//! `$(VAR)` in commands, arguments and values (Kubernetes' `expansion.Expand`).

/// Replaces `$(NAME)` by what `lookup` knows. What it does not know stays as it
/// is, `$$` is a dollar sign, and what was put in is not looked at again. `None` if
/// the result would have more than `bytes_max` bytes.
pub(crate) fn expand<'a>(
    text: &str,
    bytes_max: usize,
    lookup: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if out.len() > bytes_max {
            return None;
        }
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            tail
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|s| s.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            tail
        } else {
            out.push('$');
            after
        };
    }
    out.push_str(rest);
    (out.len() <= bytes_max).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::expand;

    fn check(text: &str, expected: &str) {
        let lookup = |name: &str| match name {
            "A" => Some("a"),
            "B" => Some("$(A)"),
            "EMPTY" => Some(""),
            _ => None,
        };
        assert_eq!(expand(text, 100, lookup).as_deref(), Some(expected));
    }

    #[test]
    fn references_are_replaced_once() {
        check("$(A)-$(B)", "a-$(A)");
        check("x$(EMPTY)y", "xy");
        check("$(UNKNOWN) $(A", "$(UNKNOWN) $(A");
        check("$$(A) $$$(A) $A $", "$(A) $a $A $");
        check("", "");
        check("$()", "$()");
        check("ü$(A)ü", "üaü");
    }

    #[test]
    fn the_result_is_bounded() {
        let lookup = |_: &str| Some("0123456789");
        assert_eq!(expand("$(A)", 10, lookup).as_deref(), Some("0123456789"));
        assert_eq!(expand("$(A)$(A)", 10, lookup), None);
        assert_eq!(expand(&"$(A)".repeat(1 << 20), 10, lookup), None);
    }
}
