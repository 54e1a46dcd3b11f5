//! Who may come in, and what they may do.
//!
//! A client is known by its certificate, by a token, or by having reached the socket
//! that only this system's owner may write to. What it may do is what roles allow.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use wasmjob::WriteError;
use wasmjob_auth::attributes::Attributes;
use wasmjob_auth::bootstrap::{Change, reconcile};
use wasmjob_auth::identity::bearer;
use wasmjob_auth::identity::certificate::CertificateUser;
use wasmjob_auth::identity::impersonation::Impersonation;
use wasmjob_auth::identity::service_account::{Claims, TokenAuthority};
use wasmjob_auth::identity::static_token::StaticTokens;
use wasmjob_auth::identity::{self, User};
use wasmjob_auth::rbac::{self, Decision, Objects, Rules};
use wasmjob_machinery::status::{Cause, Denied, Status};

use crate::api::Api;
use crate::cache::{Cache, Scope};
use crate::call::Call;
use crate::http::Peer;
use crate::kinds::meta;
use crate::request::ResourceTarget;

/// What roles and bindings are kept as.
const ROLES: [&str; 4] = [
    "roles.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
];

/// Who uses the socket: the owner of the data directory.
const SOCKET_USER: &str = "system:admin";

/// What decides about clients.
pub(crate) struct Access {
    pub(crate) tokens: Arc<TokenAuthority>,
    static_tokens: StaticTokens,
    authority_pem: String,
    rules: Mutex<Option<(u64, Arc<Rules>)>>,
}

impl Access {
    pub(crate) fn new(
        tokens: Arc<TokenAuthority>,
        static_tokens: StaticTokens,
        authority_pem: String,
    ) -> Self {
        Self {
            tokens,
            static_tokens,
            authority_pem,
            rules: Mutex::default(),
        }
    }

    /// The certificate by which clients know this server.
    pub(crate) fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Who asks; a client that shows nothing is anonymous, and one that shows
    /// something wrong is refused.
    pub(crate) fn authenticate(
        &self,
        api: &Api,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<User, Status> {
        let refused = |why: &dyn std::fmt::Display| {
            tracing::debug!(%why, "a client was not authenticated");
            Status::unauthorized()
        };
        if let Peer::Tls {
            certificate: Some(certificate),
        } = peer
        {
            let known = CertificateUser::read(certificate).map_err(|error| refused(&error))?;
            if !known.is_valid_at(api.now()) {
                return Err(refused(&"the certificate is not valid now"));
            }
            return Ok(known.user);
        }
        let values = headers.get_all(AUTHORIZATION).iter();
        let token = bearer::token(values.map(|value| value.as_bytes()));
        if let Some(token) = token.map_err(|error| refused(&error))? {
            let known = self.bearer(api, token, &[self.tokens.issuer()]);
            return known.map(|(user, _)| user);
        }
        Ok(match peer {
            Peer::Unix => User::authenticated(SOCKET_USER, vec![identity::MASTERS.to_owned()]),
            Peer::Tls { .. } => User::anonymous(),
        })
    }

    /// Whose token it is, and for which of `audiences`. A static token is for this
    /// server only.
    pub(crate) fn bearer(
        &self,
        api: &Api,
        token: &str,
        audiences: &[&str],
    ) -> Result<(User, Vec<String>), Status> {
        if let Some(user) = self.static_tokens.user(token) {
            let own = self.tokens.issuer();
            let is_own = audiences.contains(&own);
            let known = (user.clone(), vec![own.to_owned()]);
            return is_own.then_some(known).ok_or_else(Status::unauthorized);
        }
        let claims = self.tokens.verify(token, audiences, api.now());
        let claims = claims.map_err(|error| {
            tracing::debug!(%error, "a token was not accepted");
            Status::unauthorized()
        })?;
        if !is_bound(&api.cache, &claims, api.now()) {
            tracing::debug!("a token is bound to an object that is gone");
            return Err(Status::unauthorized());
        }
        let mut meant = claims.audiences.clone();
        meant.retain(|audience| audiences.contains(&audience.as_str()));
        Ok((claims.user(), meant))
    }

    /// Who the request is to be made as.
    pub(crate) fn impersonate(
        &self,
        api: &Api,
        user: User,
        headers: &HeaderMap,
    ) -> Result<User, Status> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let wanted = Impersonation::read(pairs);
        let wanted = wanted.map_err(|error| Status::bad_request(error.to_string()))?;
        let Some(wanted) = wanted else {
            return Ok(user);
        };
        for question in wanted.questions(&user) {
            self.ask(api, &question)?;
        }
        Ok(wanted.user().clone())
    }

