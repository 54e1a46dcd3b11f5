//! Starting and ending the server.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wasmjob::Host;
use wasmjob_auth::identity::service_account::TokenAuthority;
use wasmjob_auth::identity::static_token::StaticTokens;
use wasmjob_auth::kubeconfig::Kubeconfig;
use wasmjob_auth::pki::{Names, Pki};

use crate::access::{Access, static_tokens};
use crate::api::Api;
use crate::cache::Cache;
use crate::housekeeping::{Housekeeper, bootstrap};
use crate::http::Connections;
use crate::pod_tokens::Maker;
use crate::render::NodeName;

/// Connections at once.
const CONNECTIONS_MAX: usize = 20_000;

/// Threads that answer requests.
const THREADS: usize = 2;

/// Who makes the tokens of service accounts, as in Kubernetes.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// How long requests may go on once the server ends.
const GRACE: Duration = Duration::from_secs(3);

/// How often certificates are looked at.
const RENEWAL: Duration = Duration::from_secs(12 * 60 * 60);

/// What a server is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its keys, its kubeconfig and its socket are.
    pub data_dir: PathBuf,
    /// Where it listens beside its socket; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Names beside the usual ones under which clients reach it.
    pub names: Vec<String>,
    /// A file of tokens: `token,user,uid,"group1,group2"` lines.
    pub token_file: Option<PathBuf>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refused.
    #[error("failed to {step}")]
    Io {
        /// What was tried.
        step: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The keys of the installation cannot be used.
    #[error(transparent)]
    Pki(#[from] wasmjob_auth::pki::Error),
    /// TLS cannot be set up with them.
    #[error("failed to set up TLS")]
    Tls(#[from] wasmjob_auth::pki::TlsError),
    /// The key of service accounts cannot be used.
    #[error(transparent)]
    Key(#[from] wasmjob_auth::identity::service_account::KeyError),
    /// What must be there could not be written.
    #[error("failed to prepare the API: {0}")]
    Bootstrap(#[from] wasmjob::WriteError),
    /// It ended before it had begun.
    #[error("the server's thread ended")]
    Gone,
}

/// A server that answers. Dropping it ends it.
pub struct Server {
    address: Option<SocketAddr>,
    kubeconfig: PathBuf,
    ending: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server for `host`. Blocks until it answers.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(host: Arc<Host>, config: Config) -> Result<Self, StartError> {
        let listener = config.listen.map(listen).transpose()?;
        let address = listener.as_ref().map(|(address, _)| *address);
        let names = Names {
            hostname: hostname(),
            extra: config.names.clone(),
        };
        let (pki, notices) = Pki::open(&config.data_dir, &names, host.now())?;
        notices.iter().for_each(|notice| tracing::info!("{notice}"));
        let tokens = static_tokens(config.token_file.as_deref()).map_err(|source| {
            let file = config.token_file.clone().unwrap_or_default();
            StartError::Io {
                step: format!("read the tokens in {}", file.display()),
                source,
            }
        })?;
        let kubeconfig = config.data_dir.join("kubeconfig");
        if let Some(address) = address {
            host.listens_at(address.port());
            write_kubeconfig(&pki, address, &kubeconfig)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("wasmjob-api")
            .enable_all()
            .build()
            .map_err(|source| StartError::Io {
                step: "start the API's threads".to_owned(),
                source,
            })?;
        let (ending, ended) = watch::channel(false);
        let (ready, answer) = oneshot::channel();
        let run = Run {
            host,
            listener,
            pki,
            tokens,
            socket: config.data_dir.join("wasmjob.sock"),
            kubeconfig: kubeconfig.clone(),
            ended,
        };
        let thread = std::thread::Builder::new()
            .name("wasmjob-api".to_owned())
            .spawn(move || runtime.block_on(run.run(ready)))
            .map_err(|source| StartError::Io {
                step: "start the API's thread".to_owned(),
                source,
            })?;
        let server = Self {
            address,
            kubeconfig,
            ending,
            thread: Some(thread),
        };
        match answer.blocking_recv() {
            Ok(Ok(())) => Ok(server),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Gone),
        }
    }

    /// Where it listens beside its socket.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The file with which `kubectl` finds it, if it listens.
    #[must_use]
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.address.map(|_| self.kubeconfig.as_path())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.ending.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the API's thread panicked");
        }
    }
}

fn listen(address: SocketAddr) -> Result<(SocketAddr, std::net::TcpListener), StartError> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    });
    bound.map_err(|source| StartError::Io {
        step: format!("listen on {address}"),
        source,
    })
}

