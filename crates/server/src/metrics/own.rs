//! The server, the store and the sandboxes.

use wasmjob::{Figures, Health};

use super::text::{Kind, Text};
use crate::api::Api;

pub(super) fn write(text: &mut Text, api: &Api, figures: Option<&Figures>) {
    let mut family = text.family("wasmjob_build_info", Kind::Gauge, "The version that runs.");
    family.sample("", &[("version", env!("CARGO_PKG_VERSION"))], true);
    requests(text, api);
    text.gauge(
        "wasmjob_store_revision",
        "The revision of the store that everybody sees.",
        api.cache.revision(),
    );
    text.gauge(
        "wasmjob_store_writable",
        "Whether what is done can be kept.",
        api.host.health() == Health::Writable,
    );
    if let Some(figures) = figures {
        sandboxes(text, figures);
    }
}

fn requests(text: &mut Text, api: &Api) {
    let mut family = text.family(
        "apiserver_request_total",
        Kind::Counter,
        "Requests that were answered.",
    );
    for ((request, code), count) in api.requests.counts() {
        let labels = [
            ("verb", request.verb),
            ("group", request.group),
            ("version", request.version),
            ("resource", request.resource),
            ("subresource", request.subresource),
            ("code", &code.to_string()),
        ];
        family.sample("", &labels, count);
    }
    let [reads, changes, long_running] = api.in_flight();
    let mut family = text.family(
        "apiserver_current_inflight_requests",
        Kind::Gauge,
        "Requests that are being answered; this one is among them.",
    );
    family.sample("", &[("request_kind", "readOnly")], reads);
    family.sample("", &[("request_kind", "mutating")], changes);
    text.gauge(
        "wasmjob_long_running_requests",
        "Watches, followed logs and streams that are open.",
        long_running,
    );
    let mut family = text.family("wasmjob_watches", Kind::Gauge, "Watches that are open.");
    for (resource, count) in api.cache.watchers() {
        family.sample("", &[("resource", &resource)], count);
    }
}

fn sandboxes(text: &mut Text, figures: &Figures) {
    let usage = &figures.usage;
    text.gauge(
        "wasmjob_pods_running",
        "Pods of which a container runs.",
        usage.pods.len(),
    );
    text.gauge(
        "wasmjob_pods_admitted",
        "Pods that were admitted and have not ended.",
        usage.admitted,
    );
    text.gauge(
        "wasmjob_pods_queued",
        "Pods that wait to be admitted.",
        usage.queued,
    );
    text.gauge(
        "wasmjob_guests",
        "WebAssembly instances that have not ended, those of probes included.",
        usage.guests,
    );
    text.gauge(
        "wasmjob_guest_memory_bytes",
        "Linear memories and tables of all guests, as they have grown.",
        usage.memory_bytes,
    );
    let mut family = text.family(
        "wasmjob_guest_written_bytes_total",
        Kind::Counter,
        "Bytes that all guests have written to files.",
    );
    family.sample("", &[], usage.written_bytes);
    let mut family = text.family(
        "wasmjob_guest_cpu_seconds_total",
        Kind::Counter,
        "Processor time of all guests.",
    );
    family.sample("", &[], usage.cpu.as_secs_f64());
}
