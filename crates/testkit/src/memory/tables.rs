//! The content of the store and every change it can take, with the rules each change must keep.

use domicile_domain::event::Event;
use domicile_domain::model::answer::{AnsweredRequest, RequestKey};
use domicile_domain::model::audit::{AuditRecord, PersonalValue};
use domicile_domain::model::budget::{Counter, Tally};
use domicile_domain::model::contact::{ContactKey, ContactKind};
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::group::Group;
use domicile_domain::model::id::{
    AuditId, GroupId, MembershipId, NoticeId, RelationshipId, RoleId, UserId, WorkspaceId,
};
use domicile_domain::model::membership::{EndedMembership, InternalMembership, Membership, MembershipBase};
use domicile_domain::model::name::Handle;
use domicile_domain::model::notice::{Attempt, Message, Notice};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{RelationshipState, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp, Version};
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::Workspace;
use domicile_domain::port::store::{Constraint, StoreError};
use imbl::OrdMap;

/// Whose a contact key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContactRow {
    Of(UserId),
    Held { former_home: WorkspaceId, until: Timestamp },
}

/// A notice with what lies apart from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoticeEntry {
    pub(super) notice: Notice,
    pub(super) lease_until: Timestamp,
    pub(super) message: Option<(UserId, Message)>,
    pub(super) attempts: Vec<Attempt>,
}

/// All tables. A clone costs the same whatever they hold, so a snapshot is a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) workspaces: OrdMap<WorkspaceId, Workspace>,
    pub(super) handles: OrdMap<Handle, WorkspaceId>,
    pub(super) domains: OrdMap<MailDomain, WorkspaceId>,
    pub(super) permissions: OrdMap<PermissionName, Permission>,
    pub(super) roles: OrdMap<(WorkspaceId, Handle), Role>,
    pub(super) role_ids: OrdMap<RoleId, Handle>,
    pub(super) groups: OrdMap<GroupId, Group>,
    pub(super) users: OrdMap<UserId, User>,
    pub(super) usernames: OrdMap<(WorkspaceId, String), UserId>,
    pub(super) contacts: OrdMap<ContactKey, ContactRow>,
    pub(super) identities: OrdMap<Identity, (UserId, Timestamp)>,
    pub(super) memberships: OrdMap<(WorkspaceId, UserId), Membership>,
    pub(super) ended: OrdMap<(WorkspaceId, UserId, Timestamp, MembershipId), EndedMembership>,
    pub(super) relationships: OrdMap<RelationshipId, WorkspaceRelationship>,
    pub(super) notices: OrdMap<NoticeId, NoticeEntry>,
    pub(super) audit_records: OrdMap<AuditId, AuditRecord>,
    pub(super) personal_values: OrdMap<(AuditId, usize), PersonalValue>,
    pub(super) events: OrdMap<(WorkspaceId, Revision, u16), Event>,
    pub(super) answers: OrdMap<RequestKey, AnsweredRequest>,
    pub(super) counters: OrdMap<Counter, Tally>,
}

