//! The arguments of the commands that speak to a daemon. Names and letters are those
//! of `kubectl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};

use super::duration;

const RESOURCES_HELP: &str = "\
Resources: jobs, cronjobs (cj), pods (po), events (ev), configmaps (cm), secrets, namespaces (ns),
nodes (no), serviceaccounts (sa), networkpolicies (netpol), leases, and whatever else the daemon serves; `all` is pods,
services, cronjobs and jobs. Plurals, singulars, short names and kinds are known, alone or with
their group (jobs.batch).";

const GET_HELP: &str = "\
Examples:
  wasmjob get jobs                 the Jobs of the namespace `default`
  wasmjob get cj,jobs,pods -A      those of all namespaces
  wasmjob get job/report -o yaml   one Job as it is kept
  wasmjob get pods -w              and every change from then on";

const LOGS_HELP: &str = "\
Examples:
  wasmjob logs job/report                 what the first pod of the Job has written
  wasmjob logs -f job/report --all-pods   all of its pods, and what they still write
  wasmjob logs cronjob/nightly            the Job that the CronJob started last";

const APPLY_HELP: &str = "\
An image that is a relative path (./report.wasm) is relative to the file that names it, as for
`run`: the daemon gets its absolute path.";

/// The commands that speak to a daemon.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClientCommand {
    /// Print objects of a running daemon, as `kubectl get` does.
    Get(GetArgs),
    /// Tell all about objects of a running daemon, their events included.
    Describe(DescribeArgs),
    /// Print what pods have written.
    Logs(LogsArgs),
    /// Create or change objects so that they are as files say.
    Apply(ApplyArgs),
    /// Delete objects, and what they own.
    Delete(DeleteArgs),
    /// Run a CronJob once, now.
    Trigger(TriggerArgs),
    /// Suspend Jobs or CronJobs.
    Suspend(NamedArgs),
    /// Let suspended Jobs or CronJobs go on.
    Resume(NamedArgs),
    /// Print an object and what it owns: CronJob, Jobs, pods.
    Tree(TreeArgs),
    /// Print what nodes or pods use.
    Top(TopArgs),
}

impl ClientCommand {
    /// Where the daemon is.
    pub(crate) const fn daemon(&self) -> &DaemonArgs {
        match self {
            Self::Get(args) => &args.daemon,
            Self::Describe(args) => &args.daemon,
            Self::Logs(args) => &args.daemon,
            Self::Apply(args) => &args.daemon,
            Self::Delete(args) => &args.daemon,
            Self::Trigger(args) => &args.daemon,
            Self::Suspend(args) | Self::Resume(args) => &args.daemon,
            Self::Tree(args) => &args.daemon,
            Self::Top(args) => &args.daemon,
        }
    }
}

