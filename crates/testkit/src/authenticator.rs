//! An authenticator for tests: one token, or any, is one service, and the acting person is whom it names.

use async_trait::async_trait;
use domicile_domain::model::actor::ServicePrincipal;
use domicile_domain::model::user::Identity;
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Caller, Credentials, PersonClaim};

/// Believes what it is told.
pub struct TrustingAuthenticator {
    service: ServicePrincipal,
    token: Option<&'static str>,
}

/// How the tokens begin that are a person's own; the rest is the subject of [`own_identity`].
pub const OWN_TOKEN: &str = "own-";

/// The identity of an own token, to be bound to the person.
pub fn own_identity(subject: &str) -> Identity {
    Identity { issuer: "https://people.example".to_owned(), subject: subject.to_owned() }
}

impl TrustingAuthenticator {
    /// Every token is the service.
    pub const fn new(service: ServicePrincipal) -> Self {
        Self { service, token: None }
    }

    /// One token is the service, and every other is refused.
    pub const fn with_token(service: ServicePrincipal, token: &'static str) -> Self {
        Self { service, token: Some(token) }
    }
}

#[async_trait]
impl Authenticator for TrustingAuthenticator {
    async fn authenticate(&self, _: &str, credentials: &Credentials) -> Result<Caller, AuthenticationError> {
        let bearer = credentials.bearer.as_deref();
        match (self.token, bearer) {
            (Some(_), None) => return Err(AuthenticationError::Missing("send a token")),
            (Some(known), Some(sent)) if sent != known => {
                return Err(AuthenticationError::Refused("the token is not known".to_owned()));
            }
            _ => {}
        }
        let own = bearer.and_then(|token| token.strip_prefix(OWN_TOKEN));
        let person = match (&credentials.acting_user, &self.service.act_as) {
            (None, _) => own.map(|subject| PersonClaim::Proven {
                identity: own_identity(subject),
                own: true,
                verified_email: None,
                trusted_for: None,
            }),
            (Some(user), grant) => {
                let refused = |_| AuthenticationError::Refused("the acting user is not a user id".to_owned());
                let user = user.parse().map_err(refused)?;
                Some(match grant {
                    Some(grant) => PersonClaim::Named { user, reach: grant.reach.clone() },
                    None => PersonClaim::Ungranted { user, why: "there is no grant".to_owned() },
                })
            }
        };
        Ok(Caller { service: self.service.clone(), person })
    }
}
