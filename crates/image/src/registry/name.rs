//! Names of images in registries: `host:port/repository:tag@digest`, as Docker and
//! Kubernetes read them.

use std::fmt;

use crate::Digest;
use crate::reference::REFERENCE_CHARS_MAX;

/// Docker Hub, which is meant where no registry is named.
const HUB: &str = "docker.io";

/// A repository and what of it is wanted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ImageName {
    /// The registry: a host, perhaps with a port.
    pub registry: String,
    /// The path in it.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest was written.
    pub tag: Option<String>,
    /// The digest; it alone counts where there is one.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// Reads a reference.
    ///
    /// # Errors
    ///
    /// With the kubelet's words, when it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|why| {
            let shown: String = text.chars().take(REFERENCE_CHARS_MAX).collect();
            format!(
                "Failed to apply default image tag {shown:?}: couldn't parse image name {shown:?}: {why}"
            )
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.len() > REFERENCE_CHARS_MAX {
            return Err(format!(
                "invalid reference format: {} bytes long, {REFERENCE_CHARS_MAX} allowed",
                text.len()
            ));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(format!("invalid reference format: {tag:?} is no tag"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, path)) if is_registry(first) => (first, path.to_owned()),
            Some(_) => (HUB, name.to_owned()),
            None => (HUB, format!("library/{name}")),
        };
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => HUB,
            other => other,
        };
        let repository = match repository.contains('/') || registry != HUB {
            true => repository,
            false => format!("library/{repository}"),
        };
        if !is_host(registry) {
            return Err(format!(
                "invalid reference format: {registry:?} is no host and port"
            ));
        }
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!(
                "invalid reference format: repository name ({repository}) must be lowercase"
            ));
        }
        if !repository.split('/').all(is_component) {
            return Err("invalid reference format".to_owned());
        }
        if registry.len() + 1 + repository.len() > 255 {
            return Err("repository name must not be more than 255 characters".to_owned());
        }
        let digest = digest.map(str::parse).transpose();
        let digest: Option<Digest> =
            digest.map_err(|error: crate::digest::DigestError| error.to_string())?;
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Self {
            registry: registry.to_ascii_lowercase(),
            repository,
            tag,
            digest,
        })
    }

    /// What the registry is to be asked for: the digest if there is one.
    pub(crate) fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        }
    }

    /// Its name without tag and digest: `docker.io/library/busybox`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name with the digest that it stood for: `imageID`.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.name())
    }

    /// The last part of the repository: the program's name where nothing better is known.
    pub(crate) fn last(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Whether the first part of a path is a registry, and not of Docker Hub.
fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':', '['])
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A host name or address, perhaps with a port.
pub(crate) fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && {
            port.parse::<u16>().is_ok_and(|port| port != 0)
        }
    };
    if port.is_some_and(|port| !is_port(port)) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']');
        return address.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// Letters and digits, with `.`, `_`, `__` or hyphens between them.
fn is_component(part: &str) -> bool {
    let mut between = "";
    let mut rest = part;
    while !rest.is_empty() {
        let word = rest.len() - rest.trim_start_matches(|c: char| is_word(c)).len();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        let gap = rest.len() - rest.trim_start_matches(['.', '_', '-']).len();
        between = &rest[..gap];
        let is_separator =
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-');
        if !is_separator {
            return false;
        }
        rest = &rest[gap..];
    }
    !part.is_empty() && between.is_empty()
}

fn is_word(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::ImageName;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_completed_as_docker_completes_them() {
        let check = |text: &str, expected: &str| {
            assert_eq!(ImageName::parse(text).unwrap().to_string(), expected);
        };
        check("busybox", "docker.io/library/busybox:latest");
        check("docker.io/busybox:1", "docker.io/library/busybox:1");
        check("acme/tool", "docker.io/acme/tool:latest");
        check("localhost/tool:1", "localhost/tool:1");
        check(
            "registry.example:5000/a/b:v1",
            "registry.example:5000/a/b:v1",
        );
        check("[::1]:5000/a", "[::1]:5000/a:latest");
        check("r.example/a__b/c-d.e", "r.example/a__b/c-d.e:latest");
        check(
            &format!("r.example/a:1@{DIGEST}"),
            &format!("r.example/a:1@{DIGEST}"),
        );
        check(
            &format!("r.example/a@{DIGEST}"),
            &format!("r.example/a@{DIGEST}"),
        );
    }

    /// Row T70 of the hostile inputs.
    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(1 << 20);
        let upper = DIGEST.to_uppercase().replace("SHA256", "sha256");
        for text in [
            "",
            "img@sha256:short",
            "img:tag:tag",
            ":tag",
            "img:",
            "Img",
            "r.example/Img",
            "localhost:99999/x",
            "localhost:0/x",
            "docker.io/../x",
            "a//b",
            "a/",
            "/a",
            "-a",
            "a_",
            "a___b",
            "a..b",
            "a b",
            "a\u{0}b",
            "ümlaut",
            "user:pass@r.example/x",
            "https://r.example/x",
            "r_example.com:5000/x",
            "img@md5:d41d8cd98f00b204e9800998ecf8427e",
            &format!("img@{upper}"),
            &long,
        ] {
            let error = ImageName::parse(text).unwrap_err();
            assert!(error.contains("couldn't parse image name"), "{error}");
            assert!(error.len() < 4096, "{} bytes", error.len());
        }
    }
}
