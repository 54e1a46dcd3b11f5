//! The tag of an image reference, as far as the default of `imagePullPolicy` asks.

/// Whether the tag of `image` is `latest`, written or implied.
pub(super) fn is_latest(image: &str) -> bool {
    // A file (`./x.wasm`) is no reference, and neither is what has odd characters;
    // Kubernetes takes what it cannot parse for a fixed version.
    let is_reference = image.starts_with(|c: char| c.is_ascii_alphanumeric())
        && image
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"./:@_-".contains(&b))
        && !image.starts_with("file:");
    if !is_reference || image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !last.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn only_a_reference_without_a_tag_or_with_latest_is_latest() {
        let check = |image, expected| assert_eq!(is_latest(image), expected, "{image}");
        check("busybox", true);
        check("busybox:latest", true);
        check("registry.example:5000/a/b", true);
        check("busybox:1.28", false);
        check("registry.example:5000/a/b:v1", false);
        check("busybox@sha256:0000", false);
        check("./hello.wasm", false);
        check("../hello.wasm", false);
        check("/srv/hello.wasm", false);
        check("file:hello.wasm", false);
        check("", false);
    }
}
