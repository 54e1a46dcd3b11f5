//! Requests to registries, every one bounded: in time, in size, and in where it leads.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use ureq::http::{HeaderMap, Request, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, SendBody};

use super::address::{Guard, OutOfReach, Reach, Standing};
use super::error::{PullError, PullErrorKind};
use super::proxy::Proxies;

/// Redirects that are followed for one request; registries make one.
const REDIRECTS_MAX: usize = 5;
/// Bytes of an error's body that are looked at.
const ERROR_BYTES_MAX: u64 = 16 << 10;

/// How patient we are with a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Between two bytes, and for a connection, a name, an answer's head.
    pub idle: Duration,
    /// What must have come after the first `idle`, for each second that went by.
    pub bytes_per_second_min: u64,
    /// For one image as a whole.
    pub pull: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            bytes_per_second_min: 4 << 10,
            pull: Duration::from_secs(30 * 60),
        }
    }
}

/// Monotonic time: for patience, nothing else.
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on a blocking read; nothing is decided or labelled by it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The connections to all registries.
pub(crate) struct Http {
    /// Made when first needed: most runs ask no registry, and reading what the system
    /// trusts takes longer than many of them.
    agents: OnceLock<Agents>,
    standing: Arc<Standing>,
    plain: Arc<[String]>,
    proxies: Proxies,
    patience: Patience,
    stopped: Arc<AtomicBool>,
}

struct Agents {
    /// To hosts that names of images or the operator name.
    registries: Agent,
    /// To hosts that a registry named; by where it stands.
    hops: [(Reach, Agent); 3],
}

/// An answer: its body has not been read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// What is asked.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Goes to the host of `url` only.
    pub(crate) authorization: Option<&'a str>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a [u8]>,
}

impl Http {
    pub(crate) fn new(plain: Arc<[String]>, proxies: Proxies, patience: Patience) -> Self {
        Self {
            agents: OnceLock::new(),
            standing: Arc::default(),
            plain,
            proxies,
            patience,
            stopped: Arc::default(),
        }
    }

    fn agents(&self) -> &Agents {
        self.agents.get_or_init(|| {
            let roots = roots();
            let agent = |guard| agent(guard, &roots, self.patience);
            let hops = [Reach::Public, Reach::Private, Reach::Loopback];
            Agents {
                registries: agent(Guard::of_registries(Arc::clone(&self.standing))),
                hops: hops.map(|reach| (reach, agent(Guard::of_hops(reach)))),
            }
        })
    }

