//! The write side: what units changed is forgotten between their COMMIT and its answer.
//!
//! It is forgotten too where the COMMIT's answer was lost, or nobody waited for it: what is there then is open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::id::WorkspaceId;
use domicile_domain::model::permission::{Permission, PermissionName, PermissionUses};
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::time::{Revision, Version};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::store::{
    BudgetRepository, GroupRepository, MembershipRepository, NoticeRepository, RecordRepository,
    RelationshipRepository, RoleRepository, Store, StoreError, UnitOfWork, UserRepository, WorkspaceRepository,
};

use crate::Knowledge;

/// A store whose units note what they changed.
pub(crate) struct NotingStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) known: Arc<Knowledge>,
}

#[async_trait]
impl Store for NotingStore {
    async fn begin(&self, patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let inner = self.inner.begin(patience).await?;
        let changes = Changes { known: self.known.clone(), revisions: Vec::new(), permissions: Vec::new() };
        Ok(Box::new(NotingUnit { inner, changes }))
    }
}

/// What a unit changed. Dropping it forgets that, so no way out of a COMMIT can leave it standing.
struct Changes {
    known: Arc<Knowledge>,
    /// The workspaces whose revisions it took.
    revisions: Vec<WorkspaceId>,
    /// The entries of the catalogue that it wrote.
    permissions: Vec<PermissionName>,
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.revisions.iter().for_each(|workspace| self.known.revisions.forget(workspace));
        self.permissions.iter().for_each(|permission| self.known.permissions.forget(permission));
    }
}

struct NotingUnit {
    inner: Box<dyn UnitOfWork>,
    changes: Changes,
}

#[async_trait]
impl UnitOfWork for NotingUnit {
    fn users<'t>(&'t mut self) -> Box<dyn UserRepository + 't> {
        self.inner.users()
    }

    fn workspaces<'t>(&'t mut self) -> Box<dyn WorkspaceRepository + 't> {
        Box::new(NotingWorkspaces { inner: self.inner.workspaces(), taken: &mut self.changes.revisions })
    }

    fn memberships<'t>(&'t mut self) -> Box<dyn MembershipRepository + 't> {
        self.inner.memberships()
    }

    fn groups<'t>(&'t mut self) -> Box<dyn GroupRepository + 't> {
        self.inner.groups()
    }

    fn roles<'t>(&'t mut self) -> Box<dyn RoleRepository + 't> {
        Box::new(NotingRoles { inner: self.inner.roles(), written: &mut self.changes.permissions })
    }

    fn relationships<'t>(&'t mut self) -> Box<dyn RelationshipRepository + 't> {
        self.inner.relationships()
    }

    fn notices<'t>(&'t mut self) -> Box<dyn NoticeRepository + 't> {
        self.inner.notices()
    }

    fn records<'t>(&'t mut self) -> Box<dyn RecordRepository + 't> {
        self.inner.records()
    }

    fn budgets<'t>(&'t mut self) -> Box<dyn BudgetRepository + 't> {
        self.inner.budgets()
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, changes } = *self;
        let answer = inner.commit().await;
        drop(changes);
        answer
    }

    async fn rollback(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, mut changes } = *self;
        // It changes nothing, so what was known goes on: whoever is refused must not make others read.
        changes.revisions.clear();
        changes.permissions.clear();
        inner.rollback().await
    }
}

struct NotingWorkspaces<'t> {
    inner: Box<dyn WorkspaceRepository + 't>,
    taken: &'t mut Vec<WorkspaceId>,
}

#[async_trait]
impl WorkspaceRepository for NotingWorkspaces<'_> {
    async fn take_revision(&mut self, workspace: &WorkspaceRef) -> Result<Option<(WorkspaceId, Revision)>, StoreError> {
        let taken = self.inner.take_revision(workspace).await?;
        self.taken.extend(taken.map(|(id, _)| id));
        Ok(taken)
    }

    async fn find(&mut self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
        self.inner.find(workspace).await
    }

    async fn owner_of_domain(&mut self, domain: &MailDomain) -> Result<Option<WorkspaceId>, StoreError> {
        self.inner.owner_of_domain(domain).await
    }

    async fn insert(&mut self, workspace: &Workspace) -> Result<(), StoreError> {
        self.inner.insert(workspace).await
    }

    async fn update(&mut self, workspace: &Workspace, read_at: Version) -> Result<(), StoreError> {
        self.inner.update(workspace, read_at).await
    }
}

struct NotingRoles<'t> {
    inner: Box<dyn RoleRepository + 't>,
    written: &'t mut Vec<PermissionName>,
}

#[async_trait]
impl RoleRepository for NotingRoles<'_> {
    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        self.inner.of_workspace(workspace).await
    }

    async fn insert(&mut self, role: &Role) -> Result<(), StoreError> {
        self.inner.insert(role).await
    }

    async fn update(&mut self, role: &Role, read_at: Version) -> Result<(), StoreError> {
        self.inner.update(role, read_at).await
    }

    async fn uses(&mut self, role: &Role) -> Result<RoleUses, StoreError> {
        self.inner.uses(role).await
    }

    async fn reach(&mut self, role: &Role) -> Result<RoleReach, StoreError> {
        self.inner.reach(role).await
    }

    async fn delete(&mut self, role: &Role) -> Result<(), StoreError> {
        self.inner.delete(role).await
    }

    async fn permissions(&mut self, names: &BTreeSet<PermissionName>) -> Result<Vec<Permission>, StoreError> {
        self.inner.permissions(names).await
    }

    async fn update_permission(&mut self, permission: &Permission) -> Result<(), StoreError> {
        self.written.push(permission.name.clone());
        self.inner.update_permission(permission).await
    }

    async fn permission_uses(&mut self, name: &PermissionName) -> Result<PermissionUses, StoreError> {
        self.inner.permission_uses(name).await
    }

    async fn register(&mut self, permission: &Permission) -> Result<(), StoreError> {
        self.written.push(permission.name.clone());
        self.inner.register(permission).await
    }
}
