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
