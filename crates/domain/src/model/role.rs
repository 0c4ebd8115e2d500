//! Roles: named sets of permissions of one workspace.

use std::collections::BTreeSet;

use super::id::{RoleId, WorkspaceId};
use super::name::{Handle, Name};
use super::permission::{PermissionClass, PermissionName};
use super::time::Version;

/// The roles every workspace has. They cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuiltInRole {
    /// Holds both governance rights.
    AccessManager,
    /// For Internals; without permissions.
    Member,
    /// For Externals; without permissions.
    Guest,
}

impl BuiltInRole {
    /// All of them, in the order in which a workspace gets them.
    pub const ALL: [Self; 3] = [Self::AccessManager, Self::Member, Self::Guest];

    /// The handle.
    pub const fn handle(self) -> &'static str {
        match self {
            Self::AccessManager => "access-manager",
            Self::Member => "member",
            Self::Guest => "guest",
        }
    }

    const fn display_name(self) -> &'static str {
        match self {
            Self::AccessManager => "Access manager",
            Self::Member => "Member",
            Self::Guest => "Guest",
        }
    }
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Never changes.
    pub id: RoleId,
    /// The workspace whose role it is.
    pub workspace: WorkspaceId,
    /// Unique in the workspace; never changes.
    pub handle: Handle,
    /// For people.
    pub display_name: Name,
    /// What it grants.
    pub permissions: BTreeSet<PermissionName>,
    /// Whether it may stand in a ceiling.
    pub for_externals: bool,
    /// Set for the roles that every workspace has.
    pub built_in: Option<BuiltInRole>,
    /// Counts its changes.
    pub version: Version,
}

impl Role {
    /// How many roles a workspace has at most, the built-in ones included.
    pub const MOST: usize = 1000;
    /// How many permissions a role has at most.
    pub const MOST_PERMISSIONS: usize = 500;

    /// One of the roles that every workspace has.
    ///
    /// # Errors
    /// Never in practice: the names are constants, and a test reads them all.
    pub fn built_in(kind: BuiltInRole, id: RoleId, workspace: WorkspaceId) -> Result<Self, RoleNameError> {
        let permissions = match kind {
            BuiltInRole::AccessManager => BTreeSet::from([PermissionName::create(), PermissionName::update()]),
            BuiltInRole::Member | BuiltInRole::Guest => BTreeSet::new(),
        };
        Ok(Self {
            id,
            workspace,
            handle: Handle::parse(kind.handle())?,
            display_name: Name::parse(kind.display_name())?,
            permissions,
            for_externals: kind == BuiltInRole::Guest,
            built_in: Some(kind),
            version: Version::FIRST,
        })
    }

    /// Whether it carries a governance right.
    pub fn is_governing(&self) -> bool {
        self.permissions.iter().any(|p| p.class() == PermissionClass::Governance)
    }
}

/// Names a role of a workspace as callers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// By id.
    Id(RoleId),
    /// By handle.
    Handle(Handle),
}

impl RoleRef {
    /// The role that has the name.
    pub fn of<'r>(&self, roles: &'r [Role]) -> Option<&'r Role> {
        roles.iter().find(|role| match self {
            Self::Id(id) => *id == role.id,
            Self::Handle(handle) => *handle == role.handle,
        })
    }
}

/// Neither the id nor the handle of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither the id nor the handle of a role")]
pub struct ParseRoleRefError(String);

impl std::str::FromStr for RoleRef {
    type Err = ParseRoleRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Handle::parse(text).map(Self::Handle).map_err(|_| ParseRoleRefError(super::text::quotable(text)))
    }
}

/// In how many places a role is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoleUses {
    /// Live memberships to which it is given directly.
    pub memberships: u64,
    /// Groups that carry it.
    pub groups: u64,
    /// Ceilings in which it stands: of relationships that are proposed or active, and the workspace's own default.
    pub ceilings: u64,
}

impl RoleUses {
    /// Whether it is named nowhere.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// How many members have a role, directly or by a group, whether or not it counts for them now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoleReach {
    /// Internals.
    pub internals: u64,
    /// Externals.
    pub externals: u64,
}

/// A role's handle or name is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// Of the handle.
    #[error(transparent)]
    Handle(#[from] super::name::ParseHandleError),
    /// Of the display name.
    #[error(transparent)]
    Name(#[from] super::name::ParseNameError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_grant_what_the_rules_say() {
        let roles: Vec<Role> = BuiltInRole::ALL
            .into_iter()
            .map(|k| Role::built_in(k, RoleId::nil(), WorkspaceId::nil()).unwrap())
            .collect();
        let summary: Vec<(&str, usize, bool, bool)> =
            roles.iter().map(|r| (r.handle.as_str(), r.permissions.len(), r.is_governing(), r.for_externals)).collect();
        assert_eq!(
            summary,
            [("access-manager", 2, true, false), ("member", 0, false, false), ("guest", 0, false, true)]
        );
    }
}
