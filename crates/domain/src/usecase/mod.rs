//! Intents, one a file.

mod api;

pub use api::*;
