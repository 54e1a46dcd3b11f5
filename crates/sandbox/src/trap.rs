//! How an error that ended a guest becomes an exit.

use std::fmt::Write as _;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::bulk::Places;
use crate::executor::Cell;
use crate::limiter::{Limiter, OutOfMemory};
use crate::{Exit, KillReason};

/// The guest called `proc_exit`.
#[derive(Debug, thiserror::Error)]
#[error("exit {0}")]
pub(crate) struct ExitCode(pub(crate) i32);

/// The epoch callback saw the kill flag.
#[derive(Debug, thiserror::Error)]
#[error("killed")]
pub(crate) struct Killed;

/// Characters of one frame's name, and of one line of an error, that are shown.
const NAME_CHARS_MAX: usize = 256;

/// Classifies `error`, with which a guest ended.
pub(crate) fn exit_of(
    error: &wasmtime::Error,
    cell: &Cell,
    limiter: &Limiter,
    places: &Places,
    frames: usize,
) -> Exit {
    if let Some(ExitCode(code)) = error.downcast_ref() {
        return Exit::Code((*code & 0xff) as u8);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Exit::Code((*code & 0xff) as u8);
    }
    if error.is::<Killed>() {
        return Exit::Killed(cell.killed().unwrap_or(KillReason::Requested));
    }
    if let Some(OutOfMemory { wanted, .. }) = error.downcast_ref() {
        return Exit::OutOfMemory {
            wanted_bytes: *wanted,
        };
    }
    // Refused memory while being instantiated, and failed of it.
    if let Some(wanted_bytes) = limiter.refused()
        && error.is::<Trap>()
    {
        return Exit::OutOfMemory { wanted_bytes };
    }
    if let Some(Trap::OutOfFuel) = error.downcast_ref() {
        return Exit::OutOfFuel;
    }
    Exit::Trap(describe(error, places, frames))
}

/// The trap's name and its innermost frames, safe to print: those of the
/// author's functions, at offsets in the author's file.
fn describe(error: &wasmtime::Error, places: &Places, frames: usize) -> String {
    let mut text = match error.downcast_ref::<Trap>() {
        Some(trap) => printable(&trap.to_string()),
        None => printable(&error.root_cause().to_string()),
    };
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return text;
    };
    let mut shown = backtrace.frames().iter().filter_map(|frame| {
        let offset = places.original(frame.module_offset().unwrap_or(0))?;
        Some((frame, offset))
    });
    for (n, (frame, offset)) in shown.by_ref().take(frames).enumerate() {
        let name = match frame.func_name() {
            Some(name) => function_name(name),
            None => format!("<wasm function {}>", frame.func_index()),
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {n:>2}: {offset:#8x} - {name}");
    }
    let left = shown.take(1).count();
    if left > 0 {
        let _ = write!(text, "\n  … {left} more");
    }
    text
}

/// Bytes of a mangled name that are looked at: a name may be as long as a
/// module, and this work is not interrupted at the guest's deadline.
const MANGLED_BYTES_MAX: usize = 4 << 10;

/// A function's name, demangled, on one line.
fn function_name(mangled: &str) -> String {
    let cut = mangled.floor_char_boundary(MANGLED_BYTES_MAX);
    let name = format!("{:#}", rustc_demangle::demangle(&mangled[..cut]));
    printable(&name).replace('\n', "\\n")
}

/// `text`, cut to a length that people read, control characters escaped: names
/// in a module are its author's, and may be made to confuse a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(NAME_CHARS_MAX));
    for (n, c) in text.chars().enumerate() {
        if n == NAME_CHARS_MAX {
            out.push('…');
            break;
        }
        if c.is_control() && c != '\n' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{NAME_CHARS_MAX, function_name, printable};

    #[test]
    fn a_name_as_long_as_a_module_costs_nothing_and_forges_no_line() {
        assert_eq!(function_name("f\n   1: 0x0 - g"), "f\\n   1: 0x0 - g");
        let long = "é".repeat(10 << 20);
        assert_eq!(function_name(&long).chars().count(), NAME_CHARS_MAX + 1);
        assert_eq!(
            function_name("_ZN4core3fmt5write17h0123456789abcdefE"),
            "core::fmt::write"
        );
    }

    #[test]
    fn control_characters_are_escaped_and_long_names_cut() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), 257);
    }
}
