//! Workspaces and their verified domains.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{ExternalStanding, MembershipKind};
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::phone::Region;
use domicile_domain::model::relationship::Ceiling;
use domicile_domain::model::time::{Revision, Timestamp, Version};
use domicile_domain::model::workspace::{Workspace, WorkspaceLinks, WorkspaceNotices, WorkspacePolicy, WorkspaceRef};
use domicile_domain::port::directory::BelongingRow;
use domicile_domain::port::store::{StoreError, WorkspaceRepository};
use sea_orm::sea_query::{Expr, ExprTrait, IntoCondition, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use uuid::Uuid;

use crate::convert::{At, Word, domains, email, id_list, model, text_list, uuid};
use crate::entity::{membership, workspace, workspace_domain};
use crate::executor::Executor;
use crate::unit_of_work::Lent;

const TABLE: &str = "workspaces";

fn named(reference: &WorkspaceRef) -> SimpleExpr {
    match reference {
        WorkspaceRef::Id(id) => workspace::Column::Id.eq(uuid(*id)),
        WorkspaceRef::Handle(handle) => workspace::Column::Handle.eq(handle.as_str()),
    }
}

/// Reads the workspace and its domains with one statement: a row for each domain, or one without.
pub(crate) async fn find(exec: &mut dyn Executor, reference: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
    Ok(read(exec, named(reference)).await?.pop())
}

/// The workspaces with these ids, in no order.
pub(crate) async fn load(exec: &mut dyn Executor, ids: &[Uuid]) -> Result<Vec<Workspace>, StoreError> {
    read(exec, workspace::Column::Id.is_in(ids.iter().copied())).await
}

async fn read(exec: &mut dyn Executor, which: impl IntoCondition) -> Result<Vec<Workspace>, StoreError> {
    let statement = workspace::Entity::find()
        .column_as(Expr::col((workspace_domain::Entity, workspace_domain::Column::Domain)), "verified_domain")
        .join(
            sea_orm::JoinType::LeftJoin,
            workspace::Entity::belongs_to(workspace_domain::Entity)
                .from(workspace::Column::Id)
                .to(workspace_domain::Column::WorkspaceId)
                .into(),
        )
        .filter(which)
        .build(exec.backend());
    let rows = exec.all(statement).await?;
    let mut found: BTreeMap<Uuid, (workspace::Model, Vec<String>)> = BTreeMap::new();
    for row in &rows {
        let of: workspace::Model = model(TABLE, row)?;
        let domain: Option<String> =
            row.try_get("", "verified_domain").map_err(|e| At::new("workspace_domains", "?").corrupt("domain", e))?;
        found.entry(of.id).or_insert_with(|| (of, Vec::new())).1.extend(domain);
    }
    let found = found.into_values().map(|(row, verified)| workspace_of(row, &verified)).collect();
    if matches!(found, Err(StoreError::Corrupt { .. })) {
        exec.poison();
    }
    found
}

/// Workspaces above an id, in order of it. Two statements whatever there is.
pub(crate) async fn above(
    exec: &mut dyn Executor,
    after: WorkspaceId,
    limit: u32,
) -> Result<Vec<Workspace>, StoreError> {
    let statement = in_order(workspace::Entity::find(), after, limit).build(exec.backend());
    let rows = exec.all(statement).await?;
    let rows = rows.iter().map(|row| model(TABLE, row)).collect::<Result<_, _>>()?;
    with_domains(exec, rows).await
}

/// Those in which a person has a live membership. Two statements whatever there is.
pub(crate) async fn of_user(
    exec: &mut dyn Executor,
    user: UserId,
    after: WorkspaceId,
    limit: u32,
) -> Result<Vec<BelongingRow>, StoreError> {
    let query = workspace::Entity::find()
        .column_as(membership::Column::Kind, "member_kind")
        .column_as(membership::Column::State, "member_state")
        .column_as(membership::Column::AssignedAt, "member_assigned_at")
        .column_as(membership::Column::ExpiresAt, "member_expires_at")
        .join(
            sea_orm::JoinType::InnerJoin,
            workspace::Entity::belongs_to(membership::Entity)
                .from(workspace::Column::Id)
                .to(membership::Column::WorkspaceId)
                .into(),
        )
        .filter(membership::Column::UserId.eq(uuid(user)));
    let rows = exec.all(in_order(query, after, limit).build(exec.backend())).await?;
    let standings: Vec<Option<ExternalStanding>> = rows.iter().map(standing_of).collect::<Result<_, _>>()?;
    let rows = rows.iter().map(|row| model(TABLE, row)).collect::<Result<_, _>>()?;
    let workspaces = with_domains(exec, rows).await?;
    let belonging = workspaces.into_iter().zip(standings);
    Ok(belonging.map(|(workspace, external)| BelongingRow { workspace, external }).collect())
}

fn in_order(
    query: sea_orm::Select<workspace::Entity>,
    after: WorkspaceId,
    limit: u32,
) -> sea_orm::Select<workspace::Entity> {
    query
        .filter(workspace::Column::Id.gt(uuid(after)))
        .order_by(workspace::Column::Id, Order::Asc)
        .limit(u64::from(limit))
}

fn standing_of(row: &sea_orm::QueryResult) -> Result<Option<ExternalStanding>, StoreError> {
    let at = At::new("memberships", "?");
    let kind: String = at.read("kind", row.try_get("", "member_kind"))?;
    if at.word::<MembershipKind>("kind", &kind)? == MembershipKind::Internal {
        return Ok(None);
    }
    let state: Option<String> = at.read("state", row.try_get("", "member_state"))?;
    let expires_at: Option<i64> = at.read("expires_at", row.try_get("", "member_expires_at"))?;
    Ok(Some(ExternalStanding {
        state: at.word("state", state.as_deref().unwrap_or_default())?,
        assigned_at: Timestamp::from_micros(at.read("assigned_at", row.try_get("", "member_assigned_at"))?),
        expires_at: expires_at.map(Timestamp::from_micros),
    }))
}

async fn with_domains(exec: &mut dyn Executor, rows: Vec<workspace::Model>) -> Result<Vec<Workspace>, StoreError> {
    let statement = workspace_domain::Entity::find()
        .filter(workspace_domain::Column::WorkspaceId.is_in(rows.iter().map(|row| row.id)))
        .build(exec.backend());
    let domains = exec.all(statement).await?;
    let domains: Vec<workspace_domain::Model> =
        domains.iter().map(|row| model("workspace_domains", row)).collect::<Result<_, _>>()?;
    let workspaces = rows.into_iter().map(|row| {
        let own = domains.iter().filter(|domain| domain.workspace_id == row.id);
        let verified: Vec<String> = own.map(|domain| domain.domain.clone()).collect();
        workspace_of(row, &verified)
    });
    workspaces.collect()
}

pub(crate) fn workspace_of(row: workspace::Model, verified: &[String]) -> Result<Workspace, StoreError> {
    let at = At::new(TABLE, row.id);
    Ok(Workspace {
        id: WorkspaceId::from_uuid(row.id),
        handle: at.read("handle", Handle::parse(&row.handle))?,
        display_name: at.read("display_name", Name::parse(&row.display_name))?,
        state: at.word("state", &row.state)?,
        default_region: at.read("default_region", Region::parse(&row.default_region))?,
        default_language: at.read("default_language", LanguageTag::parse(&row.default_language))?,
        notices: WorkspaceNotices {
            languages: at.parsed("notice_languages", &row.notice_languages, LanguageTag::parse)?,
            channels: at
                .json::<Vec<String>>("channels", &row.channels)?
                .iter()
                .map(|word| at.word("channels", word))
                .collect::<Result<_, _>>()?,
            gateway: row.gateway,
            sender: row.sender,
            support_contact: email(&at, "support_contact", row.support_contact.as_ref())?,
        },
        links: WorkspaceLinks { begin: row.link_begin, accept: row.link_accept, leave: row.link_leave },
        verified_domains: domains(verified, &at)?,
        policy: WorkspacePolicy {
            inbound: at.word("inbound", &row.inbound)?,
            outbound: at.word("outbound", &row.outbound)?,
            default_ceiling: ceiling(&at, &row.ceiling_roles, &row.ceiling_permissions)?,
            visibility_of_externals: at.word("visibility_of_externals", &row.visibility_of_externals)?,
            acceptance_as_host: row.acceptance_as_host,
            acceptance_as_home: row.acceptance_as_home,
            disclosure: at.word("disclosure", &row.disclosure)?,
            external_managers: row.external_managers,
        },
        created_at: Timestamp::from_micros(row.created_at),
        version: Version::from_stored(row.version),
        revision: Revision::from_stored(row.revision),
    })
}

pub(crate) fn ceiling(at: &At, roles: &str, permissions: &str) -> Result<Ceiling, StoreError> {
    Ok(Ceiling {
        roles: at.ids("ceiling_roles", roles)?,
        permissions: at.parsed("ceiling_permissions", permissions, PermissionName::parse)?,
    })
}

fn row_of(workspace: &Workspace) -> Result<workspace::Model, StoreError> {
    let Workspace { notices, links, policy, .. } = workspace;
    Ok(workspace::Model {
        id: uuid(workspace.id),
        handle: workspace.handle.to_string(),
        display_name: workspace.display_name.to_string(),
        state: workspace.state.word().to_owned(),
        default_region: workspace.default_region.to_string(),
        default_language: workspace.default_language.to_string(),
        notice_languages: text_list(&notices.languages)?,
        channels: text_list(notices.channels.iter().map(|c| c.word()))?,
        gateway: notices.gateway.clone(),
        sender: notices.sender.clone(),
        support_contact: notices.support_contact.as_ref().map(ToString::to_string),
        link_begin: links.begin.clone(),
        link_accept: links.accept.clone(),
        link_leave: links.leave.clone(),
        inbound: policy.inbound.word().to_owned(),
        outbound: policy.outbound.word().to_owned(),
        ceiling_roles: id_list(&policy.default_ceiling.roles)?,
        ceiling_permissions: text_list(&policy.default_ceiling.permissions)?,
        visibility_of_externals: policy.visibility_of_externals.word().to_owned(),
        acceptance_as_host: policy.acceptance_as_host,
        acceptance_as_home: policy.acceptance_as_home,
        disclosure: policy.disclosure.word().to_owned(),
        external_managers: policy.external_managers,
        created_at: workspace.created_at.as_micros(),
        version: workspace.version.as_i64(),
        revision: workspace.revision.as_i64(),
    })
}

#[async_trait]
impl WorkspaceRepository for Lent<'_> {
    async fn take_revision(&mut self, reference: &WorkspaceRef) -> Result<Option<(WorkspaceId, Revision)>, StoreError> {
        let mut update = workspace::Entity::update_many()
            .col_expr(workspace::Column::Revision, Expr::col(workspace::Column::Revision).add(1))
            .filter(named(reference));
        QueryTrait::query(&mut update).returning(
            sea_orm::sea_query::Query::returning().columns([workspace::Column::Id, workspace::Column::Revision]),
        );
        let statement = update.build(self.exec.backend());
        let Some(row) = self.exec.one(statement).await? else { return Ok(None) };
        let at = At::new(TABLE, "?");
        let id: Uuid = at.read("id", row.try_get("", "id"))?;
        let revision: i64 = at.read("revision", row.try_get("", "revision"))?;
        Ok(Some((WorkspaceId::from_uuid(id), Revision::from_stored(revision))))
    }

    async fn find(&mut self, reference: &WorkspaceRef) -> Result<Option<Workspace>, StoreError> {
        find(self.exec, reference).await
    }

    async fn owner_of_domain(&mut self, domain: &MailDomain) -> Result<Option<WorkspaceId>, StoreError> {
        let statement = workspace_domain::Entity::find_by_id(domain.as_str()).build(self.exec.backend());
        let row = self.exec.one(statement).await?;
        let row = row.map(|row| model::<workspace_domain::Model>("workspace_domains", &row)).transpose()?;
        Ok(row.map(|row| WorkspaceId::from_uuid(row.workspace_id)))
    }

    async fn insert(&mut self, workspace: &Workspace) -> Result<(), StoreError> {
        let row = row_of(workspace)?;
        self.insert_row::<workspace::Entity>(row.into_active_model()).await?;
        for domain in &workspace.verified_domains {
            let row = workspace_domain::Model { domain: domain.to_string(), workspace_id: uuid(workspace.id) };
            self.insert_row::<workspace_domain::Entity>(row.into_active_model()).await?;
        }
        Ok(())
    }

    async fn update(&mut self, workspace: &Workspace, read_at: Version) -> Result<(), StoreError> {
        let mut row = row_of(workspace)?.into_active_model().reset_all();
        for kept in [workspace::Column::Id, workspace::Column::Handle, workspace::Column::Revision] {
            row.not_set(kept);
        }
        let statement = workspace::Entity::update_many()
            .set(row)
            .filter(workspace::Column::Id.eq(uuid(workspace.id)))
            .filter(workspace::Column::Version.eq(read_at.as_i64()))
            .build(self.exec.backend());
        let touched = self.exec.exec(statement).await?;
        self.expect_one(touched)
    }
}
