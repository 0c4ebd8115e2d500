//! Who calls and for whom: what is not known, not said or said twice is refused before any use case.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{MethodSet, ServicePrincipal};
use domicile_domain::port::authenticator::{AuthenticationError, MockAuthenticator};
use domicile_domain::usecase::{Arrival, MockDomicileApi};
use domicile_grpc::ServerParts;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_proto::v1::ListRolesRequest;
use domicile_testkit::authenticator::TrustingAuthenticator;
use domicile_testkit::builders::NOW;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Headers, Served, TOKEN, assert_refused, framed, parts, service};

const KNOWN: &[u8] = TOKEN.as_bytes();

#[tokio::test]
async fn an_unknown_caller_is_refused_by_every_method_and_told_why() {
    let raw = Served::mock(MockDomicileApi::new()).await.raw().await;
    let acting = "x-domicile-acting-user";
    let cases: [(Headers<'_>, &str); 8] = [
        (&[], "nothing tells who is calling"),
        (&[("authorization", b"Basic known")], "nothing tells who is calling"),
        (&[("authorization", b"Bearer other")], "the token is not known"),
        (&[("authorization", KNOWN), ("authorization", KNOWN)], "`authorization` came more than once"),
        (&[("authorization", b"Bearer \xff")], "`authorization` has characters"),
        (&[("authorization", KNOWN), (acting, b"\xff")], "`x-domicile-acting-user` has characters"),
        (&[("authorization", KNOWN), (acting, b"a"), (acting, b"a")], "`x-domicile-acting-user` came more than once"),
        (&[("authorization", KNOWN), (acting, b"dana")], "not a user id"),
    ];
    for (path, _) in MethodPolicies::read().unwrap().iter() {
        for (headers, told) in cases {
            let status = raw.call(path, headers, Vec::new()).await.status;
            assert_refused(&status, Code::Unauthenticated, "UNAUTHENTICATED");
            assert!(status.message().contains(told), "{path} {told}: {}", status.message());
        }
    }
}

#[tokio::test]
async fn methods_of_a_person_need_one() {
    let raw = Served::mock(MockDomicileApi::new()).await.raw().await;
    let policies = MethodPolicies::read().unwrap();
    let of_persons: Vec<&str> =
        policies.iter().filter(|(_, policy)| policy.acting_user).map(|(path, _)| path).collect();
    assert!(of_persons.len() >= 8, "{of_persons:?}");
    for path in of_persons {
        let status = raw.call(path, &[("authorization", KNOWN)], Vec::new()).await.status;
        assert_refused(&status, Code::PermissionDenied, "ACTING_USER_REQUIRED");
    }
}

#[tokio::test]
async fn a_caller_who_cannot_be_told_now_tries_again_and_learns_nothing_of_why() {
    let mut authenticator = MockAuthenticator::new();
    let down = AuthenticationError::Unavailable("keys.internal does not answer".to_owned());
    authenticator.expect_authenticate().return_const(Err(down));
    let parts = ServerParts { authenticator: Arc::new(authenticator), ..parts(MockDomicileApi::new()) };
    let raw = Served::of(parts).await.raw().await;
    let body = framed(&ListRolesRequest::default());
    let status = raw.signed("/domicile.v1.RoleService/ListRoles", &[], body).await.status;
    assert_refused(&status, Code::Unavailable, "STORE_UNAVAILABLE");
    assert!(status.get_error_details().retry_info().is_some());
    assert!(!format!("{status:?}").contains("keys.internal"));
}

/// Who is not known yet may be bound now, in a unit of its own: it has the call's time, and its record the call's id.
#[tokio::test]
async fn whoever_identifies_the_caller_hears_how_the_call_came() {
    let mut api = MockDomicileApi::new();
    api.expect_identify().times(1).returning(|caller, arrival| {
        let expected = Arrival {
            deadline: NOW.after(Duration::from_secs(30)),
            correlation_id: "order-17".to_owned(),
            surface: "grpc",
        };
        assert_eq!(*arrival, expected);
        assert_eq!(caller.service.name, "orders");
        Err(Refusal::new(Reason::IdentityNotBound))
    });
    let raw = Served::mock(api).await.raw().await;
    let headers: Headers<'_> = &[("authorization", KNOWN), ("x-request-id", b"order-17")];
    let status =
        raw.call("/domicile.v1.RoleService/ListRoles", headers, framed(&ListRolesRequest::default())).await.status;
    assert_refused(&status, Code::PermissionDenied, "IDENTITY_NOT_BOUND");
}

const APPROVE: &str = "domicile.v1.RelationshipService/ApproveRelationship";
const ACTING: (&str, &[u8]) = ("x-domicile-acting-user", b"01900000-0000-7000-8000-000000000001");

/// What is refused of a known caller before the call is read, with what the record is told of it.
#[tokio::test]
async fn a_known_caller_who_is_turned_away_is_recorded_and_then_told() {
    let alone = (vec![("authorization", KNOWN)], None);
    let named = (vec![("authorization", KNOWN), ACTING], Some("00000001"));
    for (methods, (headers, person), reason) in [
        (MethodSet::Only(BTreeSet::new()), &alone, "METHOD_NOT_ALLOWED"),
        // Whom the service names is not even looked at.
        (MethodSet::Only(BTreeSet::new()), &(named.0.clone(), None), "METHOD_NOT_ALLOWED"),
        (MethodSet::All, &alone, "ACTING_USER_REQUIRED"),
        (MethodSet::All, &named, "OWN_TOKEN_REQUIRED"),
    ] {
        for fails in [false, true] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let (heard, mut api) = (told.clone(), MockDomicileApi::new());
            api.expect_turned_away().returning(move |call, method, reason| {
                let person = call.actor.user_id().map(|user| user.to_string());
                let service = call.actor.service.name.clone();
                heard.lock().unwrap().push((service, person, call.surface, method.to_owned(), reason.to_owned()));
                if fails { Err(Refusal::new(Reason::StoreUnavailable)) } else { Ok(()) }
            });
            let service = ServicePrincipal { methods: methods.clone(), ..service() };
            let authenticator = Arc::new(TrustingAuthenticator::with_token(service, "known"));
            let served = Served::of(ServerParts { authenticator, ..parts(api) }).await;
            let status = served.raw().await.call(&format!("/{APPROVE}"), headers, Vec::new()).await.status;
            if fails {
                assert_refused(&status, Code::Unavailable, "STORE_UNAVAILABLE");
            } else {
                assert_refused(&status, Code::PermissionDenied, reason);
            }
            let told = told.lock().unwrap();
            let [(service, user, "grpc", APPROVE, heard)] = &told
                .iter()
                .map(|(s, u, f, m, r)| (s.as_str(), u.as_deref(), *f, m.as_str(), r.as_str()))
                .collect::<Vec<_>>()[..]
            else {
                panic!("{told:?}");
            };
            assert_eq!((*service, *heard), ("orders", reason));
            assert_eq!(user.map(|user| &user[user.len() - 8..]), *person);
        }
    }
}
