//! The read side.

use async_trait::async_trait;
use domicile_domain::event::Event;
use domicile_domain::model::audit::AuditRecord;
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::group::{GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{
    BelongingRow, CheckFacts, CheckKey, Directory, Freshness, MemberRow, NoticeRow, RelationshipQuery, RelationshipRow,
};
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::StoreError;

use super::tables::Tables;
use super::{MemoryStore, Moment};

impl MemoryStore {
    fn ask<T>(&self, question: impl FnOnce(&Tables) -> T) -> Result<T, StoreError> {
        self.lock().injected(Moment::Read)?;
        Ok(question(&self.snapshot()))
    }
}

pub(super) fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[async_trait]
impl StoreProbe for MemoryStore {
    /// It is always there. What is injected is for the calls under test.
    async fn reachable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Directory for MemoryStore {
    async fn workspace(&self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
        self.ask(|tables| tables.workspace(workspace).cloned())
    }

    async fn workspaces(&self, after: WorkspaceId, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        self.ask(|tables| tables.workspaces_above(after, count(limit)))
    }

    async fn workspaces_of(
        &self,
        user: UserId,
        after: WorkspaceId,
        limit: u32,
    ) -> Result<Vec<BelongingRow>, StoreError> {
        self.ask(|tables| tables.workspaces_of(user, after, count(limit)))
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.ask(|tables| tables.users.get(&id).cloned())
    }

    async fn user_by_identity(&self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        self.ask(|tables| tables.identity_owner(identity))
    }

    async fn identities(&self, user: UserId) -> Result<Vec<Identity>, StoreError> {
        self.ask(|tables| tables.identities_of(user))
    }

    async fn access_facts(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError> {
        self.ask(|tables| tables.access_facts(workspace, user))
    }

    async fn check_facts(&self, checks: &[CheckKey], _: &Freshness) -> Result<Vec<CheckFacts>, StoreError> {
        self.ask(|tables| checks.iter().map(|check| tables.check_facts(check)).collect())
    }

    async fn grantees(
        &self,
        workspace: WorkspaceId,
        permission: &PermissionName,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError> {
        self.ask(|tables| tables.grantees(workspace, permission, after, limit))
    }

    async fn permission(&self, name: &PermissionName) -> Result<Option<Permission>, StoreError> {
        self.ask(|tables| tables.permissions.get(name).cloned())
    }

    async fn permissions(
        &self,
        prefix: &str,
        retired: bool,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Permission>, StoreError> {
        self.ask(|tables| tables.permissions(prefix, retired, after, limit))
    }

    async fn roles(&self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        self.ask(|tables| tables.roles_of(workspace))
    }

    async fn group(&self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError> {
        self.ask(|tables| tables.group(workspace, group))
    }

    async fn groups(&self, workspace: WorkspaceId, after: GroupId, limit: u32) -> Result<Vec<GroupSize>, StoreError> {
        self.ask(|tables| tables.groups_of(workspace, after, count(limit)))
    }

    async fn group_members(
        &self,
        workspace: WorkspaceId,
        group: GroupId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<MemberRow>, StoreError> {
        self.ask(|tables| tables.group_members(workspace, group, after, count(limit)))
    }

    async fn member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.ask(|tables| tables.member(workspace, user))
    }

    async fn members(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Result<Vec<MemberRow>, StoreError> {
        self.ask(|tables| tables.members(workspace, after, count(limit)))
    }

    async fn relationship(&self, id: RelationshipId) -> Result<Option<RelationshipRow>, StoreError> {
        self.ask(|tables| tables.relationship_row(id))
    }

    async fn relationships(
        &self,
        query: &RelationshipQuery,
        after: RelationshipId,
        limit: u32,
    ) -> Result<Vec<RelationshipRow>, StoreError> {
        self.ask(|tables| tables.relationship_rows(query, after, count(limit)))
    }

    async fn notice(&self, id: NoticeId) -> Result<Option<NoticeRow>, StoreError> {
        self.ask(|tables| tables.notice_row(id))
    }

    async fn notices(
        &self,
        workspace: WorkspaceId,
        before: NoticeId,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, StoreError> {
        self.ask(|tables| tables.notice_rows(workspace, before, count(limit)))
    }

    async fn events(&self, workspace: WorkspaceId, after: Revision, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.ask(|tables| {
            let of_workspace = tables.events.values().filter(|e| e.workspace == workspace && e.revision > after);
            of_workspace.take(count(limit)).cloned().collect()
        })
    }

    async fn audit(&self, workspace: WorkspaceId, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.ask(|tables| {
            let newest_first = tables.audit_records.values().rev().filter(|row| row.workspace == Some(workspace));
            newest_first.take(count(limit)).cloned().collect()
        })
    }
}
