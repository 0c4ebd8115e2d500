//! The shipped implementation of the inbound port.

use std::sync::Arc;

use async_trait::async_trait;

use super::change_grants::{ReplacePermissions, ReplaceRoles};
use super::change_identity::{Bind, Unbind};
use super::change_relationship::{Approve, Decline, End, Moved, Resume, Suspend, Update};
use super::change_role;
use super::propose_relationship::Propose;
use super::run_tx::TxRunner;
use super::{change_policy, change_workspace, groups};
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::Actor;
use crate::model::budget::Budgets;
use crate::model::group::GroupSize;
use crate::model::id::{Id, UserId};
use crate::model::permission::Permission;
use crate::model::role::Role;
use crate::model::time::Timestamp;
use crate::model::workspace::{ParseWorkspaceRefError, Workspace, WorkspaceRef};
use crate::policy::Policies;
use crate::port::authenticator::Caller;
use crate::port::contact::{LanguageMatcher, PhoneParser};
use crate::port::directory::Directory;
use crate::port::runtime::{Clock, Ids};
use crate::port::sealer::Sealer;
use crate::port::store::Store;
use crate::usecase::api::{
    AccessAnswer, AccessSubject, Account, ApproveRelationship, Arrival, AssignReply, AssignUser, BatchAnswer,
    BatchCheckAccess, Call, ChangeIdentity, Changed, CheckAccess, Consistency, CreateGroup, CreateRole,
    CreateWorkspace, CreateWorkspaceReply, DeleteGroup, DeleteRole, DeletedRole, DomicileApi, EffectivePermission,
    Explanation, GroupMembers, ListEffectivePermissions, ListPermissions, ListSubjects, LookupReply, LookupUser,
    MemberView, NamedRelationship, NoticeView, Order, Page, PageRequest, PolicyChange, ProposeRelationship,
    RegisterPermissions, RelationshipChange, RelationshipFilter, RelationshipView, RetirePermission, RetiredPermission,
    RoleChange, SetPermissions, SetRoles, UpdateGroup, UpdateRelationship, UpdateRole, UpdateWorkspace,
    UpdateWorkspacePolicy, UserView, WorkspaceEntry,
};

/// What the use cases need from outside.
#[derive(Clone)]
pub struct Ports {
    /// The write side of the store.
    pub store: Arc<dyn Store>,
    /// The read side of the same store.
    pub directory: Arc<dyn Directory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers and chance.
    pub ids: Arc<dyn Ids>,
    /// Tokens.
    pub sealer: Arc<dyn Sealer>,
    /// Phone numbers.
    pub phones: Arc<dyn PhoneParser>,
    /// Languages.
    pub languages: Arc<dyn LanguageMatcher>,
}

/// The product: every use case over one set of ports, policies and budgets.
#[derive(Clone)]
pub struct Domicile {
    pub(super) ports: Ports,
    pub(super) policies: Policies,
    pub(super) budgets: Budgets,
    pub(super) runner: TxRunner,
}

impl Domicile {
    /// The product with the shipped policies.
    pub fn new(ports: Ports) -> Self {
        Self::with_policies(ports, Policies::default())
    }

    /// The product with policies of the embedding program.
    pub fn with_policies(ports: Ports, policies: Policies) -> Self {
        let runner = TxRunner::new(ports.store.clone(), ports.clock.clone(), ports.ids.clone());
        Self { ports, policies, budgets: Budgets::default(), runner }
    }

    /// The same with other budgets of identity probes.
    #[must_use]
    pub fn with_budgets(self, budgets: Budgets) -> Self {
        Self { budgets, ..self }
    }

    /// How often a unit of work was run again after a lost race, since the start.
    pub fn reruns(&self) -> u64 {
        self.runner.reruns()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    pub(super) fn new_id<K>(&self) -> Id<K> {
        Id::from_uuid(self.ports.ids.uuid())
    }
}

/// The workspace in which a call takes place, as its caller names it. No right is read without one: text that can name none
/// is refused before, which tells nothing of any workspace.
///
/// # Errors
/// [`Reason::InvalidRequest`] with the field.
pub(super) fn workspace_ref(text: &str) -> Result<WorkspaceRef, Refusal> {
    text.parse().map_err(|error: ParseWorkspaceRefError| {
        let wrong = if text.is_empty() { NO_WORKSPACE.to_owned() } else { format!("{error}; {WORKSPACE_FORM}") };
        Refusal::invalid(vec![Violation::new("workspace", wrong)])
    })
}

const NO_WORKSPACE: &str = "name the workspace by id or handle";
const WORKSPACE_FORM: &str = "an id is a UUID, a handle 2 to 63 of a-z, 0-9 and -, beginning with a letter";

/// The acting person of a call that needs one. The operator acts for nobody, whatever came with the call.
pub(super) fn acting_user(call: &Call) -> Result<UserId, Refusal> {
    if call.actor.service.operator {
        return Err(Refusal::new(Reason::PermissionDenied));
    }
    call.actor.user_id().ok_or_else(|| Refusal::new(Reason::ActingUserRequired))
}

#[async_trait]
impl DomicileApi for Domicile {
    async fn identify(&self, caller: Caller, arrival: &Arrival) -> Result<Actor, Refusal> {
        self.actor_of(caller, arrival).await
    }

