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

impl Ceiling {
    /// What both admit.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        Self {
            roles: self.roles.intersection(&other.roles).copied().collect(),
            permissions: self.permissions.intersection(&other.permissions).cloned().collect(),
        }
    }
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

impl Side {
    /// Both, for tables that must not forget one.
    pub const ALL: [Self; 2] = [Self::Host, Self::Home];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Host => Self::Home,
            Self::Home => Self::Host,
        }
    }
}

/// What the host decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeTerms {
    /// Widens what the host sees of its people; the home's own policy where absent.
    pub disclosure: Option<Disclosure>,
    /// Whether the host may link its people now.
    pub allows_host: bool,
    /// Whether the person must accept.
    pub acceptance: bool,
}

/// What one side decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terms {
    /// The host's part.
    Host(HostTerms),
    /// The home's part.
    Home(HomeTerms),
}

impl Terms {
    /// Whose part it is.
    pub const fn side(&self) -> Side {
        match self {
            Self::Host(_) => Side::Host,
            Self::Home(_) => Side::Home,
        }
    }
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
    /// State as it is stored; [`state_at`](Self::state_at) tells of a proposal that lapsed meanwhile.
    pub state: RelationshipState,
    /// Cleared only by the host.
    pub suspended_by_host: bool,
    /// Cleared only by the home.
    pub suspended_by_home: bool,
    /// The host's part; without meaning before the host has agreed.
    pub host_terms: HostTerms,
    /// The home's part; without meaning before the home has agreed.
    pub home_terms: HomeTerms,
    /// Which side proposed.
    pub proposed_by_side: Side,
    /// Who proposed.
    pub proposed_by: UserId,
    /// When.
    pub proposed_at: Timestamp,
    /// Whether the host found its home by a person, and may not know whose home it is before the home says yes.
    pub home_withheld: bool,
    /// Who said yes or no: never the one who proposed.
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
    #[error("only a proposed relationship is approved or declined")]
    NotProposed,
    /// Proposals lapse after 14 days.
    #[error("the proposal lapsed, since nobody answered it for 14 days; propose anew")]
    Lapsed,
    /// Two different people are needed.
    #[error("whoever proposed a relationship cannot approve it; somebody of the other workspace does")]
    SamePerson,
    /// The side that proposed does not answer itself.
    #[error("the other workspace answers the proposal; yours can change its own terms or end the proposal")]
    OtherSideAnswers,
    /// The side that was asked says yes with its terms, or no.
    #[error("your workspace has not answered the proposal; approve it with your terms, or decline it")]
    Unanswered,
    /// Not in its state.
    #[error("only an active relationship is suspended or resumed")]
    NotActive,
    /// Nothing is left to change.
    #[error("the relationship is over; propose a new one")]
    Over,
}

impl WorkspaceRelationship {
    /// How long a proposal waits.
    pub const PROPOSED_FOR: Duration = Duration::from_hours(14 * 24);

    /// A proposal of one side, with its own terms.
    pub fn propose(
        id: RelationshipId,
        (host, home): (WorkspaceId, WorkspaceId),
        terms: Terms,
        by: UserId,
        now: Timestamp,
    ) -> Self {
        let mut proposed = Self {
            id,
            host,
            home,
            state: RelationshipState::Proposed,
            suspended_by_host: false,
            suspended_by_home: false,
            host_terms: HostTerms::default(),
            home_terms: HomeTerms::default(),
            proposed_by_side: terms.side(),
            proposed_by: by,
            proposed_at: now,
            home_withheld: false,
            answered_by: None,
            answered_at: None,
            ended_at: None,
            version: Version::FIRST,
        };
        proposed.put(terms);
        proposed
    }

    /// Which side a workspace is, if it is one.
    pub fn side_of(&self, workspace: WorkspaceId) -> Option<Side> {
        Side::ALL.into_iter().find(|side| self.workspace_of(*side) == workspace)
    }

    /// The workspace of a side.
    pub const fn workspace_of(&self, side: Side) -> WorkspaceId {
        match side {
            Side::Host => self.host,
            Side::Home => self.home,
        }
    }

    /// In force: active, and suspended by neither side.
    pub const fn is_in_force(&self) -> bool {
        matches!(self.state, RelationshipState::Active) && !self.is_suspended()
    }

    /// Whether a side has suspended it. The end of a relationship clears no flag.
    pub const fn is_suspended(&self) -> bool {
        self.suspended_by_host || self.suspended_by_home
    }

    /// Whether both sides agreed to it: it is active, or was. What it restricts is restricted until the two agree anew;
    /// what it opens, it opens while it is in force.
    pub const fn was_agreed(&self) -> bool {
        let agreed = matches!(self.state, RelationshipState::Active | RelationshipState::Ended);
        agreed && self.answered_at.is_some()
    }

    /// Whether the side has said its terms: the proposer has, the other one with its yes.
    pub fn has_terms_of(&self, side: Side) -> bool {
        side == self.proposed_by_side || self.was_agreed()
    }

    /// Whether a side may know which workspace the other one is.
    pub const fn shows_other_to(&self, side: Side) -> bool {
        !(self.home_withheld && matches!(side, Side::Host)) || self.was_agreed()
    }

    /// A proposal made at or before this has lapsed by `now`.
    pub const fn lapsed_if_proposed_by(now: Timestamp) -> Timestamp {
        let waits = Self::PROPOSED_FOR.as_secs().cast_signed().saturating_mul(1_000_000);
        Timestamp::from_micros(now.as_micros().saturating_sub(waits))
    }

