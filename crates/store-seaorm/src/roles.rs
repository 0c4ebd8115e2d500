//! Roles and the catalogue of permissions.

use async_trait::async_trait;
use domicile_domain::model::id::{RoleId, WorkspaceId};
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::port::store::{RoleRepository, StoreError};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use crate::convert::{At, Word, model, uuid};
use crate::entity::{permission, role, role_permission};
use crate::executor::Executor;
use crate::unit_of_work::Lent;

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
    let row: permission::Model = model("permissions", &row)?;
    Ok(Some(Permission {
        name: name.clone(),
        description: row.description,
        registered_by: row.registered_by,
        registered_at: Timestamp::from_micros(row.registered_at),
        retired_at: row.retired_at.map(Timestamp::from_micros),
    }))
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
        let permissions = role.permissions.iter().map(|permission| {
            role_permission::Model { role_id: uuid(role.id), permission: permission.to_string() }.into_active_model()
        });
        self.insert_rows::<role_permission::Entity>(permissions.collect()).await
    }

    async fn permission(&mut self, name: &PermissionName) -> Result<Option<Permission>, StoreError> {
        permission(self.exec, name).await
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
}
