//! `logs`: what pods have written, and what they still write.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use tokio::task::JoinSet;

use super::api::{Api, name, text};
use super::failure::{Failure, Result};
use super::kinds::{Wanted, known};
use super::output::bytes;
use super::socket::Answer;
use super::uri::Uri;
use crate::args::LogsArgs;
use crate::exit::{Exit, say};

/// Logs that are followed at once: each has a connection.
const FOLLOWED_MAX: usize = 256;

/// The annotation by which a pod says whose logs people mean.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// One log.
struct Source {
    pod: String,
    container: String,
    uri: Uri,
}

pub(crate) async fn logs(api: &Api, args: &LogsArgs) -> Result<Exit> {
    let pods = pods(api, args).await?;
    let mut sources = Vec::new();
    for pod in &pods {
        for container in containers(pod, args)? {
            sources.push(source(pod, container, args)?);
        }
    }
    let prefixed = args.prefix || args.all_pods;
    if args.follow && sources.len() > 1 {
        return follow(api, sources, prefixed).await;
    }
    for source in sources {
        let answer = api.open(&source.uri, "*/*").await?;
        copy(answer, prefixed.then_some(&source)).await?;
    }
    Ok(Exit::Complete)
}

/// The pods that are meant.
async fn pods(api: &Api, args: &LogsArgs) -> Result<Vec<Value>> {
    let namespace = args.daemon.namespace();
    let pods = known("", "v1", "pods")?;
    let what = match args.of.contains('/') {
        true => args.of.clone(),
        false => format!("pod/{}", args.of),
    };
    let Some((resource, wanted)) = Wanted::read_named(&[what])?.pop() else {
        return Ok(Vec::new());
    };
    let object = match resource.kind {
        "Pod" => return Ok(vec![api.object(pods, namespace, &wanted).await?]),
        "Job" => api.object(resource, namespace, &wanted).await?,
        "CronJob" => latest_job(api, namespace, &wanted).await?,
        kind => {
            let kind = kind.to_ascii_lowercase();
            return Err(Failure::usage(format!(
                "{kind}s have no logs: a pod, job/NAME or cronjob/NAME is needed"
            )));
        }
    };
    let selector = format!(
        "batch.kubernetes.io/controller-uid={}",
        text(&object, "/metadata/uid")
    );
    let list = Uri::list(pods, Some(namespace)).with("labelSelector", &selector);
    let mut found = api.items(pods, &list).await?;
    // As kubectl chooses: who has started first.
    found.sort_by_key(|pod| text(pod, "/metadata/creationTimestamp").to_owned());
    match found.as_slice() {
        [] => Err(Failure::other(format!(
            "job/{} has no pods, so there are no logs",
            name(&object)
        ))),
        [_] => Ok(found),
        _ if args.all_pods => Ok(found),
        [first, ..] => {
            say(format_args!(
                "Found {} pods, using pod/{}",
                found.len(),
                name(first)
            ));
            found.truncate(1);
            Ok(found)
        }
    }
}

