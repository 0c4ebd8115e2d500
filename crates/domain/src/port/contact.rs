//! What people type as contacts and languages, read by those who know the world's conventions.

use crate::model::language::LanguageTag;
use crate::model::phone::{PhoneNumber, Region};

/// The text is no phone number, as of a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a phone number of {region}{}", .example.as_deref().map(|e| format!("; write it like {e}")).unwrap_or_default())]
pub struct UnreadablePhone {
    /// What was typed, as it may be shown.
    pub text: String,
    /// The region it was read as.
    pub region: Region,
    /// A number of that region, as one would write it.
    pub example: Option<String>,
}

/// Reads phone numbers.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait PhoneParser: Send + Sync {
    /// Reads what a person typed, national input as of `region`.
    ///
    /// # Errors
    /// [`UnreadablePhone`] carries an example of the region.
    fn parse(&self, text: &str, region: Region) -> Result<PhoneNumber, UnreadablePhone>;

    /// Whether there is such a region.
    fn knows(&self, region: Region) -> bool;
}

/// Knows which language serves for which.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait LanguageMatcher: Send + Sync {
    /// The first of `available` that serves a reader of `wanted`, with CLDR-style fallback; `None` if none does.
    fn best(&self, wanted: &LanguageTag, available: &[LanguageTag]) -> Option<LanguageTag>;
}
