//! The repositories that a unit lends.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domicile_domain::event::Event;
use domicile_domain::model::answer::{AnsweredRequest, RequestKey};
use domicile_domain::model::audit::{AuditRecord, PersonalValue};
use domicile_domain::model::budget::{BudgetKey, Counter, Tally};
use domicile_domain::model::contact::{ContactKey, ContactOwner};
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::group::{Group, GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::membership::{EndedMembership, Membership, MembershipBase};
use domicile_domain::model::notice::{Attempt, Message, Notice};
use domicile_domain::model::permission::{Permission, PermissionName, PermissionUses};
use domicile_domain::model::relationship::WorkspaceRelationship;
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::time::{Revision, Timestamp, Version};
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::store::{
    BudgetRepository, Externals, GroupCandidate, GroupRepository, Leased, MembershipRepository, NoticeRepository,
    RecordRepository, RelationshipRepository, RoleRepository, StoreError, UserRepository, WorkspaceRepository,
};

use super::MemoryUnit;
use super::tables::Write;

/// The unit, lent.
pub(super) struct Lent<'t> {
    pub(super) unit: &'t mut MemoryUnit,
}

#[async_trait]
impl UserRepository for Lent<'_> {
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        self.unit.read(|tables| tables.users.get(&id).cloned())
    }

    async fn contact_owner(&mut self, key: &ContactKey, now: Timestamp) -> Result<Option<ContactOwner>, StoreError> {
        self.unit.read(|tables| tables.contact_owner(key, now))
    }

    async fn username_taken(&mut self, home: WorkspaceId, key: &str) -> Result<bool, StoreError> {
        self.unit.read(|tables| tables.usernames.contains_key(&(home, key.to_owned())))
    }

    async fn insert(&mut self, user: &User) -> Result<(), StoreError> {
        self.unit.write(Write::User(user.clone()))
    }

    async fn hold(&mut self, id: UserId, version: Version) -> Result<(), StoreError> {
        self.unit.write(Write::HoldUser { user: id, version })
    }

    async fn count_change(&mut self, id: UserId, read_at: Version, now: Timestamp) -> Result<(), StoreError> {
        self.unit.write(Write::CountChange { user: id, read_at, at: now })
    }

    async fn verify_contact(&mut self, user: UserId, key: &ContactKey, now: Timestamp) -> Result<(), StoreError> {
        self.unit.write(Write::VerifyContact { user, key: key.clone(), at: now })
    }

    async fn identity_owner(&mut self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        self.unit.read(|tables| tables.identity_owner(identity))
    }

    async fn identities(&mut self, user: UserId) -> Result<Vec<Identity>, StoreError> {
        self.unit.read(|tables| tables.identities_of(user))
    }

    async fn bind_identity(&mut self, user: UserId, identity: &Identity, now: Timestamp) -> Result<(), StoreError> {
        self.unit.write(Write::Identity { user, identity: identity.clone(), at: now })
    }

    async fn unbind_identity(&mut self, user: UserId, identity: &Identity) -> Result<(), StoreError> {
        self.unit.write(Write::Unbind { user, identity: identity.clone() })
    }
}

#[async_trait]
impl WorkspaceRepository for Lent<'_> {
    async fn take_revision(&mut self, workspace: &WorkspaceRef) -> Result<Option<(WorkspaceId, Revision)>, StoreError> {
        let found = self.unit.read(|tables| tables.workspace(workspace).map(|w| (w.id, w.revision.next())))?;
        if let Some((workspace, taken)) = found {
            self.unit.put(Write::TakeRevision { workspace, taken })?;
        }
        Ok(found)
    }

    async fn find(&mut self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
        self.unit.read(|tables| tables.workspace(workspace).cloned())
    }

    async fn owner_of_domain(&mut self, domain: &MailDomain) -> Result<Option<WorkspaceId>, StoreError> {
        self.unit.read(|tables| tables.domains.get(domain).copied())
    }

    async fn insert(&mut self, workspace: &Workspace) -> Result<(), StoreError> {
        self.unit.write(Write::Workspace(workspace.clone()))
    }

    async fn update(&mut self, workspace: &Workspace, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::UpdateWorkspace { workspace: workspace.clone(), read_at })
    }
}

