//! Stores around a store: one that holds a unit at its commit, one that fails first attempts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::port::store::{
    BudgetRepository, GroupRepository, MembershipRepository, NoticeRepository, RecordRepository,
    RelationshipRepository, RoleRepository, Store, StoreError, UnitOfWork, UserRepository, WorkspaceRepository,
};
use tokio::sync::{oneshot, watch};

/// What a decorated unit does instead of committing at once.
enum AtCommit {
    Hold(Arc<Mutex<Option<Gate>>>),
    MayFail { commits: Arc<AtomicU64>, error: StoreError },
}

struct Gate {
    /// How many units go through before one is held.
    passing: u64,
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// The gate, if it is for the unit that asks.
fn taken(gate: &Mutex<Option<Gate>>) -> Option<Gate> {
    let mut slot = gate.lock().unwrap_or_else(PoisonError::into_inner);
    match slot.as_mut() {
        Some(gate) if gate.passing > 0 => {
            gate.passing -= 1;
            None
        }
        _ => slot.take(),
    }
}

struct Decorated {
    inner: Box<dyn UnitOfWork>,
    at_commit: AtCommit,
}

#[async_trait]
impl UnitOfWork for Decorated {
    fn users<'t>(&'t mut self) -> Box<dyn UserRepository + 't> {
        self.inner.users()
    }

    fn workspaces<'t>(&'t mut self) -> Box<dyn WorkspaceRepository + 't> {
        self.inner.workspaces()
    }

    fn memberships<'t>(&'t mut self) -> Box<dyn MembershipRepository + 't> {
        self.inner.memberships()
    }

    fn groups<'t>(&'t mut self) -> Box<dyn GroupRepository + 't> {
        self.inner.groups()
    }

    fn roles<'t>(&'t mut self) -> Box<dyn RoleRepository + 't> {
        self.inner.roles()
    }

    fn relationships<'t>(&'t mut self) -> Box<dyn RelationshipRepository + 't> {
        self.inner.relationships()
    }

    fn notices<'t>(&'t mut self) -> Box<dyn NoticeRepository + 't> {
        self.inner.notices()
    }

    fn records<'t>(&'t mut self) -> Box<dyn RecordRepository + 't> {
        self.inner.records()
    }

    fn budgets<'t>(&'t mut self) -> Box<dyn BudgetRepository + 't> {
        self.inner.budgets()
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, at_commit } = *self;
        match at_commit {
            AtCommit::Hold(gate) => {
                let gate = taken(&gate);
                if let Some(gate) = gate {
                    let _ = gate.reached.send(());
                    // A handle that is dropped releases too.
                    let _ = gate.released.await;
                }
                inner.commit().await
            }
            AtCommit::MayFail { commits, error } => {
                if commits.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                    inner.rollback().await?;
                    return Err(error);
                }
                inner.commit().await
            }
        }
    }

    async fn rollback(self: Box<Self>) -> Result<(), StoreError> {
        self.inner.rollback().await
    }
}

/// A store whose next unit can be held at its commit: between all its statements and their becoming visible.
pub struct HeldStore {
    inner: Arc<dyn Store>,
    gate: Arc<Mutex<Option<Gate>>>,
    asked: watch::Sender<u64>,
    /// Which unit begins only once how many were asked for.
    late: Mutex<Option<(u64, u64)>>,
}

/// A unit that is, or is going to be, held at its commit. Dropping it releases the unit.
pub struct Held {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Returns once a unit stands before its commit. `false` if the store went away before.
    pub async fn reached(&mut self) -> bool {
        (&mut self.reached).await.is_ok()
    }

    /// Lets it go on.
    pub fn release(self) {
        let _ = self.release.send(());
    }
}

impl HeldStore {
    /// Around a store.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, gate: Arc::default(), asked: watch::Sender::default(), late: Mutex::default() }
    }

    /// Holds the next unit that comes to its commit.
    pub fn hold_next(&self) -> Held {
        self.hold_after(0)
    }

    /// Holds the unit that comes to its commit after `passing` others did.
    pub fn hold_after(&self, passing: u64) -> Held {
        let (reached, wait_reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(Gate { passing, reached, released });
        Held { reached: wait_reached, release }
    }

    /// How many units were asked for.
    pub fn units_asked(&self) -> u64 {
        *self.asked.borrow()
    }

    /// Lets the unit of that number, counted from 1, begin only once so many were asked for.
    pub fn begin_late(&self, unit: u64, asked: u64) {
        *self.late.lock().unwrap_or_else(PoisonError::into_inner) = Some((unit, asked));
    }

    /// Returns once that many units were asked for: their callers have them, or wait for their turn.
    pub async fn asked(&self, units: u64) {
        self.asked
            .subscribe()
            .wait_for(|asked| *asked >= units)
            .await
            .expect("the store is there, and so is its count");
    }
}

#[async_trait]
impl Store for HeldStore {
    async fn begin(&self, patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        let late = *self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, asked)) = late.filter(|(unit, _)| *unit == number) {
            self.asked(asked).await;
        }
        let inner = self.inner.begin(patience).await?;
        Ok(Box::new(Decorated { inner, at_commit: AtCommit::Hold(self.gate.clone()) }))
    }
}

/// A store whose every other commit fails, beginning with the first, and writes nothing: whoever reruns gets through at the
/// second attempt.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    commits: Arc<AtomicU64>,
    error: StoreError,
}

impl FaultyStore {
    /// Around a store, with the error that is answered.
    pub fn new(inner: Arc<dyn Store>, error: StoreError) -> Self {
        Self { inner, commits: Arc::default(), error }
    }

    /// How many commits were asked for.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn begin(&self, patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let inner = self.inner.begin(patience).await?;
        let at_commit = AtCommit::MayFail { commits: self.commits.clone(), error: self.error.clone() };
        Ok(Box::new(Decorated { inner, at_commit }))
    }
}
