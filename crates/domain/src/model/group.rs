//! Groups: named sets of Internals of one workspace, who have the roles that the group carries.

use std::collections::BTreeSet;

use super::id::{GroupId, RoleId, WorkspaceId};
use super::name::{Handle, Name};
use super::time::Version;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Never changes.
    pub id: GroupId,
    /// The workspace whose group it is.
    pub workspace: WorkspaceId,
    /// Unique in the workspace; never changes.
    pub handle: Handle,
    /// For people.
    pub display_name: Name,
    /// The roles that everybody in it has.
    pub roles: BTreeSet<RoleId>,
    /// Counts changes of the group itself. Who is in it stands in the memberships and counts there.
    pub version: Version,
}

impl Group {
    /// How many groups a workspace has at most.
    pub const MOST: u64 = 1000;
}

/// A group with the number of people in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSize {
    /// The group.
    pub group: Group,
    /// How many Internals are in it.
    pub members: u64,
}

/// Names a group of a workspace as callers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRef {
    /// By id.
    Id(GroupId),
    /// By handle.
    Handle(Handle),
}

impl GroupRef {
    /// Whether it is the name of the group.
    pub fn names(&self, group: &Group) -> bool {
        match self {
            Self::Id(id) => *id == group.id,
            Self::Handle(handle) => *handle == group.handle,
        }
    }
}

/// Neither the id nor the handle of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither the id nor the handle of a group")]
pub struct ParseGroupRefError(String);

impl std::str::FromStr for GroupRef {
    type Err = ParseGroupRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Handle::parse(text).map(Self::Handle).map_err(|_| ParseGroupRefError(super::text::quotable(text)))
    }
}
