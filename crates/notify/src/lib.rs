//! How messages are written and how they leave: templates, languages, gateways.
//!
//! Recipe for a language: a file in `messages/` with every key of `en.ftl`, a row in the table of `writer`; the tests tell
//! what is missing. Recipe for a gateway: implement the port `NotificationGateway` behind a feature of its own.

#[cfg(feature = "capture")]
pub mod capture;
pub mod segments;
#[cfg(feature = "smtp")]
pub mod smtp;
pub mod writer;

#[cfg(feature = "capture")]
pub use capture::CaptureGateway;
#[cfg(feature = "smtp")]
pub use smtp::{SmtpGateway, SmtpSettings, SmtpSettingsError};
pub use writer::{FluentWriter, LanguageError};
