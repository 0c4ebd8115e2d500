//! The authenticator of an installation: certificate, token and header, which must agree.

use std::sync::Arc;

use async_trait::async_trait;
use domicile_domain::model::actor::{ScopeReach, ServicePrincipal};
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Caller, Credentials, PersonClaim};
use domicile_domain::port::runtime::Clock;

use crate::fault::{Fault, Ungranted};
use crate::key_source::IssuerStatus;
use crate::origin::{FileOrigin, HttpOrigin, KeyOrigin};
use crate::services::Services;
use crate::settings::{IdentityConfig, IssuerConfig, KeyLocation};
use crate::verifier::{Proof, ProvenService, TokenVerifier};

/// The certificates of authorities cannot be used by the TLS library of this build.
#[derive(Debug, thiserror::Error)]
#[error("encryption cannot be set up: {0}")]
pub struct TlsSetupError(#[from] rustls::Error);

/// Tells callers by the configuration of the installation.
pub struct MappedAuthenticator {
    services: Services,
    verifier: TokenVerifier,
}

impl MappedAuthenticator {
    /// Starts to fetch the issuers' keys, and waits for none of them. Runs inside a tokio runtime.
    ///
    /// # Errors
    /// [`TlsSetupError`]; an issuer that cannot be reached is none.
    pub fn start(config: IdentityConfig, clock: Arc<dyn Clock>) -> Result<Self, TlsSetupError> {
        let issuers = config.issuers.into_iter().map(|issuer| Ok((issuer.clone(), origin(&issuer)?)));
        let issuers: Result<Vec<_>, TlsSetupError> = issuers.collect();
        Ok(Self { services: config.services, verifier: TokenVerifier::start(issuers?, clock) })
    }

    /// How it stands with the keys of each issuer.
    pub fn issuers(&self) -> Vec<IssuerStatus> {
        self.verifier.status()
    }

    async fn caller(&self, method: &str, credentials: &Credentials) -> Result<Caller, Fault> {
        let connected = credentials.peer.as_ref().map(|peer| self.services.of_certificate(peer)).transpose()?;
        let proof = match &credentials.bearer {
            Some(token) => Some(self.verifier.verify(token, &self.services).await?),
            None => None,
        };
        let service = agreed(connected, proof.as_deref())?;
        let proven = proof.as_ref().and_then(|proof| proof.person.clone());
        let person = match (&credentials.acting_user, proven) {
            (None, proven) => proven,
            // Even where both name the same person: which of the two holds would otherwise depend on what is bound to whom.
            (Some(_), Some(_)) => return Err(Fault::NamedAndProven),
            (Some(named), None) => {
                let user = named.parse().map_err(|_| Fault::UserId)?;
                Some(match reach_of_grant(service, method) {
                    Ok(reach) => PersonClaim::Named { user, reach },
                    Err(why) => PersonClaim::Ungranted { user, why: why.to_string() },
                })
            }
        };
        Ok(Caller { service: ServicePrincipal::clone(service), person })
    }
}

fn origin(issuer: &IssuerConfig) -> Result<Arc<dyn KeyOrigin>, TlsSetupError> {
    Ok(match &issuer.keys {
        KeyLocation::Url(url, roots) => Arc::new(HttpOrigin::new(url.clone(), roots.clone())?),
        KeyLocation::File(path) => Arc::new(FileOrigin(path.clone())),
    })
}

/// The service that connection and token tell.
fn agreed<'a>(
    connected: Option<&'a Arc<ServicePrincipal>>,
    proof: Option<&'a Proof>,
) -> Result<&'a Arc<ServicePrincipal>, Fault> {
    match (connected, proof.map(|proof| &proof.service)) {
        (None, None) => Err(Fault::Nothing),
        (None, Some(ProvenService::UnknownClient)) => Err(Fault::Client),
        (None, Some(ProvenService::Known(service))) | (Some(service), None | Some(ProvenService::UnknownClient)) => {
            Ok(service)
        }
        (Some(service), Some(ProvenService::Known(other))) if service.name == other.name => Ok(service),
        (Some(_), Some(ProvenService::Known(_))) => Err(Fault::Disagree),
    }
}

/// How far the grant reaches under which a service names people by a method, if it has one.
fn reach_of_grant(service: &ServicePrincipal, method: &str) -> Result<ScopeReach, Ungranted> {
    if service.operator {
        return Err(Ungranted::Operator);
    }
    let grant = service.act_as.as_ref().ok_or(Ungranted::NoGrant)?;
    if grant.methods.has(method) { Ok(grant.reach.clone()) } else { Err(Ungranted::NotByMethod) }
}

#[async_trait]
impl Authenticator for MappedAuthenticator {
    async fn authenticate(&self, method: &str, credentials: &Credentials) -> Result<Caller, AuthenticationError> {
        Ok(self.caller(method, credentials).await?)
    }
}
