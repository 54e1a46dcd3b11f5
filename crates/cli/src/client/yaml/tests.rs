//! Against what `kubectl create configmap --dry-run=client -o yaml` printed.

use super::write;
use serde_json::{Value, json};

/// `key: value` lines of kubectl's, whose values are the texts on the right.
#[test]
fn texts_are_quoted_where_kubectl_quotes_them() {
    let cases = [
        ("\"true\"", "true"),
        ("\"123\"", "123"),
        ("\"1e3\"", "1e3"),
        ("\"\"", ""),
        ("'a: b'", "a: b"),
        ("'- x'", "- x"),
        ("'* * * * *'", "* * * * *"),
        ("\"~\"", "~"),
        ("\"null\"", "null"),
        ("\"2026-01-01\"", "2026-01-01"),
        ("\"2026-01-01T00:00:00Z\"", "2026-01-01T00:00:00Z"),
        ("2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43.10 -5"),
        ("'x #y'", "x #y"),
        ("it's", "it's"),
        ("'{a}'", "{a}"),
        ("'@x'", "@x"),
        ("\"yes\"", "yes"),
        ("\"on\"", "on"),
        ("\"0x1f\"", "0x1f"),
        ("\"014\"", "014"),
        ("\".5\"", ".5"),
        ("\"1:20\"", "1:20"),
        ("'\"q\"'", "\"q\""),
        ("\"tab\\there\"", "tab\there"),
        ("é", "é"),
        ("' lead'", " lead"),
        ("'trail '", "trail "),
        ("=", "="),
        ("'%x'", "%x"),
        ("a:b", "a:b"),
        ("':'", ":"),
        ("'?'", "?"),
        ("?x", "?x"),
        ("'-'", "-"),
        ("--x", "--x"),
        ("'&a'", "&a"),
        ("'!t'", "!t"),
        ("'|'", "|"),
        ("'`x'", "`x"),
        ("a,b", "a,b"),
        ("'['", "["),
        ("<<", "<<"),
        ("\"y\"", "y"),
        ("\"N\"", "N"),
        ("\".inf\"", ".inf"),
        ("\"1_000\"", "1_000"),
        ("\"+1\"", "+1"),
        ("\"0b1\"", "0b1"),
        ("\"0o7\"", "0o7"),
        ("a]", "a]"),
        ("'---'", "---"),
        ("'...'", "..."),
        ("\"-1.5e-3\"", "-1.5e-3"),
        ("\"\\x01\"", "\u{1}"),
        ("'# c'", "# c"),
        ("a#b", "a#b"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("100m", "100m"),
        ("'é: ü'", "é: ü"),
        ("'- '", "- "),
        ("tRue", "tRue"),
        ("NaN", "NaN"),
        ("\".nan\"", ".nan"),
        ("\"\\U0001F600: x\"", "😀: x"),
        ("\"0\"", "0"),
        ("\"12:30:45\"", "12:30:45"),
        ("'a:'", "a:"),
        ("'\"'", "\""),
        ("''''", "'"),
        ("\"1.\"", "1."),
        ("\"-.5\"", "-.5"),
        ("1e", "1e"),
        ("_1", "_1"),
        ("0x", "0x"),
        ("\"trail \\nx\\n\"", "trail \nx\n"),
        ("|-\n    a\n    b", "a\nb"),
        ("|\n    line one\n    line two", "line one\nline two\n"),
        ("|2\n      leading\n    x", "  leading\nx\n"),
        ("|+\n    x\n", "x\n\n"),
        ("|2+\n", "\n"),
        (
            "a long text with very many words in it so that it will surely be wrapped at eighty\n    \
             columns, if at all, ok",
            "a long text with very many words in it so that it will surely be wrapped at eighty \
             columns, if at all, ok",
        ),
        (
            "'a long: text with very many words in it so that it will surely be wrapped at\n    \
             eighty columns, if at all, ok'",
            "a long: text with very many words in it so that it will surely be wrapped at \
             eighty columns, if at all, ok",
        ),
    ];
    for (expected, text) in cases {
        let written = write(&json!({ "data": { "k": text } }));
        assert_eq!(written, format!("data:\n  k: {expected}\n"), "{text:?}");
    }
}

#[test]
fn keys_stand_in_natural_order_and_are_quoted_too() {
    let keys = ["12", "a2", "a10", "n", "true", "y", "y.y", "yy", "ya"];
    let map: serde_json::Map<String, Value> = keys
        .iter()
        .rev()
        .map(|key| ((*key).to_owned(), 1.into()))
        .collect();
    let lines = [
        "\"12\"", "a2", "a10", "\"n\"", "\"true\"", "\"y\"", "y.y", "ya", "yy",
    ];
    let expected: String = lines.iter().map(|line| format!("{line}: 1\n")).collect();
    assert_eq!(write(&Value::Object(map)), expected);
}

#[test]
fn maps_and_lists_nest() {
    let value = json!({
        "a": [], "b": {}, "c": [{"x": 1, "y": [null, true]}, [1.5, [2]], "t"],
        "d": {"e": {"f": "g"}},
    });
    let expected = "\
a: []
b: {}
c:
- x: 1
  \"y\":
  - null
  - true
- - 1.5
  - - 2
- t
d:
  e:
    f: g
";
    assert_eq!(write(&value), expected);
    assert_eq!(write(&json!("x")), "x\n");
}
