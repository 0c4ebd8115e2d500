//! Roles and the catalogue of permissions.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domicile_domain::model::id::{RoleId, WorkspaceId};
use domicile_domain::model::membership::MembershipKind;
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::permission::{Permission, PermissionName, PermissionUses};
use domicile_domain::model::relationship::Ceiling;
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::store::{RelationshipRepository, RoleRepository, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};

use crate::convert::{At, Word, id_list, model, uuid};
use crate::entity::{
    group, group_role, membership, membership_group, membership_permission, membership_role, permission, role,
    role_permission, workspace,
};
use crate::executor::Executor;
use crate::unit_of_work::Lent;
use crate::{words, workspaces};

/// Reads the roles that fit, by handle, with one statement: a row for each permission, or one without.
pub(crate) async fn load(exec: &mut dyn Executor, which: Condition) -> Result<Vec<Role>, StoreError> {
    let statement = role::Entity::find()
        .column_as(role_permission::Column::Permission, "granted")
        .join(
            sea_orm::JoinType::LeftJoin,
            role::Entity::belongs_to(role_permission::Entity)
                .from(role::Column::Id)
                .to(role_permission::Column::RoleId)
                .into(),
        )
        .filter(which)
        .order_by(role::Column::Handle, Order::Asc)
        .build(exec.backend());
    let rows = exec.all(statement).await?;
    let mut roles: Vec<Role> = Vec::new();
    for row in &rows {
        if let Err(error) = add(&mut roles, row) {
            exec.poison();
            return Err(error);
        }
    }
    Ok(roles)
}

fn add(roles: &mut Vec<Role>, row: &sea_orm::QueryResult) -> Result<(), StoreError> {
    let read: role::Model = model("roles", row)?;
    let at = At::new("roles", read.id);
    let granted: Option<String> = at.read("permission", row.try_get("", "granted"))?;
    if roles.last().is_none_or(|last| uuid(last.id) != read.id) {
        roles.push(role_of(read, &at)?);
    }
    if let (Some(role), Some(granted)) = (roles.last_mut(), granted) {
        role.permissions.insert(at.read("permission", PermissionName::parse(&granted))?);
    }
    Ok(())
}

pub(crate) fn role_of(row: role::Model, at: &At) -> Result<Role, StoreError> {
    Ok(Role {
        id: RoleId::from_uuid(row.id),
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        handle: at.read("handle", Handle::parse(&row.handle))?,
        display_name: at.read("display_name", Name::parse(&row.display_name))?,
        permissions: std::collections::BTreeSet::new(),
        for_externals: row.for_externals,
        built_in: row.built_in.map(|word| at.word("built_in", &word)).transpose()?,
        version: Version::from_stored(row.version),
    })
}

pub(crate) async fn of_workspace(exec: &mut dyn Executor, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
    load(exec, Condition::all().add(role::Column::WorkspaceId.eq(uuid(workspace)))).await
}

pub(crate) async fn permission(
    exec: &mut dyn Executor,
    name: &PermissionName,
) -> Result<Option<Permission>, StoreError> {
    let statement = permission::Entity::find_by_id(name.as_str()).build(exec.backend());
    let Some(row) = exec.one(statement).await? else { return Ok(None) };
    entry_of(&row).map(Some)
}

/// A page of the catalogue. Names are compared byte by byte, so those that begin with the words of a prefix are those from
/// the prefix with a dot to the prefix with the character after the dot.
pub(crate) async fn catalogue(
    exec: &mut dyn Executor,
    prefix: &str,
    retired: bool,
    after: &str,
    limit: u32,
) -> Result<Vec<Permission>, StoreError> {
    let name = permission::Column::Name;
    let mut which = permission::Entity::find().filter(name.gt(after));
    if !prefix.is_empty() {
        which = which.filter(name.gte(format!("{prefix}."))).filter(name.lt(format!("{prefix}/")));
    }
    if !retired {
        which = which.filter(permission::Column::RetiredAt.is_null());
    }
    let statement = which.order_by(name, Order::Asc).limit(u64::from(limit)).build(exec.backend());
    exec.all(statement).await?.iter().map(entry_of).collect()
}

fn entry_of(row: &sea_orm::QueryResult) -> Result<Permission, StoreError> {
    let row: permission::Model = model("permissions", row)?;
    let at = At::new("permissions", &row.name);
    Ok(Permission {
        name: at.read("name", PermissionName::parse(&row.name))?,
        description: row.description,
        registered_by: row.registered_by,
        registered_at: Timestamp::from_micros(row.registered_at),
        retired_at: row.retired_at.map(Timestamp::from_micros),
    })
}

