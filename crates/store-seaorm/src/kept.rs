//! Connections of PostgreSQL for single statements, kept between two of them.
//!
//! A connection that goes back to its pool is first asked for a sign of life: one more way to the server and back, which
//! costs as much as the statement of a check. So whoever has run a single statement to its end leaves its connection here
//! for the next one. No more statements are under way than there are connections, the others wait in their order. As long
//! as anybody waits for the pool nothing stays here, so that nobody waits in vain.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgPool;
use sea_orm::sqlx::{Error, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};

/// After this a connection goes back to its pool all the same, which closes those that are old or that nobody needs.
const AWAY_AT_MOST: Duration = Duration::from_mins(1);

/// A connection, and when it left its pool.
struct Away {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Away {
    fn is_old(&self) -> bool {
        self.since.elapsed() > AWAY_AT_MOST
    }
}

/// A connection for a statement. It goes back to its pool when it is dropped.
pub(crate) struct Taken<'k> {
    away: Away,
    _place: SemaphorePermit<'k>,
}

impl Taken<'_> {
    pub(crate) fn connection(&mut self) -> &mut PoolConnection<Postgres> {
        &mut self.away.connection
    }
}

/// The connections of a pool that are kept.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Shared>);

struct Shared {
    /// One for each statement that may be under way.
    places: Semaphore,
    /// The one that was used last comes last.
    idle: Mutex<VecDeque<Away>>,
    /// How many wait for the pool.
    waiting: AtomicUsize,
}

/// Somebody who waits for the pool, until it is dropped.
struct Waiting<'k>(&'k Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Away>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Of a pool of so many connections.
    pub(crate) fn of(size: u32) -> Self {
        let places = Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS));
        Self(Arc::new(Shared { places, idle: Mutex::default(), waiting: AtomicUsize::new(0) }))
    }

    /// How many are kept at the moment.
    pub(crate) fn count(&self) -> usize {
        self.0.idle().len()
    }

    /// The connection that was left last, or one of the pool. Nobody waits longer for a place than the pool lets one wait.
    pub(crate) async fn take(&self, pool: &PgPool) -> Result<Taken<'_>, Error> {
        let place = tokio::time::timeout(pool.options().get_acquire_timeout(), self.0.places.acquire());
        let place = place.await.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)?;
        let last = self.0.idle().pop_back();
        let away = match last {
            Some(last) => last,
            None => Away { connection: self.give_way(pool.acquire()).await?, since: Instant::now() },
        };
        Ok(Taken { away, _place: place })
    }

    /// Leaves a connection on which nothing is under way. One that is not left here goes back to its pool.
    pub(crate) fn leave(&self, taken: Taken<'_>) {
        let mut idle = self.0.idle();
        idle.push_back(taken.away);
        let unused = idle.front().is_some_and(Away::is_old).then(|| idle.pop_front());
        // Whoever begins to wait from here on finds this one.
        let goes_back = idle.back().is_some_and(Away::is_old) || self.0.waiting.load(Ordering::SeqCst) > 0;
        let back = goes_back.then(|| idle.pop_back());
        drop(idle);
        drop((back, unused));
    }

    /// Waits for a connection of the pool, to which one of those that are kept goes back. None comes to be kept before it is
    /// there, so each finds one, however many wait.
    pub(crate) async fn give_way<T>(&self, of_pool: impl Future<Output = T>) -> T {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.0);
        let first = self.0.idle().pop_front();
        drop(first);
        of_pool.await
    }
}

impl Drop for Shared {
    /// A connection goes back to its pool on a runtime, which may be gone when a store is dropped; its socket closes anyhow.
    fn drop(&mut self) {
        for away in self.idle().drain(..) {
            drop(away.connection.leak());
        }
    }
}
