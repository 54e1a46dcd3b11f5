//! The token in an `Authorization` header.

/// The header is there, and does not say one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BearerError {
    /// Two headers: which one counts would depend on who reads them.
    #[error("more than one Authorization header")]
    SeveralHeaders,
    /// Longer than any token of ours.
    #[error("the token is too long")]
    TooLong,
    /// Bytes that no token has.
    #[error("the Authorization header has bytes that no token has")]
    NotText,
    /// `Bearer` with nothing behind it.
    #[error("the token is empty")]
    Empty,
    /// `Basic` or another scheme that this server does not know.
    #[error("the Authorization header has another scheme than Bearer")]
    OtherScheme,
}

/// No header can be longer on the wire; tokens of service accounts have about 1 kB.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Finds the token in all values of the header. Nothing is no error: the client
/// may have shown a certificate.
///
/// # Errors
///
/// When there is a header that is not one bearer token; the request must then be
/// answered with 401, and not be taken for an anonymous one.
pub fn token<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a str>, BearerError> {
    let mut values = values.into_iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(BearerError::SeveralHeaders);
    }
    if value.len() > TOKEN_BYTES_MAX {
        return Err(BearerError::TooLong);
    }
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(BearerError::NotText);
    }
    let value = std::str::from_utf8(value)
        .map_err(|_| BearerError::NotText)?
        .trim();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerError::OtherScheme);
    }
    match token.trim_start() {
        "" => Err(BearerError::Empty),
        token if token.contains(' ') => Err(BearerError::NotText),
        token => Ok(Some(token)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_and_tokens() {
        use BearerError::{Empty, NotText, OtherScheme, SeveralHeaders, TooLong};
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX));
        type Case<'a> = (&'a [&'a str], Result<Option<&'a str>, BearerError>);
        let cases: [Case<'_>; 13] = [
            (&[], Ok(None)),
            (&["Bearer abc"], Ok(Some("abc"))),
            (&["bearer abc"], Ok(Some("abc"))),
            (&[" BEARER  abc "], Ok(Some("abc"))),
            (&["Bearer"], Err(Empty)),
            (&["Bearer "], Err(Empty)),
            (&["Bearer a b"], Err(NotText)),
            (&["Bearer a\tb"], Err(NotText)),
            (&["Bearer ä"], Err(NotText)),
            (&["Basic YTpi"], Err(OtherScheme)),
            (&[""], Err(OtherScheme)),
            (&["Bearer a", "Bearer a"], Err(SeveralHeaders)),
            (&[&long], Err(TooLong)),
        ];
        for (values, wanted) in cases {
            assert_eq!(
                token(values.iter().map(|value| value.as_bytes())),
                wanted,
                "{values:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(value: Vec<u8>) {
            let _ = token([value.as_slice()]);
        }
    }
}
