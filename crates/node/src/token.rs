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
        // One that could not be made anew may have ended before the next try.
        let is_good = |held: &&Held| now < held.due.min(held.token.expires);
        if let Some(held) = self.held.get(&key).filter(is_good) {
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
            (Err(error), Some(held)) => {
                held.put_off(now);
                if now >= held.token.expires {
                    return Err(failed(&error));
                }
                // The one that there is counts a little longer.
                tracing::warn!(
                    namespace = %pod.namespace,
                    pod = %pod.name,
                    "a token was not made anew: {error}"
                );
                Ok(Arc::clone(&held.token.text))
            }
            (Err(error), None) => Err(failed(&error)),
        }
    }

    /// What is still due, though somebody has just looked, was not reached or cannot be
    /// had: it is tried again after a while, not at once and for ever.
    pub(crate) fn put_off(&mut self, now: Timestamp) {
        for held in self.held.values_mut().filter(|held| held.due <= now) {
            held.put_off(now);
        }
    }

    /// When the first of them is to be made anew.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.held.values().map(|held| held.due).min()
    }
}

impl Held {
    fn put_off(&mut self, now: Timestamp) {
        self.due = now.saturating_add(RETRY).unwrap_or(Timestamp::MAX);
    }
}

fn failed(error: &str) -> String {
    format!("failed to fetch token: {error}")
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
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use wasmjob_api::k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
    use wasmjob_api::k8s_openapi::api::networking::v1::NetworkPolicy;
    use wasmjob_api::{PodTemplate, Uid};

    use super::*;

    #[test]
    fn tokens_are_made_anew_before_they_end() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds: i64| now + SignedDuration::from_secs(seconds);
        assert_eq!(due(now, after(600)), after(480));
        assert_eq!(due(now, after(3600)), after(2880));
        assert_eq!(due(now, after(7 * 86_400)), after(86_400));
    }

    /// A service account, and no other object.
    #[derive(Default)]
    pub(crate) struct Account {
        is_gone: AtomicBool,
        asked: AtomicUsize,
    }

    impl Objects for Account {
        fn config_map(&self, _: &str, _: &str) -> Option<Arc<ConfigMap>> {
            None
        }

        fn secret(&self, _: &str, _: &str) -> Option<Arc<Secret>> {
            None
        }

        fn claim(&self, _: &str, _: &str) -> Option<Arc<PersistentVolumeClaim>> {
            None
        }

        fn network_policies(&self, _: &str) -> Vec<Arc<NetworkPolicy>> {
            Vec::new()
        }

        fn token(&self, wanted: &TokenWanted<'_>) -> Result<PodToken, String> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_gone.load(Ordering::Relaxed) {
                return Err("gone".to_owned());
            }
            Ok(PodToken {
                text: "token".into(),
                expires: wanted.now + SignedDuration::from_secs(wanted.expiration_seconds),
            })
        }
    }

    /// A pod, of no Job.
    pub(crate) fn pod() -> Pod {
        Pod {
            uid: Uid::from_random(1),
            namespace: "shop".into(),
            name: "pod".into(),
            template: Arc::new(PodTemplate {
                metadata: Default::default(),
                spec: Arc::default(),
                owner: None,
                base: Arc::from(std::path::Path::new(".")),
            }),
            metadata: None,
            index: None,
            index_failure_count: None,
            index_ignored_failure_count: None,
            created: Timestamp::UNIX_EPOCH,
            deletion: None,
            tracked: false,
            status: Default::default(),
        }
    }

    #[test]
    fn a_token_that_cannot_be_had_is_not_asked_for_all_the_time() {
        let pod = pod();
        let source = ServiceAccountTokenProjection {
            expiration_seconds: Some(600),
            ..Default::default()
        };
        let after = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let (account, mut tokens) = (Account::default(), Tokens::default());
        let get = |tokens: &mut Tokens, at| tokens.get(&source, &pod, &account, after(at));
        assert!(get(&mut tokens, 0).is_ok());
        assert_eq!(tokens.due(), Some(after(480)));
        account.is_gone.store(true, Ordering::Relaxed);
        // The old one serves until it ends, and not a moment longer.
        assert!(get(&mut tokens, 480).is_ok());
        assert!(get(&mut tokens, 539).is_ok());
        assert_eq!(account.asked.load(Ordering::Relaxed), 2);
        assert!(get(&mut tokens, 590).is_ok());
        assert_eq!(tokens.due(), Some(after(650)));
        assert!(get(&mut tokens, 600).is_err());
        assert_eq!(tokens.due(), Some(after(660)));
        // One that nobody came to is put off as well; one that is not due is not.
        tokens.put_off(after(659));
        assert_eq!(tokens.due(), Some(after(660)));
        tokens.put_off(after(660));
        assert_eq!(tokens.due(), Some(after(720)));
        account.is_gone.store(false, Ordering::Relaxed);
        assert!(get(&mut tokens, 661).is_ok());
        assert_eq!(tokens.due(), Some(after(661 + 480)));
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
