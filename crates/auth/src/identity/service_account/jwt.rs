//! Making and checking tokens: JWS compact serialisation (RFC 7515) with ES256.
//!
//! The header of a token is never asked which algorithm to use: there is one. The
//! signature is checked before anything is read that it covers. This is the one
//! place of this crate that reads randomness itself, as every signature with ECDSA
//! needs some.

use base64ct::{Base64UrlUnpadded, Encoding};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::claims::{Claims, Kubernetes, ObjectReference};
use super::{Expiration, username};

/// A token of ours has about 1 kB; what is longer is not looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far our own clock may have been set back since a token was made.
const CLOCK_SECONDS: i64 = 60;
/// What stands before the 65 bytes of a point of P-256 in the DER of a public key.
const PUBLIC_KEY_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The key cannot sign tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the key of service accounts is no PKCS#8 key of the curve P-256")]
pub struct KeyError;

/// Why a token is not accepted. All of it is a 401 to the client; which one it was
/// is for the log. No text repeats a part of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It is no JWT, or lacks claims that every token of ours has.
    #[error("not a token of a service account")]
    Malformed,
    /// It says that it is signed in another way, or with another key.
    #[error("the token is signed with another algorithm or key")]
    OtherKey,
    /// Its signature does not fit.
    #[error("the token's signature does not fit")]
    Signature,
    /// Somebody else made it.
    #[error("the token has another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Subject and account differ.
    #[error("the token's subject is not its service account")]
    Subject,
    /// The system gave no randomness for a new signature.
    #[error("failed to sign a token")]
    Signing,
}

/// What a new token shall say.
pub struct TokenRequest<'a> {
    /// The namespace of the service account.
    pub namespace: &'a str,
    /// The service account.
    pub service_account: &'a ObjectReference,
    /// The pod that the token ends with.
    pub pod: Option<&'a ObjectReference>,
    /// The node of that pod.
    pub node: Option<&'a ObjectReference>,
    /// The Secret that the token ends with.
    pub secret: Option<&'a ObjectReference>,
    /// Whom the token is for; for the API server itself, if there is nobody.
    pub audiences: &'a [String],
    /// For how long it counts.
    pub expiration: Expiration,
    /// A new UUID, `jti`.
    pub id: &'a str,
}

/// A token that was made. It has no `Debug`, and leaves memory when it is dropped.
pub struct Token {
    text: Zeroizing<String>,
    claims: Claims,
}

impl Token {
    /// What the bearer sends.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Makes and checks tokens with one key. It has no `Debug`.
pub struct TokenAuthority {
    issuer: String,
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that a reader must know; we know none.
    #[serde(default)]
    crit: Option<Value>,
}

impl TokenAuthority {
    /// Uses a key of [`crate::pki::Pki::service_account_key`]. `issuer` is a URL,
    /// such as `https://kubernetes.default.svc.cluster.local`; it is also the
    /// audience of the API server.
    ///
    /// # Errors
    ///
    /// When the key is of another kind.
    pub fn new(issuer: impl Into<String>, key: &PrivatePkcs8KeyDer<'_>) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der(), &random)
            .map_err(|_| KeyError)?;
        let mut public_key = PUBLIC_KEY_PREFIX.to_vec();
        public_key.extend_from_slice(key.public_key().as_ref());
        let hash = ring::digest::digest(&ring::digest::SHA256, &public_key);
        let key_id = Base64UrlUnpadded::encode_string(hash.as_ref());
        Ok(Self {
            issuer: issuer.into(),
            key,
            key_id,
            random,
        })
    }

    /// Who makes these tokens, and the audience of the API server.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Makes a token that counts from `now` on.
    ///
    /// # Errors
    ///
    /// [`TokenError::Signing`], when the system has no randomness.
    pub fn mint(&self, request: &TokenRequest<'_>, now: Timestamp) -> Result<Token, TokenError> {
        let issued = now.as_second();
        let audiences = match request.audiences {
            [] => vec![self.issuer.clone()],
            audiences => audiences.to_vec(),
        };
        let claims = Claims {
            audiences,
            expires: issued.saturating_add(request.expiration.seconds()),
            issued,
            issuer: self.issuer.clone(),
            id: request.id.to_owned(),
            kubernetes: Kubernetes {
                namespace: request.namespace.to_owned(),
                node: request.node.cloned(),
                pod: request.pod.cloned(),
                secret: request.secret.cloned(),
                serviceaccount: request.service_account.clone(),
            },
            not_before: issued,
            subject: username(request.namespace, &request.service_account.name),
        };
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let payload = serde_json::to_string(&claims).map_err(|_| TokenError::Signing)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * payload.len() + 256));
        text.push_str(&Base64UrlUnpadded::encode_string(
            header.to_string().as_bytes(),
        ));
        text.push('.');
        text.push_str(&Base64UrlUnpadded::encode_string(payload.as_bytes()));
        let signature = self
            .key
            .sign(&self.random, text.as_bytes())
            .map_err(|_| TokenError::Signing)?;
        text.push('.');
        text.push_str(&Base64UrlUnpadded::encode_string(signature.as_ref()));
        Ok(Token { text, claims })
    }

    /// Checks a token: that this key made it, that it counts at `now`, and that it
    /// is for one of `audiences` (for the API server: its [`Self::issuer`]).
    ///
    /// What it cannot check is whether the objects in the claims still exist.
    ///
    /// # Errors
    ///
    /// When any of that is not so.
    pub fn verify(
        &self,
        token: &str,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let claims = self.signed_claims(token)?;
        let now = now.as_second();
        if claims.issuer != self.issuer {
            return Err(TokenError::Issuer);
        }
        if now >= claims.expires {
            return Err(TokenError::Expired);
        }
        if claims.not_before.max(claims.issued) > now.saturating_add(CLOCK_SECONDS) {
            return Err(TokenError::NotYetValid);
        }
        if !claims
            .audiences
            .iter()
            .any(|audience| audiences.contains(&audience.as_str()))
        {
            return Err(TokenError::Audience);
        }
        if !claims.are_consistent() {
            return Err(TokenError::Subject);
        }
        Ok(claims)
    }

    fn signed_claims(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode(header)?;
        let is_ours = header.alg == "ES256"
            && header.crit.is_none()
            && header.kid.is_none_or(|key_id| key_id == self.key_id);
        if !is_ours {
            return Err(TokenError::OtherKey);
        }
        let signature =
            Base64UrlUnpadded::decode_vec(signature).map_err(|_| TokenError::Malformed)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        decode(payload)
    }

    /// The document at `/openid/v1/jwks`: the public key, for others to check with.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let coordinate = |range| {
            point
                .get(range)
                .map(Base64UrlUnpadded::encode_string)
                .unwrap_or_default()
        };
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": coordinate(1..33), "y": coordinate(33..65),
        }]})
    }

    /// The document at `/.well-known/openid-configuration`.
    #[must_use]
    pub fn discovery(&self, key_set_url: &str) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": key_set_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
