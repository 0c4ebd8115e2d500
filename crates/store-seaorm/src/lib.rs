//! The SeaORM store of Domicile: SQLite in a file or in memory, and PostgreSQL.
//!
//! Recipe for a new repository method: write the contract on the port, a function of the conformance suite that fails, then
//! the statement here over `executor`, built with the entities and the query builder. Only what decides access is read by
//! statements of constant text, in `facts`, since a check must cost little more than running one.
//!
//! Rules: statements go through the executor alone, which poisons a unit after a failure; a row becomes a value in
//! `convert`, which names table, column and row of what cannot be; a driver's error becomes the port's in `classify`;
//! nothing of SeaORM leaves the crate.

mod budgets;
mod classify;
mod condition;
mod convert;
mod database;
mod directory;
#[expect(unreachable_pub, reason = "the derive of SeaORM needs pub")]
mod entity;
mod executor;
mod facts;
mod groups;
mod inline;
mod kept;
mod memberships;
mod migration;
mod notices;
mod postgres;
mod probe;
mod records;
mod relationships;
mod roles;
mod schema;
mod sqlite;
mod unit_of_work;
mod users;
mod words;
mod workspaces;
mod write_lock;

#[cfg(feature = "inspect")]
pub mod inspect;

pub use crate::condition::{Connections, Unfit, WaitingNotices};
pub use crate::database::{Database, OpenError};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::port::store::{Store, StoreError, UnitOfWork};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

use crate::classify::classify;
use crate::executor::{Guarded, StatementCount};
use crate::facts::{Point, Shelves};
use crate::inline::InlineReaders;
use crate::postgres::{Pool, Pools};
use crate::sqlite::{Access, Place, Writer, WriterTurn, connect_readers, connect_writer};
use crate::unit_of_work::SeaOrmUnit;
use crate::write_lock::WriteLock;

/// The store. Cloning shares it.
#[derive(Clone)]
pub struct SeaOrmStore {
    engine: Engine,
    statements: StatementCount,
    shelves: Shelves,
}

#[derive(Clone)]
enum Engine {
    /// One writer in turns, readers apart.
    SqliteFile {
        writer: Writer,
        readers: DatabaseConnection,
        /// For what decides checks.
        inline: Arc<InlineReaders>,
        lock: WriteLock,
    },
    /// One connection for all: reads take the writer's turn.
    SqliteMemory {
        writer: Writer,
    },
    Postgres(Pools),
}

/// How long a read waits for its turn or its connection.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// A read transaction. Dropping it ends it.
struct Read {
    guarded: Guarded,
    /// In memory the read holds the one connection until it ends.
    _turn: Option<WriterTurn>,
}

impl SeaOrmStore {
    /// Opens a database whose schema is up to date; `pool_size` bounds the connections for writing and those for reading,
    /// each, where an engine has more than one.
    ///
    /// # Errors
    /// [`OpenError`] says what to do; nothing was changed.
    pub async fn open(database: &Database, pool_size: u32) -> Result<Self, OpenError> {
        let connection = database.connect(Access::Write).await?;
        schema::check(&connection, &database.to_string()).await?;
        let engine = match database {
            Database::SqliteFile(path) => {
                let readers = connect_readers(path).await.map_err(|e| database.not_opened(&e))?;
                let inline = Arc::new(InlineReaders::new(path.clone()));
                let writer = Writer::new(Place::File(path.clone()), connection);
                Engine::SqliteFile { writer, readers, inline, lock: WriteLock::new(path.clone()) }
            }
            Database::Postgres(options) => {
                connection.close().await.map_err(|e| database.not_opened(&e))?;
                Engine::Postgres(postgres::pools(options, pool_size))
            }
        };
        tracing::debug!(database = %database, "the database is open");
        Ok(Self { engine, statements: StatementCount::default(), shelves: Shelves::default() })
    }

    /// Brings the schema of a database up to date and answers the steps that it took.
    ///
    /// # Errors
    /// [`OpenError`]; every step was taken whole or not at all.
    pub async fn migrate(database: &Database) -> Result<Vec<String>, OpenError> {
        let connection = database.connect(Access::Create).await?;
        let taken = schema::migrate(&connection, &database.to_string()).await;
        connection.close().await.map_err(|e| database.not_opened(&e))?;
        taken
    }

    /// The steps that the schema of a database lacks; none if it is up to date. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], also when a later program made the schema.
    pub async fn pending(database: &Database) -> Result<Vec<String>, OpenError> {
        let connection = database.connect(Access::Write).await?;
        let pending = schema::pending(&connection, &database.to_string()).await;
        connection.close().await.map_err(|e| database.not_opened(&e))?;
        pending
    }

