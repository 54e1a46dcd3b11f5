//! Who we are to a registry: Docker's files, Kubernetes' pull secrets, helper programs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::PullError;
use super::http::now;
use super::name::ImageName;
use crate::cache::read_regular;

/// Bytes of a file or secret with credentials; Kubernetes' secrets end there, too.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Entries of one file or secret.
const ENTRIES_MAX: usize = 1_000;
/// What a helper may print, and how long it may take.
const HELPER_BYTES_MAX: u64 = 64 << 10;
const HELPER_TIME_MAX: Duration = Duration::from_secs(20);
/// The user that stands for a token in Docker's files.
const TOKEN_USER: &str = "<token>";

/// Padded or not: both are written.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A way to show who we are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    Basic {
        user: String,
        password: Zeroizing<String>,
    },
    /// Exchanged for a token at the registry's token server.
    IdentityToken(Zeroizing<String>),
    /// Shown as it is.
    RegistryToken(Zeroizing<String>),
}

impl Secret {
    /// What tells that somebody has shown this secret before, without being it.
    pub(crate) fn fingerprint(&self, salt: &[u8]) -> String {
        let (kind, user, secret) = match self {
            Self::Basic { user, password } => ("basic", user.as_str(), password),
            Self::IdentityToken(token) => ("identity", "", token),
            Self::RegistryToken(token) => ("registry", "", token),
        };
        let mut hash = Sha256::new();
        for part in [salt, kind.as_bytes(), user.as_bytes(), secret.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        crate::Digest::end(hash).digits()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What is wrong with a file or secret of credentials. It never quotes them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsError(String);

#[derive(Clone, Debug)]
struct Entry {
    /// A host, perhaps with `*` for a label, perhaps with a port.
    host: String,
    /// The path below which it counts, without slashes around it.
    path: String,
    secret: Secret,
}

/// Credentials for registries.
#[derive(Clone, Default)]
pub struct Keyring {
    entries: Vec<Entry>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring of {}", self.entries.len())
    }
}

/// Reads a text that leaves memory when it is dropped.
fn hidden<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    username: String,
    #[serde(default, deserialize_with = "hidden")]
    password: Zeroizing<String>,
    #[serde(default, deserialize_with = "hidden")]
    auth: Zeroizing<String>,
    #[serde(default, deserialize_with = "hidden")]
    identitytoken: Zeroizing<String>,
    #[serde(default, deserialize_with = "hidden")]
    registrytoken: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

impl Keyring {
    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds what `other` holds.
    pub fn add(&mut self, other: Self) {
        let room = ENTRIES_MAX.saturating_sub(self.entries.len());
        self.entries.extend(other.entries.into_iter().take(room));
    }

    /// Reads the value of `.dockerconfigjson`: a secret of the type
    /// `kubernetes.io/dockerconfigjson`. Helpers that it names are not run.
    ///
    /// # Errors
    ///
    /// When it is not valid.
    pub fn docker_config_json(bytes: &[u8]) -> Result<Self, CredentialsError> {
        Self::of(parse::<DockerConfig>(bytes)?.auths)
    }

    /// Reads the value of `.dockercfg`: a secret of the type `kubernetes.io/dockercfg`.
    ///
    /// # Errors
    ///
    /// When it is not valid.
    pub fn docker_cfg(bytes: &[u8]) -> Result<Self, CredentialsError> {
        Self::of(parse(bytes)?)
    }

    fn of(auths: BTreeMap<String, Auth>) -> Result<Self, CredentialsError> {
        if auths.len() > ENTRIES_MAX {
            return Err(CredentialsError(format!(
                "{} registries are named, {ENTRIES_MAX} may be",
                auths.len()
            )));
        }
        let mut entries = Vec::new();
        for (key, auth) in auths {
            let (host, path) = place(&key);
            // An entry without a secret says that a helper has it.
            if let Some(secret) = auth.secret(&host)? {
                entries.push(Entry { host, path, secret });
            }
        }
        Ok(Self { entries })
    }

    /// The secrets for `name`, those of the longest paths first.
    pub(crate) fn find(&self, name: &ImageName) -> Vec<&Secret> {
        let mut found: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.matches(name))
            .collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.path.len()));
        found.into_iter().map(|entry| &entry.secret).collect()
    }
}

