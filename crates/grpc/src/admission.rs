//! How much may be at work at once. Calls and checks of access have pools of their own, so that a flood of the one never
//! starves the other; what finds its pool full is refused at once, before it costs anything. There is no queue: the calls
//! at work are the queue, and a caller who is refused early can turn elsewhere.
//!
//! A permit belongs to the work, not to the answer: work whose caller has left, or whose time is over, still uses the
//! store, so it counts until it ends.

use std::sync::Arc;

use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Limits;
use crate::measures;

/// What a call takes its permit from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolName {
    /// Checks of access, on the callers' own request path.
    Checks,
    /// Every other call.
    Calls,
}

impl PoolName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Calls => "calls",
        }
    }
}

/// What is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// What the caller's connection may have at work.
    Connection,
    /// What the process may.
    Process,
}

/// What one connection may have at work.
pub(crate) struct ConnectionPermits {
    checks: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl ConnectionPermits {
    pub(crate) fn of(limits: &Limits) -> Self {
        let permits = || Arc::new(Semaphore::new(limits.calls_per_connection));
        Self { checks: permits(), calls: permits() }
    }

    fn pool(&self, name: PoolName) -> &Arc<Semaphore> {
        match name {
            PoolName::Checks => &self.checks,
            PoolName::Calls => &self.calls,
        }
    }
}

/// A place among the calls at work, given back when it is dropped.
pub(crate) struct Permit {
    _connection: Option<OwnedSemaphorePermit>,
    _process: OwnedSemaphorePermit,
    at_work: Gauge,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.at_work.decrement(1.0);
    }
}

struct Pool {
    permits: Arc<Semaphore>,
    at_work: Gauge,
}

impl Pool {
    fn of(name: PoolName, size: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(size)), at_work: measures::at_work(name) }
    }
}

/// The pools of the process.
pub(crate) struct Admission {
    checks: Pool,
    calls: Pool,
}

impl Admission {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            checks: Pool::of(PoolName::Checks, limits.checks_per_process),
            calls: Pool::of(PoolName::Calls, limits.calls_per_process),
        }
    }

    /// A place for a call that came over a connection, or what is full.
    pub(crate) fn enter(&self, name: PoolName, connection: Option<&ConnectionPermits>) -> Result<Permit, Full> {
        let pool = match name {
            PoolName::Checks => &self.checks,
            PoolName::Calls => &self.calls,
        };
        let of_connection = connection.map(|permits| permits.pool(name).clone().try_acquire_owned()).transpose();
        let of_connection = of_connection.map_err(|_| Full::Connection)?;
        let of_process = pool.permits.clone().try_acquire_owned().map_err(|_| Full::Process)?;
        pool.at_work.increment(1.0);
        Ok(Permit { _connection: of_connection, _process: of_process, at_work: pool.at_work.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pool_has_its_own_size_and_gets_back_what_it_gave() {
        let limits = Limits { calls_per_process: 1, checks_per_process: 2, ..Limits::default() };
        let admission = Admission::of(&limits);
        for (name, size) in [(PoolName::Calls, 1), (PoolName::Checks, 2)] {
            let taken: Vec<Permit> = (0..size).map(|_| admission.enter(name, None).ok().unwrap()).collect();
            assert_eq!(admission.enter(name, None).err(), Some(Full::Process));
            drop(taken);
            assert!(admission.enter(name, None).is_ok());
        }
    }

    #[test]
    fn a_connection_takes_no_more_than_its_share_and_loses_none_to_a_full_process() {
        let limits = Limits { calls_per_connection: 1, calls_per_process: 2, ..Limits::default() };
        let admission = Admission::of(&limits);
        let (one, other, third) =
            (ConnectionPermits::of(&limits), ConnectionPermits::of(&limits), ConnectionPermits::of(&limits));
        let enter = |connection| admission.enter(PoolName::Calls, Some(connection));
        let first = enter(&one).ok().unwrap();
        assert_eq!(enter(&one).err(), Some(Full::Connection));
        assert!(admission.enter(PoolName::Checks, Some(&one)).is_ok(), "checks have a share of their own");
        let _second = enter(&other).ok().unwrap();
        assert_eq!(enter(&third).err(), Some(Full::Process));
        drop(first);
        assert!(enter(&third).is_ok());
    }
}
