//! A person in a workspace: Internal at home, External everywhere else. Two kinds, two types.

use std::collections::BTreeSet;

use super::id::{GroupId, MembershipId, OrganizationalUnitId, RoleId, UserId, WorkspaceId};
use super::language::LanguageTag;
use super::name::ExternalId;
use super::permission::PermissionName;
use super::time::{Timestamp, Version};
use super::workspace::Workspace;

/// The kind of a membership. It decides what may be granted; it grants nothing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum MembershipKind {
    /// In the home.
    Internal,
    /// Anywhere else.
    External,
}

/// What is granted directly to a person in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Roles of the workspace.
    pub roles: BTreeSet<RoleId>,
    /// Direct permissions.
    pub permissions: BTreeSet<PermissionName>,
}

/// What both kinds have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipBase {
    /// This life of the membership.
    pub id: MembershipId,
    /// Who.
    pub user: UserId,
    /// Where.
    pub workspace: WorkspaceId,
    /// What is granted.
    pub grants: Grants,
    /// Who assigned; absent where a service did without a person.
    pub assigned_by: Option<UserId>,
    /// When.
    pub assigned_at: Timestamp,
    /// What another system calls it.
    pub external_id: Option<ExternalId>,
    /// Counts its changes.
    pub version: Version,
}

/// The membership of a person in the home. It has no state of its own: the account's is felt here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalMembership {
    /// What both kinds have.
    pub base: MembershipBase,
    /// Groups; they may carry roles.
    pub groups: BTreeSet<GroupId>,
    /// Organizational units.
    pub units: BTreeSet<OrganizationalUnitId>,
}

/// The state of an External membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ExternalState {
    /// Waits for the person; grants nothing.
    Pending,
    /// In use.
    Active,
    /// Switched off by the host.
    Suspended,
    /// Waits for a proof of the person's contact; grants nothing.
    Review,
}

impl ExternalState {
    /// Every state, for tables that must not forget one.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Suspended, Self::Review];
}

/// The membership of a person outside the home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalMembership {
    /// What both kinds have.
    pub base: MembershipBase,
    /// State.
    pub state: ExternalState,
    /// The language of messages about this membership.
    pub language: Option<LanguageTag>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Who answers for the person here.
    pub sponsor: Option<UserId>,
    /// The contact that the host typed: personal, and what its managers may see.
    pub typed_contact: Option<String>,
}

/// Why a membership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum EndReason {
    /// By the host.
    Unlinked,
    /// By the person.
    Left,
    /// By the person, before it began.
    Declined,
    /// Nobody accepted in time.
    Lapsed,
    /// Its time was over.
    Expired,
    /// The account was deactivated or erased.
    AccountEnded,
    /// The workspace closed.
    WorkspaceClosed,
    /// The home moved.
    Moved,
}

impl EndReason {
    /// Every reason, for tables that must not forget one.
    pub const ALL: [Self; 8] = [
        Self::Unlinked,
        Self::Left,
        Self::Declined,
        Self::Lapsed,
        Self::Expired,
        Self::AccountEnded,
        Self::WorkspaceClosed,
        Self::Moved,
    ];

    /// Whether the next link waits for acceptance: the person said no, or was asked and never said yes. Otherwise a host
    /// that was left would only have to wait.
    pub const fn asks_next_time(self) -> bool {
        matches!(self, Self::Left | Self::Declined | Self::Lapsed)
    }
}

/// A live membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// In the home.
    Internal(InternalMembership),
    /// Anywhere else.
    External(ExternalMembership),
}

impl Membership {
    /// What both kinds have.
    pub const fn base(&self) -> &MembershipBase {
        match self {
            Self::Internal(internal) => &internal.base,
            Self::External(external) => &external.base,
        }
    }

    /// The kind.
    pub const fn kind(&self) -> MembershipKind {
        match self {
            Self::Internal(_) => MembershipKind::Internal,
            Self::External(_) => MembershipKind::External,
        }
    }
}

