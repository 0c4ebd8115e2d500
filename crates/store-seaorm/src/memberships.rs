//! Memberships, live and ended, and the facts that decide access.

use std::sync::Arc;

use async_trait::async_trait;
use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::{GroupId, MembershipId, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{
    EndedMembership, ExternalMembership, Grants, InternalMembership, Membership, MembershipBase, MembershipKind,
};
use domicile_domain::model::name::ExternalId;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp, Version};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::store::{Externals, MembershipRepository, StoreError};
use sea_orm::sea_query::{Expr, IntoCondition};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};
use uuid::Uuid;

use crate::convert::{At, Word, id_list, maybe_id, maybe_uuid, model, text_list, uuid};
use crate::entity::{
    group_role, membership, membership_contact, membership_group, membership_history, membership_permission,
    membership_role, role, role_permission, user, workspace,
};
use crate::executor::Executor;
use crate::unit_of_work::Lent;
use crate::{facts, groups, relationships, roles, words, workspaces};

const TABLE: &str = "memberships";

/// Members of one workspace: exactly one, or at most so many whose user id is above one, of all or of a group.
#[derive(Clone, Copy)]
pub(crate) enum Members {
    One(Uuid),
    Above(Uuid, u32),
    InGroup(GroupId, Uuid, u32),
}

/// Reads memberships in order of user id. The number of statements is the same for one, many and none.
pub(crate) async fn load(
    exec: &mut dyn Executor,
    workspace: Uuid,
    which: Members,
) -> Result<Vec<Membership>, StoreError> {
    read(exec, workspace, membership::Entity::find(), which).await
}

async fn read(
    exec: &mut dyn Executor,
    workspace: Uuid,
    among: Select<membership::Entity>,
    which: Members,
) -> Result<Vec<Membership>, StoreError> {
    let query = among.filter(membership::Column::WorkspaceId.eq(workspace));
    let query = query.column_as(membership_contact::Column::TypedContact, TYPED).join(
        sea_orm::JoinType::LeftJoin,
        membership::Entity::belongs_to(membership_contact::Entity)
            .from((membership::Column::WorkspaceId, membership::Column::UserId))
            .to((membership_contact::Column::WorkspaceId, membership_contact::Column::UserId))
            .into(),
    );
    let query = match which {
        Members::One(user) => query.filter(membership::Column::UserId.eq(user)),
        Members::Above(after, limit) => query
            .filter(membership::Column::UserId.gt(after))
            .order_by(membership::Column::UserId, Order::Asc)
            .limit(u64::from(limit)),
        Members::InGroup(group, after, limit) => query
            .filter(membership::Column::UserId.in_subquery(groups::people(workspace, group)))
            .filter(membership::Column::UserId.gt(after))
            .order_by(membership::Column::UserId, Order::Asc)
            .limit(u64::from(limit)),
    };
    let rows = exec.all(query.build(exec.backend())).await?;
    let read = rows.iter().map(membership_of).collect();
    if matches!(read, Err(StoreError::Corrupt { .. })) {
        exec.poison();
    }
    read
}

/// What the contact that was typed is called beside the row of a membership.
const TYPED: &str = "typed_contact";

fn membership_of(read: &sea_orm::QueryResult) -> Result<Membership, StoreError> {
    let row: membership::Model = model(TABLE, read)?;
    let at = At::new(TABLE, row.id);
    let kind: MembershipKind = at.word("kind", &row.kind)?;
    let base = MembershipBase {
        id: MembershipId::from_uuid(row.id),
        user: UserId::from_uuid(row.user_id),
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        grants: Grants {
            roles: words::ids(&at, "roles", &row.roles)?,
            permissions: words::permissions(&at, "permissions", &row.permissions)?,
        },
        assigned_by: maybe_id(row.assigned_by),
        assigned_at: Timestamp::from_micros(row.assigned_at),
        external_id: row.external_id.map(|id| at.read("external_id", ExternalId::parse(&id))).transpose()?,
        version: Version::from_stored(row.version),
    };
    Ok(match kind {
        MembershipKind::Internal => Membership::Internal(InternalMembership {
            base,
            groups: words::ids(&at, "groups", &row.groups)?,
            units: words::ids(&at, "units", &row.units)?,
        }),
        MembershipKind::External => Membership::External(ExternalMembership {
            base,
            state: at.word("state", row.state.as_deref().unwrap_or_default())?,
            language: row.language.map(|l| at.read("language", LanguageTag::parse(&l))).transpose()?,
            expires_at: row.expires_at.map(Timestamp::from_micros),
            sponsor: maybe_id(row.sponsor),
            typed_contact: at.read(TYPED, read.try_get("", TYPED))?,
        }),
    })
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
        roles: words::of_ids(&base.grants.roles),
        permissions: words::of_permissions(&base.grants.permissions),
        groups: String::new(),
        units: String::new(),
    };
    match membership {
        Membership::Internal(internal) => membership::Model {
            home_id: Some(uuid(internal.base.workspace)),
            groups: words::of_ids(&internal.groups),
            units: words::of_ids(&internal.units),
            ..row
        },
        Membership::External(external) => membership::Model {
            state: Some(external.state.word().to_owned()),
            language: external.language.as_ref().map(ToString::to_string),
            expires_at: external.expires_at.map(Timestamp::as_micros),
            sponsor: maybe_uuid(external.sponsor),
            ..row
        },
    }
}