fn hostname() -> Option<String> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn write_kubeconfig(pki: &Pki, address: SocketAddr, path: &Path) -> Result<(), StartError> {
    // Who listens everywhere is reached here.
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
        ip => ip.to_string(),
    };
    let authority_pem = pki.authority_pem();
    let kubeconfig = Kubeconfig {
        host: &host,
        port: address.port(),
        authority_pem: &authority_pem,
        credential: pki.admin(),
    };
    let written = kubeconfig.write(path);
    written.map(|_| ()).map_err(|source| StartError::Io {
        step: format!("write {}", path.display()),
        source,
    })
}

/// The host's clock, for certificates.
#[derive(Clone)]
struct HostTime(Arc<Host>);

impl std::fmt::Debug for HostTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostTime")
    }
}

impl TimeProvider for HostTime {
    fn current_time(&self) -> Option<UnixTime> {
        let second = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(second)))
    }
}

/// What runs for as long as the server does.
#[derive(Default)]
struct Tasks {
    /// Those that accept connections and wait for their ends.
    connections: JoinSet<()>,
    others: JoinSet<()>,
}

struct Run {
    host: Arc<Host>,
    listener: Option<(SocketAddr, std::net::TcpListener)>,
    pki: Pki,
    tokens: StaticTokens,
    socket: PathBuf,
    kubeconfig: PathBuf,
    ended: watch::Receiver<bool>,
}

impl Run {
    async fn run(self, ready: oneshot::Sender<Result<(), StartError>>) {
        let socket = self.socket.clone();
        match self.begin().await {
            Ok((ended, mut tasks)) => {
                let _ = ready.send(Ok(()));
                crate::http::ended(ended).await;
                let _ = std::fs::remove_file(socket);
                // Answers that are on their way are given a moment; what goes on for
                // ever ends with the set of tasks.
                let connections = async { while tasks.connections.join_next().await.is_some() {} };
                let _ = tokio::time::timeout(GRACE, connections).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    }

    async fn begin(self) -> Result<(watch::Receiver<bool>, Tasks), StartError> {
        let mut tasks = Tasks::default();
        let Self {
            host,
            listener,
            pki,
            tokens,
            socket,
            kubeconfig,
            ended,
        } = self;
        let io = |step: &str| {
            let step = step.to_owned();
            move |source| StartError::Io { step, source }
        };
        let authority = Arc::new(TokenAuthority::new(ISSUER, pki.service_account_key())?);
        let access = Access::new(Arc::clone(&authority), tokens, pki.authority_pem());
        let node = NodeName(Arc::clone(host.node_name()));
        let cache = Arc::new(Cache::new(host.store().clone(), node));
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = listener.as_ref().map_or(here, |(address, _)| *address);
        let api = Api::new(
            Arc::clone(&host),
            Arc::clone(&cache),
            access,
            address,
            ended.clone(),
        );
        let api = Arc::new(api);
        tasks.others.spawn(async move { cache.follow().await });
        bootstrap(&api).await?;
        host.makes_tokens(Arc::new(Maker {
            authority,
            store: host.store().clone(),
            node: Arc::clone(host.node_name()),
        }));
        tasks.others.spawn(Housekeeper::new(Arc::clone(&api)).run());
        let connections = Connections {
            api,
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            ending: ended.clone(),
        };
        // Whoever fills the network's room keeps nobody out who is on this machine.
        let local = Connections {
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            ..connections.clone()
        };
        let unix = bind(&socket).map_err(io("listen on the socket"))?;
        tasks.connections.spawn(local.serve_unix(unix));
        if let Some((address, listener)) = listener {
            let listener = TcpListener::from_std(listener).map_err(io("listen"))?;
            let config = pki.server_config(Arc::new(HostTime(Arc::clone(&host))))?;
            let acceptor = TlsAcceptor::from(Arc::new(config));
            tasks
                .connections
                .spawn(connections.serve_tls(listener, acceptor));
            tasks.others.spawn(renew(host, pki, address, kubeconfig));
        }
        Ok((ended, tasks))
    }
}

/// The socket, which only this user may write to.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // One may be left over from a process that was killed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Renews certificates before they end; connections to come use the new one.
async fn renew(host: Arc<Host>, mut pki: Pki, address: SocketAddr, kubeconfig: PathBuf) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        match pki.renew(host.now()) {
            Ok(notices) if notices.is_empty() => {}
            Ok(notices) => {
                notices.iter().for_each(|notice| tracing::info!("{notice}"));
                if let Err(error) = write_kubeconfig(&pki, address, &kubeconfig) {
                    tracing::warn!(%error, "the kubeconfig was not renewed");
                }
            }
            Err(error) => tracing::warn!(%error, "the certificates were not renewed"),
        }
    }
}
