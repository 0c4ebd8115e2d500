//! Replaces what a member has directly: roles, or permissions. The whole set each time, on what the caller read.

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{MemberView, SetPermissions, SetRoles};
use super::authority::is_qualifying_manager;
use super::change::{Authority, Change, Made, Unit};
use super::grant::{Regrant, check_ceiling, check_governance, handles, names};
use super::input::{field, granted_permissions, granted_roles, needed_etag, same_etag};
use super::replay::replayed_row;
use super::view::{Viewer, member_view};
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::audit::{AuditAction, AuditChange};
use crate::model::facts::AccessFacts;
use crate::model::id::{MembershipId, UserId};
use crate::model::membership::{AllowedAction, Grants, Membership, MembershipBase};
use crate::model::role::Role;
use crate::model::user::UserState;

/// Replaces the roles.
pub(super) struct ReplaceRoles<'a>(pub(super) &'a SetRoles);

/// Replaces the direct permissions.
pub(super) struct ReplacePermissions<'a>(pub(super) &'a SetPermissions);

#[async_trait]
impl Change for ReplaceRoles<'_> {
    type Thing = MemberView;
    const ACTION: AuditAction = AuditAction::SetRoles;
    const AUTHORITY: Authority = Authority::Update;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<MemberView>, Refusal> {
        let roles = unit.tx.roles().of_workspace(unit.workspace).await?;
        let mut wrong = unit.violations();
        let user = field(&mut wrong, "user", self.0.user.parse());
        needed_etag(&mut wrong, &self.0.etag);
        let wanted = granted_roles(&roles, "roles", &self.0.roles, &mut wrong);
        let Some(user) = user.filter(|_| wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        let member = Member::find(unit, user, &self.0.etag).await?;
        let wanted = Grants { roles: wanted, ..Grants::default() };
        let after = Grants { roles: wanted.roles.clone(), ..member.base.grants.clone() };
        member.regrant(unit, &roles, &wanted, after).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<MemberView>, Refusal> {
        as_it_is(unit, &self.0.user, thing).await
    }
}

#[async_trait]
impl Change for ReplacePermissions<'_> {
    type Thing = MemberView;
    const ACTION: AuditAction = AuditAction::SetPermissions;
    const AUTHORITY: Authority = Authority::Update;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<MemberView>, Refusal> {
        let mut wrong = unit.violations();
        let user = field(&mut wrong, "user", self.0.user.parse());
        needed_etag(&mut wrong, &self.0.etag);
        let wanted = granted_permissions(unit.tx, "permissions", &self.0.permissions, &mut wrong).await?;
        let Some(user) = user.filter(|_| wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        let member = Member::find(unit, user, &self.0.etag).await?;
        let roles = unit.tx.roles().of_workspace(unit.workspace).await?;
        let wanted = Grants { permissions: wanted, ..Grants::default() };
        let after = Grants { permissions: wanted.permissions.clone(), ..member.base.grants.clone() };
        member.regrant(unit, &roles, &wanted, after).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<MemberView>, Refusal> {
        as_it_is(unit, &self.0.user, thing).await
    }
}

/// A member whose grants can be replaced, at the version that the caller read.
struct Member {
    facts: AccessFacts,
    base: MembershipBase,
    is_external: bool,
}

impl Member {
    /// Finds the member. What is over is there no more, whether or not it was swept; what was not accepted yet is there.
    async fn find(unit: &mut Unit<'_>, user: UserId, etag: &str) -> Result<Self, Refusal> {
        let facts = unit.tx.memberships().access_facts(unit.workspace, user).await?;
        let facts = facts.ok_or_else(|| Refusal::missing("user"))?;
        let account = facts.account.as_ref().map_or(UserState::Erased, |account| account.state);
        let allowed = match &facts.membership {
            Some(Membership::Internal(internal)) => internal.allowed_actions(account),
            Some(Membership::External(external)) => external.allowed_actions(unit.now),
            None => Vec::new(),
        };
        let membership = facts.membership.as_ref().filter(|_| allowed.contains(&AllowedAction::SetRoles));
        let membership = membership.ok_or_else(|| match (&facts.membership, account) {
            (Some(Membership::Internal(_)), UserState::Deactivated) => {
                let wrong = Violation::new("user", "the account is deactivated; reactivate it first");
                Refusal { violations: vec![wrong], ..Refusal::new(Reason::HomeUserInactive) }
            }
            _ => Refusal::missing("user"),
        })?;
        let is_external = matches!(membership, Membership::External(_));
        let base = membership.base().clone();
        same_etag(etag, base.id, base.version)?;
        Ok(Self { facts, base, is_external })
    }

    /// Replaces everything that is granted directly by `after`, of which the caller asked for `wanted`.
    async fn regrant(
        self,
        unit: &mut Unit<'_>,
        roles: &[Role],
        wanted: &Grants,
        after: Grants,
    ) -> Result<Made<MemberView>, Refusal> {
        let policies = &unit.domicile.policies;
        let before = &self.base.grants;
        let regrant = Regrant { roles, before, after: &after, own: self.base.user == unit.person };
        check_governance(&regrant, is_qualifying_manager(policies, unit.actor, unit.now))?;
        if self.is_external {
            check_ceiling(policies, &self.facts, roles, wanted)?;
        }
        let changes = changes(before, &after, roles);
        let base = MembershipBase { grants: after, version: self.base.version.next(), ..self.base.clone() };
        unit.tx.memberships().grant(&base, self.base.version).await?;
        let event = EventBody::MembershipChanged {
            membership: base.id,
            user: base.user,
            paths: changes.iter().map(|change| change.path.trim_start_matches("membership.").to_owned()).collect(),
            roles_before: before.roles.iter().copied().collect(),
            roles_after: base.grants.roles.iter().copied().collect(),
        };
        unit.event(event).await?;
        let view = view(unit, base.user, base.id).await?.ok_or_else(|| Refusal::missing("user"))?;
        Ok(Made { subject: Some(base.user), ..Made::new(view, base.id, changes) })
    }
}

/// What is other than it was; a set that was replaced by itself changed nothing.
fn changes(before: &Grants, after: &Grants, roles: &[Role]) -> Vec<AuditChange> {
    let of_roles = ("membership.roles", handles(&before.roles, roles), handles(&after.roles, roles));
    let direct = ("membership.permissions", names(&before.permissions), names(&after.permissions));
    let changed = [of_roles, direct].into_iter().filter(|(_, before, after)| before != after);
    let change = |(path, before, after): (&str, String, String)| AuditChange {
        path: path.to_owned(),
        before: Some(before),
        after: Some(after),
    };
    changed.map(change).collect()
}

/// The member that an earlier answer told of.
async fn as_it_is(unit: &mut Unit<'_>, user: &str, membership: Uuid) -> Result<Option<MemberView>, Refusal> {
    match user.parse() {
        Ok(user) => view(unit, user, MembershipId::from_uuid(membership)).await,
        Err(_) => Ok(None),
    }
}

/// This life of a membership as a manager sees it.
async fn view(unit: &mut Unit<'_>, user: UserId, membership: MembershipId) -> Result<Option<MemberView>, Refusal> {
    let row = replayed_row(unit.tx, unit.workspace, user, membership).await?;
    Ok(row.map(|row| member_view(&unit.domicile.policies, row, Viewer::Manager, unit.now)))
}
