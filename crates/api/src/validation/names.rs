//! The syntaxes of names: DNS labels and subdomains, qualified names, label values
//! (`k8s.io/apimachinery/pkg/util/validation`). Each check returns its messages.

const LABEL_BYTES_MAX: usize = 63;
const SUBDOMAIN_BYTES_MAX: usize = 253;

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Whether `name` is a DNS label of RFC 1123, at most 63 bytes.
#[must_use]
pub fn is_dns1123_label(name: &str) -> bool {
    dns1123_label(name).is_empty()
}

/// Whether `name` is a DNS subdomain of RFC 1123, at most 253 bytes.
#[must_use]
pub fn is_dns1123_subdomain(name: &str) -> bool {
    dns1123_subdomain(name).is_empty()
}

/// Whether `name` is a qualified name: `name` or `example.com/name`.
#[must_use]
pub fn is_qualified_name(name: &str) -> bool {
    qualified_name(name).is_empty()
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_label(text: &str) -> bool {
    let ends_well =
        |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    let bytes = text.as_bytes();
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_name_part(text: &str) -> bool {
    let ends_well = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// What is wrong with `text` as a DNS label of RFC 1123; nothing if it is one.
#[must_use]
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_long(LABEL_BYTES_MAX));
    }
    if !is_label(text) {
        messages.push(DNS_LABEL.to_owned());
    }
    messages
}

/// What is wrong with `text` as a DNS subdomain of RFC 1123; nothing if it is one.
#[must_use]
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > SUBDOMAIN_BYTES_MAX {
        messages.push(too_long(SUBDOMAIN_BYTES_MAX));
    }
    if !text.split('.').all(is_label) {
        messages.push(DNS_SUBDOMAIN.to_owned());
    }
    messages
}

/// What is wrong with `text` as a qualified name, the key of a label; nothing if it is one.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".to_owned());
            } else {
                let wrong = dns1123_subdomain(prefix);
                messages.extend(wrong.into_iter().map(|m| format!("prefix part {m}")));
            }
            name
        }
        _ => {
            messages.push(format!(
                "a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return messages;
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES_MAX {
        messages.push(format!("name part {}", too_long(LABEL_BYTES_MAX)));
    }
    if !is_name_part(name) {
        messages.push(format!("name part {NAME_PART}"));
    }
    messages
}

/// What is wrong with `text` as the value of a label; nothing if it is one.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > LABEL_BYTES_MAX {
        messages.push(too_long(LABEL_BYTES_MAX));
    }
    if !text.is_empty() && !is_name_part(text) {
        messages.push(LABEL_VALUE.to_owned());
    }
    messages
}

/// The messages about `managedBy`: a domain, a slash, a path.
pub(crate) fn domain_prefixed_path(text: &str) -> Vec<String> {
    let split = text
        .split_once('/')
        .filter(|(host, path)| !host.is_empty() && !path.is_empty());
    let Some((host, path)) = split else {
        return vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()];
    };
    let mut messages = dns1123_subdomain(host);
    let is_path = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:".contains(&b));
    if !is_path {
        messages.push(
            "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"
                .to_owned(),
        );
    }
    messages
}
