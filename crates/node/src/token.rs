//! Tokens of service accounts in a pod's volumes: each made once, and made anew before it
//! ends, as the kubelet's token manager does it.

use std::sync::Arc;

use foldhash::HashMap;
use jiff::{SignedDuration, Timestamp};
use wasmjob_api::Pod;
use wasmjob_api::k8s_openapi::api::core::v1::{PodSpec, ServiceAccountTokenProjection};

use crate::Objects;

/// A token that is older is made anew, however long it counts.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// When it is tried again to make one anew.
const RETRY: SignedDuration = SignedDuration::from_secs(60);

/// What a token is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct TokenWanted<'a> {
    /// The pod that gets it, and that it ends with.
    pub pod: &'a Pod,
    /// The pod's service account.
    pub account: &'a str,
    /// Whom it is for; for the API, if it is nobody.
    pub audience: Option<&'a str>,
    /// For how long it is to count.
    pub expiration_seconds: i64,
    /// What time it is.
    pub now: Timestamp,
}

/// A token. It has no `Debug`.
#[derive(Clone)]
pub struct PodToken {
    /// What the bearer sends.
    pub text: Arc<str>,
    /// When it ends.
    pub expires: Timestamp,
}

/// The tokens of one pod.
#[derive(Default)]
pub(crate) struct Tokens {
    /// By audience and time.
    held: HashMap<(Option<String>, i64), Held>,
}

struct Held {
    token: PodToken,
    /// When it is to be made anew.
    due: Timestamp,
}

impl Tokens {
    /// The token that `source` asks for; a new one, if there is none or its time is over.
    ///
    /// # Errors
    ///
    /// Why there is none, in the kubelet's words.
    pub(crate) fn get(
        &mut self,
        source: &ServiceAccountTokenProjection,
        pod: &Pod,
        objects: &dyn Objects,
        now: Timestamp,
    ) -> Result<Arc<str>, String> {
        let seconds = source.expiration_seconds.unwrap_or(3600);
        let audience = source.audience.clone().filter(|it| !it.is_empty());
        let key = (audience, seconds);
        if let Some(held) = self.held.get(&key).filter(|held| now < held.due) {
            return Ok(Arc::clone(&held.token.text));
        }
        let made = objects.token(&TokenWanted {
            pod,
            account: account_of(&pod.template.spec),
            audience: key.0.as_deref(),
            expiration_seconds: seconds,
            now,
        });
        match (made, self.held.get_mut(&key)) {
            (Ok(token), _) => {
                let text = Arc::clone(&token.text);
                let due = due(now, token.expires);
                self.held.insert(key, Held { token, due });
                Ok(text)
            }
            // The one that there is counts a little longer.
            (Err(error), Some(held)) if now < held.token.expires => {
                tracing::warn!(
                    namespace = %pod.namespace,
                    pod = %pod.name,
                    "a token was not made anew: {error}"
                );
                held.due = now.saturating_add(RETRY).unwrap_or(Timestamp::MAX);
                Ok(Arc::clone(&held.token.text))
            }
            (Err(error), _) => Err(format!("failed to fetch token: {error}")),
        }
    }

    /// When the first of them is to be made anew.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.held.values().map(|held| held.due).min()
    }
}

/// When a token is made anew: at four fifths of its time.
fn due(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.duration_since(now);
    let wait = (life.saturating_mul(4) / 5).min(AGE_MAX);
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// The name of a pod's service account.
pub(crate) fn account_of(spec: &PodSpec) -> &str {
    let name = spec.service_account_name.as_deref();
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

/// The mode of a token's file, of a volume whose files have `mode`: where the pod says
/// as whom it runs, nobody else may read it.
pub(crate) fn file_mode(spec: &PodSpec, mode: i32) -> i32 {
    let context = spec.security_context.as_ref();
    if context.is_some_and(|context| context.fs_group.is_some()) {
        return 0o640;
    }
    let users = || {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers).map(|container| {
            let own = container.security_context.as_ref();
            own.and_then(|own| own.run_as_user)
                .or(context.and_then(|it| it.run_as_user))
        })
    };
    let first = users().next().flatten();
    match first.is_some() && users().all(|user| user == first) {
        true => 0o600,
        false => mode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_made_anew_before_they_end() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds: i64| now + SignedDuration::from_secs(seconds);
        assert_eq!(due(now, after(600)), after(480));
        assert_eq!(due(now, after(3600)), after(2880));
        assert_eq!(due(now, after(7 * 86_400)), after(86_400));
    }

    #[test]
    fn who_runs_as_somebody_has_tokens_of_its_own() {
        let mode = |json: &str| file_mode(&serde_json::from_str(json).unwrap(), 0o644);
        assert_eq!(mode(r#"{"containers":[{"name":"a"}]}"#), 0o644);
        assert_eq!(
            mode(r#"{"securityContext":{"fsGroup":5},"containers":[{"name":"a"}]}"#),
            0o640
        );
        assert_eq!(
            mode(r#"{"securityContext":{"runAsUser":5},"containers":[{"name":"a"}]}"#),
            0o600
        );
        let two = r#"{"securityContext":{"runAsUser":5},"containers":[{"name":"a"},{"name":"b","securityContext":{"runAsUser":6}}]}"#;
        assert_eq!(mode(two), 0o644);
    }
}
