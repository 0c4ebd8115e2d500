//! The gate: which methods a service may call, traces, headers that mean nothing here, and what is told of calls in metrics
//! and logs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{MethodSet, ServicePrincipal};
use domicile_domain::model::budget::BudgetKey;
use domicile_domain::usecase::{MockDomicileApi, Page};
use domicile_grpc::ServerParts;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_proto::v1::{ListRolesRequest, LookupUserRequest};
use domicile_testkit::authenticator::TrustingAuthenticator;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tonic::Code;

use crate::support::{Headers, Served, assert_refused, framed, logged, parts, reason, service};

const LIST_ROLES: &str = "/domicile.v1.RoleService/ListRoles";
const GET_USER: &str = "/domicile.v1.UserService/GetUser";
const LOOKUP_USER: &str = "/domicile.v1.UserService/LookupUser";

fn listing() -> MockDomicileApi {
    let mut api = MockDomicileApi::new();
    api.expect_list_roles().returning(|_, _, _, _| Ok(Page { items: Vec::new(), next_token: String::new() }));
    api
}

#[tokio::test]
async fn a_service_calls_the_methods_of_its_list_and_no_other() {
    let methods = MethodSet::Only(BTreeSet::from([LIST_ROLES.trim_start_matches('/').to_owned()]));
    let service = ServicePrincipal { methods, ..service() };
    let authenticator = Arc::new(TrustingAuthenticator::with_token(service, "known"));
    let served = Served::of(ServerParts { authenticator, development: false, ..parts(listing()) }).await;
    let raw = served.raw().await;
    for (path, _) in MethodPolicies::read().unwrap().iter() {
        let answer = raw.signed(path, &[], framed(&ListRolesRequest::default())).await;
        if path == LIST_ROLES {
            assert_eq!(answer.status.code(), Code::Ok);
            continue;
        }
        let (code, word, info) = reason(&answer.status);
        assert_eq!((code, word.as_str()), (Code::PermissionDenied, "METHOD_NOT_ALLOWED"), "{path}");
        let method = path.trim_start_matches('/');
        assert_eq!(info.metadata["method"], method);
        let told = format!("`orders` may not call {method}; ask the operator to add it");
        assert!(answer.status.message().contains(&told), "{}", answer.status.message());
    }
    // The contract itself is for every service that is known.
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    assert_eq!(raw.signed(reflection, &[], Vec::new()).await.status.code(), Code::Ok);
}

#[tokio::test]
async fn a_trace_goes_on_and_a_malformed_one_begins_anew() {
    let raw = Served::mock(listing()).await.raw().await;
    let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut traces = BTreeSet::new();
    for header in [Some(sent), Some("anna@acme.example"), None] {
        let headers: Vec<_> = header.into_iter().map(|text| ("traceparent", text.as_bytes())).collect();
        // An answer and a refusal alike.
        for path in [LIST_ROLES, "/nowhere"] {
            let answer = raw.signed(path, &headers, framed(&ListRolesRequest::default())).await;
            let told = answer.header("traceparent").unwrap().to_owned();
            let parts: Vec<&str> = told.split('-').collect();
            assert_eq!((parts.len(), parts[0], parts[1].len(), parts[2].len()), (4, "00", 32, 16), "{told}");
            assert_eq!(told.starts_with(&sent[..36]), header == Some(sent), "{told}");
            assert!(traces.insert(parts[2].to_owned()), "each call is a span of its own: {told}");
        }
    }
}

/// What was counted, by name and labels, and how often.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let lines = snapshot.map(|(key, _, _, value)| {
        let key = key.key();
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => f64::from(u32::try_from(values.len()).unwrap()),
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    });
    lines.collect()
}

