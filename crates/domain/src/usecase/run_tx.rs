//! The one place that begins, commits, rolls back and reruns units of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Refusal;
use crate::model::time::Timestamp;
use crate::port::runtime::{Clock, Ids};
use crate::port::store::{Store, StoreError, UnitOfWork};

/// How a command wants its unit to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish<T> {
    /// Make it durable.
    Commit(T),
    /// Take it back; the value was only read or rehearsed.
    Discard(T),
}

impl<T> Finish<T> {
    /// The same end with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Finish<U> {
        match self {
            Self::Commit(value) => Finish::Commit(change(value)),
            Self::Discard(value) => Finish::Discard(change(value)),
        }
    }
}

/// Work in one unit. It can be run again, so its ids and instants are fixed before the first attempt; it cannot commit.
/// It awaits nothing but the unit.
#[async_trait]
pub trait Command: Send + Sync {
    /// What it answers.
    type Output: Send;

    /// Whether a lost race of this kind is answered by running again. [`StoreError::Contention`] always is, and so is
    /// [`StoreError::ConnectionLost`] before the commit.
    fn reruns_on(&self, error: &StoreError) -> bool {
        let _ = error;
        false
    }

    /// Whether running again finds what an earlier run committed, so that a commit of which the answer was lost is settled
    /// by running again.
    fn finds_its_own_effect(&self) -> bool {
        false
    }

    /// What the caller hears of an error of the store that is not answered by running again.
    fn refusal(&self, error: StoreError) -> Refusal {
        error.into()
    }

    /// Does the work.
    ///
    /// # Errors
    /// A refusal; the unit is rolled back.
    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal>;
}

/// Runs commands on a store.
#[derive(Clone)]
pub struct TxRunner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    reruns: Arc<AtomicU64>,
}

/// The pauses between attempts: at random between zero and this, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl TxRunner {
    /// A runner on a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock, ids, reruns: Arc::new(AtomicU64::new(0)) }
    }

    /// How often a command was run, or a read asked, again since the start.
    pub fn reruns(&self) -> u64 {
        self.reruns.load(Ordering::Relaxed)
    }

    /// Runs a command in a unit of its own until it succeeds, is refused, or nobody waits any more.
    ///
    /// # Errors
    /// What the command refuses, or the store's last error.
    pub async fn run<C: Command>(&self, command: &C, deadline: Timestamp) -> Result<C::Output, Refusal> {
        let mut pause = FIRST_PAUSE;
        loop {
            let lost = match self.attempt(command, deadline).await? {
                Attempted::Done(output) => return Ok(output),
                Attempted::Lost(error) => error,
            };
            if !self.paused(&mut pause, &lost, deadline).await {
                return Err(command.refusal(lost));
            }
        }
    }

    /// Asks the read side until it answers, is refused, or nobody waits any more. A read can always be asked again.
    ///
    /// # Errors
    /// The store's last error.
    pub async fn read<T, A>(&self, deadline: Timestamp, ask: impl Fn() -> A + Send) -> Result<T, Refusal>
    where
        A: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let lost = match ask().await {
                Err(error @ (StoreError::Contention | StoreError::ConnectionLost)) => error,
                answer => return Ok(answer?),
            };
            if !self.paused(&mut pause, &lost, deadline).await {
                return Err(lost.into());
            }
        }
    }

    /// Pauses before another attempt; `false`, at once, if nobody would wait for it.
    async fn paused(&self, pause: &mut Duration, lost: &StoreError, deadline: Timestamp) -> bool {
        let wait = pause.mul_f64(self.chance());
        if self.clock.now().after(wait) >= deadline {
            return false;
        }
        self.reruns.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(error = %lost, "work on the store is done again");
        self.clock.sleep(wait).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        true
    }

    async fn attempt<C: Command>(&self, command: &C, deadline: Timestamp) -> Result<Attempted<C::Output>, Refusal> {
        let patience = deadline.since(self.clock.now());
        let mut tx = match self.store.begin(patience).await {
            Ok(tx) => tx,
            Err(error) => return lost_or_refused(command, error, Moment::Working),
        };
        match command.run(&mut *tx).await {
            Ok(Finish::Commit(output)) => match tx.commit().await {
                Ok(()) => Ok(Attempted::Done(output)),
                Err(error) => lost_or_refused(command, error, Moment::Committing),
            },
            Ok(Finish::Discard(output)) => match tx.rollback().await {
                Ok(()) => Ok(Attempted::Done(output)),
                Err(error) => lost_or_refused(command, error, Moment::Working),
            },
            Err(refusal) => {
                if let Err(error) = tx.rollback().await {
                    tracing::warn!(error = %error, "a unit of work could not be rolled back by itself; the store drops it");
                }
                match refusal.cause.clone() {
                    Some(error) => lost_or_refused(command, error, Moment::Working),
                    None => Err(refusal),
                }
            }
        }
    }

    /// Between 0 and 1.
    fn chance(&self) -> f64 {
        f64::from(u32::try_from(self.ids.chance() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

enum Attempted<T> {
    Done(T),
    Lost(StoreError),
}

/// When a unit failed: a connection that broke in the commit leaves open whether it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Working,
    Committing,
}

fn lost_or_refused<C: Command>(
    command: &C,
    error: StoreError,
    moment: Moment,
) -> Result<Attempted<C::Output>, Refusal> {
    let again = match error {
        StoreError::Contention => true,
        StoreError::ConnectionLost => moment == Moment::Working || command.finds_its_own_effect(),
        _ => command.reruns_on(&error),
    };
    if again { Ok(Attempted::Lost(error)) } else { Err(command.refusal(error)) }
}
