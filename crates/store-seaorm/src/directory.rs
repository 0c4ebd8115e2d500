//! Reads without a unit of work: each call is one read transaction, so it sees one committed state.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domicile_domain::event::Event;
use domicile_domain::model::audit::AuditRecord;
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::group::{GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::membership::Membership;
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{
    BelongingRow, CheckFacts, CheckKey, Directory, Freshness, MemberRow, NoticeRow, RelationshipQuery, RelationshipRow,
};
use domicile_domain::port::store::StoreError;
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use uuid::Uuid;

use crate::convert::{model, uuid};
use crate::entity::{audit_record, event, notice, notice_attempt, notice_message};
use crate::executor::Executor;
use crate::groups::Groups;
use crate::memberships::{Grantees, Members};
use crate::{SeaOrmStore, facts, groups, memberships, notices, records, relationships, roles, users, workspaces};

/// Puts members together with their accounts, homes and relationships; the same statements for one and for a page.
async fn members(
    exec: &mut dyn Executor,
    workspace: WorkspaceId,
    which: Members,
) -> Result<Vec<MemberRow>, StoreError> {
    let memberships = memberships::load(exec, uuid(workspace), which).await?;
    let ids: Vec<Uuid> = memberships.iter().map(|m| uuid(m.base().user)).collect();
    let mut people: BTreeMap<UserId, User> =
        users::load(exec, &ids).await?.into_iter().map(|user| (user.id, user)).collect();
    let relationships = relationships::of_host(exec, workspace).await?;
    let mut homes: BTreeMap<WorkspaceId, Workspace> = BTreeMap::new();
    let mut rows = Vec::with_capacity(memberships.len());
    for membership in memberships {
        // A membership has a user by its key; an absent one would be a corrupt table.
        let base = membership.base();
        let Some(user) = people.remove(&base.user) else {
            return Err(crate::convert::At::new("memberships", base.id).corrupt("user_id", "no such user"));
        };
        let external = matches!(membership, Membership::External(_));
        if external && !homes.contains_key(&user.home) {
            // One statement for each home, not for each member: a page has few homes.
            let home = workspaces::find(exec, &WorkspaceRef::Id(user.home)).await?;
            homes.extend(home.map(|home| (home.id, home)));
        }
        let home = external.then(|| homes.get(&user.home).cloned()).flatten();
        let relationship = external.then(|| relationships.iter().find(|r| r.home == user.home).cloned()).flatten();
        rows.push(MemberRow { membership, user, home, relationship });
    }
    Ok(rows)
}

/// Puts notices together with their texts and attempts.
async fn notice_rows(
    exec: &mut dyn Executor,
    which: sea_orm::Select<notice::Entity>,
) -> Result<Vec<NoticeRow>, StoreError> {
    let rows = exec.all(which.build(exec.backend())).await?;
    let notices: Vec<notice::Model> = rows.iter().map(|row| model("notices", row)).collect::<Result<_, _>>()?;
    let ids: Vec<Uuid> = notices.iter().map(|row| row.id).collect();
    let messages = notice_message::Entity::find()
        .filter(notice_message::Column::NoticeId.is_in(ids.iter().copied()))
        .build(exec.backend());
    let messages = exec.all(messages).await?;
    let attempts = notice_attempt::Entity::find()
        .filter(notice_attempt::Column::NoticeId.is_in(ids))
        .order_by(notice_attempt::Column::Number, Order::Asc)
        .build(exec.backend());
    let attempts = exec.all(attempts).await?;
    let mut messages: BTreeMap<Uuid, notice_message::Model> = messages
        .iter()
        .map(|row| model("notice_messages", row).map(|m: notice_message::Model| (m.notice_id, m)))
        .collect::<Result<_, _>>()?;
    let attempts: Vec<notice_attempt::Model> =
        attempts.iter().map(|row| model("notice_attempts", row)).collect::<Result<_, _>>()?;
    notices
        .into_iter()
        .map(|row| {
            let id = row.id;
            let own = attempts.iter().filter(|attempt| attempt.notice_id == id).cloned();
            Ok(NoticeRow {
                notice: notices::notice_of(row)?,
                message: messages.remove(&id).map(notices::message_of).transpose()?,
                attempts: own.map(notices::attempt_of).collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

#[async_trait]
impl Directory for SeaOrmStore {
    async fn workspace(&self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
        let mut read = self.read().await?;
        workspaces::find(&mut read.guarded, workspace).await
    }

    async fn workspaces(&self, after: WorkspaceId, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        let mut read = self.read().await?;
        workspaces::above(&mut read.guarded, after, limit).await
    }

    async fn workspaces_of(
        &self,
        user: UserId,
        after: WorkspaceId,
        limit: u32,
    ) -> Result<Vec<BelongingRow>, StoreError> {
        let mut read = self.read().await?;
        workspaces::of_user(&mut read.guarded, user, after, limit).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let mut read = self.read().await?;
        Ok(users::load(&mut read.guarded, &[uuid(id)]).await?.pop())
    }

    async fn user_by_identity(&self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        let mut read = self.read().await?;
        users::identity_owner(&mut read.guarded, identity).await
    }

    async fn identities(&self, user: UserId) -> Result<Vec<Identity>, StoreError> {
        let mut read = self.read().await?;
        users::identities(&mut read.guarded, user).await
    }

    async fn access_facts(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError> {
        let mut read = self.read().await?;
        facts::in_transaction(&mut read.guarded, workspace, user).await
    }

    async fn check_facts(&self, checks: &[CheckKey], _: &Freshness) -> Result<Vec<CheckFacts>, StoreError> {
        let found = self.check(facts::points_of(self.backend(), checks)?).await?;
        let facts = found.into_iter().map(|found| CheckFacts {
            access: found.access.map(Arc::new),
            permission: found.permission.map(Arc::new),
            as_of: None,
        });
        Ok(facts.collect())
    }

    async fn grantees(
        &self,
        workspace: WorkspaceId,
        permission: &PermissionName,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError> {
        let mut read = self.read().await?;
        let permissions = std::slice::from_ref(permission);
        let which = Grantees { workspace, permissions, internals_only: false, after, limit };
        let mut all = Vec::new();
        for user in memberships::grantees(&mut read.guarded, &which).await? {
            all.extend(facts::in_transaction(&mut read.guarded, workspace, user).await?);
        }
        Ok(all)
    }

    async fn permission(&self, name: &PermissionName) -> Result<Option<Permission>, StoreError> {
        let mut read = self.read().await?;
        roles::permission(&mut read.guarded, name).await
    }

    async fn permissions(
        &self,
        prefix: &str,
        retired: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Permission>, StoreError> {
        let mut read = self.read().await?;
        roles::catalogue(&mut read.guarded, prefix, retired, after, limit).await
    }

    async fn roles(&self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        let mut read = self.read().await?;
        roles::of_workspace(&mut read.guarded, workspace).await
    }

    async fn group(&self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError> {
        let mut read = self.read().await?;
        Ok(groups::load(&mut read.guarded, workspace, Groups::One(group)).await?.pop())
    }

    async fn groups(&self, workspace: WorkspaceId, after: GroupId, limit: u32) -> Result<Vec<GroupSize>, StoreError> {
        let mut read = self.read().await?;
        groups::load(&mut read.guarded, workspace, Groups::Above(after, limit)).await
    }

    async fn group_members(
        &self,
        workspace: WorkspaceId,
        group: GroupId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let mut read = self.read().await?;
        members(&mut read.guarded, workspace, Members::InGroup(group, uuid(after), limit)).await
    }

    async fn member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        let mut read = self.read().await?;
        Ok(members(&mut read.guarded, workspace, Members::One(uuid(user))).await?.pop())
    }

    async fn members(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Result<Vec<MemberRow>, StoreError> {
        let mut read = self.read().await?;
        members(&mut read.guarded, workspace, Members::Above(uuid(after), limit)).await
    }

    async fn relationship(&self, id: RelationshipId) -> Result<Option<RelationshipRow>, StoreError> {
        let mut read = self.read().await?;
        relationships::row(&mut read.guarded, id).await
    }

    async fn relationships(
        &self,
        query: &RelationshipQuery,
        after: RelationshipId,
        limit: u32,
    ) -> Result<Vec<RelationshipRow>, StoreError> {
        let mut read = self.read().await?;
        relationships::rows(&mut read.guarded, query, after, limit).await
    }

    async fn notice(&self, id: NoticeId) -> Result<Option<NoticeRow>, StoreError> {
        let mut read = self.read().await?;
        Ok(notice_rows(&mut read.guarded, notice::Entity::find_by_id(uuid(id))).await?.pop())
    }

    async fn notices(
        &self,
        workspace: WorkspaceId,
        before: NoticeId,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, StoreError> {
        let mut read = self.read().await?;
        let side = Condition::any()
            .add(notice::Column::WorkspaceId.eq(uuid(workspace)))
            .add(notice::Column::HomeId.eq(uuid(workspace)));
        let which = notice::Entity::find()
            .filter(side)
            .filter(notice::Column::Id.lt(uuid(before)))
            .order_by(notice::Column::Id, Order::Desc)
            .limit(u64::from(limit));
        notice_rows(&mut read.guarded, which).await
    }

    async fn events(&self, workspace: WorkspaceId, after: Revision, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut read = self.read().await?;
        let statement = event::Entity::find()
            .filter(event::Column::WorkspaceId.eq(uuid(workspace)))
            .filter(event::Column::Revision.gt(after.as_i64()))
            .order_by(event::Column::Revision, Order::Asc)
            .order_by(event::Column::Place, Order::Asc)
            .limit(u64::from(limit))
            .build(read.guarded.backend());
        let rows = read.guarded.all(statement).await?;
        rows.iter().map(|row| model("events", row).and_then(|row| records::event_of(&row))).collect()
    }

    async fn audit(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let mut read = self.read().await?;
        let statement = audit_record::Entity::find()
            .filter(audit_record::Column::WorkspaceId.eq(uuid(workspace)))
            .order_by(audit_record::Column::Id, Order::Desc)
            .limit(u64::from(limit))
            .build(read.guarded.backend());
        let rows = read.guarded.all(statement).await?;
        rows.iter().map(|row| model("audit_records", row).and_then(records::audit_of)).collect()
    }
}