#[tokio::test]
async fn calls_are_measured_under_bounded_names() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _here = metrics::set_default_local_recorder(&recorder);
    let mut api = listing();
    api.expect_lookup_user().returning(|_, _| Err(Refusal::new(Reason::PermissionDenied)));
    api.expect_get_user().returning(|_, _, _, _| {
        Err(Refusal::exhausted(BudgetKey::Service("shop".to_owned()), NonZeroU32::MIN, Duration::from_secs(1)))
    });
    let raw = Served::mock(api).await.raw().await;
    raw.signed(GET_USER, &[], framed(&())).await;
    for _ in 0..2 {
        raw.signed(LIST_ROLES, &[("x-forwarded-user", b"root"), ("x-auth-request-email", b"a@b")], framed(&())).await;
    }
    raw.call(LIST_ROLES, &[], framed(&())).await;
    raw.signed(LOOKUP_USER, &[], framed(&())).await;
    raw.signed("/made.Up/Name", &[], framed(&())).await;
    raw.signed("/made.Up/Another", &[], framed(&())).await;
    let expected = [
        ("grpc.server.call.started{grpc.method=domicile.v1.RoleService/ListRoles}", 3.0),
        ("grpc.server.call.started{grpc.method=domicile.v1.UserService/LookupUser}", 1.0),
        ("grpc.server.call.started{grpc.method=_other}", 2.0),
        ("grpc.server.call.duration{grpc.method=domicile.v1.RoleService/ListRoles,grpc.status=OK}", 2.0),
        ("grpc.server.call.duration{grpc.method=domicile.v1.RoleService/ListRoles,grpc.status=UNAUTHENTICATED}", 1.0),
        (
            "grpc.server.call.duration{grpc.method=domicile.v1.UserService/LookupUser,grpc.status=PERMISSION_DENIED}",
            1.0,
        ),
        ("grpc.server.call.duration{grpc.method=_other,grpc.status=UNIMPLEMENTED}", 2.0),
        ("domicile.server.calls.refused{grpc.method=domicile.v1.RoleService/ListRoles,reason=UNAUTHENTICATED}", 1.0),
        ("domicile.server.calls.refused{grpc.method=_other,reason=UNIMPLEMENTED}", 2.0),
        ("domicile.server.identity_headers.stripped{header=x-forwarded-user}", 2.0),
        ("domicile.server.identity_headers.stripped{header=x-auth-*}", 2.0),
        ("grpc.server.call.started{grpc.method=domicile.v1.UserService/GetUser}", 1.0),
        ("grpc.server.call.duration{grpc.method=domicile.v1.UserService/GetUser,grpc.status=RESOURCE_EXHAUSTED}", 1.0),
        ("domicile.budgets.refused{budget=service}", 1.0),
        ("domicile.server.connections.open{}", 1.0),
        ("domicile.server.calls.at_work{pool=calls}", 0.0),
        ("domicile.server.calls.at_work{pool=checks}", 0.0),
    ];
    let counted = counted(&snapshotter);
    for (name, value) in expected {
        assert_eq!(counted.get(name), Some(&value), "{name} in {counted:#?}");
    }
    // Nothing else happened, so nothing else is there, made-up names least of all.
    let seen = counted.iter().filter(|(_, value)| **value > 0.0);
    assert_eq!(seen.count(), expected.iter().filter(|(_, value)| *value > 0.0).count(), "{counted:#?}");
}

#[tokio::test]
async fn a_caller_who_leaves_is_measured_as_cancelled() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _here = metrics::set_default_local_recorder(&recorder);
    let thinking = Arc::new(crate::support::Thinking { asked: tokio::sync::Notify::new() });
    let authenticator = thinking.clone();
    let raw = Served::of(ServerParts { authenticator, ..parts(MockDomicileApi::new()) }).await.raw().await;
    let call = tokio::spawn(async move { raw.signed(LIST_ROLES, &[], framed(&())).await });
    thinking.asked.notified().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let ended = "grpc.server.call.duration{grpc.method=domicile.v1.RoleService/ListRoles,grpc.status=CANCELLED}";
    while !counted(&snapshotter).contains_key(ended) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_is_one_span_with_its_method_ids_and_end_and_without_what_is_nobodys_business() {
    let mut api = MockDomicileApi::new();
    api.expect_lookup_user().returning(|_, _| Err(Refusal::new(Reason::NotFound)));
    let raw = Served::mock(api).await.raw().await;
    let search = LookupUserRequest {
        workspace: "acme".to_owned(),
        email: "canary@people.example".to_owned(),
        phone: "+36301234567".to_owned(),
    };
    let headers: Headers<'_> = &[
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-request-id", b"canary@people.example"),
        ("x-forwarded-user", b"canary@people.example"),
    ];
    let id = raw.signed(LOOKUP_USER, headers, framed(&search)).await.header("x-request-id").unwrap().to_owned();
    raw.call("/canary@people.example/x", &[("authorization", b"Bearer canary-token")], framed(&search)).await;

    let log = logged();
    let ended: Vec<&str> = log.lines().filter(|line| line.contains("a call ended")).collect();
    assert_eq!(ended.len(), 2, "{log}");
    for field in [
        "\"rpc.method\":\"domicile.v1.UserService/LookupUser\"",
        "\"trace.id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"",
        "\"rpc.grpc.status_code\":5",
        "\"duration\":",
        &format!("\"request.id\":\"{id}\""),
    ] {
        assert!(ended[0].contains(field), "{field}: {}", ended[0]);
    }
    assert!(ended[1].contains("\"rpc.method\":\"_other\""), "{}", ended[1]);
    for secret in ["canary", "36301234567", "known"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn a_request_id_that_could_be_an_address_is_replaced() {
    let raw = Served::mock(listing()).await.raw().await;
    for sent in ["anna@acme.example", "a\"b", "a{b}", "a;b"] {
        let answer = raw.signed(LIST_ROLES, &[("x-request-id", sent.as_bytes())], framed(&())).await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{sent}");
    }
    let unknown = raw.signed("/nowhere", &[], framed(&())).await;
    assert_refused(&unknown.status, Code::Unimplemented, "UNIMPLEMENTED");
}
