//! What can be asked of the tables: the same questions in a unit and in the directory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use domicile_domain::model::contact::{ContactKey, ContactKind, ContactOwner};
use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::group::{Group, GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::membership::{EndedMembership, ExternalMembership, Membership, MembershipKind};
use domicile_domain::model::permission::{Permission, PermissionClass, PermissionName, PermissionUses};
use domicile_domain::model::relationship::{RelationshipState, WorkspaceRelationship};
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::Identity;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::policy::access::granted;
use domicile_domain::port::directory::{
    BelongingRow, CheckFacts, CheckKey, CheckedSubject, MemberRow, NoticeRow, RelationshipQuery, RelationshipRow,
};
use domicile_domain::port::store::{Externals, GroupCandidate};

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

    pub(super) fn agreed(&self, host: WorkspaceId, home: WorkspaceId) -> Option<&WorkspaceRelationship> {
        let of_both = self.relationships.values().filter(|r| r.host == host && r.home == home && r.was_agreed());
        of_both.max_by_key(|r| (r.ended_at.is_none(), r.ended_at, r.id))
    }

    pub(super) fn relationship_row(&self, id: RelationshipId) -> Option<RelationshipRow> {
        let relationship = self.relationships.get(&id)?.clone();
        let mut roles = self.roles_of(relationship.host);
        roles.retain(|role| relationship.host_terms.ceiling.roles.contains(&role.id));
        Some(RelationshipRow {
            host: self.workspaces.get(&relationship.host)?.clone(),
            home: self.workspaces.get(&relationship.home)?.clone(),
            roles,
            relationship,
        })
    }

    pub(super) fn relationship_rows(
        &self,
        query: &RelationshipQuery,
        after: RelationshipId,
        limit: usize,
    ) -> Vec<RelationshipRow> {
        let state = |r: &WorkspaceRelationship| {
            let late = r.state == RelationshipState::Proposed && r.proposed_at <= query.lapsed;
            if late { RelationshipState::Lapsed } else { r.state }
        };
        let asked = |r: &&WorkspaceRelationship| {
            r.id > after
                && r.side_of(query.workspace).is_some_and(|side| query.side.is_none_or(|asked| asked == side))
                && (query.states.is_empty() || query.states.contains(&state(r)))
        };
        let found = self.relationships.values().filter(asked).take(limit);
        found.filter_map(|r| self.relationship_row(r.id)).collect()
    }

    pub(super) fn externals(
        &self,
        host: WorkspaceId,
        home: WorkspaceId,
        after: UserId,
        limit: u32,
    ) -> Vec<AccessFacts> {
        let here = self.memberships.range((host, after)..).take_while(|((of, _), _)| *of == host);
        let externals = here.filter(|((_, user), membership)| {
            let from_home = self.users.get(user).is_some_and(|user| user.home == home);
            *user > after && from_home && matches!(membership, Membership::External(_))
        });
        let users = externals.map(|((_, user), _)| *user).take(usize::try_from(limit).unwrap_or(usize::MAX));
        users.filter_map(|user| self.access_facts(host, user)).collect()
    }

    pub(super) fn roles_of(&self, workspace: WorkspaceId) -> Vec<Role> {
        self.roles.values().filter(|role| role.workspace == workspace).cloned().collect()
    }

    fn carriers(&self, role: &Role) -> impl Iterator<Item = &Group> {
        self.groups.values().filter(|group| group.roles.contains(&role.id))
    }

    pub(super) fn admitting(&self, role: &Role) -> Vec<WorkspaceRelationship> {
        let live = self.relationships.values().filter(|r| r.host == role.workspace && is_live(r.state));
        let mut admitting: Vec<_> = live.filter(|r| r.host_terms.ceiling.roles.contains(&role.id)).cloned().collect();
        admitting.sort_by_key(|relationship| relationship.home);
        admitting
    }

    pub(super) fn uses_of_role(&self, role: &Role) -> RoleUses {
        let shipped = self.workspaces.get(&role.workspace).map(|workspace| &workspace.policy.default_ceiling);
        let shipped = shipped.filter(|ceiling| ceiling.roles.contains(&role.id));
        RoleUses {
            memberships: count(self.memberships.values().filter(|m| m.base().grants.roles.contains(&role.id))),
            groups: count(self.carriers(role)),
            ceilings: count(self.admitting(role).iter()) + count(shipped.iter()),
        }
    }

    pub(super) fn reach_of_role(&self, role: &Role) -> RoleReach {
        let carriers: Vec<GroupId> = self.carriers(role).map(|group| group.id).collect();
        let has_it = |membership: &&Membership| {
            let by_group = match membership {
                Membership::Internal(internal) => carriers.iter().any(|group| internal.groups.contains(group)),
                Membership::External(_) => false,
            };
            by_group || membership.base().grants.roles.contains(&role.id)
        };
        let of = |kind| count(self.memberships.values().filter(has_it).filter(|membership| membership.kind() == kind));
        RoleReach { internals: of(MembershipKind::Internal), externals: of(MembershipKind::External) }
    }

    pub(super) fn uses_of_permission(&self, name: &PermissionName) -> PermissionUses {
        let direct = self.memberships.values().filter(|m| m.base().grants.permissions.contains(name));
        let roles = self.roles.values().filter(|role| role.permissions.contains(name));
        PermissionUses { roles: count(roles), memberships: count(direct) }
    }

    pub(super) fn permissions(&self, prefix: &str, retired: bool, after: &str, limit: u32) -> Vec<Permission> {
        let fits = |entry: &&Permission| {
            let shown = retired || entry.retired_at.is_none();
            shown && entry.name.as_str() > after && (prefix.is_empty() || entry.name.is_under(prefix))
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.permissions.values().filter(fits).take(limit).cloned().collect()
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
        let groups = match &membership {
            Some(Membership::Internal(internal)) => internal.groups.clone(),
            Some(Membership::External(_)) | None => std::collections::BTreeSet::new(),
        };
        let carried =
            |role: &Role| groups.iter().any(|id| self.groups.get(id).is_some_and(|g| g.roles.contains(&role.id)));
        let named = |role: &&Role| {
            membership.as_ref().is_some_and(|m| m.base().grants.roles.contains(&role.id)) || carried(role)
        };
        let mut roles: Vec<Arc<Role>> = self.roles.values().filter(named).cloned().map(Arc::new).collect();
        roles.sort_by(|a, b| a.handle.cmp(&b.handle));
        Some(AccessFacts {
            workspace: Arc::new(self.workspaces.get(&workspace)?.clone()),
            account,
            relationship: self.agreed(workspace, home).cloned().map(Arc::new),
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

    /// The members of a workspace, above a user id and in order, of whom that holds.
    fn members_who(
        &self,
        workspace: WorkspaceId,
        after: UserId,
        limit: u32,
        holds: impl Fn(&AccessFacts) -> bool,
    ) -> Vec<AccessFacts> {
        let members = self.memberships.range((workspace, after)..).take_while(|((of, _), _)| *of == workspace);
        let above = members.filter(|((_, user), _)| *user > after);
        let facts = above.filter_map(|((_, user), _)| self.access_facts(workspace, *user));
        facts.filter(holds).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
    }

    pub(super) fn grantees(
        &self,
        workspace: WorkspaceId,
        permission: &PermissionName,
        after: UserId,
        limit: u32,
    ) -> Vec<AccessFacts> {
        self.members_who(workspace, after, limit, |facts| granted(facts).contains(permission))
    }

    pub(super) fn governors(&self, workspace: WorkspaceId, after: UserId, limit: u32) -> Vec<UserId> {
        let governs = |facts: &AccessFacts| {
            matches!(facts.membership, Some(Membership::Internal(_)))
                && granted(facts).iter().any(|permission| permission.class() == PermissionClass::Governance)
        };
        let all = self.members_who(workspace, after, limit, governs);
        all.into_iter().filter_map(|facts| Some(facts.account?.user)).collect()
    }

    fn sized(&self, group: &Group) -> GroupSize {
        let members = self.in_group(group.workspace, group.id).len();
        GroupSize { group: group.clone(), members: members.try_into().unwrap_or(u64::MAX) }
    }

    pub(super) fn group(&self, workspace: WorkspaceId, group: &GroupRef) -> Option<GroupSize> {
        let mut groups = self.groups.values().filter(|other| other.workspace == workspace);
        groups.find(|other| group.names(other)).map(|found| self.sized(found))
    }

    pub(super) fn groups_of(&self, workspace: WorkspaceId, after: GroupId, limit: usize) -> Vec<GroupSize> {
        let above = self.groups.range(after..).map(|(_, group)| group).filter(|group| group.id > after);
        above.filter(|group| group.workspace == workspace).take(limit).map(|group| self.sized(group)).collect()
    }

    pub(super) fn group_members(
        &self,
        workspace: WorkspaceId,
        group: GroupId,
        after: UserId,
        limit: usize,
    ) -> Vec<MemberRow> {
        let above = self.in_group(workspace, group).into_iter().filter(|user| *user > after);
        above.take(limit).filter_map(|user| self.member(workspace, user)).collect()
    }

    pub(super) fn candidates(&self, workspace: WorkspaceId, group: GroupId, users: &[UserId]) -> Vec<GroupCandidate> {
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        let candidate = |user: UserId| {
            let membership = self.memberships.get(&(workspace, user))?;
            let is_in = matches!(membership, Membership::Internal(internal) if internal.groups.contains(&group));
            Some(GroupCandidate { user, kind: membership.kind(), account: self.users.get(&user)?.state, is_in })
        };
        users.into_iter().filter_map(candidate).collect()
    }

    /// The External memberships, each with the home.
    fn every_external(&self) -> impl Iterator<Item = (&ExternalMembership, WorkspaceId)> {
        self.memberships.values().filter_map(|membership| match membership {
            Membership::External(external) => Some((external, self.users.get(&external.base.user)?.home)),
            Membership::Internal(_) => None,
        })
    }

    pub(super) fn count_externals(&self, which: Externals) -> u64 {
        let by_default = |host: WorkspaceId, home: WorkspaceId| {
            self.agreed(host, home).is_none_or(|agreed| {
                agreed.state == RelationshipState::Ended && !agreed.is_suspended() && agreed.home_terms.allows_host
            })
        };
        let counts = |host: WorkspaceId, home: WorkspaceId| match which {
            Externals::In(workspace) => host == workspace,
            Externals::UnderDefaultOf(workspace) => host == workspace && by_default(host, home),
            Externals::From(workspace) => home == workspace,
        };
        let counted = self.every_external().filter(|(external, home)| counts(external.base.workspace, *home));
        counted.count().try_into().unwrap_or(u64::MAX)
    }

    pub(super) fn hosts_of(&self, user: UserId, after: WorkspaceId, limit: usize) -> Vec<WorkspaceId> {
        let own = self.every_external().filter(|(external, _)| external.base.user == user);
        own.map(|(external, _)| external.base.workspace).filter(|host| *host > after).take(limit).collect()
    }

    pub(super) fn workspaces_above(&self, after: WorkspaceId, limit: usize) -> Vec<Workspace> {
        let above = self.workspaces.range(after..).map(|(_, workspace)| workspace);
        above.filter(|workspace| workspace.id > after).take(limit).cloned().collect()
    }

    pub(super) fn workspaces_of(&self, user: UserId, after: WorkspaceId, limit: usize) -> Vec<BelongingRow> {
        let above = self.workspaces.range(after..).map(|(_, workspace)| workspace).filter(|w| w.id > after);
        let belonging = above.filter_map(|workspace| {
            let external = match self.memberships.get(&(workspace.id, user))? {
                Membership::Internal(_) => None,
                Membership::External(external) => Some(external.standing()),
            };
            Some(BelongingRow { workspace: workspace.clone(), external })
        });
        belonging.take(limit).collect()
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
            table("groups", self.groups.values()),
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

fn count<T>(rows: impl Iterator<Item = T>) -> u64 {
    u64::try_from(rows.count()).unwrap_or(u64::MAX)
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
