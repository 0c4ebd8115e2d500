//! Relationships of workspaces.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use domicile_domain::model::id::{RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::relationship::{HomeTerms, HostTerms, RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::workspace::Workspace;
use domicile_domain::port::directory::{RelationshipQuery, RelationshipRow};
use domicile_domain::port::store::{RelationshipRepository, StoreError};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, NullOrdering, Query, SelectStatement};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
};

use crate::convert::{At, Word, duration, id_list, maybe_id, maybe_uuid, micros, model, text_list, uuid};
use crate::entity::{relationship, role};
use crate::executor::Executor;
use crate::unit_of_work::Lent;
use crate::workspaces::ceiling;
use crate::{roles, workspaces};

/// The proposed or active relationship of a host and a home.
pub(crate) async fn live(
    exec: &mut dyn Executor,
    host: WorkspaceId,
    home: WorkspaceId,
) -> Result<Option<WorkspaceRelationship>, StoreError> {
    let live = [RelationshipState::Proposed.word(), RelationshipState::Active.word()];
    let statement = relationship::Entity::find()
        .filter(relationship::Column::HostId.eq(uuid(host)))
        .filter(relationship::Column::HomeId.eq(uuid(home)))
        .filter(relationship::Column::State.is_in(live));
    one(exec, statement).await
}

/// What a host and a home agreed last: the active relationship, which has not ended, else the one that ended last.
pub(crate) async fn agreed(
    exec: &mut dyn Executor,
    host: WorkspaceId,
    home: WorkspaceId,
) -> Result<Option<WorkspaceRelationship>, StoreError> {
    let agreed = [RelationshipState::Active.word(), RelationshipState::Ended.word()];
    let statement = relationship::Entity::find()
        .filter(relationship::Column::HostId.eq(uuid(host)))
        .filter(relationship::Column::HomeId.eq(uuid(home)))
        .filter(relationship::Column::AnsweredAt.is_not_null())
        .filter(relationship::Column::State.is_in(agreed))
        .order_by_with_nulls(relationship::Column::EndedAt, Order::Desc, NullOrdering::First)
        .order_by(relationship::Column::Id, Order::Desc)
        .limit(1);
    one(exec, statement).await
}

/// The homes with which what a host agreed last leaves its default ceiling no say: it is active, or ended while it was
/// suspended or forbidden by the home.
pub(crate) fn homes_beyond_the_default(host: WorkspaceId) -> SelectStatement {
    use relationship::Column::{
        AllowsHost, AnsweredAt, EndedAt, HomeId, HostId, Id, State, SuspendedByHome, SuspendedByHost,
    };

    let later = Alias::new("later");
    let own = |column: relationship::Column| Expr::col((relationship::Entity, column));
    let its = |column: relationship::Column| Expr::col((later.clone(), column));
    let agreed = [RelationshipState::Active.word(), RelationshipState::Ended.word()];
    let follows = Condition::any()
        .add(its(EndedAt).is_null())
        .add(its(EndedAt).gt(own(EndedAt)))
        .add(its(EndedAt).eq(own(EndedAt)).and(its(Id).gt(own(Id))));
    let followed = Query::select()
        .expr(Expr::val(1))
        .from_as(relationship::Entity, later.clone())
        .and_where(its(HostId).eq(own(HostId)))
        .and_where(its(HomeId).eq(own(HomeId)))
        .and_where(its(AnsweredAt).is_not_null())
        .and_where(its(State).is_in(agreed))
        .cond_where(follows)
        .take();
    let empty = Condition::any().add(SuspendedByHost.eq(true)).add(SuspendedByHome.eq(true)).add(AllowsHost.eq(false));
    let ended = Condition::all()
        .add(State.eq(RelationshipState::Ended.word()))
        .add(AnsweredAt.is_not_null())
        .add(empty)
        .add(Expr::exists(followed).not());
    relationship::Entity::find()
        .select_only()
        .column(HomeId)
        .filter(HostId.eq(uuid(host)))
        .filter(Condition::any().add(State.eq(RelationshipState::Active.word())).add(ended))
        .into_query()
}

/// The relationship with that id, in whatever state.
pub(crate) async fn by_id(
    exec: &mut dyn Executor,
    id: RelationshipId,
) -> Result<Option<WorkspaceRelationship>, StoreError> {
    one(exec, relationship::Entity::find_by_id(uuid(id))).await
}

async fn one(
    exec: &mut dyn Executor,
    which: Select<relationship::Entity>,
) -> Result<Option<WorkspaceRelationship>, StoreError> {
    let statement = which.build(exec.backend());
    let Some(row) = exec.one(statement).await? else { return Ok(None) };
    let read = model("relationships", &row).and_then(relationship_of);
    if read.is_err() {
        exec.poison();
    }
    read.map(Some)
}