impl Auth {
    fn secret(self, host: &str) -> Result<Option<Secret>, CredentialsError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Secret::RegistryToken(self.registrytoken)));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Secret::IdentityToken(self.identitytoken)));
        }
        if !self.username.is_empty() {
            return Ok(Some(Secret::Basic {
                user: self.username,
                password: self.password,
            }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            CredentialsError(format!(
                "the field auth for {host:?} is not user:password in base64"
            ))
        };
        let bytes = Zeroizing::new(BASE64.decode(self.auth.trim()).map_err(|_| wrong())?);
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong())?;
        let (user, password) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Some(Secret::Basic {
            user: user.to_owned(),
            // Old files end with a NUL.
            password: Zeroizing::new(password.trim_end_matches('\0').to_owned()),
        }))
    }
}

impl Entry {
    /// As a kubelet matches: labels with `*`, the same port, a path's beginning.
    fn matches(&self, name: &ImageName) -> bool {
        let (pattern, pattern_port) = split_port(&self.host);
        let (host, port) = split_port(&name.registry);
        let mut labels = (pattern.split('.'), host.split('.'));
        let same = loop {
            match (labels.0.next(), labels.1.next()) {
                (None, None) => break true,
                (Some(pattern), Some(label)) if fits(pattern, label) => {}
                _ => break false,
            }
        };
        let repository = &name.repository;
        let below = repository.strip_prefix(self.path.as_str());
        let is_below = below
            .is_some_and(|rest| self.path.is_empty() || rest.is_empty() || rest.starts_with('/'));
        same && pattern_port == port && is_below
    }
}

/// Whether a label fits a pattern in which `*` stands for any text, once.
fn fits(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(label),
        Some((start, end)) => {
            label.len() >= start.len() + end.len()
                && label.starts_with(start)
                && label.ends_with(end)
        }
    }
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (host, None),
    }
}

