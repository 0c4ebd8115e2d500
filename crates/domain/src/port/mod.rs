//! What the domain needs from outside. Every port is a trait with shipped implementations elsewhere; with the feature
//! `mock` each has a mock beside it.
//!
//! To write a store: implement [`store::Store`], its [`store::UnitOfWork`] and repositories, and
//! [`directory::Directory`]; then pass the conformance suite of the testkit. The contracts are on the traits.

pub mod authenticator;
pub mod contact;
pub mod directory;
pub mod notifier;
pub mod probe;
pub mod runtime;
pub mod sealer;
pub mod store;
