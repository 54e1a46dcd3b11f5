//! The one source of identities.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wasmjob_api::Uid;

/// The alphabet of generated names: no vowels, no digits that look like letters
/// (Kubernetes' `rand.SafeEncodeString`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Characters that are appended to a generated name.
const SUFFIX_CHARS: usize = 5;

/// Makes UIDs and name suffixes; a seed repeats them.
pub(crate) struct Random(StdRng);

impl Random {
    /// Repeats what `seed` gives; without one, takes a seed from the system.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        match seed {
            Some(seed) => Self(StdRng::seed_from_u64(seed)),
            None => Self(rand::make_rng()),
        }
    }

    pub(crate) fn uid(&mut self) -> Uid {
        let (high, low) = (self.0.next_u64(), self.0.next_u64());
        Uid::from_random(u128::from(high) << 64 | u128::from(low))
    }

    /// Appends a suffix to `name`.
    pub(crate) fn append_suffix(&mut self, name: &mut String) {
        let mut bits = self.0.next_u64();
        for _ in 0..SUFFIX_CHARS {
            // 27^5 of 2^64: the bias is far below what anybody could notice.
            name.push(char::from(ALPHABET[(bits % 27) as usize]));
            bits /= 27;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_everything() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            let mut name = String::from("job-");
            random.append_suffix(&mut name);
            (random.uid(), name)
        };
        assert_eq!(draw(Some(7)), draw(Some(7)));
        assert_ne!(draw(Some(7)), draw(Some(8)));
        assert_ne!(draw(None), draw(None));
        assert_eq!(draw(None).1.len(), 9);
    }
}