    /// Whether it was proposed and waited too long.
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        self.state == RelationshipState::Proposed && self.proposed_at <= Self::lapsed_if_proposed_by(now)
    }

    /// The state as people see it.
    pub fn state_at(&self, now: Timestamp) -> RelationshipState {
        if self.is_lapsed(now) { RelationshipState::Lapsed } else { self.state }
    }

    /// Says that a proposal which waited too long has lapsed, so that another can be made.
    pub fn lapse(&mut self) {
        self.state = RelationshipState::Lapsed;
        self.version = self.version.next();
    }

    /// The other side says yes, with its own terms.
    ///
    /// # Errors
    /// Refused unless proposed within 14 days, by the other side, and by somebody else than the proposer.
    pub fn approve(&mut self, by: UserId, terms: Terms, now: Timestamp) -> Result<(), RelationshipMoveError> {
        self.answer(by, terms.side(), now)?;
        self.put(terms);
        self.state = RelationshipState::Active;
        Ok(())
    }

    /// The other side says no.
    ///
    /// # Errors
    /// Refused unless proposed within 14 days, by the other side, and by somebody else than the proposer.
    pub fn decline(&mut self, by: UserId, side: Side, now: Timestamp) -> Result<(), RelationshipMoveError> {
        self.answer(by, side, now)?;
        self.state = RelationshipState::Declined;
        Ok(())
    }

    fn answer(&mut self, by: UserId, side: Side, now: Timestamp) -> Result<(), RelationshipMoveError> {
        match self.state_at(now) {
            RelationshipState::Proposed => {}
            RelationshipState::Lapsed => return Err(RelationshipMoveError::Lapsed),
            RelationshipState::Active | RelationshipState::Declined | RelationshipState::Ended => {
                return Err(RelationshipMoveError::NotProposed);
            }
        }
        if by == self.proposed_by {
            return Err(RelationshipMoveError::SamePerson);
        }
        if side == self.proposed_by_side {
            return Err(RelationshipMoveError::OtherSideAnswers);
        }
        self.answered_by = Some(by);
        self.answered_at = Some(now);
        self.version = self.version.next();
        Ok(())
    }

    /// A side changes its own terms. If they are so already, nothing changes.
    ///
    /// # Errors
    /// Refused once it is over, and to the side that has not answered yet.
    pub fn change_terms(&mut self, terms: Terms, now: Timestamp) -> Result<(), RelationshipMoveError> {
        match self.state_at(now) {
            RelationshipState::Proposed if terms.side() != self.proposed_by_side => {
                return Err(RelationshipMoveError::Unanswered);
            }
            RelationshipState::Proposed | RelationshipState::Active => {}
            RelationshipState::Lapsed => return Err(RelationshipMoveError::Lapsed),
            RelationshipState::Declined | RelationshipState::Ended => return Err(RelationshipMoveError::Over),
        }
        let before = self.clone();
        self.put(terms);
        if *self != before {
            self.version = self.version.next();
        }
        Ok(())
    }

    /// A side suspends it, for as long as that side wants. Suspended by that side already, nothing changes.
    ///
    /// # Errors
    /// Refused unless active.
    pub fn suspend(&mut self, side: Side) -> Result<(), RelationshipMoveError> {
        self.flag(side, true)
    }

    /// A side takes back that it suspended it; what the other side suspended stays so. Not suspended by that side, nothing
    /// changes.
    ///
    /// # Errors
    /// Refused unless active.
    pub fn resume(&mut self, side: Side) -> Result<(), RelationshipMoveError> {
        self.flag(side, false)
    }

    fn flag(&mut self, side: Side, suspended: bool) -> Result<(), RelationshipMoveError> {
        if self.state != RelationshipState::Active {
            return Err(RelationshipMoveError::NotActive);
        }
        let flag = match side {
            Side::Host => &mut self.suspended_by_host,
            Side::Home => &mut self.suspended_by_home,
        };
        if *flag != suspended {
            *flag = suspended;
            self.version = self.version.next();
        }
        Ok(())
    }

    /// Either side ends it, and the side that proposed its proposal. It cannot be taken back; a new one can be proposed.
    ///
    /// # Errors
    /// Refused once it is over, and to the side that has not answered yet.
    pub fn end(&mut self, side: Side, now: Timestamp) -> Result<(), RelationshipMoveError> {
        match self.state_at(now) {
            RelationshipState::Proposed if side != self.proposed_by_side => {
                return Err(RelationshipMoveError::Unanswered);
            }
            RelationshipState::Proposed | RelationshipState::Active => {}
            RelationshipState::Lapsed => return Err(RelationshipMoveError::Lapsed),
            RelationshipState::Declined | RelationshipState::Ended => return Err(RelationshipMoveError::Over),
        }
        self.state = RelationshipState::Ended;
        self.ended_at = Some(now);
        self.version = self.version.next();
        Ok(())
    }

    /// The same at its next version, with a role of the host taken from the ceiling.
    #[must_use]
    pub fn without_role(&self, role: RoleId) -> Self {
        let mut without = Self { version: self.version.next(), ..self.clone() };
        without.host_terms.ceiling.roles.remove(&role);
        without
    }

    fn put(&mut self, terms: Terms) {
        match terms {
            Terms::Host(terms) => self.host_terms = terms,
            Terms::Home(terms) => self.home_terms = terms,
        }
    }
}
