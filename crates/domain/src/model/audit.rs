//! The append-only record of who did what.

use super::id::{AuditId, RequestId, UserId, WorkspaceId};
use super::time::Timestamp;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// A search for a person.
    LookupUser,
    /// A save, or its rehearsal with `validate_only`.
    AssignUser,
    /// A new workspace.
    CreateWorkspace,
    /// An identity was to be bound to a person, by a manager or at first sight.
    BindIdentity,
    /// An identity was to be taken from a person.
    UnbindIdentity,
    /// A profile was read.
    GetUser,
    /// A workspace was read.
    GetWorkspace,
    /// A membership was read.
    GetMembership,
    /// The members were listed.
    ListMemberships,
    /// The roles were listed.
    ListRoles,
    /// A check of access.
    CheckAccess,
    /// A notification was read.
    GetNotification,
    /// The notifications were listed.
    ListNotifications,
    /// The workspaces of a person were listed.
    ListWorkspaces,
    /// Something of a workspace was to be changed.
    UpdateWorkspace,
    /// The policy of a workspace was read.
    GetWorkspacePolicy,
    /// The policy of a workspace was to be changed.
    UpdateWorkspacePolicy,
    /// The roles of a member were to be replaced.
    SetRoles,
    /// The direct permissions of a member were to be replaced.
    SetPermissions,
    /// Permissions were to be registered.
    RegisterPermissions,
    /// The catalogue of permissions was listed.
    ListPermissions,
    /// A permission was to be retired.
    RetirePermission,
    /// A new role.
    CreateRole,
    /// A role was read.
    GetRole,
    /// A role was to be changed.
    UpdateRole,
    /// A role was to be deleted.
    DeleteRole,
    /// A new group.
    CreateGroup,
    /// A group was read.
    GetGroup,
    /// The groups were listed.
    ListGroups,
    /// A group was to be changed.
    UpdateGroup,
    /// A group was to be deleted.
    DeleteGroup,
    /// People were to be put into a group.
    AddGroupMembers,
    /// People were to be taken out of a group.
    RemoveGroupMembers,
    /// The members of a group were listed.
    ListGroupMembers,
    /// A relationship was to be proposed.
    ProposeRelationship,
    /// A relationship was read.
    GetRelationship,
    /// The relationships were listed.
    ListRelationships,
    /// The terms of a relationship were to be changed.
    UpdateRelationship,
    /// A proposed relationship was to be approved.
    ApproveRelationship,
    /// A proposed relationship was to be declined.
    DeclineRelationship,
    /// A relationship was to be suspended by a side.
    SuspendRelationship,
    /// A relationship was to be resumed by a side.
    ResumeRelationship,
    /// A relationship was to be ended.
    EndRelationship,
    /// Several checks of access at once.
    BatchCheckAccess,
    /// What a person may do was listed.
    ListEffectivePermissions,
    /// Who may do something was listed.
    ListSubjects,
    /// An explanation of what a person may do.
    ExplainAccess,
    /// A service named the person it acts for.
    ActAs,
    /// A call came without what its method asks of every caller, and was not read.
    Call,
}