/// One relationship with what a view of it is made of.
pub(crate) async fn row(exec: &mut dyn Executor, id: RelationshipId) -> Result<Option<RelationshipRow>, StoreError> {
    let found = by_id(exec, id).await?;
    Ok(put_together(exec, found.into_iter().collect()).await?.pop())
}

/// A page of relationships with what views of them are made of.
pub(crate) async fn rows(
    exec: &mut dyn Executor,
    query: &RelationshipQuery,
    after: RelationshipId,
    limit: u32,
) -> Result<Vec<RelationshipRow>, StoreError> {
    let workspace = uuid(query.workspace);
    let of_side = |side: Side| match side {
        Side::Host => relationship::Column::HostId.eq(workspace),
        Side::Home => relationship::Column::HomeId.eq(workspace),
    };
    let sides = Side::ALL.into_iter().filter(|side| query.side.is_none_or(|asked| asked == *side));
    let sides = sides.fold(Condition::any(), |any, side| any.add(of_side(side)));
    let mut statement = relationship::Entity::find().filter(sides).filter(relationship::Column::Id.gt(uuid(after)));
    if !query.states.is_empty() {
        let states = query.states.iter().fold(Condition::any(), |any, state| any.add(in_state(*state, query.lapsed)));
        statement = statement.filter(states);
    }
    let statement =
        statement.order_by(relationship::Column::Id, Order::Asc).limit(u64::from(limit)).build(exec.backend());
    let rows = exec.all(statement).await?;
    let found = rows.iter().map(|row| model("relationships", row).and_then(relationship_of));
    let found = found.collect::<Result<_, _>>()?;
    put_together(exec, found).await
}

/// A proposal that waited too long is in the state that it has by now.
fn in_state(state: RelationshipState, lapsed: Timestamp) -> Condition {
    let stored = |state: RelationshipState| relationship::Column::State.eq(state.word());
    let proposed = relationship::Column::ProposedAt;
    match state {
        RelationshipState::Proposed => Condition::all().add(stored(state)).add(proposed.gt(lapsed.as_micros())),
        RelationshipState::Lapsed => {
            let late = Condition::all().add(stored(RelationshipState::Proposed)).add(proposed.lte(lapsed.as_micros()));
            Condition::any().add(stored(state)).add(late)
        }
        RelationshipState::Active | RelationshipState::Declined | RelationshipState::Ended => {
            Condition::all().add(stored(state))
        }
    }
}

/// The same statements for one and for a page.
async fn put_together(
    exec: &mut dyn Executor,
    found: Vec<WorkspaceRelationship>,
) -> Result<Vec<RelationshipRow>, StoreError> {
    let named: BTreeSet<_> = found.iter().flat_map(|of| [uuid(of.host), uuid(of.home)]).collect();
    let known = workspaces::load(exec, &named.into_iter().collect::<Vec<_>>()).await?;
    let known: BTreeMap<WorkspaceId, Workspace> = known.into_iter().map(|found| (found.id, found)).collect();
    let in_ceilings: BTreeSet<_> =
        found.iter().flat_map(|of| &of.host_terms.ceiling.roles).map(|id| uuid(*id)).collect();
    let roles: Vec<Role> = roles::load(exec, Condition::all().add(role::Column::Id.is_in(in_ceilings))).await?;
    found
        .into_iter()
        .map(|relationship| {
            let at = At::new("relationships", relationship.id);
            let workspace = |column, id| known.get(&id).cloned().ok_or_else(|| at.corrupt(column, "no such workspace"));
            let ceiling = &relationship.host_terms.ceiling.roles;
            Ok(RelationshipRow {
                host: workspace("host_id", relationship.host)?,
                home: workspace("home_id", relationship.home)?,
                roles: roles.iter().filter(|role| ceiling.contains(&role.id)).cloned().collect(),
                relationship,
            })
        })
        .collect()
}

/// The live relationships of a host with every home, by home.
pub(crate) async fn of_host(
    exec: &mut dyn Executor,
    host: WorkspaceId,
) -> Result<Vec<WorkspaceRelationship>, StoreError> {
    let statement = live_of_host(host).build(exec.backend());
    let rows = exec.all(statement).await?;
    rows.iter().map(|row| model("relationships", row).and_then(relationship_of)).collect()
}

fn live_of_host(host: WorkspaceId) -> Select<relationship::Entity> {
    let live = [RelationshipState::Proposed.word(), RelationshipState::Active.word()];
    relationship::Entity::find()
        .filter(relationship::Column::HostId.eq(uuid(host)))
        .filter(relationship::Column::State.is_in(live))
        .order_by(relationship::Column::HomeId, Order::Asc)
}

