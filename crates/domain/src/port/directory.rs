//! The read side of a store: what needs no unit of work. Each call sees one committed state.

use std::sync::Arc;

use async_trait::async_trait;

use super::store::StoreError;
use crate::event::Event;
use crate::model::audit::AuditRecord;
use crate::model::facts::AccessFacts;
use crate::model::group::{GroupRef, GroupSize};
use crate::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use crate::model::membership::{ExternalStanding, Membership};
use crate::model::notice::{Attempt, Message, Notice};
use crate::model::permission::{Permission, PermissionName};
use crate::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use crate::model::role::Role;
use crate::model::time::{Revision, Timestamp};
use crate::model::user::{Identity, User};
use crate::model::workspace::{Workspace, WorkspaceRef};

/// A member with what a view of it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The membership.
    pub membership: Membership,
    /// The account.
    pub user: User,
    /// The home's policy on what others may see; absent for Internals.
    pub home: Option<Workspace>,
    /// The relationship of the workspace with the home; absent for Internals.
    pub relationship: Option<WorkspaceRelationship>,
}

/// A workspace that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BelongingRow {
    /// The workspace.
    pub workspace: Workspace,
    /// How the person stands there as an External; absent at home.
    pub external: Option<ExternalStanding>,
}

/// A notice with its delivery record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    /// The notice.
    pub notice: Notice,
    /// Its text, once written.
    pub message: Option<Message>,
    /// The attempts, in order.
    pub attempts: Vec<Attempt>,
}

/// Whom a check is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CheckedSubject {
    /// By id.
    User(UserId),
    /// By an identity that is bound to the person.
    Identity(Identity),
}

/// What a check names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckKey {
    /// Where.
    pub workspace: WorkspaceRef,
    /// Who.
    pub subject: CheckedSubject,
    /// What.
    pub permission: PermissionName,
}

/// What decides a check, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFacts {
    /// The person in the workspace; absent if there is no such workspace.
    pub access: Option<Arc<AccessFacts>>,
    /// The entry of the catalogue, a retired one included; absent if the permission is unknown.
    pub permission: Option<Arc<Permission>>,
    /// Until when the facts are known to have been true; absent if they were read for this question.
    pub as_of: Option<Timestamp>,
}

/// How fresh facts must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// What is known of workspaces and homes may be up to a bound old; what this process wrote is seen at once.
    Bounded,
    /// The same, and no workspace that is named may be older than the revision.
    AtLeast(Vec<(WorkspaceId, Revision)>),
    /// Everything that was committed when the question was asked.
    Newest,
}

impl Freshness {
    /// Whether what was read of a workspace at a revision is not older than was wanted.
    pub fn is_met_by(&self, workspace: WorkspaceId, read: Revision) -> bool {
        match self {
            Self::AtLeast(rows) => rows.iter().all(|(of, least)| *of != workspace || *least <= read),
            Self::Bounded | Self::Newest => true,
        }
    }
}

/// A relationship with what a view of it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipRow {
    /// The relationship.
    pub relationship: WorkspaceRelationship,
    /// Admits.
    pub host: Workspace,
    /// Whose people are admitted.
    pub home: Workspace,
    /// The roles of the ceiling that there are, by handle.
    pub roles: Vec<Role>,
}

/// Which relationships to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipQuery {
    /// Of this workspace.
    pub workspace: WorkspaceId,
    /// Those in which it is that side; either where absent.
    pub side: Option<Side>,
    /// Those in one of these states; every one if empty.
    pub states: Vec<RelationshipState>,
    /// What was proposed at or before this and has not been answered counts as lapsed.
    pub lapsed: Timestamp,
}

