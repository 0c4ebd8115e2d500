//! The check of the settings: every rule that the type of a setting does not say, each told with its path and its mend.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::actor::{ActAsGrant, MethodSet, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::user::parse_issuer;
use http::Uri;

use super::{
    ActAsSettings, IssuerConfig, IssuerSettings, KeyLocation, ScopeSettings, ServiceSettings, TokenSettings, Violation,
};
use crate::origin::{Roots, is_loopback};
use crate::services::{CertificateName, Client, NameTaken, Services, TokenName};

/// Collects what is wrong.
pub(super) struct Checker<'a> {
    pub(super) methods: &'a BTreeSet<String>,
    pub(super) wrong: Vec<Violation>,
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

    pub(super) fn unique<'t>(&mut self, list: &str, field: &str, names: impl Iterator<Item = &'t str>) {
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

    pub(super) fn service(
        &mut self,
        path: &str,
        service: &ServiceSettings,
        issuers: &BTreeSet<&str>,
        services: &mut Services,
    ) {
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

    pub(super) fn issuer(&mut self, i: usize, issuer: &IssuerSettings) -> Option<IssuerConfig> {
        let path = |field: &str| format!("issuers[{i}].{field}");
        let url = self.kept(&path("url"), parse_issuer(&issuer.url));
        self.text(&path("audience"), &issuer.audience, "https://domicile.acme.example");
        let trusted_for = match issuer.trusted_homes.as_slice() {
            [] => None,
            homes => Some(self.reach(&path("trusted_homes"), homes)),
        };
        let keys = self.key_location(&path(""), issuer);
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3600));
        let config = IssuerConfig {
            audience: issuer.audience.clone(),
            trusted_for,
            types: self.each(&path("token_types"), &issuer.token_types, "at+jwt, JWT or both"),
            algorithms: self.each(&path("algorithms"), &issuer.algorithms, "ES256, EdDSA, RS256 or some of them"),
            leeway: Duration::from_secs(self.within(&path("leeway_seconds"), issuer.leeway_seconds, 0, 300)),
            max_age: hours(self.within(&path("max_age_hours"), issuer.max_age_hours, 1, 8760)),
            refresh: Duration::from_secs(self.within(&path("refresh_seconds"), issuer.refresh_seconds, 60, 3600)),
            max_stale: hours(self.within(&path("max_stale_hours"), issuer.max_stale_hours, 1, 720)),
            url: url?,
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
