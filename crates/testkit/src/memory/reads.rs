//! What can be asked of the tables: the same questions in a unit and in the directory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use domicile_domain::model::contact::{ContactKey, ContactKind, ContactOwner};
use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::{NoticeId, UserId, WorkspaceId};
use domicile_domain::model::membership::{EndedMembership, Membership};
use domicile_domain::model::permission::PermissionClass;
use domicile_domain::model::relationship::WorkspaceRelationship;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::Identity;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::policy::access::granted;
use domicile_domain::port::directory::{CheckFacts, CheckKey, CheckedSubject, MemberRow, NoticeRow};

use super::tables::{ContactRow, NoticeEntry, Tables, is_live};

impl Tables {
    pub(super) fn workspace(&self, reference: &WorkspaceRef) -> Option<&Workspace> {
        match reference {
            WorkspaceRef::Id(id) => self.workspaces.get(id),
            WorkspaceRef::Handle(handle) => self.workspaces.get(self.handles.get(handle)?),
        }
    }

    pub(super) fn contact_owner(&self, key: &ContactKey, now: Timestamp) -> Option<ContactOwner> {
        match *self.contacts.get(key)? {
            ContactRow::Held { former_home, until } => {
                (until > now).then_some(ContactOwner::Held { former_home, until })
            }
            ContactRow::Of(user) => {
                let person = self.users.get(&user)?.person.as_ref()?;
                let (standing, version) = match key.kind {
                    ContactKind::Email => (person.email.standing, person.email.version),
                    ContactKind::Phone => person.phone.as_ref().map(|phone| (phone.standing, phone.version))?,
                };
                Some(ContactOwner::User { user, standing, version })
            }
        }
    }

    pub(super) fn identity_owner(&self, identity: &Identity) -> Option<UserId> {
        self.identities.get(identity).map(|(user, _)| *user)
    }

    /// The map is in order of issuer and subject.
    pub(super) fn identities_of(&self, user: UserId) -> Vec<Identity> {
        let bound = self.identities.iter().filter(|(_, (owner, _))| *owner == user);
        bound.map(|(identity, _)| identity.clone()).collect()
    }

    pub(super) fn last_ended(&self, workspace: WorkspaceId, user: UserId) -> Option<&EndedMembership> {
        let of_both = |m: &&EndedMembership| m.workspace == workspace && m.user == user;
        self.ended.values().filter(of_both).max_by_key(|m| (m.ended_at, m.id))
    }

    pub(super) fn relationship(&self, host: WorkspaceId, home: WorkspaceId) -> Option<&WorkspaceRelationship> {
        self.relationships.values().find(|r| r.host == host && r.home == home && is_live(r.state))
    }

    pub(super) fn roles_of(&self, workspace: WorkspaceId) -> Vec<Role> {
        self.roles.values().filter(|role| role.workspace == workspace).cloned().collect()
    }

    pub(super) fn access_facts(&self, workspace: WorkspaceId, user: UserId) -> Option<AccessFacts> {
        let account = self.users.get(&user).and_then(|user| {
            let home = self.workspaces.get(&user.home)?;
            Some(AccountFacts {
                user: user.id,
                home: user.home,
                state: user.state,
                home_state: home.state,
                home_revision: home.revision,
                home_outbound: home.policy.outbound,
            })
        });
        let home = account.as_ref().map_or(WorkspaceId::nil(), |a| a.home);
        let membership = self.memberships.get(&(workspace, user)).cloned();
        let named = |role: &&Role| membership.as_ref().is_some_and(|m| m.base().grants.roles.contains(&role.id));
        let mut roles: Vec<Arc<Role>> = self.roles.values().filter(named).cloned().map(Arc::new).collect();
        roles.sort_by(|a, b| a.handle.cmp(&b.handle));
        Some(AccessFacts {
            workspace: Arc::new(self.workspaces.get(&workspace)?.clone()),
            account,
            relationship: self.relationship(workspace, home).cloned().map(Arc::new),
            membership,
            roles,
        })
    }