/// How many rows there are.
async fn count<E: EntityTrait>(exec: &mut dyn Executor, rows: Select<E>) -> Result<u64, StoreError> {
    let statement = rows.select_only().column_as(Expr::cust("COUNT(*)"), "counted").build(exec.backend());
    let row = exec.one(statement).await?;
    let counted =
        row.map_or(Ok(0), |row| At::new("counted", "?").read("counted", row.try_get::<i64>("", "counted")))?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

/// The users who have a role directly.
fn direct_holders(role: &Role) -> SelectStatement {
    membership_role::Entity::find()
        .select_only()
        .column(membership_role::Column::UserId)
        .filter(membership_role::Column::RoleId.eq(uuid(role.id)))
        .into_query()
}

/// The groups that carry a role.
fn carrying_groups(role: &Role) -> SelectStatement {
    group_role::Entity::find()
        .select_only()
        .column(group_role::Column::GroupId)
        .filter(group_role::Column::RoleId.eq(uuid(role.id)))
        .into_query()
}

impl Lent<'_> {
    async fn insert_permissions(&mut self, role: &Role) -> Result<(), StoreError> {
        let permissions = role.permissions.iter().map(|permission| {
            role_permission::Model { role_id: uuid(role.id), permission: permission.to_string() }.into_active_model()
        });
        self.insert_rows::<role_permission::Entity>(permissions.collect()).await
    }

    async fn delete_permissions(&mut self, role: &Role) -> Result<(), StoreError> {
        let statement = role_permission::Entity::delete_many()
            .filter(role_permission::Column::RoleId.eq(uuid(role.id)))
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    /// The default ceiling of the workspace, if the role stands in it.
    async fn admitting_default(&mut self, role: &Role) -> Result<Option<Ceiling>, StoreError> {
        let workspace = workspaces::find(self.exec, &WorkspaceRef::Id(role.workspace)).await?;
        let ceiling = workspace.map(|workspace| workspace.policy.default_ceiling);
        Ok(ceiling.filter(|ceiling| ceiling.roles.contains(&role.id)))
    }

    async fn take_from_memberships(&mut self, role: &Role) -> Result<(), StoreError> {
        let statement = membership::Entity::update_many()
            .col_expr(membership::Column::Version, Expr::col(membership::Column::Version).add(1))
            .col_expr(membership::Column::Roles, words::without(membership::Column::Roles, role.id))
            .filter(membership::Column::WorkspaceId.eq(uuid(role.workspace)))
            .filter(membership::Column::UserId.in_subquery(direct_holders(role)))
            .build(self.exec.backend());
        self.exec.exec(statement).await?;
        let statement = membership_role::Entity::delete_many()
            .filter(membership_role::Column::RoleId.eq(uuid(role.id)))
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    async fn take_from_groups(&mut self, role: &Role) -> Result<(), StoreError> {
        let statement = group::Entity::update_many()
            .col_expr(group::Column::Version, Expr::col(group::Column::Version).add(1))
            .filter(group::Column::Id.in_subquery(carrying_groups(role)))
            .build(self.exec.backend());
        self.exec.exec(statement).await?;
        let statement = group_role::Entity::delete_many()
            .filter(group_role::Column::RoleId.eq(uuid(role.id)))
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    async fn take_from_ceilings(&mut self, role: &Role) -> Result<(), StoreError> {
        for relationship in self.admitting(role).await? {
            let without = relationship.without_role(role.id);
            RelationshipRepository::update(self, &without, relationship.version).await?;
        }
        let Some(mut ceiling) = self.admitting_default(role).await? else {
            return Ok(());
        };
        ceiling.roles.remove(&role.id);
        let statement = workspace::Entity::update_many()
            .col_expr(workspace::Column::CeilingRoles, Expr::value(id_list(&ceiling.roles)?))
            .col_expr(workspace::Column::Version, Expr::col(workspace::Column::Version).add(1))
            .filter(workspace::Column::Id.eq(uuid(role.workspace)))
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }
}

#[async_trait]
impl RoleRepository for Lent<'_> {
    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        of_workspace(self.exec, workspace).await
    }

    async fn insert(&mut self, role: &Role) -> Result<(), StoreError> {
        let row = role::Model {
            id: uuid(role.id),
            workspace_id: uuid(role.workspace),
            handle: role.handle.to_string(),
            display_name: role.display_name.to_string(),
            for_externals: role.for_externals,
            built_in: role.built_in.map(|kind| kind.word().to_owned()),
            version: role.version.as_i64(),
        };
        self.insert_row::<role::Entity>(row.into_active_model()).await?;
        self.insert_permissions(role).await
    }

    async fn update(&mut self, role: &Role, read_at: Version) -> Result<(), StoreError> {
        let statement = role::Entity::update_many()
            .col_expr(role::Column::DisplayName, Expr::value(role.display_name.to_string()))
            .col_expr(role::Column::ForExternals, Expr::value(role.for_externals))
            .col_expr(role::Column::Version, Expr::value(role.version.as_i64()))
            .filter(role::Column::Id.eq(uuid(role.id)))
            .filter(role::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)?;
        self.delete_permissions(role).await?;
        self.insert_permissions(role).await
    }

    async fn uses(&mut self, role: &Role) -> Result<RoleUses, StoreError> {
        let id = uuid(role.id);
        let members = membership_role::Entity::find().filter(membership_role::Column::RoleId.eq(id));
        let groups = group_role::Entity::find().filter(group_role::Column::RoleId.eq(id));
        let agreed = self.admitting(role).await?.len();
        let shipped = self.admitting_default(role).await?.iter().len();
        Ok(RoleUses {
            memberships: count(self.exec, members).await?,
            groups: count(self.exec, groups).await?,
            ceilings: u64::try_from(agreed + shipped).unwrap_or(u64::MAX),
        })
    }

    async fn reach(&mut self, role: &Role) -> Result<RoleReach, StoreError> {
        let by_group = membership_group::Entity::find()
            .select_only()
            .column(membership_group::Column::UserId)
            .filter(membership_group::Column::GroupId.in_subquery(carrying_groups(role)))
            .into_query();
        let user = membership::Column::UserId;
        let somehow = Condition::any().add(user.in_subquery(direct_holders(role))).add(user.in_subquery(by_group));
        let members =
            membership::Entity::find().filter(membership::Column::WorkspaceId.eq(uuid(role.workspace))).filter(somehow);
        let of = |kind: MembershipKind| members.clone().filter(membership::Column::Kind.eq(kind.word()));
        Ok(RoleReach {
            internals: count(self.exec, of(MembershipKind::Internal)).await?,
            externals: count(self.exec, of(MembershipKind::External)).await?,
        })
    }

    async fn delete(&mut self, role: &Role) -> Result<(), StoreError> {
        self.take_from_memberships(role).await?;
        self.take_from_groups(role).await?;
        self.take_from_ceilings(role).await?;
        self.delete_permissions(role).await?;
        let statement = role::Entity::delete_many()
            .filter(role::Column::Id.eq(uuid(role.id)))
            .filter(role::Column::Version.eq(role.version.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn permissions(&mut self, names: &BTreeSet<PermissionName>) -> Result<Vec<Permission>, StoreError> {
        let statement = permission::Entity::find()
            .filter(permission::Column::Name.is_in(names.iter().map(PermissionName::as_str)))
            .order_by(permission::Column::Name, Order::Asc)
            .build(self.exec.backend());
        let rows = self.exec.all(statement).await?;
        self.checked(rows.iter().map(entry_of).collect())
    }

    async fn register(&mut self, permission: &Permission) -> Result<(), StoreError> {
        let row = permission::Model {
            name: permission.name.to_string(),
            description: permission.description.clone(),
            registered_by: permission.registered_by.clone(),
            registered_at: permission.registered_at.as_micros(),
            retired_at: permission.retired_at.map(Timestamp::as_micros),
        };
        let statement = permission::Entity::insert(row.into_active_model())
            .on_conflict(OnConflict::column(permission::Column::Name).do_nothing().to_owned())
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    async fn update_permission(&mut self, permission: &Permission) -> Result<(), StoreError> {
        let statement = permission::Entity::update_many()
            .col_expr(permission::Column::Description, Expr::value(permission.description.clone()))
            .col_expr(permission::Column::RegisteredBy, Expr::value(permission.registered_by.clone()))
            .col_expr(permission::Column::RetiredAt, Expr::value(permission.retired_at.map(Timestamp::as_micros)))
            .filter(permission::Column::Name.eq(permission.name.as_str()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn permission_uses(&mut self, name: &PermissionName) -> Result<PermissionUses, StoreError> {
        let name = name.as_str();
        let roles = role_permission::Entity::find().filter(role_permission::Column::Permission.eq(name));
        let direct = membership_permission::Entity::find().filter(membership_permission::Column::Permission.eq(name));
        Ok(PermissionUses { roles: count(self.exec, roles).await?, memberships: count(self.exec, direct).await? })
    }
}
