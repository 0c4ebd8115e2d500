//! Questions about access: every field of each reaches the use case, and every field of each answer reaches the wire.

use std::collections::HashMap;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal, Violation};
use domicile_domain::model::id::Id;
use domicile_domain::model::membership::{ExternalState, MembershipKind};
use domicile_domain::model::user::{Identity, UserState};
use domicile_domain::model::workspace::WorkspaceState;
use domicile_domain::usecase::{
    AccessAnswer, AccessSubject, BatchAnswer, BatchCheckAccess, BatchEntry, BatchEntryAnswer, CeilingSource,
    CheckAccess, CheckSubject, Consistency, Denial, EffectivePermission, Evidence, Explanation, Gate, GateReport,
    GrantSource, ListEffectivePermissions, ListSubjects, MockDomicileApi, Page, PageRequest, Remedy, RemedyAction,
};
use domicile_proto::v1;
use domicile_proto::v1::access_service_client::AccessServiceClient;
use domicile_testkit::builders::{NOW, handle, minute, permission_name};
use domicile_testkit::ids::SequentialIds;
use tonic::Code;

use crate::support::{Served, assert_refused, signed};

fn id<K>(number: u64) -> Id<K> {
    Id::from_uuid(SequentialIds::numbered(number))
}

fn text(number: u64) -> String {
    SequentialIds::numbered(number).to_string()
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in optional fields")]
fn at(minutes: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: NOW.as_micros() / 1_000_000 + 60 * minutes, nanos: 0 })
}

/// The message as it was sent, answered by a use case that heard it and knows nothing.
macro_rules! hears {
    ($api:expr, $method:ident($message:expr)) => {{
        let mut client = AccessServiceClient::new(Served::mock($api).await.channel().await);
        assert_refused(&client.$method(signed($message)).await.unwrap_err(), Code::NotFound, "NOT_FOUND");
    }};
}

/// The answer of one call to a mock.
macro_rules! answered {
    ($api:expr, $method:ident($request:ident)) => {
        AccessServiceClient::new(Served::mock($api).await.channel().await)
            .$method(signed(v1::$request::default()))
            .await
            .unwrap()
            .into_inner()
    };
}

