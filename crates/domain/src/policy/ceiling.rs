//! The most that Externals of a home may have in a host (seed L12, T3).

use crate::model::facts::AccessFacts;
use crate::model::permission::{PermissionClass, PermissionName};
use crate::model::relationship::{Ceiling, RelationshipState, WorkspaceRelationship};
use crate::model::role::Role;
use crate::model::workspace::{Openness, Workspace};

/// Decides the ceiling.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CeilingPolicy: Send + Sync {
    /// The ceiling for the person of the facts in the workspace of the facts; empty without an account.
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling;
}

/// The shipped rule: closed either way, empty; an agreed relationship that a side suspended, empty; an active one, its own;
/// an ended one, what it admitted of the host's default for unknown homes; without one, that default.
#[derive(Debug, Clone, Copy)]
pub struct ShippedCeilingPolicy;

impl CeilingPolicy for ShippedCeilingPolicy {
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling {
        let Some(account) = &facts.account else {
            return Ceiling::default();
        };
        let relationship = facts.relationship.as_deref();
        if host_is_closed(&facts.workspace, relationship) || home_is_closed(account.home_outbound, relationship) {
            return Ceiling::default();
        }
        let unknown = &facts.workspace.policy.default_ceiling;
        match relationship.filter(|r| r.was_agreed()) {
            None => unknown.clone(),
            Some(agreed) if agreed.is_suspended() => Ceiling::default(),
            Some(agreed) if agreed.state == RelationshipState::Active => agreed.host_terms.ceiling.clone(),
            // Ending takes away and never gives, whichever of the two was the wider.
            Some(ended) => ended.host_terms.ceiling.within(unknown),
        }
    }
}

/// Whether the host takes nobody of that home.
pub(crate) fn host_is_closed(host: &Workspace, relationship: Option<&WorkspaceRelationship>) -> bool {
    is_closed(host.policy.inbound, relationship)
}

/// Whether the home lets nobody go to that host.
pub(crate) fn home_is_closed(outbound: Openness, relationship: Option<&WorkspaceRelationship>) -> bool {
    let forbidden = relationship.is_some_and(|r| r.was_agreed() && !r.home_terms.allows_host);
    forbidden || is_closed(outbound, relationship)
}

fn is_closed(openness: Openness, relationship: Option<&WorkspaceRelationship>) -> bool {
    match openness {
        Openness::Open => false,
        Openness::RelatedOnly => !relationship.is_some_and(WorkspaceRelationship::is_in_force),
        Openness::Closed => true,
    }
}

/// Whether a direct permission of the ceiling really counts for an External: governance needs the host's policy
/// `external_managers`.
pub(crate) fn permission_counts_for_externals(permission: &PermissionName, host: &Workspace) -> bool {
    permission.class() == PermissionClass::Product || host.policy.external_managers
}

/// Whether a role of the ceiling really counts for an External: it must still be marked so, and governance needs the
/// host's policy `external_managers`.
pub(crate) fn role_counts_for_externals(role: &Role, host: &Workspace) -> bool {
    if role.is_governing() { host.policy.external_managers } else { role.for_externals }
}
