//! `wasmjob serve`: a host for good, and a directory of manifests that it follows.

mod manifests;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep_until};
use wasmjob::api::schedule::Zone;
use wasmjob::{Health, Host};
use wasmjob_server::{Config as ApiConfig, Server};

use crate::args::{Listen, LogFormat, ServeArgs};
use crate::config::{self, Config};
use crate::exit::{Exit, usage};
use crate::host;
use crate::report;
use crate::serve::manifests::Manifests;
use crate::signals::{SIGHUP, Signals};

/// How long running pods may go on once the end was asked for: systemd gives a
/// service 90 s, an impatient operator ten.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);

/// How long closing the store may take when the disk is asked to sync for the last time:
/// together with [`DRAIN_TIMEOUT`] less than systemd waits.
const CLOSE_MAX: Duration = Duration::from_secs(20);

/// Serves until a signal comes, or the store fails.
pub(crate) fn serve(
    args: &ServeArgs,
    diagnose: impl FnOnce(LogFormat, u8),
) -> anyhow::Result<Exit> {
    let config = match Config::load(args.host.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return Ok(usage(&error)),
    };
    let own = &config.serve;
    let format = args.log_format.or(own.log_format).unwrap_or_default();
    diagnose(format, own.verbose);
    let Some(data_dir) = config::data_dir(args.data_dir.as_deref(), &config) else {
        return Ok(usage(&anyhow!(
            "no --data-dir is given, and there is no home directory"
        )));
    };
    let zone = args.zone.clone().or_else(|| own.zone.clone());
    let zone = zone.unwrap_or_else(Zone::utc);
    let manifests = args.manifests.clone().or_else(|| own.manifests.clone());
    // Objects keep it as what their images are relative to.
    let manifests = manifests.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
    if let Some(dir) = manifests.as_deref().filter(|dir| !dir.is_dir()) {
        let text = format!("--manifests {}: not a directory", dir.display());
        return Ok(usage(&anyhow!(text)));
    }
    let mut builder = match host::builder(&args.host, &config, |_| {}) {
        Ok(builder) => builder.data_dir(&data_dir).zone(zone.clone()),
        Err(error) => return Ok(usage(&error)),
    };
    let key = args.secret_key_file.as_ref();
    if let Some(file) = key.or(own.secret_key_file.as_ref()) {
        builder = builder.secret_key_file(file);
    }
    if let Some(max) = args.finished_pods.or(own.finished_pods) {
        builder = builder.finished_pods(max);
    }
    if let Some(max) = args.finished_pods_bytes.or(own.finished_pods_bytes) {
        builder = builder.finished_pods_bytes(max);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let host = builder.build().context("failed to start the host")?;
    let host = Arc::new(host);
    // Its pods run: from now on they are ended as they should be.
    let signals = {
        let _guard = runtime.enter();
        Signals::listen_to_reload()
    };
    let listen = args.listen.or(own.listen).unwrap_or_default();
    let server = Server::start(
        Arc::clone(&host),
        ApiConfig {
            data_dir: data_dir.clone(),
            listen: match listen {
                Listen::At(address) => Some(address),
                Listen::SocketOnly => None,
            },
            token_file: args
                .token_file
                .clone()
                .or_else(|| own.token_auth_file.clone()),
            names: args.names.iter().chain(&own.tls_san).cloned().collect(),
        },
    )
    .context("failed to start the API")?;
    tracing::info!(
        data_dir = %data_dir.display(),
        manifests = manifests.as_deref().map(|dir| tracing::field::display(dir.display())),
        zone = zone.name(),
        listen = server.address().map(tracing::field::display),
        "serving wasmjob {}",
        env!("CARGO_PKG_VERSION")
    );
    let drain = args
        .drain_timeout
        .or(own.drain_timeout)
        .unwrap_or(DRAIN_TIMEOUT);
    if let Some(kubeconfig) = server.kubeconfig() {
        // For a shell that may be anywhere.
        let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.into());
        let kubeconfig = kubeconfig.to_string_lossy();
        // A path with a NUL byte was never opened.
        let quoted = shlex::try_quote(&kubeconfig).unwrap_or_else(|_| kubeconfig.clone());
        report::line(&format!("export KUBECONFIG={quoted}"));
    }
    let exit = runtime.block_on(async {
        Daemon::new(host, server, manifests, signals)
            .run(drain)
            .await
    });
    Ok(exit)
}

