//! tr.

use super::options::Options;
use crate::pattern::in_named_class;
use crate::world::{Stop, World};

/// `tr [-cds] SET1 [SET2]`
pub(super) fn tr(world: &World, args: &[String]) -> Result<i32, Stop> {
    let options = Options::read(world, args, "cCds")?;
    let Some(first) = options.rest.first() else {
        return world.stop(1, "missing operand");
    };
    let from = set(first);
    let to = options
        .rest
        .get(1)
        .map(|text| set(text))
        .unwrap_or_default();
    let (delete, squeeze) = (options.has('d'), options.has('s'));
    if to.is_empty() && !delete && !squeeze {
        return world.stop(1, "missing operand");
    }
    let complement = options.has('c') || options.has('C');
    let place = |c: char| match (from.iter().rposition(|own| *own == c), complement) {
        (place, false) => place,
        (None, true) => Some(usize::MAX),
        (Some(_), true) => None,
    };
    // What is squeezed is what came out, if it is in the last set given.
    let squeezed = |c: char| {
        squeeze
            && if to.is_empty() {
                place(c).is_some()
            } else {
                to.contains(&c)
            }
    };
    let input = String::from_utf8_lossy(&world.io.stdin.all().unwrap_or_default()).into_owned();
    let mut text = String::new();
    let mut last = None;
    for c in input.chars() {
        let c = match place(c) {
            Some(_) if delete => continue,
            Some(place) if !to.is_empty() => to[place.min(to.len() - 1)],
            _ => c,
        };
        if squeezed(c) && last == Some(c) {
            continue;
        }
        last = Some(c);
        text.push(c);
    }
    world.print(text)?;
    Ok(0)
}

/// The characters of a set: ranges, classes, escapes.
fn set(text: &str) -> Vec<char> {
    let (bytes, _) = super::unescape(text);
    let chars: Vec<char> = String::from_utf8_lossy(&bytes).chars().collect();
    let mut set = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest: String = chars[at..].iter().take(12).collect();
        let class = rest
            .strip_prefix("[:")
            .and_then(|rest| rest.split_once(":]"));
        if let Some((name, _)) = class {
            set.extend(
                (0..=127_u8)
                    .map(char::from)
                    .filter(|c| in_named_class(name, *c)),
            );
            at += name.len() + 4;
        } else if chars.get(at + 1) == Some(&'-') && at + 2 < chars.len() {
            set.extend(chars[at]..=chars[at + 2]);
            at += 3;
        } else {
            set.push(chars[at]);
            at += 1;
        }
    }
    set
}
