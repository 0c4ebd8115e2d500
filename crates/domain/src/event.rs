//! Events: one a change, ordered within a workspace, without personal values.

use crate::model::id::{EventId, GroupId, MembershipId, RelationshipId, RoleId, UserId, WorkspaceId};
use crate::model::membership::{EndReason, ExternalState, MembershipKind};
use crate::model::relationship::RelationshipState;
use crate::model::time::{Revision, Timestamp};

/// An event of the log of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id; a consumer that saw it before knows it by this.
    pub id: EventId,
    /// Whose log.
    pub workspace: WorkspaceId,
    /// The revision of the workspace in the unit that wrote it: the order.
    pub revision: Revision,
    /// The place among the events of that unit, from 0.
    pub index: u16,
    /// Who did it, if a person did.
    pub actor: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "kind", rename_all = "snake_case")
)]
pub enum EventBody {
    /// A workspace was created.
    WorkspaceCreated {},
    /// An account was created here.
    UserCreated {
        /// Whose.
        user: UserId,
    },
    /// Something of an account changed.
    UserChanged {
        /// Whose.
        user: UserId,
        /// The paths of what changed; values are read where they may be seen.
        paths: Vec<String>,
    },
    /// A membership began.
    MembershipCreated {
        /// This life of it.
        membership: MembershipId,
        /// Whose.
        user: UserId,
        /// Which kind.
        membership_kind: MembershipKind,
        /// The state of an External; absent for an Internal.
        state: Option<ExternalState>,
        /// The roles it began with.
        roles: Vec<RoleId>,
    },
    /// A membership ended.
    MembershipEnded {
        /// Which life of it.
        membership: MembershipId,
        /// Whose.
        user: UserId,
        /// Why.
        reason: EndReason,
        /// The roles it had.
        roles: Vec<RoleId>,
    },
    /// Something of a membership changed.
    MembershipChanged {
        /// Which life of it.
        membership: MembershipId,
        /// Whose.
        user: UserId,
        /// The paths of what changed.
        paths: Vec<String>,
        /// The roles before.
        roles_before: Vec<RoleId>,
        /// The roles after.
        roles_after: Vec<RoleId>,
    },
    /// Something of the workspace's own record changed.
    WorkspaceChanged {
        /// The paths of what changed.
        paths: Vec<String>,
    },
    /// A role was made.
    RoleCreated {
        /// Which.
        role: RoleId,
    },
    /// A role was changed: what it grants, or to whom it may be given.
    RoleChanged {
        /// Which.
        role: RoleId,
        /// The paths of what changed.
        paths: Vec<String>,
    },
    /// A role was deleted, and taken from everybody who had it.
    RoleDeleted {
        /// Which.
        role: RoleId,
    },
    /// A group was made.
    GroupCreated {
        /// Which.
        group: GroupId,
    },
    /// A group was changed.
    GroupChanged {
        /// Which.
        group: GroupId,
        /// The paths of what changed.
        paths: Vec<String>,
    },
    /// A group was deleted; nobody is in it any more.
    GroupDeleted {
        /// Which.
        group: GroupId,
    },
    /// People came into a group or left it.
    GroupMembersChanged {
        /// Which.
        group: GroupId,
        /// Who came.
        added: Vec<UserId>,
        /// Who left.
        removed: Vec<UserId>,
    },
    /// A relationship began, changed or ended, as made by this side.
    RelationshipChanged {
        /// Which.
        relationship: RelationshipId,
        /// The workspace that admits.
        host: WorkspaceId,
        /// The workspace whose people are admitted; absent while it keeps to itself whose home the host found.
        home: Option<WorkspaceId>,
        /// The state before; absent for a new one.
        before: Option<RelationshipState>,
        /// The state after.
        after: RelationshipState,
        /// The paths of what changed.
        paths: Vec<String>,
    },
}
