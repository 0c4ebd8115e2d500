//! Reads: users, workspaces, memberships, roles and notices, each as its viewer may see it.

use super::api::{Account, Call, Consistency, MemberView, NoticeView, Page, PageRequest, UserView};
use super::authority::{Right, holds};
use super::check_access::may_check;
use super::record::Deed;
use super::service::{Domicile, acting_user, workspace_ref};
use super::token::{PageToken, ensure_fresh, freshness};
use super::view::{Viewer, member_view};
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::ServiceScope;
use crate::model::audit::AuditAction;
use crate::model::facts::AccessFacts;
use crate::model::id::{Id, NoticeId, ParseIdError, RoleId, UserId, WorkspaceId};
use crate::model::membership::{ExternalState, Membership};
use crate::model::notice::Notice;
use crate::model::role::{Role, RoleRef};
use crate::model::time::Timestamp;
use crate::model::user::UserState;
use crate::model::workspace::{Workspace, WorkspaceState};
use crate::policy::Policies;
use crate::port::directory::{MemberRow, NoticeRow};
use uuid::Uuid;

/// Where a read takes place, and what the acting person is there.
pub(super) struct Seen {
    pub(super) facts: AccessFacts,
    user: UserId,
    is_manager: bool,
    /// Whether the membership is in use.
    is_member: bool,
    /// Whether there is a membership, in whatever state: who was asked must be able to see for what.
    may_see_themself: bool,
}

impl Seen {
    fn by(policies: &Policies, facts: AccessFacts, user: UserId, now: Timestamp) -> Self {
        let is_manager = holds(policies, &facts, Right::Update, now);
        let may_see_themself = is_usable_here(&facts) && facts.membership.is_some();
        let is_member = may_see_themself && is_in_use(facts.membership.as_ref(), now);
        Self { facts, user, is_manager, is_member, may_see_themself }
    }
}

impl Domicile {
    /// Reads what the acting person is in the workspace. Whoever `may` not learns nothing, whether or not it exists and
    /// whatever else is wrong with the request.
    pub(super) async fn seen(
        &self,
        call: &Call,
        workspace: &str,
        fresh: &Consistency,
        may: impl FnOnce(&Seen) -> bool + Send,
    ) -> Result<Seen, Refusal> {
        let user = acting_user(call)?;
        let found = self.ports.directory.workspace(&workspace_ref(workspace)?).await?;
        let id = found.map_or(WorkspaceId::nil(), |w| w.id);
        let facts = self.ports.directory.access_facts(id, user).await?;
        let facts = facts.filter(|facts| call.actor.reaches(Some(&facts.workspace)));
        let seen = facts.map(|facts| Seen::by(&self.policies, facts, user, self.now())).filter(may);
        let seen = seen.ok_or_else(|| Refusal::new(Reason::PermissionDenied))?;
        ensure_fresh(&freshness(&*self.ports.sealer, fresh)?, &seen.facts.workspace)?;
        Ok(seen)
    }

    pub(super) async fn audited<T>(
        &self,
        call: &Call,
        action: AuditAction,
        workspace: &str,
        read: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match read {
            Ok(value) => Ok(value),
            Err(refusal) => self.refuse(&Deed { call, action, workspace, request_id: None }, refusal).await,
        }
    }

