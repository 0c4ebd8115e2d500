//! The most that Externals of a home may have in a host (seed L12, T3).

use crate::model::facts::AccessFacts;
use crate::model::permission::{PermissionClass, PermissionName};
use crate::model::relationship::{Ceiling, RelationshipState, WorkspaceRelationship};
use crate::model::role::Role;
use crate::model::workspace::{Openness, Workspace, WorkspacePolicy};

/// From where a ceiling comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CeilingSource {
    /// There is no account, so there is nothing.
    NoAccount,
    /// The host takes nobody of that home.
    HostClosed,
    /// The home lets nobody go to that host.
    HomeClosed,
    /// The terms of the active relationship.
    Relationship,
    /// The host suspended the relationship; the home may have too.
    SuspendedByHost,
    /// The home suspended the relationship.
    SuspendedByHome,
    /// What an ended relationship admitted, within the host's default.
    EndedRelationship,
    /// The host's default for homes that it has no relationship with.
    UnknownHomes,
    /// A policy of the embedding program.
    Policy,
}

impl CeilingSource {
    /// Every source, for tables that must not forget one.
    pub const ALL: [Self; 9] = [
        Self::NoAccount,
        Self::HostClosed,
        Self::HomeClosed,
        Self::Relationship,
        Self::SuspendedByHost,
        Self::SuspendedByHome,
        Self::EndedRelationship,
        Self::UnknownHomes,
        Self::Policy,
    ];
}

/// Decides the ceiling.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CeilingPolicy: Send + Sync {
    /// The ceiling for the person of the facts in the workspace of the facts; empty without an account.
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling;

    /// From where it comes.
    fn source(&self, facts: &AccessFacts) -> CeilingSource {
        let _ = facts;
        CeilingSource::Policy
    }
}

/// The shipped rule: closed either way, empty; an agreed relationship that a side suspended, empty; an active one, its own;
/// an ended one, what it admitted of the host's default for unknown homes; without one, that default.
#[derive(Debug, Clone, Copy)]
pub struct ShippedCeilingPolicy;

impl CeilingPolicy for ShippedCeilingPolicy {
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling {
        let unknown = &facts.workspace.policy.default_ceiling;
        match (self.source(facts), &facts.relationship) {
            (CeilingSource::Relationship, Some(active)) => active.host_terms.ceiling.clone(),
            (CeilingSource::UnknownHomes, _) => unknown.clone(),
            // Ending takes away and never gives, whichever of the two was the wider.
            (CeilingSource::EndedRelationship, Some(ended)) if !ended.is_suspended() => {
                ended.host_terms.ceiling.within(unknown)
            }
            _ => Ceiling::default(),
        }
    }

    fn source(&self, facts: &AccessFacts) -> CeilingSource {
        let Some(account) = &facts.account else {
            return CeilingSource::NoAccount;
        };
        let relationship = facts.relationship.as_deref();
        if host_is_closed(&facts.workspace, relationship) {
            return CeilingSource::HostClosed;
        }
        if home_is_closed(account.home_outbound, relationship) {
            return CeilingSource::HomeClosed;
        }
        match relationship.filter(|relationship| relationship.was_agreed()) {
            None => CeilingSource::UnknownHomes,
            Some(agreed) if agreed.state != RelationshipState::Active => CeilingSource::EndedRelationship,
            Some(active) if active.suspended_by_host => CeilingSource::SuspendedByHost,
            Some(active) if active.suspended_by_home => CeilingSource::SuspendedByHome,
            Some(_) => CeilingSource::Relationship,
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
pub(crate) fn permission_counts_for_externals(permission: &PermissionName, host: &WorkspacePolicy) -> bool {
    permission.class() == PermissionClass::Product || host.external_managers
}

/// Whether a role of the ceiling really counts for an External: it must still be marked so, or carry governance where the
/// host's policy `external_managers` says so.
pub(crate) fn role_counts_for_externals(role: &Role, host: &WorkspacePolicy) -> bool {
    if role.is_governing() { host.external_managers } else { role.for_externals }
}
