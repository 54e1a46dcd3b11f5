//! true, false, sleep, usleep, yes, seq.

use super::options::Options;
use crate::decimal::Decimal;
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
    let mut total = Decimal::default();
    for arg in args {
        let seconds = match Decimal::parse_start(arg) {
            Some((number, "" | "s")) => number,
            Some((number, "m")) => number.times(60),
            Some((number, "h")) => number.times(3600),
            Some((number, "d")) => number.times(86_400),
            _ if arg == "infinity" => Decimal::whole(i64::from(i32::MAX)),
            _ => return world.stop(1, &format!("invalid number '{arg}'")),
        };
        if seconds.sign() < 0 {
            return world.stop(1, &format!("invalid number '{arg}'"));
        }
        total = total.plus(seconds);
    }
    Ok(pause(total.thousandths()))
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
    let line = if args.is_empty() {
        "y\n".to_owned()
    } else {
        format!("{}\n", args.join(" "))
    };
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
    let mut values = [Decimal::default(); 3];
    for (value, text) in values.iter_mut().zip([first, step, last]) {
        match Decimal::parse(text) {
            Some(number) => *value = number,
            None => return world.stop(1, &format!("invalid number '{text}'")),
        }
    }
    let [start, step_by, end] = values;
    if step_by.sign() == 0 {
        return world.stop(1, "the step must not be 0");
    }
    let decimals = decimals(first).max(decimals(step));
    let width = match options.has('w') {
        true => start.format(decimals).len().max(end.format(decimals).len()),
        false => 0,
    };
    let separator = options.value('s').unwrap_or("\n");
    let mut text = String::new();
    let mut value = start;
    while if step_by.sign() > 0 {
        value <= end
    } else {
        value >= end
    } {
        if value != start {
            text.push_str(separator);
        }
        let digits = value.format(decimals);
        let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
        let width = width.saturating_sub(sign.len());
        text.push_str(&format!("{sign}{digits:0>width$}"));
        if text.len() > 8192 {
            world.print(std::mem::take(&mut text))?;
        }
        value = value.plus(step_by);
    }
    let any = if step_by.sign() > 0 {
        start <= end
    } else {
        start >= end
    };
    world.print(text + if any { "\n" } else { "" })?;
    Ok(0)
}

/// A negative number is no option.
fn options_before_numbers(args: &[String]) -> (&[String], &[String]) {
    let mut at = 0;
    while args
        .get(at)
        .is_some_and(|arg| arg.starts_with('-') && Decimal::parse(arg).is_none())
    {
        at += if args[at] == "-s" { 2 } else { 1 };
    }
    args.split_at(at.min(args.len()))
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, digits)| digits.len())
}
