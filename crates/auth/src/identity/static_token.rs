//! Tokens that an operator wrote into a file: `token,user,uid,"group1,group2"`.
//!
//! The file is Kubernetes' `--token-auth-file`. Only hashes stay in memory, and a
//! token is compared with all of them, each in constant time, so that an answer's
//! time says nothing. Unlike Kubernetes we refuse a file with an empty token, with
//! the same token twice, or with a token without a name: each would let somebody
//! in as somebody else.

use std::collections::HashSet;

use ring::digest::{SHA256, digest};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::User;

/// A check takes time for every token.
const TOKENS_MAX: usize = 10_000;

/// The file cannot be used. No text repeats a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StaticTokenError {
    /// It is not CSV in UTF-8.
    #[error("the token file is not CSV in UTF-8")]
    NotCsv,
    /// A record is too short.
    #[error("record {record} of the token file needs a token, a user name and a user uid")]
    TooFewColumns {
        /// The first one is 1.
        record: usize,
    },
    /// A token is empty.
    #[error("record {record} of the token file has an empty token")]
    EmptyToken {
        /// The first one is 1.
        record: usize,
    },
    /// A user has no name.
    #[error("record {record} of the token file has an empty user name")]
    EmptyName {
        /// The first one is 1.
        record: usize,
    },
    /// A token is there twice.
    #[error("record {record} of the token file repeats a token")]
    Repeated {
        /// The first one is 1.
        record: usize,
    },
    /// There are too many.
    #[error("the token file has more than 10000 tokens")]
    TooMany,
}

/// The users of a token file. It has no `Debug`.
#[derive(Default)]
pub struct StaticTokens(Vec<(Hash, User)>);

type Hash = [u8; 32];

impl StaticTokens {
    /// Reads the content of a token file.
    ///
    /// # Errors
    ///
    /// When a record cannot be used; see [`StaticTokenError`]. Empty lines, groups
    /// that are missing and columns behind the groups are no errors.
    pub fn read(file: &[u8]) -> Result<Self, StaticTokenError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(file);
        let mut tokens: Vec<(Hash, User)> = Vec::new();
        let mut hashes = HashSet::new();
        for (index, fields) in reader.records().enumerate() {
            let record = index + 1;
            let fields = fields.map_err(|_| StaticTokenError::NotCsv)?;
            let (Some(token), Some(name), Some(uid)) =
                (fields.get(0), fields.get(1), fields.get(2))
            else {
                return Err(StaticTokenError::TooFewColumns { record });
            };
            if token.is_empty() {
                return Err(StaticTokenError::EmptyToken { record });
            }
            if name.is_empty() {
                return Err(StaticTokenError::EmptyName { record });
            }
            let groups = fields.get(3).unwrap_or_default().split(',').map(str::trim);
            let groups = groups
                .filter(|group| !group.is_empty())
                .map(str::to_owned)
                .collect();
            let mut user = User::authenticated(name, groups);
            uid.clone_into(&mut user.uid);
            let hash = hash(token);
            if !hashes.insert(hash) {
                return Err(StaticTokenError::Repeated { record });
            }
            if tokens.len() == TOKENS_MAX {
                return Err(StaticTokenError::TooMany);
            }
            tokens.push((hash, user));
        }
        Ok(Self(tokens))
    }

    /// The user of a token.
    #[must_use]
    pub fn user(&self, token: &str) -> Option<&User> {
        let hash = hash(token);
        let mut found = 0;
        // No early end: where a token stands in the file is nobody's business.
        for (index, (other, _)) in (1_u32..).zip(&self.0) {
            let is_equal: Choice = other.ct_eq(&hash);
            found = u32::conditional_select(&found, &index, is_equal);
        }
        let index = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(index).map(|(_, user)| user)
    }

    /// How many tokens there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hash(token: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(file: &[u8]) -> StaticTokenError {
        StaticTokens::read(file).err().unwrap()
    }

    #[test]
    fn users_of_tokens() {
        let file = b"t1,alice,u1,\"team a, team b\"\n\nt2,bob,\nt3,\"carol, jr\",u3,ops,more\n";
        let tokens = StaticTokens::read(file).unwrap();
        assert_eq!((tokens.len(), tokens.is_empty()), (3, false));
        let alice = tokens.user("t1").unwrap();
        assert_eq!((alice.name.as_str(), alice.uid.as_str()), ("alice", "u1"));
        assert_eq!(alice.groups, ["team a", "team b", "system:authenticated"]);
        assert_eq!(tokens.user("t2").unwrap().groups, ["system:authenticated"]);
        assert_eq!(tokens.user("t3").unwrap().name, "carol, jr");
        for wrong in ["", "t", "t11", "T1", "t1\n", "alice"] {
            assert_eq!(tokens.user(wrong), None, "{wrong:?}");
        }
        assert!(StaticTokens::read(b"").unwrap().user("").is_none());
    }

    #[test]
    fn files_that_would_let_the_wrong_one_in() {
        use StaticTokenError as E;
        assert_eq!(error(b"t,a,1\nx,b\n"), E::TooFewColumns { record: 2 });
        assert_eq!(error(b",a,1\n"), E::EmptyToken { record: 1 });
        assert_eq!(error(b"t,,1\n"), E::EmptyName { record: 1 });
        assert_eq!(error(b"t,a,1\nt,b,2\n"), E::Repeated { record: 2 });
        assert_eq!(error(b"t\xff,a,1\n"), E::NotCsv);
        let many: String = (0..=TOKENS_MAX).map(|n| format!("t{n},u,1\n")).collect();
        assert_eq!(error(many.as_bytes()), E::TooMany);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(file: Vec<u8>) {
            let _ = StaticTokens::read(&file);
        }

        #[test]
        fn every_token_finds_its_own_user(
            tokens in proptest::collection::hash_set("[a-z]{1,8}", 1..40), other in "[a-z]{1,8}",
        ) {
            let file: String = tokens.iter().map(|token| format!("{token},user-{token},1\n")).collect();
            let read = StaticTokens::read(file.as_bytes()).unwrap();
            for token in &tokens {
                prop_assert_eq!(&read.user(token).unwrap().name, &format!("user-{token}"));
            }
            prop_assert_eq!(read.user(&other).is_some(), tokens.contains(&other));
        }
    }
}
