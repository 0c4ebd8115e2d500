//! Who may call, as the operator writes it, and the check that it can work. `docs/OPERATIONS.md` explains it to operators.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::actor::{ActAsGrant, MethodSet, ScopeReach, ServicePrincipal, ServiceScope};
use http::Uri;
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::origin::{Roots, is_loopback};
use crate::services::{CertificateName, Client, NameTaken, Services, TokenName};

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

/// Collects what is wrong.
struct Checker<'a> {
    methods: &'a BTreeSet<String>,
    wrong: Vec<Violation>,
}

const PACKAGE: &str = "domicile.v1.";
const EVERYWHERE: &str = "*";

impl Checker<'_> {
    fn wrong(&mut self, path: impl Into<String>, said: impl Into<String>) {
        self.wrong.push(Violation { path: path.into(), said: said.into() });
    }

    fn kept<T, E: Display>(&mut self, path: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|error| self.wrong(path, error.to_string())).ok()
    }

    /// Reads each of a list; an empty list is wrong.
    fn each<T: FromStr<Err: Display> + Ord>(&mut self, path: &str, list: &[String], example: &str) -> BTreeSet<T> {
        if list.is_empty() {
            self.wrong(path, format!("nothing is listed; give {example}"));
        }
        let read = list.iter().enumerate();
        read.filter_map(|(i, text)| self.kept(&format!("{path}[{i}]"), text.parse())).collect()
    }

    fn text(&mut self, path: &str, text: &str, example: &str) {
        if text.is_empty() || text.len() > 255 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            self.wrong(
                path,
                format!(
                    "`{}` is not a name of 1 to 255 characters without spaces; give one such as {example}",
                    text.escape_debug()
                ),
            );
        }
    }

    fn unique<'t>(&mut self, list: &str, field: &str, names: impl Iterator<Item = &'t str>) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, name) in names.enumerate().filter(|(_, name)| !name.is_empty()) {
            if let Some(earlier) = first.get(name) {
                self.wrong(
                    format!("{list}[{i}].{field}"),
                    format!("`{name}` is {list}[{earlier}] already; give each a name of its own"),
                );
            } else {
                first.insert(name, i);
            }
        }
    }

    fn within(&mut self, path: &str, number: u64, least: u64, most: u64) -> u64 {
        if !(least..=most).contains(&number) {
            self.wrong(path, format!("{number} is too little or too much; give {least} to {most}"));
        }
        number
    }

    /// `["*"]`, or workspaces.
    fn reach(&mut self, path: &str, workspaces: &[String]) -> ScopeReach {
        match workspaces {
            [only] if only == EVERYWHERE => ScopeReach::Everywhere,
            list => ScopeReach::Workspaces(self.each(path, list, "ids or handles of workspaces, or [\"*\"] for all")),
        }
    }

    /// `["*"]`, or methods of the contract by their full names.
    fn method_set(&mut self, path: &str, methods: &[String]) -> MethodSet {
        match methods {
            [only] if only == EVERYWHERE => MethodSet::All,
            list => {
                if list.is_empty() {
                    self.wrong(
                        path,
                        "nothing is listed; give methods such as \"UserService/LookupUser\", or [\"*\"] for all",
                    );
                }
                let named = list.iter().enumerate();
                MethodSet::Only(named.filter_map(|(i, text)| self.method(&format!("{path}[{i}]"), text)).collect())
            }
        }
    }

    fn method(&mut self, path: &str, text: &str) -> Option<String> {
        let full = [text.to_owned(), format!("{PACKAGE}{text}")].into_iter().find(|name| self.methods.contains(name));
        if full.is_none() {
            let short = self.methods.iter().map(|name| name.strip_prefix(PACKAGE).unwrap_or(name));
            let scored = short.map(|name| (strsim::jaro_winkler(text, name), name));
            let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(likeness, _)| *likeness > 0.8);
            let hint = best.map_or_else(
                || "write it like `UserService/LookupUser`, and every method as [\"*\"]".to_owned(),
                |(_, nearest)| format!("did you mean `{nearest}`?"),
            );
            self.wrong(path, format!("`{text}` is no method; {hint}"));
        }
        full
    }

    fn service(&mut self, path: &str, service: &ServiceSettings, issuers: &BTreeSet<&str>, services: &mut Services) {
        self.text(&format!("{path}.name"), &service.name, "orders");
        if service.certificates.is_empty() && service.tokens.is_empty() {
            self.wrong(path, "nothing tells who this is; give `certificates`, `tokens` or both");
        }
        let methods = self.method_set(&format!("{path}.methods"), &service.methods);
        let scopes = service.scopes.iter().enumerate();
        let scopes = scopes.filter_map(|(i, scope)| self.scope(&format!("{path}.scopes[{i}]"), scope)).collect();
        let act_as =
            service.act_as.as_ref().map(|act_as| self.act_as(&format!("{path}.act_as"), service, act_as, &methods));
        let principal = Arc::new(ServicePrincipal {
            name: service.name.clone(),
            operator: service.operator,
            methods,
            scopes,
            act_as,
        });
        for (i, text) in service.certificates.iter().enumerate() {
            let path = format!("{path}.certificates[{i}]");
            let Some(name) = self.kept(&path, text.parse::<CertificateName>()) else { continue };
            if let Err(NameTaken { owner }) = services.add_certificate(name, principal.clone()) {
                self.wrong(path, format!("`{text}` is a name of `{owner}` already; a name tells one service"));
            }
        }
        for (i, token) in service.tokens.iter().enumerate() {
            self.token(&format!("{path}.tokens[{i}]"), token, issuers, &principal, services);
        }
    }

    fn scope(&mut self, path: &str, scope: &ScopeSettings) -> Option<(ServiceScope, ScopeReach)> {
        let reach = self.reach(&format!("{path}.workspaces"), &scope.workspaces);
        Some((self.kept(&format!("{path}.scope"), scope.scope.parse())?, reach))
    }

    fn act_as(&mut self, path: &str, service: &ServiceSettings, act_as: &ActAsSettings, own: &MethodSet) -> ActAsGrant {
        if service.operator {
            self.wrong(path, "the operator never acts as a person; drop it, or make a service of its own for it");
        }
        let reach = self.reach(&format!("{path}.workspaces"), &act_as.workspaces);
        let methods = self.method_set(&format!("{path}.methods"), &act_as.methods);
        if let MethodSet::Only(list) = &methods {
            for method in list.iter().filter(|method| !own.has(method)) {
                self.wrong(
                    format!("{path}.methods"),
                    format!("the service may not call `{method}` at all; add it to `methods`"),
                );
            }
        }
        ActAsGrant { reach, methods }
    }

    fn token(
        &mut self,
        path: &str,
        token: &TokenSettings,
        issuers: &BTreeSet<&str>,
        principal: &Arc<ServicePrincipal>,
        services: &mut Services,
    ) {
        if !issuers.contains(token.issuer.as_str()) {
            self.wrong(
                format!("{path}.issuer"),
                format!("`{}` is the `url` of none of the [[issuers]]; add it there", token.issuer),
            );
        }
        let subject = token.subject.as_ref().unwrap_or(&token.client_id);
        let named = |name: &String| TokenName { issuer: token.issuer.clone(), name: name.clone() };
        let client = Client { service: principal.clone(), subject: subject.clone(), exchanges: token.exchanges };
        let as_client = services.add_client(named(&token.client_id), client);
        let as_subject = services.add_subject(named(subject), principal.clone());
        for (field, name, added) in
            [("client_id", Some(&token.client_id), as_client), ("subject", token.subject.as_ref(), as_subject)]
        {
            let path = format!("{path}.{field}");
            if let Some(name) = name {
                self.text(&path, name, "orders");
            }
            if let Err(NameTaken { owner }) = added {
                let said = format!("the issuer's tokens name `{owner}` so already; a name tells one service");
                self.wrong(path, said);
            }
        }
    }

    fn issuer(&mut self, i: usize, issuer: &IssuerSettings) -> Option<IssuerConfig> {
        let path = |field: &str| format!("issuers[{i}].{field}");
        self.text(&path("url"), &issuer.url, "https://login.acme.example");
        self.text(&path("audience"), &issuer.audience, "https://domicile.acme.example");
        let trusted_for = match issuer.trusted_homes.as_slice() {
            [] => None,
            homes => Some(self.reach(&path("trusted_homes"), homes)),
        };
        let keys = self.key_location(&path(""), issuer);
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3600));
        let config = IssuerConfig {
            url: issuer.url.clone(),
            audience: issuer.audience.clone(),
            trusted_for,
            types: self.each(&path("token_types"), &issuer.token_types, "at+jwt, JWT or both"),
            algorithms: self.each(&path("algorithms"), &issuer.algorithms, "ES256, EdDSA, RS256 or some of them"),
            leeway: Duration::from_secs(self.within(&path("leeway_seconds"), issuer.leeway_seconds, 0, 300)),
            max_age: hours(self.within(&path("max_age_hours"), issuer.max_age_hours, 1, 8760)),
            refresh: Duration::from_secs(self.within(&path("refresh_seconds"), issuer.refresh_seconds, 60, 3600)),
            max_stale: hours(self.within(&path("max_stale_hours"), issuer.max_stale_hours, 1, 720)),
            keys: keys?,
        };
        Some(config)
    }

    /// `path` ends in a dot.
    fn key_location(&mut self, path: &str, issuer: &IssuerSettings) -> Option<KeyLocation> {
        match (&issuer.jwks_url, &issuer.jwks_file) {
            (Some(url), None) => {
                let url = self.kept(&format!("{path}jwks_url"), key_url(url));
                let roots = Roots::with(issuer.root_certificate.as_deref());
                let roots = self.kept(&format!("{path}root_certificate"), roots);
                Some(KeyLocation::Url(url?, roots?))
            }
            (None, Some(file)) => {
                if issuer.root_certificate.is_some() {
                    self.wrong(format!("{path}root_certificate"), "has no use with `jwks_file`; drop it");
                }
                Some(KeyLocation::File(file.clone()))
            }
            (Some(_), Some(_)) => {
                self.wrong(format!("{path}jwks_file"), "the keys have two places; give `jwks_url` or `jwks_file`");
                None
            }
            (None, None) => {
                self.wrong(
                    format!("{path}jwks_url"),
                    "nothing tells where its keys are; give `jwks_url`, or `jwks_file` where there is no way to it",
                );
                None
            }
        }
    }
}

