//! `get`: objects as tables that the daemon draws, or as they are.

use serde_json::{Value, json};
use wasmjob_machinery::resource::Resource;

use super::api::{Api, TABLE, name, selected, text};
use super::failure::{Failure, Result};
use super::kinds::{Wanted, called};
use super::output::{line, print};
use super::table::{Look, Table};
use super::uri::Uri;
use super::{json_path, watch};
use crate::args::{Form, GetArgs};
use crate::exit::{Exit, say};

pub(crate) async fn get(api: &Api, args: &GetArgs) -> Result<Exit> {
    let wanted = Wanted::read(&args.what)?;
    check(&wanted, args)?;
    if args.watch {
        return watch::get(api, args, &wanted).await;
    }
    match args.output {
        None | Some(Form::Wide) => tables(api, args, &wanted).await,
        Some(ref form) => objects(api, args, &wanted, form).await,
    }
}

fn check(wanted: &Wanted, args: &GetArgs) -> Result<()> {
    if let Wanted::Named(_) = wanted {
        if args.select.all_namespaces {
            return Err(Failure::usage(
                "a resource cannot be retrieved by name across all namespaces",
            ));
        }
        if args.select.selector.is_some() || args.select.field_selector.is_some() {
            return Err(Failure::usage("a selector does not go with names"));
        }
    }
    Ok(())
}

/// The requests that answer what is wanted: one for each resource, or for each name.
fn requests(wanted: &Wanted, args: &GetArgs) -> Vec<(&'static Resource, Uri)> {
    let namespace = args.daemon.namespace();
    match wanted {
        Wanted::Every(resources) => resources
            .iter()
            .map(|resource| (*resource, selected(resource, namespace, &args.select)))
            .collect(),
        Wanted::Named(named) => named
            .iter()
            .map(|(resource, name)| (*resource, Uri::object(resource, namespace, name)))
            .collect(),
    }
}

/// What a table of that resource looks like.
pub(crate) fn look(resource: &Resource, args: &GetArgs) -> Look {
    Look {
        wide: args.output == Some(Form::Wide),
        labels: args.show_labels,
        namespace: args.select.all_namespaces && resource.namespaced,
        kind: false,
        headers: !args.no_headers,
    }
}

async fn tables(api: &Api, args: &GetArgs, wanted: &Wanted) -> Result<Exit> {
    let requests = requests(wanted, args);
    let first = requests.first().map(|(resource, _)| *resource);
    let several = requests.iter().any(|(resource, _)| !same(resource, first));
    let mut tables: Vec<(&Resource, Table)> = Vec::new();
    let mut failures = Vec::new();
    for (resource, uri) in &requests {
        match api.read_as(uri, TABLE).await {
            Ok(answer) => {
                if !tables
                    .last()
                    .is_some_and(|(last, _)| same(last, Some(resource)))
                {
                    let look = Look {
                        kind: several,
                        ..look(resource, args)
                    };
                    tables.push((resource, Table::new(resource, look)));
                }
                if let Some((_, table)) = tables.last_mut() {
                    table.add(&answer);
                }
            }
            Err(failure) if failure.is_not_found() && args.ignore_not_found => {}
            Err(failure @ Failure::Refused(_)) => failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    let full = tables.into_iter().filter(|(_, table)| !table.is_empty());
    let texts: Vec<String> = full.map(|(_, mut table)| table.take()).collect();
    print(&texts.join("\n"))?;
    if texts.is_empty() && failures.is_empty() && !args.ignore_not_found {
        let is_namespaced = requests.iter().all(|(resource, _)| resource.namespaced);
        say_nothing_is_there(args, is_namespaced);
    }
    Ok(tell_all(&failures))
}

fn say_nothing_is_there(args: &GetArgs, is_namespaced: bool) {
    match is_namespaced && !args.select.all_namespaces {
        true => say(format_args!(
            "No resources found in {} namespace.",
            args.daemon.namespace()
        )),
        false => say("No resources found"),
    }
}

fn same(a: &Resource, b: Option<&Resource>) -> bool {
    b.is_some_and(|b| std::ptr::eq(a, b))
}

fn tell_all(failures: &[Failure]) -> Exit {
    let exits = failures.iter().map(Failure::tell);
    exits.fold(Exit::Complete, |_, exit| exit)
}

async fn objects(api: &Api, args: &GetArgs, wanted: &Wanted, form: &Form) -> Result<Exit> {
    let mut found: Vec<(&Resource, Value)> = Vec::new();
    let mut failures = Vec::new();
    for (resource, uri) in requests(wanted, args) {
        let objects = match wanted {
            Wanted::Every(_) => api.items(resource, &uri).await,
            Wanted::Named(_) => api.read(&uri).await.map(|object| vec![object]),
        };
        match objects {
            Ok(objects) => found.extend(objects.into_iter().map(|object| (resource, object))),
            Err(failure) if failure.is_not_found() && args.ignore_not_found => {}
            Err(failure @ Failure::Refused(_)) => failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    for (_, object) in &mut found {
        strip(object, args);
    }
    if *form == Form::Name {
        let names = found
            .iter()
            .map(|(resource, object)| format!("{}/{}\n", called(resource), name(object)));
        print(&names.collect::<String>())?;
        return Ok(tell_all(&failures));
    }
    // One object stands for itself if it was named; all else is a list.
    let is_one = matches!(wanted, Wanted::Named(named) if named.len() == 1);
    match (is_one, found.pop()) {
        (true, Some((_, object))) => show(form, &object)?,
        (true, None) => {}
        (false, last) => {
            let items: Vec<Value> = found.into_iter().chain(last).map(|(_, it)| it).collect();
            let list = json!({
                "apiVersion": "v1",
                "kind": "List",
                "metadata": { "resourceVersion": "" },
                "items": items,
            });
            show(form, &list)?;
        }
    }
    Ok(tell_all(&failures))
}

/// Takes away what only machines read.
pub(crate) fn strip(object: &mut Value, args: &GetArgs) {
    if !args.show_managed_fields
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.remove("managedFields");
    }
}

/// Prints an object.
pub(crate) fn show(form: &Form, object: &Value) -> Result<()> {
    match form {
        Form::Yaml => print(&yaml_text(object)?),
        Form::JsonPath(template) => print(&json_path::print(template, object)?),
        Form::Name => line(&format!(
            "{}/{}",
            text(object, "/kind").to_ascii_lowercase(),
            name(object)
        )),
        Form::Json | Form::Wide => print(&json_text(object)?),
    }
}

/// YAML, with what older readers take for something else than text in quotes.
pub(crate) fn yaml_text(value: &Value) -> Result<String> {
    let text = serde_saphyr::to_string(value);
    text.map_err(|error| Failure::other(format!("failed to write YAML: {error}")))
}

/// JSON with four spaces, as Go indents it.
fn json_text(value: &Value) -> Result<String> {
    use serde::Serialize as _;
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, indent);
    let written = value
        .serialize(&mut writer)
        .map_err(|error| error.to_string());
    let text = written.and_then(|()| String::from_utf8(bytes).map_err(|error| error.to_string()));
    let text = text.map_err(|error| Failure::other(format!("failed to write JSON: {error}")))?;
    Ok(text + "\n")
}
