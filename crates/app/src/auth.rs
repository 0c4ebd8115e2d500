//! The development sign-in: one token in a file of the data folder, any acting user. It serves on loopback alone.

use async_trait::async_trait;
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Credentials};

pub(crate) struct DevelopmentAuthenticator {
    token: String,
}

impl DevelopmentAuthenticator {
    pub(crate) const fn new(token: String) -> Self {
        Self { token }
    }

    /// The service behind the token: it may ask and make workspaces, but is not the operator.
    pub(crate) fn principal() -> ServicePrincipal {
        ServicePrincipal {
            name: "development".to_owned(),
            operator: false,
            scopes: vec![
                (ServiceScope::AccessCheck, ScopeReach::Everywhere),
                (ServiceScope::WorkspacesCreate, ScopeReach::Everywhere),
            ],
        }
    }
}

/// Equal, in a time that does not tell how many characters are.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[async_trait]
impl Authenticator for DevelopmentAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Actor, AuthenticationError> {
        let bearer = credentials.bearer.as_deref().ok_or(AuthenticationError::Missing)?;
        if !same(bearer, &self.token) {
            return Err(AuthenticationError::Unknown);
        }
        let user = credentials.acting_user.as_deref().map(str::parse).transpose();
        Ok(Actor { service: Self::principal(), user: user.map_err(|_| AuthenticationError::ActingUser)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_token_of_the_folder_is_known() {
        let authenticator = DevelopmentAuthenticator::new("secret".to_owned());
        let with = |bearer: Option<&str>, user: Option<&str>| Credentials {
            bearer: bearer.map(ToOwned::to_owned),
            acting_user: user.map(ToOwned::to_owned),
        };
        let tried = |c: Credentials| {
            let authenticator = &authenticator;
            async move { authenticator.authenticate(&c).await }
        };
        assert!(tried(with(Some("secret"), None)).await.is_ok_and(|a| a.user.is_none() && !a.service.operator));
        assert_eq!(tried(with(None, None)).await, Err(AuthenticationError::Missing));
        assert_eq!(tried(with(Some("secreu"), None)).await, Err(AuthenticationError::Unknown));
        assert_eq!(tried(with(Some("secret"), Some("dana"))).await, Err(AuthenticationError::ActingUser));
        assert!(!format!("{:?}", with(Some("secret"), None)).contains("secret"));
    }
}
