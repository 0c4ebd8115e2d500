//! Who may call, as the operator writes it, and the check that it can work. `docs/OPERATIONS.md` explains it to operators.

mod check;

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use domicile_domain::model::actor::ScopeReach;
use http::Uri;
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::origin::Roots;
use crate::services::Services;
use crate::settings::check::Checker;

/// The services that may call and the issuers of tokens that are believed: `[[services]]` and `[[issuers]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentitySettings {
    /// The services.
    pub services: Vec<ServiceSettings>,
    /// The issuers.
    pub issuers: Vec<IssuerSettings>,
}

/// A service, how it is known and what it may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSettings {
    /// Its name, unique.
    pub name: String,
    /// Whether it acts for the operator of the installation.
    pub operator: bool,
    /// Names of its client certificate: `spiffe://acme.internal/orders`, `dns:orders.internal`.
    pub certificates: Vec<String>,
    /// How tokens name it.
    pub tokens: Vec<TokenSettings>,
    /// What it may call at all: `["*"]`, or methods such as `UserService/LookupUser`.
    pub methods: Vec<String>,
    /// Its rights apart from any person's.
    pub scopes: Vec<ScopeSettings>,
    /// Whom it may name without a proof.
    pub act_as: Option<ActAsSettings>,
}

/// How the tokens of an issuer name a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSettings {
    /// The issuer, by its `url`.
    pub issuer: String,
    /// The service's `client_id` there.
    pub client_id: String,
    /// The `sub` of tokens that the service gets for itself, where the issuer does not put the `client_id` there.
    pub subject: Option<String>,
    /// Whether its tokens of persons are exchanged, at an issuer that does not write `act` into them.
    pub exchanges: bool,
}

/// A scope and where it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeSettings {
    /// The scope: `access.check`.
    pub scope: String,
    /// Ids or handles of workspaces, or `["*"]`.
    pub workspaces: Vec<String>,
}

/// Where and by what a service may name whom it acts for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActAsSettings {
    /// Ids or handles of workspaces, or `["*"]`.
    pub workspaces: Vec<String>,
    /// Methods, or `["*"]`.
    pub methods: Vec<String>,
}

/// An issuer of tokens, and what is believed of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerSettings {
    /// Its name, exactly as the claim `iss` has it.
    pub url: String,
    /// The audience that tokens for this service have.
    pub audience: String,
    /// Where it publishes its keys.
    pub jwks_url: Option<String>,
    /// A file with its keys, where there is no way to it.
    pub jwks_file: Option<PathBuf>,
    /// PEM file with further root certificates to trust at `jwks_url`.
    pub root_certificate: Option<PathBuf>,
    /// Handles or ids of homes, or `["*"]`, for which it tells who a person is at first sight.
    pub trusted_homes: Vec<String>,
    /// Types of tokens: `at+jwt`, and `JWT` for issuers that do not follow RFC 9068.
    pub token_types: Vec<String>,
    /// `ES256`, `EdDSA`, `RS256`.
    pub algorithms: Vec<String>,
    /// How far its clock may be from ours.
    pub leeway_seconds: u64,
    /// How long after its issue a token is taken, however late it expires.
    pub max_age_hours: u64,
    /// How often its keys are fetched where it does not say itself.
    pub refresh_seconds: u64,
    /// How long its last keys serve while it cannot be reached.
    pub max_stale_hours: u64,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            audience: String::new(),
            jwks_url: None,
            jwks_file: None,
            root_certificate: None,
            trusted_homes: Vec::new(),
            token_types: vec![TokenType::AccessToken.to_string()],
            algorithms: Algorithm::ALL.iter().map(ToString::to_string).collect(),
            leeway_seconds: 60,
            max_age_hours: 24,
            refresh_seconds: 300,
            max_stale_hours: 24,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which: `services[1].tokens[0].issuer`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub said: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.said)
    }
}

/// Everything in the settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Violations(pub Vec<Violation>);

/// What `typ` a token may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenType {
    /// `at+jwt`, of access tokens alone (RFC 9068).
    AccessToken,
    /// `JWT` or nothing, which any other token of the issuer may have too; the audience alone tells them apart.
    Jwt,
}

impl Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessToken => "at+jwt",
            Self::Jwt => "JWT",
        })
    }
}

impl FromStr for TokenType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::AccessToken, Self::Jwt];
        let found = all.into_iter().find(|typ| typ.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("`{text}` is not a type of token; there are at+jwt and JWT"))
    }
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone)]
pub(crate) enum KeyLocation {
    Url(Uri, Roots),
    File(PathBuf),
}

/// An issuer whose settings can work.
#[derive(Debug, Clone)]
pub(crate) struct IssuerConfig {
    pub(crate) url: String,
    pub(crate) audience: String,
    pub(crate) keys: KeyLocation,
    pub(crate) trusted_for: Option<ScopeReach>,
    pub(crate) types: BTreeSet<TokenType>,
    pub(crate) algorithms: BTreeSet<Algorithm>,
    pub(crate) leeway: Duration,
    pub(crate) max_age: Duration,
    pub(crate) refresh: Duration,
    pub(crate) max_stale: Duration,
}

/// Settings that can work.
#[derive(Debug, Clone)]
pub struct IdentityConfig {
    pub(crate) services: Services,
    pub(crate) issuers: Vec<IssuerConfig>,
}

impl IdentityConfig {
    /// Whether nobody could call.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

impl IdentitySettings {
    /// Checks every setting. `methods` are those of the contract, such as `domicile.v1.UserService/LookupUser`. Certificates
    /// that are named are read.
    ///
    /// # Errors
    /// All [`Violations`] at once.
    pub fn check(&self, methods: &BTreeSet<String>) -> Result<IdentityConfig, Violations> {
        let mut checker = Checker { methods, wrong: Vec::new() };
        let issuers = self.issuers.iter().enumerate().filter_map(|(i, issuer)| checker.issuer(i, issuer)).collect();
        checker.unique("issuers", "url", self.issuers.iter().map(|issuer| issuer.url.as_str()));
        let known: BTreeSet<&str> = self.issuers.iter().map(|issuer| issuer.url.as_str()).collect();
        let mut services = Services::default();
        for (i, service) in self.services.iter().enumerate() {
            checker.service(&format!("services[{i}]"), service, &known, &mut services);
        }
        checker.unique("services", "name", self.services.iter().map(|service| service.name.as_str()));
        if checker.wrong.is_empty() { Ok(IdentityConfig { services, issuers }) } else { Err(Violations(checker.wrong)) }
    }
}

#[cfg(test)]
mod tests;
