//! Time and identifiers of the operating system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::runtime::{Clock, Ids};
use uuid::Uuid;

/// The present instant.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The system's clock.
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Identifiers of version 7, whose last bits are chance.
pub(crate) struct SystemIds;

impl Ids for SystemIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn chance(&self) -> u64 {
        // The random half of a version 7 id; its two fixed bits are the lowest after the turn, where jitter does not look.
        Uuid::now_v7().as_u64_pair().1.rotate_left(2)
    }
}