fn heard<T>() -> Result<T, Refusal> {
    Err(Refusal::new(Reason::NotFound))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in optional fields")]
fn token() -> Option<v1::Consistency> {
    let requirement = Some(v1::consistency::Requirement::AtLeastAsFresh("written".to_owned()));
    Some(v1::Consistency { requirement })
}

fn fresh() -> Consistency {
    Consistency::AtLeastAsFresh("written".to_owned())
}

/// Each form in which a message can name somebody, with what the use case hears.
macro_rules! subjects {
    ($module:ident) => {
        [
            (Some(v1::$module::Subject::User("u-1".to_owned())), CheckSubject::User("u-1".to_owned())),
            (Some(v1::$module::Subject::Identity(wire_identity())), CheckSubject::Identity(bound())),
            (None, CheckSubject::User(String::new())),
        ]
    };
}

fn wire_identity() -> v1::Identity {
    v1::Identity { issuer: "https://id.example".to_owned(), subject: "s-1".to_owned() }
}

fn bound() -> Identity {
    Identity { issuer: "https://id.example".to_owned(), subject: "s-1".to_owned() }
}

#[tokio::test]
async fn batch_check_access_hears_every_field() {
    let (wire, expected): (Vec<_>, Vec<_>) = subjects!(access_question)
        .into_iter()
        .zip(["a", "b", ""])
        .map(|((subject, expected), correlation_id)| {
            let (workspace, permission) = (format!("acme{correlation_id}"), format!("orders.read{correlation_id}"));
            let entry = BatchEntry {
                correlation_id: correlation_id.to_owned(),
                workspace: workspace.clone(),
                subject: expected,
                permission: permission.clone(),
            };
            let correlation_id = correlation_id.to_owned();
            (v1::AccessQuestion { correlation_id, workspace, subject, permission }, entry)
        })
        .unzip();
    let mut api = MockDomicileApi::new();
    api.expect_batch_check_access().returning(move |call, request| {
        assert_eq!(call.deadline, NOW.after(Duration::from_secs(1)));
        assert_eq!(*request, BatchCheckAccess { entries: expected.clone(), consistency: fresh() });
        heard()
    });
    hears!(api, batch_check_access(v1::BatchCheckAccessRequest { entries: wire, consistency: token() }));
}

#[tokio::test]
async fn list_effective_permissions_hears_every_field() {
    for (subject, expected) in subjects!(list_effective_permissions_request) {
        let mut api = MockDomicileApi::new();
        api.expect_list_effective_permissions().returning(move |call, request| {
            assert_eq!(call.deadline, NOW.after(Duration::from_secs(30)));
            let expected = ListEffectivePermissions {
                workspace: "acme".to_owned(),
                subject: expected.clone(),
                page: PageRequest { size: 17, token: "next".to_owned() },
                consistency: fresh(),
            };
            assert_eq!(*request, expected);
            heard()
        });
        let message = v1::ListEffectivePermissionsRequest {
            workspace: "acme".to_owned(),
            subject,
            page_size: 17,
            page_token: "next".to_owned(),
            consistency: token(),
        };
        hears!(api, list_effective_permissions(message));
    }
}

#[tokio::test]
async fn list_subjects_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_list_subjects().returning(|call, request| {
        assert_eq!(call.deadline, NOW.after(Duration::from_secs(30)));
        let expected = ListSubjects {
            workspace: "acme".to_owned(),
            permission: "orders.read".to_owned(),
            page: PageRequest { size: 17, token: "next".to_owned() },
            consistency: fresh(),
        };
        assert_eq!(*request, expected);
        heard()
    });
    let message = v1::ListSubjectsRequest {
        workspace: "acme".to_owned(),
        permission: "orders.read".to_owned(),
        page_size: 17,
        page_token: "next".to_owned(),
        consistency: token(),
    };
    hears!(api, list_subjects(message));
}

#[tokio::test]
async fn explain_access_hears_every_field() {
    for (subject, expected) in subjects!(explain_access_request) {
        let mut api = MockDomicileApi::new();
        api.expect_explain_access().returning(move |call, request| {
            assert_eq!(call.deadline, NOW.after(Duration::from_secs(2)));
            let expected = CheckAccess {
                workspace: "acme".to_owned(),
                subject: expected.clone(),
                permission: "orders.read".to_owned(),
                consistency: fresh(),
            };
            assert_eq!(*request, expected);
            heard()
        });
        let message = v1::ExplainAccessRequest {
            workspace: "acme".to_owned(),
            subject,
            permission: "orders.read".to_owned(),
            consistency: token(),
        };
        hears!(api, explain_access(message));
    }
}

fn answer(decision: Result<(), Denial>) -> AccessAnswer {
    AccessAnswer { decision, checked_at: minute(50), valid_until: minute(51) }
}