/// The Job that the CronJob has made last.
async fn latest_job(api: &Api, namespace: &str, wanted: &str) -> Result<Value> {
    let cron_jobs = known("batch", "v1", "cronjobs")?;
    let cron_job = api.object(cron_jobs, namespace, wanted).await?;
    let uid = text(&cron_job, "/metadata/uid");
    let jobs = known("batch", "v1", "jobs")?;
    let all = api.items(jobs, &Uri::list(jobs, Some(namespace))).await?;
    let is_own = |job: &Value| {
        let owners = job["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
    };
    // Names of Jobs go up with their slots; a second holds several only by hand.
    let age = |job: &Value| {
        (
            text(job, "/metadata/creationTimestamp").to_owned(),
            name(job).to_owned(),
        )
    };
    all.into_iter()
        .filter(is_own)
        .max_by_key(age)
        .ok_or_else(|| {
            Failure::other(format!(
                "cronjob/{wanted} has no Jobs, so there are no logs"
            ))
        })
}

/// The containers of the pod whose logs are wanted.
fn containers(pod: &Value, args: &LogsArgs) -> Result<Vec<String>> {
    let of = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().map_or(&[][..], Vec::as_slice);
        containers
            .iter()
            .map(|it| text(it, "/name").to_owned())
            .collect()
    };
    let (initial, own) = (of("initContainers"), of("containers"));
    if args.all_containers {
        return Ok(initial.into_iter().chain(own).collect());
    }
    if let Some(wanted) = &args.container {
        if initial.contains(wanted) || own.contains(wanted) {
            return Ok(vec![wanted.clone()]);
        }
        return Err(Failure::other(format!(
            "container {wanted} is not valid for pod {}: it has {}",
            name(pod),
            own.iter()
                .chain(&initial)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        )));
    }
    let preferred = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
    if let Some(preferred) = preferred.filter(|name| own.iter().any(|it| it == name)) {
        return Ok(vec![preferred.to_owned()]);
    }
    let Some(first) = own.first() else {
        return Err(Failure::other(format!(
            "pod {} has no containers",
            name(pod)
        )));
    };
    if own.len() + initial.len() > 1 {
        let initial = initial.iter().map(|name| format!("{name} (init)"));
        let all: Vec<String> = own.iter().cloned().chain(initial).collect();
        say(format_args!(
            "Defaulted container {first:?} out of: {}",
            all.join(", ")
        ));
    }
    Ok(vec![first.clone()])
}

fn source(pod: &Value, container: String, args: &LogsArgs) -> Result<Source> {
    let pods = known("", "v1", "pods")?;
    let namespace = args.daemon.namespace();
    let flag = |uri: Uri, name: &str, set: bool| if set { uri.with(name, "true") } else { uri };
    let mut uri = Uri::object(pods, namespace, name(pod)).below("log");
    uri = uri.with("container", &container);
    uri = flag(uri, "follow", args.follow);
    uri = flag(uri, "previous", args.previous);
    uri = flag(uri, "timestamps", args.timestamps);
    if args.tail >= 0 {
        uri = uri.with("tailLines", &args.tail.to_string());
    }
    if let Some(since) = args.since {
        // Whole seconds, and never none of them.
        let seconds = since.as_secs() + u64::from(since > Duration::from_secs(since.as_secs()));
        uri = uri.with("sinceSeconds", &seconds.max(1).to_string());
    }
    Ok(Source {
        pod: name(pod).to_owned(),
        container,
        uri,
    })
}

/// Follows several logs at once; lines are never mixed.
async fn follow(api: &Api, sources: Vec<Source>, prefixed: bool) -> Result<Exit> {
    if sources.len() > FOLLOWED_MAX {
        return Err(Failure::other(format!(
            "{} logs are more than can be followed at once ({FOLLOWED_MAX})",
            sources.len()
        )));
    }
    let mut copies = JoinSet::new();
    for source in sources {
        match api.open(&source.uri, "*/*").await {
            Ok(answer) => drop(
                copies.spawn(async move { copy_lines(answer, prefixed.then_some(&source)).await }),
            ),
            // A pod that waits to start keeps nobody from hearing the others.
            Err(failure @ Failure::Refused(_)) => {
                failure.tell();
            }
            Err(failure) => return Err(failure),
        }
    }
    while let Some(copied) = copies.join_next().await {
        copied.map_err(|error| Failure::other(format!("a log could not be copied: {error}")))??;
    }
    Ok(Exit::Complete)
}

async fn copy(mut answer: Answer, source: Option<&Source>) -> Result<()> {
    if source.is_some() {
        return copy_lines(answer, source).await;
    }
    while let Some(piece) = answer.piece().await? {
        bytes(&piece)?;
    }
    Ok(())
}

async fn copy_lines(mut answer: Answer, source: Option<&Source>) -> Result<()> {
    let prefix = source.map_or_else(String::new, |source| {
        format!("[pod/{}/{}] ", source.pod, source.container)
    });
    while let Some(line) = answer.line().await? {
        let mut whole = BytesMut::from(prefix.as_bytes());
        whole.extend_from_slice(&line);
        whole.extend_from_slice(b"\n");
        bytes(&whole)?;
    }
    Ok(())
}
