//! Roles and the catalogue of permissions.

use domicile_domain::model::permission::{Permission, PermissionUses};
use domicile_domain::model::role::{RoleReach, RoleUses};
use domicile_domain::usecase::{DeletedRole, PermissionInput, RetiredPermission, RoleChange};
use domicile_proto::v1;

use super::{role, time};

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

pub(crate) fn permission_input(wire: v1::PermissionDefinition) -> PermissionInput {
    PermissionInput { name: wire.name, description: wire.description }
}

pub(crate) fn permission(entry: &Permission) -> v1::Permission {
    v1::Permission {
        name: entry.name.to_string(),
        description: entry.description.clone(),
        registered_by: entry.registered_by.clone(),
        register_time: Some(time(entry.registered_at)),
        retire_time: entry.retired_at.map(time),
    }
}

pub(crate) fn retired(done: Option<&RetiredPermission>) -> v1::RetirePermissionResponse {
    let PermissionUses { roles, memberships } = done.map(|done| done.uses).unwrap_or_default();
    v1::RetirePermissionResponse {
        permission: done.map(|done| permission(&done.permission)),
        roles: count(roles),
        memberships: count(memberships),
    }
}

pub(crate) fn updated(done: Option<&RoleChange>, consistency_token: String) -> v1::UpdateRoleResponse {
    let RoleReach { internals, externals } = done.map(|done| done.reach).unwrap_or_default();
    v1::UpdateRoleResponse {
        role: done.map(|done| role(&done.role)),
        internals_reached: count(internals),
        externals_reached: count(externals),
        consistency_token,
    }
}

pub(crate) fn deleted(done: Option<&DeletedRole>, consistency_token: String) -> v1::DeleteRoleResponse {
    let RoleUses { memberships, groups, ceilings } = done.map(|done| done.uses).unwrap_or_default();
    v1::DeleteRoleResponse {
        role: done.map(|done| role(&done.role)),
        memberships: count(memberships),
        groups: count(groups),
        ceilings: count(ceilings),
        consistency_token,
    }
}
