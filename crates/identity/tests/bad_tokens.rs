//! Every bad token: which sentence is said, and that nothing of the token is in it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domicile_domain::port::authenticator::AuthenticationError;
use domicile_identity::Algorithm;
use domicile_identity::issuer::{LoopbackIssuer, SigningKey};
use ring::hmac;
use serde_json::{Value, json};

use crate::support::{Installation, RSA, SERVICES};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token whose signature is a hash with a secret that everybody knows.
fn hashed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// What must not be said again; it stands in claims and headers of the tokens below.
const CANARY: &str = "canary";

async fn refused(here: &Installation, name: &str, token: &str, said: &str) {
    let error = here.bearer(token).await.err().unwrap_or_else(|| panic!("{name} was accepted"));
    let AuthenticationError::Refused(sentence) = &error else { panic!("{name}: {error:?}") };
    assert!(sentence.contains(said), "{name}: {sentence}");
    assert!(!sentence.contains(CANARY), "{name}: {sentence}");
    for part in token.split('.').filter(|part| part.len() > 3) {
        assert!(!sentence.contains(part), "{name}: {sentence}");
    }
}

#[tokio::test]
async fn what_is_no_signed_token_is_refused() {
    let here = Installation::new().await;
    let good = here.token(&json!({}));
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let no_json = URL_SAFE_NO_PAD.encode("{\"alg\":\"ES256\"");
    let twice = URL_SAFE_NO_PAD.encode("{\"iss\":\"a\",\"iss\":\"b\"}");
    let invalid_utf8 = URL_SAFE_NO_PAD.encode(b"{\"iss\":\"\xff\"}");
    for (name, token) in [
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("text", "canary".to_owned()),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts of an encrypted token", format!("{header}.{claims}.{signature}.{claims}.{signature}")),
        ("a space", format!("{good} ")),
        ("padding", format!("{good}=")),
        ("the other alphabet", format!("{header}.{claims}.+/{signature}")),
        ("half a header", format!("{no_json}.{claims}.{signature}")),
        ("a list for a header", format!("{}.{claims}.{signature}", part(&json!([1])))),
        ("a claim twice", format!("{header}.{twice}.{signature}")),
        ("claims that are not UTF-8", format!("{header}.{invalid_utf8}.{signature}")),
        ("claims that are a text", format!("{header}.{}.{signature}", part(&json!("canary")))),
    ] {
        refused(&here, name, &token, "not a signed JWT").await;
    }
    refused(&here, "oversized", &format!("{good}{}", "A".repeat(8 * 1024)), "longer than 8 KiB").await;
    let large = here.token(&json!({"groups": vec![CANARY; 800]}));
    refused(&here, "oversized and good", &large, "longer than 8 KiB").await;
}

#[tokio::test]
async fn no_signature_and_a_hash_with_the_public_key_are_refused() {
    let key = SigningKey::from_pkcs8("canary", Algorithm::Rs256, RSA).unwrap();
    let public = key.public();
    let here = Installation::with(SERVICES, key).await;
    let claims = here.claims(&json!({"jti": CANARY}));
    let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS384", "PS256", "ES384", "ES256K", "rs256"]
    {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": CANARY});
        let unsigned = format!("{}.{}.", part(&header), part(&claims));
        refused(&here, alg, &unsigned, "not signed by ES256, EdDSA or RS256").await;
        for secret in [public.to_string().as_bytes(), public["n"].as_str().unwrap().as_bytes(), &modulus] {
            refused(&here, alg, &hashed(&header, &claims, secret), "not signed by ES256, EdDSA or RS256").await;
        }
    }
    // Said to be what the key is for, and still a hash, or nothing.
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": CANARY});
    for secret in [public.to_string().as_bytes(), &modulus] {
        refused(&here, "a hash", &hashed(&header, &claims, secret), "the signature of the token is not right").await;
    }
    let unsigned = format!("{}.{}.", part(&header), part(&claims));
    refused(&here, "nothing", &unsigned, "the signature of the token is not right").await;
    // Another kind than the key is.
    for alg in ["ES256", "EdDSA"] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": CANARY});
        refused(&here, alg, &here.key.sign(&header, &claims).unwrap(), "does not publish for this algorithm").await;
    }
    assert!(here.bearer(&here.key.token(&claims).unwrap()).await.is_ok(), "the control");
}

