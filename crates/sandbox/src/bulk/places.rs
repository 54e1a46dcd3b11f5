//! What is written in place of a file, and where each part of it stood.

use std::ops::Range;

use wasm_encoder::{Encode, InstructionSink};

/// Where the code of a rewritten file stood in the file that its author has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(Vec<Place>);

/// From `new` on, up to the next place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    new: u32,
    old: u32,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Origin {
    /// Copied, byte by byte, from `old` on.
    Copied = 0,
    /// In place of the instruction at `old`.
    Instead = 1,
    /// The file's author wrote nothing like it.
    Ours = 2,
}

impl Places {
    /// Where what is at `offset` stood; `None` for what was added.
    pub(crate) fn original(&self, offset: usize) -> Option<usize> {
        let after = self.0.partition_point(|place| place.new as usize <= offset);
        let Some(place) = after.checked_sub(1).map(|at| self.0[at]) else {
            return Some(offset);
        };
        match place.origin {
            Origin::Copied => Some(place.old as usize + (offset - place.new as usize)),
            Origin::Instead => Some(place.old as usize),
            Origin::Ours => None,
        }
    }

    /// Appends the places to compiled code.
    pub(crate) fn append_to(&self, code: &mut Vec<u8>) {
        for place in &self.0 {
            code.extend(place.new.to_le_bytes());
            code.extend(place.old.to_le_bytes());
            code.push(place.origin as u8);
        }
        code.extend((self.0.len() as u64).to_le_bytes());
    }

    /// Takes them off again; `None` if `code` does not end in places.
    pub(crate) fn split_off(code: &[u8]) -> Option<(&[u8], Self)> {
        let (rest, count) = code.split_last_chunk::<8>()?;
        let bytes = usize::try_from(u64::from_le_bytes(*count))
            .ok()?
            .checked_mul(9)?;
        let (code, places) = rest.split_at_checked(rest.len().checked_sub(bytes)?)?;
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        let place = |bytes: &[u8]| {
            Some(Place {
                new: number(&bytes[..4])?,
                old: number(&bytes[4..8])?,
                origin: match bytes[8] {
                    0 => Origin::Copied,
                    1 => Origin::Instead,
                    _ => Origin::Ours,
                },
            })
        };
        let places: Option<Vec<_>> = places.chunks_exact(9).map(place).collect();
        Some((code, Self(places?)))
    }
}

/// A part of the file that is written.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Output {
    /// Copies what stands in `range` of `from`.
    pub(super) fn copy(&mut self, from: &[u8], range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.place(range.start, Origin::Copied);
        self.bytes.extend_from_slice(&from[range]);
    }

    /// A call of `function` in place of the instruction at `old`.
    pub(super) fn call(&mut self, function: u32, old: usize) {
        self.place(old, Origin::Instead);
        InstructionSink::new(&mut self.bytes).call(function);
    }

    /// Something that no frame of a guest is in.
    pub(super) fn ours(&mut self, bytes: &[u8]) {
        self.place(0, Origin::Ours);
        self.bytes.extend_from_slice(bytes);
    }

    /// A number, such as the count of a section.
    pub(super) fn count(&mut self, count: u32) {
        let mut encoded = Vec::new();
        count.encode(&mut encoded);
        self.ours(&encoded);
    }

    /// A part after its size.
    pub(super) fn sized(&mut self, part: Self) {
        self.count(u32::try_from(part.bytes.len()).unwrap_or(u32::MAX));
        self.append(part);
    }

    /// A section.
    pub(super) fn section(&mut self, id: u8, content: Self) {
        self.ours(&[id]);
        self.sized(content);
    }

    /// A part.
    pub(super) fn append(&mut self, part: Self) {
        let shift = self.new_offset();
        for mut place in part.places {
            place.new = place.new.saturating_add(shift);
            self.push(place);
        }
        self.bytes.extend_from_slice(&part.bytes);
    }

    pub(super) fn finish(self) -> (Vec<u8>, Places) {
        (self.bytes, Places(self.places))
    }

    fn place(&mut self, old: usize, origin: Origin) {
        let place = Place {
            new: self.new_offset(),
            old: u32::try_from(old).unwrap_or(u32::MAX),
            origin,
        };
        self.push(place);
    }

    fn push(&mut self, place: Place) {
        let continues = self.places.last().is_some_and(|last| {
            last.origin == place.origin
                && match place.origin {
                    Origin::Copied => {
                        place.new.wrapping_sub(last.new) == place.old.wrapping_sub(last.old)
                    }
                    Origin::Instead => false,
                    Origin::Ours => true,
                }
        });
        if !continues {
            self.places.push(place);
        }
    }

    fn new_offset(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }
}