/// Everything that decides what a page of a home's Externals may do in a workspace; the same statements for one and for many.
async fn externals(
    exec: &mut dyn Executor,
    host: WorkspaceId,
    home: WorkspaceId,
    after: UserId,
    limit: u32,
) -> Result<Vec<AccessFacts>, StoreError> {
    let people = user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::HomeId.eq(uuid(home)))
        .into_query();
    let which = membership::Entity::find()
        .filter(membership::Column::Kind.eq(MembershipKind::External.word()))
        .filter(membership::Column::UserId.in_subquery(people));
    let memberships = read(exec, uuid(host), which, Members::Above(uuid(after), limit)).await?;
    let ids: Vec<Uuid> = memberships.iter().map(|membership| uuid(membership.base().user)).collect();
    let accounts = accounts(exec, user::Column::Id.is_in(ids)).await?;
    let Some(found) = workspaces::find(exec, &WorkspaceRef::Id(host)).await?.map(Arc::new) else {
        return Ok(Vec::new());
    };
    let roles: Vec<Arc<Role>> = roles::of_workspace(exec, host).await?.into_iter().map(Arc::new).collect();
    let relationship = relationships::agreed(exec, host, home).await?.map(Arc::new);
    let facts = memberships.into_iter().map(|membership| {
        let base = membership.base();
        AccessFacts {
            workspace: found.clone(),
            account: accounts.iter().find(|account| account.user == base.user).cloned(),
            roles: roles.iter().filter(|role| base.grants.roles.contains(&role.id)).cloned().collect(),
            relationship: relationship.clone(),
            membership: Some(membership),
        }
    });
    Ok(facts.collect())
}

async fn accounts(exec: &mut dyn Executor, which: impl IntoCondition) -> Result<Vec<AccountFacts>, StoreError> {
    let statement = user::Entity::find()
        .column_as(workspace::Column::State, "home_state")
        .column_as(workspace::Column::Outbound, "home_outbound")
        .column_as(workspace::Column::Revision, "home_revision")
        .join(
            sea_orm::JoinType::InnerJoin,
            user::Entity::belongs_to(workspace::Entity).from(user::Column::HomeId).to(workspace::Column::Id).into(),
        )
        .filter(which)
        .build(exec.backend());
    let rows = exec.all(statement).await?;
    let read = rows.iter().map(account_of).collect();
    if matches!(read, Err(StoreError::Corrupt { .. })) {
        exec.poison();
    }
    read
}

fn account_of(row: &sea_orm::QueryResult) -> Result<AccountFacts, StoreError> {
    let account: user::Model = model("users", row)?;
    let at = At::new("users", account.id);
    let home_state: String = at.read("home_id", row.try_get("", "home_state"))?;
    let outbound: String = at.read("home_id", row.try_get("", "home_outbound"))?;
    Ok(AccountFacts {
        user: UserId::from_uuid(account.id),
        home: WorkspaceId::from_uuid(account.home_id),
        state: at.word("state", &account.state)?,
        home_state: at.word("home_id", &home_state)?,
        home_revision: Revision::from_stored(at.read("home_id", row.try_get("", "home_revision"))?),
        home_outbound: at.word("home_id", &outbound)?,
    })
}