#[tokio::test]
async fn keys_that_are_not_the_issuers_are_refused() {
    let here = Installation::new().await;
    let claims = here.claims(&json!({"jti": CANARY}));
    let stranger = SigningKey::generate("first", Algorithm::Es256).unwrap();
    refused(&here, "the name of another key", &stranger.token(&claims).unwrap(), "signature of the token is not right")
        .await;
    let own = json!({"alg": "ES256", "typ": "at+jwt", "kid": "first", "jwk": stranger.public(), "jku": "http://127.0.0.1/canary",
        "x5u": "http://127.0.0.1/canary", "x5c": [CANARY]});
    refused(
        &here,
        "a key that it brings",
        &stranger.sign(&own, &claims).unwrap(),
        "signature of the token is not right",
    )
    .await;
    let unknown = SigningKey::generate("canary", Algorithm::Es256).unwrap();
    refused(&here, "an unknown key", &unknown.token(&claims).unwrap(), "a key that its issuer does not publish").await;
    let unnamed = json!({"alg": "ES256", "typ": "at+jwt"});
    refused(
        &here,
        "no name, another key",
        &stranger.sign(&unnamed, &claims).unwrap(),
        "signature of the token is not right",
    )
    .await;
    here.issuer.publish(&unknown);
    here.clock.advance(std::time::Duration::from_secs(10));
    assert!(here.bearer(&unknown.token(&claims).unwrap()).await.is_ok(), "published, it is known");
    refused(&here, "no name", &unknown.sign(&unnamed, &claims).unwrap(), "does not name its key (`kid`)").await;
    assert!(here.bearer(&here.token(&json!({}))).await.is_ok(), "the control");
}

#[tokio::test]
async fn a_key_of_one_issuer_does_not_sign_for_another() {
    let other = LoopbackIssuer::start(0).await.unwrap();
    let both = format!(
        "{SERVICES}\n[[issuers]]\nurl = \"{}\"\naudience = \"https://domicile.acme.example\"\njwks_url = \"{}\"",
        other.url(),
        other.keys_url()
    );
    let here = Installation::with(&both, SigningKey::generate("same", Algorithm::Es256).unwrap()).await;
    let its_key = SigningKey::generate("same", Algorithm::Es256).unwrap();
    other.publish(&its_key);
    let as_ours = its_key.token(&here.claims(&json!({}))).unwrap();
    refused(&here, "the other's key in our name", &as_ours, "signature of the token is not right").await;
    let replayed = here.token(&json!({"iss": other.url()}));
    refused(&here, "our token in the other's name", &replayed, "signature of the token is not right").await;
    // The other issuer vouches for a client of the same name, which is not the service's at that issuer.
    let its_own = its_key.token(&here.claims(&json!({"iss": other.url()}))).unwrap();
    refused(&here, "the other's own", &its_own, "a client that is no service here").await;
    for iss in ["https://canary.example", "", &format!("{}/", here.issuer.url())] {
        let said = if iss.is_empty() { "no usable claim `iss`" } else { "an issuer that is not trusted here" };
        refused(&here, iss, &here.token(&json!({"iss": iss})), said).await;
    }
    assert!(here.bearer(&here.token(&json!({}))).await.is_ok(), "the control");
}

