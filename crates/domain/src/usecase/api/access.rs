//! What is asked about access, and what is answered.

use super::{Consistency, PageRequest};
use crate::error::Refusal;
use crate::model::id::{RoleId, UserId, WorkspaceId};
use crate::model::membership::{ExternalState, MembershipKind};
use crate::model::name::Handle;
use crate::model::permission::PermissionName;
use crate::model::time::Timestamp;
use crate::model::user::{Identity, UserState};
use crate::model::workspace::WorkspaceState;
pub use crate::policy::access::{Denial, Gate};
pub use crate::policy::ceiling::CeilingSource;

/// Whom a check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckSubject {
    /// By user id, as typed.
    User(String),
    /// By an identity that is bound to the user.
    Identity(Identity),
}

/// May this person do that there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckAccess {
    /// Id or handle.
    pub workspace: String,
    /// Whom it is about.
    pub subject: CheckSubject,
    /// The permission's name.
    pub permission: String,
    /// How fresh.
    pub consistency: Consistency,
}

/// The answer of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessAnswer {
    /// `Ok` is allowed.
    pub decision: Result<(), Denial>,
    /// As of when.
    pub checked_at: Timestamp,
    /// Until when a caller may rely on it.
    pub valid_until: Timestamp,
}

/// One question of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntry {
    /// What the caller calls it; comes back with its answer. May be empty.
    pub correlation_id: String,
    /// Id or handle.
    pub workspace: String,
    /// Whom it is about.
    pub subject: CheckSubject,
    /// The permission's name.
    pub permission: String,
}

/// Several questions as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCheckAccess {
    /// At least one, at most [`BatchCheckAccess::MOST`].
    pub entries: Vec<BatchEntry>,
    /// How fresh, for all of them.
    pub consistency: Consistency,
}

impl BatchCheckAccess {
    /// How many questions may be asked at once.
    pub const MOST: usize = 100;
}

/// The answer of one question of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntryAnswer {
    /// As the caller gave it.
    pub correlation_id: String,
    /// The decision with until when a caller may rely on it; or why there is none for this question.
    pub answer: Result<AccessAnswer, Refusal>,
}

/// The answers of several questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAnswer {
    /// One for each question, in their order.
    pub entries: Vec<BatchEntryAnswer>,
    /// As of when, for all of them.
    pub checked_at: Timestamp,
}

/// What may this person do there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEffectivePermissions {
    /// Id or handle.
    pub workspace: String,
    /// Whom it is about.
    pub subject: CheckSubject,
    /// Which page, in order of name.
    pub page: PageRequest,
    /// How fresh.
    pub consistency: Consistency,
}

/// By what a permission is granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantSource {
    /// Directly.
    Direct,
    /// By a role.
    Role {
        /// Which.
        role: RoleId,
        /// Its handle.
        handle: Handle,
        /// Whether it is the person's own; otherwise a group of theirs carries it.
        own: bool,
    },
}

/// A permission that is granted to a person, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectivePermission {
    /// Which.
    pub permission: PermissionName,
    /// By what it is granted.
    pub sources: Vec<GrantSource>,
    /// Whether it counts now; if not, the first gate that fails.
    pub decision: Result<(), Denial>,
}

/// Who may do that there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSubjects {
    /// Id or handle.
    pub workspace: String,
    /// The permission's name.
    pub permission: String,
    /// Which page, in order of user id. A page may be short, and even empty, while more follow.
    pub page: PageRequest,
    /// How fresh.
    pub consistency: Consistency,
}

/// Somebody who may do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSubject {
    /// Who.
    pub user: UserId,
    /// Internal or External.
    pub kind: MembershipKind,
    /// By what it is granted.
    pub sources: Vec<GrantSource>,
    /// Until when a caller may rely on it.
    pub valid_until: Timestamp,
}

/// What a gate looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The asker may not know: it is the home's affair.
    Withheld,
    /// Nothing more than the verdict.
    None,
    /// The membership, if there is one.
    Membership(Option<MembershipKind>),
    /// The state of a workspace: this one, or the home.
    Workspace {
        /// Which.
        workspace: WorkspaceId,
        /// Its state.
        state: WorkspaceState,
    },
    /// The state of the account.
    Account(UserState),
    /// The state of an External's membership.
    External(ExternalState),
    /// When the membership ends, if it does by itself.
    Expiry(Option<Timestamp>),
    /// By what the permission is granted; empty if by nothing.
    Grants(Vec<GrantSource>),
    /// From where the ceiling comes.
    Ceiling(CeilingSource),
    /// When the permission was retired, if it was.
    Catalogue(Option<Timestamp>),
}

