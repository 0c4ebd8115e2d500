//! Tokens that only this installation can read and nobody can change.

/// What a token is for. A token of one purpose never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealPurpose {
    /// Ties a save to a lookup.
    MatchHandle,
    /// The place in a list.
    PageToken,
    /// What a write touched.
    ConsistencyToken,
}

/// The token is not one of ours, or of another purpose, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token was not made here")]
pub struct ForeignToken;

/// There is no key, or it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sealing keys cannot be used: {0}")]
pub struct SealError(pub String);

/// Seals and opens tokens by authenticated encryption. The length of a token tells nothing of its content: contents are
/// padded to a multiple of 64 bytes.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Sealer: Send + Sync {
    /// Seals `content` into URL-safe text.
    ///
    /// # Errors
    /// The implementation has no key or no randomness.
    fn seal(&self, purpose: SealPurpose, content: &[u8]) -> Result<String, SealError>;

    /// Opens what was sealed for the same purpose.
    ///
    /// # Errors
    /// Anything else is foreign.
    fn open(&self, purpose: SealPurpose, token: &str) -> Result<Vec<u8>, ForeignToken>;

    /// A number for `content` that every replica with the same keys makes alike, and that nobody without them can foresee.
    ///
    /// # Errors
    /// The implementation has no key.
    fn fingerprint(&self, content: &[u8]) -> Result<u64, SealError>;
}
