//! Roles that are sums of others: their rules are written down, as people read them.
//! What a user may do does not wait for it; that is computed from the sums themselves.

use std::sync::Arc;

use serde_json::Value;
use wasmjob::{Change, Object, WriteError};
use wasmjob_auth::rbac::{ClusterRole, aggregated_rules};

use crate::api::Api;
use crate::cache::Scope;

const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";

/// Whether a role has changed since the sums were written.
#[derive(Default)]
pub(super) struct Roles {
    changed: bool,
}

impl Roles {
    pub(super) fn look(&mut self, change: &Change) {
        if let Object::Generic(generic) = change.object() {
            self.changed |= &*generic.resource == CLUSTER_ROLES;
        }
    }

    pub(super) async fn act(&mut self, api: &Arc<Api>) -> Result<(), WriteError> {
        if !self.changed {
            return Ok(());
        }
        let listed = api.cache.list(CLUSTER_ROLES, &Scope::default());
        let values: Vec<Value> = listed.entries.iter().map(|entry| entry.value()).collect();
        let read = |value: &Value| serde_json::from_value::<ClusterRole>(value.clone()).ok();
        let roles: Vec<ClusterRole> = values.iter().filter_map(read).collect();
        let mut sums = aggregated_rules(&roles);
        for mut value in values {
            let name = crate::kinds::meta(&value, "name");
            let Some(rules) = sums.remove(name) else {
                continue;
            };
            // Our own types always have a form as JSON.
            let rules = serde_json::to_value(rules).unwrap_or_default();
            if value["rules"] != rules {
                value["rules"] = rules;
                api.replace(CLUSTER_ROLES, &value).await?;
            }
        }
        self.changed = false;
        Ok(())
    }
}
