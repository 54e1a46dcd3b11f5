//! A server on a socket, and a small client.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use wasmjob::{Host, HostBuilder};
use wasmjob_server::{Config, Server};

/// How long any answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whom the token file of a server under test knows; see [`Api::start_with`].
pub(crate) const TOKENS: &str = "\
admin-token,admin,1,\"system:masters\"
nobody-token,nobody,2,
granted-token,granted,3,
";

/// A host in memory and its server, on a socket and at a port of its own.
pub(crate) struct Api {
    pub(crate) socket: PathBuf,
    pub(crate) address: SocketAddr,
    // Before the directory, which it listens in.
    _server: Server,
    _dir: tempfile::TempDir,
}

impl Api {
    pub(crate) fn start() -> Self {
        Self::start_with(Host::builder())
    }

    pub(crate) fn start_with(builder: HostBuilder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens.csv");
        std::fs::write(&tokens, TOKENS).unwrap();
        let host = Arc::new(builder.build().unwrap());
        let config = Config {
            data_dir: dir.path().to_owned(),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            names: Vec::new(),
            token_file: Some(tokens),
        };
        let server = Server::start(Arc::clone(&host), config).unwrap();
        Self {
            socket: dir.path().join("wasmjob.sock"),
            address: server.address().unwrap(),
            _server: server,
            _dir: dir,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            server: Place::Socket(self.socket.clone()),
            sender: None,
        }
    }

    /// A client over TLS that shows nothing of itself.
    pub(crate) async fn stranger(&self) -> Client {
        let path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
        let authority = self.client().get(path).await.json();
        let pem = authority["data"]["ca.crt"].as_str().unwrap().to_owned();
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client {
            server: Place::Tls(self.address, Arc::new(config)),
            sender: None,
        }
    }
}

/// Runs a test's tasks.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether it is a Status of failure, as every refusal must be.
    pub(crate) fn is_status(&self) -> bool {
        let value = self.json();
        value["kind"] == "Status"
            && value["status"] == "Failure"
            && value["code"] == self.code
            && value["message"].as_str().is_some_and(|it| !it.is_empty())
    }
}

/// Where a server is.
#[derive(Clone)]
enum Place {
    Socket(PathBuf),
    Tls(SocketAddr, Arc<ClientConfig>),
}

/// One connection, opened anew when the server has closed it.
pub(crate) struct Client {
    server: Place,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A connection of its own.
    pub(crate) async fn connect(&self) -> SendRequest<Full<Bytes>> {
        match &self.server {
            Place::Socket(path) => {
                let stream = UnixStream::connect(path).await.unwrap();
                handshake(stream).await
            }
            Place::Tls(address, config) => {
                let stream = TcpStream::connect(address).await.unwrap();
                let connector = TlsConnector::from(Arc::clone(config));
                let name = ServerName::try_from("localhost").unwrap();
                handshake(connector.connect(name, stream).await.unwrap()).await
            }
        }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let answer = self.try_send(method, path, headers, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// An answer, or why there was none: the connection was dropped, say.
    pub(crate) async fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            self.sender = Some(self.connect().await);
        }
        let fresh = Self {
            server: self.server.clone(),
            sender: None,
        };
        let sender = self.sender.as_mut().unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()));
        let request = request.map_err(|error| error.to_string())?;
        if sender.ready().await.is_err() {
            // Closed since the last answer.
            *sender = fresh.connect().await;
        }
        let answered = async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer {
                code: parts.status.as_u16(),
                headers: parts.headers,
                body,
            })
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.sender = None;
                Err(format!("{error:?}"))
            }
            Err(_) => {
                self.sender = None;
                Err("no answer in time".to_owned())
            }
        }
    }

    /// Sends JSON, and takes JSON.
    pub(crate) async fn json(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(method, path, &headers, body.to_string()).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }
}

async fn handshake<S>(stream: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// RFC 7386, to vary an object.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}
