//! Clocks that stand still until they are told otherwise.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::runtime::Clock;
use tokio::sync::watch;

/// Says the instant it was set to. `sleep` returns at once: it lets others run and notes how long it was asked for.
#[derive(Debug)]
pub struct FixedClock {
    now: AtomicI64,
    passes: AtomicBool,
    slept: Mutex<Vec<Duration>>,
}

impl FixedClock {
    /// A clock that stands at an instant.
    pub const fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.as_micros()), passes: AtomicBool::new(false), slept: Mutex::new(Vec::new()) }
    }

    /// A clock that moves on by what others sleep, so that deadlines come.
    pub const fn passing(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.as_micros()), passes: AtomicBool::new(true), slept: Mutex::new(Vec::new()) }
    }

    /// Sets the instant.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().after(by));
    }

    /// How long others slept, in order.
    pub fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for FixedClock {
    /// Stands at [`builders::NOW`](crate::builders::NOW).
    fn default() -> Self {
        Self::at(crate::builders::NOW)
    }
}

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap_or_else(PoisonError::into_inner).push(duration);
        if self.passes.load(Ordering::SeqCst) {
            self.advance(duration);
        }
        tokio::task::yield_now().await;
    }
}

/// Says the instant it was set to, and whoever sleeps wakes when it is set far enough.
#[derive(Debug)]
pub struct SteppedClock(watch::Sender<Timestamp>);

impl SteppedClock {
    /// Lets time pass, and wakes those whose sleep it ends.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.after(by));
    }

    /// Returns once so many sleep. Time that passes earlier is not part of their sleep.
    pub async fn asleep(&self, count: usize) {
        while self.0.receiver_count() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Default for SteppedClock {
    /// Stands at [`builders::NOW`](crate::builders::NOW).
    fn default() -> Self {
        Self(watch::Sender::new(crate::builders::NOW))
    }
}

#[async_trait]
impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now().after(duration);
        let woken = self.0.subscribe().wait_for(|now| *now >= until).await.is_ok();
        debug_assert!(woken, "the clock sends as long as it is borrowed");
    }
}
