//! What may be granted to a member, and by whom: one place for every path by which roles and permissions are given.

use std::collections::BTreeSet;

use crate::error::{Reason, Refusal};
use crate::model::facts::AccessFacts;
use crate::model::id::RoleId;
use crate::model::membership::Grants;
use crate::model::permission::{PermissionClass, PermissionName};
use crate::model::role::Role;
use crate::policy::Policies;
use crate::policy::ceiling::{permission_counts_for_externals, role_counts_for_externals};

/// What somebody has, and is to have instead.
pub(super) struct Regrant<'a> {
    /// The roles of the workspace.
    pub(super) roles: &'a [Role],
    pub(super) before: &'a Grants,
    pub(super) after: &'a Grants,
    /// Whether it is the maker's own.
    pub(super) own: bool,
}

/// Rights over the workspace are given, and taken from others, by a qualifying manager alone; everybody may give up
/// their own.
pub(super) fn check_governance(regrant: &Regrant<'_>, maker_qualifies: bool) -> Result<(), Refusal> {
    let (before, after) = (governing(regrant.before, regrant.roles), governing(regrant.after, regrant.roles));
    let given = !(after.roles.is_subset(&before.roles) && after.permissions.is_subset(&before.permissions));
    let taken_from_another = before != after && !regrant.own;
    let refused = (given || taken_from_another) && !maker_qualifies;
    if refused { Err(Refusal::new(Reason::GovernanceNotGrantable)) } else { Ok(()) }
}

/// What of it are rights over the workspace.
fn governing(grants: &Grants, roles: &[Role]) -> Grants {
    let governing: BTreeSet<RoleId> = roles.iter().filter(|role| role.is_governing()).map(|role| role.id).collect();
    let permissions = grants.permissions.iter().filter(|name| name.class() == PermissionClass::Governance);
    Grants {
        roles: grants.roles.intersection(&governing).copied().collect(),
        permissions: permissions.cloned().collect(),
    }
}

/// Roles and permissions above the ceiling of an External refuse the whole request and are named (seed L12).
pub(super) fn check_ceiling(
    policies: &Policies,
    facts: &AccessFacts,
    roles: &[Role],
    wanted: &Grants,
) -> Result<(), Refusal> {
    let host = &facts.workspace;
    let ceiling = policies.ceiling.ceiling(facts);
    let admitted = |role: &Role| ceiling.roles.contains(&role.id) && role_counts_for_externals(role, host);
    let admits = |p: &PermissionName| ceiling.permissions.contains(p) && permission_counts_for_externals(p, host);
    let above: BTreeSet<&str> = roles
        .iter()
        .filter(|role| wanted.roles.contains(&role.id) && !admitted(role))
        .map(|role| role.handle.as_str())
        .chain(wanted.permissions.iter().filter(|p| !admits(p)).map(PermissionName::as_str))
        .collect();
    if above.is_empty() {
        return Ok(());
    }
    let named = above.into_iter().collect::<Vec<_>>().join(", ");
    let mut refusal = Refusal::new(Reason::RoleAboveCeiling).with("above_ceiling", &named);
    refusal.message = format!(
        "Externals of that home may not have here: {named}. Nothing was saved; leave them out, or agree on more with that home."
    );
    Err(refusal)
}

/// The handles of roles, for the record.
pub(super) fn handles(ids: &BTreeSet<RoleId>, roles: &[Role]) -> String {
    let named = roles.iter().filter(|role| ids.contains(&role.id)).map(|role| role.handle.as_str());
    named.collect::<Vec<_>>().join(",")
}

/// The names of permissions, for the record.
pub(super) fn names(permissions: &BTreeSet<PermissionName>) -> String {
    permissions.iter().map(PermissionName::as_str).collect::<Vec<_>>().join(",")
}
