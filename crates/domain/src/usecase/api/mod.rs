//! The inbound port: what adapters such as the gRPC server call.

mod access;
mod group;
mod relationship;
mod role;
mod workspace;
pub use access::*;
pub use group::*;
pub use role::*;
pub use workspace::*;

use async_trait::async_trait;

use crate::error::Refusal;
use crate::model::actor::Actor;
use crate::model::answer::AssignOutcome;
use crate::model::answer::RequestFingerprint;
use crate::model::budget::BudgetStanding;
use crate::model::contact::{ContactKind, ContactStanding};
use crate::model::group::GroupSize;
use crate::model::id::{Id, NoticeId, WorkspaceId};
use crate::model::membership::{AllowedAction, ExternalState, Membership, MembershipKind};
use crate::model::notice::{Attempt, Message, Notice};
use crate::model::permission::Permission;
use crate::model::role::Role;
use crate::model::time::{Timestamp, Version};
use crate::model::user::{Identity, User, UserState};
use crate::model::workspace::Workspace;
use crate::policy::resolver::LookupOutcome;
use crate::port::authenticator::Caller;

pub use relationship::*;

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

/// Search for a person by email, phone or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LookupUser {
    /// Id or handle.
    pub workspace: String,
    /// As typed; empty if not given.
    pub email: String,
    /// As typed; empty if not given.
    pub phone: String,
}

/// A contact by which somebody was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedBy {
    /// Email or phone.
    pub kind: ContactKind,
    /// Asserted or verified.
    pub standing: ContactStanding,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupReply {
    /// The outcome, M1 to M14.
    pub outcome: LookupOutcome,
    /// By which contacts; empty if nobody is shown.
    pub matched_by: Vec<MatchedBy>,
    /// The person as far as the home discloses: initials at least; absent if nobody is shown.
    pub display: Option<String>,
    /// The kind of the membership here, for outcomes that tell of one.
    pub member_kind: Option<MembershipKind>,
    /// Its state, as [`MemberState`], for outcomes that tell of one.
    pub member_state: Option<MemberState>,
    /// Ties a save to this lookup, miss or hit; ten minutes.
    pub match_handle: String,
    /// When the handle stops serving.
    pub match_handle_expires_at: Timestamp,
    /// How the budgets stand after this call.
    pub budget: Vec<BudgetStanding>,
}

/// The state of a membership as people see it: the External's own, or the account's of an Internal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// Usable.
    Active,
    /// Waits for the person.
    Pending,
    /// Suspended here, or the account for an Internal.
    Suspended,
    /// Waits for a proof of contact.
    Review,
    /// The account is deactivated; Internals only.
    Deactivated,
    /// Its time is over; it has not been swept yet.
    Over,
}

/// What the caller expects a save to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// Create an Internal.
    Create,
    /// Link an existing person.
    Link,
    /// Whichever fits; links on an email match only.
    Either,
}

impl Expectation {
    /// Every expectation, for tables that must not forget one.
    pub const ALL: [Self; 3] = [Self::Create, Self::Link, Self::Either];
}

/// A new person's details, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileInput {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Username.
    pub username: String,
    /// Preferred language.
    pub preferred_language: String,
}

/// Roles (ids or handles) and direct permissions, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantsInput {
    /// Roles by id or handle.
    pub roles: Vec<String>,
    /// Permissions by name.
    pub permissions: Vec<String>,
}

/// What an External gets, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExternalInput {
    /// Roles and direct permissions.
    pub grants: GrantsInput,
    /// Language of messages about this membership; empty for none of its own.
    pub language: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Create or link a person, give roles, save, tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignUser {
    /// Id or handle.
    pub workspace: String,
    /// Makes it repeatable.
    pub request: RequestIdentity,
    /// Create, link or either; absent is refused.
    pub expectation: Option<Expectation>,
    /// As typed.
    pub email: String,
    /// As typed; empty if not given.
    pub phone: String,
    /// Of the lookup; empty if there was none.
    pub match_handle: String,
    /// Needed to create; discarded and reported when linking.
    pub profile: ProfileInput,
    /// What the person gets if created.
    pub internal: GrantsInput,
    /// What the person gets if linked.
    pub external: ExternalInput,
    /// What another system calls the membership; empty if nothing.
    pub external_id: String,
    /// Whether the person is told; `false` serves for creating Internals only, and absent is refused.
    pub notify: Option<bool>,
    /// Go as far as the preconditions and write nothing.
    pub validate_only: bool,
}

