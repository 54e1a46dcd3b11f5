//! What Kubernetes answers to each request of a table, and what we do.
//!
//! `requests.txt` explains how to read it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasmjob_machinery::{proto, strict};

use crate::support::{Answer, Api, Client, block_on, merge};

const TABLE: &str = include_str!("../requests.txt");

/// Paths that the table writes in short, all in the namespace `default`.
const SHORT: [(&str, &str); 13] = [
    ("jobs", "/apis/batch/v1/namespaces/default/jobs"),
    ("cronjobs", "/apis/batch/v1/namespaces/default/cronjobs"),
    ("pods", "/api/v1/namespaces/default/pods"),
    ("configmaps", "/api/v1/namespaces/default/configmaps"),
    ("secrets", "/api/v1/namespaces/default/secrets"),
    (
        "serviceaccounts",
        "/api/v1/namespaces/default/serviceaccounts",
    ),
    ("events", "/api/v1/namespaces/default/events"),
    ("namespaces", "/api/v1/namespaces"),
    ("nodes", "/api/v1/nodes"),
    (
        "leases",
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    ),
    ("rbac", "/apis/rbac.authorization.k8s.io/v1"),
    ("authz", "/apis/authorization.k8s.io/v1"),
    ("authn", "/apis/authentication.k8s.io/v1"),
];

#[derive(Default)]
struct Row {
    line: usize,
    method: String,
    path: String,
    body: String,
    headers: Vec<(String, String)>,
    code: u16,
    reason: String,
    mark: char,
    message: String,
    causes: Vec<(String, String)>,
    /// Headers of the answer.
    shown: Vec<(String, String)>,
    /// What stands at a path of the answer.
    fields: Vec<(String, Value)>,
    /// What later rows are to know, and where it stands.
    remembered: Vec<(String, String)>,
}

struct Table {
    bases: BTreeMap<String, Value>,
    rows: Vec<Row>,
}

fn read(text: &str) -> Table {
    let mut table = Table {
        bases: BTreeMap::new(),
        rows: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        let words = |text: &str| {
            let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
            (first.to_owned(), rest.trim_start().to_owned())
        };
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix("base ") {
            let (name, body) = words(rest);
            table.bases.insert(name, flow(&body));
            continue;
        }
        let Some(rest) = line.strip_prefix("  ") else {
            let (method, rest) = words(line);
            let (path, body) = words(&rest);
            table.rows.push(Row {
                line: index + 1,
                method,
                path,
                body,
                ..Row::default()
            });
            continue;
        };
        let row = table.rows.last_mut().expect("a row begins at the margin");
        let (sign, rest) = words(rest);
        let pair = |text: &str| {
            let (name, value) = text.split_once(": ").expect(text);
            (name.to_owned(), value.to_owned())
        };
        match sign.as_str() {
            "+" => row.body.push_str(&rest),
            ">" => row.headers.push(pair(&rest)),
            "<" => row.shown.push(pair(&rest)),
            "!" => row.causes.push(words(&rest)),
            "@" => {
                let (path, value) = words(&rest);
                row.fields.push((path, flow(&value)));
            }
            "$" => row.remembered.push(words(&rest)),
            "=" => {
                let (code, rest) = words(&rest);
                let (reason, rest) = words(&rest);
                let (mark, message) = words(&rest);
                row.code = code.parse().expect("a code");
                row.reason = if reason == "-" { String::new() } else { reason };
                row.mark = mark.parse().expect("a mark");
                row.message = message;
            }
            other => panic!("line {}: what is {other:?}?", index + 1),
        }
    }
    table
}

/// YAML in one line as a value.
fn flow(text: &str) -> Value {
    let decoded = strict::plain_yaml_or_json(text.as_bytes());
    decoded
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .value
}

/// Runs of things that are too long to write.
fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    // `<x*300>` stands for 300 times `x`.
    while let Some(start) = rest.find('<') {
        let (before, from) = rest.split_at(start);
        expanded.push_str(before);
        let run = from[1..].split_once('>').and_then(|(inner, after)| {
            let (piece, count) = inner.rsplit_once('*')?;
            Some((piece.repeat(count.parse().ok()?), after))
        });
        match run {
            Some((run, after)) => {
                expanded.push_str(&run);
                rest = after;
            }
            None => {
                expanded.push('<');
                rest = &from[1..];
            }
        }
    }
    expanded + rest
}

/// `$name` is what an earlier row remembered.
fn fill(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in known.iter().rev() {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}

fn full(path: &str) -> String {
    if path.starts_with('/') || path == "*" {
        return path.to_owned();
    }
    let end = path.find(['/', '?']).unwrap_or(path.len());
    let (first, rest) = path.split_at(end);
    let found = SHORT.iter().find(|(short, _)| *short == first);
    let (_, long) = found.unwrap_or_else(|| panic!("what is {path}?"));
    format!("{long}{rest}")
}

fn body(text: &str, bases: &BTreeMap<String, Value>, known: &BTreeMap<String, String>) -> Vec<u8> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let value = |name: &str, patch: &str| {
        let mut value = bases
            .get(name)
            .unwrap_or_else(|| panic!("no base {name}"))
            .clone();
        if !patch.is_empty() {
            merge(&mut value, &flow(patch));
        }
        value
    };
    match first {
        "" => Vec::new(),
        "raw" => rest.as_bytes().to_vec(),
        "got" => {
            let (name, patch) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut value: Value = serde_json::from_str(&known[name]).unwrap();
            if !patch.is_empty() {
                merge(&mut value, &flow(patch));
            }
            value.to_string().into_bytes()
        }
        "json" => flow(rest).to_string().into_bytes(),
        "proto" => {
            let (name, patch) = rest.split_once(' ').unwrap_or((rest, ""));
            let value = value(name, patch);
            let text = |field: &str| value[field].as_str().unwrap().to_owned();
            proto::encode(&text("apiVersion"), &text("kind"), &value).unwrap()
        }
        name => value(name, rest).to_string().into_bytes(),
    }
}