    pub(super) fn check_facts(&self, check: &CheckKey) -> CheckFacts {
        let user = match &check.subject {
            CheckedSubject::User(user) => *user,
            CheckedSubject::Identity(identity) => self.identity_owner(identity).unwrap_or(UserId::nil()),
        };
        let workspace = self.workspace(&check.workspace).map(|workspace| workspace.id);
        CheckFacts {
            access: workspace.and_then(|workspace| self.access_facts(workspace, user)).map(Arc::new),
            permission: self.permissions.get(&check.permission).cloned().map(Arc::new),
            as_of: None,
        }
    }

    pub(super) fn governors(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Vec<UserId> {
        let members = self.memberships.range((workspace, after)..);
        let members = members.take_while(|((of, _), _)| *of == workspace).filter(|((_, user), _)| *user > after);
        let internals = members.filter(|(_, membership)| matches!(membership, Membership::Internal(_)));
        let governing = internals.filter(|((_, user), _)| {
            let facts = self.access_facts(workspace, *user);
            facts.is_some_and(|facts| granted(&facts).iter().any(|p| p.class() == PermissionClass::Governance))
        });
        governing.map(|((_, user), _)| *user).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
    }

    pub(super) fn member(&self, workspace: WorkspaceId, user: UserId) -> Option<MemberRow> {
        let membership = self.memberships.get(&(workspace, user))?.clone();
        let user = self.users.get(&user)?.clone();
        let external = matches!(membership, Membership::External(_));
        Some(MemberRow {
            home: external.then(|| self.workspaces.get(&user.home).cloned()).flatten(),
            relationship: external.then(|| self.relationship(workspace, user.home).cloned()).flatten(),
            membership,
            user,
        })
    }

    pub(super) fn members(&self, workspace: WorkspaceId, after: UserId, limit: usize) -> Vec<MemberRow> {
        let here = self.memberships.range((workspace, after)..).map(|(key, _)| *key);
        here.take_while(|(of, _)| *of == workspace)
            .filter(|(_, user)| *user > after)
            .take(limit)
            .filter_map(|(_, user)| self.member(workspace, user))
            .collect()
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<&NoticeEntry> {
        let mut due: Vec<&NoticeEntry> = self
            .notices
            .values()
            .filter(|e| e.notice.state.is_waiting() && e.notice.due_at.is_some_and(|at| at <= now))
            .filter(|e| e.lease_until <= now)
            .collect();
        due.sort_by_key(|e| (e.notice.due_at, e.notice.id));
        due.truncate(limit);
        due
    }

    pub(super) fn notice_row(&self, id: NoticeId) -> Option<NoticeRow> {
        self.notices.get(&id).map(row)
    }

    pub(super) fn notice_rows(&self, workspace: WorkspaceId, before: NoticeId, limit: usize) -> Vec<NoticeRow> {
        let newest_first = self.notices.range(..before).rev().map(|(_, entry)| entry);
        let ours = newest_first.filter(|e| e.notice.workspace == workspace || e.notice.home == workspace);
        ours.take(limit).map(row).collect()
    }

    /// Every row of every table as text, sorted.
    pub(super) fn dump(&self) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([
            table("workspaces", self.workspaces.values()),
            table("workspace_domains", self.domains.iter()),
            table("permissions", self.permissions.values()),
            table("roles", self.roles.values()),
            table("users", self.users.values()),
            table("contacts", self.contacts.iter()),
            table("identities", self.identities.iter()),
            table("memberships", self.memberships.values()),
            table("membership_history", self.ended.values()),
            table("relationships", self.relationships.values()),
            table("notices", self.notices.values()),
            table("audit_records", self.audit_records.values()),
            table("personal_values", self.personal_values.iter()),
            table("events", self.events.values()),
            table("answered_requests", self.answers.values()),
            table("budget_counters", self.counters.iter()),
        ])
    }
}

fn row(entry: &NoticeEntry) -> NoticeRow {
    NoticeRow {
        notice: entry.notice.clone(),
        message: entry.message.as_ref().map(|(_, message)| message.clone()),
        attempts: entry.attempts.clone(),
    }
}

fn table<T: Debug>(name: &str, rows: impl Iterator<Item = T>) -> (String, Vec<String>) {
    let mut lines: Vec<String> = rows.map(|row| format!("{row:?}")).collect();
    lines.sort();
    (name.to_owned(), lines)
}
