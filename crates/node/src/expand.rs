//! `$(VAR)` in commands, arguments and values (Kubernetes' `expansion.Expand`).

/// Replaces `$(NAME)` by what `lookup` knows. What it does not know stays as it
/// is, `$$` is a dollar sign, and what was put in is not looked at again, so the
/// result is linear in the input.
pub(crate) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
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
    out
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
        assert_eq!(expand(text, lookup), expected);
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
}