    /// Ends what goes on, and refuses what is to come.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let Some(agents) = self.agents.get() else {
            return;
        };
        agents.registries.clone().shutdown();
        for (_, agent) in &agents.hops {
            agent.clone().shutdown();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// `http` or `https`, for a registry.
    pub(crate) fn scheme(&self, registry: &str) -> &'static str {
        if self.plain.iter().any(|plain| plain == registry) {
            "http"
        } else {
            "https"
        }
    }

    /// Asks, and follows redirects of what only reads.
    pub(crate) fn send(&self, ask: &Ask<'_>) -> Result<Answer, PullError> {
        let first = parse(ask.url)?;
        let mut answer = self.once(&self.agents().registries, ask, &first, true)?;
        let mut at = first.clone();
        for _ in 0..REDIRECTS_MAX {
            let follows = matches!(ask.method, "GET" | "HEAD");
            let Some(to) = location(&answer).filter(|_| follows) else {
                return Ok(answer);
            };
            let to = resolve(&at, to)?;
            let same = to.scheme() == first.scheme() && to.authority() == first.authority();
            let agent = match same {
                true => &self.agents().registries,
                false => self.hop(&first, &to)?,
            };
            answer = self.once(agent, ask, &to, same)?;
            at = to;
        }
        match location(&answer) {
            None => Ok(answer),
            Some(_) => Err(PullError::refused(format!(
                "{} redirects more than {REDIRECTS_MAX} times",
                host(&first)
            ))),
        }
    }

    /// Asks a host that the registry at `from` has named, once.
    pub(crate) fn send_elsewhere(&self, from: &str, ask: &Ask<'_>) -> Result<Answer, PullError> {
        let (from, to) = (parse(from)?, parse(ask.url)?);
        let same = to.scheme() == from.scheme() && to.authority() == from.authority();
        let agent = match same {
            true => &self.agents().registries,
            false => self.hop(&from, &to)?,
        };
        self.once(agent, ask, &to, true)
    }

    /// The agent for a host that the registry at `from` leads to.
    fn hop(&self, from: &Uri, to: &Uri) -> Result<&Agent, PullError> {
        let authority = to.authority().map_or("", |authority| authority.as_str());
        let is_plain = to.scheme_str() == Some("http");
        let (from, to) = (host(from), host(to));
        if is_plain && !self.plain.iter().any(|plain| plain == authority) {
            return Err(PullError::refused(format!(
                "{from} leads to {to} without TLS, and {authority} is not among the registries that may do without (--plain-http)"
            )));
        }
        let stands = self.standing.of(&from);
        // What may not be reached at all was refused when the registry was asked.
        let found = self
            .agents()
            .hops
            .iter()
            .find(|(reach, _)| *reach >= stands);
        found
            .map(|(_, agent)| agent)
            .ok_or_else(|| PullError::refused(format!("{from} may lead nowhere")))
    }

    fn once(
        &self,
        agent: &Agent,
        ask: &Ask<'_>,
        url: &Uri,
        with_authorization: bool,
    ) -> Result<Answer, PullError> {
        if self.is_stopped() {
            return Err(PullError::unavailable("the host is stopping"));
        }
        let failed = |error| failure(url, error);
        let mut request = Request::builder().method(ask.method).uri(url);
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        if let Some(value) = ask.authorization.filter(|_| with_authorization) {
            request = request.header("authorization", value);
        }
        let wrong = |error: ureq::http::Error| failure(url, error.into());
        let proxy = self.proxies.of(url).cloned();
        let response = match ask.body {
            None => {
                let request = request.body(()).map_err(wrong)?;
                let request = agent.configure_request(request).proxy(proxy).build();
                agent.run(request)
            }
            Some(mut bytes) => {
                let request = request.header("content-length", bytes.len().to_string());
                let request = request
                    .body(SendBody::from_reader(&mut bytes))
                    .map_err(wrong)?;
                let request = agent.configure_request(request).proxy(proxy).build();
                agent.run(request)
            }
        };
        let (parts, body) = response.map_err(failed)?.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: Body {
                host: host(url),
                from: Box::new(body.into_reader()),
                patience: self.patience,
                started: now(),
                bytes: 0,
                stopped: Arc::clone(&self.stopped),
            },
        })
    }
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Why the registry did not answer with what was asked.
    pub(crate) fn refusal(mut self) -> PullError {
        let mut bytes = Vec::new();
        // What cannot be read says no more than the status.
        let _ = (&mut self.body)
            .take(ERROR_BYTES_MAX)
            .read_to_end(&mut bytes);
        let said = said(&bytes);
        let host = &self.body.host;
        let code = self.status.as_u16();
        let (kind, what) = match code {
            401 | 403 => (
                PullErrorKind::Unauthorized,
                "pull access denied, repository does not exist or may require authorization",
            ),
            404 => (PullErrorKind::NotFound, "not found"),
            408 | 425 | 429 => (PullErrorKind::Unavailable, "too many requests"),
            500.. => (PullErrorKind::Unavailable, "the registry has trouble"),
            _ => (PullErrorKind::Unsupported, "unexpected answer"),
        };
        let reason = self.status.canonical_reason().unwrap_or_default();
        PullError::new(kind, format!("{what}: {host} said {code} {reason}{said}"))
    }
}

/// What a registry says in its errors: texts of its own, so short and printable.
fn said(bytes: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<OneError>,
    }
    #[derive(serde::Deserialize)]
    struct OneError {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let errors: Option<Errors> = serde_json::from_slice(bytes).ok();
    let texts = errors.iter().flat_map(|all| &all.errors).take(3);
    let texts: Vec<String> = texts
        .map(|error| format!("{}: {}", error.code, error.message))
        .collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!(" ({})", printable(&texts.join("; "))),
    }
}

/// A foreign text, cut and without control characters.
pub(crate) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(200).map(plain).collect()
}

/// A body, read as long as it comes fast enough.
pub(crate) struct Body {
    host: String,
    from: Box<dyn Read + Send>,
    patience: Patience,
    started: Instant,
    bytes: u64,
    stopped: Arc<AtomicBool>,
}

impl Body {
    /// All of it, if it is not longer than `max`.
    pub(crate) fn all(&mut self, max: u64, what: &str) -> Result<Vec<u8>, PullError> {
        let mut bytes = Vec::new();
        let host = self.host.clone();
        let read = self.take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| broken(&host, &error))?;
        if bytes.len() as u64 > max {
            return Err(PullError::refused(format!(
                "{what} from {host} is larger than {max} bytes"
            )));
        }
        Ok(bytes)
    }

    /// The failure that `error`, come from reading this, is.
    pub(crate) fn failure(&self, error: &std::io::Error) -> PullError {
        broken(&self.host, error)
    }
}

