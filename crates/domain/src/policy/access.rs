//! May this person do that there? Computed at read, gate by gate; nothing is rewritten row by row.

use std::collections::BTreeSet;

use super::Policies;
use super::ceiling::{permission_counts_for_externals, role_counts_for_externals};
use crate::model::facts::AccessFacts;
use crate::model::membership::{EndReason, ExternalMembership, ExternalState, Membership, MembershipBase};
use crate::model::permission::PermissionName;
use crate::model::relationship::Ceiling;
use crate::model::time::Timestamp;
use crate::model::user::UserState;
use crate::model::workspace::WorkspaceState;

/// Why access is denied, from the first gate that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// Not a member, or no such user, or no such workspace.
    NoMembership,
    /// The workspace is not active.
    WorkspaceUnavailable,
    /// The account or its home is not usable.
    AccountUnavailable,
    /// The person has not accepted yet.
    MembershipPending,
    /// Suspended by the host.
    MembershipSuspended,
    /// Waits for a proof of contact.
    MembershipInReview,
    /// Its time is over.
    MembershipExpired,
    /// Granted, but above what Externals of that home may have.
    AboveCeiling,
    /// Not granted.
    NotGranted,
}

impl Denial {
    /// Every reason, for tables that must not forget one.
    pub const ALL: [Self; 9] = [
        Self::NoMembership,
        Self::WorkspaceUnavailable,
        Self::AccountUnavailable,
        Self::MembershipPending,
        Self::MembershipSuspended,
        Self::MembershipInReview,
        Self::MembershipExpired,
        Self::AboveCeiling,
        Self::NotGranted,
    ];
}

/// Decides access.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait AccessPolicy: Send + Sync {
    /// Whether the person of the facts has `permission` in the workspace of the facts at `now`.
    ///
    /// # Errors
    /// The first gate that fails.
    fn decide(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Result<(), Denial>;
}

/// The shipped rule: account active, membership active and not over, both workspaces active, and what kind and ceiling
/// leave of what is granted.
#[derive(Debug, Clone, Copy)]
pub struct ShippedAccessPolicy;

impl AccessPolicy for ShippedAccessPolicy {
    fn decide(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let (Some(membership), Some(account)) = (&facts.membership, &facts.account) else {
            return Err(Denial::NoMembership);
        };
        if facts.workspace.state != WorkspaceState::Active {
            return Err(Denial::WorkspaceUnavailable);
        }
        if account.state != UserState::Active || account.home_state != WorkspaceState::Active {
            return Err(Denial::AccountUnavailable);
        }
        match membership {
            Membership::Internal(internal) => {
                if is_granted(facts, &internal.base, permission) {
                    Ok(())
                } else {
                    Err(Denial::NotGranted)
                }
            }
            Membership::External(external) => {
                external_gate(external, now)?;
                if !is_granted(facts, &external.base, permission) {
                    return Err(Denial::NotGranted);
                }
                if is_within(facts, &external.base, ceiling, permission) { Ok(()) } else { Err(Denial::AboveCeiling) }
            }
        }
    }
}

fn external_gate(external: &ExternalMembership, now: Timestamp) -> Result<(), Denial> {
    match (external.is_over(now), external.state) {
        (Some(EndReason::Lapsed), _) | (None, ExternalState::Pending) => Err(Denial::MembershipPending),
        (Some(_), _) => Err(Denial::MembershipExpired),
        (None, ExternalState::Suspended) => Err(Denial::MembershipSuspended),
        (None, ExternalState::Review) => Err(Denial::MembershipInReview),
        (None, ExternalState::Active) => Ok(()),
    }
}

/// Directly, by a role, or by a role that a group carries: the facts hold the roles of both.
fn is_granted(facts: &AccessFacts, base: &MembershipBase, permission: &PermissionName) -> bool {
    base.grants.permissions.contains(permission) || facts.roles.iter().any(|r| r.permissions.contains(permission))
}

fn is_within(facts: &AccessFacts, base: &MembershipBase, ceiling: &Ceiling, permission: &PermissionName) -> bool {
    let direct = base.grants.permissions.contains(permission)
        && ceiling.permissions.contains(permission)
        && permission_counts_for_externals(permission, &facts.workspace);
    let by_role = facts.roles.iter().any(|role| {
        ceiling.roles.contains(&role.id)
            && role_counts_for_externals(role, &facts.workspace)
            && role.permissions.contains(permission)
    });
    direct || by_role
}

/// Everything that is granted to the person of the facts, whether or not it counts now: directly, by a role, or by a role
/// that a group carries.
pub fn granted(facts: &AccessFacts) -> BTreeSet<PermissionName> {
    let direct = facts.membership.iter().flat_map(|membership| &membership.base().grants.permissions);
    direct.chain(facts.roles.iter().flat_map(|role| &role.permissions)).cloned().collect()
}

/// What the person of the facts may do in the workspace of the facts at `now`. Retired permissions are not known here:
/// the catalogue tells of them.
pub fn effective(policies: &Policies, facts: &AccessFacts, now: Timestamp) -> BTreeSet<PermissionName> {
    let ceiling = policies.ceiling.ceiling(facts);
    let mut permissions = granted(facts);
    permissions.retain(|permission| policies.access.decide(facts, &ceiling, permission, now).is_ok());
    permissions
}
