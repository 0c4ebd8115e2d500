//! Reads of relationships, and what a side sees of one.

use super::api::{
    Call, Consistency, HostTermsView, Page, PageRequest, RelationshipFilter, RelationshipView, RoleLabel,
    WorkspaceLabel,
};
use super::authority::is_qualifying_manager;
use super::read::{Seen, cut, page_size};
use super::relationship_terms::chosen;
use super::service::Domicile;
use super::token::{PageToken, ensure_fresh, freshness};
use crate::error::{Refusal, Violation};
use crate::model::audit::AuditAction;
use crate::model::id::{RelationshipId, WorkspaceId};
use crate::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use crate::model::role::Role;
use crate::model::time::Timestamp;
use crate::model::workspace::Workspace;
use crate::port::directory::{RelationshipQuery, RelationshipRow};

/// What a side sees: all terms that were said, and of the other side's people nothing.
pub(super) fn relationship_view(row: RelationshipRow, own_side: Side, now: Timestamp) -> RelationshipView {
    let RelationshipRow { relationship, host, home, roles } = row;
    let state = relationship.state_at(now);
    let has = |side| relationship.has_terms_of(side);
    let waits = state == RelationshipState::Proposed;
    RelationshipView {
        id: relationship.id,
        own_side,
        state,
        host: label(host),
        home: relationship.shows_other_to(own_side).then(|| label(home)),
        suspended_by_host: relationship.suspended_by_host,
        suspended_by_home: relationship.suspended_by_home,
        host_terms: has(Side::Host).then(|| HostTermsView {
            terms: relationship.host_terms.clone(),
            roles: roles.into_iter().map(role_label).collect(),
        }),
        home_terms: has(Side::Home).then(|| relationship.home_terms.clone()),
        proposed_by_side: relationship.proposed_by_side,
        proposed_by: (own_side == relationship.proposed_by_side).then_some(relationship.proposed_by),
        proposed_at: relationship.proposed_at,
        lapses_at: waits.then(|| relationship.proposed_at.after(WorkspaceRelationship::PROPOSED_FOR)),
        answered_by: relationship.answered_by.filter(|_| own_side != relationship.proposed_by_side),
        answered_at: relationship.answered_at,
        ended_at: relationship.ended_at,
        version: relationship.version,
    }
}

fn label(workspace: Workspace) -> WorkspaceLabel {
    WorkspaceLabel { id: workspace.id, handle: workspace.handle, display_name: workspace.display_name }
}

fn role_label(role: Role) -> RoleLabel {
    RoleLabel { id: role.id, handle: role.handle, display_name: role.display_name }
}

/// The text of a page token's list: tokens of another filter are of another list.
fn list_name(side: Option<Side>, states: &[RelationshipState]) -> String {
    format!("list_relationships {side:?} {states:?}")
}

/// Reads a filter; every state once and in one order, so that one filter has one name.
fn filter(filter: &RelationshipFilter) -> Result<(Option<Side>, Vec<RelationshipState>), Refusal> {
    let mut wrong = Vec::new();
    let mend = "choose HOST or HOME, or leave it out for both";
    let side = chosen(filter.side, "side", mend, &mut wrong);
    if filter.states.contains(&None) {
        wrong.push(Violation::new("states", "choose among PROPOSED, ACTIVE, DECLINED, LAPSED and ENDED"));
    }
    let states = RelationshipState::ALL.into_iter().filter(|state| filter.states.contains(&Some(*state))).collect();
    if wrong.is_empty() { Ok((side, states)) } else { Err(Refusal::invalid(wrong)) }
}

impl Domicile {
    async fn relationship_reader(&self, call: &Call, workspace: &str, fresh: &Consistency) -> Result<Seen, Refusal> {
        let now = self.now();
        self.seen(call, workspace, fresh, |seen| is_qualifying_manager(&self.policies, &seen.facts, now)).await
    }

    pub(super) async fn read_relationship(
        &self,
        call: &Call,
        workspace: &str,
        relationship: &str,
        fresh: &Consistency,
    ) -> Result<RelationshipView, Refusal> {
        let read = self.relationship_for(call, workspace, relationship, fresh).await;
        self.audited(call, AuditAction::GetRelationship, workspace, read).await
    }

    async fn relationship_for(
        &self,
        call: &Call,
        workspace: &str,
        relationship: &str,
        fresh: &Consistency,
    ) -> Result<RelationshipView, Refusal> {
        let seen = self.relationship_reader(call, workspace, fresh).await?;
        let id = relationship.parse::<RelationshipId>();
        let id = id.map_err(|error| Refusal::invalid(vec![Violation::new("relationship", error)]))?;
        let row = self.ports.directory.relationship(id).await?;
        let own = seen.facts.workspace.id;
        let row = row.filter(|row| row.relationship.side_of(own).is_some());
        self.ensure_rows_fresh(fresh, row.as_slice())?;
        let view = row.and_then(|row| self.seen_from(own, row));
        view.ok_or_else(|| Refusal::missing("relationship"))
    }

    /// What is shown of a relationship is of both sides: of a role of the ceiling its name, which the host alone changes.
    fn ensure_rows_fresh(&self, fresh: &Consistency, rows: &[RelationshipRow]) -> Result<(), Refusal> {
        let fresh = freshness(&*self.ports.sealer, fresh)?;
        let mut sides = rows.iter().flat_map(|row| [&row.host, &row.home]);
        sides.try_for_each(|side| ensure_fresh(&fresh, side))
    }

    /// A relationship of others looks like none.
    fn seen_from(&self, workspace: WorkspaceId, row: RelationshipRow) -> Option<RelationshipView> {
        row.relationship.side_of(workspace).map(|side| relationship_view(row, side, self.now()))
    }

    pub(super) async fn read_relationships(
        &self,
        call: &Call,
        workspace: &str,
        filter: &RelationshipFilter,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<RelationshipView>, Refusal> {
        let read = self.relationships_page(call, workspace, filter, page, fresh).await;
        self.audited(call, AuditAction::ListRelationships, workspace, read).await
    }

    async fn relationships_page(
        &self,
        call: &Call,
        workspace: &str,
        asked: &RelationshipFilter,
        page: &PageRequest,
        fresh: &Consistency,
    ) -> Result<Page<RelationshipView>, Refusal> {
        let seen = self.relationship_reader(call, workspace, fresh).await?;
        let id = seen.facts.workspace.id;
        let (side, states) = filter(asked)?;
        let method = list_name(side, &states);
        let token = PageToken { method: &method, workspace: id, call };
        let most = page_size(page)?;
        let after = token.open(&*self.ports.sealer, &page.token, RelationshipId::nil())?;
        let lapsed = WorkspaceRelationship::lapsed_if_proposed_by(self.now());
        let query = RelationshipQuery { workspace: id, side, states, lapsed };
        let rows = self.ports.directory.relationships(&query, after, most + 1).await?;
        self.ensure_rows_fresh(fresh, &rows)?;
        let (rows, last) = cut(rows, most, |row| row.relationship.id);
        Ok(Page {
            items: rows.into_iter().filter_map(|row| self.seen_from(id, row)).collect(),
            next_token: self.next(&token, last)?,
        })
    }
}
