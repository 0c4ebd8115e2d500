//! How messages are written and how they leave: templates, languages, gateways.
//!
//! Recipe for a language: a file in `messages/` with every key of `en.ftl`, a row in the table of `writer`; the tests tell
//! what is missing. Recipe for a gateway: implement the port `NotificationGateway` behind a feature of its own.

#[cfg(feature = "capture")]
pub mod capture;
pub mod segments;
pub mod writer;

#[cfg(feature = "capture")]
pub use capture::CaptureGateway;
pub use writer::{FluentWriter, LanguageError};
