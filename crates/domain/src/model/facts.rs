//! What a decision about a person's access in a workspace is made of, read together.

use std::sync::Arc;

use super::id::{UserId, WorkspaceId};
use super::membership::Membership;
use super::relationship::WorkspaceRelationship;
use super::role::Role;
use super::time::Revision;
use super::user::UserState;
use super::workspace::{Workspace, WorkspaceState};

/// The account, as far as access goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFacts {
    /// Who.
    pub user: UserId,
    /// Where Internal.
    pub home: WorkspaceId,
    /// State of the account.
    pub state: UserState,
    /// State of the home.
    pub home_state: WorkspaceState,
    /// The revision at which the home, and with it the account, was read.
    pub home_revision: Revision,
    /// Whether the home closed itself to the host: by its policy, or by its terms of the relationship.
    pub home_outbound: super::workspace::Openness,
}

/// Everything that decides what one person may do in one workspace, as of one moment: while workspace and home stand at the
/// revisions that were read, nothing of it has changed. What many people share is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFacts {
    /// The workspace in question.
    pub workspace: Arc<Workspace>,
    /// The person's account; absent if there is none.
    pub account: Option<AccountFacts>,
    /// The live membership; absent if there is none.
    pub membership: Option<Membership>,
    /// The definitions of the roles that the membership and its groups name.
    pub roles: Vec<Arc<Role>>,
    /// What the workspace as host and the person's home agreed last: the active relationship, else the one that ended last,
    /// if both sides had agreed to it ([`was_agreed`](WorkspaceRelationship::was_agreed)).
    pub relationship: Option<Arc<WorkspaceRelationship>>,
}
