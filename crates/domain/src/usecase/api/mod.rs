//! The inbound port: what adapters such as the gRPC server call.

mod access;
mod group;
mod member;
mod notice;
mod relationship;
mod role;
mod workspace;

pub use access::*;
pub use group::*;
pub use member::*;
pub use notice::*;
pub use relationship::*;
pub use role::*;
pub use workspace::*;

use async_trait::async_trait;

use crate::error::Refusal;
use crate::model::actor::Actor;
use crate::model::answer::RequestFingerprint;
use crate::model::budget::BudgetStanding;
use crate::model::group::GroupSize;
use crate::model::id::Id;
use crate::model::permission::Permission;
use crate::model::role::Role;
use crate::model::time::{Timestamp, Version};
use crate::model::workspace::Workspace;
use crate::port::authenticator::Caller;

/// Who asks, and until when the answer is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The calling service and the acting person.
    pub actor: Actor,
    /// After this instant nobody waits for the answer.
    pub deadline: Timestamp,
    /// Correlates with logs and traces.
    pub correlation_id: String,
    /// Through which surface it came: `grpc`, `embedded`.
    pub surface: &'static str,
}

/// A call before it is known whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// After this instant nobody waits for the answer.
    pub deadline: Timestamp,
    /// Correlates with logs and traces.
    pub correlation_id: String,
    /// Through which surface it came: `grpc`, `embedded`.
    pub surface: &'static str,
}

/// How fresh a read must be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Whatever answers fastest.
    #[default]
    MinimizeLatency,
    /// Not older than the write that gave this token.
    AtLeastAsFresh(String),
    /// Everything that was committed when the read began.
    FullyConsistent,
}

/// Makes a write repeatable: the same id and body have one effect and one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIdentity {
    /// A UUID that the caller made for this write.
    pub id: String,
    /// A digest of the whole body.
    pub fingerprint: RequestFingerprint,
}

/// Where a change is made, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The workspace, by id or handle.
    pub workspace: String,
    /// Makes it repeatable.
    pub request: RequestIdentity,
    /// Go as far as the preconditions and write nothing.
    pub validate_only: bool,
}

/// What a change did, or with `validate_only` would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// The thing as it is then; absent when an answer is repeated and the thing is gone since.
    pub thing: Option<T>,
    /// Makes a later read at least as fresh; absent for `validate_only`.
    pub consistency_token: Option<String>,
    /// Whether this is the answer of an earlier request with the same id.
    pub replayed: bool,
    /// How the budgets stand after a change that is an identity probe; empty after any other.
    pub budget: Vec<BudgetStanding>,
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// How many at most; 0 is 50, at most 1000.
    pub size: i32,
    /// Of the page before; empty for the first.
    pub token: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// For the next page; empty after the last.
    pub next_token: String,
}