/// A change. It is applied to the unit's own copy at the statement, and to the committed content at commit.
#[derive(Debug, Clone)]
pub(super) enum Write {
    TakeRevision {
        workspace: WorkspaceId,
        taken: Revision,
    },
    Workspace(Workspace),
    UpdateWorkspace {
        workspace: Workspace,
        read_at: Version,
    },
    Group(Group),
    UpdateGroup {
        group: Group,
        read_at: Version,
    },
    DeleteGroup {
        group: Group,
        read_at: Version,
    },
    JoinGroup {
        group: Group,
        users: Vec<UserId>,
    },
    LeaveGroup {
        group: Group,
        users: Vec<UserId>,
    },
    /// `seen` tells whether there was an entry of that name.
    Permission {
        permission: Permission,
        seen: bool,
    },
    UpdatePermission(Permission),
    Role(Role),
    UpdateRole {
        role: Role,
        read_at: Version,
    },
    DeleteRole(Role),
    User(User),
    HoldUser {
        user: UserId,
        version: Version,
    },
    CountChange {
        user: UserId,
        read_at: Version,
        at: Timestamp,
    },
    VerifyContact {
        user: UserId,
        key: ContactKey,
        at: Timestamp,
    },
    Identity {
        user: UserId,
        identity: Identity,
        at: Timestamp,
    },
    Unbind {
        user: UserId,
        identity: Identity,
    },
    Membership(Membership),
    Grant {
        base: MembershipBase,
        read_at: Version,
    },
    End {
        ended: EndedMembership,
        read_at: Version,
    },
    Relationship(WorkspaceRelationship),
    UpdateRelationship {
        relationship: WorkspaceRelationship,
        read_at: Version,
    },
    Notice(Notice),
    Lease {
        seen: Vec<(NoticeId, Version, Timestamp)>,
        until: Timestamp,
    },
    UpdateNotice {
        notice: Notice,
        read_at: Version,
    },
    Message {
        notice: NoticeId,
        user: UserId,
        message: Message,
    },
    Attempt {
        notice: NoticeId,
        attempt: Attempt,
    },
    Audit {
        record: AuditRecord,
        personal: Vec<PersonalValue>,
    },
    Event(Event),
    Answer(AnsweredRequest),
    Count {
        counter: Counter,
        held: Option<Tally>,
        tally: Tally,
    },
}

fn fault(what: impl Into<String>) -> StoreError {
    StoreError::Fault(what.into())
}

fn ensure(holds: bool, what: &str) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(fault(what)) }
}

pub(super) const fn is_live(state: RelationshipState) -> bool {
    matches!(state, RelationshipState::Proposed | RelationshipState::Active)
}

impl Default for Tables {
    /// Empty but for the governance rights, which every store has from the start.
    fn default() -> Self {
        let governance = [
            (PermissionName::create(), "Find people, create them and link them"),
            (PermissionName::update(), "Manage members and what they may do"),
        ];
        let permissions = governance.into_iter().map(|(name, description)| {
            let entry = Permission {
                name: name.clone(),
                description: description.to_owned(),
                registered_by: "domicile".to_owned(),
                registered_at: Timestamp::from_micros(0),
                retired_at: None,
            };
            (name, entry)
        });
        Self {
            permissions: permissions.collect(),
            workspaces: OrdMap::new(),
            handles: OrdMap::new(),
            domains: OrdMap::new(),
            roles: OrdMap::new(),
            role_ids: OrdMap::new(),
            groups: OrdMap::new(),
            users: OrdMap::new(),
            usernames: OrdMap::new(),
            contacts: OrdMap::new(),
            identities: OrdMap::new(),
            memberships: OrdMap::new(),
            ended: OrdMap::new(),
            relationships: OrdMap::new(),
            notices: OrdMap::new(),
            audit_records: OrdMap::new(),
            personal_values: OrdMap::new(),
            events: OrdMap::new(),
            answers: OrdMap::new(),
            counters: OrdMap::new(),
        }
    }
}

