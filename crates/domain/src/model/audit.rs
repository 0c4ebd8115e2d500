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
}

impl AuditAction {
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
