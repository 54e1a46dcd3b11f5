//! Object identities.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The UID of an object: 128 bits, printed as a UUID (RFC 9562, version 4).
///
/// The bits come from the host's one source of randomness, so that a seed
/// repeats a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Uid(u128);

impl Uid {
    /// Makes a UID of `bits`; the version and variant bits are overwritten.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self((bits & !(0xf000 << 64) & !(0b11 << 62)) | (0x4000 << 64) | (0b10 << 62))
    }

    /// Its bits; [`Uid::from_random`] makes the same UID of them.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// A text is not a UID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a UID: expected 32 hexadecimal digits in five groups")]
pub struct UidError;

impl std::str::FromStr for Uid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let bits = u128::from_str_radix(&digits, 16).map_err(|_| UidError)?;
        let uid = Self::from_random(bits);
        // Only what we print ourselves: nothing else can name an object here.
        (uid.to_string() == text).then_some(uid).ok_or(UidError)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (b >> 96) as u32,
            (b >> 80) as u16,
            (b >> 64) as u16,
            (b >> 48) as u16,
            b as u64 & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Uid;

    #[test]
    fn only_what_a_uid_prints_is_one() {
        let uid = Uid::from_random(0x1234_5678_9abc);
        assert_eq!(uid.to_string().parse(), Ok(uid));
        for text in ["", "x", "00000000-0000-0000-0000-000000000000", "é"] {
            assert!(text.parse::<Uid>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_uid_prints_as_a_version_4_uuid() {
        assert_eq!(
            Uid::from_random(0).to_string(),
            "00000000-0000-4000-8000-000000000000"
        );
        assert_eq!(
            Uid::from_random(u128::MAX).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
