//! Reads of groups, for managers, and of the workspaces that a person belongs to.

use super::api::{Call, Consistency, MemberState, MemberView, Page, PageRequest, WorkspaceEntry};
use super::read::{cut, page_size};
use super::record::Deed;
use super::service::{Domicile, acting_user};
use super::token::{PageToken, ensure_fresh, freshness};
use super::view::{Viewer, member_view};
use crate::error::{Reason, Refusal, Violation};
use crate::model::audit::AuditAction;
use crate::model::group::{GroupRef, GroupSize};
use crate::model::id::{GroupId, UserId, WorkspaceId};
use crate::model::membership::MembershipKind;
use crate::model::user::UserState;
use crate::model::workspace::Workspace;
use crate::port::directory::BelongingRow;

impl Domicile {
    pub(super) async fn read_group(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        fresh: &Consistency,
    ) -> Result<GroupSize, Refusal> {
        let read = self.group_here(call, workspace, group, fresh).await.map(|(_, group)| group);
        self.audited(call, AuditAction::GetGroup, workspace, read).await
    }

    async fn group_here(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        fresh: &Consistency,
    ) -> Result<(WorkspaceId, GroupSize), Refusal> {
        let seen = self.manager(call, workspace, fresh).await?;
        let id = seen.facts.workspace.id;
        let named: GroupRef = group.parse().map_err(|error| Refusal::invalid(vec![Violation::new("group", error)]))?;
        let found = self.ports.directory.group(id, &named).await?;
        let found = found.ok_or_else(|| Refusal::missing("group"))?;
        Ok((id, found))
    }

    pub(super) async fn read_groups(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<GroupSize>, Refusal> {
        let read = self.groups_page(call, workspace, page, fresh).await;
        self.audited(call, AuditAction::ListGroups, workspace, read).await
    }

    async fn groups_page(
        &self,
        call: &Call,
        workspace: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<GroupSize>, Refusal> {
        let seen = self.manager(call, workspace, fresh).await?;
        let id = seen.facts.workspace.id;
        let token = PageToken { method: "list_groups", workspace: id, call };
        let size = page_size(page)?;
        let after = token.open(&*self.ports.sealer, &page.token, GroupId::nil())?;
        let rows = self.ports.directory.groups(id, after, size + 1).await?;
        let (items, last) = cut(rows, size, |row| row.group.id);
        Ok(Page { items, next_token: self.next(&token, last)? })
    }

    pub(super) async fn read_group_members(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal> {
        let read = self.group_members_page(call, workspace, group, page, fresh).await;
        self.audited(call, AuditAction::ListGroupMembers, workspace, read).await
    }

    async fn group_members_page(
        &self,
        call: &Call,
        workspace: &str,
        group: &str,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<MemberView>, Refusal> {
        let (id, found) = self.group_here(call, workspace, group, fresh).await?;
        let method = format!("list_group_members/{}", found.group.id);
        let token = PageToken { method: &method, workspace: id, call };
        let size = page_size(page)?;
        let after = token.open(&*self.ports.sealer, &page.token, UserId::nil())?;
        let rows = self.ports.directory.group_members(id, found.group.id, after, size + 1).await?;
        let (rows, last) = cut(rows, size, |row| row.user.id);
        let now = self.now();
        Ok(Page {
            items: rows.into_iter().map(|row| member_view(&self.policies, row, Viewer::Manager, now)).collect(),
            next_token: self.next(&token, last)?,
        })
    }

    pub(super) async fn read_policy(
        &self,
        call: &Call,
        workspace: &str,
        fresh: &Consistency,
    ) -> Result<Workspace, Refusal> {
        let read = self.manager(call, workspace, fresh).await.map(|seen| seen.facts.workspace.as_ref().clone());
        self.audited(call, AuditAction::GetWorkspacePolicy, workspace, read).await
    }

    pub(super) async fn read_workspaces(
        &self,
        call: &Call,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<WorkspaceEntry>, Refusal> {
        let read = self.workspaces_page(call, page, fresh).await;
        let found = self.audited(call, AuditAction::ListWorkspaces, "", read).await?;
        if call.actor.service.operator {
            let deed = Deed { call, action: AuditAction::ListWorkspaces, workspace: "", request_id: None };
            self.record_alone(&deed, "done", Vec::new()).await?;
        }
        Ok(found)
    }

    async fn workspaces_page(
        &self,
        call: &Call,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<WorkspaceEntry>, Refusal> {
        let whose = self.whose_workspaces(call).await?;
        let fresh = freshness(&*self.ports.sealer, fresh)?;
        let token = PageToken { method: "list_workspaces", workspace: WorkspaceId::nil(), call };
        let size = page_size(page)?;
        let after = token.open(&*self.ports.sealer, &page.token, WorkspaceId::nil())?;
        let entries = match whose {
            None => {
                let all = self.ports.directory.workspaces(after, size + 1).await?;
                all.into_iter().map(|workspace| WorkspaceEntry { workspace, member: None }).collect()
            }
            Some((person, account)) => {
                let own = self.ports.directory.workspaces_of(person, after, size + 1).await?;
                own.into_iter().map(|row| self.belonging(row, account)).collect::<Vec<_>>()
            }
        };
        let (mut items, last) = cut(entries, size, |entry| entry.workspace.id);
        for entry in &items {
            ensure_fresh(&fresh, &entry.workspace)?;
        }
        // A grant to name people shows what lies within it alone, so a page may hold fewer than were asked for.
        items.retain(|entry| call.actor.reaches(Some(&entry.workspace)));
        Ok(Page { items, next_token: self.next(&token, last)? })
    }

    /// The person whose workspaces are listed, with the account's state; absent for the operator, who sees all.
    async fn whose_workspaces(&self, call: &Call) -> Result<Option<(UserId, UserState)>, Refusal> {
        if call.actor.service.operator {
            let nobody_named = call.actor.reaches(None);
            return if nobody_named { Ok(None) } else { Err(Refusal::new(Reason::PermissionDenied)) };
        }
        let person = acting_user(call)?;
        let account = self.ports.directory.user(person).await?.map(|user| user.state);
        let account = account.filter(|state| *state == UserState::Active);
        account.map(|state| Some((person, state))).ok_or_else(|| Refusal::new(Reason::PermissionDenied))
    }

    fn belonging(&self, row: BelongingRow, account: UserState) -> WorkspaceEntry {
        let member = match row.external {
            None => (MembershipKind::Internal, account.into()),
            Some(standing) if standing.is_over(self.now()).is_some() => (MembershipKind::External, MemberState::Over),
            Some(standing) => (MembershipKind::External, standing.state.into()),
        };
        WorkspaceEntry { workspace: row.workspace, member: Some(member) }
    }
}
