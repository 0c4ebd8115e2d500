//! The one seam for statements. Repositories are written once over [`Executor`]; behind it stands SeaORM's connection for
//! reads and a guarded transaction for units of work. A second driver can take its place without touching a repository.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use domicile_domain::port::store::StoreError;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement};

use crate::classify::{Classified, classify};

/// Counts the statements a store has run.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatementCount(Arc<AtomicU64>);

impl StatementCount {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs statements that were built with SeaORM's entities and query builder.
#[async_trait]
pub(crate) trait Executor: Send {
    fn backend(&self) -> DbBackend;
    async fn one(&mut self, statement: Statement) -> Result<Option<QueryResult>, StoreError>;
    async fn all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, StoreError>;
    /// Answers how many rows were touched.
    async fn exec(&mut self, statement: Statement) -> Result<u64, StoreError>;
    /// A row that cannot be what it says, or a compare-and-set that found another version, fails a unit like a statement.
    fn poison(&mut self);
}

/// A transaction that refuses everything after a failed statement.
pub(crate) struct Guarded {
    transaction: DatabaseTransaction,
    poisoned: bool,
    connection_is_lost: bool,
    count: StatementCount,
}

impl Guarded {
    pub(crate) const fn new(transaction: DatabaseTransaction, count: StatementCount) -> Self {
        Self { transaction, poisoned: false, connection_is_lost: false, count }
    }

    /// Sets the poison before the statement is awaited, so that a cancelled one counts as failed.
    fn arm(&mut self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        self.poisoned = true;
        self.count.add();
        Ok(())
    }

    fn settle<T>(&mut self, answer: Result<T, DbErr>) -> Result<T, StoreError> {
        match answer {
            Ok(value) => {
                self.poisoned = false;
                Ok(value)
            }
            Err(error) => {
                let Classified { error, connection_is_lost } = classify(self.backend(), &error);
                self.connection_is_lost |= connection_is_lost;
                Err(error)
            }
        }
    }

    pub(crate) fn into_parts(self) -> (DatabaseTransaction, bool, bool) {
        (self.transaction, self.poisoned, self.connection_is_lost)
    }
}

#[async_trait]
impl Executor for Guarded {
    fn backend(&self) -> DbBackend {
        self.transaction.get_database_backend()
    }

    async fn one(&mut self, statement: Statement) -> Result<Option<QueryResult>, StoreError> {
        self.arm()?;
        let answer = self.transaction.query_one_raw(statement).await;
        self.settle(answer)
    }

    async fn all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, StoreError> {
        self.arm()?;
        let answer = self.transaction.query_all_raw(statement).await;
        self.settle(answer)
    }

    async fn exec(&mut self, statement: Statement) -> Result<u64, StoreError> {
        self.arm()?;
        let answer = self.transaction.execute_raw(statement).await;
        self.settle(answer).map(|done| done.rows_affected())
    }

    fn poison(&mut self) {
        self.poisoned = true;
    }
}
