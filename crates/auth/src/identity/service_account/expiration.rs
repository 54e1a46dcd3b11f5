//! How long a token counts.

/// When nobody asks for another time: one hour.
const SECONDS_DEFAULT: i64 = 60 * 60;
/// Below, a clock that is a little wrong would end tokens at once: ten minutes.
const SECONDS_MIN: i64 = 10 * 60;
/// Kubernetes' limit of the field.
const SECONDS_FIELD_MAX: i64 = 1 << 32;

/// How long a token counts, in seconds, within the bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiration {
    seconds: i64,
    requested: i64,
}

/// The detail of an `Invalid value` at `spec.expirationSeconds`, in Kubernetes' words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExpirationError {
    /// Less than 600 seconds.
    #[error("may not specify a duration less than 10 minutes")]
    TooShort,
    /// More than 2^32 seconds.
    #[error("may not specify a duration larger than 2^32 seconds")]
    TooLong,
}

impl Expiration {
    /// What an operator allows unless told otherwise: 48 hours.
    pub const SECONDS_MAX_DEFAULT: i64 = 48 * 60 * 60;

    /// Bounds a request's `spec.expirationSeconds`; 3600 if it is absent. More than
    /// `seconds_max` is shortened to that, and [`Self::warning`] says so;
    /// `seconds_max` itself is at least 600.
    ///
    /// # Errors
    ///
    /// Below 600 seconds and above 2^32 seconds.
    pub fn of_request(requested: Option<i64>, seconds_max: i64) -> Result<Self, ExpirationError> {
        let requested = requested.unwrap_or(SECONDS_DEFAULT);
        if requested < SECONDS_MIN {
            return Err(ExpirationError::TooShort);
        }
        if requested > SECONDS_FIELD_MAX {
            return Err(ExpirationError::TooLong);
        }
        Ok(Self {
            seconds: requested.min(seconds_max.max(SECONDS_MIN)),
            requested,
        })
    }

    /// The seconds for which the token will count.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// The text of a `Warning` header, if the token will count for less time than
    /// was asked for.
    #[must_use]
    pub fn warning(self) -> Option<String> {
        let Self { seconds, requested } = self;
        (seconds < requested).then(|| {
            format!("requested expiration of {requested} seconds shortened to {seconds} seconds")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        use ExpirationError::{TooLong, TooShort};
        let max = Expiration::SECONDS_MAX_DEFAULT;
        for (requested, max, wanted) in [
            (None, max, Ok(3600)),
            (Some(600), max, Ok(600)),
            (Some(599), max, Err(TooShort)),
            (Some(0), max, Err(TooShort)),
            (Some(i64::MIN), max, Err(TooShort)),
            (Some(172_800), max, Ok(172_800)),
            (Some(172_801), max, Ok(172_800)),
            (Some(1 << 32), max, Ok(172_800)),
            (Some((1 << 32) + 1), max, Err(TooLong)),
            (Some(i64::MAX), i64::MAX, Err(TooLong)),
            (None, 0, Ok(600)),
        ] {
            let given = Expiration::of_request(requested, max).map(Expiration::seconds);
            assert_eq!(given, wanted, "{requested:?} of {max}");
        }
        let shortened = Expiration::of_request(Some(200_000), max)
            .unwrap()
            .warning()
            .unwrap();
        assert_eq!(
            shortened,
            "requested expiration of 200000 seconds shortened to 172800 seconds"
        );
        assert_eq!(Expiration::of_request(None, max).unwrap().warning(), None);
    }
}
