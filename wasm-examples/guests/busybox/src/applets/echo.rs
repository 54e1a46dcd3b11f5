//! echo and printf.

use std::iter::Peekable;
use std::str::Chars;

use crate::decimal::Decimal;
use crate::world::{Stop, World};

/// `echo [-neE] WORD…`
pub(super) fn echo(world: &World, args: &[String]) -> Result<i32, Stop> {
    let (mut line_feed, mut escapes) = (true, false);
    let mut words = args;
    while let Some((first, rest)) = words.split_first() {
        let is_option = first.len() > 1
            && first.starts_with('-')
            && first[1..].chars().all(|c| "neE".contains(c));
        if !is_option {
            break;
        }
        for letter in first.chars().skip(1) {
            match letter {
                'n' => line_feed = false,
                letter => escapes = letter == 'e',
            }
        }
        words = rest;
    }
    let mut text = words.join(" ").into_bytes();
    if escapes {
        let (bytes, ended) = unescape(&String::from_utf8_lossy(&text));
        text = bytes;
        line_feed &= !ended;
    }
    if line_feed {
        text.push(b'\n');
    }
    world.print(text)?;
    Ok(0)
}

/// Replaces backslash escapes; the flag says that `\c` ended the text.
pub(crate) fn unescape(text: &str) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        // echo has a 0 before up to three digits.
        let most = if chars.peek() == Some(&'0') { 4 } else { 3 };
        if let Some(value) = digits(&mut chars, 8, most) {
            bytes.push(value as u8);
            continue;
        }
        match chars.next() {
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('r') => bytes.push(b'\r'),
            Some('a') => bytes.push(7),
            Some('b') => bytes.push(8),
            Some('e') => bytes.push(27),
            Some('f') => bytes.push(12),
            Some('v') => bytes.push(11),
            Some('\\') => bytes.push(b'\\'),
            Some('\'') => bytes.push(b'\''),
            Some('"') => bytes.push(b'"'),
            Some('c') => return (bytes, true),
            Some('x') => match digits(&mut chars, 16, 2) {
                Some(value) => bytes.push(value as u8),
                None => bytes.extend(b"\\x"),
            },
            Some(other) => {
                bytes.push(b'\\');
                bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
            }
            None => bytes.push(b'\\'),
        }
    }
    (bytes, false)
}

/// The number that up to `most` digits make.
fn digits(chars: &mut Peekable<Chars<'_>>, radix: u32, most: usize) -> Option<u32> {
    let mut value = None;
    for _ in 0..most {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else {
            break;
        };
        chars.next();
        value = Some(value.unwrap_or(0) * radix + digit);
    }
    value
}

/// `printf FORMAT ARGUMENT…`; the format is used again while arguments are left.
pub(super) fn printf(world: &World, args: &[String]) -> Result<i32, Stop> {
    let args = if args.first().is_some_and(|arg| arg == "--") {
        &args[1..]
    } else {
        args
    };
    let Some((format, args)) = args.split_first() else {
        return world.stop(1, "usage: printf FORMAT [ARGUMENT]...");
    };
    let mut printer = Printer {
        world,
        args,
        next: 0,
        bytes: Vec::new(),
        status: 0,
    };
    loop {
        let before = printer.next;
        let ended = printer.once(format);
        if ended || printer.next >= args.len() || printer.next == before {
            break;
        }
    }
    let status = printer.status;
    world.print(printer.bytes)?;
    Ok(status)
}

struct Printer<'a> {
    world: &'a World,
    args: &'a [String],
    next: usize,
    bytes: Vec<u8>,
    status: i32,
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