    /// Opens or creates an embedded database file and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed unless a step of the schema was completed.
    pub async fn open_file(path: &Path) -> Result<Self, OpenError> {
        let database = Database::SqliteFile(path.to_owned());
        Self::migrate(&database).await?;
        Self::open(&database, 1).await
    }

    /// Opens a database that lives in memory as long as the store.
    ///
    /// # Errors
    /// [`OpenError`], should SQLite not have the memory.
    pub async fn open_memory() -> Result<Self, OpenError> {
        let not_opened = |error: DbErr| OpenError::Open { place: "in memory".to_owned(), detail: error.to_string() };
        let connection = connect_writer(&Place::Memory, Access::Create).await.map_err(not_opened)?;
        schema::migrate(&connection, "in memory").await?;
        let writer = Writer::new(Place::Memory, connection);
        Ok(Self {
            engine: Engine::SqliteMemory { writer },
            statements: StatementCount::default(),
            shelves: Shelves::default(),
        })
    }

    /// How many statements were run since the store was opened.
    pub fn statements(&self) -> u64 {
        self.statements.get()
    }

    fn guarded(&self, transaction: DatabaseTransaction) -> Guarded {
        Guarded::new(transaction, self.statements.clone())
    }

    const fn backend(&self) -> DbBackend {
        match &self.engine {
            Engine::SqliteFile { .. } | Engine::SqliteMemory { .. } => DbBackend::Sqlite,
            Engine::Postgres(_) => DbBackend::Postgres,
        }
    }

    /// Reads points with one statement and no transaction: alone it sees one committed state all the same.
    async fn glance(&self, statement: Statement) -> Result<Vec<Point>, StoreError> {
        self.statements.add();
        if let Engine::SqliteFile { inline, .. } = &self.engine
            && let Some(points) = inline.points(&statement)
        {
            return Ok(points);
        }
        let rows = match &self.engine {
            Engine::SqliteFile { readers, .. } => readers.query_all_raw(statement).await,
            Engine::SqliteMemory { writer } => {
                let turn = writer.turn(READ_PATIENCE).await?;
                turn.connection()?.query_all_raw(statement).await
            }
            Engine::Postgres(pools) => {
                return facts::points(&pools.readers.all(&statement, READ_PATIENCE).await?);
            }
        };
        facts::points(&rows.map_err(|error| classify(DbBackend::Sqlite, &error).error)?)
    }

    async fn read(&self) -> Result<Read, StoreError> {
        self.read_over(|pools| &pools.readers, self.statements.clone()).await
    }

    async fn read_over(&self, pool: fn(&Pools) -> &Pool, count: StatementCount) -> Result<Read, StoreError> {
        let (turn, transaction) = match &self.engine {
            Engine::SqliteFile { readers, .. } => (None, begin(readers, None).await?),
            Engine::SqliteMemory { writer } => {
                let turn = writer.turn(READ_PATIENCE).await?;
                let transaction = begin(turn.connection()?, None).await?;
                (Some(turn), transaction)
            }
            Engine::Postgres(pools) => (None, pool(pools).begin(READ_PATIENCE).await?),
        };
        Ok(Read { guarded: Guarded::new(transaction, count), _turn: turn })
    }
}

/// Begins a transaction of SQLite.
async fn begin(
    connection: &DatabaseConnection,
    mode: Option<SqliteTransactionMode>,
) -> Result<DatabaseTransaction, StoreError> {
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..TransactionOptions::default() };
    let begun = connection.begin_with_options(options).await;
    begun.map_err(|error| classify(connection.get_database_backend(), &error).error)
}

#[async_trait]
impl Store for SeaOrmStore {
    async fn begin(&self, patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let writer = match &self.engine {
            Engine::SqliteFile { writer, .. } | Engine::SqliteMemory { writer } => writer,
            Engine::Postgres(pools) => {
                let transaction = pools.writers.begin(patience).await?;
                return Ok(Box::new(SeaOrmUnit::new(self.guarded(transaction), None)));
            }
        };
        let mut turn = writer.turn(patience).await?;
        // A deferred transaction that turns from read to write would fail at once, whatever the busy timeout says.
        match begin(turn.connection()?, Some(SqliteTransactionMode::Immediate)).await {
            Ok(transaction) => {
                turn.unit_began();
                Ok(Box::new(SeaOrmUnit::new(self.guarded(transaction), Some(turn))))
            }
            Err(error) => {
                turn.end(error != StoreError::Contention).await;
                Err(error)
            }
        }
    }
}
