//! Groups: made, changed, deleted, and people put into them and taken out. Whoever holds `update` may; what carries rights
//! over the workspace is left to a qualifying manager, since being in such a group is being granted them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{CreateGroup, DeleteGroup, GroupMembers, UpdateGroup};
use super::authority::is_qualifying_manager;
use super::change::{Authority, Change, Made, Unit};
use super::grant::check_carried;
use super::input::{field, granted_roles, mask, needed_etag, same_etag};
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::audit::{AuditAction, AuditChange};
use crate::model::group::{Group, GroupRef, GroupSize};
use crate::model::id::{GroupId, RoleId, UserId};
use crate::model::membership::MembershipKind;
use crate::model::name::{Handle, Name};
use crate::model::role::Role;
use crate::model::time::Version;
use crate::model::user::UserState;
use crate::port::store::{Constraint, GroupCandidate};

/// Makes a group.
pub(super) struct Create<'a>(pub(super) &'a CreateGroup);

/// Replaces fields of a group.
pub(super) struct Update<'a>(pub(super) &'a UpdateGroup);

/// Deletes a group.
pub(super) struct Delete<'a>(pub(super) &'a DeleteGroup);

/// Puts people into a group.
pub(super) struct Add<'a>(pub(super) &'a GroupMembers);

/// Takes people out of a group.
pub(super) struct Remove<'a>(pub(super) &'a GroupMembers);