    pub(crate) fn allow_path(
        &self,
        api: &Api,
        user: &User,
        verb: &str,
        path: &str,
    ) -> Result<(), Status> {
        self.ask(api, &Attributes::path(user, verb, path))
    }

    pub(crate) fn allow(
        &self,
        api: &Api,
        user: &User,
        verb: &str,
        target: &ResourceTarget,
    ) -> Result<(), Status> {
        self.ask(api, &attributes(user, verb, target))
    }

    /// Whether the answer is yes; a no is a 403.
    fn ask(&self, api: &Api, question: &Attributes<'_>) -> Result<(), Status> {
        let decision = self.decide(api, question);
        if decision.allowed {
            return Ok(());
        }
        let user = question.user.name.as_str();
        Err(match question.path {
            Some(path) => Status::forbidden_path(user, question.verb, path),
            None => Status::forbidden(&Denied {
                user,
                verb: question.verb,
                group: question.api_group,
                resource: question.resource,
                subresource: question.subresource,
                namespace: question.namespace,
                name: question.name,
                why: &decision.reason,
            }),
        })
    }

    pub(crate) fn decide(&self, api: &Api, question: &Attributes<'_>) -> Decision {
        // Most requests are the operator's own, who may do everything.
        self.rules(&api.cache).authorize(question)
    }

    /// The rules as the roles and bindings are now.
    pub(crate) fn rules(&self, cache: &Cache) -> Arc<Rules> {
        let revision = cache.changed(&ROLES);
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, rules)) = known.as_ref()
            && *of == revision
        {
            return Arc::clone(rules);
        }
        let [roles, cluster_roles, role_bindings, cluster_role_bindings] = ROLES;
        let rules = Arc::new(Rules::new(&Objects {
            roles: all(cache, roles),
            cluster_roles: all(cache, cluster_roles),
            role_bindings: all(cache, role_bindings),
            cluster_role_bindings: all(cache, cluster_role_bindings),
        }));
        *known = Some((revision, Arc::clone(&rules)));
        rules
    }

    /// Makes the roles that every cluster has.
    pub(crate) async fn bootstrap(&self, api: &Arc<Api>) -> Result<(), WriteError> {
        let values = |resource: &str| -> Vec<Value> {
            let listed = api.cache.list(resource, &Scope::default());
            listed.entries.iter().map(|entry| entry.value()).collect()
        };
        for change in reconcile(&values(ROLES[1]), &values(ROLES[3])) {
            match change {
                Change::Create(new) => api.ensure(kept_as(&new), "", new).await?,
                Change::Update(new) => api.replace(kept_as(&new), &new).await?,
                Change::Recreate { old, new } => {
                    let name = meta(&old, "name");
                    if let Some(entry) = api.cache.get(kept_as(&old), "", name) {
                        api.remove(entry.object.key()).await?;
                    }
                    api.ensure(kept_as(&new), "", new).await?;
                }
            }
        }
        Ok(())
    }
}

fn kept_as(value: &Value) -> &'static str {
    match value["kind"].as_str() {
        Some("ClusterRole") => ROLES[1],
        _ => ROLES[3],
    }
}

/// Reads the file of static tokens.
pub(crate) fn static_tokens(path: Option<&Path>) -> std::io::Result<StaticTokens> {
    let Some(path) = path else {
        return Ok(StaticTokens::default());
    };
    let bytes = std::fs::read(path)?;
    StaticTokens::read(&bytes).map_err(std::io::Error::other)
}

/// The question that a request about a resource is.
fn attributes<'a>(user: &'a User, verb: &'a str, target: &'a ResourceTarget) -> Attributes<'a> {
    let resource = target.resource;
    let mut question = Attributes::resource(user, verb, resource.group, resource.plural)
        .namespace(&target.namespace)
        .subresource(target.subresource.map_or("", |sub| sub.name))
        .name(target.name.as_deref().unwrap_or_default());
    question.api_version = resource.version;
    // As in Kubernetes, who may see a namespace is asked in it.
    if resource.kind == "Namespace" {
        question = question.namespace(target.name.as_deref().unwrap_or_default());
    }
    question
}

