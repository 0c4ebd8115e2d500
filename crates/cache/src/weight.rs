//! About how many bytes of memory what is kept takes. What many people share, a workspace and its roles, is weighed with each
//! of them: a bound holds though nobody shares anything, and less is used where they do.

use std::collections::BTreeSet;

use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::membership::{Grants, Membership};
use domicile_domain::model::name::Handle;
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{Ceiling, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::Identity;
use domicile_domain::model::workspace::Workspace;
use quick_cache::Weighter;

/// What an allocation takes beside its content.
const ALLOCATION: usize = 16;
/// What an entry takes in the tables by which it is found.
const ENTRY: usize = 128;
/// How many elements a node of an ordered set has room for, and how many it holds at least once there are several.
const NODE: (usize, usize) = (11, 5);
/// What the longest description of a permission and its names take.
const LONGEST_PERMISSION: usize = 1_024;

/// About what the known revision of a workspace takes.
pub(crate) const REVISION: usize = size_of::<(WorkspaceId, Revision)>() + ENTRY;
/// About what a known entry of the catalogue takes.
pub(crate) const PERMISSION: usize = size_of::<Permission>() + LONGEST_PERMISSION + ENTRY;
/// About what a handle that leads to its workspace takes.
pub(crate) const HANDLE: usize = size_of::<(Handle, WorkspaceId)>() + 64 + ENTRY;

/// About what the facts of a person take.
pub(crate) fn of_facts(facts: &AccessFacts) -> u64 {
    let relationship = facts
        .relationship
        .as_deref()
        .map_or(0, |of| size_of::<WorkspaceRelationship>() + ALLOCATION + of_ceiling(&of.host_terms.ceiling));
    let roles: usize = facts.roles.iter().map(|role| of_role(role)).sum();
    let parts = [
        ENTRY + ALLOCATION + size_of::<AccessFacts>(),
        of_workspace(&facts.workspace),
        facts.membership.as_ref().map_or(0, of_membership),
        roles,
        relationship,
    ];
    u64::try_from(parts.into_iter().sum::<usize>()).unwrap_or(u64::MAX)
}

fn of_workspace(workspace: &Workspace) -> usize {
    let links = [&workspace.links.begin, &workspace.links.accept, &workspace.links.leave];
    let names = [&workspace.notices.gateway, &workspace.notices.sender];
    let texts: usize = links.into_iter().chain(names).flatten().map(|text| of_text(text)).sum();
    let support = workspace.notices.support_contact.as_ref().map_or(0, |contact| 2 * of_text(contact.as_str()));
    let domains: usize = workspace.verified_domains.iter().map(|domain| of_text(domain.as_str())).sum();
    let languages: usize = workspace.notices.languages.iter().map(|tag| size_of_val(tag) + of_text(tag.as_str())).sum();
    let own = size_of::<Workspace>()
        + ALLOCATION
        + of_text(workspace.handle.as_str())
        + of_text(workspace.display_name.as_str());
    own + texts
        + support
        + of_nodes(&workspace.verified_domains)
        + domains
        + languages
        + of_ceiling(&workspace.policy.default_ceiling)
}

fn of_role(role: &Role) -> usize {
    let names = of_text(role.handle.as_str()) + of_text(role.display_name.as_str());
    size_of::<Role>() + ALLOCATION + names + of_permissions(&role.permissions)
}

fn of_membership(membership: &Membership) -> usize {
    let base = membership.base();
    let Grants { roles, permissions } = &base.grants;
    let more = match membership {
        Membership::Internal(internal) => of_nodes(&internal.groups) + of_nodes(&internal.units),
        Membership::External(external) => external.typed_contact.as_deref().map_or(0, of_text),
    };
    let name = base.external_id.as_ref().map_or(0, |id| of_text(id.as_str()));
    of_nodes(roles) + of_permissions(permissions) + name + more
}

fn of_ceiling(ceiling: &Ceiling) -> usize {
    of_nodes(&ceiling.roles) + of_permissions(&ceiling.permissions)
}

fn of_permissions(permissions: &BTreeSet<PermissionName>) -> usize {
    of_nodes(permissions) + permissions.iter().map(|name| of_text(name.as_str())).sum::<usize>()
}

fn of_nodes<T>(set: &BTreeSet<T>) -> usize {
    let (room, least) = NODE;
    set.len().div_ceil(least) * (room * size_of::<T>() + 2 * ALLOCATION)
}

const fn of_text(text: &str) -> usize {
    text.len() + ALLOCATION
}

/// Weighs what stands in a cache.
#[derive(Debug, Clone)]
pub(crate) struct Weight;

impl Weighter<Identity, (UserId, Revision)> for Weight {
    fn weight(&self, identity: &Identity, found: &(UserId, Revision)) -> u64 {
        let texts = of_text(&identity.issuer) + of_text(&identity.subject);
        u64::try_from(texts + size_of_val(identity) + size_of_val(found) + ENTRY).unwrap_or(u64::MAX)
    }
}

impl Weighter<(WorkspaceId, UserId), super::Kept> for Weight {
    fn weight(&self, _: &(WorkspaceId, UserId), kept: &super::Kept) -> u64 {
        kept.weight
    }
}
