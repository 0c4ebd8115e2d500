//! Relationships: every field of every request reaches the use case, every field of an answer the wire, and every word is
//! the word of the contract.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{ActingUser, Actor, Means};
use domicile_domain::model::id::Id;
use domicile_domain::model::relationship::{Ceiling, Disclosure, HomeTerms, HostTerms, RelationshipState, Side};
use domicile_domain::model::time::Version;
use domicile_domain::model::workspace::DirectoryVisibility;
use domicile_domain::port::authenticator::PersonClaim;
use domicile_domain::usecase::{
    ApproveRelationship, Call, Changed, Choice, Consistency, GrantsInput, HomeTermsInput, HostTermsInput,
    HostTermsView, MemberEffect, MockDomicileApi, NamedRelationship, Order, OtherWorkspace, Page, PageRequest,
    ProposeRelationship, RelationshipChange, RelationshipEffect, RelationshipFilter, RelationshipView, RequestIdentity,
    RoleLabel, TermsInput, UpdateRelationship, WorkspaceLabel,
};
use domicile_grpc::ServerParts;
use domicile_proto::v1;
use domicile_proto::v1::relationship_service_client::RelationshipServiceClient;
use domicile_proto::v1::{approve_relationship_request, propose_relationship_request};
use domicile_testkit::authenticator::{OWN_TOKEN, TrustingAuthenticator};
use domicile_testkit::builders::{NOW, handle, minute, name, permission_name};
use domicile_testkit::ids::SequentialIds;
use tonic::{Code, Request};

use crate::support::{Served, acting, actor_id, assert_refused, parts, service, signed};

fn call(allowed: Duration) -> Call {
    Call { actor: acting(), deadline: NOW.after(allowed), correlation_id: "order-17".to_owned(), surface: "grpc" }
}

fn named<T>(message: T) -> Request<T> {
    let mut request = signed(message);
    request.metadata_mut().insert("x-request-id", "order-17".parse().unwrap());
    request
}

fn heard<T>() -> Result<T, Refusal> {
    Err(Refusal::new(Reason::NotFound))
}

macro_rules! hears {
    ($api:expr, $method:ident($message:expr)) => {{
        let mut client = RelationshipServiceClient::new(Served::mock($api).await.channel().await);
        let status = client.$method(named($message)).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "NOT_FOUND");
    }};
}

fn host_terms() -> v1::HostTerms {
    v1::HostTerms {
        ceiling: Some(v1::RelationshipCeiling {
            roles: vec!["guest".to_owned()],
            permissions: vec!["orders.read".to_owned()],
        }),
        directory_visibility: v1::DirectoryVisibility::Listed.into(),
        longest_membership: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        acceptance: true,
    }
}

fn host_input() -> HostTermsInput {
    HostTermsInput {
        ceiling: GrantsInput { roles: vec!["guest".to_owned()], permissions: vec!["orders.read".to_owned()] },
        directory_visibility: Choice::Is(DirectoryVisibility::Listed),
        longest_membership: Some(86_400),
        acceptance: true,
    }
}

fn home_terms() -> v1::HomeTerms {
    v1::HomeTerms { disclosure: v1::Disclosure::Full.into(), allows_host: true, acceptance: true }
}

fn home_input() -> HomeTermsInput {
    HomeTermsInput { disclosure: Choice::Is(Disclosure::Full), allows_host: true, acceptance: true }
}

/// The order that the use case must hear of a change, whatever the digest of its body is.
fn order(heard: &Order) -> Order {
    Order {
        workspace: "acme".to_owned(),
        request: RequestIdentity { id: "id-1".to_owned(), fingerprint: heard.request.fingerprint },
        validate_only: true,
    }
}

fn as_read() -> NamedRelationship {
    NamedRelationship { relationship: "r-1".to_owned(), etag: "e-1".to_owned() }
}