#[async_trait]
impl MembershipRepository for Lent<'_> {
    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Membership>, StoreError> {
        self.unit.read(|tables| tables.memberships.get(&(workspace, user)).cloned())
    }

    async fn last_ended(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
    ) -> Result<Option<EndedMembership>, StoreError> {
        self.unit.read(|tables| tables.last_ended(workspace, user).cloned())
    }

    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError> {
        self.unit.write(Write::Membership(membership.clone()))
    }

    async fn grant(&mut self, base: &MembershipBase, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::Grant { base: base.clone(), read_at })
    }

    async fn end(&mut self, ended: &EndedMembership, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::End { ended: ended.clone(), read_at })
    }

    async fn governors(
        &mut self,
        workspace: WorkspaceId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        self.unit.read(|tables| tables.governors(workspace, after, limit))
    }

    async fn externals(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError> {
        self.unit.read(|tables| tables.externals(host, home, after, limit))
    }

    async fn count_externals(&mut self, which: Externals) -> Result<u64, StoreError> {
        self.unit.read(|tables| tables.count_externals(which))
    }

    async fn hosts_of(&mut self, user: UserId, after: WorkspaceId, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        self.unit.read(|tables| tables.hosts_of(user, after, super::directory::count(limit)))
    }

    async fn access_facts(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError> {
        self.unit.read(|tables| tables.access_facts(workspace, user))
    }
}

#[async_trait]
impl GroupRepository for Lent<'_> {
    async fn find(&mut self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError> {
        self.unit.read(|tables| tables.group(workspace, group))
    }

    async fn count(&mut self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        self.unit.read(|tables| {
            let own = tables.groups.values().filter(|group| group.workspace == workspace);
            own.count().try_into().unwrap_or(u64::MAX)
        })
    }

    async fn insert(&mut self, group: &Group) -> Result<(), StoreError> {
        self.unit.write(Write::Group(group.clone()))
    }

    async fn update(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::UpdateGroup { group: group.clone(), read_at })
    }

    async fn delete(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::DeleteGroup { group: group.clone(), read_at })
    }

    async fn candidates(
        &mut self,
        workspace: WorkspaceId,
        group: GroupId,
        users: &[UserId],
    ) -> Result<Vec<GroupCandidate>, StoreError> {
        self.unit.read(|tables| tables.candidates(workspace, group, users))
    }

    async fn add(&mut self, group: &Group, users: &[UserId]) -> Result<(), StoreError> {
        self.unit.write(Write::JoinGroup { group: group.clone(), users: users.to_vec() })
    }

    async fn remove(&mut self, group: &Group, users: &[UserId]) -> Result<(), StoreError> {
        self.unit.write(Write::LeaveGroup { group: group.clone(), users: users.to_vec() })
    }
}

#[async_trait]
impl RoleRepository for Lent<'_> {
    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError> {
        self.unit.read(|tables| tables.roles_of(workspace))
    }

    async fn insert(&mut self, role: &Role) -> Result<(), StoreError> {
        self.unit.write(Write::Role(role.clone()))
    }

    async fn update(&mut self, role: &Role, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::UpdateRole { role: role.clone(), read_at })
    }

    async fn uses(&mut self, role: &Role) -> Result<RoleUses, StoreError> {
        self.unit.read(|tables| tables.uses_of_role(role))
    }

    async fn reach(&mut self, role: &Role) -> Result<RoleReach, StoreError> {
        self.unit.read(|tables| tables.reach_of_role(role))
    }

    async fn delete(&mut self, role: &Role) -> Result<(), StoreError> {
        self.unit.write(Write::DeleteRole(role.clone()))
    }

    async fn permissions(&mut self, names: &BTreeSet<PermissionName>) -> Result<Vec<Permission>, StoreError> {
        self.unit.read(|tables| names.iter().filter_map(|name| tables.permissions.get(name).cloned()).collect())
    }

    async fn register(&mut self, permission: &Permission) -> Result<(), StoreError> {
        let seen = self.unit.read(|tables| tables.permissions.contains_key(&permission.name))?;
        self.unit.put(Write::Permission { permission: permission.clone(), seen })
    }

    async fn update_permission(&mut self, permission: &Permission) -> Result<(), StoreError> {
        self.unit.write(Write::UpdatePermission(permission.clone()))
    }

    async fn permission_uses(&mut self, name: &PermissionName) -> Result<PermissionUses, StoreError> {
        self.unit.read(|tables| tables.uses_of_permission(name))
    }
}

