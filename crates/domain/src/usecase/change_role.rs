//! Makes, changes and deletes roles. What a role grants is felt by the next check of whoever has it; nothing of theirs is
//! rewritten.

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{CreateRole, DeleteRole, DeletedRole, RoleChange, UpdateRole};
use super::change::{Authority, Change, Made, Unit};
use super::change_relationship::relationship_changed;
use super::grant::names;
use super::input::{field, mask, needed_etag, role_permissions, same_etag};
use super::relationship_terms as terms;
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::audit::{AuditAction, AuditChange};
use crate::model::id::RoleId;
use crate::model::name::{Handle, Name};
use crate::model::relationship::WorkspaceRelationship;
use crate::model::role::{BuiltInRole, Role, RoleRef, RoleUses};
use crate::model::time::Version;
use crate::port::store::Constraint;

/// Makes a role.
pub(super) struct Create<'a>(pub(super) &'a CreateRole);

/// Changes a role.
pub(super) struct Update<'a>(pub(super) &'a UpdateRole);

/// Deletes a role.
pub(super) struct Delete<'a>(pub(super) &'a DeleteRole);

#[async_trait]
impl Change for Create<'_> {
    type Thing = Role;
    const ACTION: AuditAction = AuditAction::CreateRole;
    const AUTHORITY: Authority = Authority::QualifyingManager;
    const RACES: &'static [Constraint] = &[Constraint::RoleHandle];

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<Role>, Refusal> {
        let mut wrong = unit.violations();
        let handle = field(&mut wrong, "handle", Handle::parse(&self.0.handle));
        let display_name = field(&mut wrong, "display_name", Name::parse(&self.0.display_name));
        let permissions = role_permissions(unit.tx, &self.0.permissions, &mut wrong).await?;
        let (Some(handle), Some(display_name), true) = (handle, display_name, wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        let roles = unit.tx.roles().of_workspace(unit.workspace).await?;
        let built_in = BuiltInRole::ALL.into_iter().any(|kind| kind.handle() == handle.as_str());
        if built_in || roles.iter().any(|role| role.handle == handle) {
            return Err(Refusal::new(Reason::HandleTaken).with("field", "handle"));
        }
        if roles.len() >= Role::MOST {
            let refusal = Refusal::new(Reason::LimitReached).with("limit", Role::MOST);
            let message = format!(
                "The workspace has {} roles, as many as one may have. Delete one that is not used.",
                Role::MOST
            );
            return Err(Refusal { message, ..refusal });
        }
        let role = Role {
            id: unit.new_id(),
            workspace: unit.workspace,
            handle,
            display_name,
            permissions,
            for_externals: self.0.for_externals,
            built_in: None,
            version: Version::FIRST,
        };
        unit.tx.roles().insert(&role).await?;
        unit.event(EventBody::RoleCreated { role: role.id }).await?;
        let changes = in_words(&role).map(|(path, after)| change(path, None, Some(after))).to_vec();
        let id = role.id;
        Ok(Made::new(role, id, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<Role>, Refusal> {
        by_id(unit, thing).await
    }
}

/// The fields of a role that can be changed, by their paths.
const FIELDS: [&str; 3] = ["display_name", "permissions", "for_externals"];

#[async_trait]
impl Change for Update<'_> {
    type Thing = RoleChange;
    const ACTION: AuditAction = AuditAction::UpdateRole;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<RoleChange>, Refusal> {
        let (named, asked) = self.read(unit).await?;
        let role = changeable(unit, &named, &self.0.etag).await?;
        let after = Role {
            display_name: asked.display_name.unwrap_or_else(|| role.display_name.clone()),
            permissions: asked.permissions.unwrap_or_else(|| role.permissions.clone()),
            for_externals: asked.for_externals.unwrap_or(role.for_externals),
            version: role.version.next(),
            ..role.clone()
        };
        unit.tx.roles().update(&after, role.version).await?;
        let changed = in_words(&role).into_iter().zip(in_words(&after)).filter(|(before, after)| before != after);
        let mut changes: Vec<AuditChange> =
            changed.map(|((path, before), (_, after))| change(path, Some(before), Some(after))).collect();
        let paths = changes.iter().map(|change| change.path.trim_start_matches("role.").to_owned()).collect();
        unit.event(EventBody::RoleChanged { role: role.id, paths }).await?;
        let reach = unit.tx.roles().reach(&after).await?;
        changes.push(change("role.internals_reached", None, Some(reach.internals.to_string())));
        changes.push(change("role.externals_reached", None, Some(reach.externals.to_string())));
        Ok(Made::new(RoleChange { role: after, reach }, role.id, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<RoleChange>, Refusal> {
        let Some(role) = by_id(unit, thing).await? else { return Ok(None) };
        let reach = unit.tx.roles().reach(&role).await?;
        Ok(Some(RoleChange { role, reach }))
    }
}

/// What is to be other than it is.
#[derive(Default)]
struct Asked {
    display_name: Option<Name>,
    permissions: Option<BTreeSet<crate::model::permission::PermissionName>>,
    for_externals: Option<bool>,
}

impl Update<'_> {
    /// Reads the fields that the mask names, and no others; all violations at once.
    async fn read(&self, unit: &mut Unit<'_>) -> Result<(RoleRef, Asked), Refusal> {
        let mut wrong = unit.violations();
        let role = named(&self.0.role, &mut wrong);
        needed_etag(&mut wrong, &self.0.etag);
        let fields = mask(&self.0.paths, &FIELDS.map(|field| (field, field)), &mut wrong);
        let named = |field: &str| fields.contains(&field);
        let mut asked = Asked::default();
        if named("display_name") {
            asked.display_name = field(&mut wrong, "display_name", Name::parse(&self.0.display_name));
        }
        if named("permissions") {
            asked.permissions = Some(role_permissions(unit.tx, &self.0.permissions, &mut wrong).await?);
        }
        asked.for_externals = named("for_externals").then_some(self.0.for_externals);
        match role {
            Some(role) if wrong.is_empty() => Ok((role, asked)),
            _ => Err(Refusal::invalid(wrong)),
        }
    }
}

#[async_trait]
impl Change for Delete<'_> {
    type Thing = DeletedRole;
    const ACTION: AuditAction = AuditAction::DeleteRole;
    const AUTHORITY: Authority = Authority::QualifyingManager;
    const MOST_EVENTS: usize = 1 + MOST_HOMES;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<DeletedRole>, Refusal> {
        let mut wrong = unit.violations();
        let role = named(&self.0.role, &mut wrong);
        needed_etag(&mut wrong, &self.0.etag);
        let Some(role) = role.filter(|_| wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        let role = changeable(unit, &role, &self.0.etag).await?;
        let uses = unit.tx.roles().uses(&role).await?;
        if !(uses.is_none() || self.0.force) {
            return Err(in_use(uses));
        }
        let admitting = unit.tx.relationships().admitting(&role).await?;
        if admitting.len() > MOST_HOMES {
            return Err(in_too_many_ceilings(admitting.len()));
        }
        // A relationship changes under the revisions of both sides alone, so those are taken first.
        for before in &admitting {
            tell_home(unit, &role, before).await?;
        }
        unit.tx.roles().delete(&role).await?;
        unit.event(EventBody::RoleDeleted { role: role.id }).await?;
        for before in &admitting {
            relationship_changed(unit, Some(before), &before.without_role(role.id)).await?;
        }
        let mut changes = in_words(&role).map(|(path, before)| change(path, Some(before), None)).to_vec();
        changes.extend(counts(uses).map(|(path, count)| change(path, Some(count.to_string()), None)));
        let id = role.id;
        Ok(Made::new(DeletedRole { role, uses }, id, changes))
    }

    async fn again(&self, _unit: &mut Unit<'_>, _thing: Uuid) -> Result<Option<DeletedRole>, Refusal> {
        Ok(None)
    }
}

/// From how many relationships one change takes a role: it takes the revision of each home, which keeps the writers of that
/// one waiting, and each stands in its token.
const MOST_HOMES: usize = 100;

fn in_too_many_ceilings(count: usize) -> Refusal {
    let refusal = Refusal::new(Reason::LimitReached).with("limit", MOST_HOMES).with("ceilings", count);
    let message = format!(
        "The role stands in the ceilings of {count} relationships; one change takes it from {MOST_HOMES} at most. Take it out of ceilings by changing those relationships, then delete it."
    );
    Refusal { message, ..refusal }
}

/// Says to the home that the ceiling of its relationship loses a role, of which it sees the handle.
async fn tell_home(unit: &mut Unit<'_>, role: &Role, before: &WorkspaceRelationship) -> Result<(), Refusal> {
    let mut told = terms::recorded(Some(before), &before.without_role(role.id));
    told.push(change("role.handle", Some(role.handle.to_string()), None));
    unit.told_in(before.home, told).await
}

const fn counts(uses: RoleUses) -> [(&'static str, u64); 3] {
    [("role.memberships", uses.memberships), ("role.groups", uses.groups), ("role.ceilings", uses.ceilings)]
}

fn in_use(uses: RoleUses) -> Refusal {
    let RoleUses { memberships, groups, ceilings } = uses;
    let refusal = Refusal::new(Reason::RoleInUse);
    let message = format!(
        "The role is in use; it is named by memberships: {memberships}, groups: {groups}, ceilings: {ceilings}. Take it away there first, or delete it with `force`, which takes it away from all of them."
    );
    let refusal = refusal.with("memberships", memberships).with("groups", groups).with("ceilings", ceilings);
    Refusal { message, ..refusal }
}

fn named(text: &str, wrong: &mut Vec<Violation>) -> Option<RoleRef> {
    field(wrong, "role", text.parse::<RoleRef>())
}

/// A role that is there, is the workspace's own, and is at the version that the caller read.
async fn changeable(unit: &mut Unit<'_>, named: &RoleRef, etag: &str) -> Result<Role, Refusal> {
    let roles = unit.tx.roles().of_workspace(unit.workspace).await?;
    let role = named.of(&roles).ok_or_else(|| Refusal::missing("role"))?;
    if role.built_in.is_some() {
        return Err(Refusal::new(Reason::BuiltInRole).with("role", &role.handle));
    }
    same_etag(etag, role.id, role.version)?;
    Ok(role.clone())
}

async fn by_id(unit: &mut Unit<'_>, id: Uuid) -> Result<Option<Role>, Refusal> {
    let roles = unit.tx.roles().of_workspace(unit.workspace).await?;
    Ok(roles.into_iter().find(|role| role.id == RoleId::from_uuid(id)))
}

/// What can be told of a role in the record, always in the same order.
fn in_words(role: &Role) -> [(&'static str, String); 4] {
    [
        ("role.handle", role.handle.to_string()),
        ("role.display_name", role.display_name.to_string()),
        ("role.permissions", names(&role.permissions)),
        ("role.for_externals", role.for_externals.to_string()),
    ]
}

fn change(path: &str, before: Option<String>, after: Option<String>) -> AuditChange {
    AuditChange { path: path.to_owned(), before, after }
}
