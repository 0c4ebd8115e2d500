//! Groups and who is in them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use domicile_domain::model::group::{Group, GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, RoleId, UserId, WorkspaceId};
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::time::Version;
use domicile_domain::port::store::{GroupCandidate, GroupRepository, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use crate::convert::{At, model, uuid};
use crate::entity::{group, group_role, membership, membership_group, user};
use crate::executor::Executor;
use crate::unit_of_work::Lent;
use crate::words;

const TABLE: &str = "groups";

/// Which groups to read.
pub(crate) enum Groups<'a> {
    One(&'a GroupRef),
    Above(GroupId, u32),
}

/// Reads groups of a workspace in order of id, each with its roles and its size. Three statements whatever there is.
pub(crate) async fn load(
    exec: &mut dyn Executor,
    workspace: WorkspaceId,
    which: Groups<'_>,
) -> Result<Vec<GroupSize>, StoreError> {
    let query = group::Entity::find().filter(group::Column::WorkspaceId.eq(uuid(workspace)));
    let query = match which {
        Groups::One(GroupRef::Id(id)) => query.filter(group::Column::Id.eq(uuid(*id))),
        Groups::One(GroupRef::Handle(handle)) => query.filter(group::Column::Handle.eq(handle.as_str())),
        Groups::Above(after, limit) => query
            .filter(group::Column::Id.gt(uuid(after)))
            .order_by(group::Column::Id, Order::Asc)
            .limit(u64::from(limit)),
    };
    let rows = exec.all(query.build(exec.backend())).await?;
    let rows: Vec<group::Model> = rows.iter().map(|row| model(TABLE, row)).collect::<Result<_, _>>()?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let carried =
        group_role::Entity::find().filter(group_role::Column::GroupId.is_in(ids.iter().copied())).build(exec.backend());
    let carried = exec.all(carried).await?;
    let carried: Vec<group_role::Model> =
        carried.iter().map(|row| model("group_roles", row)).collect::<Result<_, _>>()?;
    let sizes = sizes(exec, ids).await?;
    let read = rows.into_iter().map(|row| {
        let id = row.id;
        let own = carried.iter().filter(|carried| carried.group_id == id);
        let roles = own.map(|carried| RoleId::from_uuid(carried.role_id)).collect();
        Ok(GroupSize { group: group_of(&row, roles)?, members: sizes.get(&id).copied().unwrap_or(0) })
    });
    let read = read.collect();
    if matches!(read, Err(StoreError::Corrupt { .. })) {
        exec.poison();
    }
    read
}

/// The ids of the groups of a workspace.
pub(crate) fn ids_in(workspace: Uuid) -> SelectStatement {
    group::Entity::find()
        .select_only()
        .column(group::Column::Id)
        .filter(group::Column::WorkspaceId.eq(workspace))
        .into_query()
}

/// The ids of the people in a group of a workspace; nobody is in a group of another one.
pub(crate) fn people(workspace: Uuid, group: GroupId) -> SelectStatement {
    membership_group::Entity::find()
        .select_only()
        .column(membership_group::Column::UserId)
        .filter(membership_group::Column::GroupId.eq(uuid(group)))
        .filter(membership_group::Column::GroupId.in_subquery(ids_in(workspace)))
        .into_query()
}

/// How many people are in each of some groups; those without people are left out.
async fn sizes(exec: &mut dyn Executor, groups: Vec<Uuid>) -> Result<BTreeMap<Uuid, u64>, StoreError> {
    let statement = membership_group::Entity::find()
        .select_only()
        .column(membership_group::Column::GroupId)
        .column_as(membership_group::Column::UserId.count(), "members")
        .filter(membership_group::Column::GroupId.is_in(groups))
        .group_by(membership_group::Column::GroupId)
        .build(exec.backend());
    let rows = exec.all(statement).await?;
    let at = At::new("membership_groups", "?");
    rows.iter()
        .map(|row| {
            let group: Uuid = at.read("group_id", row.try_get("", "group_id"))?;
            let members: i64 = at.read("user_id", row.try_get("", "members"))?;
            Ok((group, u64::try_from(members).unwrap_or(0)))
        })
        .collect()
}

fn group_of(row: &group::Model, roles: BTreeSet<RoleId>) -> Result<Group, StoreError> {
    let at = At::new(TABLE, row.id);
    Ok(Group {
        id: GroupId::from_uuid(row.id),
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        handle: at.read("handle", Handle::parse(&row.handle))?,
        display_name: at.read("display_name", Name::parse(&row.display_name))?,
        roles,
        version: Version::from_stored(row.version),
    })
}

impl Lent<'_> {
    async fn insert_carried(&mut self, group: &Group) -> Result<(), StoreError> {
        let carried = group
            .roles
            .iter()
            .map(|role| group_role::Model { group_id: uuid(group.id), role_id: uuid(*role) }.into_active_model());
        self.insert_rows::<group_role::Entity>(carried.collect()).await
    }

    async fn delete_carried(&mut self, group: &Group) -> Result<(), StoreError> {
        let statement = group_role::Entity::delete_many()
            .filter(group_role::Column::GroupId.eq(uuid(group.id)))
            .build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    /// The memberships that fit take their next version, with other groups. Answers how many did.
    async fn regroup(&mut self, group: &Group, which: Condition, groups: SimpleExpr) -> Result<u64, StoreError> {
        let statement = membership::Entity::update_many()
            .col_expr(membership::Column::Version, Expr::col(membership::Column::Version).add(1))
            .col_expr(membership::Column::Groups, groups)
            .filter(membership::Column::WorkspaceId.eq(uuid(group.workspace)))
            .filter(which)
            .build(self.exec.backend());
        self.exec.exec(statement).await
    }
}

fn rows_of(users: &[UserId]) -> u64 {
    u64::try_from(users.len()).unwrap_or(u64::MAX)
}

fn among(users: &[UserId]) -> Condition {
    Condition::all().add(membership::Column::UserId.is_in(users.iter().copied().map(uuid)))
}

#[async_trait]
impl GroupRepository for Lent<'_> {
    async fn find(&mut self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError> {
        Ok(load(self.exec, workspace, Groups::One(group)).await?.pop())
    }

    async fn count(&mut self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        let statement = group::Entity::find()
            .select_only()
            .column_as(group::Column::Id.count(), "counted")
            .filter(group::Column::WorkspaceId.eq(uuid(workspace)))
            .build(self.exec.backend());
        crate::convert::counted(TABLE, self.exec.one(statement).await?.as_ref())
    }

    async fn insert(&mut self, group: &Group) -> Result<(), StoreError> {
        let row = group::Model {
            id: uuid(group.id),
            workspace_id: uuid(group.workspace),
            handle: group.handle.to_string(),
            display_name: group.display_name.to_string(),
            version: group.version.as_i64(),
        };
        self.insert_row::<group::Entity>(row.into_active_model()).await?;
        self.insert_carried(group).await
    }

    async fn update(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError> {
        let statement = group::Entity::update_many()
            .col_expr(group::Column::DisplayName, Expr::value(group.display_name.to_string()))
            .col_expr(group::Column::Version, Expr::value(group.version.as_i64()))
            .filter(group::Column::Id.eq(uuid(group.id)))
            .filter(group::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)?;
        self.delete_carried(group).await?;
        self.insert_carried(group).await
    }

    async fn delete(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError> {
        let inside = people(uuid(group.workspace), group.id);
        let which = Condition::all().add(membership::Column::UserId.in_subquery(inside));
        self.regroup(group, which, words::without(membership::Column::Groups, group.id)).await?;
        let statement = membership_group::Entity::delete_many()
            .filter(membership_group::Column::GroupId.eq(uuid(group.id)))
            .build(self.exec.backend());
        self.exec.exec(statement).await?;
        self.delete_carried(group).await?;
        let statement = group::Entity::delete_many()
            .filter(group::Column::Id.eq(uuid(group.id)))
            .filter(group::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }

    async fn candidates(
        &mut self,
        workspace: WorkspaceId,
        group: GroupId,
        users: &[UserId],
    ) -> Result<Vec<GroupCandidate>, StoreError> {
        let statement = membership::Entity::find()
            .select_only()
            .column(membership::Column::UserId)
            .column(membership::Column::Kind)
            .column(membership::Column::Groups)
            .column_as(user::Column::State, "account")
            .join(
                sea_orm::JoinType::InnerJoin,
                membership::Entity::belongs_to(user::Entity)
                    .from(membership::Column::UserId)
                    .to(user::Column::Id)
                    .into(),
            )
            .filter(membership::Column::WorkspaceId.eq(uuid(workspace)))
            .filter(among(users))
            .order_by(membership::Column::UserId, Order::Asc)
            .build(self.exec.backend());
        let rows = self.exec.all(statement).await?;
        let read = rows.iter().map(|row| {
            let at = At::new("memberships", workspace);
            let user: Uuid = at.read("user_id", row.try_get("", "user_id"))?;
            let kind: String = at.read("kind", row.try_get("", "kind"))?;
            let account: String = at.read("user_id", row.try_get("", "account"))?;
            let groups: String = at.read("groups", row.try_get("", "groups"))?;
            let groups: BTreeSet<GroupId> = words::ids(&at, "groups", &groups)?;
            Ok(GroupCandidate {
                user: UserId::from_uuid(user),
                kind: at.word("kind", &kind)?,
                account: at.word("user_id", &account)?,
                is_in: groups.contains(&group),
            })
        });
        let read = read.collect();
        self.checked(read)
    }

    async fn add(&mut self, group: &Group, users: &[UserId]) -> Result<(), StoreError> {
        let group_id = uuid(group.id);
        let rows =
            users.iter().map(|user| membership_group::Model { group_id, user_id: uuid(*user) }.into_active_model());
        self.insert_rows::<membership_group::Entity>(rows.collect()).await?;
        let touched = self.regroup(group, among(users), words::with(membership::Column::Groups, group.id)).await?;
        if touched == rows_of(users) {
            return Ok(());
        }
        self.exec.poison();
        Err(StoreError::Fault("somebody has no membership in the workspace of the group".to_owned()))
    }

    async fn remove(&mut self, group: &Group, users: &[UserId]) -> Result<(), StoreError> {
        let statement = membership_group::Entity::delete_many()
            .filter(membership_group::Column::GroupId.eq(uuid(group.id)))
            .filter(membership_group::Column::UserId.is_in(users.iter().copied().map(uuid)))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        if touched != rows_of(users) {
            self.exec.poison();
            return Err(StoreError::Stale);
        }
        self.regroup(group, among(users), words::without(membership::Column::Groups, group.id)).await.map(|_| ())
    }
}
