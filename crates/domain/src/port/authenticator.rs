//! Who is calling, told from what came with the call.

use async_trait::async_trait;

use crate::model::actor::{ScopeReach, ServicePrincipal};
use crate::model::email::EmailAddress;
use crate::model::id::UserId;
use crate::model::user::Identity;

/// Names that a client certificate proves, as its subject alternative names say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerNames {
    /// URIs, a SPIFFE id among them.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
}

/// What came with a call. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The names of the client certificate; absent if the connection has none.
    pub peer: Option<PeerNames>,
    /// The bearer token: of the service, of a person, or exchanged for both.
    pub bearer: Option<String>,
    /// The id of the person the service says it acts for.
    pub acting_user: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("peer", &self.peer)
            .field("bearer", &self.bearer.as_ref().map(|_| "set"))
            .field("acting_user", &self.acting_user)
            .finish()
    }
}

/// The person of a call, as far as the credentials tell; the domain finds the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonClaim {
    /// Named by the service, which has a grant to do so.
    Named {
        /// Whom.
        user: UserId,
        /// Where the grant holds.
        reach: ScopeReach,
    },
    /// Named by the service, which may not: nobody acts.
    Ungranted {
        /// Whom.
        user: UserId,
        /// Why it may not and what to do; for the caller.
        why: String,
    },
    /// Proven by a token.
    Proven {
        /// The issuer's name for the person.
        identity: Identity,
        /// Whether it is the person's own token, and not one exchanged for a service.
        own: bool,
        /// The address that the issuer has verified, if it says so.
        verified_email: Option<EmailAddress>,
        /// The homes for which the issuer is trusted to tell who a person is when it is seen first; absent for none.
        trusted_for: Option<ScopeReach>,
    },
}

/// Who is calling, as the credentials prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The service.
    pub service: ServicePrincipal,
    /// The person it acts for.
    pub person: Option<PersonClaim>,
}

/// The caller is not known. The sentences are for the caller and hold nothing of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// Nothing came with the call that tells who is calling.
    #[error("nothing tells who is calling; {0}")]
    Missing(&'static str),
    /// What came is not good: the sentence says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The caller cannot be told now.
    #[error("the caller cannot be told now: {0}")]
    Unavailable(String),
}

/// Tells who is calling.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller behind the credentials of a call of `method`, such as `domicile.v1.UserService/LookupUser`.
    ///
    /// # Errors
    /// [`AuthenticationError`]; nothing is done for such a call.
    async fn authenticate(&self, method: &str, credentials: &Credentials) -> Result<Caller, AuthenticationError>;
}
