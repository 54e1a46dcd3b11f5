//! `metrics.k8s.io`: what pods and the node use now, for `kubectl top`.
//!
//! Memory is what is held at the moment. Processor time is a rate between two
//! samples, which are taken when somebody asks and not otherwise: against a sample
//! that an earlier question left, or, if none has asked within a minute, against
//! one that is taken half a second before the answer. `window` says which it was.
//!
//! The node's usage is that of its guests: what the server itself needs is not
//! counted among what pods may have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use wasmjob::api::Uid;
use wasmjob::{NodeUsage, PodUsage};
use wasmjob_machinery::status::{Details, Status};

use crate::api::Api;
use crate::body::Reply;
use crate::call::Call;
use crate::select::Selection;
use crate::show;

/// How long an answer is given again.
const FRESH: Duration = Duration::from_secs(1);

/// How old the sample should be that is compared with: metrics-server's resolution.
const WINDOW: Duration = Duration::from_secs(15);

/// How old it may be: an average over longer says little about now.
const WINDOW_MAX: Duration = Duration::from_secs(60);

/// How long is measured if there is no sample to compare with.
const SHORT_WINDOW: Duration = Duration::from_millis(500);

/// The samples that questions have left.
#[derive(Default)]
pub(crate) struct Samples(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    older: Option<Arc<Sample>>,
    newer: Option<Arc<Sample>>,
    last: Option<(Instant, Arc<Measured>)>,
}

/// Processor time that was used up to a moment.
struct Sample {
    at: std::time::Instant,
    cpu: Duration,
    containers: HashMap<(Uid, Arc<str>), Duration>,
}

/// What is used, and since when processor time is counted.
struct Measured {
    at: Timestamp,
    window: Duration,
    usage: NodeUsage,
    since: Arc<Sample>,
}

impl Sample {
    fn of(usage: &NodeUsage) -> Arc<Self> {
        let containers = usage.pods.iter().flat_map(|pod| {
            let containers = pod.containers.iter();
            containers.map(|it| ((pod.uid, Arc::clone(&it.name)), it.cpu))
        });
        Arc::new(Self {
            at: usage.at,
            cpu: usage.cpu,
            containers: containers.collect(),
        })
    }

    fn is_of_use(&self, now: std::time::Instant) -> bool {
        let age = now.saturating_duration_since(self.at);
        !age.is_zero() && age <= WINDOW_MAX
    }
}

impl Kept {
    /// The sample to compare with: the older one, because the newer may be of just now.
    fn base(&self, now: std::time::Instant) -> Option<Arc<Sample>> {
        let samples = [&self.older, &self.newer].into_iter().flatten();
        let mut useful = samples.filter(|sample| sample.is_of_use(now));
        useful.next().cloned()
    }

    fn keep(&mut self, sample: Arc<Sample>) {
        let now = sample.at;
        let is_due = |newer: &Arc<Sample>| now.saturating_duration_since(newer.at) >= WINDOW;
        if self.newer.as_ref().is_none_or(is_due) {
            self.older = self.newer.replace(sample);
        }
    }
}

impl Api {
    /// Answers what `metrics.k8s.io` is asked.
    pub(crate) async fn usage(&self, call: &Call) -> Result<Reply, Status> {
        let selection = Selection::of(&call.target, &call.query)?;
        let measured = self.measure().await?;
        let is_of_nodes = call.target.resource.kind == "NodeMetrics";
        let found = match is_of_nodes {
            true => self.of_node(&measured, &selection).into_iter().collect(),
            false => self.of_pods(&measured, &selection),
        };
        if call.target.name.is_none() {
            let metadata = json!({});
            return show::list(call, &metadata, found.into_iter(), self.now());
        }
        match found.into_iter().next() {
            Some(value) => show::value(call, StatusCode::OK, value, self.now()),
            None => Err(self.not_measured(call, is_of_nodes)),
        }
    }

    /// As metrics-server words it: there is no such object, or none of its usage.
    fn not_measured(&self, call: &Call, is_of_nodes: bool) -> Status {
        let namespace = &call.target.namespace;
        let (resource, name) = match is_of_nodes {
            true => ("nodes", call.name().to_owned()),
            false => ("pods", format!("{namespace}/{}", call.name())),
        };
        let exists = self.cache.get(resource, namespace, call.name()).is_some();
        let (kind, group, text) = match (exists, is_of_nodes) {
            (false, _) => (resource, "", resource),
            (true, true) => ("nodemetrics", METRICS, "nodemetrics.metrics.k8s.io"),
            (true, false) => ("podmetrics", METRICS, "podmetrics.metrics.k8s.io"),
        };
        let mut status = Status::new(404, "NotFound", format!("{text} {name:?} not found"));
        status.details = Some(Box::new(Details {
            name,
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..Details::default()
        }));
        status
    }

