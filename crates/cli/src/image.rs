//! `wasmjob image`: pulls, lists, inspects, prunes and pushes images, in the words of
//! `crictl` and `docker`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use wasmjob::{Keyring, Limits, Listed, PullPolicy, Registries};

use crate::args::{ImageArgs, ImageCommand, ImageOutput};
use crate::config::{Config, default_cache};
use crate::exit::{Exit, say, usage};
use crate::{host, report};

/// Digits of a digest in a table.
const DIGITS: usize = 13;

/// Does what is asked for.
pub(crate) fn run(args: &ImageArgs) -> anyhow::Result<Exit> {
    let config = match Config::load(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return Ok(usage(&error)),
    };
    let mut about = match host::registries(&args.registry, &config) {
        Ok(about) => about,
        Err(error) => return Ok(usage(&error)),
    };
    if let Some(data_dir) = &args.data_dir {
        about.dir = data_dir.join("images");
    }
    if about.dir.as_os_str().is_empty() {
        let Some(cache) = config.cache_dir.clone().or_else(default_cache) else {
            return Ok(usage(&anyhow!(
                "no --image-dir is given, and there is no home directory"
            )));
        };
        about.dir = cache.join("images");
    }
    let registries = Registries::new(about);
    let done = match &args.command {
        ImageCommand::Pull { images } => pull(&registries, images),
        ImageCommand::List {
            quiet,
            digests,
            output,
        } => list(&registries, *quiet, *digests, *output),
        ImageCommand::Inspect { images } => inspect(&registries, images),
        ImageCommand::Prune { all } => prune(&registries, *all),
        ImageCommand::Push { file, image } => push(&registries, file, image),
    };
    Ok(match done {
        Ok(()) => Exit::Complete,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            Exit::Failed
        }
    })
}

fn pull(registries: &Registries, images: &[String]) -> anyhow::Result<()> {
    for image in images {
        let (id, _) = registries.pull(image, PullPolicy::Always, &Keyring::default())?;
        report::line(&format!("Image is up to date for {id}"));
    }
    Ok(())
}

