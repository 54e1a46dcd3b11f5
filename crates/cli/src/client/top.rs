//! `top`: what nodes and pods use, if the daemon measures it.

use serde_json::Value;
use wasmjob::api::Quantity;
use wasmjob_machinery::resource::Resource;

use super::api::{Api, name, text};
use super::failure::{Failure, Result};
use super::kinds::known;
use super::output::print;
use super::uri::Uri;
use crate::args::{TopArgs, TopOf};
use crate::exit::{Exit, say};

const MEBIBYTE: i128 = 1 << 20;

pub(crate) async fn top(api: &Api, args: &TopArgs) -> Result<Exit> {
    let plural = match args.of {
        TopOf::Nodes => "nodes",
        TopOf::Pods => "pods",
    };
    let metrics = known("metrics.k8s.io", "v1beta1", plural)?;
    let measured = measured(api, args, metrics).await?;
    if measured.is_empty() {
        return nothing(api, args).await;
    }
    let rows = match args.of {
        TopOf::Nodes => nodes(api, args, &measured).await?,
        TopOf::Pods => pods(args, &measured),
    };
    print(&lay_out(&rows))?;
    Ok(Exit::Complete)
}

async fn measured(api: &Api, args: &TopArgs, metrics: &Resource) -> Result<Vec<Value>> {
    let namespace = args.daemon.namespace();
    let found = match &args.name {
        Some(name) => {
            let uri = Uri::object(metrics, namespace, name);
            api.read(&uri).await.map(|object| vec![object])
        }
        None => {
            let namespace = (!args.all_namespaces).then_some(namespace);
            let list = Uri::list(metrics, namespace);
            let list = list.with_some("labelSelector", args.selector.as_deref());
            api.items(metrics, &list).await
        }
    };
    match found {
        Err(failure) if failure.is_not_found() && args.name.is_none() => Ok(Vec::new()),
        found => found,
    }
}

/// Nothing is measured: because nothing runs, or because the daemon cannot.
async fn nothing(api: &Api, args: &TopArgs) -> Result<Exit> {
    let nodes = known("metrics.k8s.io", "v1beta1", "nodes")?;
    let measures = match api.items(nodes, &Uri::list(nodes, None)).await {
        Ok(items) => !items.is_empty(),
        Err(Failure::Refused(_)) => false,
        Err(failure) => return Err(failure),
    };
    if !measures {
        return Err(Failure::other(
            "Metrics API not available: this daemon does not measure yet what pods use",
        ));
    }
    match args.all_namespaces || args.of == TopOf::Nodes {
        true => say("No resources found"),
        false => say(format_args!(
            "No resources found in {} namespace.",
            args.daemon.namespace()
        )),
    }
    Ok(Exit::Complete)
}

/// Thousandths of a processor, and bytes.
fn usage(usage: &Value) -> (i128, i128) {
    let quantity = |name: &str| {
        usage[name]
            .as_str()
            .and_then(|text| text.parse::<Quantity>().ok())
    };
    (
        quantity("cpu").map_or(0, |cpu| i128::from(cpu.milli())),
        quantity("memory").map_or(0, |memory| i128::from(memory.units())),
    )
}

fn pods(args: &TopArgs, measured: &[Value]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let header = ["NAMESPACE", "NAME", "CPU(cores)", "MEMORY(bytes)"];
    let from = usize::from(!args.all_namespaces);
    if !args.no_headers {
        rows.push(header[from..].iter().map(ToString::to_string).collect());
    }
    for pod in measured {
        let containers = pod["containers"].as_array().map_or(&[][..], Vec::as_slice);
        let (mut cpu, mut memory) = (0, 0);
        for container in containers {
            let (own_cpu, own_memory) = usage(&container["usage"]);
            cpu += own_cpu;
            memory += own_memory;
        }
        let row = [
            text(pod, "/metadata/namespace").to_owned(),
            name(pod).to_owned(),
            format!("{cpu}m"),
            format!("{}Mi", memory / MEBIBYTE),
        ];
        rows.push(row[from..].to_vec());
    }
    rows
}

async fn nodes(api: &Api, args: &TopArgs, measured: &[Value]) -> Result<Vec<Vec<String>>> {
    let nodes = known("", "v1", "nodes")?;
    let mut rows = Vec::new();
    if !args.no_headers {
        let header = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
        rows.push(header.map(str::to_owned).to_vec());
    }
    for measured in measured {
        let node = api.object(nodes, "", name(measured)).await?;
        let (cpu, memory) = usage(&measured["usage"]);
        let (all_cpu, all_memory) = usage(&node["status"]["allocatable"]);
        let share = |part: i128, of: i128| match of {
            0 => "<unknown>".to_owned(),
            of => format!("{}%", part * 100 / of),
        };
        rows.push(vec![
            name(measured).to_owned(),
            format!("{cpu}m"),
            share(cpu, all_cpu),
            format!("{}Mi", memory / MEBIBYTE),
            share(memory, all_memory),
        ]);
    }
    Ok(rows)
}

/// Columns that are at least ten wide, with three spaces behind, the last as well: so
/// does kubectl.
fn lay_out(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|it| (width(it).unwrap_or(0) + 3).max(10))
        .collect();
    let mut out = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(&format!("{cell:width$}"));
        }
        out.push('\n');
    }
    out
}
