//! `/metrics`: numbers for Prometheus, made when they are asked for.
//!
//! Of Jobs and CronJobs it says what kube-state-metrics says, under its names; of the
//! controllers what Kubernetes' own say, as far as it is counted exactly; of pods
//! only totals. kube-state-metrics has a series for every pod and phase: of Jobs that
//! come and go by the thousand, those would be most of all series, each for a moment.
//! `kube_pod_status_phase` therefore has the namespace and the phase only; sums over
//! pods, which is what it is used for, are the same.
//!
//! No label holds more than names, schedules, reasons and words of our own: nothing
//! of a spec's environment, arguments or annotations.

mod controllers;
mod cron_jobs;
mod jobs;
mod own;
mod pods;
mod text;

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;
use wasmjob_machinery::status::Status;

use crate::api::Api;
use crate::body::{self, Reply};
use crate::call::takes_gzip;
use text::Text;

/// The format of Prometheus' text exposition.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long the host may take to say what it does. Its numbers are left out then: who
/// scrapes must learn of the others just when the host is in trouble.
const HOST_TIME: Duration = Duration::from_secs(2);

pub(crate) async fn answer(api: &Arc<Api>, parts: &Parts) -> Result<Reply, Status> {
    let figures = tokio::time::timeout(HOST_TIME, api.host.figures()).await;
    let figures = figures.ok().and_then(Result::ok);
    let api = Arc::clone(api);
    // Of many objects this is long work.
    let written = tokio::task::spawn_blocking(move || {
        let mut text = Text::default();
        jobs::write(&mut text, &api);
        cron_jobs::write(&mut text, &api);
        pods::write(&mut text, &api);
        own::write(&mut text, &api, figures.as_ref());
        if let Some(figures) = &figures {
            controllers::write(&mut text, &figures.counts);
        }
        text.into_bytes()
    });
    let bytes = written.await.map_err(Status::internal_error)?;
    let reply = body::reply(StatusCode::OK, CONTENT_TYPE, body::whole(""));
    Ok(body::compressed(
        reply,
        bytes.into(),
        takes_gzip(&parts.headers),
    ))
}