#[tokio::test]
async fn propose_relationship_hears_every_field_in_both_forms() {
    use propose_relationship_request::{Target, Terms};
    let forms = [
        (Target::Other("borealis".to_owned()), OtherWorkspace::Named("borealis".to_owned())),
        (Target::MatchHandle("m".to_owned()), OtherWorkspace::HomeOfMatch("m".to_owned())),
    ];
    let sides = [
        (Terms::HostTerms(host_terms()), TermsInput::Host(host_input())),
        (Terms::HomeTerms(home_terms()), TermsInput::Home(home_input())),
    ];
    for ((target, other), (sent, terms)) in forms.into_iter().zip(sides) {
        let mut api = MockDomicileApi::new();
        api.expect_propose_relationship().returning(move |heard_call, heard_order, request| {
            assert_eq!((heard_call, heard_order), (&call(Duration::from_secs(5)), &order(heard_order)));
            let expected = ProposeRelationship { other: Some(other.clone()), terms: Some(terms.clone()) };
            assert_eq!(*request, expected);
            heard()
        });
        let message = v1::ProposeRelationshipRequest {
            workspace: "acme".to_owned(),
            request_id: "id-1".to_owned(),
            target: Some(target),
            terms: Some(sent),
            validate_only: true,
        };
        hears!(api, propose_relationship(message));
    }
}

#[tokio::test]
async fn update_relationship_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_update_relationship().returning(|heard_call, heard_order, request| {
        assert_eq!((heard_call, heard_order), (&call(Duration::from_secs(5)), &order(heard_order)));
        let paths = vec!["host_terms.ceiling".to_owned(), "x".to_owned()];
        let expected =
            UpdateRelationship { named: as_read(), host_terms: host_input(), home_terms: home_input(), paths };
        assert_eq!(*request, expected);
        heard()
    });
    let message = v1::UpdateRelationshipRequest {
        workspace: "acme".to_owned(),
        request_id: "id-1".to_owned(),
        relationship: "r-1".to_owned(),
        etag: "e-1".to_owned(),
        host_terms: Some(host_terms()),
        home_terms: Some(home_terms()),
        update_mask: Some(prost_types::FieldMask { paths: vec!["host_terms.ceiling".to_owned(), "x".to_owned()] }),
        validate_only: true,
    };
    hears!(api, update_relationship(message));
}

/// Only the person can say yes: named by a service they are not heard.
#[tokio::test]
async fn approve_relationship_needs_the_persons_own_token() {
    let mut api = MockDomicileApi::new();
    api.expect_approve_relationship().returning(|_, _, _| heard());
    let mut client = RelationshipServiceClient::new(Served::mock(api).await.channel().await);
    let status = client.approve_relationship(named(v1::ApproveRelationshipRequest::default())).await.unwrap_err();
    assert_refused(&status, Code::PermissionDenied, "OWN_TOKEN_REQUIRED");
}

#[tokio::test]
async fn approve_relationship_hears_every_field_from_the_person() {
    use approve_relationship_request::Terms;
    let forms = [
        (Some(Terms::HostTerms(host_terms())), Some(TermsInput::Host(host_input()))),
        (Some(Terms::HomeTerms(home_terms())), Some(TermsInput::Home(home_input()))),
        (None, None),
    ];
    for (sent, terms) in forms {
        let person = Actor { user: Some(ActingUser { id: actor_id(), means: Means::OwnToken }), ..acting() };
        let expected_call = Call { actor: person.clone(), ..call(Duration::from_secs(5)) };
        let mut api = MockDomicileApi::new();
        api.expect_identify().returning(move |caller, _| {
            assert!(matches!(caller.person, Some(PersonClaim::Proven { own: true, .. })), "{caller:?}");
            Ok(person.clone())
        });
        api.expect_approve_relationship().returning(move |heard_call, heard_order, request| {
            assert_eq!((heard_call, heard_order), (&expected_call, &order(heard_order)));
            assert_eq!(*request, ApproveRelationship { named: as_read(), terms: terms.clone() });
            heard()
        });
        let authenticator = Arc::new(TrustingAuthenticator::new(service()));
        let served = Served::of(ServerParts { authenticator, ..parts(api) }).await;
        let mut request = Request::new(v1::ApproveRelationshipRequest {
            workspace: "acme".to_owned(),
            request_id: "id-1".to_owned(),
            relationship: "r-1".to_owned(),
            etag: "e-1".to_owned(),
            terms: sent,
            validate_only: true,
        });
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {OWN_TOKEN}anna").parse().unwrap());
        metadata.insert("x-request-id", "order-17".parse().unwrap());
        let mut client = RelationshipServiceClient::new(served.channel().await);
        let status = client.approve_relationship(request).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "NOT_FOUND");
    }
}

