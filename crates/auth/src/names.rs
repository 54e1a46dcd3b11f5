//! What may be called what, as far as users and rules need it.

/// RFC 1123 label: a namespace.
pub(crate) fn is_dns_label(name: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    name.len() <= 63
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

/// RFC 1123 subdomain: a service account.
pub(crate) fn is_dns_subdomain(name: &str) -> bool {
    // Within a subdomain Kubernetes bounds the whole and not each label.
    let part = |part: &str| {
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        let (label, name) = ("a".repeat(63), "a".repeat(253));
        for good in ["a", "0", "a-b", label.as_str()] {
            assert!(is_dns_label(good) && is_dns_subdomain(good), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "A", "ä", "a_b", "a b", "a:b", "a\n"] {
            assert!(!is_dns_label(bad) && !is_dns_subdomain(bad), "{bad}");
        }
        assert!(!is_dns_label("a.b") && is_dns_subdomain("a.b"));
        assert!(!is_dns_label(&"a".repeat(64)));
        assert!(is_dns_subdomain(&name) && !is_dns_subdomain(&"a".repeat(254)));
        assert!(!is_dns_subdomain("a..b") && !is_dns_subdomain("a."));
    }
}