/// Reads.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Directory: Send + Sync {
    /// The workspace.
    async fn workspace(&self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError>;

    /// At most `limit` workspaces whose id is above `after` (nil for the first page), in order of id.
    async fn workspaces(&self, after: WorkspaceId, limit: u32) -> Result<Vec<Workspace>, StoreError>;

    /// The same of those in which a person has a live membership, with how they stand there.
    async fn workspaces_of(
        &self,
        user: UserId,
        after: WorkspaceId,
        limit: u32,
    ) -> Result<Vec<BelongingRow>, StoreError>;

    /// The user, erased ones included.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user to whom an identity is bound.
    async fn user_by_identity(&self, identity: &Identity) -> Result<Option<UserId>, StoreError>;

    /// The identities that are bound to a user, by issuer and subject.
    async fn identities(&self, user: UserId) -> Result<Vec<Identity>, StoreError>;

    /// Everything that decides what a person may do in a workspace; `None` if there is no such workspace. The number of
    /// statements does not depend on what exists.
    async fn access_facts(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError>;

    /// What decides each of some checks, in the same order and as of one moment. The number of statements does not
    /// depend on how many checks there are. A store answers with the newest whatever is asked; what stands before
    /// it may answer from what it kept, if that is fresh enough.
    async fn check_facts(&self, checks: &[CheckKey], freshness: &Freshness) -> Result<Vec<CheckFacts>, StoreError>;

    /// The facts of at most `limit` members of a workspace to whom a permission is granted, directly, by a role or by a role
    /// of a group, whose user id is above `after` (nil for the first page), in order of user id.
    async fn grantees(
        &self,
        workspace: WorkspaceId,
        permission: &PermissionName,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError>;

    /// The entry of the catalogue, retired ones included.
    async fn permission(&self, name: &PermissionName) -> Result<Option<Permission>, StoreError>;

    /// At most `limit` entries of the catalogue whose name is above `after` (empty for the first page) and begins with the
    /// words of `prefix` (empty for all), by name; retired ones only if `retired`.
    async fn permissions(
        &self,
        prefix: &str,
        retired: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Permission>, StoreError>;

    /// All roles of a workspace, by handle.
    async fn roles(&self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError>;

    /// The group of a workspace.
    async fn group(&self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError>;

    /// At most `limit` groups of a workspace whose id is above `after` (nil for the first page), in order of id.
    async fn groups(&self, workspace: WorkspaceId, after: GroupId, limit: u32) -> Result<Vec<GroupSize>, StoreError>;

    /// At most `limit` members of a workspace who are in a group and whose user id is above `after` (nil for the first
    /// page), in order of user id.
    async fn group_members(
        &self,
        workspace: WorkspaceId,
        group: GroupId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<MemberRow>, StoreError>;

    /// One member.
    async fn member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>, StoreError>;

    /// At most `limit` members of a workspace whose user id is above `after` (nil for the first page), in order of user id.
    async fn members(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Result<Vec<MemberRow>, StoreError>;

    /// One relationship.
    async fn relationship(&self, id: RelationshipId) -> Result<Option<RelationshipRow>, StoreError>;

    /// At most `limit` relationships whose id is above `after` (nil for the first page), in order of id. The number of
    /// statements does not depend on how many there are.
    async fn relationships(
        &self,
        query: &RelationshipQuery,
        after: RelationshipId,
        limit: u32,
    ) -> Result<Vec<RelationshipRow>, StoreError>;

    /// One notice.
    async fn notice(&self, id: NoticeId) -> Result<Option<NoticeRow>, StoreError>;

    /// At most `limit` notices that the workspace triggered or delivers, whose id is below `before` (the greatest id for the
    /// first page), newest first.
    async fn notices(&self, workspace: WorkspaceId, before: NoticeId, limit: u32)
    -> Result<Vec<NoticeRow>, StoreError>;

    /// At most `limit` events of a workspace after a place in its log, in order.
    async fn events(&self, workspace: WorkspaceId, after: Revision, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// At most `limit` rows of a workspace's view of the audit record, newest first.
    async fn audit(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<AuditRecord>, StoreError>;
}
