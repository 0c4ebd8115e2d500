//! The authenticator as callers meet it, with a real issuer on loopback and a clock that stands still.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "what cannot be fails the test")]

mod agreement;
mod bad_tokens;
mod changing_keys;
mod documented;
mod properties;
mod support;
mod tokens;
