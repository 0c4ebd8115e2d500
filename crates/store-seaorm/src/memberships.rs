//! Memberships, live and ended, and the facts that decide access.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::id::{Id, MembershipId, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{
    EndedMembership, ExternalMembership, Grants, InternalMembership, Membership, MembershipBase, MembershipKind,
};
use domicile_domain::model::name::ExternalId;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::port::store::{MembershipRepository, StoreError};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Statement,
};
use uuid::Uuid;

use crate::convert::{At, Word, id_list, maybe_id, maybe_uuid, model, text_list, uuid};
use crate::entity::{
    group_role, membership, membership_contact, membership_group, membership_history, membership_permission,
    membership_role, membership_unit, role, role_permission,
};
use crate::executor::Executor;
use crate::facts;
use crate::unit_of_work::Lent;

const TABLE: &str = "memberships";

/// Members of one workspace: those whose user id is above one and at most another, or exactly one.
#[derive(Clone, Copy)]
pub(crate) enum Members {
    One(Uuid),
    Above(Uuid, u32),
}

/// What belongs to the memberships of a range of users, read with one statement for each table.
struct Belongings {
    roles: Vec<membership_role::Model>,
    permissions: Vec<membership_permission::Model>,
    groups: Vec<membership_group::Model>,
    units: Vec<membership_unit::Model>,
    contacts: Vec<membership_contact::Model>,
}

/// Reads memberships in order of user id. The number of statements is the same for one, many and none.
pub(crate) async fn load(
    exec: &mut dyn Executor,
    workspace: Uuid,
    which: Members,
) -> Result<Vec<Membership>, StoreError> {
    let query = membership::Entity::find().filter(membership::Column::WorkspaceId.eq(workspace));
    let query = match which {
        Members::One(user) => query.filter(membership::Column::UserId.eq(user)),
        Members::Above(after, limit) => query
            .filter(membership::Column::UserId.gt(after))
            .order_by(membership::Column::UserId, Order::Asc)
            .limit(u64::from(limit)),
    };
    let rows = exec.all(query.build(exec.backend())).await?;
    let rows: Vec<membership::Model> = rows.iter().map(|row| model(TABLE, row)).collect::<Result<_, _>>()?;
    let first = rows.first().map_or(Uuid::nil(), |row| row.user_id);
    let last = rows.last().map_or(Uuid::nil(), |row| row.user_id);
    let belongings = belongings(exec, workspace, first, last).await?;
    let read = rows.into_iter().map(|row| membership_of(row, &belongings)).collect();
    if matches!(read, Err(StoreError::Corrupt { .. })) {
        exec.poison();
    }
    read
}

async fn belongings(
    exec: &mut dyn Executor,
    workspace: Uuid,
    first: Uuid,
    last: Uuid,
) -> Result<Belongings, StoreError> {
    macro_rules! read {
        ($entity:ident, $table:literal) => {{
            let statement: Statement = $entity::Entity::find()
                .filter($entity::Column::WorkspaceId.eq(workspace))
                .filter($entity::Column::UserId.between(first, last))
                .build(exec.backend());
            exec.all(statement).await?.iter().map(|row| model($table, row)).collect::<Result<_, _>>()?
        }};
    }
    Ok(Belongings {
        roles: read!(membership_role, "membership_roles"),
        permissions: read!(membership_permission, "membership_permissions"),
        groups: read!(membership_group, "membership_groups"),
        units: read!(membership_unit, "membership_units"),
        contacts: read!(membership_contact, "membership_contacts"),
    })
}

fn membership_of(row: membership::Model, of: &Belongings) -> Result<Membership, StoreError> {
    let at = At::new(TABLE, row.id);
    let user = row.user_id;
    let kind: MembershipKind = at.word("kind", &row.kind)?;
    let permissions = of.permissions.iter().filter(|p| p.user_id == user);
    let base = MembershipBase {
        id: MembershipId::from_uuid(row.id),
        user: UserId::from_uuid(user),
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        grants: Grants {
            roles: ids(of.roles.iter().filter(|r| r.user_id == user).map(|r| r.role_id)),
            permissions: permissions
                .map(|p| at.read("permission", PermissionName::parse(&p.permission)))
                .collect::<Result<_, _>>()?,
        },
        assigned_by: maybe_id(row.assigned_by),
        assigned_at: Timestamp::from_micros(row.assigned_at),
        external_id: row.external_id.map(|id| at.read("external_id", ExternalId::parse(&id))).transpose()?,
        version: Version::from_stored(row.version),
    };
    Ok(match kind {
        MembershipKind::Internal => Membership::Internal(InternalMembership {
            base,
            groups: ids(of.groups.iter().filter(|g| g.user_id == user).map(|g| g.group_id)),
            units: ids(of.units.iter().filter(|u| u.user_id == user).map(|u| u.unit_id)),
        }),
        MembershipKind::External => Membership::External(ExternalMembership {
            base,
            state: at.word("state", row.state.as_deref().unwrap_or_default())?,
            language: row.language.map(|l| at.read("language", LanguageTag::parse(&l))).transpose()?,
            expires_at: row.expires_at.map(Timestamp::from_micros),
            sponsor: maybe_id(row.sponsor),
            typed_contact: of.contacts.iter().find(|c| c.user_id == user).map(|c| c.typed_contact.clone()),
        }),
    })
}