/// What a save did, or with `validate_only` would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignReply {
    /// What it did.
    pub outcome: AssignOutcome,
    /// The membership as its manager sees it; absent for `validate_only`.
    pub member: Option<MemberView>,
    /// The message that was queued, unless none was asked for.
    pub notice: Option<NoticeId>,
    /// Typed fields that were not used, since the account exists.
    pub discarded_fields: Vec<String>,
    /// Makes a later read at least as fresh; absent for `validate_only`.
    pub consistency_token: Option<String>,
    /// Whether this is the answer of an earlier request with the same id.
    pub replayed: bool,
    /// How the budgets stand after this call.
    pub budget: Vec<BudgetStanding>,
}

/// A new workspace with its first manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateWorkspace {
    /// Makes it repeatable.
    pub request: RequestIdentity,
    /// Handle, as typed.
    pub handle: String,
    /// Display name, as typed.
    pub display_name: String,
    /// Region, as typed.
    pub default_region: String,
    /// Language, as typed.
    pub default_language: String,
    /// Email of the first manager, as typed.
    pub manager_email: String,
    /// Phone of the first manager, as typed; empty if not given.
    pub manager_phone: String,
    /// Details of the first manager.
    pub manager: ProfileInput,
    /// Go as far as the preconditions and write nothing.
    pub validate_only: bool,
}

/// The new workspace; nothing of it for `validate_only`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateWorkspaceReply {
    /// The workspace.
    pub workspace: Option<Workspace>,
    /// Its first manager's membership.
    pub manager: Option<MemberView>,
    /// The message to the manager.
    pub notice: Option<NoticeId>,
    /// Makes a later read at least as fresh.
    pub consistency_token: Option<String>,
    /// Whether this is the answer of an earlier request with the same id.
    pub replayed: bool,
    /// How the budgets stand after this call.
    pub budget: Vec<BudgetStanding>,
}

/// A membership as its viewer may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The membership.
    pub membership: Membership,
    /// State as people see it.
    pub state: MemberState,
    /// Initials, always; empty only for erased users.
    pub initials: String,
    /// Full name where the viewer may see it.
    pub display_name: Option<String>,
    /// Email: as it is for Internals; masked or whole for Externals as the home discloses.
    pub email: Option<String>,
    /// Phone, likewise.
    pub phone: Option<String>,
    /// The home, where the viewer may know it.
    pub home: Option<WorkspaceId>,
    /// What the viewer may do with it; empty for the person.
    pub allowed_actions: Vec<AllowedAction>,
}

/// An account with the identities that are bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub user: User,
    /// Its identities, by issuer and subject.
    pub identities: Vec<Identity>,
}

/// An identity that a person of the home is to have, or to lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeIdentity {
    /// The person's id, as typed.
    pub user: String,
    /// The identity, as typed.
    pub identity: Identity,
}

/// A user as the viewer may see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserView {
    /// For the home and the person: everything.
    Whole(Account),
    /// For a host: the view of the membership.
    Member(MemberView),
}

/// A notice as its viewer may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeView {
    /// The record.
    pub notice: Notice,
    /// The text: for the home and the person.
    pub message: Option<Message>,
    /// The attempts with the provider's words: for the home.
    pub attempts: Option<Vec<Attempt>>,
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

/// State of an External as people see it.
impl From<ExternalState> for MemberState {
    fn from(state: ExternalState) -> Self {
        match state {
            ExternalState::Pending => Self::Pending,
            ExternalState::Active => Self::Active,
            ExternalState::Suspended => Self::Suspended,
            ExternalState::Review => Self::Review,
        }
    }
}

/// State of an Internal as people see it: the account's.
impl From<UserState> for MemberState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Active => Self::Active,
            UserState::Suspended => Self::Suspended,
            UserState::Deactivated | UserState::Erased => Self::Deactivated,
        }
    }
}

/// The etag of a thing: its id and version, so that a new thing never matches an old one's.
pub fn etag<K>(id: Id<K>, version: Version) -> String {
    format!("{id}-{version}")
}