/// The host and the path of a key: `https://index.docker.io/v1/`, `r.example/team`.
fn place(key: &str) -> (String, String) {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    // The version of the API is no repository.
    let path = match path {
        "v1" | "v2" => "",
        path => path,
    };
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    };
    (host.to_ascii_lowercase(), path.to_owned())
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CredentialsError> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CredentialsError(format!(
            "{} bytes long, {FILE_BYTES_MAX} allowed",
            bytes.len()
        )));
    }
    // serde's messages quote what it found, so only the place is told.
    serde_json::from_slice(bytes).map_err(|error| {
        CredentialsError(format!(
            "not valid at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

/// The host's own credentials: a file as `docker login` writes it, read anew for every pull.
#[derive(Clone, Debug, Default)]
pub struct NodeCredentials {
    /// The file; none, and nobody is logged in.
    pub file: Option<PathBuf>,
}

impl NodeCredentials {
    /// The secrets for `name`. Runs the helper that the file names.
    pub(crate) fn find(&self, name: &ImageName) -> Result<Vec<Secret>, PullError> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let wrong = |text: String| {
            PullError::unavailable(format!("credentials in {}: {text}", file.display()))
        };
        let real = file.canonicalize();
        let bytes = real
            .and_then(|real| read_regular(&real, FILE_BYTES_MAX))
            .map_err(|error| wrong(error.to_string()))?;
        let bytes = Zeroizing::new(bytes);
        let config: DockerConfig = parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        let own = config
            .cred_helpers
            .iter()
            .find(|(key, _)| place(key).0 == name.registry);
        let helper = match own {
            Some((key, helper)) => Some((key.clone(), helper.clone())),
            None if config.creds_store.is_empty() => None,
            None => Some((server(&name.registry), config.creds_store.clone())),
        };
        if let Some((server, helper)) = helper {
            let said = ask_helper(&helper, &server).map_err(|text| wrong(text.to_string()))?;
            if let Some(secret) = said {
                return Ok(vec![secret]);
            }
        }
        let keys = Keyring::of(config.auths).map_err(|error| wrong(error.to_string()))?;
        Ok(keys.find(name).into_iter().cloned().collect())
    }
}

/// How helpers call a registry.
fn server(registry: &str) -> String {
    match registry {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

/// What the program `docker-credential-NAME` knows about `server`; nothing, if it says so.
fn ask_helper(name: &str, server: &str) -> Result<Option<Secret>, CredentialsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Said {
        #[serde(default)]
        username: String,
        #[serde(default, deserialize_with = "hidden")]
        secret: Zeroizing<String>,
    }
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if !is_name(name) {
        return Err(CredentialsError(format!("{name:?} is no name of a helper")));
    }
    let program = format!("docker-credential-{name}");
    let failed = |what: &str| CredentialsError(format!("{program}: {what}"));
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read has already ended.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.stdout.take();
    let reader = std::thread::Builder::new()
        .name("wasmjob-helper".to_owned())
        .spawn(move || {
            let mut bytes = Zeroizing::new(Vec::new());
            if let Some(output) = output {
                let _ = output.take(HELPER_BYTES_MAX).read_to_end(&mut bytes);
            }
            bytes
        })
        .map_err(|error| failed(&error.to_string()))?;
    let until = now() + HELPER_TIME_MAX;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if now() < until => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => break None,
        }
    };
    let Some(status) = status else {
        // It may just have ended.
        let _ = child.kill();
        let _ = child.wait();
        let text = format!("no answer within {} s", HELPER_TIME_MAX.as_secs());
        return Err(failed(&text));
    };
    // A grandchild that holds the pipe open must not hold us.
    while !reader.is_finished() {
        if now() >= until {
            return Err(failed("its output does not end"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let bytes = reader
        .join()
        .map_err(|_| failed("its output cannot be read"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&bytes);
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(failed(&format!("it ended with {status}"))),
        };
    }
    let said: Said = parse(&bytes).map_err(|error| failed(&error.to_string()))?;
    Ok(Some(match said.username.as_str() {
        TOKEN_USER => Secret::IdentityToken(said.secret),
        _ => Secret::Basic {
            user: said.username,
            password: said.secret,
        },
    }))
}

/// Where `docker login` writes: `$DOCKER_CONFIG/config.json`, else below the home directory.
#[must_use]
pub fn docker_config_file(docker_config: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let dir = docker_config.map_or_else(
        || home.map(|home| home.join(".docker")),
        |dir| Some(dir.to_owned()),
    );
    Some(dir?.join("config.json")).filter(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(keys: &Keyring, image: &str) -> Vec<String> {
        let name = ImageName::parse(image).unwrap();
        let user = |secret: &&Secret| match secret {
            Secret::Basic { user, password } => format!("{user}:{}", **password),
            _ => "token".to_owned(),
        };
        keys.find(&name).iter().map(user).collect()
    }

    #[test]
    fn secrets_are_found_as_a_kubelet_finds_them() {
        let keys = Keyring::docker_config_json(
            br#"{"auths": {
              "https://index.docker.io/v1/": {"auth": "aHViOnB3"},
              "r.example:5000": {"username": "all", "password": "p"},
              "r.example:5000/team": {"username": "team", "password": "p:q"},
              "*.cloud.example": {"identitytoken": "t"},
              "empty.example": {}
            }}"#,
        )
        .unwrap();
        assert_eq!(users(&keys, "busybox"), ["hub:pw"]);
        assert_eq!(users(&keys, "r.example:5000/team/x"), ["team:p:q", "all:p"]);
        assert_eq!(users(&keys, "r.example:5000/teams/x"), ["all:p"]);
        assert_eq!(users(&keys, "eu.cloud.example/x"), ["token"]);
        assert!(users(&keys, "a.eu.cloud.example/x").is_empty());
        assert!(users(&keys, "r.example/x").is_empty());
        assert!(users(&keys, "empty.example/x").is_empty());
        let old = Keyring::docker_cfg(br#"{"r.example": {"auth": "dTpw"}}"#).unwrap();
        assert_eq!(users(&old, "r.example/x"), ["u:p"]);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for bytes in [
            br#"{"auths": {"r": {"auth": "hunter2!"}}}"#.as_slice(),
            br#"{"auths": {"r": {"password": 42, "x": "hunter2"}}}"#,
            b"hunter2",
            br#"{"auths": ["hunter2"]}"#,
        ] {
            let error = Keyring::docker_config_json(bytes).unwrap_err().to_string();
            assert!(!error.contains("hunter"), "{error}");
        }
        let secret = Secret::Basic {
            user: "u".to_owned(),
            password: Zeroizing::new("hunter2".to_owned()),
        };
        assert!(!format!("{secret:?}").contains("hunter"));
        assert!(!secret.fingerprint(b"salt").contains("hunter"));
    }
}
