//! Relationships of workspaces.

use async_trait::async_trait;
use domicile_domain::model::id::{RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::relationship::{HomeTerms, HostTerms, RelationshipState, WorkspaceRelationship};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::port::store::{RelationshipRepository, StoreError};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryTrait};

use crate::convert::{At, Word, duration, id_list, maybe_id, maybe_uuid, micros, model, text_list, uuid};
use crate::entity::relationship;
use crate::executor::Executor;
use crate::unit_of_work::Lent;
use crate::workspaces::ceiling;

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
        .filter(relationship::Column::State.is_in(live))
        .build(exec.backend());
    let Some(row) = exec.one(statement).await? else { return Ok(None) };
    let read = model("relationships", &row).and_then(relationship_of);
    if read.is_err() {
        exec.poison();
    }
    read.map(Some)
}

/// The live relationships of a host with every home, for lists.
pub(crate) async fn of_host(
    exec: &mut dyn Executor,
    host: WorkspaceId,
) -> Result<Vec<WorkspaceRelationship>, StoreError> {
    let live = [RelationshipState::Proposed.word(), RelationshipState::Active.word()];
    let statement = relationship::Entity::find()
        .filter(relationship::Column::HostId.eq(uuid(host)))
        .filter(relationship::Column::State.is_in(live))
        .build(exec.backend());
    let rows = exec.all(statement).await?;
    rows.iter().map(|row| model("relationships", row).and_then(relationship_of)).collect()
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