fn ids<K>(uuids: impl Iterator<Item = Uuid>) -> BTreeSet<Id<K>> {
    uuids.map(Id::from_uuid).collect()
}

fn row_of(membership: &Membership) -> membership::Model {
    let base = membership.base();
    let row = membership::Model {
        workspace_id: uuid(base.workspace),
        user_id: uuid(base.user),
        id: uuid(base.id),
        kind: membership.kind().word().to_owned(),
        home_id: None,
        state: None,
        language: None,
        expires_at: None,
        sponsor: None,
        external_id: base.external_id.as_ref().map(|id| id.as_str().to_owned()),
        assigned_by: maybe_uuid(base.assigned_by),
        assigned_at: base.assigned_at.as_micros(),
        version: base.version.as_i64(),
    };
    match membership {
        Membership::Internal(internal) => membership::Model { home_id: Some(uuid(internal.base.workspace)), ..row },
        Membership::External(external) => membership::Model {
            state: Some(external.state.word().to_owned()),
            language: external.language.as_ref().map(ToString::to_string),
            expires_at: external.expires_at.map(Timestamp::as_micros),
            sponsor: maybe_uuid(external.sponsor),
            ..row
        },
    }
}

/// The Internals to whom a governance permission is granted: found from the few roles that carry one, so that a workspace
/// with many members is not read through.
async fn governors(
    exec: &mut dyn Executor,
    workspace: Uuid,
    after: Uuid,
    limit: u32,
) -> Result<Vec<UserId>, StoreError> {
    let rights = || [PermissionName::create(), PermissionName::update()].map(|right| right.to_string());
    let governing = || {
        let granting = role_permission::Entity::find()
            .select_only()
            .column(role_permission::Column::RoleId)
            .filter(role_permission::Column::Permission.is_in(rights()))
            .into_query();
        role::Entity::find()
            .select_only()
            .column(role::Column::Id)
            .filter(role::Column::WorkspaceId.eq(workspace))
            .filter(role::Column::Id.in_subquery(granting))
            .into_query()
    };
    let carrying = group_role::Entity::find()
        .select_only()
        .column(group_role::Column::GroupId)
        .filter(group_role::Column::RoleId.in_subquery(governing()))
        .into_query();
    let by_group = membership_group::Entity::find()
        .select_only()
        .column(membership_group::Column::UserId)
        .filter(membership_group::Column::WorkspaceId.eq(workspace))
        .filter(membership_group::Column::GroupId.in_subquery(carrying))
        .into_query();
    let by_role = membership_role::Entity::find()
        .select_only()
        .column(membership_role::Column::UserId)
        .filter(membership_role::Column::WorkspaceId.eq(workspace))
        .filter(membership_role::Column::RoleId.in_subquery(governing()))
        .into_query();
    let direct = membership_permission::Entity::find()
        .select_only()
        .column(membership_permission::Column::UserId)
        .filter(membership_permission::Column::WorkspaceId.eq(workspace))
        .filter(membership_permission::Column::Permission.is_in(rights()))
        .into_query();
    let user = membership::Column::UserId;
    let somehow =
        Condition::any().add(user.in_subquery(direct)).add(user.in_subquery(by_role)).add(user.in_subquery(by_group));
    let statement = membership::Entity::find()
        .select_only()
        .column(user)
        .filter(membership::Column::WorkspaceId.eq(workspace))
        .filter(membership::Column::Kind.eq(MembershipKind::Internal.word()))
        .filter(user.gt(after))
        .filter(somehow)
        .order_by(user, Order::Asc)
        .limit(u64::from(limit))
        .build(exec.backend());
    let rows = exec.all(statement).await?;
    let at = At::new(TABLE, workspace);
    rows.iter().map(|row| at.read("user_id", row.try_get("", "user_id")).map(UserId::from_uuid)).collect()
}

