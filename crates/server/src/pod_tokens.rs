//! Tokens for pods: of their service accounts, made as a TokenRequest makes them, and bound
//! to the pod, so that they end with it.

use std::sync::Arc;

use jiff::Timestamp;
use rand::Rng as _;
use wasmjob::api::Uid;
use wasmjob::{PodToken, PodTokens, Store, TokenWanted};
use wasmjob_auth::identity::service_account::{
    Expiration, ObjectReference, TokenAuthority, TokenRequest,
};

/// Makes tokens. It holds nothing that holds the host, which holds it.
pub(crate) struct Maker {
    pub(crate) authority: Arc<TokenAuthority>,
    pub(crate) store: Store,
    pub(crate) node: Arc<str>,
}

impl PodTokens for Maker {
    fn token(&self, wanted: &TokenWanted<'_>) -> Result<PodToken, String> {
        let reference = |resource: &str, namespace: &str, name: &str| {
            let stored = self.store.named(resource, namespace, name)?;
            Some(ObjectReference {
                name: name.to_owned(),
                uid: stored.object.key().uid.to_string(),
            })
        };
        let (pod, account) = (wanted.pod, wanted.account);
        let service_account = reference("serviceaccounts", &pod.namespace, account)
            .ok_or_else(|| format!("serviceaccounts {account:?} not found"))?;
        let node = reference("nodes", "", &self.node);
        let bound = ObjectReference {
            name: pod.name.to_string(),
            uid: pod.uid.to_string(),
        };
        let seconds = Some(wanted.expiration_seconds);
        let expiration = Expiration::of_request(seconds, Expiration::SECONDS_MAX_DEFAULT)
            .map_err(|error| format!("spec.expirationSeconds: {error}"))?;
        let audiences: Vec<String> = wanted.audience.map(str::to_owned).into_iter().collect();
        let mut random = rand::rng();
        let (high, low) = (random.next_u64(), random.next_u64());
        let id = Uid::from_random(u128::from(high) << 64 | u128::from(low)).to_string();
        let request = TokenRequest {
            namespace: &pod.namespace,
            service_account: &service_account,
            pod: Some(&bound),
            node: node.as_ref(),
            secret: None,
            audiences: &audiences,
            expiration,
            id: &id,
        };
        let token = self.authority.mint(&request, wanted.now);
        let token = token.map_err(|error| error.to_string())?;
        let expires = Timestamp::from_second(token.claims().expires);
        Ok(PodToken {
            text: token.expose().into(),
            expires: expires.unwrap_or(Timestamp::MAX),
        })
    }
}
