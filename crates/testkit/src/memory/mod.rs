//! A store in memory that passes the conformance suite. It is optimistic: a unit works on a snapshot and finds out at
//! `commit` whether others were faster, so what a serial store never shows - a lost race at commit - happens here.
//!
//! It can be told to fail ([`MemoryStore::inject`]) and counts what became of its units ([`MemoryStore::counters`]).

mod directory;
mod reads;
mod repositories;
mod tables;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::id::WorkspaceId;
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::store::{
    BudgetRepository, Constraint, GroupRepository, MembershipRepository, NoticeRepository, RecordRepository,
    RelationshipRepository, RoleRepository, Store, StoreError, UnitOfWork, UserRepository, WorkspaceRepository,
};

use repositories::Lent;
use tables::{ContactRow, Tables, Write};

/// When an injected error is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// By the beginning of a unit.
    Begin,
    /// By a statement of a unit, a read or a write.
    Statement,
    /// By `commit`; nothing was written.
    Commit,
    /// By `commit` after all was written: the answer was lost on its way.
    Committed,
    /// By `rollback`; nothing was written all the same.
    Rollback,
    /// By a read of the directory.
    Read,
}

/// An error to be answered instead of the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// When.
    pub at: Moment,
    /// What is answered.
    pub error: StoreError,
    /// How often.
    pub times: usize,
}

/// What became of the units so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Units that began: more than the commands that ran, if some were run again.
    pub begun: u64,
    /// Statements that units ran.
    pub statements: u64,
    /// Units that were committed.
    pub committed: u64,
    /// Commits refused since a row that the unit wrote had changed meanwhile.
    pub contentions: u64,
    /// Lost unique values, at the statement or at commit.
    pub conflicts: HashMap<Constraint, u64>,
    /// Errors that were injected.
    pub injected: u64,
}

#[derive(Debug, Default)]
struct Inner {
    committed: Tables,
    injections: VecDeque<(usize, Injection)>,
    counters: Counters,
}

impl Inner {
    /// The error to answer at this moment, if one is to be: the first in line for it.
    fn injected(&mut self, at: Moment) -> Result<(), StoreError> {
        let Some(place) = self.injections.iter().position(|(_, i)| i.at == at) else {
            return Ok(());
        };
        let Some((skip, injection)) = self.injections.get_mut(place) else {
            return Ok(());
        };
        if *skip > 0 {
            *skip -= 1;
            return Ok(());
        }
        let error = injection.error.clone();
        injection.times = injection.times.saturating_sub(1);
        if injection.times == 0 {
            self.injections.remove(place);
        }
        self.counters.injected += 1;
        Err(error)
    }

    fn lost(&mut self, error: &StoreError) {
        if let StoreError::Conflict(constraint) = error {
            *self.counters.conflicts.entry(*constraint).or_default() += 1;
        }
    }

    /// Makes the unit's changes on what is committed now, or finds that others were faster.
    fn commit(&mut self, log: &[Write]) -> Result<(), StoreError> {
        let mut next = self.committed.clone();
        let mut changed = false;
        for write in log {
            match next.apply(write) {
                Ok(()) => {}
                Err(StoreError::Conflict(constraint)) => return Err(StoreError::Conflict(constraint)),
                // It passed at the statement, so somebody changed a row it stands on.
                Err(_) => changed = true,
            }
        }
        if changed {
            self.counters.contentions += 1;
            return Err(StoreError::Contention);
        }
        self.committed = next;
        self.counters.committed += 1;
        Ok(())
    }
}

/// The store. Clones share the content.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