/// The process as systemd and its operator see it.
struct Daemon {
    host: Arc<Host>,
    server: Server,
    manifests: Option<Manifests>,
    signals: Signals,
    health: Health,
    /// How often systemd wants to hear of us.
    watchdog: Option<Duration>,
}

enum Event {
    Signal(u8),
    Health,
    Watchdog,
    /// The directory of manifests was taken over, as far as it was known.
    Settled,
}

impl Daemon {
    fn new(host: Arc<Host>, server: Server, manifests: Option<PathBuf>, signals: Signals) -> Self {
        Self {
            manifests: manifests.map(Manifests::new),
            signals,
            health: host.health(),
            // Half of the time after which it would give us up.
            watchdog: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            host,
            server,
        }
    }

    async fn run(mut self, drain: Duration) -> Exit {
        let mut ready = false;
        let mut heard = Instant::now();
        loop {
            if !ready && self.manifests.as_ref().is_none_or(Manifests::is_settled) {
                ready = true;
                notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
                tracing::info!("ready");
            }
            match self.event(heard).await {
                Event::Signal(SIGHUP) => {
                    tracing::info!("SIGHUP: reading the manifests again");
                    if let Some(manifests) = &mut self.manifests {
                        manifests.read_all_again();
                    }
                }
                Event::Signal(_) => return self.stop(drain).await,
                Event::Health => {
                    if let Some(exit) = self.look_at_health() {
                        return exit;
                    }
                }
                Event::Watchdog => {
                    heard = Instant::now();
                    if self.host.is_responsive().await {
                        notify(&[NotifyState::Watchdog]);
                    }
                }
                Event::Settled => {}
            }
        }
    }

    async fn event(&mut self, heard: Instant) -> Event {
        let due = self.watchdog.map(|every| heard + every);
        let manifests = async {
            match &mut self.manifests {
                Some(manifests) => manifests.follow(&self.host).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            number = self.signals.next() => Event::Signal(number),
            () = self.host.health_changed(&self.health) => Event::Health,
            () = until(due) => Event::Watchdog,
            () = manifests => Event::Settled,
        }
    }

    /// Tells of the store's health; the exit, if there is no going on.
    fn look_at_health(&mut self) -> Option<Exit> {
        self.health = self.host.health();
        match &self.health {
            Health::Failed(_) => {}
            _ if self.host.is_gone() => {
                tracing::error!("the host stopped unexpectedly");
                return Some(Exit::Host);
            }
            _ => {}
        }
        match &self.health {
            Health::Writable => {
                notify(&[NotifyState::Status("serving")]);
                None
            }
            Health::Stalled(reason) => {
                let status = format!("nothing can be stored: {reason}");
                notify(&[NotifyState::Status(&status)]);
                None
            }
            Health::Failed(reason) => {
                let status = format!("the store has failed: {reason}");
                notify(&[NotifyState::Status(&status), NotifyState::Stopping]);
                // Started again, it reads what the disk really has.
                Some(Exit::Host)
            }
        }
    }

    /// Lets what runs go on for a while, and ends.
    async fn stop(mut self, drain: Duration) -> Exit {
        notify(&[NotifyState::Stopping, NotifyState::Status("draining")]);
        tracing::info!(
            seconds = drain.as_secs_f64(),
            "stopping: running pods may end; once more to stop at once"
        );
        tokio::select! {
            biased;
            () = self.signals.next_to_end() => tracing::warn!("stopping at once"),
            () = self.host.drain() => {}
            () = tokio::time::sleep(drain) => {
                tracing::warn!("running pods are ended; they will have failed at the next start");
            }
        }
        // Closing syncs what is left: a disk that does not answer would hold it up for ever.
        let (server, host) = (self.server, self.host);
        let (done, closed) = tokio::sync::oneshot::channel();
        let closing = std::thread::Builder::new().name("wasmjob-close".to_owned());
        let spawned = closing.spawn(move || {
            drop(server);
            drop(host);
            // Nobody waits any more.
            let _ = done.send(());
        });
        if let Err(error) = spawned {
            // What could not be moved there was dropped here.
            tracing::debug!(%error, "there was no thread to close with");
        }
        tokio::select! {
            biased;
            _ = closed => {
                tracing::info!("stopped");
                Exit::Complete
            }
            () = tokio::time::sleep(CLOSE_MAX) => {
                tracing::error!(
                    "the disk does not answer: ended without it; what was acknowledged is on it"
                );
                Exit::Host
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Tells systemd, if it listens.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
