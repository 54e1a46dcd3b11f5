//! Why a binding gives nothing.

use super::objects::GROUP;
use crate::text::quoted;

/// Whoever may make bindings could make thousands to roles that do not exist; each
/// request of their subjects would collect and answer all of that.
const ERRORS_MAX: usize = 16;

/// The role of a binding cannot be found. It shows as Kubernetes' authorizer tells
/// it, `clusterrole.rbac.authorization.k8s.io "x" not found`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RoleError {
    /// There is none of this name.
    #[error("{kind}.{GROUP} {} not found", quoted(name))]
    NotFound {
        /// `role` or `clusterrole`.
        kind: String,
        /// The name.
        name: String,
    },
    /// A binding can refer to a Role and to a ClusterRole, and this is neither.
    #[error("unsupported role reference kind: {}", quoted(_0))]
    Kind(String),
}

impl RoleError {
    /// As Kubernetes tells it when an object is written: there the resource is named,
    /// `clusterroles.rbac.authorization.k8s.io "x" not found`.
    pub(super) fn when_written(&self) -> String {
        match self {
            Self::NotFound { kind, name } => format!("{kind}s.{GROUP} {} not found", quoted(name)),
            Self::Kind(_) => self.to_string(),
        }
    }

    pub(super) fn add_to(&self, errors: &mut Vec<Self>) {
        if errors.len() < ERRORS_MAX && !errors.contains(self) {
            errors.push(self.clone());
        }
    }

    /// Several at once, as the authorizer tells them.
    pub(super) fn shown(errors: &[Self]) -> Option<String> {
        join(errors.iter().map(ToString::to_string).collect())
    }

    /// Several at once, when an object is written.
    pub(super) fn shown_when_written(errors: &[Self]) -> Option<String> {
        join(errors.iter().map(Self::when_written).collect())
    }
}

/// As Go shows an aggregate of errors.
fn join(mut errors: Vec<String>) -> Option<String> {
    match errors.len() {
        0 | 1 => errors.pop(),
        _ => Some(format!("[{}]", errors.join(", "))),
    }
}
