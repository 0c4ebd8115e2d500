//! The directed relationship of two workspaces: a host admits people of a home, up to a ceiling.

use std::collections::BTreeSet;
use std::time::Duration;

use super::id::{RelationshipId, RoleId, UserId, WorkspaceId};
use super::permission::PermissionName;
use super::time::{Timestamp, Version};
use super::workspace::DirectoryVisibility;

/// The most that Externals may have: roles and direct permissions of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ceiling {
    /// Roles.
    pub roles: BTreeSet<RoleId>,
    /// Direct permissions.
    pub permissions: BTreeSet<PermissionName>,
}

/// What a home lets others see of its people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disclosure {
    /// Initials.
    None,
    /// The name.
    Name,
    /// The name and masked contacts.
    MaskedContact,
    /// Name, contacts and home.
    Full,
}

impl Disclosure {
    /// Every degree, for tables that must not forget one.
    pub const ALL: [Self; 4] = [Self::None, Self::Name, Self::MaskedContact, Self::Full];

    /// The word that people and records know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Name => "NAME",
            Self::MaskedContact => "MASKED_CONTACT",
            Self::Full => "FULL",
        }
    }
}

/// The state of a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum RelationshipState {
    /// Waits for the other side.
    Proposed,
    /// In force, unless suspended by a side.
    Active,
    /// The other side said no.
    Declined,
    /// The other side said nothing for 14 days.
    Lapsed,
    /// Over.
    Ended,
}

impl RelationshipState {
    /// Every state, for tables that must not forget one.
    pub const ALL: [Self; 5] = [Self::Proposed, Self::Active, Self::Declined, Self::Lapsed, Self::Ended];
}

/// One of the two workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that admits.
    Host,
    /// The one whose people are admitted.
    Home,
}

/// What the host decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTerms {
    /// The most that people of the home may have.
    pub ceiling: Ceiling,
    /// Widens what the host's Internals see of them; the host's own policy where absent.
    pub directory_visibility: Option<DirectoryVisibility>,
    /// The longest a membership may last; unlimited where absent.
    pub longest_membership: Option<Duration>,
    /// Whether the person must accept.
    pub acceptance: bool,
}

/// What the home decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeTerms {
    /// Widens what the host sees of its people; the home's own policy where absent.
    pub disclosure: Option<Disclosure>,
    /// Whether the host may link its people now.
    pub allows_host: bool,
    /// Whether the person must accept.
    pub acceptance: bool,
}

/// A directed relationship. At most one that is proposed or active for a pair of host and home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRelationship {
    /// Never changes.
    pub id: RelationshipId,
    /// Admits.
    pub host: WorkspaceId,
    /// Whose people are admitted.
    pub home: WorkspaceId,
    /// State.
    pub state: RelationshipState,
    /// Cleared only by the host.
    pub suspended_by_host: bool,
    /// Cleared only by the home.
    pub suspended_by_home: bool,
    /// The host's part.
    pub host_terms: HostTerms,
    /// The home's part.
    pub home_terms: HomeTerms,
    /// Which side proposed.
    pub proposed_by_side: Side,
    /// Who proposed.
    pub proposed_by: UserId,
    /// When.
    pub proposed_at: Timestamp,
    /// Who answered: never the one who proposed.
    pub answered_by: Option<UserId>,
    /// When.
    pub answered_at: Option<Timestamp>,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// Counts its changes.
    pub version: Version,
}

/// A relationship cannot make that move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelationshipMoveError {
    /// Not in its state.
    #[error("only a proposed relationship can be approved")]
    NotProposed,
    /// Proposals lapse after 14 days.
    #[error("the proposal lapsed; propose anew")]
    Lapsed,
    /// Two different people are needed.
    #[error("whoever proposed a relationship cannot approve it")]
    SamePerson,
}

impl WorkspaceRelationship {
    /// How long a proposal waits.
    pub const PROPOSED_FOR: Duration = Duration::from_hours(14 * 24);

    /// In force: active, and suspended by neither side.
    pub const fn is_in_force(&self) -> bool {
        matches!(self.state, RelationshipState::Active) && !self.suspended_by_host && !self.suspended_by_home
    }

    /// The other side says yes.
    ///
    /// # Errors
    /// Refused unless proposed within 14 days, and by somebody else than the proposer.
    pub fn approve(&mut self, by: UserId, now: Timestamp) -> Result<(), RelationshipMoveError> {
        if self.state != RelationshipState::Proposed {
            return Err(RelationshipMoveError::NotProposed);
        }
        if now >= self.proposed_at.after(Self::PROPOSED_FOR) {
            return Err(RelationshipMoveError::Lapsed);
        }
        if by == self.proposed_by {
            return Err(RelationshipMoveError::SamePerson);
        }
        self.state = RelationshipState::Active;
        self.answered_by = Some(by);
        self.answered_at = Some(now);
        self.version = self.version.next();
        Ok(())
    }
}
