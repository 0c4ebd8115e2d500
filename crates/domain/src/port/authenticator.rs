//! Who is calling, told from what came with the call.

use async_trait::async_trait;

use crate::model::actor::Actor;

/// What came with a call. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The bearer token of the calling service.
    pub bearer: Option<String>,
    /// The id of the person it says it acts for.
    pub acting_user: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("bearer", &self.bearer.as_ref().map(|_| "set"))
            .field("acting_user", &self.acting_user)
            .finish()
    }
}

/// The caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// No token came with the call.
    #[error("no token came with the call; send `authorization: Bearer ...`")]
    Missing,
    /// The token is not one that is known here.
    #[error("the token is not known here; use one of this installation")]
    Unknown,
    /// The acting user is no user id.
    #[error("the acting user is not a user id")]
    ActingUser,
    /// The caller cannot be told now.
    #[error("the caller cannot be told now: {0}")]
    Unavailable(String),
}

/// Tells who is calling.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller behind the credentials.
    ///
    /// # Errors
    /// [`AuthenticationError`]; nothing is done for such a call.
    async fn authenticate(&self, credentials: &Credentials) -> Result<Actor, AuthenticationError>;
}
