//! sha256sum and base64.

use super::options::Options;
use crate::paths::lines;
use crate::world::{Stop, World};

/// `sha256sum FILE…`, or `sha256sum -c FILE…` to check what it printed.
pub(super) fn sha256sum(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "cbtsw")?;
    let mut status = 0;
    for file in options.files() {
        let Ok(input) = world.open(&file) else {
            status = 1;
            continue;
        };
        let bytes = input.all().unwrap_or_default();
        if !options.has('c') {
            world.line(format!("{}  {file}", sha256(&bytes)))?;
            continue;
        }
        for line in lines(&bytes) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let Some((sum, name)) = line.split_once("  ") else {
                continue;
            };
            let actual = world
                .open(name)
                .ok()
                .map(|input| sha256(&input.all().unwrap_or_default()));
            let same = actual.as_deref() == Some(sum);
            status |= i32::from(!same);
            if !options.has('s') {
                world.line(format!("{name}: {}", if same { "OK" } else { "FAILED" }))?;
            }
        }
    }
    Ok(status)
}

/// The SHA-256 of `bytes`, in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let mut state = first_primes(8, 2);
    let constants = first_primes(64, 3);
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(
        padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 64 } else { 0 },
        0,
    );
    let end = padded.len();
    padded[end - 8..].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        compress(&mut state, block, &constants);
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

fn compress(state: &mut [u32], block: &[u8], constants: &[u32]) {
    let mut words = [0_u32; 64];
    for (word, bytes) in words.iter_mut().zip(block.chunks(4)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for at in 16..64 {
        let (early, late) = (words[at - 15], words[at - 2]);
        let first = early.rotate_right(7) ^ early.rotate_right(18) ^ early >> 3;
        let second = late.rotate_right(17) ^ late.rotate_right(19) ^ late >> 10;
        words[at] = words[at - 16]
            .wrapping_add(first)
            .wrapping_add(words[at - 7])
            .wrapping_add(second);
    }
    let mut v: Vec<u32> = state.to_vec();
    for (word, constant) in words.iter().zip(constants) {
        let choice = v[4] & v[5] ^ !v[4] & v[6];
        let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2];
        let first = (v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25))
            .wrapping_add(v[7])
            .wrapping_add(choice)
            .wrapping_add(*constant)
            .wrapping_add(*word);
        let second = (v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22))
            .wrapping_add(majority);
        v.rotate_right(1);
        v[4] = v[4].wrapping_add(first);
        v[0] = first.wrapping_add(second);
    }
    for (word, more) in state.iter_mut().zip(v) {
        *word = word.wrapping_add(more);
    }
}

/// The algorithm's constants: the first 32 bits of the fractions of the square
/// or cube roots of the first primes, found in exact integers.
fn first_primes(count: usize, root: u32) -> Vec<u32> {
    let is_prime = |n: &u128| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0);
    (2_u128..)
        .filter(is_prime)
        .take(count)
        .map(|prime| fraction_of_root(prime, root))
        .collect()
}

fn fraction_of_root(prime: u128, root: u32) -> u32 {
    // The largest r with r^root <= prime × 2^(32 × root).
    let target = prime << (32 * root);
    let (mut low, mut high) = (0_u128, 1 << 37);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if middle.pow(root) <= target {
            low = middle;
        } else {
            high = middle;
        }
    }
    low as u32
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `base64 [-d] [-w COLUMNS] FILE`
pub(super) fn base64(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "dw:")?;
    let file = options.rest.first().map_or("-", String::as_str);
    let bytes = world.open(file)?.all().unwrap_or_default();
    if options.has('d') {
        return match decode(&bytes) {
            Some(bytes) => world.print(bytes).map(|()| 0),
            None => world.stop(1, "invalid input"),
        };
    }
    let text = encode(&bytes);
    let columns = options
        .value('w')
        .map_or(Ok(76), |text| super::options::number(world, text))? as usize;
    if columns == 0 {
        world.print(text)?;
        return Ok(0);
    }
    for line in text.as_bytes().chunks(columns) {
        world.print([line, b"\n"].concat())?;
    }
    Ok(0)
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= group.len() {
                DIGITS[value] as char
            } else {
                '='
            });
        }
    }
    text
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | DIGITS.iter().position(|own| own == digit)? as u32;
        }
        bits <<= 6 * (4 - group.len());
        let count = group.len().checked_sub(1).filter(|count| *count > 0)?;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=count]);
    }
    Some(bytes)
}