    async fn measure(&self) -> Result<Arc<Measured>, Status> {
        let mut kept = self.samples.0.lock().await;
        if let Some((at, last)) = &kept.last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(last));
        }
        let mut usage = self.sample().await?;
        let since = match kept.base(usage.at) {
            Some(base) => base,
            None => {
                let base = Sample::of(&usage);
                tokio::time::sleep(SHORT_WINDOW).await;
                usage = self.sample().await?;
                base
            }
        };
        kept.keep(Sample::of(&usage));
        let measured = Arc::new(Measured {
            at: self.now(),
            window: usage.at.saturating_duration_since(since.at),
            usage,
            since,
        });
        kept.last = Some((Instant::now(), Arc::clone(&measured)));
        Ok(measured)
    }

    async fn sample(&self) -> Result<NodeUsage, Status> {
        let figures = self.host.figures().await;
        Ok(figures.map_err(Status::internal_error)?.usage)
    }

    fn of_node(&self, measured: &Measured, selection: &Selection) -> Option<Value> {
        let name = self.cache.node();
        let scope = &selection.scope;
        let node = self.cache.get("nodes", "", name)?;
        if scope.name.as_ref().is_some_and(|wanted| wanted != name) || !selection.covers(&node) {
            return None;
        }
        let usage = &measured.usage;
        let cpu = usage.cpu.saturating_sub(measured.since.cpu);
        let mut value = measured.value("NodeMetrics", "", name, &node.value());
        value["usage"] = measured.shown(cpu, usage.memory_bytes);
        Some(value)
    }

    fn of_pods(&self, measured: &Measured, selection: &Selection) -> Vec<Value> {
        let scope = &selection.scope;
        let is_wanted = |wanted: &Option<Arc<str>>, own: &Arc<str>| {
            wanted.as_ref().is_none_or(|wanted| wanted == own)
        };
        let mut pods: Vec<&PodUsage> = measured.usage.pods.iter().collect();
        pods.retain(|pod| {
            is_wanted(&scope.namespace, &pod.namespace) && is_wanted(&scope.name, &pod.name)
        });
        pods.sort_unstable_by_key(|pod| (&pod.namespace, &pod.name));
        let values = pods.into_iter().filter_map(|pod| {
            let entry = self.cache.get("pods", &pod.namespace, &pod.name)?;
            if !selection.covers(&entry) {
                return None;
            }
            let mut value = measured.value("PodMetrics", &pod.namespace, &pod.name, &entry.value());
            let containers = pod.containers.iter().map(|container| {
                let key = (pod.uid, Arc::clone(&container.name));
                let before = measured.since.containers.get(&key).copied();
                let cpu = container.cpu.saturating_sub(before.unwrap_or_default());
                json!({
                    "name": &*container.name,
                    "usage": measured.shown(cpu, container.memory_bytes),
                })
            });
            value["containers"] = containers.collect();
            Some(value)
        });
        values.collect()
    }
}

const METRICS: &str = "metrics.k8s.io";

impl Measured {
    /// What is said of every object: `of` has its labels.
    fn value(&self, kind: &str, namespace: &str, name: &str, of: &Value) -> Value {
        let at = crate::render::seconds(self.at);
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), name.into());
        if !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        metadata.insert("creationTimestamp".to_owned(), at.clone().into());
        if let Some(labels) = of["metadata"].get("labels") {
            metadata.insert("labels".to_owned(), labels.clone());
        }
        json!({
            "kind": kind,
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": metadata,
            "timestamp": at,
            "window": duration(self.window),
        })
    }

    /// Processor time of the window as processors, and bytes.
    fn shown(&self, cpu: Duration, memory_bytes: u64) -> Value {
        let window = self.window.as_nanos().max(1);
        let per_second = cpu.as_nanos().saturating_mul(1_000_000_000) / window;
        json!({
            "cpu": format!("{per_second}n"),
            "memory": format!("{}Ki", memory_bytes / 1024),
        })
    }
}

/// A duration as Go writes it, in milliseconds: `512ms`, `15.02s`, `1m0s`.
fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let mut seconds = (millis / 1_000).to_string();
    if millis % 1_000 > 0 {
        seconds += &format!(".{:03}", millis % 1_000);
        seconds.truncate(seconds.trim_end_matches('0').len());
    }
    match minutes {
        0 => format!("{seconds}s"),
        minutes => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Kept, Sample, duration};

    #[test]
    fn durations_are_gos() {
        for (millis, text) in [
            (0, "0ms"),
            (512, "512ms"),
            (1_000, "1s"),
            (15_020, "15.02s"),
            (10_100, "10.1s"),
            (60_000, "1m0s"),
            (61_500, "1m1.5s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn the_window_is_between_one_resolution_and_two_while_somebody_asks() {
        let begin = tokio::time::Instant::now().into_std();
        let sample = |seconds| {
            Arc::new(Sample {
                at: begin + Duration::from_secs(seconds),
                cpu: Duration::ZERO,
                containers: HashMap::new(),
            })
        };
        let mut kept = Kept::default();
        let mut windows = Vec::new();
        for now in [0, 5, 10, 15, 20, 25, 30, 35, 300, 301] {
            let now = sample(now);
            windows.push(kept.base(now.at).map(|base| (now.at - base.at).as_secs()));
            kept.keep(now);
        }
        assert_eq!(
            windows,
            [
                None,
                Some(5),
                Some(10),
                Some(15),
                Some(20),
                Some(25),
                Some(30),
                Some(20),
                None,
                Some(1)
            ]
        );
    }
}
