//! Audit, events, answers.

use domicile_domain::event::{Event, EventBody};
use domicile_domain::model::answer::{
    AnsweredRequest, AssignAnswer, AssignOutcome, ChangeAnswer, CreateWorkspaceAnswer, RequestFingerprint, RequestKey,
    StoredAnswer,
};
use domicile_domain::model::audit::{AuditAction, AuditChange, AuditRecord, PersonalValue};
use domicile_domain::model::id::{UserId, WorkspaceId, kind};
use domicile_domain::model::membership::{EndReason, ExternalState, MembershipKind};
use domicile_domain::model::time::{Revision, Version};
use domicile_domain::port::store::{Constraint, StoreError};

use super::{Harness, begin, exclude, good, put, refused};
use crate::builders::{id, minute, user, workspace};
use crate::seed::Row;

fn audit(workspace: Option<WorkspaceId>, action: AuditAction, full: bool) -> AuditRecord {
    let change =
        AuditChange { path: "membership.roles".to_owned(), before: None, after: Some("guest, \"x\"".to_owned()) };
    AuditRecord {
        id: id(),
        workspace,
        workspace_text: "acme".to_owned(),
        service: "shop".to_owned(),
        actor: full.then(id),
        action,
        outcome: "done".to_owned(),
        subject: full.then(id),
        request_id: full.then(id),
        correlation_id: "c-1".to_owned(),
        surface: "grpc".to_owned(),
        changes: if full { vec![change] } else { Vec::new() },
        at: minute(2),
    }
}

/// Every field of every action comes back, the newest first, of the asked workspace alone, and personal values are kept.
pub async fn audit_rows_come_back_newest_first(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    put(&*subject, &[(&acme).into(), (&umbrella).into()]).await;
    let mut written = Vec::new();
    for (place, action) in (0_u32..).zip(AuditAction::ALL) {
        let record = audit(Some(acme.id), action, place % 2 == 0);
        let user = record.subject;
        let personal = PersonalValue { user, path: "email".to_owned(), value: format!("a{place}@mail.example") };
        put(&*subject, &[(record.clone(), vec![personal]).into()]).await;
        written.insert(0, record);
    }
    put(&*subject, &[(audit(None, AuditAction::LookupUser, true), Vec::new()).into()]).await;
    put(&*subject, &[(audit(Some(umbrella.id), AuditAction::LookupUser, true), Vec::new()).into()]).await;
    assert_eq!(good(subject.directory().audit(acme.id, 100).await), written);
    written.truncate(3);
    assert_eq!(good(subject.directory().audit(acme.id, 3).await), written);
    let personal = subject.dump().await.remove("personal_values").expect("the table is dumped");
    assert_eq!(personal.len(), AuditAction::ALL.len());
    assert!(personal.iter().any(|row| row.contains("a3@mail.example")));
}

fn event(workspace: WorkspaceId, revision: i64, index: u16, body: EventBody) -> Event {
    let actor = (index == 0).then(id);
    Event { id: id(), workspace, revision: Revision::from_stored(revision), index, actor, at: minute(1), body }
}

