//! Whether a store can be reached, for those who say so to the outside.

use async_trait::async_trait;

use super::store::StoreError;

/// Asks a store for a sign of life.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StoreProbe: Send + Sync {
    /// Reads something small that is always there, and finds out, without writing, whether a write could begin. May hang as long as the store does: whoever asks sets the limit.
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read or written now.
    async fn reachable(&self) -> Result<(), StoreError>;
}
