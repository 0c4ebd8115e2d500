//! Answers kept for repeated requests. Ids only: nothing personal.

use super::id::{MembershipId, NoticeId, RequestId, UserId, WorkspaceId};
use super::membership::MembershipKind;
use super::time::{Revision, Timestamp, Version};

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum AssignOutcome {
    /// A new account, Internal here.
    CreatedInternal,
    /// An existing account, External here.
    LinkedExternal,
    /// An existing account, External here as soon as the person accepts.
    LinkPending,
}

impl AssignOutcome {
    /// Every outcome, for tables that must not forget one.
    pub const ALL: [Self; 3] = [Self::CreatedInternal, Self::LinkedExternal, Self::LinkPending];
}

/// The answer of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AssignAnswer {
    /// What it did.
    pub outcome: AssignOutcome,
    /// Where.
    pub workspace: WorkspaceId,
    /// Who.
    pub user: UserId,
    /// The membership that began.
    pub membership: MembershipId,
    /// Its kind.
    pub kind: MembershipKind,
    /// Its version.
    pub membership_version: Version,
    /// The message, unless none was asked for.
    pub notice: Option<NoticeId>,
    /// Typed profile fields that were not used, since the account exists.
    pub discarded_fields: Vec<String>,
    /// The workspace's revision that the save wrote.
    pub revision: Revision,
}

/// The answer of a new workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CreateWorkspaceAnswer {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its first manager.
    pub manager: UserId,
    /// The manager's membership.
    pub membership: MembershipId,
    /// The message to the manager.
    pub notice: NoticeId,
    /// The workspace's first revision.
    pub revision: Revision,
}

/// The answer of any other change: what was changed, and the revisions that it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChangeAnswer {
    /// The id of what was changed: a person, a role, a group, a relationship, a workspace.
    pub thing: uuid::Uuid,
    /// Every workspace in which the change counts, the one in which it was made first.
    pub written: Vec<(WorkspaceId, Revision)>,
}

/// An answer of any write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(tag = "of", rename_all = "snake_case")
)]
pub enum StoredAnswer {
    /// Of `AssignUser`.
    AssignUser(AssignAnswer),
    /// Of `CreateWorkspace`.
    CreateWorkspace(CreateWorkspaceAnswer),
    /// Of every other write; the method of the key tells them apart.
    Change(ChangeAnswer),
}

/// Whose request it is: the same id of another caller or method is another request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey {
    /// The calling service.
    pub service: String,
    /// The acting person; the nil id where there is none.
    pub user: UserId,
    /// The method, in words of the record.
    pub method: String,
    /// The id the caller gave.
    pub request: RequestId,
}

/// A digest of the body, so that one id with two bodies is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestFingerprint(pub [u8; 32]);

/// A write that had its effect, with its answer; kept for 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredRequest {
    /// Whose.
    pub key: RequestKey,
    /// Of the body.
    pub fingerprint: RequestFingerprint,
    /// The answer.
    pub answer: StoredAnswer,
    /// When it was given.
    pub at: Timestamp,
}