fn ended_of(row: membership_history::Model) -> Result<EndedMembership, StoreError> {
    let at = At::new("membership_history", row.id);
    Ok(EndedMembership {
        id: MembershipId::from_uuid(row.id),
        user: UserId::from_uuid(row.user_id),
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        kind: at.word("kind", &row.kind)?,
        grants: Grants {
            roles: at.ids("roles", &row.roles)?,
            permissions: at.parsed("permissions", &row.permissions, PermissionName::parse)?,
        },
        external_id: row.external_id.map(|id| at.read("external_id", ExternalId::parse(&id))).transpose()?,
        assigned_by: maybe_id(row.assigned_by),
        assigned_at: Timestamp::from_micros(row.assigned_at),
        reason: at.word("reason", &row.reason)?,
        ended_at: Timestamp::from_micros(row.ended_at),
        version: Version::from_stored(row.version),
    })
}

#[async_trait]
impl MembershipRepository for Lent<'_> {
    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Membership>, StoreError> {
        Ok(load(self.exec, uuid(workspace), Members::One(uuid(user))).await?.pop())
    }

    async fn last_ended(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
    ) -> Result<Option<EndedMembership>, StoreError> {
        let statement = membership_history::Entity::find()
            .filter(membership_history::Column::WorkspaceId.eq(uuid(workspace)))
            .filter(membership_history::Column::UserId.eq(uuid(user)))
            .order_by(membership_history::Column::EndedAt, Order::Desc)
            .order_by(membership_history::Column::Id, Order::Desc)
            .limit(1)
            .build(self.exec.backend());
        let Some(row) = self.exec.one(statement).await? else { return Ok(None) };
        let read = model("membership_history", &row).and_then(ended_of);
        self.checked(read).map(Some)
    }

    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError> {
        let base = membership.base();
        let (workspace_id, user_id) = (uuid(base.workspace), uuid(base.user));
        self.insert_row::<membership::Entity>(row_of(membership).into_active_model()).await?;
        let roles = base
            .grants
            .roles
            .iter()
            .map(|role| membership_role::Model { workspace_id, user_id, role_id: uuid(*role) }.into_active_model());
        self.insert_rows::<membership_role::Entity>(roles.collect()).await?;
        let permissions = base.grants.permissions.iter().map(|permission| {
            membership_permission::Model { workspace_id, user_id, permission: permission.to_string() }
                .into_active_model()
        });
        self.insert_rows::<membership_permission::Entity>(permissions.collect()).await?;
        match membership {
            Membership::Internal(internal) => {
                let groups = internal.groups.iter().map(|group| {
                    membership_group::Model { workspace_id, user_id, group_id: uuid(*group) }.into_active_model()
                });
                self.insert_rows::<membership_group::Entity>(groups.collect()).await?;
                let units = internal.units.iter().map(|unit| {
                    membership_unit::Model { workspace_id, user_id, unit_id: uuid(*unit) }.into_active_model()
                });
                self.insert_rows::<membership_unit::Entity>(units.collect()).await
            }
            Membership::External(external) => {
                let contacts = external.typed_contact.iter().map(|typed| {
                    membership_contact::Model { workspace_id, user_id, typed_contact: typed.clone() }
                        .into_active_model()
                });
                self.insert_rows::<membership_contact::Entity>(contacts.collect()).await
            }
        }
    }

    async fn end(&mut self, ended: &EndedMembership, read_at: Version) -> Result<(), StoreError> {
        let (workspace, user) = (uuid(ended.workspace), uuid(ended.user));
        macro_rules! delete {
            ($($entity:ident),*) => {$(
                let statement = $entity::Entity::delete_many()
                    .filter($entity::Column::WorkspaceId.eq(workspace))
                    .filter($entity::Column::UserId.eq(user))
                    .build(self.exec.backend());
                self.exec.exec(statement).await?;
            )*};
        }
        delete!(membership_role, membership_permission, membership_group, membership_unit, membership_contact);
        let statement = membership::Entity::delete_many()
            .filter(membership::Column::WorkspaceId.eq(workspace))
            .filter(membership::Column::UserId.eq(user))
            .filter(membership::Column::Id.eq(uuid(ended.id)))
            .filter(membership::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)?;
        let row = membership_history::Model {
            id: uuid(ended.id),
            workspace_id: workspace,
            user_id: user,
            kind: ended.kind.word().to_owned(),
            roles: id_list(&ended.grants.roles)?,
            permissions: text_list(&ended.grants.permissions)?,
            external_id: ended.external_id.as_ref().map(|id| id.as_str().to_owned()),
            assigned_by: maybe_uuid(ended.assigned_by),
            assigned_at: ended.assigned_at.as_micros(),
            reason: ended.reason.word().to_owned(),
            ended_at: ended.ended_at.as_micros(),
            version: ended.version.as_i64(),
        };
        self.insert_row::<membership_history::Entity>(row.into_active_model()).await
    }

    async fn governors(
        &mut self,
        workspace: WorkspaceId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        governors(self.exec, uuid(workspace), uuid(after), limit).await
    }

    async fn access_facts(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError> {
        facts::in_unit(self.exec, workspace, user).await
    }
}
