//! Fails sometimes, in ways that a test can foresee.
//!
//! - `flaky attempts FILE N` counts its runs in FILE and fails with 1 until the
//!   N-th. FILE has to outlive the container, e.g. in an emptyDir.
//! - `flaky index I CODE` fails with CODE if it is the completion index I.

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let code = match args[..] {
        ["attempts", file, enough] => attempts(file, enough),
        ["index", bad, code] => index(bad, code),
        _ => Err("expected `attempts FILE N` or `index I CODE`".to_owned()),
    };
    code.unwrap_or_else(|message| {
        eprintln!("flaky: {message}");
        ExitCode::from(2)
    })
}

fn attempts(file: &str, enough: &str) -> Result<ExitCode, String> {
    let enough: u32 = number(enough)?;
    let before = match fs::read_to_string(file) {
        Ok(text) => number(text.trim())?,
        Err(_) => 0,
    };
    let attempt = before + 1;
    fs::write(file, attempt.to_string())
        .map_err(|error| format!("failed to write `{file}`: {error}"))?;
    if attempt < enough {
        eprintln!("attempt {attempt} of {enough} fails");
        return Ok(ExitCode::FAILURE);
    }
    println!("attempt {attempt} succeeds");
    Ok(ExitCode::SUCCESS)
}

fn index(bad: &str, code: &str) -> Result<ExitCode, String> {
    let own = env::var("JOB_COMPLETION_INDEX")
        .map_err(|_| "JOB_COMPLETION_INDEX is not set".to_owned())?;
    if own == bad {
        eprintln!("index {own} has bad input");
        return number(code).map(|code: u8| ExitCode::from(code));
    }
    println!("index {own} is done");
    Ok(ExitCode::SUCCESS)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("expected a number, found `{text}`"))
}
