//! Writes `src/openapi/descriptions.tsv`: what `kubectl explain` says of every message
//! and field of the table, and which fields are required.
//!
//! The texts are those of the Kubernetes API, which the sources of k8s-openapi have in
//! their JSON schemas. Reading them here, once for each version of Kubernetes, keeps
//! `schemars` and every schema out of the programs:
//!
//! ```text
//! cargo run -p wasmjob-machinery --example descriptions -- \
//!     ~/.cargo/registry/src/*/k8s-openapi-0.29.0/src/v1_36 \
//!     > crates/machinery/src/openapi/descriptions.tsv
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::{env, fs, io};

use wasmjob_machinery::openapi::schema_name;
use wasmjob_machinery::types;

/// Of one message: the text of each field (of itself under an empty name), and which
/// fields are required.
#[derive(Default)]
struct Schema {
    texts: BTreeMap<String, String>,
    required: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::args().nth(1).ok_or("the sources of k8s-openapi?")?;
    let mut schemas = BTreeMap::new();
    walk(Path::new(&root), &mut schemas)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "# Texts of the Kubernetes API 1.36 (Apache-2.0, The Kubernetes Authors); written by examples/descriptions.rs."
    )?;
    writeln!(out, "# message\tfield\trequired\tdescription")?;
    for message in types::messages() {
        let Some(schema) = schemas.get(&schema_name(message.name)) else {
            continue;
        };
        let fields = message.json_fields().map(|field| field.name);
        for name in std::iter::once("").chain(fields) {
            let text = schema.texts.get(name).map_or("", String::as_str);
            // The crate holds all objects to have metadata; the API does not.
            let required = name != "metadata" && schema.required.iter().any(|r| r == name);
            let required = if required { "required" } else { "" };
            if !(text.is_empty() && required.is_empty()) {
                let text = text
                    .replace('\\', "\\\\")
                    .replace('\n', "\\n")
                    .replace('\t', "\\t");
                writeln!(out, "{}\t{name}\t{required}\t{text}", message.name)?;
            }
        }
    }
    Ok(())
}

fn walk(path: &Path, schemas: &mut BTreeMap<String, Schema>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, schemas)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            read(&fs::read_to_string(&path)?, schemas);
        }
    }
    Ok(())
}

/// Reads the schema in one file. The sources are generated, and all indented alike.
fn read(source: &str, schemas: &mut BTreeMap<String, Schema>) {
    let Some((_, schema)) = source.split_once("crate::schemars::JsonSchema for ") else {
        return;
    };
    let mut lines = schema.lines().skip_while(|l| !l.contains("fn schema_name"));
    let Some(name) = lines.nth(1).and_then(literal) else {
        return;
    };
    let mut found = Schema::default();
    let mut property = String::new();
    let mut in_required = false;
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        match indent {
            12 => {
                property.clear();
                in_required = text.starts_with("\"required\"");
                if let Some(text) = text.strip_prefix("\"description\": ") {
                    found
                        .texts
                        .insert(String::new(), literal(text).unwrap_or_default());
                }
            }
            16 if in_required => found.required.extend(literal(text)),
            16 if text.starts_with('"') => property = literal(text).unwrap_or_default(),
            20 if !property.is_empty() => {
                let text = text.strip_prefix("\"description\": ").or_else(|| {
                    text.split_once("insert(\"description\".into(), ")
                        .map(|p| p.1)
                });
                if let Some(text) = text.and_then(literal) {
                    found.texts.insert(property.clone(), text);
                }
            }
            _ => {}
        }
    }
    schemas.insert(name, found);
}

/// The first string literal in a line of Rust.
fn literal(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('"')?;
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'u' => {
                    let code: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(code.trim_start_matches('{'), 16).ok()?;
                    text.push(char::from_u32(code)?);
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}
