//! One YAML document as a plain tree, for whoever checks it by rules of their own.

use serde_json::Number;

use super::tree::{Node, Value};
use super::yaml;

/// A value whose maps keep the order of the text.
#[derive(Clone, PartialEq, Debug)]
pub enum Tree {
    /// Nothing.
    Null,
    /// A Boolean.
    Bool(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Self>),
    /// A map; a reader of JSON may leave keys in it that stand there twice.
    Map(Vec<(String, Self)>),
}

/// A document, and the keys that stand twice in one of its maps.
#[derive(Clone, PartialEq, Debug)]
pub struct PlainYaml {
    /// The document; of keys that stand there twice, the first.
    pub tree: Tree,
    /// The line (from 1) and the key of each second one.
    pub twice: Vec<(usize, String)>,
}

/// Reads the first document of `bytes`, as Kubernetes reads YAML; an empty text is
/// [`Tree::Null`]. Nesting and aliases have limits.
///
/// # Errors
///
/// The text is not YAML, is more than is read, or has a number that JSON has not.
pub fn plain_yaml(bytes: &[u8]) -> Result<PlainYaml, String> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| "not valid UTF-8".to_owned())?;
    let (documents, refusals) = yaml::read(text);
    let Some(document) = documents.into_iter().next() else {
        return match refusals.into_iter().next_back() {
            None => Ok(PlainYaml {
                tree: Tree::Null,
                twice: Vec::new(),
            }),
            Some(refusal) => Err(format!("line {}: {}", refusal.at.line, refusal.message)),
        };
    };
    let twice = refusals
        .iter()
        .filter_map(|refusal| Some((refusal.at.line, refusal.twice.clone()?)))
        .collect();
    Ok(PlainYaml {
        tree: plain(document)?,
        twice,
    })
}

fn plain(node: Node) -> Result<Tree, String> {
    Ok(match node.value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(value),
        Value::Int(value) => match i64::try_from(value) {
            Ok(value) => Tree::Number(value.into()),
            Err(_) => match u64::try_from(value) {
                Ok(value) => Tree::Number(value.into()),
                Err(_) => float(value as f64)?,
            },
        },
        Value::Float(value) => float(value)?,
        Value::String(text) => Tree::String(text),
        Value::List(items) => Tree::List(items.into_iter().map(plain).collect::<Result<_, _>>()?),
        Value::Map(entries) => Tree::Map(
            entries
                .into_iter()
                .map(|entry| Ok((entry.key, plain(entry.value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

fn float(value: f64) -> Result<Tree, String> {
    Number::from_f64(value)
        .map(Tree::Number)
        .ok_or_else(|| format!("JSON has no number {value}"))
}

#[cfg(test)]
mod tests {
    use super::{Tree, plain_yaml};

    #[test]
    fn maps_keep_their_order_and_scalars_their_meaning() {
        let read = plain_yaml(b"b: yes\na: [014, 1.5, ~]\nb: no\n---\nc: 1").unwrap();
        let expected = Tree::Map(vec![
            ("b".to_owned(), Tree::Bool(true)),
            (
                "a".to_owned(),
                Tree::List(vec![
                    Tree::Number(12.into()),
                    Tree::Number(serde_json::Number::from_f64(1.5).unwrap()),
                    Tree::Null,
                ]),
            ),
        ]);
        assert_eq!(read.tree, expected);
        assert_eq!(read.twice, [(3, "b".to_owned())]);
        assert_eq!(plain_yaml(b"").unwrap().tree, Tree::Null);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let error = plain_yaml(b"a: b: c").unwrap_err();
        assert!(error.starts_with("line 1: not valid YAML"), "{error}");
        assert_eq!(plain_yaml(b"\xff").unwrap_err(), "not valid UTF-8");
        assert_eq!(plain_yaml(b".nan").unwrap_err(), "JSON has no number NaN");
        let deep = "[".repeat(1000);
        assert!(plain_yaml(deep.as_bytes()).is_err());
    }
}