fn relationship_of(row: relationship::Model) -> Result<WorkspaceRelationship, StoreError> {
    let at = At::new("relationships", row.id);
    Ok(WorkspaceRelationship {
        id: RelationshipId::from_uuid(row.id),
        host: WorkspaceId::from_uuid(row.host_id),
        home: WorkspaceId::from_uuid(row.home_id),
        state: at.word("state", &row.state)?,
        suspended_by_host: row.suspended_by_host,
        suspended_by_home: row.suspended_by_home,
        host_terms: HostTerms {
            ceiling: ceiling(&at, &row.ceiling_roles, &row.ceiling_permissions)?,
            directory_visibility: row
                .directory_visibility
                .map(|word| at.word("directory_visibility", &word))
                .transpose()?,
            longest_membership: row.longest_membership.map(duration),
            acceptance: row.host_acceptance,
        },
        home_terms: HomeTerms {
            disclosure: row.disclosure.map(|word| at.word("disclosure", &word)).transpose()?,
            allows_host: row.allows_host,
            acceptance: row.home_acceptance,
        },
        proposed_by_side: at.word("proposed_by_side", &row.proposed_by_side)?,
        proposed_by: UserId::from_uuid(row.proposed_by),
        proposed_at: Timestamp::from_micros(row.proposed_at),
        home_withheld: row.home_withheld,
        answered_by: maybe_id(row.answered_by),
        answered_at: row.answered_at.map(Timestamp::from_micros),
        ended_at: row.ended_at.map(Timestamp::from_micros),
        version: Version::from_stored(row.version),
    })
}

fn row_of(of: &WorkspaceRelationship) -> Result<relationship::Model, StoreError> {
    Ok(relationship::Model {
        id: uuid(of.id),
        host_id: uuid(of.host),
        home_id: uuid(of.home),
        state: of.state.word().to_owned(),
        suspended_by_host: of.suspended_by_host,
        suspended_by_home: of.suspended_by_home,
        ceiling_roles: id_list(&of.host_terms.ceiling.roles)?,
        ceiling_permissions: text_list(&of.host_terms.ceiling.permissions)?,
        directory_visibility: of.host_terms.directory_visibility.map(|v| v.word().to_owned()),
        longest_membership: of.host_terms.longest_membership.map(micros),
        host_acceptance: of.host_terms.acceptance,
        disclosure: of.home_terms.disclosure.map(|d| d.word().to_owned()),
        allows_host: of.home_terms.allows_host,
        home_acceptance: of.home_terms.acceptance,
        proposed_by_side: of.proposed_by_side.word().to_owned(),
        proposed_by: uuid(of.proposed_by),
        proposed_at: of.proposed_at.as_micros(),
        home_withheld: of.home_withheld,
        answered_by: maybe_uuid(of.answered_by),
        answered_at: of.answered_at.map(Timestamp::as_micros),
        ended_at: of.ended_at.map(Timestamp::as_micros),
        version: of.version.as_i64(),
    })
}

#[async_trait]
impl RelationshipRepository for Lent<'_> {
    async fn find(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
    ) -> Result<Option<WorkspaceRelationship>, StoreError> {
        live(self.exec, host, home).await
    }

    async fn by_id(&mut self, id: RelationshipId) -> Result<Option<WorkspaceRelationship>, StoreError> {
        by_id(self.exec, id).await
    }

    async fn agreed(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
    ) -> Result<Option<WorkspaceRelationship>, StoreError> {
        agreed(self.exec, host, home).await
    }

    async fn admitting(&mut self, role: &Role) -> Result<Vec<WorkspaceRelationship>, StoreError> {
        // A list of ids is one text, in which the text of an id is found.
        let naming = relationship::Column::CeilingRoles.contains(role.id.to_string());
        let statement = live_of_host(role.workspace).filter(naming).build(self.exec.backend());
        let rows = self.exec.all(statement).await?;
        self.checked(rows.iter().map(|row| model("relationships", row).and_then(relationship_of)).collect())
    }

    async fn insert(&mut self, relationship: &WorkspaceRelationship) -> Result<(), StoreError> {
        let row = row_of(relationship)?;
        self.insert_row::<relationship::Entity>(row.into_active_model()).await
    }

    async fn update(&mut self, relationship: &WorkspaceRelationship, read_at: Version) -> Result<(), StoreError> {
        let row = row_of(relationship)?.into_active_model().reset_all();
        let statement = relationship::Entity::update_many()
            .set(row)
            .filter(relationship::Column::Id.eq(uuid(relationship.id)))
            .filter(relationship::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }
}
