//! Groups, as callers ask for them.

/// A new group, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateGroup {
    /// Unique in the workspace; never changes.
    pub handle: String,
    /// For people.
    pub display_name: String,
    /// The roles that everybody in it has, by id or handle.
    pub roles: Vec<String>,
}

/// What of a group is to change, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateGroup {
    /// Id or handle.
    pub group: String,
    /// Of what was read.
    pub etag: String,
    /// The paths of the fields to replace; none is refused.
    pub update_mask: Vec<String>,
    /// For people.
    pub display_name: String,
    /// The roles that everybody in it has, by id or handle.
    pub roles: Vec<String>,
}

/// A group that is not wanted any more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteGroup {
    /// Id or handle.
    pub group: String,
    /// Of what was read.
    pub etag: String,
    /// Also while people are in it, who lose what it carried.
    pub force: bool,
}

/// People who are to come into a group, or to leave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMembers {
    /// Id or handle.
    pub group: String,
    /// The people's ids, at most a hundred. All of them or none.
    pub users: Vec<String>,
}
