//! Whom a search found, and what may be done about it: M1 to M14 with their precedence.

use super::ceiling::{home_is_closed, host_is_closed};
use crate::model::contact::ContactOwner;
use crate::model::facts::AccessFacts;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::membership::{EndedMembership, ExternalState, Membership};
use crate::model::time::Timestamp;
use crate::model::user::UserState;
use crate::model::workspace::WorkspaceState;

/// The outcome of a lookup, M1 to M14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LookupOutcome {
    /// Nobody has these contacts (M1).
    NotFound,
    /// One person, who can be linked (M2, M3, M4, M6).
    Found,
    /// The email is one person's, the phone another's (M5).
    ConflictingMatch,
    /// Active or in review here (M7).
    AlreadyMember,
    /// Suspended here (M8).
    MemberSuspended,
    /// Was here before (M9).
    FormerMember,
    /// Home is here, account deactivated (M10).
    HomeUserInactive,
    /// Not to be had; the reason stays with the home (M11, M12, M13).
    NotLinkable,
    /// The host is closed to that home (M12).
    RelationshipRequired,
    /// Nobody live; kept for the former home, which is here (M13).
    ContactReserved,
    /// Asked and not answered (M14).
    MemberPending,
}

impl LookupOutcome {
    /// Every outcome, for tables that must not forget one.
    pub const ALL: [Self; 11] = [
        Self::NotFound,
        Self::Found,
        Self::ConflictingMatch,
        Self::AlreadyMember,
        Self::MemberSuspended,
        Self::FormerMember,
        Self::HomeUserInactive,
        Self::NotLinkable,
        Self::RelationshipRequired,
        Self::ContactReserved,
        Self::MemberPending,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::Found => "FOUND",
            Self::ConflictingMatch => "CONFLICTING_MATCH",
            Self::AlreadyMember => "ALREADY_MEMBER",
            Self::MemberSuspended => "MEMBER_SUSPENDED",
            Self::FormerMember => "FORMER_MEMBER",
            Self::HomeUserInactive => "HOME_USER_INACTIVE",
            Self::NotLinkable => "NOT_LINKABLE",
            Self::RelationshipRequired => "RELATIONSHIP_REQUIRED",
            Self::ContactReserved => "CONTACT_RESERVED",
            Self::MemberPending => "MEMBER_PENDING",
        }
    }

    /// Whether the person is shown with a masked match: one person was found and may be known about here.
    pub const fn shows_match(self) -> bool {
        matches!(
            self,
            Self::Found
                | Self::AlreadyMember
                | Self::MemberSuspended
                | Self::FormerMember
                | Self::HomeUserInactive
                | Self::MemberPending
                | Self::RelationshipRequired
        )
    }
}

/// Whose the searched contacts are, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identified {
    /// Nobody's, and free.
    Nobody,
    /// Nobody's, but kept from others.
    Held {
        /// Whether this workspace is the former home of every holder.
        by_us: bool,
    },
    /// One person's.
    One(UserId),
    /// Two different people's.
    Two,
}

/// Puts what email and phone found together (M1 to M6, M13).
pub fn identify(host: WorkspaceId, email: Option<ContactOwner>, phone: Option<ContactOwner>) -> Identified {
    use ContactOwner::{Held, User};
    match (email, phone) {
        (Some(User { user: a, .. }), Some(User { user: b, .. })) => {
            if a == b {
                Identified::One(a)
            } else {
                Identified::Two
            }
        }
        (Some(User { user, .. }), _) | (_, Some(User { user, .. })) => Identified::One(user),
        (None, None) => Identified::Nobody,
        (email, phone) => Identified::Held {
            by_us: [email, phone]
                .into_iter()
                .flatten()
                .all(|owner| matches!(owner, Held { former_home, .. } if former_home == host)),
        },
    }
}

/// The outcome where nobody live was found.
pub const fn outcome_for_nobody(identified: Identified, in_foreign_domain: bool) -> LookupOutcome {
    match identified {
        Identified::Held { by_us: true } => LookupOutcome::ContactReserved,
        // One person whose account cannot be read is not to be had either.
        Identified::Held { by_us: false } | Identified::One(_) => LookupOutcome::NotLinkable,
        Identified::Two => LookupOutcome::ConflictingMatch,
        Identified::Nobody => {
            if in_foreign_domain {
                LookupOutcome::NotLinkable
            } else {
                LookupOutcome::NotFound
            }
        }
    }
}

/// The outcome where one person was found: the first that fits of M10, M7, M8, M14, M11, M12, M9 replaces `FOUND`.
pub fn outcome_for_one(facts: &AccessFacts, last_ended: Option<&EndedMembership>, now: Timestamp) -> LookupOutcome {
    let Some(account) = &facts.account else {
        return LookupOutcome::NotLinkable;
    };
    if account.home == facts.workspace.id && account.state == UserState::Deactivated {
        return LookupOutcome::HomeUserInactive;
    }
    if let Some(here) = facts.membership.as_ref().and_then(|m| outcome_of_member(m, account.state, now)) {
        return here;
    }
    if account.state != UserState::Active || account.home_state != WorkspaceState::Active {
        return LookupOutcome::NotLinkable;
    }
    let relationship = facts.relationship.as_deref();
    if host_is_closed(&facts.workspace, relationship) {
        return LookupOutcome::RelationshipRequired;
    }
    if home_is_closed(account.home_outbound, relationship) {
        return LookupOutcome::NotLinkable;
    }
    if facts.membership.is_some() || last_ended.is_some() {
        return LookupOutcome::FormerMember;
    }
    LookupOutcome::Found
}

/// M7, M8, M14; `None` for a membership whose time is over.
fn outcome_of_member(membership: &Membership, account: UserState, now: Timestamp) -> Option<LookupOutcome> {
    match membership {
        Membership::Internal(_) => Some(match account {
            UserState::Active => LookupOutcome::AlreadyMember,
            UserState::Suspended => LookupOutcome::MemberSuspended,
            UserState::Deactivated | UserState::Erased => LookupOutcome::HomeUserInactive,
        }),
        Membership::External(external) if external.is_over(now).is_some() => None,
        Membership::External(external) => Some(match external.state {
            ExternalState::Active | ExternalState::Review => LookupOutcome::AlreadyMember,
            ExternalState::Suspended => LookupOutcome::MemberSuspended,
            ExternalState::Pending => LookupOutcome::MemberPending,
        }),
    }
}
