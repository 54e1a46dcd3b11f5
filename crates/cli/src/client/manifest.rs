//! Manifests as objects to be sent: any kind, unchecked; checking is the daemon's part.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wasmjob::api::manifest::{Tree, plain_yaml};
use wasmjob_machinery::resource::{Resource, by_kind};

use super::api::text;
use super::failure::{Failure, Result};
use crate::args::DaemonArgs;
use crate::files;

/// An object of a manifest.
pub(crate) struct Document {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) object: Value,
    /// The file, as messages name it.
    pub(crate) file: String,
}

impl Document {
    /// The directory to which paths in it are relative.
    pub(crate) fn dir(&self) -> &Path {
        match self.file.as_str() {
            "-" => Path::new("."),
            file => Path::new(file).parent().unwrap_or(Path::new(".")),
        }
    }
}

/// Reads all objects that `paths` name, each or the reason why it is none.
pub(crate) fn read(paths: &[PathBuf], daemon: &DaemonArgs) -> Result<Vec<Result<Document>>> {
    let texts = files::texts(paths).map_err(Failure::Other)?;
    let mut documents = Vec::new();
    for (file, bytes) in texts {
        let objects =
            objects(&bytes).map_err(|why| Failure::other(format!("error parsing {file}: {why}")));
        match objects {
            Ok(objects) => {
                let each = objects
                    .into_iter()
                    .map(|object| document(object, &file, daemon));
                documents.extend(each);
            }
            Err(failure) => documents.push(Err(failure)),
        }
    }
    match documents.is_empty() {
        true => Err(Failure::other("no objects passed")),
        false => Ok(documents),
    }
}

fn document(object: Value, file: &str, daemon: &DaemonArgs) -> Result<Document> {
    let part = |pointer: &str| text(&object, pointer).to_owned();
    let (version, kind, name) = (part("/apiVersion"), part("/kind"), part("/metadata/name"));
    let broken = |why: &str| Failure::other(format!("{file}: {why}"));
    if kind.is_empty() || version.is_empty() {
        return Err(broken("an object has no kind or no apiVersion"));
    }
    let Some(resource) = by_kind(&version, &kind) else {
        return Err(Failure::other(format!(
            "resource mapping not found for name: {name:?} from {file:?}: no matches for kind {kind:?} in version {version:?}"
        )));
    };
    let given = &object["metadata"]["name"];
    if !given.is_null() && !given.is_string() {
        return Err(broken(&format!(
            "metadata.name: expected a string, found {given}: put it in quotes"
        )));
    }
    if name.is_empty() {
        return Err(broken(&format!("a {kind} has no metadata.name")));
    }
    let own = part("/metadata/namespace");
    let namespace = match (own.as_str(), daemon.namespace.as_deref()) {
        ("", _) => daemon.namespace().to_owned(),
        (own, Some(asked)) if own != asked && resource.namespaced => {
            return Err(broken(&format!(
                "the namespace of {kind} {name:?} is {own:?}, not {asked:?} as -n says"
            )));
        }
        (own, _) => own.to_owned(),
    };
    Ok(Document {
        resource,
        namespace,
        name,
        object,
        file: file.to_owned(),
    })
}

/// The objects of a text: JSON or YAML, several behind each other, and lists taken apart.
fn objects(bytes: &[u8]) -> std::result::Result<Vec<Value>, String> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let values = match first {
        Some(b'{') => match json(bytes) {
            Ok(values) => values,
            // It may still be YAML that begins so.
            Err(_) => yaml(bytes)?,
        },
        _ => yaml(bytes)?,
    };
    let mut objects = Vec::new();
    for value in values {
        let is_list = text(&value, "/kind").ends_with("List") && value["items"].is_array();
        match value {
            Value::Null => {}
            Value::Object(mut list) if is_list => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items);
                }
            }
            object @ Value::Object(_) => objects.push(object),
            _ => return Err("a document is no object".to_owned()),
        }
    }
    Ok(objects)
}

fn json(bytes: &[u8]) -> std::result::Result<Vec<Value>, String> {
    let values = serde_json::Deserializer::from_slice(bytes).into_iter();
    values
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Documents end with a line of three dashes. What stood before counts as empty lines,
/// so that messages name the lines of the file.
fn yaml(bytes: &[u8]) -> std::result::Result<Vec<Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not valid UTF-8".to_owned())?;
    let mut values = Vec::new();
    let mut document = String::new();
    for (number, line) in text.lines().enumerate() {
        let is_end = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if is_end {
            values.push(one(&document)?);
            document = "\n".repeat(number);
            // What stands behind the dashes belongs to the next document.
            document.push_str(line.trim_start_matches('-'));
        } else {
            document.push_str(line);
        }
        document.push('\n');
    }
    values.push(one(&document)?);
    Ok(values)
}

fn one(document: &str) -> std::result::Result<Value, String> {
    let read = plain_yaml(document.as_bytes())?;
    match read.twice.first() {
        Some((line, key)) => Err(format!("line {line}: key {key:?} stands there twice")),
        None => Ok(value(read.tree)),
    }
}

fn value(tree: Tree) -> Value {
    match tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => value.into(),
        Tree::Number(number) => Value::Number(number),
        Tree::String(text) => text.into(),
        Tree::List(items) => items.into_iter().map(value).collect(),
        Tree::Map(entries) => entries
            .into_iter()
            .map(|(key, tree)| (key, value(tree)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::objects;
    use serde_json::json;

    #[test]
    fn documents_are_told_apart_and_lists_taken_apart() {
        let text = b"# first\n---\nkind: A\na: |\n  ---\n  x\n--- # second\nkind: BList\nitems: [{kind: B}, {kind: C}]\n---\n";
        let expected = [
            json!({"kind": "A", "a": "---\nx\n"}),
            json!({"kind": "B"}),
            json!({"kind": "C"}),
        ];
        assert_eq!(objects(text).unwrap(), expected);
        assert_eq!(objects(b" {\"a\": 1}\n{\"a\": 2}").unwrap().len(), 2);
        assert_eq!(objects(b"{a: 1}").unwrap(), [json!({"a": 1})]);
        assert!(objects(b"").unwrap().is_empty());
    }

    #[test]
    fn problems_name_the_line_of_the_file() {
        let twice = objects(b"a: 1\n---\nb: 1\nb: 2\n").unwrap_err();
        assert_eq!(twice, "line 4: key \"b\" stands there twice");
        let broken = objects(b"a: 1\n---\nb: c: d\n").unwrap_err();
        assert!(broken.starts_with("line 3:"), "{broken}");
        assert_eq!(objects(b"- 1").unwrap_err(), "a document is no object");
    }
}