/// A gate with what it looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateReport {
    /// Which.
    pub gate: Gate,
    /// Whether it is open; each is looked at by itself.
    pub verdict: Result<(), Denial>,
    /// What it looked at.
    pub evidence: Evidence,
}

/// What would open the gate that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemedyAction {
    /// Assign the person to the workspace.
    AssignPerson,
    /// Ask the operator to reactivate the workspace.
    ReactivateWorkspace,
    /// Reactivate the account, at home.
    ReactivateAccount,
    /// Ask the person's home.
    AskHome,
    /// The person accepts.
    AcceptMembership,
    /// Reactivate the membership.
    ReactivateMembership,
    /// Confirm the membership, or let the person verify their contact.
    ConfirmMembership,
    /// Give a role that grants it, or the permission itself.
    GrantRole,
    /// Widen the ceiling of the relationship, or the default for unknown homes.
    WidenCeiling,
    /// Mark a role for Externals.
    MarkRole,
    /// Let Externals have rights over the workspace, by its policy.
    AllowExternalManagers,
    /// Agree on a new relationship, since the one there was has ended.
    ProposeRelationship,
    /// Resume the relationship.
    ResumeRelationship,
    /// Open the workspace to that home again.
    OpenWorkspace,
    /// Ask the service that retired the permission.
    AskService,
    /// Ask whoever runs the program whose policy it is.
    AskPolicyOwner,
}

impl RemedyAction {
    /// Every remedy, for tables that must not forget one.
    pub const ALL: [Self; 16] = [
        Self::AssignPerson,
        Self::ReactivateWorkspace,
        Self::ReactivateAccount,
        Self::AskHome,
        Self::AcceptMembership,
        Self::ReactivateMembership,
        Self::ConfirmMembership,
        Self::GrantRole,
        Self::WidenCeiling,
        Self::ResumeRelationship,
        Self::OpenWorkspace,
        Self::AskService,
        Self::AskPolicyOwner,
        Self::MarkRole,
        Self::AllowExternalManagers,
        Self::ProposeRelationship,
    ];

    /// What to do, one sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AssignPerson => "Assign the person to the workspace.",
            Self::ReactivateWorkspace => "Ask the operator why the workspace is not active.",
            Self::ReactivateAccount => "Reactivate the account.",
            Self::AskHome => "Ask an AccessManager of the person's home; the reason stays there.",
            Self::AcceptMembership => "The person accepts the membership first.",
            Self::ReactivateMembership => "Reactivate the membership.",
            Self::ConfirmMembership => "Confirm the person, or let them verify their contact.",
            Self::GrantRole => "Give the person a role that has the permission, or the permission itself.",
            Self::MarkRole => "Mark the role for Externals; until then it counts for none.",
            Self::AllowExternalManagers => {
                "Let Externals have rights over the workspace: its policy keeps them from it."
            }
            Self::ProposeRelationship => "Agree on a new relationship with the person's home; the old one has ended.",
            Self::WidenCeiling => "Let Externals of that home have it: widen the ceiling.",
            Self::ResumeRelationship => "Resume the relationship with the person's home.",
            Self::OpenWorkspace => "Open the workspace to people of that home again.",
            Self::AskService => "Ask the service that offered the permission; it was retired.",
            Self::AskPolicyOwner => "Ask whoever runs this program: its own policy denies it.",
        }
    }
}

/// A remedy, and whether it is the asker's to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What would help.
    pub action: RemedyAction,
    /// Whether the asker has the rights to it.
    pub may_apply: bool,
    /// Handles of roles that have the permission, where one is to be given or marked.
    pub roles: Vec<Handle>,
}

/// A decision with everything it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The decision, as a check answers it.
    pub answer: AccessAnswer,
    /// Every gate, in order.
    pub gates: Vec<GateReport>,
    /// The first gate that fails.
    pub failing: Option<Gate>,
    /// What would help; empty where nothing is needed.
    pub remedies: Vec<Remedy>,
    /// Whether something was withheld, since it is the home's affair.
    pub partial: bool,
}