impl Read for Body {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("the host is stopping"));
        }
        let read = self.from.read(to)?;
        self.bytes = self.bytes.saturating_add(read as u64);
        let took = now().saturating_duration_since(self.started);
        let due = took.saturating_sub(self.patience.idle).as_secs();
        if read > 0 && self.bytes < due.saturating_mul(self.patience.bytes_per_second_min) {
            return Err(std::io::Error::new(
                ErrorKind::TimedOut,
                format!("too slow: {} bytes in {} s", self.bytes, took.as_secs()),
            ));
        }
        Ok(read)
    }
}

fn agent(guard: Guard, roots: &RootCerts, patience: Patience) -> Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(roots.clone())
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let idle = Some(patience.idle);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("wasmjob/", env!("CARGO_PKG_VERSION")))
        .accept_encoding(ureq::config::AutoHeaderValue::None)
        .tls_config(tls)
        .proxy(None)
        .timeout_resolve(idle)
        .timeout_connect(idle)
        .timeout_send_request(idle)
        .timeout_recv_response(idle)
        .timeout_per_read(idle)
        .timeout_per_write(idle)
        .build();
    Agent::with_parts(config, DefaultConnector::default(), guard)
}

/// What this machine trusts. Without any root every registry with TLS is refused, with
/// the reason of rustls.
fn roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a root certificate cannot be read");
    }
    let certificate =
        |certificate: &CertificateDer<'_>| Certificate::from_der(certificate).to_owned();
    RootCerts::Specific(Arc::new(found.certs.iter().map(certificate).collect()))
}

fn parse(url: &str) -> Result<Uri, PullError> {
    let uri: Uri = url
        .parse()
        .map_err(|_| PullError::refused(format!("{:?} is no address", printable(url))))?;
    let has_user = uri
        .authority()
        .is_none_or(|authority| authority.as_str().contains('@'));
    if !matches!(uri.scheme_str(), Some("http" | "https")) || has_user {
        return Err(PullError::refused(format!(
            "{:?} is no http or https address",
            printable(url)
        )));
    }
    Ok(uri)
}

/// Where a redirect leads.
fn location(answer: &Answer) -> Option<&str> {
    matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| answer.header("location"))?
}

/// The address that `to` is, said at `at`.
pub(crate) fn resolve(at: &Uri, to: &str) -> Result<Uri, PullError> {
    if to.starts_with("http://") || to.starts_with("https://") {
        return parse(to);
    }
    let scheme = at.scheme_str().unwrap_or("https");
    let authority = at.authority().map_or("", |authority| authority.as_str());
    match to.strip_prefix("//") {
        Some(rest) => parse(&format!("{scheme}://{rest}")),
        None if to.starts_with('/') => parse(&format!("{scheme}://{authority}{to}")),
        None => Err(PullError::refused(format!(
            "{authority} leads to {:?}, which is no address",
            printable(to)
        ))),
    }
}

pub(crate) fn host(uri: &Uri) -> String {
    uri.authority()
        .map_or_else(String::new, |authority| printable(authority.as_str()))
}

fn broken(host: &str, error: &std::io::Error) -> PullError {
    PullError::unavailable(format!("the answer of {host} broke off: {error}"))
}

fn failure(url: &Uri, error: ureq::Error) -> PullError {
    use ureq::Error;
    let host = &host(url);
    let hint = match url.scheme_str() {
        Some("https") => {
            format!("; a registry without TLS has to be named (--plain-http {host})")
        }
        _ => String::new(),
    };
    match error {
        Error::Other(other) if other.is::<OutOfReach>() => PullError::refused(other.to_string()),
        Error::LargeResponseHeader(..) | Error::Protocol(_) | Error::Http(_) => {
            PullError::corrupt(format!("{host} does not speak HTTP as it should: {error}"))
        }
        Error::Rustls(_) | Error::Tls(_) => {
            PullError::unavailable(format!("no TLS connection to {host}: {error}{hint}"))
        }
        // Whoever does not expect TLS hangs up, and what he says is no TLS.
        Error::Io(error) => {
            let is_about_tls = matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::ConnectionReset
            );
            let hint = if is_about_tls { hint.as_str() } else { "" };
            PullError::unavailable(format!("no connection to {host}: {error}{hint}"))
        }
        Error::HostNotFound => PullError::unavailable(format!("no such host: {host}")),
        error => PullError::unavailable(format!("{host} cannot be reached: {error}")),
    }
}
