//! What the end to end tests share: a server in this process over a store of the test's choice, and clients of it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "the crate serves tests; what cannot be fails them"
)]

pub mod binary;
pub mod captured;
pub mod certificates;
pub mod dev;
pub mod issuer;
pub mod postgres;
pub mod python;
pub mod server;
pub mod sink;
pub mod world;
