//! The read side.

use async_trait::async_trait;
use domicile_domain::event::Event;
use domicile_domain::model::audit::AuditRecord;
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::id::{NoticeId, UserId, WorkspaceId};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{CheckFacts, CheckKey, Directory, Freshness, MemberRow, NoticeRow};
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

fn count(limit: u32) -> usize {
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

    async fn permission(&self, name: &PermissionName) -> Result<Option<Permission>, StoreError> {
        self.ask(|tables| tables.permissions.get(name).cloned())
    }

    async fn roles(&self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        self.ask(|tables| tables.roles_of(workspace))
    }

    async fn member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        self.ask(|tables| tables.member(workspace, user))
    }

    async fn members(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Result<Vec<MemberRow>, StoreError> {
        self.ask(|tables| tables.members(workspace, after, count(limit)))
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
