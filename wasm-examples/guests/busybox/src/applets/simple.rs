//! true, false, sleep, usleep, yes, seq.

use super::options::Options;
use crate::host;
use crate::stream::{Output, PIPE_BYTES_MAX};
use crate::world::{Stop, World};

pub(super) fn true_(_: &World, _: &[String]) -> Result<i32, Stop> {
    Ok(0)
}

pub(super) fn false_(_: &World, _: &[String]) -> Result<i32, Stop> {
    Ok(1)
}

/// `sleep N[smhd]…` ends early, with 143, when a signal is pending.
pub(super) fn sleep(world: &World, args: &[String]) -> Result<i32, Stop> {
    if args.is_empty() {
        return world.stop(1, "missing operand");
    }
    let mut seconds = 0.0;
    for arg in args {
        let (digits, unit) = match arg.as_bytes().last() {
            Some(b's') => (&arg[..arg.len() - 1], 1.0),
            Some(b'm') => (&arg[..arg.len() - 1], 60.0),
            Some(b'h') => (&arg[..arg.len() - 1], 3600.0),
            Some(b'd') => (&arg[..arg.len() - 1], 86400.0),
            _ => (arg.as_str(), 1.0),
        };
        match digits.parse::<f64>() {
            Ok(number) if number >= 0.0 => seconds += number * unit,
            _ if arg == "infinity" => seconds = f64::MAX,
            _ => return world.stop(1, &format!("invalid number '{arg}'")),
        }
    }
    Ok(pause((seconds * 1000.0) as u64))
}

pub(super) fn usleep(world: &World, args: &[String]) -> Result<i32, Stop> {
    match args.first().map(|arg| arg.parse::<u64>()) {
        Some(Ok(us)) => Ok(pause(us.div_ceil(1000))),
        _ => world.stop(1, "expected a number of microseconds"),
    }
}

fn pause(ms: u64) -> i32 {
    match host::sleep_ms(ms) {
        0 => 0,
        signal => 128 + signal,
    }
}

/// Prints until nobody takes it: in a pipeline, until the buffer is full.
pub(super) fn yes(world: &World, args: &[String]) -> Result<i32, Stop> {
    let line = if args.is_empty() { "y\n".to_owned() } else { format!("{}\n", args.join(" ")) };
    let block = line.repeat(8192_usize.div_ceil(line.len()));
    if matches!(world.io.stdout, Output::Pipe(_)) {
        // Its reader runs afterwards, and wants an end.
        for _ in 0..PIPE_BYTES_MAX / 4 / block.len() {
            world.print(&block)?;
        }
        return Ok(141);
    }
    loop {
        world.print(&block)?;
        match host::sleep_ms(0) {
            0 => {}
            signal => return Ok(128 + signal),
        }
    }
}

/// `seq [-w] [-s SEPARATOR] [FIRST [STEP]] LAST`
pub(super) fn seq(world: &World, args: &[String]) -> Result<i32, Stop> {
    let (options, numbers) = options_before_numbers(args);
    let options = Options::read(world, options, "ws:")?;
    let (first, step, last) = match numbers {
        [last] => ("1", "1", last.as_str()),
        [first, last] => (first.as_str(), "1", last.as_str()),
        [first, step, last] => (first.as_str(), step.as_str(), last.as_str()),
        _ => return world.stop(1, "expected [FIRST [STEP]] LAST"),
    };
    let mut values = [0.0; 3];
    for (value, text) in values.iter_mut().zip([first, step, last]) {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => *value = number,
            _ => return world.stop(1, &format!("invalid number '{text}'")),
        }
    }
    let [start, step_by, end] = values;
    if step_by == 0.0 {
        return world.stop(1, "the step must not be 0");
    }
    let decimals = decimals(first).max(decimals(step));
    let width = if options.has('w') { [start, end].map(|n| format!("{n:.decimals$}").len()).into_iter().max() } else { None };
    let width = width.unwrap_or(0);
    let separator = options.value('s').unwrap_or("\n");
    let mut text = String::new();
    for index in 0_u64.. {
        let value = start + step_by * index as f64;
        // Half a unit of the last digit, for what doubles do to sums.
        let slack = 0.1_f64.powi(decimals as i32 + 1);
        if step_by > 0.0 && value > end + slack || step_by < 0.0 && value < end - slack {
            break;
        }
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(&format!("{value:0width$.decimals$}"));
        if text.len() > 8192 {
            world.print(std::mem::take(&mut text))?;
        }
    }
    let any = step_by > 0.0 && start <= end || step_by < 0.0 && start >= end;
    world.print(text + if any { "\n" } else { "" })?;
    Ok(0)
}

/// A negative number is no option.
fn options_before_numbers(args: &[String]) -> (&[String], &[String]) {
    let mut at = 0;
    while args.get(at).is_some_and(|arg| arg.starts_with('-') && arg.parse::<f64>().is_err()) {
        at += if args[at] == "-s" { 2 } else { 1 };
    }
    args.split_at(at.min(args.len()))
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, digits)| digits.len())
}