#[tokio::test]
async fn a_batch_says_each_decision_and_each_error() {
    let wrong = Refusal::invalid(vec![Violation::new("user", "no id"), Violation::new("permission", "no name")]);
    let message = wrong.message.clone();
    let answers = [("a", Ok(answer(Ok(())))), ("b", Ok(answer(Err(Denial::AboveCeiling)))), ("", Err(wrong))];
    let entries =
        answers.map(|(id, answer)| BatchEntryAnswer { correlation_id: id.to_owned(), answer }).into_iter().collect();
    let mut api = MockDomicileApi::new();
    api.expect_batch_check_access().return_const(Ok(BatchAnswer { entries, checked_at: minute(50) }));
    let told = answered!(api, batch_check_access(BatchCheckAccessRequest));
    let error = v1::AccessQuestionError {
        reason: v1::Reason::InvalidRequest.into(),
        message,
        fields: HashMap::from(
            [("user", "no id"), ("permission", "no name")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        ),
    };
    let result = |id: &str, decision: v1::AccessDecision, reason: v1::DenialReason| v1::AccessQuestionResult {
        correlation_id: id.to_owned(),
        decision: decision.into(),
        reason: reason.into(),
        valid_until_time: at(51),
        error: None,
    };
    let expected = v1::BatchCheckAccessResponse {
        results: vec![
            result("a", v1::AccessDecision::Allowed, v1::DenialReason::Unspecified),
            result("b", v1::AccessDecision::Denied, v1::DenialReason::AboveCeiling),
            v1::AccessQuestionResult { error: Some(error), ..v1::AccessQuestionResult::default() },
        ],
        check_time: at(50),
    };
    assert_eq!(told, expected);
}

/// The error of a question has a word of its own for every reason: none reads as unspecified.
#[test]
fn every_reason_has_a_word_for_a_question() {
    for reason in Reason::ALL {
        let name = format!("REASON_{}", reason.as_str());
        assert!(v1::Reason::from_str_name(&name).is_some(), "{name}");
    }
}

fn sources() -> Vec<GrantSource> {
    let role = |number, name, own| GrantSource::Role { role: id(number), handle: handle(name), own };
    vec![GrantSource::Direct, role(4, "lead", true), role(5, "staff", false)]
}

fn wire_sources() -> Vec<v1::GrantSource> {
    let role = |number, name: &str, by_group| v1::GrantSource {
        direct: false,
        role: text(number),
        role_handle: name.to_owned(),
        by_group,
    };
    vec![v1::GrantSource { direct: true, ..Default::default() }, role(4, "lead", false), role(5, "staff", true)]
}

#[tokio::test]
async fn lists_say_everything() {
    let row = |name, decision| EffectivePermission { permission: permission_name(name), sources: sources(), decision };
    let items = vec![row("orders.list", Ok(())), row("orders.read", Err(Denial::AboveCeiling))];
    let mut api = MockDomicileApi::new();
    api.expect_list_effective_permissions().return_const(Ok(Page { items, next_token: "next".to_owned() }));
    let told = answered!(api, list_effective_permissions(ListEffectivePermissionsRequest));
    let row = |name: &str, decision: v1::AccessDecision, reason: v1::DenialReason| v1::EffectivePermission {
        permission: name.to_owned(),
        decision: decision.into(),
        reason: reason.into(),
        sources: wire_sources(),
    };
    let expected = v1::ListEffectivePermissionsResponse {
        permissions: vec![
            row("orders.list", v1::AccessDecision::Allowed, v1::DenialReason::Unspecified),
            row("orders.read", v1::AccessDecision::Denied, v1::DenialReason::AboveCeiling),
        ],
        next_page_token: "next".to_owned(),
    };
    assert_eq!(told, expected);

    let kind = MembershipKind::External;
    let subject = AccessSubject { user: id(2), kind, sources: sources(), valid_until: minute(51) };
    let mut api = MockDomicileApi::new();
    api.expect_list_subjects().return_const(Ok(Page { items: vec![subject], next_token: "next".to_owned() }));
    let told = answered!(api, list_subjects(ListSubjectsRequest));
    let subject = v1::AccessSubject {
        user: text(2),
        kind: v1::MembershipKind::External.into(),
        sources: wire_sources(),
        valid_until_time: at(51),
    };
    assert_eq!(told, v1::ListSubjectsResponse { subjects: vec![subject], next_page_token: "next".to_owned() });
}

/// Every piece of evidence, with what stands of it in a report.
fn evidences() -> Vec<(Evidence, v1::AccessGateReport)> {
    let wire = v1::AccessGateReport::default;
    let state = |state: &str| v1::AccessGateReport { state: state.to_owned(), ..wire() };
    vec![
        (Evidence::Withheld, v1::AccessGateReport { withheld: true, ..wire() }),
        (Evidence::None, wire()),
        (Evidence::Membership(None), wire()),
        (
            Evidence::Membership(Some(MembershipKind::External)),
            v1::AccessGateReport { kind: v1::MembershipKind::External.into(), ..wire() },
        ),
        (Evidence::Workspace { workspace: id(3), state: WorkspaceState::Closing }, state("CLOSING")),
        (Evidence::Account(UserState::Suspended), state("SUSPENDED")),
        (Evidence::External(ExternalState::Review), state("REVIEW")),
        (Evidence::Expiry(None), wire()),
        (Evidence::Expiry(Some(minute(7))), v1::AccessGateReport { expire_time: at(7), ..wire() }),
        (Evidence::Grants(sources()), v1::AccessGateReport { sources: wire_sources(), ..wire() }),
        (
            Evidence::Ceiling(CeilingSource::SuspendedByHome),
            v1::AccessGateReport { ceiling: v1::CeilingSource::SuspendedByHome.into(), ..wire() },
        ),
        (Evidence::Catalogue(None), wire()),
        (Evidence::Catalogue(Some(minute(8))), v1::AccessGateReport { retire_time: at(8), ..wire() }),
    ]
}

#[tokio::test]
async fn an_explanation_says_every_gate_with_its_evidence() {
    let (gates, reports): (Vec<_>, Vec<_>) = evidences()
        .into_iter()
        .enumerate()
        .map(|(place, (evidence, report))| {
            let shut = place % 2 == 1;
            let verdict = if shut { Err(Denial::MembershipExpired) } else { Ok(()) };
            let reason = if shut { v1::DenialReason::MembershipExpired } else { v1::DenialReason::Unspecified };
            let gate = v1::AccessGate::Expiry.into();
            let report = v1::AccessGateReport { gate, open: !shut, reason: reason.into(), ..report };
            (GateReport { gate: Gate::Expiry, verdict, evidence }, report)
        })
        .unzip();
    let remedies =
        RemedyAction::ALL.map(|action| Remedy { action, may_apply: true, roles: vec![handle("lead")] }).to_vec();
    let explanation = Explanation {
        answer: answer(Err(Denial::MembershipExpired)),
        gates,
        failing: Some(Gate::Expiry),
        remedies,
        partial: true,
    };
    let mut api = MockDomicileApi::new();
    api.expect_explain_access().return_const(Ok(explanation));
    let told = answered!(api, explain_access(ExplainAccessRequest));
    // The numbers of the contract are in the order of the domain's list, from 1.
    let remedies = RemedyAction::ALL.iter().zip(1..).map(|(action, number)| v1::Remedy {
        action: number,
        sentence: action.sentence().to_owned(),
        may_apply: true,
        role_handles: vec!["lead".to_owned()],
    });
    let expected = v1::ExplainAccessResponse {
        decision: v1::AccessDecision::Denied.into(),
        reason: v1::DenialReason::MembershipExpired.into(),
        gates: reports,
        failing_gate: v1::AccessGate::Expiry.into(),
        remedies: remedies.collect(),
        partial: true,
        check_time: at(50),
        valid_until_time: at(51),
    };
    assert_eq!(told, expected);
}

/// One number of the contract for each gate and each source of a ceiling, in the order of the domain's lists.
#[tokio::test]
async fn gates_and_ceilings_have_their_own_words() {
    let report = |gate, evidence| GateReport { gate, verdict: Ok(()), evidence };
    let gates = Gate::ALL.map(|gate| report(gate, Evidence::None));
    let ceilings = CeilingSource::ALL.map(|source| report(Gate::Ceiling, Evidence::Ceiling(source)));
    let gates: Vec<GateReport> = gates.into_iter().chain(ceilings).collect();
    let explanation =
        Explanation { answer: answer(Ok(())), gates, failing: None, remedies: Vec::new(), partial: false };
    let mut api = MockDomicileApi::new();
    api.expect_explain_access().return_const(Ok(explanation));
    let told = answered!(api, explain_access(ExplainAccessRequest));
    let (gates, ceilings) = told.gates.split_at(Gate::ALL.len());
    let count = |numbers: &[i32]| (1..).zip(numbers).all(|(place, number)| place == *number);
    assert!(count(&gates.iter().map(|report| report.gate).collect::<Vec<_>>()), "{gates:?}");
    assert!(count(&ceilings.iter().map(|report| report.ceiling).collect::<Vec<_>>()), "{ceilings:?}");
    assert_eq!((told.failing_gate, told.reason), (0, 0));
}
