//! Workspaces, as callers make, list and change them.

use super::{GrantsInput, MemberState, MemberView, ProfileInput, RequestIdentity};
use crate::model::budget::BudgetStanding;
use crate::model::id::NoticeId;
use crate::model::membership::MembershipKind;
use crate::model::relationship::Disclosure;
use crate::model::workspace::{DirectoryVisibility, Openness, Workspace};

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

/// A workspace in a list: one that the person belongs to, or for the operator any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceEntry {
    /// The workspace.
    pub workspace: Workspace,
    /// How the person belongs to it; absent for the operator.
    pub member: Option<(MembershipKind, MemberState)>,
}

/// What of a workspace's own record is to change, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateWorkspace {
    /// Of what was read; empty changes whatever is there.
    pub etag: String,
    /// The paths of the fields to replace; none is refused.
    pub update_mask: Vec<String>,
    /// For people.
    pub display_name: String,
    /// Of its phone numbers.
    pub default_region: String,
    /// Of its messages.
    pub default_language: String,
    /// Languages its messages may be written in; empty for every one that the instance writes.
    pub notice_languages: Vec<String>,
    /// Channels in the order in which they are tried: `EMAIL`, `SMS`.
    pub channels: Vec<String>,
    /// Where links of messages lead; empty for none.
    pub links: LinksInput,
    /// Whom a surprised person may ask, a mail address; empty for nobody.
    pub support_contact: String,
}

/// Where links of messages lead, as typed; empty for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinksInput {
    /// Where a new person begins.
    pub begin: String,
    /// Where a person accepts or declines.
    pub accept: String,
    /// Where a person leaves.
    pub leave: String,
}

/// What of a workspace's rules is to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateWorkspacePolicy {
    /// Of what was read.
    pub etag: String,
    /// The paths of the fields to replace; none is refused.
    pub update_mask: Vec<String>,
    /// The values of those fields.
    pub policy: PolicyInput,
}

/// The rules a workspace sets for itself, as typed. A choice that is absent was not made, or is none that there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyInput {
    /// From which homes it takes Externals.
    pub inbound: Option<Openness>,
    /// To which hosts its people may be linked.
    pub outbound: Option<Openness>,
    /// What Externals of unknown homes may have at most.
    pub default_ceiling: GrantsInput,
    /// What its Internals see of its Externals.
    pub visibility_of_externals: Option<DirectoryVisibility>,
    /// Whether a person must accept before becoming External here.
    pub acceptance_as_host: bool,
    /// Whether its people must accept before becoming External elsewhere.
    pub acceptance_as_home: bool,
    /// What other workspaces may see of its people.
    pub disclosure: Option<Disclosure>,
    /// Whether Externals may hold governance rights here.
    pub external_managers: bool,
}

/// A workspace with its new rules, and whom they reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// The workspace as it is then.
    pub workspace: Workspace,
    /// Whom the change reaches; absent when the answer of an earlier request is repeated.
    pub reach: Option<PolicyReach>,
}

/// How many External memberships what was changed is looked up for at each check. What each of them may do changes only
/// where it was granted and clipped, or is clipped now; so these are the most that can feel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyReach {
    /// In this workspace.
    pub externals_here: u64,
    /// Of its people in other workspaces.
    pub externals_elsewhere: u64,
}
