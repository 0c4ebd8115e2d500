//! Certificate, token and header: each combination, and what is said where they disagree.

use domicile_domain::model::actor::ScopeReach;
use domicile_domain::port::authenticator::{AuthenticationError, Caller, Credentials, PeerNames, PersonClaim};
use serde_json::{Value, json};

use crate::support::{ASSIGN, Installation, LOOKUP, dns, spiffe};

const USER: &str = "0190a1b2-0000-7000-8000-000000000001";

/// What comes of a combination: the service, and how the person is known; or the kind of refusal and a part of its sentence.
fn short(outcome: Result<Caller, AuthenticationError>) -> String {
    let person = |person: Option<PersonClaim>| match person {
        None => "nobody".to_owned(),
        Some(PersonClaim::Named { reach, .. }) if reach == ScopeReach::Workspaces(["acme".parse().unwrap()].into()) => {
            "named".to_owned()
        }
        Some(PersonClaim::Named { .. }) => "named beyond the grant".to_owned(),
        Some(PersonClaim::Proven { own: true, .. }) => "own token".to_owned(),
        Some(PersonClaim::Proven { own: false, .. }) => "exchanged".to_owned(),
        Some(PersonClaim::Ungranted { why, .. }) => format!("somebody without a grant: {why}"),
    };
    match outcome {
        Ok(caller) => format!("{} for {}", caller.service.name, person(caller.person)),
        Err(AuthenticationError::Missing(said)) => format!("missing: {said}"),
        Err(AuthenticationError::Refused(said)) => format!("refused: {said}"),
        Err(AuthenticationError::Unavailable(said)) => format!("unavailable: {said}"),
    }
}

#[tokio::test]
async fn every_combination_of_certificate_token_and_header() {
    let here = Installation::new().await;
    let peers: [(&str, Option<PeerNames>); 4] = [
        ("-", None),
        ("orders", Some(spiffe("spiffe://acme.internal/orders"))),
        ("console", Some(dns(&["console.internal"]))),
        ("unknown", Some(dns(&["elsewhere.internal"]))),
    ];
    let tokens: [(&str, Option<Value>); 8] = [
        ("-", None),
        ("orders", Some(json!({}))),
        ("billing", Some(json!({"client_id": "billing", "sub": "7f3c-billing"}))),
        ("person of orders", Some(json!({"sub": "u-17"}))),
        ("person of a stranger", Some(json!({"sub": "u-17", "client_id": "spa"}))),
        ("stranger", Some(json!({"sub": "spa", "client_id": "spa"}))),
        ("exchanged for orders", Some(json!({"sub": "u-17", "client_id": "spa", "act": {"sub": "orders"}}))),
        ("exchanged for billing", Some(json!({"sub": "u-17", "client_id": "billing", "act": {"sub": "7f3c-billing"}}))),
    ];
    let mut lines = Vec::new();
    for (peer_name, peer) in &peers {
        for (token_name, token) in &tokens {
            for header in [None, Some(USER)] {
                let credentials = Credentials {
                    peer: peer.clone(),
                    bearer: token.as_ref().map(|change| here.token(change)),
                    acting_user: header.map(ToOwned::to_owned),
                };
                let outcome = short(here.call(LOOKUP, credentials).await);
                let header = if header.is_some() { "header" } else { "-" };
                lines.push(format!("{peer_name} | {token_name} | {header} => {outcome}"));
            }
        }
    }
    let actual = lines.join("\n") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/agreement.txt");
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(path, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(path).unwrap(), "DOMICILE_WRITE_DOCS=1 writes it anew");
}

#[tokio::test]
async fn a_header_needs_a_grant_a_method_of_it_and_a_user_id() {
    let here = Installation::new().await;
    let named = |peer: PeerNames, user: &str| Credentials {
        peer: Some(peer),
        bearer: None,
        acting_user: Some(user.to_owned()),
    };
    let orders = || spiffe("spiffe://acme.internal/orders");
    assert_eq!(short(here.call(LOOKUP, named(orders(), USER)).await), "orders for named");
    for (peer, method, user, said) in [
        (
            orders(),
            ASSIGN,
            USER,
            "orders for somebody without a grant: the service may not name whom it acts for by this method",
        ),
        (dns(&["billing.internal"]), LOOKUP, USER, "billing for somebody without a grant: the service has no grant"),
        (
            dns(&["console.internal"]),
            LOOKUP,
            USER,
            "console for somebody without a grant: the service acts for the operator",
        ),
        (orders(), LOOKUP, "anna@acme.example", "refused: the acting user is not a user id"),
        (orders(), LOOKUP, "", "refused: the acting user is not a user id"),
    ] {
        let told = short(here.call(method, named(peer, user)).await);
        assert!(told.starts_with(said), "{told}");
        assert!(!told.contains("anna"), "{told}");
    }
}

#[tokio::test]
async fn all_names_of_a_certificate_tell_one_service() {
    let here = Installation::new().await;
    for (names, said) in [
        (dns(&["orders.internal"]), "orders for nobody"),
        (dns(&["ORDERS.internal"]), "orders for nobody"),
        (dns(&["else.internal", "orders.internal"]), "orders for nobody"),
        (
            PeerNames {
                uris: vec!["spiffe://acme.internal/orders".to_owned()],
                dns_names: vec!["orders.internal".to_owned()],
            },
            "orders for nobody",
        ),
        (dns(&["orders.internal", "billing.internal"]), "refused: the client certificate names two services"),
        (
            PeerNames {
                uris: vec!["spiffe://acme.internal/orders".to_owned()],
                dns_names: vec!["console.internal".to_owned()],
            },
            "refused: the client certificate names two services",
        ),
        (dns(&["sub.orders.internal"]), "refused: the client certificate names no service"),
        (dns(&["*.internal"]), "refused: the client certificate names no service"),
        (spiffe("spiffe://acme.internal/orders/"), "refused: the client certificate names no service"),
        (spiffe("spiffe://acme.internal/ORDERS"), "refused: the client certificate names no service"),
        // A DNS name as a URI, and a SPIFFE id as a DNS name.
        (spiffe("orders.internal"), "refused: the client certificate names no service"),
        (spiffe("dns:orders.internal"), "refused: the client certificate names no service"),
        (dns(&["spiffe://acme.internal/orders"]), "refused: the client certificate names no service"),
        (PeerNames::default(), "refused: the client certificate names no service"),
    ] {
        let told = short(here.call(LOOKUP, Credentials { peer: Some(names.clone()), ..Credentials::default() }).await);
        assert!(told.starts_with(said), "{names:?}: {told}");
    }
}

#[tokio::test]
async fn a_service_comes_with_what_its_configuration_grants() {
    let here = Installation::new().await;
    let of = async |name: &str| {
        let credentials = Credentials { peer: Some(dns(&[name])), ..Credentials::default() };
        here.call(LOOKUP, credentials).await.unwrap().service
    };
    let orders = of("orders.internal").await;
    assert_eq!((orders.operator, orders.scopes.len()), (false, 1));
    assert!(orders.methods.has(ASSIGN) && orders.act_as.is_some());
    let billing = of("billing.internal").await;
    assert!(billing.methods.has(LOOKUP) && !billing.methods.has(ASSIGN) && billing.scopes.is_empty());
    let console = of("console.internal").await;
    assert!(console.operator && console.act_as.is_none());
}