/// Every body comes back, in the order of revision and place, after a revision, at most so many.
pub async fn events_come_back_in_order(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    let member: UserId = id();
    let created = |membership_kind, state| EventBody::MembershipCreated {
        membership: id(),
        user: member,
        membership_kind,
        state,
        roles: vec![id(), id()],
    };
    let ended = |reason| EventBody::MembershipEnded { membership: id(), user: member, reason, roles: Vec::new() };
    let mut bodies = vec![
        EventBody::WorkspaceCreated {},
        EventBody::UserCreated { user: member },
        EventBody::UserChanged { user: member, paths: vec!["identities".to_owned(), "email.standing".to_owned()] },
        created(MembershipKind::Internal, None),
    ];
    bodies.extend(ExternalState::ALL.map(|state| created(MembershipKind::External, Some(state))));
    bodies.extend(
        [
            EndReason::Unlinked,
            EndReason::Left,
            EndReason::Declined,
            EndReason::Lapsed,
            EndReason::Expired,
            EndReason::AccountEnded,
            EndReason::WorkspaceClosed,
            EndReason::Moved,
        ]
        .map(ended),
    );
    let place = (0_i64..).flat_map(|revision| [(revision + 1, 0), (revision + 1, 1)]);
    let log: Vec<Event> = place.zip(bodies).map(|((r, i), body)| event(acme.id, r, i, body)).collect();
    let mut rows: Vec<Row> = vec![(&acme).into(), (&umbrella).into()];
    rows.extend(log.iter().rev().map(Row::from));
    rows.push(event(umbrella.id, 1, 0, EventBody::WorkspaceCreated {}).into());
    put(&*subject, &rows).await;
    let directory = subject.directory();
    assert_eq!(good(directory.events(acme.id, Revision::from_stored(0), 100).await), log);
    let page = good(directory.events(acme.id, Revision::from_stored(2), 3).await);
    assert_eq!(page, log.into_iter().skip(4).take(3).collect::<Vec<_>>());
}

fn key(service: &str) -> RequestKey {
    RequestKey { service: service.to_owned(), user: id(), method: "assign_user".to_owned(), request: id() }
}

fn answer(key: &RequestKey, answer: StoredAnswer) -> AnsweredRequest {
    AnsweredRequest { key: key.clone(), fingerprint: RequestFingerprint([7; 32]), answer, at: minute(4) }
}

fn assigned(outcome: AssignOutcome, kind: MembershipKind, full: bool) -> StoredAnswer {
    StoredAnswer::AssignUser(AssignAnswer {
        outcome,
        workspace: id(),
        user: id(),
        membership: id(),
        kind,
        membership_version: Version::from_stored(3),
        notice: full.then(id),
        discarded_fields: if full { vec!["profile.first_name".to_owned()] } else { Vec::new() },
        revision: Revision::from_stored(12),
    })
}

fn workspace_made() -> StoredAnswer {
    StoredAnswer::CreateWorkspace(CreateWorkspaceAnswer {
        workspace: id(),
        manager: id(),
        membership: id(),
        notice: id(),
        revision: Revision::FIRST,
    })
}

fn changed() -> StoredAnswer {
    StoredAnswer::Change(ChangeAnswer {
        thing: id::<kind::Role>().as_uuid(),
        written: vec![(id(), Revision::from_stored(12)), (id(), Revision::FIRST)],
    })
}

/// Every field of every answer comes back, under its whole key alone.
pub async fn answers_come_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let answers = [
        assigned(AssignOutcome::CreatedInternal, MembershipKind::Internal, false),
        assigned(AssignOutcome::LinkedExternal, MembershipKind::External, true),
        assigned(AssignOutcome::LinkPending, MembershipKind::External, true),
        workspace_made(),
        changed(),
    ];
    for stored in answers {
        let key = key("shop");
        let written = answer(&key, stored);
        put(&*subject, &[(&written).into()]).await;
        let mut tx = begin(&*subject).await;
        assert_eq!(good(tx.records().answered(&key).await), Some(written));
        let others = [
            RequestKey { service: "other".to_owned(), ..key.clone() },
            RequestKey { user: UserId::nil(), ..key.clone() },
            RequestKey { method: "create_workspace".to_owned(), ..key.clone() },
            RequestKey { request: id(), ..key.clone() },
        ];
        for other in others {
            assert_eq!(good(tx.records().answered(&other).await), None);
        }
        good(tx.rollback().await);
    }
}

/// A request is answered once.
pub async fn one_answer_for_a_request(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    put(&*subject, &[(&acme).into(), user(acme.id, "anna").into()]).await;
    let first = key("shop");
    put(&*subject, &[answer(&first, workspace_made()).into()]).await;
    refused(&*subject, answer(&first, workspace_made()).into(), StoreError::Conflict(Constraint::Request)).await;
    let second = key("shop");
    let (a, b) = (answer(&second, workspace_made()), answer(&second, workspace_made()));
    exclude(&*subject, a.into(), b.into(), Constraint::Request).await;
}
