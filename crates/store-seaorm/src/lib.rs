//! The SeaORM store of Domicile: SQLite, in a file or in memory.
//!
//! Recipe for a new repository method: write the contract on the port, a function of the conformance suite that fails, then
//! the statement here over `executor`, built with the entities and the query builder, never with text.
//!
//! Rules: statements go through the executor alone, which poisons a unit after a failure; a row becomes a value in
//! `convert`, which names table, column and row of what cannot be; a driver's error becomes the port's in `classify`;
//! nothing of SeaORM leaves the crate.

mod classify;
mod connections;
mod convert;
mod directory;
#[expect(unreachable_pub, reason = "the derive of SeaORM needs pub")]
mod entity;
mod executor;
mod memberships;
mod migration;
mod notices;
mod records;
mod relationships;
mod roles;
mod unit_of_work;
mod users;
mod workspaces;

#[cfg(feature = "inspect")]
mod inspect;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::model::text::NORMALISER_VERSION;
use domicile_domain::port::store::{Store, StoreError, UnitOfWork};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryTrait, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::connections::{Place, Writer, WriterTurn, connect_readers, connect_writer};
use crate::entity::meta;
use crate::executor::{Guarded, StatementCount};
use crate::unit_of_work::SeaOrmUnit;

/// A store could not be opened. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or created.
    #[error("the database {place} cannot be opened: {detail}. Check that the folder exists and may be written to")]
    Open {
        /// Which.
        place: String,
        /// What the driver said.
        detail: String,
    },
    /// The schema cannot be brought up to date.
    #[error("the schema of {place} cannot be brought up to date: {detail}")]
    Migrate {
        /// Which.
        place: String,
        /// What the driver said.
        detail: String,
    },
    /// A later program made the schema.
    #[error(
        "{place} was written by a later version of this program (its schema has {step}). Start that version, or restore a copy made before"
    )]
    Newer {
        /// Which.
        place: String,
        /// The step that this program does not know.
        step: String,
    },
    /// Keys were made by another normaliser.
    #[error(
        "the keys of {place} were made by version {stored} of the normaliser, and this program has version {NORMALISER_VERSION}. Start the program that wrote them, or make the keys anew"
    )]
    Normaliser {
        /// Which.
        place: String,
        /// What is stored.
        stored: String,
    },
}

/// The store. Cloning shares it.
#[derive(Clone)]
pub struct SeaOrmStore {
    writer: Writer,
    /// Absent in memory, where reads take the writer's turn.
    readers: Option<DatabaseConnection>,
    statements: StatementCount,
}

/// How long a read in memory waits for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// A read transaction. Dropping it ends it.
struct Read {
    guarded: Guarded,
    /// In memory the read holds the one connection until it ends.
    _turn: Option<WriterTurn>,
}

impl SeaOrmStore {
    /// Opens or creates a database file and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed unless a step of the schema was completed.
    pub async fn open_file(path: &Path) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let (writer, connection) = Self::open(Place::File(path.to_owned()), &name).await?;
        let readers = connect_readers(path).await.map_err(|e| open_error(&name, &e))?;
        tracing::debug!(database = name, "the database is open");
        drop(connection);
        Ok(Self { writer, readers: Some(readers), statements: StatementCount::default() })
    }

    /// Opens a database that lives in memory as long as the store.
    ///
    /// # Errors
    /// [`OpenError`], should SQLite not have the memory.
    pub async fn open_memory() -> Result<Self, OpenError> {
        let (writer, _) = Self::open(Place::Memory, "in memory").await?;
        Ok(Self { writer, readers: None, statements: StatementCount::default() })
    }

    /// How many statements were run since the store was opened.
    pub fn statements(&self) -> u64 {
        self.statements.get()
    }

    async fn open(place: Place, name: &str) -> Result<(Writer, DatabaseConnection), OpenError> {
        let connection = connect_writer(&place).await.map_err(|e| open_error(name, &e))?;
        refuse_newer(&connection, name).await?;
        let migrate = |error: DbErr| OpenError::Migrate { place: name.to_owned(), detail: error.to_string() };
        migration::Migrator::up(&connection, None).await.map_err(migrate)?;
        check_normaliser(&connection, name).await?;
        Ok((Writer::new(place, connection.clone()), connection))
    }

    async fn read(&self) -> Result<Read, StoreError> {
        let deferred = TransactionOptions::default();
        let (turn, begun) = if let Some(readers) = &self.readers {
            (None, readers.begin_with_options(deferred).await)
        } else {
            let turn = self.writer.turn(READ_PATIENCE).await?;
            let begun = turn.connection()?.begin_with_options(deferred).await;
            (Some(turn), begun)
        };
        let transaction = begun.map_err(|error| classify::classify(&error).error)?;
        Ok(Read { guarded: Guarded::new(transaction, self.statements.clone()), _turn: turn })
    }
}

#[async_trait]
impl Store for SeaOrmStore {
    async fn begin(&self, patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError> {
        let mut turn = self.writer.turn(patience).await?;
        // A deferred transaction that turns from read to write would fail at once, whatever the busy timeout says.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        match turn.connection()?.begin_with_options(options).await {
            Ok(transaction) => Ok(Box::new(SeaOrmUnit::new(Guarded::new(transaction, self.statements.clone()), turn))),
            Err(error) => {
                let classified = classify::classify(&error);
                turn.end(classified.connection_is_lost).await;
                Err(classified.error)
            }
        }
    }
}

fn open_error(place: &str, error: &DbErr) -> OpenError {
    OpenError::Open { place: place.to_owned(), detail: error.to_string() }
}

/// A step in the database that this program does not know was made by a later one.
async fn refuse_newer(connection: &DatabaseConnection, place: &str) -> Result<(), OpenError> {
    let migrate = |error: DbErr| OpenError::Migrate { place: place.to_owned(), detail: error.to_string() };
    let applied = migration::Migrator::get_migration_models(connection).await.map_err(migrate)?;
    let known: Vec<String> = migration::Migrator::migrations().iter().map(|m| m.name().to_owned()).collect();
    match applied.into_iter().find(|step| !known.contains(&step.version)) {
        Some(step) => Err(OpenError::Newer { place: place.to_owned(), step: step.version }),
        None => Ok(()),
    }
}

/// Keys made by another version of the normaliser would find other people.
async fn check_normaliser(connection: &DatabaseConnection, place: &str) -> Result<(), OpenError> {
    let migrate = |error: DbErr| OpenError::Migrate { place: place.to_owned(), detail: error.to_string() };
    let stored = meta::Entity::find_by_id("normaliser_version").one(connection).await.map_err(migrate)?;
    let ours = NORMALISER_VERSION.to_string();
    match stored {
        Some(row) if row.value == ours => Ok(()),
        Some(row) => Err(OpenError::Normaliser { place: place.to_owned(), stored: row.value }),
        None => {
            let row = meta::Model { key: "normaliser_version".to_owned(), value: ours };
            let statement = meta::Entity::insert(row.into_active_model()).build(connection.get_database_backend());
            connection.execute_raw(statement).await.map(|_| ()).map_err(migrate)
        }
    }
}