impl Printer<'_> {
    /// The format, once; `true` if `\c` ended it.
    fn once(&mut self, format: &str) -> bool {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            let (bytes, ended) = unescape(&rest[..at]);
            self.bytes.extend(bytes);
            if ended {
                return true;
            }
            rest = self.directive(&rest[at + 1..]);
        }
        let (bytes, ended) = unescape(rest);
        self.bytes.extend(bytes);
        ended
    }

    /// One directive behind its `%`; returns what is behind it.
    fn directive<'f>(&mut self, text: &'f str) -> &'f str {
        let (spec, at) = self.spec(text);
        let letter = text[at..].chars().next().unwrap_or('%');
        let rest = text.get(at + letter.len_utf8()..).unwrap_or_default();
        let body = match letter {
            '%' => {
                self.bytes.push(b'%');
                return rest;
            }
            's' => cut(self.argument(), &spec),
            'b' => {
                let argument = self.argument();
                String::from_utf8_lossy(&unescape(&argument).0).into_owned()
            }
            'c' => self.argument().chars().take(1).collect(),
            'd' | 'i' => signed(self.integer(), &spec),
            'u' => precise((self.integer() as u64).to_string(), &spec),
            'x' => prefixed("0x", precise(format!("{:x}", self.integer()), &spec), &spec),
            'X' => prefixed("0X", precise(format!("{:X}", self.integer()), &spec), &spec),
            'o' => prefixed("0", precise(format!("{:o}", self.integer()), &spec), &spec),
            'f' | 'F' | 'g' => self.decimal(&spec, letter == 'g'),
            other => {
                self.world.say(&format!("%{other}: invalid format"));
                self.status = 1;
                return "";
            }
        };
        let is_number = matches!(letter, 'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'f' | 'F');
        self.pad(
            &body,
            &spec,
            is_number && spec.precision.is_none() || letter == 'f',
        );
        rest
    }

    fn spec(&mut self, text: &str) -> (Spec, usize) {
        let mut spec = Spec::default();
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(flag) = bytes.get(at) {
            match flag {
                b'-' => spec.left = true,
                b'0' => spec.zero = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.alternate = true,
                _ => break,
            }
            at += 1;
        }
        let (width, next) = self.count(bytes, at);
        spec.left |= width < 0;
        // Nobody needs more, and a format must not ask for all memory.
        spec.width = (width.unsigned_abs() as usize).min(4096);
        at = next;
        if bytes.get(at) == Some(&b'.') {
            let (precision, next) = self.count(bytes, at + 1);
            spec.precision = usize::try_from(precision)
                .ok()
                .map(|precision| precision.min(4096));
            at = next;
        }
        (spec, at)
    }

    /// Digits, or an argument for `*`.
    fn count(&mut self, bytes: &[u8], mut at: usize) -> (i64, usize) {
        if bytes.get(at) == Some(&b'*') {
            return (self.integer(), at + 1);
        }
        let mut value = 0_i64;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            value = value
                .saturating_mul(10)
                .saturating_add(i64::from(digit - b'0'));
            at += 1;
        }
        (value, at)
    }

    fn pad(&mut self, body: &str, spec: &Spec, zeros: bool) {
        let missing = spec.width.saturating_sub(body.chars().count());
        if spec.left {
            self.bytes.extend(body.bytes());
            self.bytes.extend(std::iter::repeat_n(b' ', missing));
        } else if spec.zero && zeros {
            let sign = usize::from(body.starts_with(['-', '+', ' ']));
            self.bytes.extend(body[..sign].bytes());
            self.bytes.extend(std::iter::repeat_n(b'0', missing));
            self.bytes.extend(body[sign..].bytes());
        } else {
            self.bytes.extend(std::iter::repeat_n(b' ', missing));
            self.bytes.extend(body.bytes());
        }
    }

    fn argument(&mut self) -> String {
        let argument = self.args.get(self.next).cloned().unwrap_or_default();
        self.next += 1;
        argument
    }

    fn integer(&mut self) -> i64 {
        let text = self.argument();
        let text = text.trim();
        if text.is_empty() {
            return 0;
        }
        if let Some(c) = text.strip_prefix(['\'', '"']) {
            return c.chars().next().map_or(0, |c| i64::from(u32::from(c)));
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let value = if let Some(hex) = digits.strip_prefix("0x") {
            i64::from_str_radix(hex, 16)
        } else if digits.len() > 1 && digits.starts_with('0') {
            i64::from_str_radix(digits, 8)
        } else {
            digits.parse()
        };
        match value {
            Ok(value) => sign * value,
            Err(_) => self.invalid(text, 0),
        }
    }

    fn decimal(&mut self, spec: &Spec, shortest: bool) -> String {
        let text = self.argument();
        let value = match text.trim() {
            "" => Decimal::default(),
            text => match Decimal::parse(text) {
                Some(value) => value,
                None => self.invalid(text, Decimal::default()),
            },
        };
        let mut digits = value.format(spec.precision.unwrap_or(6));
        if shortest && digits.contains('.') {
            digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
        }
        if spec.plus && value.sign() >= 0 {
            format!("+{digits}")
        } else {
            digits
        }
    }

    fn invalid<T>(&mut self, text: &str, value: T) -> T {
        self.world.say(&format!("invalid number '{text}'"));
        self.status = 1;
        value
    }
}

fn cut(text: String, spec: &Spec) -> String {
    match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text,
    }
}

fn signed(value: i64, spec: &Spec) -> String {
    let digits = precise(value.unsigned_abs().to_string(), spec);
    let sign = match value {
        ..=-1 => "-",
        _ if spec.plus => "+",
        _ if spec.space => " ",
        _ => "",
    };
    format!("{sign}{digits}")
}

fn precise(digits: String, spec: &Spec) -> String {
    let width = spec.precision.unwrap_or(0);
    format!("{digits:0>width$}")
}

fn prefixed(prefix: &str, digits: String, spec: &Spec) -> String {
    if spec.alternate {
        format!("{prefix}{digits}")
    } else {
        digits
    }
}