impl AuditAction {
    /// Every action, for tables that must not forget one.
    pub const ALL: [Self; 49] = [
        Self::LookupUser,
        Self::AssignUser,
        Self::CreateWorkspace,
        Self::BindIdentity,
        Self::UnbindIdentity,
        Self::GetUser,
        Self::GetWorkspace,
        Self::GetMembership,
        Self::ListMemberships,
        Self::ListRoles,
        Self::CheckAccess,
        Self::GetNotification,
        Self::ListNotifications,
        Self::ListWorkspaces,
        Self::UpdateWorkspace,
        Self::GetWorkspacePolicy,
        Self::UpdateWorkspacePolicy,
        Self::SetRoles,
        Self::SetPermissions,
        Self::RegisterPermissions,
        Self::ListPermissions,
        Self::RetirePermission,
        Self::CreateRole,
        Self::GetRole,
        Self::UpdateRole,
        Self::DeleteRole,
        Self::CreateGroup,
        Self::GetGroup,
        Self::ListGroups,
        Self::UpdateGroup,
        Self::DeleteGroup,
        Self::AddGroupMembers,
        Self::RemoveGroupMembers,
        Self::ListGroupMembers,
        Self::ProposeRelationship,
        Self::GetRelationship,
        Self::ListRelationships,
        Self::UpdateRelationship,
        Self::ApproveRelationship,
        Self::DeclineRelationship,
        Self::SuspendRelationship,
        Self::ResumeRelationship,
        Self::EndRelationship,
        Self::BatchCheckAccess,
        Self::ListEffectivePermissions,
        Self::ListSubjects,
        Self::ExplainAccess,
        Self::ActAs,
        Self::Call,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LookupUser => "lookup_user",
            Self::AssignUser => "assign_user",
            Self::CreateWorkspace => "create_workspace",
            Self::BindIdentity => "bind_identity",
            Self::UnbindIdentity => "unbind_identity",
            Self::GetUser => "get_user",
            Self::GetWorkspace => "get_workspace",
            Self::GetMembership => "get_membership",
            Self::ListMemberships => "list_memberships",
            Self::ListRoles => "list_roles",
            Self::CheckAccess => "check_access",
            Self::GetNotification => "get_notification",
            Self::ListNotifications => "list_notifications",
            Self::ListWorkspaces => "list_workspaces",
            Self::UpdateWorkspace => "update_workspace",
            Self::GetWorkspacePolicy => "get_workspace_policy",
            Self::UpdateWorkspacePolicy => "update_workspace_policy",
            Self::SetRoles => "set_roles",
            Self::SetPermissions => "set_permissions",
            Self::RegisterPermissions => "register_permissions",
            Self::ListPermissions => "list_permissions",
            Self::RetirePermission => "retire_permission",
            Self::CreateRole => "create_role",
            Self::GetRole => "get_role",
            Self::UpdateRole => "update_role",
            Self::DeleteRole => "delete_role",
            Self::CreateGroup => "create_group",
            Self::GetGroup => "get_group",
            Self::ListGroups => "list_groups",
            Self::UpdateGroup => "update_group",
            Self::DeleteGroup => "delete_group",
            Self::AddGroupMembers => "add_group_members",
            Self::RemoveGroupMembers => "remove_group_members",
            Self::ListGroupMembers => "list_group_members",
            Self::ProposeRelationship => "propose_relationship",
            Self::GetRelationship => "get_relationship",
            Self::ListRelationships => "list_relationships",
            Self::UpdateRelationship => "update_relationship",
            Self::ApproveRelationship => "approve_relationship",
            Self::DeclineRelationship => "decline_relationship",
            Self::SuspendRelationship => "suspend_relationship",
            Self::ResumeRelationship => "resume_relationship",
            Self::EndRelationship => "end_relationship",
            Self::BatchCheckAccess => "batch_check_access",
            Self::ListEffectivePermissions => "list_effective_permissions",
            Self::ListSubjects => "list_subjects",
            Self::ExplainAccess => "explain_access",
            Self::ActAs => "act_as",
            Self::Call => "call",
        }
    }
}

/// One row of the record. Without personal values: those stand in [`PersonalValue`]s, which erasing removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// The workspace whose view it belongs to; absent if the caller named none that exists.
    pub workspace: Option<WorkspaceId>,
    /// The workspace as the caller wrote it, cut at 64 characters.
    pub workspace_text: String,
    /// The calling service.
    pub service: String,
    /// The acting person.
    pub actor: Option<UserId>,
    /// What was tried.
    pub action: AuditAction,
    /// `done`, `rehearsed`, or the reason of the refusal, or the outcome of a lookup.
    pub outcome: String,
    /// Whom it concerns, if somebody was found or made.
    pub subject: Option<UserId>,
    /// The id the caller gave the write.
    pub request_id: Option<RequestId>,
    /// Correlates with logs and traces.
    pub correlation_id: String,
    /// Through which surface it came: `grpc`, `embedded`, `dispatcher`.
    pub surface: String,
    /// Which fields changed: paths with values before and after, none of them personal.
    pub changes: Vec<AuditChange>,
    /// When.
    pub at: Timestamp,
}

/// A field that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AuditChange {
    /// The field's path.
    pub path: String,
    /// Its value before; absent where there was none or where it is personal.
    pub before: Option<String>,
    /// Its value after; absent where there is none or where it is personal.
    pub after: Option<String>,
}

/// A personal value of the record, apart from it and keyed by the user it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalValue {
    /// Whom it is about; absent where a search found nobody.
    pub user: Option<UserId>,
    /// The field's path.
    pub path: String,
    /// The value.
    pub value: String,
}