impl MemoryStore {
    /// An empty store: the governance rights are in the catalogue.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own that holds what this one holds now: a replica that hears of nothing since.
    #[must_use]
    pub fn as_of_now(&self) -> Self {
        let committed = self.snapshot();
        Self { inner: Arc::new(Mutex::new(Inner { committed, ..Inner::default() })) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers an error instead of the truth; those for one moment in the order in which they were given.
    pub fn inject(&self, injection: Injection) {
        self.inject_after(0, injection);
    }

    /// The same, once `passed` of that moment have gone through: the error of a certain statement.
    pub fn inject_after(&self, passed: usize, injection: Injection) {
        if injection.times > 0 {
            self.lock().injections.push_back((passed, injection));
        }
    }

    /// What became of the units so far.
    pub fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    /// How many commits were refused since another unit was faster.
    pub fn lost_races(&self) -> u64 {
        let counters = self.counters();
        counters.contentions + counters.conflicts.values().sum::<u64>()
    }

    /// Keeps a contact from others until an instant, as erasing an account does.
    pub fn hold_contact(&self, key: ContactKey, former_home: WorkspaceId, until: Timestamp) {
        self.lock().committed.contacts.insert(key, ContactRow::Held { former_home, until });
    }

    /// Every committed row of every table as text, sorted. `audit_records` and `personal_values` are the audit's.
    pub fn dump(&self) -> BTreeMap<String, Vec<String>> {
        self.lock().committed.dump()
    }

    /// The committed content as of now.
    fn snapshot(&self) -> Tables {
        self.lock().committed.clone()
    }
}

#[async_trait]
impl Store for MemoryStore {
    /// Never waits: turns are not taken. It lets others run once, so that units of one test overlap.
    async fn begin(&self, _patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let unit = {
            let mut inner = self.lock();
            inner.injected(Moment::Begin)?;
            inner.counters.begun += 1;
            MemoryUnit { store: self.clone(), tables: inner.committed.clone(), log: Vec::new(), poisoned: false }
        };
        tokio::task::yield_now().await;
        Ok(Box::new(unit))
    }
}

/// A unit: a snapshot with the unit's own changes, and the changes once more for the commit.
struct MemoryUnit {
    store: MemoryStore,
    tables: Tables,
    log: Vec<Write>,
    poisoned: bool,
}

impl MemoryUnit {
    /// Begins a statement.
    fn enter(&mut self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let mut inner = self.store.lock();
        inner.counters.statements += 1;
        let injected = inner.injected(Moment::Statement);
        if let Err(error) = &injected {
            inner.lost(error);
        }
        self.poisoned = injected.is_err();
        injected
    }

    fn read<T>(&mut self, ask: impl FnOnce(&Tables) -> T) -> Result<T, StoreError> {
        self.enter()?;
        Ok(ask(&self.tables))
    }

    fn write(&mut self, write: Write) -> Result<(), StoreError> {
        self.enter()?;
        self.put(write)
    }

    /// The second half of a statement that read before it writes.
    fn put(&mut self, write: Write) -> Result<(), StoreError> {
        // The copy is of no use after an error, and the poison keeps it from being used.
        let applied = self.tables.apply(&write);
        match &applied {
            Ok(()) => self.log.push(write),
            Err(error) => {
                self.poisoned = true;
                self.store.lock().lost(error);
            }
        }
        applied
    }
}

#[async_trait]
impl UnitOfWork for MemoryUnit {
    fn users<'t>(&'t mut self) -> Box<dyn UserRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn workspaces<'t>(&'t mut self) -> Box<dyn WorkspaceRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn memberships<'t>(&'t mut self) -> Box<dyn MembershipRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn groups<'t>(&'t mut self) -> Box<dyn GroupRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn roles<'t>(&'t mut self) -> Box<dyn RoleRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn relationships<'t>(&'t mut self) -> Box<dyn RelationshipRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn notices<'t>(&'t mut self) -> Box<dyn NoticeRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn records<'t>(&'t mut self) -> Box<dyn RecordRepository + 't> {
        Box::new(Lent { unit: self })
    }

    fn budgets<'t>(&'t mut self) -> Box<dyn BudgetRepository + 't> {
        Box::new(Lent { unit: self })
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let mut inner = self.store.lock();
        let answer = inner.injected(Moment::Commit).and_then(|()| inner.commit(&self.log));
        let answer = answer.and_then(|()| inner.injected(Moment::Committed));
        if let Err(error) = &answer {
            inner.lost(error);
        }
        answer
    }

    async fn rollback(self: Box<Self>) -> Result<(), StoreError> {
        self.store.lock().injected(Moment::Rollback)
    }
}