/// What decides whether an External membership can be used, without the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExternalStanding {
    /// State.
    pub state: ExternalState,
    /// When it began.
    pub assigned_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl ExternalStanding {
    /// Whether its time is over, by a clock that was read once: expired, or pending for 30 days. What ends while it is
    /// pending has lapsed: nobody accepted.
    ///
    /// The end is exclusive: at the very instant of `expires_at` it is over (C16).
    pub fn is_over(&self, now: Timestamp) -> Option<EndReason> {
        let expired = self.expires_at.is_some_and(|end| now >= end);
        let waited = now >= self.assigned_at.after(Workspace::PENDING_FOR);
        match self.state {
            ExternalState::Pending => (waited || expired).then_some(EndReason::Lapsed),
            ExternalState::Active | ExternalState::Suspended | ExternalState::Review => {
                expired.then_some(EndReason::Expired)
            }
        }
    }
}

impl ExternalMembership {
    /// What decides whether it can be used.
    pub const fn standing(&self) -> ExternalStanding {
        ExternalStanding { state: self.state, assigned_at: self.base.assigned_at, expires_at: self.expires_at }
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> Option<EndReason> {
        self.standing().is_over(now)
    }

    /// Ends it.
    pub fn end(self, reason: EndReason, now: Timestamp) -> EndedMembership {
        EndedMembership {
            id: self.base.id,
            user: self.base.user,
            workspace: self.base.workspace,
            kind: MembershipKind::External,
            grants: self.base.grants,
            external_id: self.base.external_id,
            assigned_by: self.base.assigned_by,
            assigned_at: self.base.assigned_at,
            reason,
            ended_at: now,
            version: self.base.version.next(),
        }
    }
}

/// A membership that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedMembership {
    /// The life that ended.
    pub id: MembershipId,
    /// Who.
    pub user: UserId,
    /// Where.
    pub workspace: WorkspaceId,
    /// Which kind it was.
    pub kind: MembershipKind,
    /// What was granted; never restored by itself (M9).
    pub grants: Grants,
    /// What another system called it.
    pub external_id: Option<ExternalId>,
    /// Who had assigned.
    pub assigned_by: Option<UserId>,
    /// When.
    pub assigned_at: Timestamp,
    /// Why it ended.
    pub reason: EndReason,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The last version.
    pub version: Version,
}

/// What a manager may do with a membership: computed, so that no screen has to know the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AllowedAction {
    /// Change names, username, contacts, preferred language.
    EditProfile,
    /// Replace roles and direct permissions.
    SetRoles,
    /// Put into groups.
    SetGroups,
    /// Put into organizational units.
    SetUnits,
    /// Set the language of this membership.
    SetLanguage,
    /// Set its end.
    SetExpiry,
    /// Switch off: this membership of an External, the account of an Internal.
    Suspend,
    /// Switch on again.
    Reactivate,
    /// Let an External go.
    Unlink,
    /// Deactivate the account of an Internal.
    Deactivate,
    /// Confirm an External in review.
    Confirm,
}

impl InternalMembership {
    /// What the home's manager may do, by the state of the account.
    pub fn allowed_actions(&self, account: super::user::UserState) -> Vec<AllowedAction> {
        use super::user::UserState;
        use AllowedAction::{Deactivate, EditProfile, Reactivate, SetGroups, SetRoles, SetUnits, Suspend};
        match account {
            UserState::Active => vec![EditProfile, SetRoles, SetGroups, SetUnits, Suspend, Deactivate],
            UserState::Suspended => vec![EditProfile, SetRoles, SetGroups, SetUnits, Reactivate, Deactivate],
            UserState::Deactivated => vec![Reactivate],
            UserState::Erased => vec![],
        }
    }
}

impl ExternalMembership {
    /// What the host's manager may do.
    pub fn allowed_actions(&self, now: Timestamp) -> Vec<AllowedAction> {
        use AllowedAction::{Confirm, Reactivate, SetExpiry, SetLanguage, SetRoles, Suspend, Unlink};
        if self.is_over(now).is_some() {
            return vec![];
        }
        match self.state {
            ExternalState::Pending => vec![SetRoles, SetLanguage, SetExpiry, Unlink],
            ExternalState::Active => vec![SetRoles, SetLanguage, SetExpiry, Suspend, Unlink],
            ExternalState::Suspended => vec![SetRoles, SetLanguage, SetExpiry, Reactivate, Unlink],
            ExternalState::Review => {
                vec![SetRoles, SetLanguage, SetExpiry, Suspend, Confirm, Unlink]
            }
        }
    }
}
