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

/// What access depends on, one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Whether there is a membership, and a person to have it.
    Membership,
    /// Whether the workspace is in use.
    Workspace,
    /// Whether the account is in use.
    Account,
    /// Whether the home of the account is in use.
    Home,
    /// Whether an External has accepted.
    Acceptance,
    /// Whether an External's time is not over.
    Expiry,
    /// Whether the host has not switched an External off.
    Suspension,
    /// Whether an External's contact needs no proof.
    Review,
    /// Whether the permission is granted in any way.
    Grant,
    /// Whether the ceiling of an External admits it.
    Ceiling,
    /// Whether the catalogue still has the permission.
    Catalogue,
    /// A policy of the embedding program that has no gates of its own.
    Policy,
}

impl Gate {
    /// Every gate, for tables that must not forget one.
    pub const ALL: [Self; 12] = [
        Self::Membership,
        Self::Workspace,
        Self::Account,
        Self::Home,
        Self::Acceptance,
        Self::Expiry,
        Self::Suspension,
        Self::Review,
        Self::Grant,
        Self::Ceiling,
        Self::Catalogue,
        Self::Policy,
    ];
}

/// Decides access. A policy of the embedding program may narrow what is granted: only permissions that are granted in some
/// way, and people to whom they are, stand in lists.
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

    /// The gates of that decision in their order, each looked at by itself. The first that fails is the decision.
    fn gates(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Vec<(Gate, Result<(), Denial>)> {
        vec![(Gate::Policy, self.decide(facts, ceiling, permission, now))]
    }
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
        let asked = Asked { facts, ceiling, permission, now };
        GATES.iter().try_for_each(|(_, is_open)| is_open(&asked))
    }

    fn gates(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Vec<(Gate, Result<(), Denial>)> {
        let asked = Asked { facts, ceiling, permission, now };
        GATES.iter().map(|(gate, is_open)| (*gate, is_open(&asked))).collect()
    }
}

/// What a gate looks at.
struct Asked<'a> {
    facts: &'a AccessFacts,
    ceiling: &'a Ceiling,
    permission: &'a PermissionName,
    now: Timestamp,
}

type IsOpen = fn(&Asked<'_>) -> Result<(), Denial>;

/// The gates of the shipped rule, in their order: the decision and its explanation are both read from here.
const GATES: [(Gate, IsOpen); 10] = [
    (Gate::Membership, |asked| {
        let is_there = asked.facts.membership.is_some() && asked.facts.account.is_some();
        open_if(is_there, Denial::NoMembership)
    }),
    (Gate::Workspace, |asked| {
        open_if(asked.facts.workspace.state == WorkspaceState::Active, Denial::WorkspaceUnavailable)
    }),
    (Gate::Account, |asked| {
        let account = asked.facts.account.as_ref();
        open_if(account.is_none_or(|account| account.state == UserState::Active), Denial::AccountUnavailable)
    }),
    (Gate::Home, |asked| {
        let account = asked.facts.account.as_ref();
        open_if(account.is_none_or(|account| account.home_state == WorkspaceState::Active), Denial::AccountUnavailable)
    }),
    (Gate::Acceptance, |asked| {
        let waits = |external: &ExternalMembership| {
            external.state == ExternalState::Pending || external.is_over(asked.now) == Some(EndReason::Lapsed)
        };
        open_if(!asked.external().is_some_and(waits), Denial::MembershipPending)
    }),
    (Gate::Expiry, |asked| {
        let over = asked.external().and_then(|external| external.is_over(asked.now));
        open_if(over.is_none(), Denial::MembershipExpired)
    }),
    (Gate::Suspension, |asked| {
        let suspended = |external: &ExternalMembership| external.state == ExternalState::Suspended;
        open_if(!asked.external().is_some_and(suspended), Denial::MembershipSuspended)
    }),
    (Gate::Review, |asked| {
        let in_review = |external: &ExternalMembership| external.state == ExternalState::Review;
        open_if(!asked.external().is_some_and(in_review), Denial::MembershipInReview)
    }),
    (Gate::Grant, |asked| {
        let granted = |base: &MembershipBase| is_granted(asked.facts, base, asked.permission);
        open_if(asked.base().is_some_and(granted), Denial::NotGranted)
    }),
    (Gate::Ceiling, |asked| {
        let within =
            |external: &ExternalMembership| is_within(asked.facts, &external.base, asked.ceiling, asked.permission);
        open_if(asked.external().is_none_or(within), Denial::AboveCeiling)
    }),
];

fn open_if(open: bool, denial: Denial) -> Result<(), Denial> {
    if open { Ok(()) } else { Err(denial) }
}

impl Asked<'_> {
    fn base(&self) -> Option<&MembershipBase> {
        self.facts.membership.as_ref().map(Membership::base)
    }

    fn external(&self) -> Option<&ExternalMembership> {
        match &self.facts.membership {
            Some(Membership::External(external)) => Some(external),
            _ => None,
        }
    }
}

/// Directly, by a role, or by a role that a group carries: the facts hold the roles of both.
fn is_granted(facts: &AccessFacts, base: &MembershipBase, permission: &PermissionName) -> bool {
    base.grants.permissions.contains(permission) || facts.roles.iter().any(|r| r.permissions.contains(permission))
}

fn is_within(facts: &AccessFacts, base: &MembershipBase, ceiling: &Ceiling, permission: &PermissionName) -> bool {
    let direct = base.grants.permissions.contains(permission)
        && ceiling.permissions.contains(permission)
        && permission_counts_for_externals(permission, &facts.workspace.policy);
    let by_role = facts.roles.iter().any(|role| {
        role.permissions.contains(permission)
            && ceiling.roles.contains(&role.id)
            && role_counts_for_externals(role, &facts.workspace.policy)
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
    let ceiling = policies.ceiling_of(facts);
    let mut permissions = granted(facts);
    permissions.retain(|permission| policies.access.decide(facts, &ceiling, permission, now).is_ok());
    permissions
}
