//! What tests of Domicile, and of programs that embed it, are made of: a store in memory, clocks, ids and gateways that do
//! as they are told, short builders, and the conformance suite that every store passes.
#![deny(missing_docs)]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "the crate serves tests; what cannot be is a failed test"
)]

pub mod authenticator;
pub mod builders;
pub mod canary;
pub mod clock;
pub mod conformance;
pub mod decorators;
pub mod gateway;
pub mod ids;
pub mod languages;
pub mod memory;
pub mod phones;
pub mod sealer;
pub mod seed;
pub mod writer;