#[async_trait]
impl Change for Create<'_> {
    type Thing = GroupSize;
    const ACTION: AuditAction = AuditAction::CreateGroup;
    const AUTHORITY: Authority = Authority::Update;
    const RACES: &'static [Constraint] = &[Constraint::GroupHandle];

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<GroupSize>, Refusal> {
        let defined = unit.tx.roles().of_workspace(unit.workspace).await?;
        let mut wrong = unit.violations();
        let handle = field(&mut wrong, "handle", Handle::parse(&self.0.handle));
        let display_name = field(&mut wrong, "display_name", Name::parse(&self.0.display_name));
        let roles = granted_roles(&defined, "roles", &self.0.roles, &mut wrong);
        let (Some(handle), Some(display_name), true) = (handle, display_name, wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        may_carry(unit, &defined, &roles)?;
        let named = GroupRef::Handle(handle.clone());
        if unit.tx.groups().find(unit.workspace, &named).await?.is_some() {
            return Err(Refusal::new(Reason::HandleTaken).with("handle", handle));
        }
        if unit.tx.groups().count(unit.workspace).await? >= Group::MOST {
            return Err(Refusal::new(Reason::LimitReached).with("limit", Group::MOST));
        }
        let (id, workspace) = (unit.new_id(), unit.workspace);
        let group = Group { id, workspace, handle, display_name, roles, version: Version::FIRST };
        unit.tx.groups().insert(&group).await?;
        unit.event(EventBody::GroupCreated { group: id }).await?;
        let changes = changes(None, Some(&group));
        Ok(Made::new(GroupSize { group, members: 0 }, id, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<GroupSize>, Refusal> {
        by_id(unit, thing).await
    }
}

/// A field of a group that can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupField {
    DisplayName,
    Roles,
}

const FIELDS: [(&str, GroupField); 2] = [("display_name", GroupField::DisplayName), ("roles", GroupField::Roles)];

#[async_trait]
impl Change for Update<'_> {
    type Thing = GroupSize;
    const ACTION: AuditAction = AuditAction::UpdateGroup;
    const AUTHORITY: Authority = Authority::Update;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<GroupSize>, Refusal> {
        let defined = unit.tx.roles().of_workspace(unit.workspace).await?;
        let mut wrong = unit.violations();
        needed_etag(&mut wrong, &self.0.etag);
        let named = named(&self.0.group, &mut wrong);
        let (mut name, mut roles) = (None, None);
        for part in mask(&self.0.update_mask, &FIELDS, &mut wrong) {
            match part {
                GroupField::DisplayName => {
                    name = field(&mut wrong, "display_name", Name::parse(&self.0.display_name));
                }
                GroupField::Roles => roles = Some(granted_roles(&defined, "roles", &self.0.roles, &mut wrong)),
            }
        }
        let GroupSize { group: before, members } = found(unit, named, wrong).await?;
        same_etag(&self.0.etag, before.id, before.version)?;
        let group = Group {
            display_name: name.unwrap_or_else(|| before.display_name.clone()),
            roles: roles.unwrap_or_else(|| before.roles.clone()),
            version: before.version.next(),
            ..before.clone()
        };
        may_carry(unit, &defined, &before.roles)?;
        may_carry(unit, &defined, &group.roles)?;
        let changes = changes(Some(&before), Some(&group));
        if changes.is_empty() {
            let id = before.id;
            return Ok(Made::new(GroupSize { group: before, members }, id, changes));
        }
        unit.tx.groups().update(&group, before.version).await?;
        let paths = changes.iter().map(|change| change.path.clone()).collect();
        unit.event(EventBody::GroupChanged { group: group.id, paths }).await?;
        let id = group.id;
        Ok(Made::new(GroupSize { group, members }, id, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<GroupSize>, Refusal> {
        by_id(unit, thing).await
    }
}

#[async_trait]
impl Change for Delete<'_> {
    type Thing = GroupSize;
    const ACTION: AuditAction = AuditAction::DeleteGroup;
    const AUTHORITY: Authority = Authority::Update;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<GroupSize>, Refusal> {
        let defined = unit.tx.roles().of_workspace(unit.workspace).await?;
        let mut wrong = unit.violations();
        needed_etag(&mut wrong, &self.0.etag);
        let named = named(&self.0.group, &mut wrong);
        let found = found(unit, named, wrong).await?;
        let GroupSize { group, members } = &found;
        same_etag(&self.0.etag, group.id, group.version)?;
        may_carry(unit, &defined, &group.roles)?;
        if *members > 0 && !self.0.force {
            let mut refusal = Refusal::new(Reason::GroupNotEmpty).with("members", members);
            refusal.message =
                format!("There are people in the group: {members}. Take them out first, or delete it with force.");
            return Err(refusal);
        }
        unit.tx.groups().delete(group, group.version).await?;
        unit.event(EventBody::GroupDeleted { group: group.id }).await?;
        let mut changes = changes(Some(group), None);
        let lost = AuditChange { path: "members".to_owned(), before: Some(members.to_string()), after: None };
        changes.extend((*members > 0).then_some(lost));
        let id = group.id;
        Ok(Made::new(found, id, changes))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<GroupSize>, Refusal> {
        by_id(unit, thing).await
    }
}

#[async_trait]
impl Change for Add<'_> {
    type Thing = GroupSize;
    const ACTION: AuditAction = AuditAction::AddGroupMembers;
    const AUTHORITY: Authority = Authority::Update;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<GroupSize>, Refusal> {
        let Asked { size, people } = read_members(self.0, unit).await?;
        let findings = |candidate: Option<&GroupCandidate>| match candidate.map(|found| (found.kind, found.account)) {
            Some((MembershipKind::Internal, UserState::Active | UserState::Suspended)) => None,
            Some((MembershipKind::Internal, UserState::Deactivated | UserState::Erased)) => Some(Obstacle::Inactive),
            Some((MembershipKind::External, _)) => Some(Obstacle::External),
            None => Some(Obstacle::Absent),
        };
        all_or_none(&people, findings)?;
        let added: Vec<UserId> = apart(&people, false);
        if !added.is_empty() {
            unit.tx.groups().add(&size.group, &added).await?;
            let (group, added) = (size.group.id, added.clone());
            unit.event(EventBody::GroupMembersChanged { group, added, removed: Vec::new() }).await?;
        }
        let members = size.members.saturating_add(counted(&added));
        Ok(made(GroupSize { members, ..size }, &added, |user| (None, Some(user))))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<GroupSize>, Refusal> {
        by_id(unit, thing).await
    }
}

#[async_trait]
impl Change for Remove<'_> {
    type Thing = GroupSize;
    const ACTION: AuditAction = AuditAction::RemoveGroupMembers;
    const AUTHORITY: Authority = Authority::Update;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<GroupSize>, Refusal> {
        let Asked { size, people } = read_members(self.0, unit).await?;
        let findings = |candidate: Option<&GroupCandidate>| match candidate.map(|found| found.kind) {
            Some(MembershipKind::Internal) => None,
            Some(MembershipKind::External) => Some(Obstacle::External),
            None => Some(Obstacle::Absent),
        };
        all_or_none(&people, findings)?;
        let removed = apart(&people, true);
        if !removed.is_empty() {
            unit.tx.groups().remove(&size.group, &removed).await?;
            let (group, removed) = (size.group.id, removed.clone());
            unit.event(EventBody::GroupMembersChanged { group, added: Vec::new(), removed }).await?;
        }
        let members = size.members.saturating_sub(counted(&removed));
        Ok(made(GroupSize { members, ..size }, &removed, |user| (Some(user), None)))
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<GroupSize>, Refusal> {
        by_id(unit, thing).await
    }
}

/// How many people one call puts into a group or takes out.
const MOST_PEOPLE: usize = 100;

/// The group and the people that a call named, each with what is found of them here.
struct Asked {
    size: GroupSize,
    people: Vec<(UserId, Option<GroupCandidate>)>,
}

async fn read_members(request: &GroupMembers, unit: &mut Unit<'_>) -> Result<Asked, Refusal> {
    let mut wrong = unit.violations();
    let named = named(&request.group, &mut wrong);
    let mut users = Vec::new();
    if request.users.is_empty() || request.users.len() > MOST_PEOPLE {
        wrong.push(Violation::new("users", format!("name 1 to {MOST_PEOPLE} people by their user ids")));
    } else {
        for (index, text) in request.users.iter().enumerate() {
            users.extend(field(&mut wrong, format!("users[{index}]"), text.parse::<UserId>()));
        }
    }
    let size = found(unit, named, wrong).await?;
    let defined = unit.tx.roles().of_workspace(unit.workspace).await?;
    may_carry(unit, &defined, &size.group.roles)?;
    let candidates = unit.tx.groups().candidates(unit.workspace, size.group.id, &users).await?;
    let of = |user: UserId| candidates.iter().copied().find(|candidate| candidate.user == user);
    Ok(Asked { size, people: users.into_iter().map(|user| (user, of(user))).collect() })
}

/// Why somebody cannot be in a group; the graver first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Absent,
    External,
    Inactive,
}

impl Obstacle {
    const fn reason(self) -> Reason {
        match self {
            Self::Absent => Reason::NotFound,
            Self::External => Reason::InternalOnly,
            Self::Inactive => Reason::HomeUserInactive,
        }
    }

    const fn mend(self) -> &'static str {
        match self {
            Self::Absent => "nobody in this workspace has that id; check it",
            Self::External => "groups are for Internals, and this person's home is elsewhere; give roles instead",
            Self::Inactive => "the account is deactivated; reactivate it first",
        }
    }
}

/// Names everybody who stands in the way, under the gravest reason.
fn all_or_none(
    people: &[(UserId, Option<GroupCandidate>)],
    finding: impl Fn(Option<&GroupCandidate>) -> Option<Obstacle>,
) -> Result<(), Refusal> {
    let indexed = people.iter().enumerate();
    let obstacles: Vec<(usize, Obstacle)> =
        indexed.filter_map(|(index, (_, candidate))| Some((index, finding(candidate.as_ref())?))).collect();
    let Some(gravest) = obstacles.iter().map(|(_, obstacle)| *obstacle).min() else { return Ok(()) };
    let named = obstacles.into_iter().map(|(index, it)| Violation::new(format!("users[{index}]"), it.mend()));
    Err(Refusal { violations: named.collect(), ..Refusal::new(gravest.reason()) })
}

/// Those of the people who are in the group, or are not; each once.
fn apart(people: &[(UserId, Option<GroupCandidate>)], inside: bool) -> Vec<UserId> {
    let fitting = people.iter().filter_map(|(_, candidate)| candidate.filter(|found| found.is_in == inside));
    fitting.map(|candidate| candidate.user).collect::<BTreeSet<_>>().into_iter().collect()
}

fn counted(users: &[UserId]) -> u64 {
    u64::try_from(users.len()).unwrap_or(u64::MAX)
}

/// What a change of people did: a line of the record for each.
fn made(
    size: GroupSize,
    users: &[UserId],
    sides: impl Fn(String) -> (Option<String>, Option<String>),
) -> Made<GroupSize> {
    let line = |user: &UserId| {
        let (before, after) = sides(user.to_string());
        AuditChange { path: "members".to_owned(), before, after }
    };
    let id = size.group.id;
    let changes = users.iter().map(line).collect();
    let subject = users.first().copied().filter(|_| users.len() == 1);
    Made { subject, ..Made::new(size, id, changes) }
}

fn named(text: &str, wrong: &mut Vec<Violation>) -> Option<GroupRef> {
    field(wrong, "group", text.parse::<GroupRef>())
}

/// The group, once nothing is wrong with the request.
async fn found(unit: &mut Unit<'_>, named: Option<GroupRef>, wrong: Vec<Violation>) -> Result<GroupSize, Refusal> {
    let Some(named) = named.filter(|_| wrong.is_empty()) else {
        return Err(Refusal::invalid(wrong));
    };
    let found = unit.tx.groups().find(unit.workspace, &named).await?;
    found.ok_or_else(|| Refusal::missing("group"))
}

async fn by_id(unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<GroupSize>, Refusal> {
    let named = GroupRef::Id(GroupId::from_uuid(thing));
    Ok(unit.tx.groups().find(unit.workspace, &named).await?)
}

/// What carries rights over the workspace is left to a qualifying manager: who comes in, who goes, and what it carries.
fn may_carry(unit: &Unit<'_>, defined: &[Role], carried: &BTreeSet<RoleId>) -> Result<(), Refusal> {
    check_carried(defined, carried, is_qualifying_manager(&unit.domicile.policies, unit.actor, unit.now))
}

/// What of a group is other than before.
fn changes(before: Option<&Group>, after: Option<&Group>) -> Vec<AuditChange> {
    let shown = |group: Option<&Group>| {
        let roles = group.map(|group| group.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        [
            ("handle", group.map(|group| group.handle.to_string())),
            ("display_name", group.map(|group| group.display_name.to_string())),
            ("roles", roles.filter(|roles| !roles.is_empty())),
        ]
    };
    let compared = shown(before).into_iter().zip(shown(after)).map(|((path, before), (_, after))| AuditChange {
        path: path.to_owned(),
        before,
        after,
    });
    compared.filter(|change| change.before != change.after).collect()
}
