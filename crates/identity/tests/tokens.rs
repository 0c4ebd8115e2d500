//! What good tokens say.

use domicile_domain::model::actor::ScopeReach;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::user::Identity;
use domicile_domain::port::authenticator::{Credentials, PersonClaim};
use domicile_identity::Algorithm;
use domicile_identity::issuer::SigningKey;
use serde_json::json;

use crate::support::{Installation, LOOKUP, RSA, SERVICES, dns};

#[tokio::test]
async fn each_algorithm_is_believed_and_a_token_is_checked_once_a_minute_with_the_same_answer() {
    let keys = [
        SigningKey::generate("k", Algorithm::Es256).unwrap(),
        SigningKey::generate("k", Algorithm::EdDsa).unwrap(),
        SigningKey::from_pkcs8("k", Algorithm::Rs256, RSA).unwrap(),
    ];
    for key in keys {
        let algorithm = key.algorithm();
        let here = Installation::with(SERVICES, key).await;
        let token = here.token(&json!({}));
        let first = here.bearer(&token).await.unwrap();
        assert_eq!((first.service.name.as_str(), &first.person), ("orders", &None), "{algorithm}");
        assert_eq!(here.bearer(&token).await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_key_needs_no_name_where_there_is_one_for_the_algorithm() {
    let here = Installation::new().await;
    here.issuer.publish(&SigningKey::generate("other", Algorithm::EdDsa).unwrap());
    let token = here.key.sign(&json!({"typ": "at+jwt", "alg": "ES256"}), &here.claims(&json!({}))).unwrap();
    assert_eq!(here.bearer(&token).await.unwrap().service.name, "orders");
}

#[tokio::test]
async fn types_are_compared_as_media_types_are_and_ed25519_is_another_name_of_eddsa() {
    let here = Installation::with(SERVICES, SigningKey::generate("k", Algorithm::EdDsa).unwrap()).await;
    for header in [
        json!({"typ": "application/at+jwt", "alg": "EdDSA", "kid": "k"}),
        json!({"typ": "AT+JWT", "alg": "Ed25519", "kid": "k", "x5t": "unknown members do not matter"}),
    ] {
        let token = here.key.sign(&header, &here.claims(&json!({}))).unwrap();
        assert!(here.bearer(&token).await.is_ok(), "{header}");
    }
}

#[tokio::test]
async fn an_issuer_before_rfc_9068_is_believed_where_the_settings_say_so() {
    let older = SERVICES.replace("trusted_homes", "token_types = [\"at+jwt\", \"JWT\"]\ntrusted_homes");
    let here = Installation::with(&older, SigningKey::generate("k", Algorithm::Es256).unwrap()).await;
    for header in [json!({"typ": "JWT", "alg": "ES256", "kid": "k"}), json!({"alg": "ES256", "kid": "k"})] {
        let claims = here.claims(&json!({"client_id": null, "azp": "orders"}));
        let caller = here.bearer(&here.key.sign(&header, &claims).unwrap()).await.unwrap();
        assert_eq!((caller.service.name.as_str(), caller.person), ("orders", None));
    }
}

#[tokio::test]
async fn a_service_may_have_a_subject_of_its_own() {
    let here = Installation::new().await;
    let caller = here.bearer(&here.token(&json!({"client_id": "billing", "sub": "7f3c-billing"}))).await.unwrap();
    assert_eq!((caller.service.name.as_str(), caller.person), ("billing", None));
    let caller = here.bearer(&here.token(&json!({"client_id": "billing", "sub": "billing"}))).await.unwrap();
    assert!(caller.person.is_some(), "where the subject is configured, the client's name is anybody's");
}

#[tokio::test]
async fn a_persons_own_token_and_an_exchanged_one_are_told_apart() {
    let here = Installation::new().await;
    let person = |own, verified_email: Option<&str>| {
        Some(PersonClaim::Proven {
            identity: Identity { issuer: here.issuer.url(), subject: "u-17".to_owned() },
            own,
            verified_email: verified_email.map(|email| EmailAddress::parse(email).unwrap()),
            trusted_for: Some(ScopeReach::Workspaces(["acme".parse().unwrap()].into())),
        })
    };
    let email = Some("anna@acme.example");
    for (change, service, expected) in [
        (json!({"sub": "u-17"}), "orders", person(true, None)),
        (json!({"sub": "u-17", "email": email, "email_verified": true}), "orders", person(true, email)),
        (json!({"sub": "u-17", "email": email, "email_verified": false}), "orders", person(true, None)),
        (json!({"sub": "u-17", "email": email, "email_verified": "true"}), "orders", person(true, None)),
        (json!({"sub": "u-17", "email": email}), "orders", person(true, None)),
        (json!({"sub": "u-17", "email": "none", "email_verified": true}), "orders", person(true, None)),
        (json!({"sub": "u-17", "act": {"sub": "orders"}}), "orders", person(false, None)),
        (json!({"sub": "u-17", "act": {"sub": "orders", "iss": here.issuer.url()}}), "orders", person(false, None)),
        (json!({"sub": "u-17", "client_id": "spa", "act": {"sub": "orders"}}), "orders", person(false, None)),
        (json!({"sub": "u-17", "client_id": null, "act": {"sub": "7f3c-billing"}}), "billing", person(false, None)),
        (
            json!({"sub": "u-17", "client_id": "billing", "act": {"sub": "7f3c-billing"}}),
            "billing",
            person(false, None),
        ),
        (
            json!({"sub": "u-17", "act": {"sub": "orders", "act": {"sub": "gateway"}}, "email": email, "email_verified": true}),
            "orders",
            person(false, email),
        ),
    ] {
        let caller = here.bearer(&here.token(&change)).await.unwrap();
        assert_eq!((caller.service.name.as_str(), caller.person), (service, expected), "{change}");
    }
}

#[tokio::test]
async fn an_issuer_that_exchanges_without_saying_so_is_not_taken_for_the_person() {
    let silent = SERVICES.replace("client_id = \"orders\"", "client_id = \"orders\", exchanges = true");
    let here = Installation::with(&silent, SigningKey::generate("k", Algorithm::Es256).unwrap()).await;
    for (change, is_own) in [
        (json!({"sub": "u-17"}), false),
        (json!({"sub": "u-17", "client_id": "console"}), true),
        (json!({"sub": "u-17", "act": {"sub": "orders"}}), false),
    ] {
        let person = here.bearer(&here.token(&change)).await.unwrap().person;
        assert!(matches!(person, Some(PersonClaim::Proven { own, .. }) if own == is_own), "{change}: {person:?}");
    }
    assert_eq!(here.bearer(&here.token(&json!({}))).await.unwrap().person, None);
}

#[tokio::test]
async fn times_are_read_with_the_leeway_and_fractions() {
    let here = Installation::new().await;
    let now = here.now();
    for (change, good) in [
        (json!({"exp": now - 59}), true),
        (json!({"exp": now - 60}), false),
        (json!({"exp": now - 60, "nbf": now}), false),
        (json!({"iat": now + 60}), true),
        (json!({"iat": now + 61}), false),
        (json!({"nbf": now + 60}), true),
        (json!({"nbf": now + 61}), false),
        (json!({"iat": now - 24 * 3600 - 59}), true),
        (json!({"iat": now - 24 * 3600 - 60}), false),
        (json!({"iat": 1.5, "exp": now + 1}), false),
        #[expect(clippy::cast_precision_loss, reason = "some seconds fit")]
        (json!({"iat": now as f64 - 0.5, "exp": now as f64 + 0.5}), true),
        (json!({"aud": ["https://other.example", "https://domicile.acme.example"]}), true),
    ] {
        assert_eq!(here.bearer(&here.token(&change)).await.is_ok(), good, "{change}");
    }
}

#[tokio::test]
async fn a_good_token_is_good_until_it_ends_and_no_longer() {
    let here = Installation::new().await;
    let token = here.token(&json!({"exp": here.now() + 5}));
    assert!(here.bearer(&token).await.is_ok());
    here.clock.advance(std::time::Duration::from_secs(64));
    assert!(here.bearer(&token).await.is_ok());
    here.clock.advance(std::time::Duration::from_secs(1));
    assert!(here.bearer(&token).await.unwrap_err().to_string().contains("expired"));
}

#[tokio::test]
async fn who_only_connects_is_the_service() {
    let here = Installation::new().await;
    let caller =
        here.call(LOOKUP, Credentials { peer: Some(dns(&["billing.internal"])), ..Credentials::default() }).await;
    assert!(caller.is_ok_and(|caller| caller.service.name == "billing" && caller.person.is_none()));
}
