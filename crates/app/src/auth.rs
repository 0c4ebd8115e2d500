//! The sign-in of `serve` where no callers are named, to try it out on one machine: one token, `auth.development_token`, and any
//! acting user. It serves on loopback alone.

use async_trait::async_trait;
use domicile_domain::model::actor::{ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Caller, Credentials, PersonClaim};

pub(crate) struct DevelopmentAuthenticator {
    token: String,
}

impl DevelopmentAuthenticator {
    pub(crate) const fn new(token: String) -> Self {
        Self { token }
    }

    /// The service behind the token: it may ask and make workspaces, but is not the operator.
    pub(crate) fn principal() -> ServicePrincipal {
        ServicePrincipal::new("development")
            .with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere)
            .with_scope(ServiceScope::WorkspacesCreate, ScopeReach::Everywhere)
            .acting_as_anybody()
    }
}

/// Equal, in a time that does not tell how many characters are.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[async_trait]
impl Authenticator for DevelopmentAuthenticator {
    async fn authenticate(&self, _: &str, credentials: &Credentials) -> Result<Caller, AuthenticationError> {
        let bearer = credentials.bearer.as_deref();
        let bearer = bearer.ok_or(AuthenticationError::Missing("send `authorization: Bearer ...`"))?;
        if !same(bearer, &self.token) {
            let said = "the token is not known here; use the one of this installation";
            return Err(AuthenticationError::Refused(said.to_owned()));
        }
        let named = credentials.acting_user.as_deref().map(str::parse).transpose();
        let named = named.map_err(|_| AuthenticationError::Refused("the acting user is not a user id".to_owned()))?;
        let person = named.map(|user| PersonClaim::Named { user, reach: ScopeReach::Everywhere });
        Ok(Caller { service: Self::principal(), person })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_token_of_the_folder_is_known() {
        let authenticator = DevelopmentAuthenticator::new("secret".to_owned());
        let with = |bearer: Option<&str>, user: Option<&str>| Credentials {
            peer: None,
            bearer: bearer.map(ToOwned::to_owned),
            acting_user: user.map(ToOwned::to_owned),
        };
        let tried = |c: Credentials| {
            let authenticator = &authenticator;
            async move { authenticator.authenticate("domicile.v1.UserService/GetUser", &c).await }
        };
        assert!(tried(with(Some("secret"), None)).await.is_ok_and(|a| a.person.is_none() && !a.service.operator));
        assert!(matches!(tried(with(None, None)).await, Err(AuthenticationError::Missing(_))));
        for (token, user) in [("secreu", None), ("secret", Some("dana"))] {
            assert!(matches!(tried(with(Some(token), user)).await, Err(AuthenticationError::Refused(_))));
        }
        assert!(!format!("{:?}", with(Some("secret"), None)).contains("secret"));
    }
}