/// What the domain can do for a caller. The gRPC server and embedding programs call it; `MockDomicileApi` stands in tests.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DomicileApi: Send + Sync {
    /// The actor behind a caller: the user to whom a proven identity is bound, or is bound now, at first sight, since its
    /// issuer is trusted for that. A surface asks it once for each call.
    async fn identify(&self, caller: Caller, arrival: &Arrival) -> Result<Actor, Refusal>;
    /// Records that a surface refused a known caller before the call was read, in the words of `reason`: once an hour for
    /// each service, method and reason. A surface asks it before it answers.
    async fn turned_away(&self, call: &Call, method: &str, reason: &str) -> Result<(), Refusal>;
    /// Searches by email or phone. Needs `create`.
    async fn lookup_user(&self, call: &Call, request: &LookupUser) -> Result<LookupReply, Refusal>;
    /// Creates or links, gives roles, saves, tells. Needs `create` and `update`.
    async fn assign_user(&self, call: &Call, request: &AssignUser) -> Result<AssignReply, Refusal>;
    /// Makes a workspace with its first manager. Needs the operator or the scope `workspaces.create`.
    async fn create_workspace(&self, call: &Call, request: &CreateWorkspace) -> Result<CreateWorkspaceReply, Refusal>;
    /// Binds an identity to a person of this home. Needs a qualifying manager, who is somebody else.
    async fn bind_identity(
        &self,
        call: &Call,
        order: &Order,
        change: &ChangeIdentity,
    ) -> Result<Changed<Account>, Refusal>;
    /// Takes an identity from a person of this home. Needs a qualifying manager.
    async fn unbind_identity(
        &self,
        call: &Call,
        order: &Order,
        change: &ChangeIdentity,
    ) -> Result<Changed<Account>, Refusal>;
    /// Proposes a relationship to another workspace. Needs a qualifying manager, as every call about relationships.
    async fn propose_relationship(
        &self,
        call: &Call,
        order: &Order,
        change: &ProposeRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// Changes terms of the own side.
    async fn update_relationship(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// Says yes to a proposal of the other side, with the own terms.
    async fn approve_relationship(
        &self,
        call: &Call,
        order: &Order,
        change: &ApproveRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// Says no to a proposal of the other side.
    async fn decline_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// Takes all access away that an active relationship admits, until the own side resumes it.
    async fn suspend_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// Takes back that the own side suspended a relationship.
    async fn resume_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// Ends a relationship for good, or takes the own proposal back.
    async fn end_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal>;
    /// A relationship of the workspace.
    async fn get_relationship(
        &self,
        call: &Call,
        workspace: &str,
        relationship: &str,
        fresh: &Consistency,
    ) -> Result<RelationshipView, Refusal>;
    /// The relationships of the workspace from either side, oldest first.
    async fn list_relationships(
        &self,
        call: &Call,
        workspace: &str,
        filter: &RelationshipFilter,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<RelationshipView>, Refusal>;
    /// Answers whether a person may do something. Needs the scope `access.check`.
    async fn check_access(&self, call: &Call, request: &CheckAccess) -> Result<AccessAnswer, Refusal>;
    /// Answers up to a hundred such questions as of one moment. Needs the scope `access.check` for each.
    async fn batch_check_access(&self, call: &Call, request: &BatchCheckAccess) -> Result<BatchAnswer, Refusal>;
    /// What a person may do in a workspace. Needs `update`, or to be the person, or the scope `access.check`.
    async fn list_effective_permissions(
        &self,
        call: &Call,
        request: &ListEffectivePermissions,
    ) -> Result<Page<EffectivePermission>, Refusal>;
    /// Who may do something in a workspace. Needs `update` or the scope `access.subjects`.
    async fn list_subjects(&self, call: &Call, request: &ListSubjects) -> Result<Page<AccessSubject>, Refusal>;
    /// Why a person may do something, or may not. Needs `update`, or to be the person, or the scope `access.check`.
    async fn explain_access(&self, call: &Call, request: &CheckAccess) -> Result<Explanation, Refusal>;
    /// A user as seen from a workspace. Needs `update` there, or to be the person.
    async fn get_user(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<UserView, Refusal>;
    /// A workspace. Needs to be a member of it, or the operator.
    async fn get_workspace(&self, call: &Call, workspace: &str, fresh: &Consistency) -> Result<Workspace, Refusal>;
    /// The workspaces that the acting person belongs to, by id; for the operator all.
    async fn list_workspaces(
        &self,
        call: &Call,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<WorkspaceEntry>, Refusal>;
    /// Replaces fields of a workspace's record. Needs a qualifying manager.
    async fn update_workspace(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateWorkspace,
    ) -> Result<Changed<Workspace>, Refusal>;
    /// A workspace with the rules it sets for itself. Needs `update`.
    async fn get_workspace_policy(
        &self,
        call: &Call,
        workspace: &str,
        fresh: &Consistency,
    ) -> Result<Workspace, Refusal>;
    /// Replaces rules of a workspace. Needs a qualifying manager.
    async fn update_workspace_policy(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateWorkspacePolicy,
    ) -> Result<Changed<PolicyChange>, Refusal>;
    /// Makes a group. Needs `update`; a qualifying manager for one that carries rights over the workspace.
    async fn create_group(
        &self,
        call: &Call,
        order: &Order,
        change: &CreateGroup,
    ) -> Result<Changed<GroupSize>, Refusal>;
    /// Replaces fields of a group. Needs `update`; a qualifying manager for one that carries rights over the workspace.
    async fn update_group(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateGroup,
    ) -> Result<Changed<GroupSize>, Refusal>;
    /// Deletes a group, and answers it as it was. Needs `update`; a qualifying manager for one that carries rights over the
    /// workspace.
    async fn delete_group(
        &self,
        call: &Call,
        order: &Order,
        change: &DeleteGroup,
    ) -> Result<Changed<GroupSize>, Refusal>;
    /// Puts Internals into a group. Needs `update`; a qualifying manager for one that carries rights over the workspace.
    async fn add_group_members(
        &self,
        call: &Call,
        order: &Order,
        change: &GroupMembers,
    ) -> Result<Changed<GroupSize>, Refusal>;
    /// Takes Internals out of a group. Needs `update`; a qualifying manager for one that carries rights over the workspace.
    async fn remove_group_members(
        &self,
        call: &Call,
        order: &Order,
        change: &GroupMembers,
    ) -> Result<Changed<GroupSize>, Refusal>;
    /// A group. Needs `update`.
    async fn get_group(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        fresh: &Consistency,
    ) -> Result<GroupSize, Refusal>;
    /// The groups of a workspace, by id. Needs `update`.
    async fn list_groups(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<GroupSize>, Refusal>;
    /// Who is in a group, by user id. Needs `update`.
    async fn list_group_members(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal>;
    /// A membership. Needs `update`, or to be the person.
    async fn get_membership(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<MemberView, Refusal>;
    /// The members of a workspace, by user id. Needs `update`.
    async fn list_memberships(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal>;
    /// The roles of a workspace, by handle. Needs to be a member of it.
    async fn list_roles(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<Role>, Refusal>;
    /// A role. Needs to be a member of its workspace.
    async fn get_role(&self, call: &Call, workspace: &str, role: &str, fresh: &Consistency) -> Result<Role, Refusal>;
    /// Makes a role. Needs a qualifying manager.
    async fn create_role(&self, call: &Call, order: &Order, new: &CreateRole) -> Result<Changed<Role>, Refusal>;
    /// Changes a role. Needs a qualifying manager.
    async fn update_role(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateRole,
    ) -> Result<Changed<RoleChange>, Refusal>;
    /// Deletes a role. Needs a qualifying manager.
    async fn delete_role(
        &self,
        call: &Call,
        order: &Order,
        change: &DeleteRole,
    ) -> Result<Changed<DeletedRole>, Refusal>;
    /// Replaces the roles of a member. Needs `update`; rights over the workspace need a qualifying manager.
    async fn set_roles(&self, call: &Call, order: &Order, change: &SetRoles) -> Result<Changed<MemberView>, Refusal>;
    /// Replaces the direct permissions of a member. Needs `update`; rights over the workspace need a qualifying manager.
    async fn set_permissions(
        &self,
        call: &Call,
        order: &Order,
        change: &SetPermissions,
    ) -> Result<Changed<MemberView>, Refusal>;
    /// Puts permissions into the catalogue. Needs the scope `permissions.register` with their prefix, for all workspaces.
    async fn register_permissions(
        &self,
        call: &Call,
        request: &RegisterPermissions,
    ) -> Result<Changed<Vec<Permission>>, Refusal>;
    /// Takes a permission out of use. Needs the scope by which it was registered.
    async fn retire_permission(
        &self,
        call: &Call,
        request: &RetirePermission,
    ) -> Result<Changed<RetiredPermission>, Refusal>;
    /// The catalogue of permissions, by name. Needs to be a member of the workspace.
    async fn list_permissions(&self, call: &Call, request: &ListPermissions) -> Result<Page<Permission>, Refusal>;
    /// A notice that the workspace triggered or delivers. Needs `update`, or to be the person.
    async fn get_notification(
        &self,
        call: &Call,
        workspace: &str,
        notice: &str,
        fresh: &Consistency,
    ) -> Result<NoticeView, Refusal>;
    /// Notices that the workspace triggered or delivers, newest first. Needs `update`.
    async fn list_notifications(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<NoticeView>, Refusal>;
}

/// The etag of a thing: its id and version, so that a new thing never matches an old one's.
pub fn etag<K>(id: Id<K>, version: Version) -> String {
    format!("{id}-{version}")
}