/// What stands at `a.b[0].c`, `[*]` being the number of items.
fn at(value: &Value, path: &str) -> Value {
    let mut found = value;
    for part in path.split('.') {
        let (name, index) = part.split_once('[').unwrap_or((part, ""));
        let name = name.replace('~', ".");
        found = if name.is_empty() {
            found
        } else {
            &found[name.as_str()]
        };
        match index.trim_end_matches(']') {
            "" => {}
            "*" => return found.as_array().map_or(0, Vec::len).into(),
            index => found = &found[index.parse::<usize>().unwrap()],
        }
    }
    found.clone()
}

/// Whether the text is as wanted; `<any>` stands for anything.
fn is_like(text: &str, wanted: &str) -> bool {
    let mut parts = wanted.split("<any>");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    for (place, part) in parts.iter().enumerate() {
        if place + 1 == parts.len() {
            return rest.ends_with(part);
        }
        let Some(found) = rest.find(part) else {
            return false;
        };
        rest = &rest[found + part.len()..];
    }
    rest.is_empty()
}

fn differences(row: &Row, answer: &Answer, known: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let value = answer.json();
    if answer.code != row.code {
        wrong.push(format!("code {} != {}", answer.code, row.code));
    }
    if row.code >= 300 && value["kind"] == "Status" {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        if text("reason") != row.reason {
            wrong.push(format!("reason {:?} != {:?}", text("reason"), row.reason));
        }
        let causes = value["details"]["causes"].as_array();
        let causes: Vec<(String, String)> = causes
            .into_iter()
            .flatten()
            .map(|cause| {
                let text = |field: &str| cause[field].as_str().unwrap_or_default().to_owned();
                (text("reason"), text("field"))
            })
            .collect();
        if causes != row.causes {
            wrong.push(format!("causes {causes:?} != {:?}", row.causes));
        }
    } else if !row.reason.is_empty() {
        wrong.push(format!("no Status: {}", answer.text()));
    }
    let message = match value["message"].as_str() {
        Some(message) if value["kind"] == "Status" => message.to_owned(),
        _ => answer.text().trim_end().to_owned(),
    };
    let wanted = expand(&fill(&row.message, known));
    if !wanted.is_empty() && !is_like(&message, &wanted) {
        wrong.push(format!("message\n      {message}\n   != {wanted}"));
    }
    for (name, text) in &row.shown {
        let values: Vec<&str> = answer
            .headers
            .get_all(name.as_str())
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let is_there = match text.as_str() {
            "none" => values.is_empty(),
            wanted => values.iter().any(|value| is_like(value, wanted)),
        };
        if !is_there {
            wrong.push(format!("header {name}: {values:?} != {text}"));
        }
    }
    for (path, wanted) in &row.fields {
        let is = at(&value, path);
        let wanted = match wanted {
            Value::String(text) => json!(fill(text, known)),
            other => other.clone(),
        };
        if is != wanted {
            wrong.push(format!("{path}: {is} != {wanted}"));
        }
    }
    wrong
}

async fn run(table: &Table, client: &mut Client) -> Vec<String> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut failures = Vec::new();
    for row in &table.rows {
        let path = expand(&fill(&full(&row.path), &known));
        let body = body(&expand(&fill(&row.body, &known)), &table.bases, &known);
        let mut headers: Vec<(&str, String)> = row
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), expand(&fill(value, &known))))
            .collect();
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            let text = match row.body.starts_with("proto ") {
                true => "application/vnd.kubernetes.protobuf",
                false => "application/json",
            };
            headers.push(("Content-Type", text.to_owned()));
        }
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .filter(|(_, value)| *value != "none")
            .collect();
        let answer = client.try_send(&row.method, &path, &headers, body).await;
        let wrong = match answer {
            Err(error) => vec![error],
            Ok(answer) => {
                for (name, path) in &row.remembered {
                    let value = at(&answer.json(), path);
                    let text = value.as_str().map_or(value.to_string(), str::to_owned);
                    known.insert(name.clone(), text);
                }
                differences(row, &answer, &known)
            }
        };
        if !wrong.is_empty() {
            failures.push(format!(
                "requests.txt:{} {} {} {}\n    {}",
                row.line,
                row.method,
                row.path,
                row.body,
                wrong.join("\n    ")
            ));
        }
    }
    failures
}

#[test]
fn answers_are_those_of_kubernetes() {
    let table = read(TABLE);
    let api = Api::start();
    let failures = block_on(async { run(&table, &mut api.client()).await });
    let mut marks: BTreeMap<char, usize> = BTreeMap::new();
    for row in &table.rows {
        assert!(
            "MSKW".contains(row.mark),
            "line {}: {:?}",
            row.line,
            row.mark
        );
        *marks.entry(row.mark).or_default() += 1;
    }
    println!("{} rows: {marks:?}", table.rows.len());
    assert!(
        failures.is_empty(),
        "{} of {} rows differ:\n{}",
        failures.len(),
        table.rows.len(),
        failures.join("\n")
    );
}
