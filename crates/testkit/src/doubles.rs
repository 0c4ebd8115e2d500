//! A clock, identifiers and a sealer that do as they are told.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::port::sealer::{ForeignToken, SealError, SealPurpose, Sealer};
use uuid::Uuid;

/// A clock that stands until it is set. Sleeping lets other tasks run and takes no time.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that shows `now`.
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Lets `by` pass.
    pub fn advance(&self, by: Duration) {
        let later = self.now().after(by);
        self.0.store(later.as_micros(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

/// Identifiers that count from 1, in the shape of version 7, and chance that repeats from run to run.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl Ids for SequentialIds {
    fn uuid(&self) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u64_pair(0x0190_0000_0000_7000, 0x8000_0000_0000_0000 | number)
    }

    fn chance(&self) -> u64 {
        // A step of a multiplicative generator; spread is all that jitter needs.
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// Tokens that anybody can read and only their purpose opens: for tests that look inside.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainSealer;

impl Sealer for PlainSealer {
    fn seal(&self, purpose: SealPurpose, content: &[u8]) -> Result<String, SealError> {
        let text = std::str::from_utf8(content).map_err(|e| SealError(e.to_string()))?;
        Ok(format!("{purpose:?}:{text:<128}"))
    }

    fn open(&self, purpose: SealPurpose, token: &str) -> Result<Vec<u8>, ForeignToken> {
        let content = token.strip_prefix(&format!("{purpose:?}:")).ok_or(ForeignToken)?;
        Ok(content.trim_end().as_bytes().to_vec())
    }
}
