//! Counts words, in two steps that share a volume.
//!
//! - `wordcount fetch FILE` writes a text to FILE, as an init container would
//!   fetch its input from somewhere.
//! - `wordcount count FILE [N]` prints the N most frequent words of FILE, 5 if
//!   nothing is said, with their number.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::{env, fs};

const TEXT: &str = include_str!("text.txt");

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["fetch", file] => fetch(file),
        ["count", file] => count(file, "5"),
        ["count", file, top] => count(file, top),
        _ => Err("expected `fetch FILE` or `count FILE [N]`".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("wordcount: {message}");
            ExitCode::FAILURE
        }
    }
}

fn fetch(file: &str) -> Result<(), String> {
    fs::write(file, TEXT).map_err(|error| format!("failed to write `{file}`: {error}"))?;
    println!("wrote {} bytes to {file}", TEXT.len());
    Ok(())
}

fn count(file: &str, top: &str) -> Result<(), String> {
    let top: usize = top
        .parse()
        .map_err(|_| format!("expected a number, found `{top}`"))?;
    let text =
        fs::read_to_string(file).map_err(|error| format!("failed to read `{file}`: {error}"))?;
    let counts = counts(&text);
    for (word, count) in counts.iter().take(top) {
        println!("{count:4} {word}");
    }
    println!("{} different words", counts.len());
    Ok(())
}

/// The words of `text` in lower case, the most frequent first.
fn counts(text: &str) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    for word in text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_ascii_lowercase()).or_insert(0) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // Stable: words of one frequency stay in the order of the alphabet.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
