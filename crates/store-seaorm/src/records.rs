//! Audit, events and answered requests: what commits with the work.

use async_trait::async_trait;
use domicile_domain::event::Event;
use domicile_domain::model::answer::{AnsweredRequest, RequestFingerprint, RequestKey};
use domicile_domain::model::audit::{AuditRecord, PersonalValue};
use domicile_domain::model::id::{AuditId, EventId, WorkspaceId};
use domicile_domain::model::time::{Revision, Timestamp};
use domicile_domain::port::store::{RecordRepository, StoreError};
use sea_orm::{EntityTrait, IntoActiveModel, QueryTrait};

use crate::convert::{At, Word, json, maybe_id, maybe_uuid, model, uuid};
use crate::entity::{answered_request, audit_record, event, personal_value};
use crate::unit_of_work::Lent;

pub(crate) fn audit_of(row: audit_record::Model) -> Result<AuditRecord, StoreError> {
    let at = At::new("audit_records", row.id);
    Ok(AuditRecord {
        id: AuditId::from_uuid(row.id),
        workspace: maybe_id(row.workspace_id),
        workspace_text: row.workspace_text,
        service: row.service,
        actor: maybe_id(row.actor),
        action: at.word("action", &row.action)?,
        outcome: row.outcome,
        subject: maybe_id(row.subject),
        request_id: maybe_id(row.request_id),
        correlation_id: row.correlation_id,
        surface: row.surface,
        changes: at.json("changes", &row.changes)?,
        at: Timestamp::from_micros(row.at),
    })
}

pub(crate) fn event_of(row: &event::Model) -> Result<Event, StoreError> {
    let at = At::new("events", row.id);
    Ok(Event {
        id: EventId::from_uuid(row.id),
        workspace: WorkspaceId::from_uuid(row.workspace_id),
        revision: Revision::from_stored(row.revision),
        index: at.read("place", u16::try_from(row.place))?,
        actor: maybe_id(row.actor),
        at: Timestamp::from_micros(row.at),
        body: at.json("body", &row.body)?,
    })
}

#[async_trait]
impl RecordRepository for Lent<'_> {
    async fn audit(&mut self, record: &AuditRecord, personal: &[PersonalValue]) -> Result<(), StoreError> {
        let row = audit_record::Model {
            id: uuid(record.id),
            workspace_id: maybe_uuid(record.workspace),
            workspace_text: record.workspace_text.clone(),
            service: record.service.clone(),
            actor: maybe_uuid(record.actor),
            action: record.action.word().to_owned(),
            outcome: record.outcome.clone(),
            subject: maybe_uuid(record.subject),
            request_id: maybe_uuid(record.request_id),
            correlation_id: record.correlation_id.clone(),
            surface: record.surface.clone(),
            changes: json(&record.changes)?,
            at: record.at.as_micros(),
        };
        self.insert_row::<audit_record::Entity>(row.into_active_model()).await?;
        let values = (0_i64..).zip(personal).map(|(place, value)| {
            personal_value::Model {
                audit_id: uuid(record.id),
                place,
                user_id: maybe_uuid(value.user),
                path: value.path.clone(),
                value: value.value.clone(),
            }
            .into_active_model()
        });
        self.insert_rows::<personal_value::Entity>(values.collect()).await
    }

    async fn event(&mut self, event: &Event) -> Result<(), StoreError> {
        let row = event::Model {
            workspace_id: uuid(event.workspace),
            revision: event.revision.as_i64(),
            place: i64::from(event.index),
            id: uuid(event.id),
            actor: maybe_uuid(event.actor),
            at: event.at.as_micros(),
            body: json(&event.body)?,
        };
        self.insert_row::<event::Entity>(row.into_active_model()).await
    }

    async fn answered(&mut self, key: &RequestKey) -> Result<Option<AnsweredRequest>, StoreError> {
        let id = (key.service.clone(), uuid(key.user), key.method.clone(), uuid(key.request));
        let statement = answered_request::Entity::find_by_id(id).build(self.exec.backend());
        let Some(row) = self.exec.one(statement).await? else { return Ok(None) };
        let at = At::new("answered_requests", key.request);
        let read = model::<answered_request::Model>("answered_requests", &row).and_then(|row| {
            Ok(AnsweredRequest {
                key: key.clone(),
                fingerprint: RequestFingerprint(
                    row.fingerprint.try_into().map_err(|_| at.corrupt("fingerprint", "not 32 bytes"))?,
                ),
                answer: at.json("answer", &row.answer)?,
                at: Timestamp::from_micros(row.at),
            })
        });
        self.checked(read).map(Some)
    }

    async fn keep_answer(&mut self, request: &AnsweredRequest) -> Result<(), StoreError> {
        let row = answered_request::Model {
            service: request.key.service.clone(),
            user_id: uuid(request.key.user),
            method: request.key.method.clone(),
            request_id: uuid(request.key.request),
            fingerprint: request.fingerprint.0.to_vec(),
            answer: json(&request.answer)?,
            at: request.at.as_micros(),
        };
        self.insert_row::<answered_request::Entity>(row.into_active_model()).await
    }
}
