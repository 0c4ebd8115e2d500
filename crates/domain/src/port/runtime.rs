//! Time, chance and identifiers come in through ports, so that tests can say what they are.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::model::time::Timestamp;

/// Tells the time and lets it pass.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Returns once `duration` has passed.
    async fn sleep(&self, duration: Duration);
}

/// Makes identifiers and chance.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Ids: Send + Sync {
    /// A new identifier, never given before. Version 7 in production.
    fn uuid(&self) -> Uuid;

    /// An even chance between 0 and `u64::MAX`, for jitter.
    fn chance(&self) -> u64;
}