macro_rules! moves {
    ($($test:ident: $expect:ident, $method:ident($request:ident);)*) => {$(
        #[tokio::test]
        async fn $test() {
            let mut api = MockDomicileApi::new();
            api.$expect().returning(|heard_call, heard_order, request| {
                assert_eq!((heard_call, heard_order), (&call(Duration::from_secs(5)), &order(heard_order)));
                assert_eq!(*request, as_read());
                heard()
            });
            let message = v1::$request {
                workspace: "acme".to_owned(),
                request_id: "id-1".to_owned(),
                relationship: "r-1".to_owned(),
                etag: "e-1".to_owned(),
                validate_only: true,
            };
            hears!(api, $method(message));
        }
    )*};
}

moves! {
    decline_hears_every_field: expect_decline_relationship, decline_relationship(DeclineRelationshipRequest);
    suspend_hears_every_field: expect_suspend_relationship, suspend_relationship(SuspendRelationshipRequest);
    resume_hears_every_field: expect_resume_relationship, resume_relationship(ResumeRelationshipRequest);
    end_hears_every_field: expect_end_relationship, end_relationship(EndRelationshipRequest);
}

#[tokio::test]
async fn reads_hear_every_field() {
    let fresh =
        || v1::Consistency { requirement: Some(v1::consistency::Requirement::AtLeastAsFresh("written".to_owned())) };
    let expected_fresh = Consistency::AtLeastAsFresh("written".to_owned());
    let mut api = MockDomicileApi::new();
    let expected = expected_fresh.clone();
    api.expect_get_relationship().returning(move |heard_call, workspace, relationship, consistency| {
        assert_eq!(*heard_call, call(Duration::from_secs(2)));
        assert_eq!((workspace, relationship, consistency), ("acme", "r-1", &expected));
        heard()
    });
    let message = v1::GetRelationshipRequest {
        workspace: "acme".to_owned(),
        relationship: "r-1".to_owned(),
        consistency: Some(fresh()),
    };
    hears!(api, get_relationship(message));

    let all: Vec<i32> = (1..=6).collect();
    let states = RelationshipState::ALL.into_iter().map(Some).chain([None]).collect::<Vec<_>>();
    for (side, expected_side) in
        [(0, Choice::Unset), (1, Choice::Is(Side::Host)), (2, Choice::Is(Side::Home)), (9, Choice::Unknown)]
    {
        let mut api = MockDomicileApi::new();
        let filter = RelationshipFilter { side: expected_side, states: states.clone() };
        let expected_fresh = expected_fresh.clone();
        api.expect_list_relationships().returning(move |heard_call, workspace, heard_filter, page, consistency| {
            assert_eq!(*heard_call, call(Duration::from_secs(30)));
            let expected = PageRequest { size: 17, token: "next".to_owned() };
            assert_eq!((workspace, page, consistency), ("acme", &expected, &expected_fresh));
            assert_eq!(*heard_filter, filter);
            heard()
        });
        let message = v1::ListRelationshipsRequest {
            workspace: "acme".to_owned(),
            side,
            states: all.clone(),
            page_size: 17,
            page_token: "next".to_owned(),
            consistency: Some(fresh()),
        };
        hears!(api, list_relationships(message));
    }
}

fn id<K>(number: u64) -> Id<K> {
    Id::from_uuid(SequentialIds::numbered(number))
}

fn text(number: u64) -> String {
    SequentialIds::numbered(number).to_string()
}

fn at(minutes: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: NOW.as_micros() / 1_000_000 + 60 * minutes, nanos: 0 }
}

fn view() -> RelationshipView {
    let label = |number, text| WorkspaceLabel { id: id(number), handle: handle(text), display_name: name(text) };
    let ceiling =
        Ceiling { roles: BTreeSet::from([id(4)]), permissions: BTreeSet::from([permission_name("orders.read")]) };
    RelationshipView {
        id: id(1),
        own_side: Side::Home,
        host: label(2, "acme"),
        home: Some(label(3, "borealis")),
        state: RelationshipState::Active,
        suspended_by_host: true,
        suspended_by_home: false,
        host_terms: Some(HostTermsView {
            terms: HostTerms {
                ceiling,
                directory_visibility: Some(DirectoryVisibility::NameOnly),
                longest_membership: Some(Duration::from_secs(90)),
                acceptance: true,
            },
            roles: vec![RoleLabel { id: id(4), handle: handle("guest"), display_name: name("Guest") }],
        }),
        home_terms: Some(HomeTerms {
            disclosure: Some(Disclosure::MaskedContact),
            allows_host: true,
            acceptance: false,
        }),
        proposed_by_side: Side::Host,
        proposed_by: Some(id(5)),
        proposed_at: minute(6),
        lapses_at: Some(minute(7)),
        answered_by: Some(id(8)),
        answered_at: Some(minute(9)),
        ended_at: Some(minute(10)),
        version: Version::from_stored(11),
    }
}

