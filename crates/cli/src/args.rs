//! The command line.

mod client;
mod cron;
mod image;

use std::io::{IsTerminal, Stderr};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{self as log_format, DefaultFields};
use wasmjob::Alias;
use wasmjob::api::network::Destination;
use wasmjob::api::schedule::Zone;

pub(crate) use self::client::{
    ApplyArgs, Cascade, ClientCommand, DaemonArgs, DeleteArgs, DescribeArgs, Form, GetArgs,
    LogsArgs, NamedArgs, SelectArgs, TopArgs, TopOf, TreeArgs, TriggerArgs,
};
pub(crate) use self::cron::{ForecastArgs, Format, NextArgs, TakesArg};
pub(crate) use self::image::{ImageArgs, ImageCommand, ImageOutput, RegistryArgs};
use crate::exit::Exit;

/// The version with the engine's.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} (wasmtime {}, batch/v1 of Kubernetes 1.36)",
            env!("CARGO_PKG_VERSION"),
            wasmjob::ENGINE_VERSION
        )
    });
    &VERSION
}

const AFTER_HELP: &str = "\
Examples:
  wasmjob run job.yaml                      run every Job in job.yaml to its end
  wasmjob run --now cronjob.yaml            run a CronJob's template once, now
  wasmjob run --alias busybox=./sh.wasm -o junit tests/*.yaml > report.xml
  cat job.yaml | wasmjob run -              read the manifest from standard input
  wasmjob check manifests/                  validate, run nothing
  wasmjob serve --manifests /etc/wasmjob    run what is there, on time, for good
  wasmjob next cronjobs/                    when each CronJob runs next
  wasmjob forecast --for 30d cronjobs/      what would run in the next 30 days
  wasmjob image push a.wasm r.example/a:1   put a module where `image: r.example/a:1` finds it
  wasmjob get jobs,pods                     what a running daemon has; also describe,
                                            logs, apply, delete, trigger, tree, …

Exit codes of run:
  0 every Job is Complete     1 some Job Failed        2 usage or manifest; nothing ran
  3 the host failed         124 --timeout was reached  130, 143 interrupted, terminated";

/// Runs Kubernetes Jobs as sandboxed WebAssembly: same YAML, no Kubernetes, no containers.
#[derive(Debug, Parser)]
#[command(name = "wasmjob", version = version(), after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Tell more about what wasmjob itself does, on standard error (-v, -vv, -vvv).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the Jobs and Pods of manifests to their end; the exit code is their result.
    Run(Box<RunArgs>),
    /// Run Jobs and CronJobs for good, through restarts and power cuts.
    Serve(Box<ServeArgs>),
    /// Validate manifests as `run` does, and run nothing.
    Check(CheckArgs),
    /// Print when each CronJob runs next; nothing is run, and no module is looked at.
    Next(NextArgs),
    /// Play CronJobs through in virtual time: what would run, what would be in its way.
    Forecast(ForecastArgs),
    /// Pull, list, inspect, prune and push images.
    Image(ImageArgs),
    #[command(flatten)]
    Client(ClientCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Manifests (YAML or JSON), directories of them, or `-` for standard input.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Run a CronJob's template once, now.
    #[arg(long)]
    pub(crate) now: bool,
    /// Stop everything after this time, e.g. 90s or 1h30m, and exit with 124.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Stop everything as soon as one Job has Failed.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// What to print on standard output.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
    /// Whose logs to print [default: all with -o text, else none].
    #[arg(long, value_name = "WHICH")]
    pub(crate) logs: Option<LogChoice>,
    /// Print no progress and no summary; logs and errors only.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Whether to use colours and live progress.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// Make generated names and UIDs repeatable.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// What pods may have and may use; as `run` and `serve` take it.
#[derive(Debug, clap::Args)]
pub(crate) struct HostArgs {
    /// Let the image NAME be the module REF, e.g. busybox=./busybox.wasm; repeatable.
    /// NAME without a tag stands for every tag.
    #[arg(long = "alias", value_name = "NAME=REF")]
    pub(crate) aliases: Vec<Alias>,
    /// Read defaults from FILE (TOML) instead of ~/.config/wasmjob/config.toml.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Let pods have hostPath volumes below DIR; repeatable. By default they may have none.
    #[arg(long = "allow-host-path", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) host_paths: Vec<PathBuf>,
    /// Let pods connect to DESTINATION whose annotation wasmjob.dev/allow-net asks for it:
    /// tcp:HOST:PORT, udp:HOST:PORT, https://HOST[:PORT] or http://HOST[:PORT]; repeatable.
    /// By default they reach nothing.
    #[arg(long = "allow-net", value_name = "DESTINATION")]
    pub(crate) allow_net: Vec<Destination>,
    /// Memory of a container that sets no limit, e.g. 64Mi [default: 256Mi, at most
    /// half of --memory].
    #[arg(long, value_name = "QUANTITY", value_parser = memory)]
    pub(crate) default_memory: Option<u64>,
    /// Memory that all pods together may ask for, e.g. 2Gi [default: 80 % of the machine's].
    #[arg(long, value_name = "QUANTITY", value_parser = memory)]
    pub(crate) memory: Option<u64>,
    /// Threads that run guests [default: one per processor].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// Keep compiled modules in DIR [default: ~/.cache/wasmjob].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Keep no compiled modules.
    #[arg(long, conflicts_with = "cache_dir")]
    pub(crate) no_cache: bool,
    /// Pull no images from registries.
    #[arg(long)]
    pub(crate) no_pull: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Keep all objects and logs in DIR, which is this process's alone [default:
    /// $WASMJOB_DATA_DIR, the config file's, $STATE_DIRECTORY, /var/lib/wasmjob for
    /// root, ~/.local/state/wasmjob].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Run the manifests in DIR, and follow it: a file that comes is run, one that
    /// changes is taken over, one that goes takes its objects along.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) manifests: Option<PathBuf>,
    /// Answer the Kubernetes API at ADDR; port 0 takes a free one, and `none` leaves
    /// only the socket in the data directory [default: 127.0.0.1:6443].
    #[arg(long, value_name = "ADDR", value_parser = listen)]
    pub(crate) listen: Option<Listen>,
    /// A name or address, beside this machine's own, under which clients reach the API.
    #[arg(long = "tls-san", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// A file of tokens that clients may show: lines `token,user,uid,"group1,group2"`.
    #[arg(long = "token-auth-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// Encrypt Secrets in the data directory with the key in FILE (64 hexadecimal digits),
    /// which must stand elsewhere; it is made if it is not there [default: not encrypted].
    #[arg(long = "secret-key-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) secret_key_file: Option<PathBuf>,
    /// The time zone of CronJobs that name none, e.g. Europe/Berlin [default: UTC].
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub(crate) zone: Option<Zone>,
    /// On SIGTERM, let running pods go on for this long before they are ended
    /// [default: 8s].
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Pods that have ended are kept up to this number [default: 12500].
    #[arg(long, value_name = "N")]
    pub(crate) finished_pods: Option<usize>,
    /// Pods that have ended are kept up to this many bytes of rows and logs, e.g. 64Mi
    /// [default: 256Mi].
    #[arg(long, value_name = "QUANTITY", value_parser = bytes)]
    pub(crate) finished_pods_bytes: Option<u64>,
    /// How to write what happens to standard error [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// Where the API is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// At this address, and on the socket.
    At(SocketAddr),
    /// On the socket only.
    SocketOnly,
}

impl Default for Listen {
    fn default() -> Self {
        Self::At(SocketAddr::from(([127, 0, 0, 1], 6443)))
    }
}

/// Reads an address to listen at.
pub(crate) fn listen(text: &str) -> Result<Listen, String> {
    match text {
        "none" => Ok(Listen::SocketOnly),
        text => text.parse().map(Listen::At).map_err(|_| {
            format!(
                "{text:?} is no address and port, such as 127.0.0.1:6443 or [::]:6443, nor `none`"
            )
        }),
    }
}

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Manifests (YAML or JSON), directories of them, or `-` for standard input.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// A format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Logs, progress and a summary for people.
    Text,
    /// The final objects as a List.
    Json,
    /// A JUnit report in which each pod or index is a case.
    Junit,
}

/// Whose logs are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogChoice {
    /// All, as they come.
    All,
    /// Those of failed pods, when they have failed.
    Failed,
    /// None.
    None,
}

/// When to use what only a terminal understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl When {
    /// Whether that is now, for a stream that is a terminal or not.
    pub(crate) fn applies(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Args {
    /// Sends diagnostics to standard error: warnings, or more with `-v`.
    pub(crate) fn init_diagnostics(&self) {
        filtered(self.verbose, 0).without_time().init();
    }

    /// Sends a daemon's diagnostics to standard error: what happens, with its time.
    /// Without `-v`, as much as `verbose` of them would tell.
    pub(crate) fn init_daemon_diagnostics(&self, format: LogFormat, verbose: u8) {
        let verbose = if self.verbose > 0 {
            self.verbose
        } else {
            verbose
        };
        let subscriber = filtered(verbose, 1);
        match format {
            LogFormat::Text => subscriber.init(),
            LogFormat::Json => subscriber.json().flatten_event(true).init(),
        }
    }
}

/// Ours from a level on, `least` at least; of others only errors.
fn filtered(
    verbose: u8,
    least: u8,
) -> SubscriberBuilder<DefaultFields, log_format::Format, EnvFilter, fn() -> Stderr> {
    let level = verbose.saturating_add(least).min(3);
    let level = ["warn", "info", "debug", "trace"][usize::from(level)];
    // Only our own rooms: the engine's would drown them.
    let filter = format!(
        "error,wasmjob={level},wasmjob_image={level},wasmjob_node={level},wasmjob_sandbox={level},wasmjob_store={level}"
    );
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr as fn() -> Stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
}

/// Prints the completions for `shell`.
pub(crate) fn print_completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    clap_complete::generate(
        shell,
        &mut Args::command(),
        "wasmjob",
        &mut std::io::stdout(),
    );
    Ok(Exit::Complete)
}

/// Reads a duration: `90s`, `1h30m`, `7d`. A week has 7 days, a year 365, a day 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration like 90s, 1h30m or 7d".to_owned();
    let mut span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let years = i64::from(span.get_years());
    span = span.years(0);
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    // Months have no length of their own.
    let rest = span.to_duration(days).map_err(|_| wrong())?;
    let years = jiff::SignedDuration::from_hours(years * 365 * 24);
    let all = rest.checked_add(years).ok_or_else(wrong)?;
    Duration::try_from(all).map_err(|_| "must not be negative".to_owned())
}

pub(crate) fn zone(text: &str) -> Result<Zone, String> {
    Zone::load(text, &Zone::utc()).map_err(|error| {
        format!("{error}; expected a name of the IANA database like Europe/Berlin")
    })
}

pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let quantity: wasmjob::api::Quantity = text
        .parse()
        .map_err(|_| "expected a quantity like 64Mi or 1Gi".to_owned())?;
    u64::try_from(quantity.units()).map_err(|_| "must not be negative".to_owned())
}

/// Memory for guests: what is less than a page of theirs forgets its unit.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes < 64 << 10 {
        return Err(format!(
            "{bytes} bytes are less than a page of memory, 64Ki; expected a quantity like 64Mi or 1Gi"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn durations_and_quantities_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(
            duration("1w1d12h"),
            Ok(Duration::from_secs(8 * 86_400 + 43_200))
        );
        assert_eq!(duration("1y"), Ok(Duration::from_secs(365 * 86_400)));
        assert!(duration("3mo").is_err() && duration("99999y").is_err());
        assert!(duration("90").is_err() && duration("-1s").is_err() && duration("").is_err());
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(memory("64Ki"), Ok(64 << 10));
        assert!(memory("1").is_err());
        assert!(bytes("-1").is_err() && bytes("lots").is_err());
    }
}
