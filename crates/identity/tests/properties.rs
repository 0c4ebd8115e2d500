//! Nothing that was not signed is believed, whatever it is made of.

use std::sync::LazyLock;

use domicile_domain::port::authenticator::{Authenticator, Credentials};
use domicile_identity::Algorithm;
use domicile_identity::issuer::SigningKey;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::{Installation, LOOKUP, RSA, SERVICES};

struct Stage {
    runtime: Runtime,
    all: Vec<(Installation, String)>,
}

/// One installation for each algorithm, with a token that is good there.
static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let keys = [
        SigningKey::generate("k", Algorithm::Es256).unwrap(),
        SigningKey::generate("k", Algorithm::EdDsa).unwrap(),
        SigningKey::from_pkcs8("k", Algorithm::Rs256, RSA).unwrap(),
    ];
    let all = runtime.block_on(async {
        let mut all = Vec::new();
        for key in keys {
            let here = Installation::with(SERVICES, key).await;
            let token = here.token(&json!({"sub": "u-17", "act": {"sub": "orders"}}));
            assert!(here.bearer(&token).await.is_ok());
            all.push((here, token));
        }
        all
    });
    Stage { runtime, all }
});

fn is_accepted(here: &Installation, token: &str) -> bool {
    let credentials = Credentials { bearer: Some(token.to_owned()), ..Credentials::default() };
    STAGE.runtime.block_on(here.authenticator.authenticate(LOOKUP, &credentials)).is_ok()
}

/// A change of the text of a token.
#[derive(Debug, Clone)]
enum Change {
    Put(Index, char),
    Insert(Index, char),
    Remove(Index),
    Cut(Index),
    Double(Index),
    SwapParts(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let letter = prop_oneof![proptest::char::range(' ', '~'), Just('.'), Just('='), any::<char>()];
    prop_oneof![
        (any::<Index>(), letter.clone()).prop_map(|(at, letter)| Change::Put(at, letter)),
        (any::<Index>(), letter).prop_map(|(at, letter)| Change::Insert(at, letter)),
        any::<Index>().prop_map(Change::Remove),
        any::<Index>().prop_map(Change::Cut),
        any::<Index>().prop_map(Change::Double),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::SwapParts(a, b)),
    ]
}

fn changed(text: &str, change: &Change) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    if letters.is_empty() {
        return String::new();
    }
    let len = letters.len();
    match change {
        Change::Put(at, letter) => letters[at.index(len)] = *letter,
        Change::Insert(at, letter) => letters.insert(at.index(len), *letter),
        Change::Remove(at) => {
            letters.remove(at.index(len));
        }
        Change::Cut(at) => letters.truncate(at.index(len)),
        Change::Double(at) => letters.extend_from_within(at.index(len)..),
        Change::SwapParts(a, b) => {
            let mut parts: Vec<&str> = text.split('.').collect();
            let len = parts.len();
            parts.swap(a.index(len), b.index(len));
            return parts.join(".");
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_token_that_was_changed_is_not_believed(which in any::<Index>(), changes in prop::collection::vec(change(), 1..4)) {
        let (here, good) = which.get(&STAGE.all);
        let token = changes.iter().fold(good.clone(), |token, change| changed(&token, change));
        prop_assume!(token != *good);
        prop_assert!(!is_accepted(here, &token), "{token}");
    }

    #[test]
    fn a_bit_of_the_signed_bytes_is_not_believed_otherwise(which in any::<Index>(), at in any::<Index>(), bit in 0u32..8) {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (here, good) = which.get(&STAGE.all);
        let mut parts: Vec<Vec<u8>> = good.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let sizes: usize = parts.iter().map(Vec::len).sum();
        let mut left = at.index(sizes);
        let part = parts.iter_mut().find(|part| { let here = left < part.len(); if !here { left -= part.len(); } here }).unwrap();
        part[left] ^= 1 << bit;
        let token = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".");
        prop_assert!(!is_accepted(here, &token), "{token}");
    }

    #[test]
    fn what_is_no_token_is_not_believed(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (here, _) = &STAGE.all[0];
        prop_assert!(!is_accepted(here, &text));
        prop_assert!(!is_accepted(here, &String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn headers_and_claims_of_any_form_are_read_without_a_panic(header in json_text(), claims in json_text(), signature in "[A-Za-z0-9_-]{0,90}") {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (here, _) = &STAGE.all[0];
        let token = format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        prop_assert!(!is_accepted(here, &token));
    }
}

/// JSON whose members have the names that matter and values of any kind.
fn json_text() -> impl Strategy<Value = String> {
    let names =
        ["alg", "typ", "kid", "crit", "iss", "sub", "aud", "exp", "nbf", "iat", "client_id", "azp", "act", "email"];
    let value = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        prop::sample::select(vec!["ES256", "at+jwt", "k", "orders", "https://domicile.acme.example", ""])
            .prop_map(|s| json!(s)),
        prop::collection::vec(any::<i8>(), 0..3).prop_map(|list| json!(list)),
        Just(json!({"sub": "orders"})),
    ];
    let members = prop::collection::btree_map(prop::sample::select(names.to_vec()), value, 0..10);
    members.prop_map(|members| json!(members).to_string())
}
