//! The wire format of protobuf: numbers, tags and lengths.

use super::ProtoError;

/// A value on the wire, by its wire type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    /// Type 0.
    Varint(u64),
    /// Type 2.
    Bytes(&'a [u8]),
    /// Types 1 and 5; no field of the table has them.
    Fixed(u8),
}

impl Wire<'_> {
    /// The number of the wire type, for messages.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Bytes(_) => 2,
            Self::Fixed(number) => number,
        }
    }
}

/// The fields of a message, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field: its number and its value.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, ProtoError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let illegal = || ProtoError::IllegalTag(tag);
        let number = u32::try_from(tag >> 3).map_err(|_| illegal())?;
        if number == 0 || number >= 1 << 29 {
            return Err(illegal());
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Wire::Fixed(1)
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| ProtoError::Truncated)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed(5)
            }
            // Groups are older than Kubernetes.
            _ => return Err(illegal()),
        };
        Ok(Some((number, wire)))
    }

    /// Whether nothing is left; for packed numbers.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A number.
    pub(super) fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().enumerate() {
            if index == 9 && *byte > 1 {
                return Err(ProtoError::Overflow);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(ProtoError::Truncated)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtoError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(ProtoError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Appends a number.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a field that is a number.
pub(crate) fn put_number(field: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3, out);
    put_varint(value, out);
}

/// Appends a field that is bytes, text or a message.
pub(crate) fn put_bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