#[tokio::test]
async fn claims_and_headers_that_are_not_right_are_refused() {
    let here = Installation::new().await;
    let now = here.now();
    for (change, said) in [
        (json!({"exp": now - 60}), "has expired"),
        (json!({"exp": now - 86_400}), "has expired"),
        (json!({"exp": 0}), "has expired"),
        (json!({"nbf": now + 61}), "not valid yet"),
        (json!({"iat": now + 61}), "not valid yet"),
        (json!({"iat": now - 90_000, "exp": now + 90_000}), "issued too long ago"),
        (json!({"aud": "https://canary.example"}), "not meant for this service"),
        (
            json!({"aud": ["https://canary.example", "https://domicile.acme.example.evil"]}),
            "not meant for this service",
        ),
        (json!({"aud": []}), "not meant for this service"),
        (json!({"aud": null}), "no usable claim `aud`"),
        (json!({"aud": 7}), "no usable claim `aud`"),
        (json!({"exp": null}), "no usable claim `exp`"),
        (json!({"exp": -1}), "no usable claim `exp`"),
        (json!({"exp": 1e300}), "no usable claim `exp`"),
        (json!({"exp": u64::MAX}), "no usable claim `exp`"),
        (json!({"exp": i64::MAX}), "no usable claim `exp`"),
        (json!({"exp": "2030-01-01"}), "not a signed JWT"),
        (json!({"iat": null}), "no usable claim `iat`"),
        (json!({"iat": i64::MIN}), "no usable claim `iat`"),
        (json!({"nbf": 1e99}), "no usable claim `nbf`"),
        (json!({"iss": null}), "no usable claim `iss`"),
        (json!({"iss": [here.issuer.url()]}), "no usable claim `iss`"),
        (json!({"sub": null}), "no usable claim `sub`"),
        (json!({"sub": ""}), "no usable claim `sub`"),
        (json!({"sub": "canary\n"}), "no usable claim `sub`"),
        (json!({"sub": CANARY.repeat(43)}), "no usable claim `sub`"),
        (json!({"client_id": 7}), "no usable claim `client_id`"),
        (json!({"azp": ""}), "no usable claim `azp`"),
        (json!({"azp": CANARY}), "two clients"),
        (json!({"client_id": CANARY, "sub": CANARY}), "a client that is no service here"),
        (json!({"client_id": CANARY, "sub": "u-17"}), "a client that is no service here"),
        (json!({"client_id": null, "sub": "u-17"}), "a client that is no service here"),
        (json!({"act": {"sub": CANARY}, "sub": "u-17"}), "the service that acts in the token"),
        (json!({"act": {"sub": "billing"}, "sub": "u-17"}), "the service that acts in the token"),
        (json!({"act": {"sub": "7f3c-billing"}, "sub": "u-17"}), "names two services"),
        (json!({"client_id": "7f3c-billing", "sub": "u-17"}), "a client that is no service here"),
        (json!({"act": {}, "sub": "u-17"}), "no usable claim `act.sub`"),
        (json!({"act": CANARY, "sub": "u-17"}), "no usable claim `act.sub`"),
        (json!({"act": {"sub": "orders", "iss": "https://canary.example"}}), "no usable claim `act.iss`"),
        (json!({"act": {"act": {"sub": "orders"}}}), "no usable claim `act.sub`"),
    ] {
        refused(&here, &change.to_string(), &here.token(&change), said).await;
    }
    for (header, said) in [
        (json!({"typ": "JWT"}), "not of a type that is accepted"),
        (json!({"typ": null}), "not of a type that is accepted"),
        (json!({"typ": "dpop+jwt"}), "not of a type that is accepted"),
        (json!({"typ": "at+jwt+canary"}), "not of a type that is accepted"),
        (json!({"crit": ["b64"], "b64": false}), "demands an extension"),
        (json!({"crit": []}), "demands an extension"),
        (json!({"kid": 7}), "not a signed JWT"),
        (json!({"alg": null}), "not a signed JWT"),
        (json!({"alg": "EdDSA"}), "does not publish for this algorithm"),
    ] {
        let mut whole = json!({"typ": "at+jwt", "alg": "ES256", "kid": "first"});
        for (name, value) in header.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let token = here.key.sign(&whole, &here.claims(&json!({"jti": CANARY}))).unwrap();
        refused(&here, &header.to_string(), &token, said).await;
    }
    let narrow = SERVICES.replace("trusted_homes", "algorithms = [\"EdDSA\"]\ntrusted_homes");
    let narrow = Installation::with(&narrow, SigningKey::generate("k", Algorithm::Es256).unwrap()).await;
    refused(&narrow, "an algorithm left out", &narrow.token(&json!({})), "not accepted from its issuer").await;
}

#[tokio::test]
async fn the_audience_that_is_wanted_is_told_to_whoever_has_a_token_of_the_issuer_alone() {
    let here = Installation::new().await;
    refused(&here, "signed", &here.token(&json!({"aud": CANARY})), "https://domicile.acme.example").await;
    let stranger = SigningKey::generate("first", Algorithm::Es256).unwrap();
    let forged = stranger.token(&here.claims(&json!({"aud": CANARY}))).unwrap();
    refused(&here, "forged", &forged, "signature of the token is not right").await;
}

#[tokio::test]
async fn an_old_token_of_a_key_that_is_gone_is_old_and_costs_no_question_to_the_issuer() {
    let here = Installation::new().await;
    assert!(here.bearer(&here.token(&json!({}))).await.is_ok());
    here.clock.advance(std::time::Duration::from_secs(10));
    let gone = SigningKey::generate("gone", Algorithm::Es256).unwrap();
    let old = gone.token(&here.claims(&json!({"exp": here.now() - 60}))).unwrap();
    refused(&here, "old", &old, "has expired").await;
    assert_eq!(here.issuer.asked(), 1);
    let young = gone.token(&here.claims(&json!({}))).unwrap();
    refused(&here, "the control", &young, "a key that its issuer does not publish").await;
    assert_eq!(here.issuer.asked(), 2);
}