fn on_the_wire() -> v1::Relationship {
    let label = |number, text: &str| v1::WorkspaceLabel {
        uid: self::text(number),
        handle: text.to_owned(),
        display_name: text.to_owned(),
    };
    v1::Relationship {
        name: format!("relationships/{}", text(1)),
        uid: text(1),
        own_side: v1::RelationshipSide::Home.into(),
        host: Some(label(2, "acme")),
        home: Some(label(3, "borealis")),
        state: v1::RelationshipState::Active.into(),
        suspended_by_host: true,
        suspended_by_home: false,
        host_terms: Some(v1::HostTerms {
            ceiling: Some(v1::RelationshipCeiling {
                roles: vec![format!("workspaces/{}/roles/{}", text(2), text(4))],
                permissions: vec!["orders.read".to_owned()],
            }),
            directory_visibility: v1::DirectoryVisibility::NameOnly.into(),
            longest_membership: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
            acceptance: true,
        }),
        home_terms: Some(v1::HomeTerms {
            disclosure: v1::Disclosure::MaskedContact.into(),
            allows_host: true,
            acceptance: false,
        }),
        proposed_by_side: v1::RelationshipSide::Host.into(),
        proposed_by: text(5),
        propose_time: Some(at(6)),
        lapse_time: Some(at(7)),
        answered_by: text(8),
        answer_time: Some(at(9)),
        end_time: Some(at(10)),
        etag: format!("{}-11", text(1)),
        ceiling_roles: vec![v1::RoleLabel {
            uid: text(4),
            handle: "guest".to_owned(),
            display_name: "Guest".to_owned(),
        }],
    }
}

#[tokio::test]
async fn answers_say_everything_and_nothing_that_is_not_known() {
    let effect = RelationshipEffect {
        externals: 12,
        affected: 2,
        members: vec![MemberEffect {
            user: id(20),
            gains: BTreeSet::from([permission_name("orders.read")]),
            loses: BTreeSet::from([permission_name("orders.write")]),
        }],
    };
    let change = RelationshipChange { view: view(), effect: Some(effect) };
    let mut api = MockDomicileApi::new();
    api.expect_suspend_relationship().return_const(Ok(Changed {
        thing: Some(change),
        consistency_token: Some("token".to_owned()),
        replayed: true,
        budget: Vec::new(),
    }));
    let bare = RelationshipView { home: None, host_terms: None, home_terms: None, ..view() };
    api.expect_list_relationships().return_const(Ok(Page { items: vec![bare], next_token: "next".to_owned() }));
    api.expect_get_relationship().return_const(Ok(view()));
    let mut client = RelationshipServiceClient::new(Served::mock(api).await.channel().await);
    let answer = client.suspend_relationship(signed(v1::SuspendRelationshipRequest::default())).await.unwrap();
    assert_eq!(answer.metadata().get("x-domicile-replayed").unwrap(), "true");
    let expected = v1::SuspendRelationshipResponse {
        relationship: Some(on_the_wire()),
        effect: Some(v1::RelationshipEffect {
            external_count: 12,
            affected_count: 2,
            members: vec![v1::MemberEffect {
                user: text(20),
                gains: vec!["orders.read".to_owned()],
                loses: vec!["orders.write".to_owned()],
            }],
        }),
        consistency_token: "token".to_owned(),
    };
    assert_eq!(answer.into_inner(), expected);
    let answer = client.get_relationship(signed(v1::GetRelationshipRequest::default())).await.unwrap();
    assert_eq!(answer.into_inner().relationship, Some(on_the_wire()));
    let answer = client.list_relationships(signed(v1::ListRelationshipsRequest::default())).await.unwrap();
    let bare =
        v1::Relationship { home: None, host_terms: None, home_terms: None, ceiling_roles: Vec::new(), ..on_the_wire() };
    let expected = v1::ListRelationshipsResponse { relationships: vec![bare], next_page_token: "next".to_owned() };
    assert_eq!(answer.into_inner(), expected);
}
