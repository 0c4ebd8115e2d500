//! What is asked about roles and what members have, and what is answered.

use crate::model::permission::{Permission, PermissionUses};
use crate::model::role::{Role, RoleReach, RoleUses};

use super::{Consistency, PageRequest, RequestIdentity};

/// Replaces the roles that a member has directly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetRoles {
    /// The person's id, as typed.
    pub user: String,
    /// All roles from then on, by id or handle.
    pub roles: Vec<String>,
    /// Of the membership as it was read.
    pub etag: String,
}

/// Replaces the permissions that a member has directly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetPermissions {
    /// The person's id, as typed.
    pub user: String,
    /// All direct permissions from then on, by name.
    pub permissions: Vec<String>,
    /// Of the membership as it was read.
    pub etag: String,
}

/// A new role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateRole {
    /// Handle, as typed.
    pub handle: String,
    /// Display name, as typed.
    pub display_name: String,
    /// What it grants, by name.
    pub permissions: Vec<String>,
    /// Whether it may stand in a ceiling.
    pub for_externals: bool,
}

/// A change of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateRole {
    /// Id or handle.
    pub role: String,
    /// Which fields change: `display_name`, `permissions`, `for_externals`.
    pub paths: Vec<String>,
    /// Display name, as typed.
    pub display_name: String,
    /// All that it grants from then on, by name.
    pub permissions: Vec<String>,
    /// Whether it may stand in a ceiling.
    pub for_externals: bool,
    /// Of the role as it was read.
    pub etag: String,
}

/// A role after its change, with how many the change reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    /// The role.
    pub role: Role,
    /// Who has it.
    pub reach: RoleReach,
}

/// The end of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteRole {
    /// Id or handle.
    pub role: String,
    /// Of the role as it was read.
    pub etag: String,
    /// Take it away from wherever it is named.
    pub force: bool,
}

/// A role that is gone, with what it was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedRole {
    /// The role as it was.
    pub role: Role,
    /// From how many it was taken.
    pub uses: RoleUses,
}

/// A permission as a service offers it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionInput {
    /// Its name, as typed.
    pub name: String,
    /// What it lets one do, as typed.
    pub description: String,
}

/// Puts permissions into the catalogue, or changes how they are described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterPermissions {
    /// Makes it repeatable.
    pub request: RequestIdentity,
    /// The permissions.
    pub permissions: Vec<PermissionInput>,
    /// Go as far as the preconditions and write nothing.
    pub validate_only: bool,
}

/// Takes a permission out of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetirePermission {
    /// Makes it repeatable.
    pub request: RequestIdentity,
    /// Its name, as typed.
    pub name: String,
    /// Go as far as the preconditions and write nothing.
    pub validate_only: bool,
}

/// A permission out of use, with where it is still named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredPermission {
    /// The entry of the catalogue.
    pub permission: Permission,
    /// Where it is named and does nothing from then on.
    pub uses: PermissionUses,
}

/// Lists the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPermissions {
    /// Id or handle of a workspace of the acting person.
    pub workspace: String,
    /// Only names that begin with these words; empty for all.
    pub prefix: String,
    /// Show retired ones too.
    pub show_retired: bool,
    /// Which page.
    pub page: PageRequest,
    /// How fresh.
    pub consistency: Consistency,
}
