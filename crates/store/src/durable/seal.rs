//! Secrets on the disk: encrypted, if the store has a key.
//!
//! What is encrypted is the JSON of a Secret, on its way to the disk and back; who it
//! is (UID, namespace, name) stays readable, and is bound to what is encrypted, so
//! that nobody can put one Secret's values in the place of another's. In memory all
//! is plain. The cipher is AES-256-GCM, with a random nonce for each row that is
//! written: 96 bits are enough for four thousand million of them.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::record::RowError;
use crate::GenericObject;

/// The resource whose objects are encrypted.
const SECRETS: &str = "secrets";

/// What an encrypted object's JSON begins with, as no JSON does.
const MAGIC: &[u8] = b"\0sealed1";

/// Bytes that say which key it was.
const ID_LEN: usize = 4;

/// A key for the Secrets of a store.
pub struct SecretKey {
    key: LessSafeKey,
    id: [u8; ID_LEN],
}

impl SecretKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// The key that these bytes are.
    #[must_use]
    pub fn new(bytes: &[u8; Self::LEN]) -> Self {
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..ID_LEN]);
        let key = UnboundKey::new(&AES_256_GCM, bytes);
        Self {
            #[expect(clippy::expect_used, reason = "it refuses other lengths only")]
            key: LessSafeKey::new(key.expect("a key of this cipher has 32 bytes")),
            id,
        }
    }

    /// The bytes of a new key.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub fn generate() -> std::io::Result<[u8; Self::LEN]> {
        let mut bytes = [0; Self::LEN];
        let random = SystemRandom::new();
        let filled = random.fill(&mut bytes);
        filled.map_err(|_| std::io::Error::other("the system gives no randomness"))?;
        Ok(bytes)
    }

    /// The object as it is to stand on the disk, if that is another form.
    pub(super) fn seal(&self, object: &GenericObject) -> Result<Option<GenericObject>, RowError> {
        if &*object.resource != SECRETS {
            return Ok(None);
        }
        let mut nonce = [0; NONCE_LEN];
        let random = SystemRandom::new();
        random.fill(&mut nonce).map_err(|_| RowError::Random)?;
        let mut body = object.json.to_vec();
        let aad = Aad::from(identity(object));
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .map_err(|_| RowError::Random)?;
        let json = [MAGIC, &self.id, &nonce, &body, tag.as_ref()].concat();
        Ok(Some(GenericObject {
            json: json.into(),
            ..object.clone()
        }))
    }

    /// The JSON of an object that is sealed, but for its magic.
    fn open(&self, object: &GenericObject, sealed: &[u8]) -> Option<Vec<u8>> {
        let body = sealed.strip_prefix(&self.id)?;
        let (nonce, body) = body.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let aad = Aad::from(identity(object));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let bytes = self.key.open_in_place(nonce, aad, &mut body).ok()?.len();
        body.truncate(bytes);
        Some(body)
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

/// An object as the disk had it.
pub(super) struct Unsealed {
    pub(super) object: GenericObject,
    /// There is a key for it that it was not written with.
    pub(super) is_plain: bool,
}

/// The object in plain.
pub(super) fn unseal(
    mut object: GenericObject,
    key: Option<&SecretKey>,
) -> Result<Unsealed, RowError> {
    let Some(sealed) = object.json.strip_prefix(MAGIC) else {
        let is_plain = key.is_some() && &*object.resource == SECRETS;
        return Ok(Unsealed { object, is_plain });
    };
    let key = key.ok_or(RowError::NoKey)?;
    if !sealed.starts_with(&key.id) {
        return Err(RowError::OtherKey);
    }
    let json = key.open(&object, sealed).ok_or_else(|| {
        RowError::Missing(format!(
            "the true value of Secret {}/{}",
            object.namespace, object.name
        ))
    })?;
    object.json = json.into();
    Ok(Unsealed {
        object,
        is_plain: false,
    })
}

/// What the values belong to.
fn identity(object: &GenericObject) -> Vec<u8> {
    let uid = object.uid.bits().to_le_bytes();
    let names = [&*object.resource, &*object.namespace, &*object.name].join("/");
    [&uid, names.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use wasmjob_api::Uid;

    use super::*;

    fn object(resource: &str, n: u128) -> GenericObject {
        GenericObject {
            uid: Uid::from_random(n),
            resource: resource.into(),
            namespace: "default".into(),
            name: "key".into(),
            json: br#"{"data":{"password":"aHVudGVyMg=="}}"#.as_slice().into(),
        }
    }

    #[test]
    fn a_secret_is_sealed_and_comes_back_and_nothing_else_is() {
        let key = SecretKey::new(&[7; 32]);
        assert!(key.seal(&object("configmaps", 1)).unwrap().is_none());
        let secret = object("secrets", 1);
        let sealed = key.seal(&secret).unwrap().unwrap();
        let again = key.seal(&secret).unwrap().unwrap();
        assert_ne!(sealed.json, again.json);
        assert!(!sealed.json.windows(8).any(|part| part == b"aHVudGVy"));
        let back = unseal(sealed, Some(&key)).unwrap();
        assert_eq!((back.object, back.is_plain), (secret, false));
    }

    #[test]
    fn what_was_not_sealed_is_read_and_told() {
        let key = SecretKey::new(&[7; 32]);
        let is_plain = |object, key| unseal(object, key).unwrap().is_plain;
        assert!(is_plain(object("secrets", 1), Some(&key)));
        assert!(!is_plain(object("secrets", 1), None));
        assert!(!is_plain(object("configmaps", 1), Some(&key)));
    }

    #[test]
    fn no_other_key_object_or_byte_will_do() {
        let key = SecretKey::new(&[7; 32]);
        let sealed = key.seal(&object("secrets", 1)).unwrap().unwrap();
        let other = SecretKey::new(&[8; 32]);
        let refused = |object: &GenericObject, key| unseal(object.clone(), key).err();
        assert!(matches!(refused(&sealed, None), Some(RowError::NoKey)));
        assert!(matches!(
            refused(&sealed, Some(&other)),
            Some(RowError::OtherKey)
        ));
        let moved = GenericObject {
            json: sealed.json.clone(),
            ..object("secrets", 2)
        };
        assert!(refused(&moved, Some(&key)).is_some());
        for at in MAGIC.len()..sealed.json.len() {
            let mut json = sealed.json.to_vec();
            json[at] ^= 1;
            let json = json.into();
            let flipped = GenericObject {
                json,
                ..sealed.clone()
            };
            assert!(refused(&flipped, Some(&key)).is_some(), "{at}");
        }
        for end in MAGIC.len()..sealed.json.len() {
            let json = sealed.json[..end].into();
            let cut = GenericObject {
                json,
                ..sealed.clone()
            };
            assert!(refused(&cut, Some(&key)).is_some(), "{end}");
        }
    }
}
