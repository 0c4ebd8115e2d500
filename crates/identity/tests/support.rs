//! An installation with three services and an issuer of tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Caller, Credentials, PeerNames};
use domicile_domain::port::runtime::Clock;
use domicile_identity::issuer::{LoopbackIssuer, SigningKey};
use domicile_identity::{Algorithm, IdentitySettings, MappedAuthenticator};
use domicile_testkit::clock::SteppedClock;
use serde_json::{Value, json};

pub(crate) const AUDIENCE: &str = "https://domicile.acme.example";
pub(crate) const LOOKUP: &str = "domicile.v1.UserService/LookupUser";
pub(crate) const ASSIGN: &str = "domicile.v1.MembershipService/AssignUser";
/// A key of 2,048 bits that protects nothing.
pub(crate) const RSA: &[u8] = include_bytes!("keys/rsa-2048-for-tests-only.pk8");

/// The services; `ISSUER` and `KEYS` stand for the issuer's address and that of its keys.
pub(crate) const SERVICES: &str = r#"
    [[services]]
    name = "orders"
    certificates = ["spiffe://acme.internal/orders", "dns:orders.internal"]
    tokens = [{ issuer = "ISSUER", client_id = "orders" }]
    methods = ["*"]
    scopes = [{ scope = "access.check", workspaces = ["acme"] }]
    act_as = { workspaces = ["acme"], methods = ["UserService/LookupUser"] }

    [[services]]
    name = "billing"
    certificates = ["dns:billing.internal"]
    tokens = [{ issuer = "ISSUER", client_id = "billing", subject = "7f3c-billing" }]
    methods = ["UserService/LookupUser"]

    [[services]]
    name = "console"
    operator = true
    certificates = ["dns:console.internal"]
    tokens = [{ issuer = "ISSUER", client_id = "console" }]
    methods = ["*"]

    [[issuers]]
    url = "ISSUER"
    audience = "https://domicile.acme.example"
    jwks_url = "KEYS"
    trusted_homes = ["acme"]
"#;

pub(crate) fn methods() -> BTreeSet<String> {
    [LOOKUP, ASSIGN].into_iter().map(ToOwned::to_owned).collect()
}

pub(crate) fn settings(text: &str, issuer: &LoopbackIssuer) -> IdentitySettings {
    toml::from_str(&text.replace("ISSUER", &issuer.url()).replace("KEYS", &issuer.keys_url())).unwrap()
}

pub(crate) struct Installation {
    pub(crate) issuer: LoopbackIssuer,
    pub(crate) key: SigningKey,
    pub(crate) clock: Arc<SteppedClock>,
    pub(crate) authenticator: MappedAuthenticator,
}

impl Installation {
    /// With one ES256 key, `first`.
    pub(crate) async fn new() -> Self {
        Self::with(SERVICES, SigningKey::generate("first", Algorithm::Es256).unwrap()).await
    }

    pub(crate) async fn with(services: &str, key: SigningKey) -> Self {
        let issuer = LoopbackIssuer::start(0).await.unwrap();
        issuer.publish(&key);
        let clock = Arc::new(SteppedClock::default());
        let config = settings(services, &issuer).check(&methods()).unwrap();
        let authenticator = MappedAuthenticator::start(config, clock.clone()).unwrap();
        Self { issuer, key, clock, authenticator }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_micros() / 1_000_000
    }

    /// The claims of a token that the service `orders` got for itself, with these in their place; null leaves one out.
    pub(crate) fn claims(&self, change: &Value) -> Value {
        let now = self.now();
        let mut claims = json!({
            "iss": self.issuer.url(), "sub": "orders", "client_id": "orders", "aud": AUDIENCE,
            "iat": now, "exp": now + 300, "jti": "1",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    pub(crate) fn token(&self, change: &Value) -> String {
        self.key.token(&self.claims(change)).unwrap()
    }

    pub(crate) async fn call(&self, method: &str, credentials: Credentials) -> Result<Caller, AuthenticationError> {
        self.authenticator.authenticate(method, &credentials).await
    }

    pub(crate) async fn bearer(&self, token: &str) -> Result<Caller, AuthenticationError> {
        self.call(LOOKUP, Credentials { bearer: Some(token.to_owned()), ..Credentials::default() }).await
    }
}

/// A certificate with these DNS names.
pub(crate) fn dns(names: &[&str]) -> PeerNames {
    PeerNames { dns_names: names.iter().map(|name| (*name).to_owned()).collect(), ..PeerNames::default() }
}

/// A certificate with this SPIFFE id.
pub(crate) fn spiffe(id: &str) -> PeerNames {
    PeerNames { uris: vec![id.to_owned()], ..PeerNames::default() }
}