#[async_trait]
impl RelationshipRepository for Lent<'_> {
    async fn find(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
    ) -> Result<Option<WorkspaceRelationship>, StoreError> {
        self.unit.read(|tables| tables.relationship(host, home).cloned())
    }

    async fn by_id(&mut self, id: RelationshipId) -> Result<Option<WorkspaceRelationship>, StoreError> {
        self.unit.read(|tables| tables.relationships.get(&id).cloned())
    }

    async fn agreed(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
    ) -> Result<Option<WorkspaceRelationship>, StoreError> {
        self.unit.read(|tables| tables.agreed(host, home).cloned())
    }

    async fn admitting(&mut self, role: &Role) -> Result<Vec<WorkspaceRelationship>, StoreError> {
        self.unit.read(|tables| tables.admitting(role))
    }

    async fn insert(&mut self, relationship: &WorkspaceRelationship) -> Result<(), StoreError> {
        self.unit.write(Write::Relationship(relationship.clone()))
    }

    async fn update(&mut self, relationship: &WorkspaceRelationship, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::UpdateRelationship { relationship: relationship.clone(), read_at })
    }
}

#[async_trait]
impl NoticeRepository for Lent<'_> {
    async fn insert(&mut self, notice: &Notice) -> Result<(), StoreError> {
        self.unit.write(Write::Notice(notice.clone()))
    }

    async fn find(&mut self, id: NoticeId) -> Result<Option<Notice>, StoreError> {
        self.unit.read(|tables| tables.notices.get(&id).map(|entry| entry.notice.clone()))
    }

    async fn lease_due(&mut self, now: Timestamp, lease_until: Timestamp, limit: u32) -> Result<Leased, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (notices, seen): (Vec<_>, Vec<_>) = self.unit.read(|tables| {
            let due = tables.due(now, limit).into_iter();
            due.map(|e| (e.notice.clone(), (e.notice.id, e.notice.version, e.lease_until))).unzip()
        })?;
        if !seen.is_empty() {
            self.unit.put(Write::Lease { seen, until: lease_until })?;
        }
        Ok(Leased { notices, unreadable: Vec::new() })
    }

    async fn update(&mut self, notice: &Notice, read_at: Version) -> Result<(), StoreError> {
        self.unit.write(Write::UpdateNotice { notice: notice.clone(), read_at })
    }

    async fn keep_message(&mut self, id: NoticeId, user: UserId, message: &Message) -> Result<(), StoreError> {
        self.unit.write(Write::Message { notice: id, user, message: message.clone() })
    }

    async fn add_attempt(&mut self, id: NoticeId, attempt: &Attempt) -> Result<(), StoreError> {
        self.unit.write(Write::Attempt { notice: id, attempt: attempt.clone() })
    }
}

#[async_trait]
impl RecordRepository for Lent<'_> {
    async fn audit(&mut self, record: &AuditRecord, personal: &[PersonalValue]) -> Result<(), StoreError> {
        self.unit.write(Write::Audit { record: record.clone(), personal: personal.to_vec() })
    }

    async fn event(&mut self, event: &Event) -> Result<(), StoreError> {
        self.unit.write(Write::Event(event.clone()))
    }

    async fn answered(&mut self, key: &RequestKey) -> Result<Option<AnsweredRequest>, StoreError> {
        self.unit.read(|tables| tables.answers.get(key).cloned())
    }

    async fn keep_answer(&mut self, request: &AnsweredRequest) -> Result<(), StoreError> {
        self.unit.write(Write::Answer(request.clone()))
    }
}

#[async_trait]
impl BudgetRepository for Lent<'_> {
    async fn count(&mut self, counters: &[Counter], now: Timestamp) -> Result<Vec<Tally>, StoreError> {
        let held = self.unit.read(|tables| {
            let held = |counter: &Counter| tables.counters.get(counter).copied();
            counters.iter().map(held).collect::<Vec<_>>()
        })?;
        let mut tallies = Vec::with_capacity(counters.len());
        for (counter, held) in counters.iter().zip(held) {
            let tally = Tally::counted(held, counter.key.kind().period(now));
            self.unit.put(Write::Count { counter: counter.clone(), held, tally })?;
            tallies.push(tally);
        }
        Ok(tallies)
    }

    async fn tallies(&mut self, budgets: &[BudgetKey]) -> Result<Vec<(BudgetKey, Tally)>, StoreError> {
        self.unit.read(|tables| {
            let asked = |counter: &Counter| counter.slot > Counter::REFUSALS && budgets.contains(&counter.key);
            let rows = tables.counters.iter().filter(|(counter, _)| asked(counter));
            rows.map(|(counter, tally)| (counter.key.clone(), *tally)).collect()
        })
    }
}
