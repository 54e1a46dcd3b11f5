//! The arguments of `image`, and what `run` and `serve` are told about registries.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum, ValueHint};

use super::bytes;

/// What is said about registries.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RegistryArgs {
    /// Keep pulled images in DIR [default: `images` in the data directory of serve, else in
    /// that of compiled modules].
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) image_dir: Option<PathBuf>,
    /// Keep so many bytes of images, e.g. 8Gi; those not used for the longest go first
    /// [default: 4Gi].
    #[arg(long, global = true, value_name = "QUANTITY", value_parser = bytes)]
    pub(crate) image_disk: Option<u64>,
    /// Speak to the registry HOST (with its port) without TLS; repeatable.
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) plain_http: Vec<String>,
    /// Ask MIRROR for the images of REGISTRY first, e.g. docker.io=mirror.example:5000;
    /// repeatable.
    #[arg(long = "registry-mirror", global = true, value_name = "REGISTRY=MIRROR", value_parser = mirror)]
    pub(crate) mirrors: Vec<(String, String)>,
    /// Run images below PREFIX (a registry, or a repository there; * for all) only if they
    /// are signed, by cosign and the public key in FILE; repeatable.
    #[arg(long = "verify-key", global = true, value_name = "PREFIX=FILE", value_parser = verify_key)]
    pub(crate) verify_keys: Vec<(String, PathBuf)>,
    /// Log in to registries as FILE says, which `docker login` writes [default:
    /// $DOCKER_CONFIG/config.json, ~/.docker/config.json].
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) docker_config: Option<PathBuf>,
}

fn mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((registry, mirror)) if !registry.is_empty() && !mirror.is_empty() => {
            Ok((registry.to_owned(), mirror.to_owned()))
        }
        _ => Err("expected REGISTRY=MIRROR, such as docker.io=mirror.example:5000".to_owned()),
    }
}

fn verify_key(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((prefix, file)) if !prefix.is_empty() && !file.is_empty() => {
            Ok((prefix.to_owned(), PathBuf::from(file)))
        }
        _ => Err("expected PREFIX=FILE, such as r.example/team=cosign.pub".to_owned()),
    }
}

/// The arguments of `image`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    /// Use the images of the daemon whose data directory is DIR [default: those of `run`].
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Read defaults from FILE (TOML) instead of ~/.config/wasmjob/config.toml.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

/// What is done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Pull images, or look up whether they are up to date.
    Pull {
        /// Their names, such as r.example/team/report:1.
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// List the images that are here.
    #[command(visible_alias = "ls")]
    List {
        /// Print digests only.
        #[arg(short, long)]
        quiet: bool,
        /// Print digests in full.
        #[arg(long)]
        digests: bool,
        /// What to print.
        #[arg(short, long, value_name = "FORMAT", default_value = "text")]
        output: ImageOutput,
    },
    /// Print all about images, as JSON.
    Inspect {
        /// Their names or digests.
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Remove images that no name stands for any more, and what broken pulls left. What a
    /// pod uses stays.
    Prune {
        /// Remove all images that no pod uses.
        #[arg(short, long)]
        all: bool,
    },
    /// Push a module to a registry.
    Push {
        /// The module.
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Its name there, such as r.example/team/report:1.
        #[arg(value_name = "IMAGE")]
        image: String,
    },
}

/// A format of lists of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageOutput {
    /// A table.
    Text,
    /// A list of objects.
    Json,
}
