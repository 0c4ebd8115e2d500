//! Who calls a development instance: services and people by tokens of an issuer of its own, as an installation has them.
//!
//! The issuer has one key, in the credentials of the data folder. It publishes the public half on loopback, where the
//! instance fetches it; whoever may read the credentials signs tokens of anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_identity::issuer::SigningKey;
use domicile_identity::settings::{ActAsSettings, IssuerSettings, ScopeSettings, ServiceSettings, TokenSettings};
use domicile_identity::{Algorithm, IdentityConfig, IdentitySettings};
use serde_json::json;
use uuid::Uuid;

use crate::runtime::now;

/// The issuer's name. It stands in bindings that are kept, so that it is none of an address that changes.
const ISSUER: &str = "https://issuer.domicile.localhost";
/// For whom its tokens are.
const AUDIENCE: &str = "domicile";
/// The name of its key.
const KEY_ID: &str = "development";

/// The services of the example by name.
pub(crate) const SERVICES: [&str; 3] = [COMMAND_LINE, "projects", OPERATOR];
/// The one that the command line is.
pub(crate) const COMMAND_LINE: &str = "development";
/// The one that acts for the operator.
const OPERATOR: &str = "operator";

/// The key of the issuer, as it is kept: PKCS #8 in base64.
pub(crate) fn new_key() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(SigningKey::new_pkcs8(Algorithm::EdDsa)?))
}

/// Reads a key that was kept.
pub(crate) fn read_key(kept: &str) -> Result<SigningKey> {
    let der = URL_SAFE_NO_PAD.decode(kept).map_err(|_| anyhow!("the key is not base64"))?;
    Ok(SigningKey::from_pkcs8(KEY_ID, Algorithm::EdDsa, &der)?)
}

/// A person as the issuer knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// An address that the issuer has verified.
    pub(crate) email: Option<String>,
}

/// For whom a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    /// A service for itself.
    Service(&'a str),
    /// A person by their own token, which the command line got.
    Person(&'a Subject),
    /// A person by a token that was exchanged for a service.
    Exchanged(&'a Subject, &'a str),
}

/// A signed access token (RFC 9068) for so long.
pub(crate) fn token(key: &SigningKey, of: &Bearer<'_>, lifetime: Duration) -> Result<String> {
    let (client, subject) = match of {
        Bearer::Service(name) => (*name, None),
        Bearer::Person(subject) => (COMMAND_LINE, Some(*subject)),
        Bearer::Exchanged(subject, name) => (*name, Some(*subject)),
    };
    let issued = now().as_micros().div_euclid(1_000_000);
    let expires = issued.saturating_add(i64::try_from(lifetime.as_secs())?);
    let mut claims = BTreeMap::from([
        ("iss", json!(ISSUER)),
        ("aud", json!(AUDIENCE)),
        ("iat", json!(issued)),
        ("exp", json!(expires)),
        ("jti", json!(Uuid::now_v7().to_string())),
        ("client_id", json!(client)),
        ("sub", json!(subject.map_or(client, |subject| subject.name.as_str()))),
    ]);
    if let Some(email) = subject.and_then(|subject| subject.email.as_ref()) {
        claims.extend([("email", json!(email)), ("email_verified", json!(true))]);
    }
    if matches!(of, Bearer::Exchanged(..)) {
        claims.insert("act", json!({ "sub": client }));
    }
    Ok(key.token(&json!(claims))?)
}

/// What a development instance believes: its own issuer, also of whom it has never seen, and the services of the example.
pub(crate) fn callers(keys_url: String) -> Result<IdentityConfig> {
    let everywhere = || vec!["*".to_owned()];
    let scope = |scope: &str| ScopeSettings { scope: scope.to_owned(), workspaces: everywhere() };
    let service = |name: &str| ServiceSettings {
        name: name.to_owned(),
        operator: name == OPERATOR,
        tokens: vec![TokenSettings {
            issuer: ISSUER.to_owned(),
            client_id: name.to_owned(),
            ..TokenSettings::default()
        }],
        methods: everywhere(),
        // The command line is one person's on one machine, who may be anybody there.
        act_as: (name == COMMAND_LINE).then(|| ActAsSettings { workspaces: everywhere(), methods: everywhere() }),
        scopes: match name {
            COMMAND_LINE => vec![scope("access.check"), scope("workspaces.create")],
            OPERATOR => Vec::new(),
            product => vec![scope("access.check"), scope(&format!("permissions.register:{product}."))],
        },
        ..ServiceSettings::default()
    };
    let issuer = IssuerSettings {
        url: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks_url: Some(keys_url),
        trusted_homes: everywhere(),
        ..IssuerSettings::default()
    };
    let settings =
        IdentitySettings { services: SERVICES.iter().map(|name| service(name)).collect(), issuers: vec![issuer] };
    let methods = MethodPolicies::read()?;
    let methods: BTreeSet<String> = methods.iter().map(|(path, _)| path.trim_start_matches('/').to_owned()).collect();
    settings.check(&methods).context("the callers of the example are not right")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_kept_is_the_same_and_what_is_none_is_told() {
        let kept = new_key().unwrap();
        assert_eq!(read_key(&kept).unwrap().public(), read_key(&kept).unwrap().public());
        for none in ["", "????", "AAAA"] {
            assert!(read_key(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_token_says_for_whom_it_is_and_the_callers_are_right() {
        let key = read_key(&new_key().unwrap()).unwrap();
        let dana = Subject { name: "dana".to_owned(), email: Some("d.reyes@acme.example".to_owned()) };
        let claims = |of: &Bearer<'_>| -> serde_json::Value {
            let token = token(&key, of, Duration::from_mins(1)).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
        };
        let own = claims(&Bearer::Person(&dana));
        assert_eq!(
            (&own["sub"], &own["client_id"], &own["email_verified"]),
            (&json!("dana"), &json!("development"), &json!(true))
        );
        assert_eq!(own["exp"].as_i64().unwrap() - own["iat"].as_i64().unwrap(), 60);
        let exchanged = claims(&Bearer::Exchanged(&dana, "projects"));
        assert_eq!((&exchanged["sub"], &exchanged["act"]["sub"]), (&json!("dana"), &json!("projects")));
        let service = claims(&Bearer::Service("projects"));
        assert_eq!(
            (&service["sub"], &service["act"], &service["email"]),
            (&json!("projects"), &json!(null), &json!(null))
        );
        assert!(!callers("http://127.0.0.1:1/keys".to_owned()).unwrap().is_empty());
    }
}
