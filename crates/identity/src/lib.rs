//! Tells who calls: the authenticator of an installation that serves others.
//!
//! A calling service is known by its client certificate, by a JWT access token (RFC 9068), or by both if they agree. A person
//! is known by a token of their own, by one that was exchanged for the service (RFC 8693), or because a service with a grant
//! names them. Every rule of who is who stands in [`IdentitySettings`]; nothing is believed that it does not name.
//!
//! Recipe for a form of credentials: a line in `authenticator.rs` that reads it, a line in the table of `agreed` for each
//! other form it can come with, a sentence in `fault.rs` for each way it can be wrong, rows in `tests/agreement.rs`. Recipe for an
//! algorithm: a row in `algorithm.rs`, its kind of key in `keys.rs`.
//!
//! Rules: the kind of a key tells the algorithm, never the token alone; a token brings no key; what is said to the caller has
//! nothing of the token in it; an issuer that is away holds up neither the start nor callers whose key is known.

mod algorithm;
mod authenticator;
mod cache;
mod fault;
#[cfg(feature = "issuer")]
pub mod issuer;
mod key_source;
mod keys;
mod origin;
mod services;
pub mod settings;
mod token;
mod verifier;

pub use algorithm::{Algorithm, ParseAlgorithmError};
pub use authenticator::{MappedAuthenticator, TlsSetupError};
pub use key_source::IssuerStatus;
pub use settings::{IdentityConfig, IdentitySettings, Violation, Violations};
