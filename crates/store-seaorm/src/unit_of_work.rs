//! A unit of work: one transaction on a connection that is its own until commit, rollback or drop.

use async_trait::async_trait;
use domicile_domain::port::store::{
    BudgetRepository, GroupRepository, MembershipRepository, NoticeRepository, RecordRepository,
    RelationshipRepository, RoleRepository, StoreError, UnitOfWork, UserRepository, WorkspaceRepository,
};
use sea_orm::{EntityTrait, QueryTrait};

use crate::classify::classify;
use crate::executor::{Executor, Guarded};
use crate::sqlite::WriterTurn;

pub(crate) struct SeaOrmUnit {
    // Before the turn: fields drop in order, and the transaction must be rolled back while the turn is still ours.
    guarded: Guarded,
    /// Where writers take turns.
    turn: Option<WriterTurn>,
}

impl SeaOrmUnit {
    pub(crate) const fn new(guarded: Guarded, turn: Option<WriterTurn>) -> Self {
        Self { guarded, turn }
    }
}

/// What a unit, or a read, lends to a repository.
pub(crate) struct Lent<'t> {
    pub(crate) exec: &'t mut dyn Executor,
}

impl Lent<'_> {
    /// Adds one row.
    pub(crate) async fn insert_row<E: EntityTrait>(&mut self, row: E::ActiveModel) -> Result<(), StoreError> {
        let statement = E::insert(row).build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    /// Adds rows in one statement; nothing for none.
    pub(crate) async fn insert_rows<E: EntityTrait>(&mut self, rows: Vec<E::ActiveModel>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let statement = E::insert_many(rows).build(self.exec.backend());
        self.exec.exec(statement).await.map(|_| ())
    }

    /// Hands a value on; one that cannot be fails the unit.
    pub(crate) fn checked<T>(&mut self, value: Result<T, StoreError>) -> Result<T, StoreError> {
        if value.is_err() {
            self.exec.poison();
        }
        value
    }

    /// A compare-and-set must have touched its one row.
    pub(crate) fn expect_one(&mut self, touched: u64) -> Result<(), StoreError> {
        if touched == 1 {
            return Ok(());
        }
        self.exec.poison();
        Err(StoreError::Stale)
    }
}

#[async_trait]
impl UnitOfWork for SeaOrmUnit {
    fn users<'t>(&'t mut self) -> Box<dyn UserRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn workspaces<'t>(&'t mut self) -> Box<dyn WorkspaceRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn memberships<'t>(&'t mut self) -> Box<dyn MembershipRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn groups<'t>(&'t mut self) -> Box<dyn GroupRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn roles<'t>(&'t mut self) -> Box<dyn RoleRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn relationships<'t>(&'t mut self) -> Box<dyn RelationshipRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn notices<'t>(&'t mut self) -> Box<dyn NoticeRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn records<'t>(&'t mut self) -> Box<dyn RecordRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    fn budgets<'t>(&'t mut self) -> Box<dyn BudgetRepository + 't> {
        Box::new(Lent { exec: &mut self.guarded })
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { guarded, mut turn } = *self;
        let backend = guarded.backend();
        let (transaction, poisoned, connection_is_lost) = guarded.into_parts();
        if poisoned {
            let rolled_back = transaction.rollback().await;
            end(&mut turn, connection_is_lost || rolled_back.is_err()).await;
            return Err(StoreError::Poisoned);
        }
        match transaction.commit().await {
            Ok(()) => {
                end(&mut turn, connection_is_lost).await;
                Ok(())
            }
            Err(error) => {
                // After a failed COMMIT the state of the connection is not worth knowing.
                end(&mut turn, true).await;
                Err(classify(backend, &error).error)
            }
        }
    }

    async fn rollback(self: Box<Self>) -> Result<(), StoreError> {
        let Self { guarded, mut turn } = *self;
        let backend = guarded.backend();
        let (transaction, _, connection_is_lost) = guarded.into_parts();
        let rolled_back = transaction.rollback().await;
        end(&mut turn, connection_is_lost || rolled_back.is_err()).await;
        match rolled_back {
            // The transaction may have ended with its connection: nothing was written all the same.
            Err(error) if !connection_is_lost => Err(classify(backend, &error).error),
            _ => Ok(()),
        }
    }
}

/// Ends the turn, where there are turns. A pool throws a connection in doubt away by itself.
async fn end(turn: &mut Option<WriterTurn>, connection_is_lost: bool) {
    if let Some(turn) = turn {
        turn.end(connection_is_lost).await;
    }
}
