//! Why a caller is not known, each in one sentence for the caller. None has anything of a token in it.

use domicile_domain::port::authenticator::AuthenticationError;

/// How long a token may be. A header list may have 16 KiB, so that one token never fills it.
pub(crate) const LONGEST_TOKEN: usize = 8 * 1024;

/// Why a caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("nothing came with the call")]
    Nothing,

    #[error("the token is longer than 8 KiB; ask its issuer for one with fewer claims")]
    Oversized,
    #[error("the token is not a signed JWT in compact form; send the access token as its issuer gave it")]
    Malformed,
    #[error("the token is not signed by ES256, EdDSA or RS256; have its issuer sign by one of them")]
    Algorithm,
    #[error("the token demands an extension (`crit`) that is not understood here; ask its issuer for a plain one")]
    Extension,
    #[error(
        "the token is not of a type that is accepted from its issuer; send an access token (`typ` at+jwt), not an ID token"
    )]
    Type,
    #[error("the token has no usable claim `{0}`; have its issuer give one as RFC 9068 says")]
    Claim(&'static str),
    #[error("the token is of an issuer that is not trusted here; get one from an issuer of this installation")]
    Issuer,
    #[error("the token is signed by an algorithm that is not accepted from its issuer; have it sign by another")]
    AlgorithmOfIssuer,
    #[error("the token does not name its key (`kid`), and its issuer has several; have the issuer name it")]
    KeyNotNamed,
    #[error(
        "the token is signed by a key that its issuer does not publish for this algorithm; get a new token, and where the issuer has just changed its keys, try again in {0} seconds"
    )]
    Key(u64),
    #[error("the signature of the token is not right; get a new token from its issuer")]
    Signature,
    #[error("the token has expired; get a new one from its issuer")]
    Expired,
    #[error("the token is not valid yet; check the clocks of its issuer and of this server")]
    NotYet,
    #[error("the token was issued too long ago; get a new one from its issuer")]
    TooOld,
    #[error("the token is not meant for this service; ask its issuer for one with the audience `{0}`")]
    Audience(String),
    #[error("the token names two clients (`client_id` and `azp`); have its issuer name one")]
    TwoClients,
    #[error(
        "the token is of a client that is no service here; connect as a service, or have the operator add the client to one"
    )]
    Client,
    #[error("the service that acts in the token (`act`) is no service here; have the operator add it to one")]
    ActingService,
    #[error(
        "the token names two services, one as client and one as acting (`act`); exchange it as the service that calls"
    )]
    TwoServices,

    #[error(
        "the client certificate names no service of this installation; have the operator add one of its names to a service"
    )]
    Certificate,
    #[error("the client certificate names two services; use one with the names of one service")]
    CertificateOfTwo,
    #[error("the client certificate and the token name two services; send a token of the service that connects")]
    Disagree,

    #[error("the token proves who acts, and a header says it too; leave the acting user out")]
    NamedAndProven,
    #[error("the acting user is not a user id; give the id of a user, not an email or a handle")]
    UserId,

    #[error("the keys of the token's issuer have not been fetched yet; try again in some seconds")]
    NoKeys,
    #[error(
        "the keys of the token's issuer cannot be fetched, and the last ones are too old; try again when the issuer is back"
    )]
    StaleKeys,
    #[error("the key of the token is not known, and its issuer cannot be asked; try again when the issuer is back")]
    KeyNotFetched,
    #[error("the key of the token is being looked for, and too many wait for it; try again in a second")]
    KeyAwaited,
}

/// Why a service may not name whom it acts for. The sentences are for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ungranted {
    #[error("the service acts for the operator, who never acts as a person; leave the acting user out")]
    Operator,
    #[error(
        "the service has no grant to name whom it acts for; send a token of the person, or have the operator grant `act_as`"
    )]
    NoGrant,
    #[error(
        "the service may not name whom it acts for by this method; send a token of the person, or have the operator extend `act_as`"
    )]
    NotByMethod,
}

impl From<Fault> for AuthenticationError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Nothing => Self::Missing(
                "send `authorization: Bearer` with a token of your issuer, or connect with a client certificate",
            ),
            Fault::NoKeys | Fault::StaleKeys | Fault::KeyNotFetched | Fault::KeyAwaited => {
                Self::Unavailable(fault.to_string())
            }
            _ => Self::Refused(fault.to_string()),
        }
    }
}