    pub(super) async fn read_user(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<UserView, Refusal> {
        let read = self.user_view(call, workspace, user, fresh).await;
        self.audited(call, AuditAction::GetUser, workspace, read).await
    }

    async fn user_view(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<UserView, Refusal> {
        let (seen, row) = self.member_row(call, workspace, user, fresh).await?;
        let themself = row.user.id == seen.user;
        if themself || row.user.home == seen.facts.workspace.id {
            let identities = self.ports.directory.identities(row.user.id).await?;
            return Ok(UserView::Whole(Account { user: row.user, identities }));
        }
        Ok(UserView::Member(member_view(&self.policies, row, Viewer::Manager, self.now())))
    }

    pub(super) async fn read_membership(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<MemberView, Refusal> {
        let read = self.membership_for(call, workspace, user, fresh).await;
        self.audited(call, AuditAction::GetMembership, workspace, read).await
    }

    async fn membership_for(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<MemberView, Refusal> {
        let (viewer, row) = if call.actor.user.is_some() {
            let (seen, row) = self.member_row(call, workspace, user, fresh).await?;
            (if seen.is_manager { Viewer::Manager } else { Viewer::Themself }, row)
        } else {
            let place = self.read_by_service(call, workspace, fresh).await?;
            (Viewer::Manager, self.row_of(place, user.parse()).await?)
        };
        Ok(member_view(&self.policies, row, viewer, self.now()))
    }

    /// The workspace whose members a service reads without an acting person.
    async fn read_by_service(&self, call: &Call, workspace: &str, fresh: &Consistency) -> Result<WorkspaceId, Refusal> {
        let found = self.ports.directory.workspace(&workspace_ref(workspace)?).await?;
        if !may_check(call, found.as_ref(), &ServiceScope::MembersRead) {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        let found = found.ok_or_else(|| Refusal::missing("workspace"))?;
        ensure_fresh(&freshness(&*self.ports.sealer, fresh)?, &found)?;
        Ok(found.id)
    }

    async fn row_of(&self, place: WorkspaceId, user: Result<UserId, ParseIdError>) -> Result<MemberRow, Refusal> {
        let id = user.map_err(|error| Refusal::invalid(vec![Violation::new("user", error)]))?;
        self.ports.directory.member(place, id).await?.ok_or_else(|| Refusal::missing("user"))
    }

    /// One member, for a manager or for the person: whoever asks from outside learns nothing, not even of themself.
    async fn member_row(
        &self,
        call: &Call,
        workspace: &str,
        user: &str,
        fresh: &Consistency,
    ) -> Result<(Seen, MemberRow), Refusal> {
        let id = user.parse::<UserId>();
        let may =
            |seen: &Seen| seen.is_manager || seen.may_see_themself && id.as_ref().is_ok_and(|id| *id == seen.user);
        let seen = self.seen(call, workspace, fresh, may).await?;
        let row = self.row_of(seen.facts.workspace.id, id).await?;
        Ok((seen, row))
    }

    pub(super) async fn read_workspace(
        &self,
        call: &Call,
        workspace: &str,
        fresh: &Consistency,
    ) -> Result<Workspace, Refusal> {
        let read = self.workspace_for(call, workspace, fresh).await;
        let found = self.audited(call, AuditAction::GetWorkspace, workspace, read).await?;
        if call.actor.service.operator {
            // The operator belongs to no workspace: each sees in its own record that it was looked at.
            let deed = Deed { call, action: AuditAction::GetWorkspace, workspace, request_id: None };
            self.record_alone(&deed, "done", Vec::new()).await?;
        }
        Ok(found)
    }

    async fn workspace_for(&self, call: &Call, workspace: &str, fresh: &Consistency) -> Result<Workspace, Refusal> {
        if call.actor.service.operator {
            let named = workspace_ref(workspace)?;
            let fresh = freshness(&*self.ports.sealer, fresh)?;
            let found = self.ports.directory.workspace(&named).await?;
            if !call.actor.reaches(found.as_ref()) {
                return Err(Refusal::new(Reason::PermissionDenied));
            }
            let found = found.ok_or_else(|| Refusal::new(Reason::NotFound))?;
            ensure_fresh(&fresh, &found)?;
            return Ok(found);
        }
        Ok(self.seen(call, workspace, fresh, |seen| seen.is_member).await?.facts.workspace.as_ref().clone())
    }

    pub(super) async fn read_members(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal> {
        let read = self.members_page(call, workspace, page, fresh).await;
        self.audited(call, AuditAction::ListMemberships, workspace, read).await
    }

    async fn members_page(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal> {
        let id = if call.actor.user.is_some() {
            self.manager(call, workspace, fresh).await?.facts.workspace.id
        } else {
            self.read_by_service(call, workspace, fresh).await?
        };
        let token = PageToken { method: "list_memberships", workspace: id, call };
        let size = page_size(page)?;
        let after = token.open(&*self.ports.sealer, &page.token, UserId::nil())?;
        let rows = self.ports.directory.members(id, after, size + 1).await?;
        let now = self.now();
        let (rows, last) = cut(rows, size, |row| row.user.id);
        Ok(Page {
            items: rows.into_iter().map(|row| member_view(&self.policies, row, Viewer::Manager, now)).collect(),
            next_token: self.next(&token, last)?,
        })
    }

    pub(super) async fn read_roles(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<Role>, Refusal> {
        let read = self.roles_page(call, workspace, page, fresh).await;
        self.audited(call, AuditAction::ListRoles, workspace, read).await
    }

    async fn roles_page(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<Role>, Refusal> {
        let id = self.member_of(call, workspace, fresh).await?;
        let token = PageToken { method: "list_roles", workspace: id, call };
        let size = page_size(page)?;
        let after = token.open(&*self.ports.sealer, &page.token, RoleId::nil())?;
        let mut roles = self.ports.directory.roles(id).await?;
        // A workspace has few roles; the page is cut from the whole set, which the store orders by handle.
        if let Some(place) = roles.iter().position(|role| role.id == after) {
            roles.drain(..=place);
        }
        let (items, last) = cut(roles, size, |role| role.id);
        Ok(Page { items, next_token: self.next(&token, last)? })
    }

    pub(super) async fn read_role(
        &self,
        call: &Call,
        workspace: &str,
        role: &str,
        fresh: &Consistency,
    ) -> Result<Role, Refusal> {
        let read = self.role_for(call, workspace, role, fresh).await;
        self.audited(call, AuditAction::GetRole, workspace, read).await
    }

    async fn role_for(&self, call: &Call, workspace: &str, role: &str, fresh: &Consistency) -> Result<Role, Refusal> {
        let workspace = self.member_of(call, workspace, fresh).await?;
        let named: RoleRef = role.parse().map_err(|error| Refusal::invalid(vec![Violation::new("role", error)]))?;
        let roles = self.ports.directory.roles(workspace).await?;
        named.of(&roles).cloned().ok_or_else(|| Refusal::missing("role"))
    }

    pub(super) async fn read_notice(
        &self,
        call: &Call,
        workspace: &str,
        notice: &str,
        fresh: &Consistency,
    ) -> Result<NoticeView, Refusal> {
        let read = self.notice_for(call, workspace, notice, fresh).await;
        self.audited(call, AuditAction::GetNotification, workspace, read).await
    }

    async fn notice_for(
        &self,
        call: &Call,
        workspace: &str,
        notice: &str,
        fresh: &Consistency,
    ) -> Result<NoticeView, Refusal> {
        // Read first, so that a refusal costs the same whether or not the workspace exists.
        let id = notice.parse::<NoticeId>();
        let row = self.ports.directory.notice(id.clone().unwrap_or(NoticeId::nil())).await?;
        let of_here = |seen: &Seen, notice: &Notice| {
            let here = seen.facts.workspace.id;
            notice.workspace == here || notice.home == here
        };
        let may = |seen: &Seen| {
            let own = |row: &NoticeRow| row.notice.user == seen.user && of_here(seen, &row.notice);
            seen.is_manager || seen.may_see_themself && row.as_ref().is_some_and(own)
        };
        let seen = self.seen(call, workspace, fresh, may).await?;
        id.map_err(|error| Refusal::invalid(vec![Violation::new("notification", error)]))?;
        row.filter(|row| of_here(&seen, &row.notice))
            .map(|row| notice_view(row, &seen))
            .ok_or_else(|| Refusal::missing("notification"))
    }

    pub(super) async fn read_notices(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<NoticeView>, Refusal> {
        let read = self.notices_page(call, workspace, page, fresh).await;
        self.audited(call, AuditAction::ListNotifications, workspace, read).await
    }

    async fn notices_page(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<NoticeView>, Refusal> {
        let seen = self.manager(call, workspace, fresh).await?;
        let id = seen.facts.workspace.id;
        let token = PageToken { method: "list_notifications", workspace: id, call };
        let size = page_size(page)?;
        let before = token.open(&*self.ports.sealer, &page.token, NoticeId::from_uuid(Uuid::max()))?;
        let rows = self.ports.directory.notices(id, before, size + 1).await?;
        let (rows, last) = cut(rows, size, |row| row.notice.id);
        Ok(Page {
            items: rows.into_iter().map(|row| notice_view(row, &seen)).collect(),
            next_token: self.next(&token, last)?,
        })
    }

    /// The workspace, to any of its members.
    pub(super) async fn member_of(
        &self,
        call: &Call,
        workspace: &str,
        fresh: &Consistency,
    ) -> Result<WorkspaceId, Refusal> {
        Ok(self.seen(call, workspace, fresh, |seen| seen.is_member).await?.facts.workspace.id)
    }

    pub(super) async fn manager(&self, call: &Call, workspace: &str, fresh: &Consistency) -> Result<Seen, Refusal> {
        self.seen(call, workspace, fresh, |seen| seen.is_manager).await
    }

    pub(super) fn next<K>(&self, token: &PageToken<'_>, last: Option<Id<K>>) -> Result<String, Refusal> {
        last.map_or_else(|| Ok(String::new()), |last| token.seal(&*self.ports.sealer, last))
    }
}

/// Whether account, home and workspace are in use, so that the person can be somebody here.
pub(super) fn is_usable_here(facts: &AccessFacts) -> bool {
    let account =
        facts.account.as_ref().is_some_and(|a| a.state == UserState::Active && a.home_state == WorkspaceState::Active);
    account && facts.workspace.state == WorkspaceState::Active
}

/// Whether a membership is in use; a person who has not accepted yet is no member.
fn is_in_use(membership: Option<&Membership>, now: Timestamp) -> bool {
    match membership {
        Some(Membership::Internal(_)) => true,
        Some(Membership::External(e)) => e.state == ExternalState::Active && e.is_over(now).is_none(),
        None => false,
    }
}

/// The home and the person see the text; the home sees the attempts; a host sees state and time (T6).
fn notice_view(row: NoticeRow, seen: &Seen) -> NoticeView {
    let from_home = seen.is_manager && row.notice.home == seen.facts.workspace.id;
    let own = row.notice.user == seen.user;
    NoticeView {
        message: row.message.filter(|_| from_home || own),
        attempts: from_home.then_some(row.attempts),
        notice: row.notice,
    }
}

/// 0 is 50; at most 1000.
pub(super) fn page_size(page: &PageRequest) -> Result<u32, Refusal> {
    match u32::try_from(page.size) {
        Ok(0) => Ok(50),
        Ok(size) => Ok(size.min(1000)),
        Err(_) => {
            Err(Refusal::invalid(vec![Violation::new("page_size", "give 0 for the default, or a number up to 1000")]))
        }
    }
}

/// Cuts a list that was read one row too far, and tells the last row's key if more follow.
pub(super) fn cut<T, K>(mut rows: Vec<T>, size: u32, key: impl Fn(&T) -> K) -> (Vec<T>, Option<K>) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let last = if more { rows.last().map(key) } else { None };
    (rows, last)
}