fn list(
    registries: &Registries,
    quiet: bool,
    digests: bool,
    output: ImageOutput,
) -> anyhow::Result<()> {
    let images = registries.list().context("failed to read the images")?;
    if output == ImageOutput::Json {
        let images: Vec<Value> = images.iter().map(describe).collect();
        return print_json(&json!({ "images": images }));
    }
    if quiet {
        images
            .iter()
            .for_each(|image| report::line(&image.digest.to_string()));
        return Ok(());
    }
    let mut rows = vec![["IMAGE", "TAG", "IMAGE ID", "SIZE"].map(str::to_owned)];
    for image in &images {
        let id = image.digest.to_string();
        let id = id.strip_prefix("sha256:").unwrap_or(&id);
        let id = if digests { id } else { &id[..DIGITS] };
        let size = human(image.bytes);
        let mut names: Vec<(&str, &str)> = image.names.iter().map(|name| split(name)).collect();
        if names.is_empty() {
            names.push(("<none>", "<none>"));
        }
        for (name, tag) in names {
            rows.push([name.to_owned(), tag.to_owned(), id.to_owned(), size.clone()]);
        }
    }
    let widths: Vec<usize> = (0..3)
        .map(|n| {
            rows.iter()
                .map(|row| row[n].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for [name, tag, id, size] in &rows {
        report::line(&format!(
            "{name:<0$}  {tag:<1$}  {id:<2$}  {size}",
            widths[0], widths[1], widths[2]
        ));
    }
    Ok(())
}

fn inspect(registries: &Registries, wanted: &[String]) -> anyhow::Result<()> {
    let images = registries.list().context("failed to read the images")?;
    let mut found = Vec::new();
    for wanted in wanted {
        let name = wasmjob::ImageName::parse(wanted).map(|name| name.to_string());
        let is_it = |image: &&Listed| {
            let digest = image.digest.to_string();
            let digits = digest.strip_prefix("sha256:").unwrap_or(&digest);
            // As short as the list shows it.
            let is_digest = wanted.len() >= 8 && digits.starts_with(wanted.as_str());
            *wanted == digest
                || is_digest
                || name.as_ref().is_ok_and(|name| image.names.contains(name))
        };
        let Some(image) = images.iter().find(is_it) else {
            bail!("no such image: {wanted}");
        };
        found.push(describe(image));
    }
    print_json(&Value::Array(found))
}

/// An image as JSON, in the words of the kubelet's interface to its runtime.
fn describe(image: &Listed) -> Value {
    let digest = image.digest.to_string();
    let mut repos: Vec<&str> = image.names.iter().map(|name| split(name).0).collect();
    repos.dedup();
    let tags = image.names.iter().filter(|name| !name.contains('@'));
    let used = Timestamp::try_from(image.used).ok();
    json!({
        "id": digest,
        "repoTags": tags.collect::<Vec<_>>(),
        "repoDigests": repos.iter().map(|repo| format!("{repo}@{digest}")).collect::<Vec<_>>(),
        "size": image.bytes.to_string(),
        "manifest": image.manifest.to_string(),
        "inUse": image.in_use,
        "lastUsed": used.map(|used| used.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "config": image.config.as_ref().map(|config| json!({
            "Entrypoint": config.entrypoint,
            "Cmd": config.cmd,
            "Env": config.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            "WorkingDir": config.working_dir,
        })),
    })
}

fn prune(registries: &Registries, all: bool) -> anyhow::Result<()> {
    let pruned = registries.prune(all).context("failed to prune")?;
    if !pruned.images.is_empty() {
        report::line("Deleted Images:");
        pruned.images.iter().for_each(|image| report::line(image));
        report::line("");
    }
    report::line(&format!("Total reclaimed space: {}", human(pruned.bytes)));
    Ok(())
}

fn push(registries: &Registries, file: &Path, image: &str) -> anyhow::Result<()> {
    let shown = file.display();
    let max = Limits::default().module_bytes as u64;
    let size = std::fs::metadata(file).with_context(|| format!("failed to read {shown}"))?;
    if size.len() > max {
        bail!("{shown} has {} bytes, a module may have {max}", size.len());
    }
    let wasm = std::fs::read(file).with_context(|| format!("failed to read {shown}"))?;
    if !wasm.starts_with(b"\0asm") {
        bail!("{shown} is not WebAssembly: point at the compiled .wasm file");
    }
    let title = file.file_name().map_or_else(PathBuf::new, PathBuf::from);
    let created = Timestamp::try_from(modified(file)).unwrap_or(Timestamp::UNIX_EPOCH);
    let created = created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let pushed = registries.push(image, &title.to_string_lossy(), &wasm, &created)?;
    let tag = split(&pushed.name).1;
    report::line(&format!(
        "{tag}: digest: {} size: {}",
        pushed.digest, pushed.bytes
    ));
    Ok(())
}

/// When the module was made: pushed again, the same file is the same image.
fn modified(file: &Path) -> SystemTime {
    let metadata = std::fs::metadata(file);
    metadata
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A whole name's repository, and its tag or digest.
fn split(name: &str) -> (&str, &str) {
    if let Some((name, _)) = name.split_once('@') {
        return (
            name.rsplit_once(':')
                .filter(|(_, tag)| !tag.contains('/'))
                .map_or(name, |(name, _)| name),
            "<none>",
        );
    }
    name.rsplit_once(':').unwrap_or((name, "<none>"))
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    report::line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Bytes as docker and crictl print them: `1.25MB`.
fn human(bytes: u64) -> String {
    let mut unit = 1u64;
    let mut names = ["B", "kB", "MB", "GB"].iter();
    let mut name = names.next().copied().unwrap_or_default();
    for larger in names {
        if bytes / unit < 1000 {
            break;
        }
        (unit, name) = (unit.saturating_mul(1000), larger);
    }
    let hundredths = u128::from(bytes) * 100 / u128::from(unit);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names_are_shown_as_docker_shows_them() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(999), "999B");
        assert_eq!(human(1_250_000), "1.25MB");
        assert_eq!(human(3_000_000_000_000), "3000GB");
        assert_eq!(split("r.example:5000/a:1"), ("r.example:5000/a", "1"));
        assert_eq!(split("r.example/a:1@sha256:00"), ("r.example/a", "<none>"));
        assert_eq!(
            split("r.example:5000/a@sha256:00"),
            ("r.example:5000/a", "<none>")
        );
    }
}
