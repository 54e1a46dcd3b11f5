//! What a registry asks for before it answers: `WWW-Authenticate`, and tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::credentials::Secret;
use super::error::{PullError, PullErrorKind};
use super::http::{Ask, Http, printable};

/// Bytes of an answer with a token.
const TOKEN_BYTES_MAX: u64 = 1 << 20;

/// What a 401 asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge of a header's values that we can answer.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        values.flat_map(challenges).next()
    }
}

/// The challenges of one header: `Bearer realm="…",scope="…", Basic realm="…"`.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    while let Some((item, after)) = item(rest) {
        rest = after;
        // `Bearer realm=…` begins a challenge, `scope=…` goes on with one.
        let head = item.split_once('=').map_or(item, |(head, _)| head);
        let (scheme, parameter) = match head.trim().split_once(' ') {
            Some((scheme, _)) => (Some(scheme), item.trim().split_once(' ').map(|(_, p)| p)),
            None if item.contains('=') => (None, Some(item)),
            None => (Some(item.trim()), None),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_ascii_lowercase(), Vec::new()));
        }
        if let (Some((_, parameters)), Some((name, value))) =
            (found.last_mut(), parameter.and_then(|p| p.split_once('=')))
        {
            let value = value.trim().trim_matches('"').replace('\\', "");
            parameters.push((name.trim().to_ascii_lowercase(), value));
        }
    }
    let read = |(scheme, mut parameters): (String, Vec<(String, String)>)| {
        let mut take = |name: &str| {
            let at = parameters.iter().position(|(n, _)| n == name)?;
            Some(parameters.swap_remove(at).1)
        };
        match scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer {
                realm: take("realm")?,
                service: take("service"),
                scope: take("scope"),
            }),
            _ => None,
        }
    };
    found.into_iter().filter_map(read).collect()
}

/// What stands before the next comma that is outside of quotes, and what after it.
fn item(text: &str) -> Option<(&str, &str)> {
    if text.trim().is_empty() {
        return None;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    Some((text, ""))
}

/// The header that answers `challenge` with `secret`, for what `scope` says at least.
pub(crate) fn answer(
    http: &Http,
    registry_url: &str,
    challenge: &Challenge,
    secret: Option<&Secret>,
    scope: &str,
) -> Result<Zeroizing<String>, PullError> {
    let (realm, service, asked) = match challenge {
        Challenge::Basic => {
            return secret.and_then(basic).ok_or_else(|| {
                PullError::new(
                    PullErrorKind::Unauthorized,
                    "the registry wants a user and a password, and none are known for it",
                )
            });
        }
        Challenge::Bearer {
            realm,
            service,
            scope,
        } => (realm, service, scope),
    };
    if let Some(Secret::RegistryToken(token)) = secret {
        return Ok(Zeroizing::new(format!("Bearer {}", **token)));
    }
    let scope = asked.as_deref().unwrap_or(scope);
    let service = service.as_deref().unwrap_or_default();
    let failed = |error: PullError| error.of("failed to fetch a token");
    let mut token = match secret {
        Some(Secret::IdentityToken(token)) => {
            let form = Zeroizing::new(format!(
                "grant_type=refresh_token&client_id=wasmjob&service={}&scope={}&refresh_token={}",
                encode(service),
                encode(scope),
                encode(token)
            ));
            let ask = Ask {
                method: "POST",
                url: realm,
                authorization: None,
                headers: &[("content-type", "application/x-www-form-urlencoded")],
                body: Some(form.as_bytes()),
            };
            http.send_elsewhere(registry_url, &ask).map_err(failed)?
        }
        other => {
            let start = if realm.contains('?') { '&' } else { '?' };
            let url = format!(
                "{realm}{start}service={}&scope={}",
                encode(service),
                encode(scope)
            );
            let authorization = other.and_then(basic);
            let ask = Ask {
                method: "GET",
                url: &url,
                authorization: authorization.as_deref().map(String::as_str),
                headers: &[],
                body: None,
            };
            http.send_elsewhere(registry_url, &ask).map_err(failed)?
        }
    };
    if token.status.as_u16() != 200 {
        return Err(failed(token.refusal()));
    }
    let bytes = token.body.all(TOKEN_BYTES_MAX, "a token").map_err(failed)?;
    read_token(&bytes).map_err(failed)
}

fn read_token(bytes: &[u8]) -> Result<Zeroizing<String>, PullError> {
    #[derive(Deserialize)]
    struct Tokens {
        token: Option<String>,
        access_token: Option<String>,
    }
    let tokens: Tokens = serde_json::from_slice(bytes)
        .map_err(|error| PullError::corrupt(format!("it is not what it should be: {error}")))?;
    let token = tokens.token.or(tokens.access_token);
    let token =
        token.filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()));
    let token = token.ok_or_else(|| PullError::corrupt("there is none in the answer"))?;
    Ok(Zeroizing::new(format!("Bearer {token}")))
}

fn basic(secret: &Secret) -> Option<Zeroizing<String>> {
    let Secret::Basic { user, password } = secret else {
        return None;
    };
    let pair = Zeroizing::new(format!("{user}:{}", **password));
    Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair))))
}

/// Percent-encodes what stands in a query or a form.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A challenge that cannot be answered, as a failure.
pub(crate) fn unanswerable(header: &str) -> PullError {
    PullError::new(
        PullErrorKind::Unsupported,
        format!(
            "the registry asks for {:?}; Basic and Bearer are known here",
            printable(header)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let hub = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull,push\"";
        let bearer = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        };
        let check = |header: &str, expected| {
            assert_eq!(Challenge::of(std::iter::once(header)), expected, "{header}");
        };
        check(hub, Some(bearer.clone()));
        check(&format!("Negotiate, {hub}"), Some(bearer));
        check("Basic realm=\"Registry Realm\"", Some(Challenge::Basic));
        check("basic", Some(Challenge::Basic));
        check("Digest realm=\"x\", qop=\"auth\"", None);
        check("Bearer service=\"x\"", None);
        check("", None);
        check("=,\"", None);
    }

    #[test]
    fn tokens_that_would_break_a_header_are_refused() {
        assert_eq!(
            **read_token(br#"{"token":"abc","expires_in":60}"#)
                .as_ref()
                .unwrap(),
            "Bearer abc"
        );
        assert!(read_token(b"{\"token\":\"a\\r\\nb\"}").is_err());
        assert!(read_token(b"{}").is_err() && read_token(b"[").is_err());
    }
}
