//! Digits of pi, in two ways.
//!
//! - `pi hex N`: N hexadecimal digits behind the point, starting at digit
//!   N × JOB_COMPLETION_INDEX. Each index computes its own, without those before.
//! - `perl … 'print bpi(N)'`: the N first decimal digits. So the pi Job of
//!   Kubernetes' documentation runs when its image `perl` is an alias for this
//!   module. It looks for `bpi(N)` in its arguments; it does not speak Perl.

mod decimal;
mod hex;

use std::env;
use std::process::ExitCode;

/// So many digits take a few seconds.
const DIGITS_MAX: usize = 20_000;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match answer(&args) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("pi: {message}");
            ExitCode::from(2)
        }
    }
}

fn answer(args: &[String]) -> Result<String, String> {
    if let [mode, count] = args {
        if mode == "hex" {
            let count = digits(count)?;
            let index = completion_index()?;
            let start = index
                .checked_mul(count)
                .filter(|start| *start <= DIGITS_MAX)
                .ok_or_else(|| format!("at most {DIGITS_MAX} digits"))?;
            return Ok(format!(
                "hex digits {start}..{}: {}",
                start + count,
                hex::digits(start, count)
            ));
        }
    }
    let count = args.iter().find_map(|arg| called_with(arg)).ok_or(
        "expected `hex N`, or Perl's `print bpi(N)`; this is a WebAssembly module that computes pi, not a Perl",
    )?;
    Ok(decimal::digits(digits(count)?))
}

/// The argument of `bpi(…)`.
fn called_with(arg: &str) -> Option<&str> {
    let (_, rest) = arg.split_once("bpi(")?;
    rest.split_once(')').map(|(count, _)| count.trim())
}

fn digits(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=DIGITS_MAX) => Ok(count),
        _ => Err(format!(
            "expected a number of digits from 1 to {DIGITS_MAX}, found `{text}`"
        )),
    }
}

fn completion_index() -> Result<usize, String> {
    match env::var("JOB_COMPLETION_INDEX") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("JOB_COMPLETION_INDEX is `{text}`, expected a number")),
        Err(_) => Ok(0),
    }
}
