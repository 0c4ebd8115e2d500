//! Connections of PostgreSQL for single statements, kept between two of them.
//!
//! A connection that goes back to its pool is first asked for a sign of life: one more way to the server and back, which
//! costs as much as the statement of a check. So whoever has run a single statement to its end leaves its connection here
//! for the next one. As long as a transaction waits for the pool nothing stays here, so that none waits in vain.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgPool;
use sea_orm::sqlx::{Error, Postgres};
use tokio::sync::Notify;

/// After this a connection goes back to its pool all the same, which closes those that are old or that nobody needs.
const AWAY_AT_MOST: Duration = Duration::from_mins(1);

/// A connection, and when it left its pool.
pub(crate) struct Away {
    pub(crate) connection: PoolConnection<Postgres>,
    since: Instant,
}

/// The connections of a pool that are kept.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The one that was used last comes last.
    idle: Mutex<VecDeque<Away>>,
    /// Tells who waits to take one that one was left.
    left: Notify,
    /// How many transactions wait for the pool.
    waiting: AtomicUsize,
}

/// A transaction that waits, until it is dropped.
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

    fn last(&self) -> Option<Away> {
        self.idle().pop_back()
    }
}

impl Kept {
    /// How many are kept at the moment.
    pub(crate) fn count(&self) -> usize {
        self.0.idle().len()
    }

    /// The connection that was left last, or else whichever comes first: one that is left, or one of the pool.
    pub(crate) async fn take(&self, pool: &PgPool) -> Result<Away, Error> {
        if let Some(last) = self.0.last() {
            return Ok(last);
        }
        let mut of_pool = pin!(pool.acquire());
        loop {
            let mut left = pin!(self.0.left.notified());
            // What is left from here on is told, what was left before is found.
            left.as_mut().enable();
            if let Some(last) = self.0.last() {
                return Ok(last);
            }
            tokio::select! {
                () = left => {}
                connection = &mut of_pool => return Ok(Away { connection: connection?, since: Instant::now() }),
            }
        }
    }

    /// Leaves a connection on which nothing is under way. One that is not left here goes back to its pool.
    pub(crate) fn leave(&self, away: Away) {
        let mut idle = self.0.idle();
        idle.push_back(away);
        let is_old = |away: Option<&Away>| away.is_some_and(|away| away.since.elapsed() > AWAY_AT_MOST);
        let unused = is_old(idle.front()).then(|| idle.pop_front());
        // A transaction that begins to wait from here on finds this one.
        let goes_back = is_old(idle.back()) || self.0.waiting.load(Ordering::SeqCst) > 0;
        let back = goes_back.then(|| idle.pop_back());
        drop(idle);
        drop((back, unused));
        if !goes_back {
            self.0.left.notify_one();
        }
    }

    /// Begins a transaction of the pool, to which one of those that are kept goes back. None comes to be kept before it has
    /// begun, so each finds one, however many wait.
    pub(crate) async fn give_way<T>(&self, begin: impl Future<Output = T>) -> T {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.0);
        let first = self.0.idle().pop_front();
        drop(first);
        begin.await
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
