//! What may be granted to a member, and by whom: one place for every path by which roles and permissions are given.

use std::collections::BTreeSet;

use crate::error::{Reason, Refusal};
use crate::model::facts::AccessFacts;
use crate::model::id::RoleId;
use crate::model::membership::Grants;
use crate::model::permission::{PermissionClass, PermissionName};
use crate::model::relationship::Ceiling;
use crate::model::role::Role;
use crate::model::workspace::WorkspacePolicy;
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
    let admitted = |role: &Role| ceiling.roles.contains(&role.id) && role_counts_for_externals(role, &host.policy);
    let admits =
        |p: &PermissionName| ceiling.permissions.contains(p) && permission_counts_for_externals(p, &host.policy);
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

/// Whether the host's own rules let that be a ceiling: its roles are marked for Externals, and what carries rights over the
/// workspace stands in one only where its policy lets Externals have them. What is not so counts for nobody, so that the
/// same functions say what may stand there and what counts.
pub(super) fn may_be_ceiling(ceiling: &Ceiling, roles: &[Role], host: &WorkspacePolicy) -> Result<(), Refusal> {
    let idle = roles.iter().filter(|role| ceiling.roles.contains(&role.id) && !role_counts_for_externals(role, host));
    let (governing, unmarked): (Vec<&Role>, Vec<&Role>) = idle.partition(|role| role.is_governing());
    if !unmarked.is_empty() {
        let named: BTreeSet<&str> = unmarked.into_iter().map(|role| role.handle.as_str()).collect();
        let named = named.into_iter().collect::<Vec<_>>().join(", ");
        let mut refusal = Refusal::new(Reason::RoleNotForExternals).with("roles", &named);
        refusal.message =
            format!("Not marked for Externals, so not for a ceiling: {named}. Mark them, or choose others.");
        return Err(refusal);
    }
    let permitted = ceiling.permissions.iter().all(|name| permission_counts_for_externals(name, host));
    if governing.is_empty() && permitted { Ok(()) } else { Err(Refusal::new(Reason::GovernanceNotGrantable)) }
}

/// What carries rights over the workspace is touched by a qualifying manager alone in every respect: to be in it is to be
/// granted them.
pub(super) fn check_carried(roles: &[Role], carried: &BTreeSet<RoleId>, maker_qualifies: bool) -> Result<(), Refusal> {
    let carried = Grants { roles: carried.clone(), ..Grants::default() };
    let governs = governing(&carried, roles) != Grants::default();
    if governs && !maker_qualifies { Err(Refusal::new(Reason::GovernanceNotGrantable)) } else { Ok(()) }
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