    async fn turned_away(&self, call: &Call, method: &str, reason: &str) -> Result<(), Refusal> {
        self.record_turned_away(call, method, reason).await
    }

    async fn lookup_user(&self, call: &Call, request: &LookupUser) -> Result<LookupReply, Refusal> {
        self.lookup(call, request).await
    }

    async fn assign_user(&self, call: &Call, request: &AssignUser) -> Result<AssignReply, Refusal> {
        self.assign(call, request).await
    }

    async fn create_workspace(&self, call: &Call, request: &CreateWorkspace) -> Result<CreateWorkspaceReply, Refusal> {
        self.create(call, request).await
    }

    async fn bind_identity(
        &self,
        call: &Call,
        order: &Order,
        change: &ChangeIdentity,
    ) -> Result<Changed<Account>, Refusal> {
        self.change(call, order, &Bind(change)).await
    }

    async fn unbind_identity(
        &self,
        call: &Call,
        order: &Order,
        change: &ChangeIdentity,
    ) -> Result<Changed<Account>, Refusal> {
        self.change(call, order, &Unbind(change)).await
    }

    async fn propose_relationship(
        &self,
        call: &Call,
        order: &Order,
        change: &ProposeRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Propose(change)).await
    }

    async fn update_relationship(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Update(change)).await
    }

    async fn approve_relationship(
        &self,
        call: &Call,
        order: &Order,
        change: &ApproveRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Approve(change)).await
    }

    async fn decline_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Moved::<Decline>::of(named)).await
    }

    async fn suspend_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Moved::<Suspend>::of(named)).await
    }

    async fn resume_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Moved::<Resume>::of(named)).await
    }

    async fn end_relationship(
        &self,
        call: &Call,
        order: &Order,
        named: &NamedRelationship,
    ) -> Result<Changed<RelationshipChange>, Refusal> {
        self.change(call, order, &Moved::<End>::of(named)).await
    }

    async fn get_relationship(
        &self,
        call: &Call,
        workspace: &str,
        relationship: &str,
        fresh: &Consistency,
    ) -> Result<RelationshipView, Refusal> {
        self.read_relationship(call, workspace, relationship, fresh).await
    }

    async fn list_relationships(
        &self,
        call: &Call,
        workspace: &str,
        filter: &RelationshipFilter,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<RelationshipView>, Refusal> {
        self.read_relationships(call, workspace, filter, page, fresh).await
    }

    async fn check_access(&self, call: &Call, request: &CheckAccess) -> Result<AccessAnswer, Refusal> {
        self.check(call, request).await
    }

    async fn batch_check_access(&self, call: &Call, request: &BatchCheckAccess) -> Result<BatchAnswer, Refusal> {
        self.check_batch(call, request).await
    }

    async fn list_effective_permissions(
        &self,
        call: &Call,
        request: &ListEffectivePermissions,
    ) -> Result<Page<EffectivePermission>, Refusal> {
        self.list_effective(call, request).await
    }

    async fn list_subjects(&self, call: &Call, request: &ListSubjects) -> Result<Page<AccessSubject>, Refusal> {
        self.list_granted(call, request).await
    }

    async fn explain_access(&self, call: &Call, request: &CheckAccess) -> Result<Explanation, Refusal> {
        self.explain(call, request).await
    }

    async fn get_user(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<UserView, Refusal> {
        self.read_user(call, workspace, user, fresh).await
    }

    async fn get_workspace(&self, call: &Call, workspace: &str, fresh: &Consistency) -> Result<Workspace, Refusal> {
        self.read_workspace(call, workspace, fresh).await
    }

    async fn update_workspace(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateWorkspace,
    ) -> Result<Changed<Workspace>, Refusal> {
        self.change(call, order, &change_workspace::Update(change)).await
    }

    async fn update_workspace_policy(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateWorkspacePolicy,
    ) -> Result<Changed<PolicyChange>, Refusal> {
        self.change(call, order, &change_policy::UpdatePolicy(change)).await
    }

    async fn create_group(
        &self,
        call: &Call,
        order: &Order,
        change: &CreateGroup,
    ) -> Result<Changed<GroupSize>, Refusal> {
        self.change(call, order, &groups::Create(change)).await
    }

    async fn update_group(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateGroup,
    ) -> Result<Changed<GroupSize>, Refusal> {
        self.change(call, order, &groups::Update(change)).await
    }

    async fn delete_group(
        &self,
        call: &Call,
        order: &Order,
        change: &DeleteGroup,
    ) -> Result<Changed<GroupSize>, Refusal> {
        self.change(call, order, &groups::Delete(change)).await
    }

    async fn add_group_members(
        &self,
        call: &Call,
        order: &Order,
        change: &GroupMembers,
    ) -> Result<Changed<GroupSize>, Refusal> {
        self.change(call, order, &groups::Add(change)).await
    }

    async fn remove_group_members(
        &self,
        call: &Call,
        order: &Order,
        change: &GroupMembers,
    ) -> Result<Changed<GroupSize>, Refusal> {
        self.change(call, order, &groups::Remove(change)).await
    }

    async fn list_workspaces(
        &self,
        call: &Call,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<WorkspaceEntry>, Refusal> {
        self.read_workspaces(call, page, fresh).await
    }

    async fn get_workspace_policy(
        &self,
        call: &Call,
        workspace: &str,
        fresh: &Consistency,
    ) -> Result<Workspace, Refusal> {
        self.read_policy(call, workspace, fresh).await
    }

    async fn get_group(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        fresh: &Consistency,
    ) -> Result<GroupSize, Refusal> {
        self.read_group(call, workspace, group, fresh).await
    }

    async fn list_groups(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<GroupSize>, Refusal> {
        self.read_groups(call, workspace, page, fresh).await
    }

    async fn list_group_members(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal> {
        self.read_group_members(call, workspace, group, page, fresh).await
    }

    async fn get_membership(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<MemberView, Refusal> {
        self.read_membership(call, workspace, user, fresh).await
    }

    async fn list_memberships(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal> {
        self.read_members(call, workspace, page, fresh).await
    }

    async fn list_roles(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<Role>, Refusal> {
        self.read_roles(call, workspace, page, fresh).await
    }

    async fn get_role(&self, call: &Call, workspace: &str, role: &str, fresh: &Consistency) -> Result<Role, Refusal> {
        self.read_role(call, workspace, role, fresh).await
    }

    async fn create_role(&self, call: &Call, order: &Order, new: &CreateRole) -> Result<Changed<Role>, Refusal> {
        self.change(call, order, &change_role::Create(new)).await
    }

    async fn update_role(
        &self,
        call: &Call,
        order: &Order,
        change: &UpdateRole,
    ) -> Result<Changed<RoleChange>, Refusal> {
        self.change(call, order, &change_role::Update(change)).await
    }

    async fn delete_role(
        &self,
        call: &Call,
        order: &Order,
        change: &DeleteRole,
    ) -> Result<Changed<DeletedRole>, Refusal> {
        self.change(call, order, &change_role::Delete(change)).await
    }

    async fn set_roles(&self, call: &Call, order: &Order, change: &SetRoles) -> Result<Changed<MemberView>, Refusal> {
        self.change(call, order, &ReplaceRoles(change)).await
    }

    async fn set_permissions(
        &self,
        call: &Call,
        order: &Order,
        change: &SetPermissions,
    ) -> Result<Changed<MemberView>, Refusal> {
        self.change(call, order, &ReplacePermissions(change)).await
    }

    async fn register_permissions(
        &self,
        call: &Call,
        request: &RegisterPermissions,
    ) -> Result<Changed<Vec<Permission>>, Refusal> {
        self.register(call, request).await
    }

    async fn retire_permission(
        &self,
        call: &Call,
        request: &RetirePermission,
    ) -> Result<Changed<RetiredPermission>, Refusal> {
        self.retire(call, request).await
    }

    async fn list_permissions(&self, call: &Call, request: &ListPermissions) -> Result<Page<Permission>, Refusal> {
        self.read_permissions(call, request).await
    }

    async fn get_notification(
        &self,
        call: &Call,
        workspace: &str,
        notice: &str,
        fresh: &Consistency,
    ) -> Result<NoticeView, Refusal> {
        self.read_notice(call, workspace, notice, fresh).await
    }

    async fn list_notifications(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<NoticeView>, Refusal> {
        self.read_notices(call, workspace, page, fresh).await
    }
}