/// The address of a key set: encrypted, or on this machine.
fn key_url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| {
        format!("`{}` is not an address; write it like https://login.acme.example/keys", text.escape_debug())
    })?;
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if !plain => {
            Err(format!("`{}` has no host, or a password; write it like https://login.acme.example/keys", uri.path()))
        }
        Some("https") => Ok(uri),
        Some("http") if uri.host().is_some_and(is_loopback) => Ok(uri),
        _ => Err(format!("`{text}` is not encrypted, so that anybody on the way could put keys there; use https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        [[services]]
        name = "orders"
        certificates = ["spiffe://acme.internal/orders", "dns:orders.internal"]
        tokens = [{ issuer = "https://login.acme.example", client_id = "orders" }]
        methods = ["UserService/LookupUser", "domicile.v1.MembershipService/AssignUser", "grpc.health.v1.Health/Check"]
        scopes = [{ scope = "permissions.register:orders.", workspaces = ["*"] }]
        act_as = { workspaces = ["acme", "0190a1b2-0000-7000-8000-000000000001"], methods = ["UserService/LookupUser"] }

        [[services]]
        name = "console"
        operator = true
        certificates = ["dns:console.internal"]
        methods = ["*"]

        [[issuers]]
        url = "https://login.acme.example"
        audience = "https://domicile.acme.example"
        jwks_url = "https://login.acme.example/keys"
    "#;

    fn methods() -> BTreeSet<String> {
        let all = [
            "domicile.v1.UserService/LookupUser",
            "domicile.v1.MembershipService/AssignUser",
            "grpc.health.v1.Health/Check",
        ];
        all.into_iter().map(ToOwned::to_owned).collect()
    }

    fn check(text: &str) -> Result<IdentityConfig, Violations> {
        toml::from_str::<IdentitySettings>(text).unwrap().check(&methods())
    }

    #[test]
    fn a_whole_file_is_read_for_what_it_says() {
        let config = check(WHOLE).unwrap();
        assert!(!config.is_empty());
        let issuer = &config.issuers[0];
        let named = |name: &str| {
            config.services.client("https://login.acme.example", name).map(|client| client.service.clone())
        };
        let orders = named("orders").unwrap();
        assert_eq!(named("console"), None);
        let only = |list: &[&str]| MethodSet::Only(list.iter().map(|name| (*name).to_owned()).collect());
        let lookup = "domicile.v1.UserService/LookupUser";
        let assign = "domicile.v1.MembershipService/AssignUser";
        assert_eq!(orders.methods, only(&[lookup, assign, "grpc.health.v1.Health/Check"]));
        assert_eq!(orders.act_as.as_ref().map(|grant| &grant.methods), Some(&only(&[lookup])));
        assert_eq!(orders.scopes, [(ServiceScope::PermissionsRegister("orders.".to_owned()), ScopeReach::Everywhere)]);
        assert!(issuer.trusted_for.is_none(), "nobody is trusted at first sight unless it is said");
        assert_eq!(issuer.types.iter().collect::<Vec<_>>(), [&TokenType::AccessToken]);
        assert_eq!(issuer.algorithms.len(), 3);
        assert_eq!((issuer.leeway.as_secs(), issuer.refresh.as_secs()), (60, 300));
        assert_eq!((issuer.max_age.as_secs(), issuer.max_stale.as_secs()), (86_400, 86_400));
        assert!(check("").unwrap().is_empty());
    }

    /// What is said when something in the whole file is replaced.
    fn tells(cases: &[(&str, &str, &str)]) {
        for (from, to, told) in cases {
            assert!(WHOLE.contains(from), "{from}");
            let said = check(&WHOLE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(said.contains(told), "{told} is missing in:\n{said}");
        }
    }

    #[test]
    fn each_violation_of_a_service_is_told_by_its_path_and_how_to_mend_it() {
        tells(&[
            ("name = \"orders\"", "name = \"\"", "services[0].name: `` is not a name"),
            ("name = \"orders\"", "", "services[0].name: `` is not a name"),
            ("name = \"console\"", "name = \"orders\"", "services[1].name: `orders` is services[0] already"),
            (
                "\"dns:orders.internal\"",
                "\"orders.internal\"",
                "services[0].certificates[1]: `orders.internal` is no name of a certificate; write",
            ),
            (
                "dns:console.internal",
                "dns:Orders.internal",
                "services[1].certificates[0]: `dns:Orders.internal` is a name of `orders` already",
            ),
            ("certificates = [\"dns:console.internal\"]", "", "services[1]: nothing tells who this is"),
            (
                "certificates = [\"dns:console.internal\"]",
                "tokens = [{ issuer = \"https://login.acme.example\", client_id = \"orders\" }]",
                "services[1].tokens[0].client_id: the issuer's tokens name `orders` so already",
            ),
            (
                "certificates = [\"dns:console.internal\"]",
                "tokens = [{ issuer = \"https://login.acme.example\", client_id = \"c\", subject = \"orders\" }]",
                "services[1].tokens[0].subject: the issuer's tokens name `orders` so already",
            ),
            ("client_id = \"orders\"", "client_id = \"a b\"", "services[0].tokens[0].client_id: `a b` is not a name"),
            (
                "client_id = \"orders\"",
                "client_id = \"orders\", subject = \"\"",
                "services[0].tokens[0].subject: `` is not a name",
            ),
            (
                "{ issuer = \"https://login.acme.example\", c",
                "{ issuer = \"https://login.acme.example/\", c",
                "services[0].tokens[0].issuer: `https://login.acme.example/` is the `url` of none",
            ),
            (
                "[\"UserService/LookupUser\",",
                "[\"UserService/LookUpUser\",",
                "services[0].methods[0]: `UserService/LookUpUser` is no method; did you mean `UserService/LookupUser`?",
            ),
            (
                "[\"UserService/LookupUser\",",
                "[\"*\",",
                "services[0].methods[0]: `*` is no method; write it like `UserService/LookupUser`",
            ),
            ("methods = [\"*\"]", "methods = []", "services[1].methods: nothing is listed; give methods"),
            ("methods = [\"*\"]", "", "services[1].methods: nothing is listed; give methods"),
            (
                "permissions.register:orders.",
                "access.chekc",
                "services[0].scopes[0].scope: `access.chekc` is not a scope; there are",
            ),
            ("workspaces = [\"*\"]", "workspaces = []", "services[0].scopes[0].workspaces: nothing is listed"),
            (
                "workspaces = [\"*\"]",
                "workspaces = [\"*\", \"acme\"]",
                "services[0].scopes[0].workspaces[0]: `*` is neither the id nor the handle",
            ),
            (
                "[\"acme\", ",
                "[\"Ac me\", ",
                "services[0].act_as.workspaces[0]: `Ac me` is neither the id nor the handle",
            ),
            (
                "methods = [\"UserService/LookupUser\"] }",
                "methods = [] }",
                "services[0].act_as.methods: nothing is listed",
            ),
            (
                "[\"UserService/LookupUser\", \"domicile",
                "[\"domicile",
                "services[0].act_as.methods: the service may not call `domicile.v1.UserService/LookupUser` at all",
            ),
            (
                "operator = true",
                "operator = true\nact_as = { workspaces = [\"*\"], methods = [\"*\"] }",
                "services[1].act_as: the operator never acts as a person",
            ),
        ]);
    }

    #[test]
    fn each_violation_of_an_issuer_is_told_by_its_path_and_how_to_mend_it() {
        tells(&[
            ("url = \"https://login.acme.example\"", "url = \"\"", "issuers[0].url: `` is not a name"),
            ("audience = \"https://domicile.acme.example\"", "", "issuers[0].audience: `` is not a name"),
            (
                "jwks_url = \"https://login.acme.example/keys\"",
                "",
                "issuers[0].jwks_url: nothing tells where its keys are",
            ),
            ("jwks_url =", "jwks_file = \"keys.json\"\njwks_url =", "issuers[0].jwks_file: the keys have two places"),
            (
                "https://login.acme.example/keys",
                "http://login.acme.example/keys",
                "issuers[0].jwks_url: `http://login.acme.example/keys` is not encrypted",
            ),
            (
                "https://login.acme.example/keys",
                "ftp://login.acme.example/keys",
                "issuers[0].jwks_url: `ftp://login.acme.example/keys` is not encrypted",
            ),
            (
                "https://login.acme.example/keys",
                "https://a:b@login.acme.example/keys",
                "issuers[0].jwks_url: `/keys` has no host, or a password",
            ),
            ("https://login.acme.example/keys", "/keys", "issuers[0].jwks_url: `/keys` has no host"),
            ("https://login.acme.example/keys", "https://a b", "issuers[0].jwks_url: `https://a b` is not an address"),
            (
                "jwks_url =",
                "root_certificate = \"nowhere.pem\"\njwks_url =",
                "issuers[0].root_certificate: `nowhere.pem` cannot be read",
            ),
            (
                "jwks_url = \"https://login.acme.example/keys\"",
                "jwks_file = \"keys.json\"\nroot_certificate = \"r.pem\"",
                "issuers[0].root_certificate: has no use with `jwks_file`",
            ),
            (
                "jwks_url =",
                "trusted_homes = [\"*\", \"acme\"]\njwks_url =",
                "issuers[0].trusted_homes[0]: `*` is neither",
            ),
            (
                "jwks_url =",
                "token_types = [\"id+jwt\"]\njwks_url =",
                "issuers[0].token_types[0]: `id+jwt` is not a type of token; there are at+jwt and JWT",
            ),
            (
                "jwks_url =",
                "token_types = []\njwks_url =",
                "issuers[0].token_types: nothing is listed; give at+jwt, JWT or both",
            ),
            (
                "jwks_url =",
                "algorithms = [\"HS256\"]\njwks_url =",
                "issuers[0].algorithms[0]: `HS256` is not accepted; there are ES256, EdDSA and RS256",
            ),
            ("jwks_url =", "algorithms = [\"none\"]\njwks_url =", "issuers[0].algorithms[0]: `none` is not accepted"),
            (
                "jwks_url =",
                "leeway_seconds = 301\njwks_url =",
                "issuers[0].leeway_seconds: 301 is too little or too much; give 0 to 300",
            ),
            ("jwks_url =", "max_age_hours = 0\njwks_url =", "issuers[0].max_age_hours: 0 is too little"),
            ("jwks_url =", "refresh_seconds = 5\njwks_url =", "issuers[0].refresh_seconds: 5 is too little"),
            (
                "jwks_url =",
                "max_stale_hours = 1000\njwks_url =",
                "issuers[0].max_stale_hours: 1000 is too little or too much",
            ),
        ]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let text = "[[services]]\nscopes = [{}]\ntokens = [{}]\n[[issuers]]\n[[issuers]]\nleeway_seconds = 999\njwks_file = \"k\"";
        let said = check(text).unwrap_err();
        let paths: Vec<&str> = said.0.iter().map(|violation| violation.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "issuers[0].url",
                "issuers[0].audience",
                "issuers[0].jwks_url",
                "issuers[1].url",
                "issuers[1].audience",
                "issuers[1].leeway_seconds",
                "services[0].name",
                "services[0].methods",
                "services[0].scopes[0].workspaces",
                "services[0].scopes[0].scope",
                "services[0].tokens[0].client_id",
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        for text in [
            "service = []",
            "[[services]]\nnmae = \"x\"",
            "[[issuers]]\njwks = \"x\"",
            "[[services]]\nact_as = { method = [] }",
        ] {
            let said = toml::from_str::<IdentitySettings>(text).unwrap_err().to_string();
            assert!(said.contains("unknown field"), "{said}");
        }
    }

    #[test]
    fn keys_in_the_clear_are_for_this_machine() {
        for url in ["http://127.0.0.1:9/keys", "http://localhost/keys", "http://[::1]:9/keys"] {
            assert!(check(&WHOLE.replace("https://login.acme.example/keys", url)).is_ok(), "{url}");
        }
        assert!(check(&WHOLE.replace("https://login.acme.example/keys", "http://localhost.example/keys")).is_err());
    }
}