/// Which members to whom something is granted.
pub(crate) struct Grantees<'a> {
    pub(crate) workspace: WorkspaceId,
    /// Any of these.
    pub(crate) permissions: &'a [PermissionName],
    /// Internals alone, or both kinds.
    pub(crate) internals_only: bool,
    pub(crate) after: UserId,
    pub(crate) limit: u32,
}

/// The members to whom a permission is granted, in order of user id: found from the few roles that carry it, so that a
/// workspace with many members is not read through. One statement.
pub(crate) async fn grantees(exec: &mut dyn Executor, which: &Grantees<'_>) -> Result<Vec<UserId>, StoreError> {
    let workspace = uuid(which.workspace);
    let names = || which.permissions.iter().map(ToString::to_string);
    let granting = || {
        let carried = role_permission::Entity::find()
            .select_only()
            .column(role_permission::Column::RoleId)
            .filter(role_permission::Column::Permission.is_in(names()))
            .into_query();
        role::Entity::find()
            .select_only()
            .column(role::Column::Id)
            .filter(role::Column::WorkspaceId.eq(workspace))
            .filter(role::Column::Id.in_subquery(carried))
            .into_query()
    };
    let carrying = group_role::Entity::find()
        .select_only()
        .column(group_role::Column::GroupId)
        .filter(group_role::Column::RoleId.in_subquery(granting()))
        .into_query();
    let by_group = membership_group::Entity::find()
        .select_only()
        .column(membership_group::Column::UserId)
        .filter(membership_group::Column::GroupId.in_subquery(carrying))
        .into_query();
    let by_role = membership_role::Entity::find()
        .select_only()
        .column(membership_role::Column::UserId)
        .filter(membership_role::Column::RoleId.in_subquery(granting()))
        .into_query();
    let direct = membership_permission::Entity::find()
        .select_only()
        .column(membership_permission::Column::UserId)
        .filter(membership_permission::Column::WorkspaceId.eq(workspace))
        .filter(membership_permission::Column::Permission.is_in(names()))
        .into_query();
    let user = membership::Column::UserId;
    let somehow =
        Condition::any().add(user.in_subquery(direct)).add(user.in_subquery(by_role)).add(user.in_subquery(by_group));
    let mut query = membership::Entity::find()
        .select_only()
        .column(user)
        .filter(membership::Column::WorkspaceId.eq(workspace))
        .filter(user.gt(uuid(which.after)))
        .filter(somehow);
    if which.internals_only {
        query = query.filter(membership::Column::Kind.eq(MembershipKind::Internal.word()));
    }
    let statement = query.order_by(user, Order::Asc).limit(u64::from(which.limit)).build(exec.backend());
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

impl Lent<'_> {
    /// Adds what leads to the member from what is granted directly.
    async fn insert_grants(&mut self, base: &MembershipBase) -> Result<(), StoreError> {
        let (workspace_id, user_id) = (uuid(base.workspace), uuid(base.user));
        let roles = base
            .grants
            .roles
            .iter()
            .map(|role| membership_role::Model { role_id: uuid(*role), user_id }.into_active_model());
        self.insert_rows::<membership_role::Entity>(roles.collect()).await?;
        let permissions = base.grants.permissions.iter().map(|permission| {
            membership_permission::Model { workspace_id, user_id, permission: permission.to_string() }
                .into_active_model()
        });
        self.insert_rows::<membership_permission::Entity>(permissions.collect()).await
    }

    /// Removes what leads to the member, but for groups.
    async fn delete_grants(&mut self, workspace: Uuid, user: Uuid) -> Result<(), StoreError> {
        let roles = role::Entity::find()
            .select_only()
            .column(role::Column::Id)
            .filter(role::Column::WorkspaceId.eq(workspace))
            .into_query();
        let roles = membership_role::Entity::delete_many()
            .filter(membership_role::Column::RoleId.in_subquery(roles))
            .filter(membership_role::Column::UserId.eq(user))
            .build(self.exec.backend());
        self.exec.exec(roles).await?;
        let permissions = membership_permission::Entity::delete_many()
            .filter(membership_permission::Column::WorkspaceId.eq(workspace))
            .filter(membership_permission::Column::UserId.eq(user))
            .build(self.exec.backend());
        self.exec.exec(permissions).await.map(|_| ())
    }
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
        self.insert_grants(base).await?;
        match membership {
            Membership::Internal(internal) => {
                let groups = internal
                    .groups
                    .iter()
                    .map(|group| membership_group::Model { group_id: uuid(*group), user_id }.into_active_model());
                self.insert_rows::<membership_group::Entity>(groups.collect()).await
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

    async fn grant(&mut self, base: &MembershipBase, read_at: Version) -> Result<(), StoreError> {
        let (workspace_id, user_id) = (uuid(base.workspace), uuid(base.user));
        let statement = membership::Entity::update_many()
            .col_expr(membership::Column::Version, Expr::value(base.version.as_i64()))
            .col_expr(membership::Column::Roles, Expr::value(words::of_ids(&base.grants.roles)))
            .col_expr(membership::Column::Permissions, Expr::value(words::of_permissions(&base.grants.permissions)))
            .filter(membership::Column::WorkspaceId.eq(workspace_id))
            .filter(membership::Column::UserId.eq(user_id))
            .filter(membership::Column::Id.eq(uuid(base.id)))
            .filter(membership::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)?;
        self.delete_grants(workspace_id, user_id).await?;
        self.insert_grants(base).await
    }

    async fn end(&mut self, ended: &EndedMembership, read_at: Version) -> Result<(), StoreError> {
        let (workspace, user) = (uuid(ended.workspace), uuid(ended.user));
        self.delete_grants(workspace, user).await?;
        let groups = membership_group::Entity::delete_many()
            .filter(membership_group::Column::GroupId.in_subquery(groups::ids_in(workspace)))
            .filter(membership_group::Column::UserId.eq(user))
            .build(self.exec.backend());
        self.exec.exec(groups).await?;
        let contacts = membership_contact::Entity::delete_many()
            .filter(membership_contact::Column::WorkspaceId.eq(workspace))
            .filter(membership_contact::Column::UserId.eq(user))
            .build(self.exec.backend());
        self.exec.exec(contacts).await?;
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
        let rights = [PermissionName::create(), PermissionName::update()];
        let which = Grantees { workspace, permissions: &rights, internals_only: true, after, limit };
        grantees(self.exec, &which).await
    }

    async fn externals(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError> {
        externals(self.exec, host, home, after, limit).await
    }

    async fn count_externals(&mut self, which: Externals) -> Result<u64, StoreError> {
        let query = membership::Entity::find()
            .select_only()
            .column_as(membership::Column::Id.count(), "counted")
            .join(
                sea_orm::JoinType::InnerJoin,
                membership::Entity::belongs_to(user::Entity)
                    .from(membership::Column::UserId)
                    .to(user::Column::Id)
                    .into(),
            )
            .filter(membership::Column::Kind.eq(MembershipKind::External.word()));
        let query = match which {
            Externals::In(host) => query.filter(membership::Column::WorkspaceId.eq(uuid(host))),
            Externals::From(home) => query.filter(user::Column::HomeId.eq(uuid(home))),
            Externals::UnderDefaultOf(host) => query
                .filter(membership::Column::WorkspaceId.eq(uuid(host)))
                .filter(user::Column::HomeId.not_in_subquery(relationships::homes_beyond_the_default(host))),
        };
        let statement = query.build(self.exec.backend());
        crate::convert::counted(TABLE, self.exec.one(statement).await?.as_ref())
    }

    async fn hosts_of(&mut self, user: UserId, after: WorkspaceId, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        let statement = membership::Entity::find()
            .select_only()
            .column(membership::Column::WorkspaceId)
            .filter(membership::Column::UserId.eq(uuid(user)))
            .filter(membership::Column::Kind.eq(MembershipKind::External.word()))
            .filter(membership::Column::WorkspaceId.gt(uuid(after)))
            .order_by(membership::Column::WorkspaceId, Order::Asc)
            .limit(u64::from(limit))
            .build(self.exec.backend());
        let rows = self.exec.all(statement).await?;
        let at = At::new(TABLE, user);
        let hosts =
            rows.iter().map(|row| at.read("workspace_id", row.try_get("", "workspace_id")).map(WorkspaceId::from_uuid));
        hosts.collect()
    }

    async fn access_facts(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError> {
        facts::in_transaction(self.exec, workspace, user).await
    }
}