/// Which daemon, and which namespace.
#[derive(Debug, clap::Args)]
pub(crate) struct DaemonArgs {
    /// The data directory of the daemon, in which its socket is [default: as `serve`:
    /// $WASMJOB_DATA_DIR, the config file's, $STATE_DIRECTORY, /var/lib/wasmjob for
    /// root, ~/.local/state/wasmjob].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The namespace.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

impl DaemonArgs {
    /// The namespace that is meant.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// Which objects of a resource.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SelectArgs {
    /// Only objects with these labels, e.g. app=web,tier!=back.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// Only objects with these fields, e.g. status.phase=Running.
    #[arg(long, value_name = "FIELDS")]
    pub(crate) field_selector: Option<String>,
    /// Of all namespaces.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

/// The arguments of `get`.
#[derive(Debug, clap::Args)]
#[command(after_help = GET_HELP, after_long_help = format!("{GET_HELP}\n\n{RESOURCES_HELP}"))]
pub(crate) struct GetArgs {
    /// Resources joined by commas, and names of objects; or RESOURCE/NAME.
    #[arg(required = true, value_name = "RESOURCE [NAME…]")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// How to print them [default: as a table]: wide, name, json, yaml or
    /// jsonpath=TEMPLATE, in which a template is paths in braces, e.g.
    /// {.status.succeeded} or {.items[*].metadata.name}.
    #[arg(short, long, value_name = "FORMAT", value_parser = form)]
    pub(crate) output: Option<Form>,
    /// Go on, and print every change.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Add a column with the labels.
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// Print no headers.
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Show `metadata.managedFields` in YAML and JSON.
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
    /// Say nothing of objects that are not there.
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// How objects are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A table with all columns.
    Wide,
    /// `job.batch/report`.
    Name,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// The values at some paths.
    JsonPath(String),
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "wide" => Ok(Form::Wide),
        "name" => Ok(Form::Name),
        "json" => Ok(Form::Json),
        "yaml" => Ok(Form::Yaml),
        text => match text.strip_prefix("jsonpath=") {
            Some(template) => Ok(Form::JsonPath(template.to_owned())),
            None => Err("expected wide, name, json, yaml or jsonpath=TEMPLATE".to_owned()),
        },
    }
}

/// The arguments of `describe`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RESOURCES_HELP)]
pub(crate) struct DescribeArgs {
    /// Resources joined by commas, and names of objects or what they begin with; or
    /// RESOURCE/NAME.
    #[arg(required = true, value_name = "RESOURCE [NAME…]")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// The arguments of `logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = LOGS_HELP)]
pub(crate) struct LogsArgs {
    /// A pod, job/NAME or cronjob/NAME.
    #[arg(value_name = "POD|TYPE/NAME")]
    pub(crate) of: String,
    /// Of this container [default: the first].
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_containers")]
    pub(crate) container: Option<String>,
    /// Go on until the container ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Of the run of the container before the last.
    #[arg(short, long)]
    pub(crate) previous: bool,
    /// Only this many lines from the end; -1 for all.
    #[arg(long, value_name = "LINES", allow_negative_numbers = true, default_value_t = -1)]
    pub(crate) tail: i64,
    /// Only what is younger than this, e.g. 90s or 2h.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) since: Option<Duration>,
    /// Put its time before each line.
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Of all containers of the pod.
    #[arg(long)]
    pub(crate) all_containers: bool,
    /// Of all pods of the Job; each line has its pod's name in front.
    #[arg(long)]
    pub(crate) all_pods: bool,
    /// Put pod and container before each line.
    #[arg(long)]
    pub(crate) prefix: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// The arguments of `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = APPLY_HELP)]
pub(crate) struct ApplyArgs {
    /// Manifests (YAML or JSON), directories of them, or `-` for standard input; repeatable.
    #[arg(short, long = "filename", required = true, value_name = "FILE", num_args = 1..,
          value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// Take over fields that others have set.
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// What happens to what a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cascade {
    /// It is deleted as well, afterwards.
    Background,
    /// It is deleted first.
    Foreground,
    /// It stays.
    Orphan,
}

/// The arguments of `delete`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RESOURCES_HELP)]
pub(crate) struct DeleteArgs {
    /// Resources joined by commas, and names of objects; or RESOURCE/NAME.
    #[arg(
        required_unless_present = "files",
        conflicts_with = "files",
        value_name = "RESOURCE [NAME…]"
    )]
    pub(crate) what: Vec<String>,
    /// What these manifests name; directories, or `-` for standard input; repeatable.
    #[arg(short, long = "filename", value_name = "FILE", num_args = 1..,
          value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// All objects of the resource in the namespace.
    #[arg(long, conflicts_with_all = ["selector", "files"])]
    pub(crate) all: bool,
    /// What happens to what they own.
    #[arg(long, value_name = "HOW", default_value = "background")]
    pub(crate) cascade: Cascade,
    /// Give pods this many seconds to end [default: what they ask for].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace_period: Option<u32>,
    /// Wait until they are gone.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
          default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) wait: bool,
    /// Wait no longer than this for each, e.g. 90s [default: as long as it takes].
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Say nothing of objects that are not there.
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// The arguments of `trigger`.
#[derive(Debug, clap::Args)]
pub(crate) struct TriggerArgs {
    /// The CronJob.
    #[arg(value_name = "CRONJOB")]
    pub(crate) cron_job: String,
    /// The name of the Job [default: the CronJob's, with an ending of its own].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// The arguments of `suspend` and `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct NamedArgs {
    /// job/NAME or cronjob/NAME; or a resource and names.
    #[arg(required = true, value_name = "TYPE/NAME")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// The arguments of `tree`.
#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// A resource and the name of an object, or TYPE/NAME.
    #[arg(required = true, num_args = 1..=2, value_name = "TYPE NAME")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

/// What `top` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopOf {
    /// The machine.
    #[value(aliases = ["node", "no"])]
    Nodes,
    /// Pods.
    #[value(aliases = ["pod", "po"])]
    Pods,
}

/// The arguments of `top`.
#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    /// What uses it.
    #[arg(value_name = "WHAT")]
    pub(crate) of: TopOf,
    /// Only this one.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// Of all namespaces.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Print no headers.
    #[arg(long)]
    pub(crate) no_headers: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}