fn all<T: DeserializeOwned>(cache: &Cache, resource: &str) -> Vec<T> {
    let listed = cache.list(resource, &Scope::default());
    let objects = listed.entries.iter();
    objects
        .filter_map(|entry| serde_json::from_value(entry.value()).ok())
        .collect()
}

/// How long a token goes on when an object that it is bound to should be gone
/// (`jwt.DefaultLeeway`): whoever cleans up during the grace period needs it still.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// Whether the objects that a token is bound to are still there.
fn is_bound(cache: &Cache, claims: &Claims, now: Timestamp) -> bool {
    let is_there = |resource: &str, name: &str, uid: &str| {
        let entry = cache.get(resource, claims.namespace(), name);
        entry.is_some_and(|entry| {
            let gone = entry.deletion();
            let is_over = |at: Timestamp| now.duration_since(at) > LEEWAY;
            entry.object.key().uid.to_string() == uid && !gone.is_some_and(is_over)
        })
    };
    let account = claims.service_account();
    is_there("serviceaccounts", &account.name, &account.uid)
        && claims
            .pod()
            .is_none_or(|pod| is_there("pods", &pod.name, &pod.uid))
        && claims
            .secret()
            .is_none_or(|secret| is_there("secrets", &secret.name, &secret.uid))
}

impl Api {
    /// A pod is created only under an account that is there; `default` is made with
    /// every namespace, and may come a moment later.
    fn admit_pod(&self, call: &Call, new: &Value) -> Result<(), Status> {
        let account = new["spec"]["serviceAccountName"].as_str();
        let account = account.filter(|it| !matches!(*it, "" | "default"));
        let namespace = call.target.namespace.as_ref();
        match account {
            Some(account)
                if self
                    .cache
                    .get("serviceaccounts", namespace, account)
                    .is_none() =>
            {
                let why = format!(
                    "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
                );
                let what = call.target.resource.qualified();
                Err(Status::forbidden_because(what, meta(new, "name"), &why))
            }
            _ => Ok(()),
        }
    }

    /// Whether a client may write such an object at all: nobody gives what it does
    /// not have.
    pub(crate) fn admit(
        &self,
        call: &Call,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let resource = call.target.resource;
        if resource.kind == "Pod" && old.is_none() {
            return self.admit_pod(call, new);
        }
        if resource.group != rbac::GROUP {
            return Ok(());
        }
        fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Status> {
            serde_json::from_value(value.clone())
                .map_err(|error| Status::bad_request(error.to_string()))
        }
        if old.is_some_and(|old| rbac::changes_only_bookkeeping(old, new)) {
            return Ok(());
        }
        let mut new = new.clone();
        if resource.kind.ends_with("Binding") {
            rbac::set_binding_defaults(&mut new);
        }
        let write = rbac::Write {
            user: &call.user,
            namespace: &call.target.namespace,
            name: call.target.name.as_deref().unwrap_or_default(),
        };
        let rules = self.access.rules(&self.cache);
        let (errors, granted) = match resource.kind {
            "Role" => {
                let role = read(&new)?;
                (rbac::validate_role(&role), rules.check_role(&write, &role))
            }
            "ClusterRole" => {
                let role = read(&new)?;
                let old = old.map(read).transpose()?;
                let granted = rules.check_cluster_role(&write, &role, old.as_ref());
                (rbac::validate_cluster_role(&role), granted)
            }
            "RoleBinding" => {
                let binding = read(&new)?;
                let errors = match old {
                    Some(old) => rbac::validate_role_binding_update(&binding, &read(old)?),
                    None => rbac::validate_role_binding(&binding),
                };
                (errors, rules.check_role_binding(&write, &binding))
            }
            _ => {
                let binding = read(&new)?;
                let errors = match old {
                    Some(old) => rbac::validate_cluster_role_binding_update(&binding, &read(old)?),
                    None => rbac::validate_cluster_role_binding(&binding),
                };
                (errors, rules.check_cluster_role_binding(&write, &binding))
            }
        };
        let name = meta(&new, "name");
        if !errors.is_empty() {
            let causes = errors.iter().map(|error| Cause {
                reason: error.kind.reason().to_owned(),
                message: error.body(),
                field: error.field.clone(),
            });
            return Err(Status::invalid(resource, name, causes.collect()));
        }
        granted.map_err(|error| match error {
            rbac::GrantError::Forbidden(text) => Status::new(403, "Forbidden", text),
            rbac::GrantError::RoleNotFound(text) => Status::new(404, "NotFound", text),
        })
    }
}