impl Tables {
    /// Makes the change, or answers why it cannot be made. The content is of no use after an error.
    pub(super) fn apply(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::TakeRevision { workspace, taken } => self.take_revision(*workspace, *taken),
            Write::Workspace(workspace) => self.add_workspace(workspace),
            Write::UpdateWorkspace { workspace, read_at } => self.update_workspace(workspace, *read_at),
            Write::Permission { permission, seen } => match self.permissions.contains_key(&permission.name) {
                true if *seen => Ok(()),
                // Another unit was first: the entry that is left there is not the one that this unit read.
                true => Err(StoreError::Contention),
                false => {
                    self.permissions.insert(permission.name.clone(), permission.clone());
                    Ok(())
                }
            },
            Write::UpdatePermission(permission) => match self.permissions.get_mut(&permission.name) {
                Some(row) => {
                    *row = permission.clone();
                    Ok(())
                }
                None => Err(StoreError::Stale),
            },
            Write::Role(role) => self.add_role(role),
            Write::Group(group) => self.add_group(group),
            Write::UpdateGroup { group, read_at } => self.update_group(group, *read_at),
            Write::DeleteGroup { group, read_at } => self.delete_group(group, *read_at),
            Write::JoinGroup { group, users } => users.iter().try_for_each(|user| self.join_group(group, *user)),
            Write::LeaveGroup { group, users } => users.iter().try_for_each(|user| self.leave_group(group, *user)),
            Write::UpdateRole { role, read_at } => self.update_role(role, *read_at),
            Write::DeleteRole(role) => self.delete_role(role),
            Write::User(user) => self.add_user(user),
            Write::HoldUser { user, version } => match self.users.get(user) {
                Some(row) if row.version == *version => Ok(()),
                _ => Err(StoreError::Stale),
            },
            Write::CountChange { user, read_at, at } => self.count_change(*user, *read_at, *at),
            Write::VerifyContact { user, key, at } => self.verify_contact(*user, key, *at),
            Write::Identity { user, identity, at } => self.bind(*user, identity, *at),
            Write::Unbind { user, identity } => match self.identities.get(identity) {
                Some((owner, _)) if owner == user => {
                    self.identities.remove(identity);
                    Ok(())
                }
                _ => Err(StoreError::Stale),
            },
            Write::Membership(membership) => self.add_membership(membership),
            Write::Grant { base, read_at } => self.grant(base, *read_at),
            Write::End { ended, read_at } => self.end(ended, *read_at),
            Write::Relationship(relationship) => self.add_relationship(relationship),
            Write::UpdateRelationship { relationship, read_at } => self.update_relationship(relationship, *read_at),
            Write::Notice(notice) => self.add_notice(notice),
            Write::Lease { seen, until } => self.lease(seen, *until),
            Write::UpdateNotice { notice, read_at } => self.update_notice(notice, *read_at),
            Write::Message { notice, user, message } => {
                self.entry(*notice)?.message = Some((*user, message.clone()));
                Ok(())
            }
            Write::Attempt { notice, attempt } => {
                let entry = self.entry(*notice)?;
                ensure(entry.attempts.iter().all(|a| a.number != attempt.number), "the attempt was recorded before")?;
                entry.attempts.push(attempt.clone());
                entry.attempts.sort_by_key(|a| a.number);
                Ok(())
            }
            Write::Audit { record, personal } => self.audit(record, personal),
            Write::Event(event) => self.event(event),
            Write::Answer(request) => {
                if self.answers.contains_key(&request.key) {
                    return Err(StoreError::Conflict(Constraint::Request));
                }
                self.answers.insert(request.key.clone(), request.clone());
                Ok(())
            }
            Write::Count { counter, held, tally } => {
                if self.counters.get(counter) != held.as_ref() {
                    return Err(StoreError::Contention);
                }
                self.counters.insert(counter.clone(), *tally);
                Ok(())
            }
        }
    }

    fn take_revision(&mut self, workspace: WorkspaceId, taken: Revision) -> Result<(), StoreError> {
        let row = self.workspaces.get_mut(&workspace).ok_or(StoreError::Contention)?;
        let raced = row.revision.next() != taken;
        row.revision = taken;
        if raced { Err(StoreError::Contention) } else { Ok(()) }
    }

    fn add_workspace(&mut self, workspace: &Workspace) -> Result<(), StoreError> {
        ensure(!self.workspaces.contains_key(&workspace.id), "the workspace's id was used before")?;
        if self.handles.contains_key(&workspace.handle) {
            return Err(StoreError::Conflict(Constraint::WorkspaceHandle));
        }
        for domain in &workspace.verified_domains {
            ensure(!self.domains.contains_key(domain), "another workspace has verified the domain")?;
            self.domains.insert(domain.clone(), workspace.id);
        }
        self.handles.insert(workspace.handle.clone(), workspace.id);
        self.workspaces.insert(workspace.id, workspace.clone());
        Ok(())
    }

    fn update_workspace(&mut self, workspace: &Workspace, read_at: Version) -> Result<(), StoreError> {
        let row = self.workspaces.get_mut(&workspace.id).filter(|row| row.version == read_at);
        let row = row.ok_or(StoreError::Stale)?;
        let (handle, verified_domains) = (row.handle.clone(), row.verified_domains.clone());
        *row = Workspace { handle, verified_domains, revision: row.revision, ..workspace.clone() };
        Ok(())
    }

    fn roles_exist(&self, group: &Group) -> Result<(), StoreError> {
        ensure(
            group.roles.iter().all(|role| self.role_ids.contains_key(role)),
            "the group has a role that does not exist",
        )
    }

    fn add_group(&mut self, group: &Group) -> Result<(), StoreError> {
        ensure(!self.groups.contains_key(&group.id), "the group's id was used before")?;
        ensure(self.workspaces.contains_key(&group.workspace), "the group's workspace does not exist")?;
        let taken = |other: &Group| other.workspace == group.workspace && other.handle == group.handle;
        if self.groups.values().any(taken) {
            return Err(StoreError::Conflict(Constraint::GroupHandle));
        }
        self.roles_exist(group)?;
        self.groups.insert(group.id, group.clone());
        Ok(())
    }

    /// The group, if it is at that version.
    fn group_at(&mut self, group: &Group, read_at: Version) -> Result<&mut Group, StoreError> {
        self.groups.get_mut(&group.id).filter(|row| row.version == read_at).ok_or(StoreError::Stale)
    }

    fn update_group(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError> {
        let row = self.group_at(group, read_at)?;
        row.display_name = group.display_name.clone();
        row.roles.clone_from(&group.roles);
        row.version = group.version;
        self.roles_exist(group)
    }

    fn delete_group(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError> {
        self.group_at(group, read_at)?;
        for user in self.in_group(group.workspace, group.id) {
            self.leave_group(group, user)?;
        }
        self.groups.remove(&group.id);
        Ok(())
    }

    /// Who is in a group, in order.
    pub(super) fn in_group(&self, workspace: WorkspaceId, group: GroupId) -> Vec<UserId> {
        let members = self.memberships.range((workspace, UserId::nil())..).take_while(|((of, _), _)| *of == workspace);
        let inside = members.filter(
            |(_, membership)| matches!(membership, Membership::Internal(internal) if internal.groups.contains(&group)),
        );
        inside.map(|((_, user), _)| *user).collect()
    }

    fn internal(&mut self, group: &Group, user: UserId) -> Option<&mut InternalMembership> {
        match self.memberships.get_mut(&(group.workspace, user)) {
            Some(Membership::Internal(internal)) => Some(internal),
            Some(Membership::External(_)) | None => None,
        }
    }

    fn join_group(&mut self, group: &Group, user: UserId) -> Result<(), StoreError> {
        ensure(self.groups.contains_key(&group.id), "the group does not exist")?;
        let internal = self.internal(group, user).ok_or_else(|| fault("somebody is not Internal there"))?;
        ensure(internal.groups.insert(group.id), "somebody is in the group already")?;
        internal.base.version = internal.base.version.next();
        Ok(())
    }

    fn leave_group(&mut self, group: &Group, user: UserId) -> Result<(), StoreError> {
        let internal = self.internal(group, user).filter(|internal| internal.groups.contains(&group.id));
        let internal = internal.ok_or(StoreError::Stale)?;
        internal.groups.remove(&group.id);
        internal.base.version = internal.base.version.next();
        Ok(())
    }

    fn add_role(&mut self, role: &Role) -> Result<(), StoreError> {
        ensure(!self.role_ids.contains_key(&role.id), "the role's id was used before")?;
        ensure(self.workspaces.contains_key(&role.workspace), "the role's workspace does not exist")?;
        let key = (role.workspace, role.handle.clone());
        if self.roles.contains_key(&key) {
            return Err(StoreError::Conflict(Constraint::RoleHandle));
        }
        let known = role.permissions.iter().all(|p| self.permissions.contains_key(p));
        ensure(known, "the role has a permission that is not in the catalogue")?;
        self.role_ids.insert(role.id, role.handle.clone());
        self.roles.insert(key, role.clone());
        Ok(())
    }

    fn role_at(&mut self, role: &Role, version: Version) -> Result<&mut Role, StoreError> {
        let row = self.roles.get_mut(&(role.workspace, role.handle.clone()));
        row.filter(|row| row.id == role.id && row.version == version).ok_or(StoreError::Stale)
    }

    fn update_role(&mut self, role: &Role, read_at: Version) -> Result<(), StoreError> {
        let known = role.permissions.iter().all(|p| self.permissions.contains_key(p));
        ensure(known, "the role has a permission that is not in the catalogue")?;
        *self.role_at(role, read_at)? = role.clone();
        Ok(())
    }

    fn delete_role(&mut self, role: &Role) -> Result<(), StoreError> {
        self.role_at(role, role.version)?;
        self.roles.remove(&(role.workspace, role.handle.clone()));
        self.role_ids.remove(&role.id);
        let has_it = |membership: &Membership| membership.base().grants.roles.contains(&role.id);
        let holders = self.memberships.iter().filter(|(_, membership)| has_it(membership)).map(|(key, _)| *key);
        for key in holders.collect::<Vec<_>>() {
            let base = self.membership_base(key).ok_or(StoreError::Stale)?;
            base.grants.roles.remove(&role.id);
            base.version = base.version.next();
        }
        let carriers = self.groups.values().filter(|group| group.roles.contains(&role.id)).cloned();
        for mut group in carriers.collect::<Vec<_>>() {
            group.roles.remove(&role.id);
            group.version = group.version.next();
            self.groups.insert(group.id, group);
        }
        for relationship in self.admitting(role) {
            self.relationships.insert(relationship.id, relationship.without_role(role.id));
        }
        if let Some(workspace) = self.workspaces.get_mut(&role.workspace)
            && workspace.policy.default_ceiling.roles.remove(&role.id)
        {
            workspace.version = workspace.version.next();
        }
        Ok(())
    }

    fn add_user(&mut self, user: &User) -> Result<(), StoreError> {
        ensure(!self.users.contains_key(&user.id), "the user's id was used before")?;
        let known = self.workspaces.contains_key(&user.home) && self.workspaces.contains_key(&user.created_in);
        ensure(known, "the user's home does not exist")?;
        if let Some(person) = &user.person {
            let name = (user.home, person.username.match_key().to_owned());
            if self.usernames.contains_key(&name) {
                return Err(StoreError::Conflict(Constraint::Username));
            }
            self.usernames.insert(name, user.id);
            let email = ContactKey::from(&person.email.value);
            let phone = person.phone.as_ref().map(|phone| ContactKey::from(&phone.value));
            for key in std::iter::once(email).chain(phone) {
                let free = match self.contacts.get(&key) {
                    None => true,
                    Some(ContactRow::Held { until, .. }) => *until <= user.created_at,
                    Some(ContactRow::Of(_)) => false,
                };
                if !free {
                    return Err(StoreError::Conflict(Constraint::ContactKey));
                }
                self.contacts.insert(key, ContactRow::Of(user.id));
            }
        }
        self.users.insert(user.id, user.clone());
        Ok(())
    }

    fn count_change(&mut self, user: UserId, read_at: Version, at: Timestamp) -> Result<(), StoreError> {
        let row = self.users.get_mut(&user).filter(|row| row.version == read_at).ok_or(StoreError::Stale)?;
        row.version = read_at.next();
        row.updated_at = at;
        Ok(())
    }

    fn verify_contact(&mut self, user: UserId, key: &ContactKey, at: Timestamp) -> Result<(), StoreError> {
        if self.contacts.get(key) != Some(&ContactRow::Of(user)) {
            return Err(StoreError::Stale);
        }
        let person = self.users.get_mut(&user).and_then(|row| row.person.as_mut());
        let person = person.ok_or_else(|| fault("the contact's user has no person"))?;
        match (key.kind, &mut person.phone) {
            (ContactKind::Email, _) => person.email.verify(at),
            (ContactKind::Phone, Some(phone)) => phone.verify(at),
            (ContactKind::Phone, None) => return Err(fault("the contact's user has no phone")),
        }
        Ok(())
    }

    fn bind(&mut self, user: UserId, identity: &Identity, at: Timestamp) -> Result<(), StoreError> {
        if self.identities.contains_key(identity) {
            return Err(StoreError::Conflict(Constraint::Identity));
        }
        ensure(self.users.contains_key(&user), "the identity's user does not exist")?;
        self.identities.insert(identity.clone(), (user, at));
        Ok(())
    }

    fn add_membership(&mut self, membership: &Membership) -> Result<(), StoreError> {
        let base = membership.base();
        let key = (base.workspace, base.user);
        let internal = matches!(membership, Membership::Internal(_));
        let second_internal = || {
            let mut all = self.memberships.iter();
            all.any(|((_, user), other)| *user == base.user && matches!(other, Membership::Internal(_)))
        };
        if self.memberships.contains_key(&key) || (internal && second_internal()) {
            return Err(StoreError::Conflict(Constraint::Membership));
        }
        let same_external_id = |other: &Membership| {
            let other = other.base();
            other.workspace == base.workspace && other.external_id == base.external_id
        };
        if base.external_id.is_some() && self.memberships.values().any(same_external_id) {
            return Err(StoreError::Conflict(Constraint::ExternalId));
        }
        let user = self.users.get(&base.user).ok_or_else(|| fault("the membership's user does not exist"))?;
        ensure(self.workspaces.contains_key(&base.workspace), "the membership's workspace does not exist")?;
        ensure(!internal || user.home == base.workspace, "an Internal membership is outside the home")?;
        let known = base.grants.roles.iter().all(|r| self.role_ids.contains_key(r))
            && base.grants.permissions.iter().all(|p| self.permissions.contains_key(p));
        ensure(known, "the membership has a role or a permission that does not exist")?;
        if let Membership::Internal(internal) = membership {
            let known = internal.groups.iter().all(|group| self.groups.contains_key(group));
            ensure(known, "the membership has a group that does not exist")?;
        }
        self.memberships.insert(key, membership.clone());
        Ok(())
    }

    fn membership_base(&mut self, key: (WorkspaceId, UserId)) -> Option<&mut MembershipBase> {
        Some(match self.memberships.get_mut(&key)? {
            Membership::Internal(internal) => &mut internal.base,
            Membership::External(external) => &mut external.base,
        })
    }

    fn grant(&mut self, base: &MembershipBase, read_at: Version) -> Result<(), StoreError> {
        let known = base.grants.roles.iter().all(|r| self.role_ids.contains_key(r))
            && base.grants.permissions.iter().all(|p| self.permissions.contains_key(p));
        ensure(known, "the membership has a role or a permission that does not exist")?;
        let row = self.membership_base((base.workspace, base.user)).ok_or(StoreError::Stale)?;
        if row.id != base.id || row.version != read_at {
            return Err(StoreError::Stale);
        }
        row.grants = base.grants.clone();
        row.version = base.version;
        Ok(())
    }

    fn end(&mut self, ended: &EndedMembership, read_at: Version) -> Result<(), StoreError> {
        let key = (ended.workspace, ended.user);
        let live = self.memberships.get(&key).map(Membership::base);
        if !live.is_some_and(|base| base.id == ended.id && base.version == read_at) {
            return Err(StoreError::Stale);
        }
        self.memberships.remove(&key);
        self.ended.insert((ended.workspace, ended.user, ended.ended_at, ended.id), ended.clone());
        Ok(())
    }

    fn check_pair(&self, relationship: &WorkspaceRelationship) -> Result<(), StoreError> {
        let WorkspaceRelationship { id, host, home, state, .. } = relationship;
        let taken = |other: &WorkspaceRelationship| {
            other.id != *id && other.host == *host && other.home == *home && is_live(other.state)
        };
        if is_live(*state) && self.relationships.values().any(taken) {
            return Err(StoreError::Conflict(Constraint::Relationship));
        }
        ensure(host != home, "a workspace has no relationship with itself")?;
        let known = self.workspaces.contains_key(host) && self.workspaces.contains_key(home);
        ensure(known, "a workspace of the relationship does not exist")
    }

    fn add_relationship(&mut self, relationship: &WorkspaceRelationship) -> Result<(), StoreError> {
        ensure(!self.relationships.contains_key(&relationship.id), "the relationship's id was used before")?;
        self.check_pair(relationship)?;
        self.relationships.insert(relationship.id, relationship.clone());
        Ok(())
    }

    fn update_relationship(
        &mut self,
        relationship: &WorkspaceRelationship,
        read_at: Version,
    ) -> Result<(), StoreError> {
        if self.relationships.get(&relationship.id).is_none_or(|row| row.version != read_at) {
            return Err(StoreError::Stale);
        }
        self.check_pair(relationship)?;
        self.relationships.insert(relationship.id, relationship.clone());
        Ok(())
    }

    fn entry(&mut self, notice: NoticeId) -> Result<&mut NoticeEntry, StoreError> {
        self.notices.get_mut(&notice).ok_or_else(|| fault("the notice does not exist"))
    }

    fn add_notice(&mut self, notice: &Notice) -> Result<(), StoreError> {
        ensure(!self.notices.contains_key(&notice.id), "the notice's id was used before")?;
        let known = self.workspaces.contains_key(&notice.workspace)
            && self.workspaces.contains_key(&notice.home)
            && self.users.contains_key(&notice.user);
        ensure(known, "the notice is about what does not exist")?;
        let entry = NoticeEntry {
            notice: notice.clone(),
            lease_until: Timestamp::from_micros(0),
            message: None,
            attempts: Vec::new(),
        };
        self.notices.insert(notice.id, entry);
        Ok(())
    }

    fn lease(&mut self, seen: &[(NoticeId, Version, Timestamp)], until: Timestamp) -> Result<(), StoreError> {
        for (id, version, lease) in seen {
            let entry = self.entry(*id)?;
            if entry.notice.version != *version || entry.lease_until != *lease {
                return Err(StoreError::Contention);
            }
            entry.lease_until = until;
        }
        Ok(())
    }

    fn update_notice(&mut self, notice: &Notice, read_at: Version) -> Result<(), StoreError> {
        match self.notices.get_mut(&notice.id) {
            Some(entry) if entry.notice.version == read_at => {
                entry.notice = notice.clone();
                entry.lease_until = Timestamp::from_micros(0);
                Ok(())
            }
            _ => Err(StoreError::Stale),
        }
    }

    fn audit(&mut self, record: &AuditRecord, personal: &[PersonalValue]) -> Result<(), StoreError> {
        ensure(!self.audit_records.contains_key(&record.id), "the audit row's id was used before")?;
        self.audit_records.insert(record.id, record.clone());
        for (place, value) in personal.iter().enumerate() {
            self.personal_values.insert((record.id, place), value.clone());
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), StoreError> {
        let key = (event.workspace, event.revision, event.index);
        ensure(!self.events.contains_key(&key), "the place in the log is taken")?;
        ensure(self.workspaces.contains_key(&event.workspace), "the event's workspace does not exist")?;
        self.events.insert(key, event.clone());
        Ok(())
    }
}
