//! Connections of SQLite: one writer, taken in fair turns; readers apart, and read-only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domicile_domain::port::store::StoreError;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(PathBuf),
    Memory,
}

/// How long SQLite itself waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers of a file; in memory there is one connection for all.
pub(crate) const READERS: u32 = 4;

/// What a connection may do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Write, and make the file if there is none.
    Create,
    Write,
    Read,
}

fn options(place: &Place, access: Access) -> ConnectOptions {
    let url = match place {
        Place::File(_) => "sqlite://domicile.db",
        Place::Memory => "sqlite::memory:",
    };
    let mut options = ConnectOptions::new(url);
    let readers = access == Access::Read;
    let (count, place) = (if readers { READERS } else { 1 }, place.clone());
    options
        .max_connections(count)
        .min_connections(u32::from(!readers))
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(|pool| pool.idle_timeout(None).max_lifetime(None))
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = match &place {
                Place::File(path) => {
                    sqlite.filename(path).create_if_missing(access == Access::Create).read_only(readers)
                }
                Place::Memory => sqlite,
            };
            let sqlite = sqlite
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(512)
                .pragma("trusted_schema", "OFF")
                .pragma("mmap_size", "0")
                .pragma("secure_delete", "ON");
            match (&place, readers) {
                (Place::File(_), false) => sqlite.pragma("journal_mode", "WAL").pragma("synchronous", "FULL"),
                _ => sqlite,
            }
        });
    options
}

pub(crate) async fn connect_writer(place: &Place, access: Access) -> Result<DatabaseConnection, DbErr> {
    Database::connect(options(place, access)).await
}

pub(crate) async fn connect_readers(path: &Path) -> Result<DatabaseConnection, DbErr> {
    Database::connect(options(&Place::File(path.to_owned()), Access::Read)).await
}

/// The writer's connection. Tokio's mutex is fair: turns come in the order of asking.
#[derive(Clone)]
pub(crate) struct Writer {
    place: Place,
    slot: Arc<Mutex<Option<DatabaseConnection>>>,
    turns: Turns,
}

/// Counts where units begin and where they end.
#[derive(Clone, Default)]
struct Turns(Arc<AtomicU64>);

impl Turns {
    fn mark(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn marks(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Writer {
    pub(crate) fn new(place: Place, connection: DatabaseConnection) -> Self {
        Self { place, slot: Arc::new(Mutex::new(Some(connection))), turns: Turns::default() }
    }

    /// Whether somebody has the turn.
    pub(crate) fn is_taken(&self) -> bool {
        self.slot.try_lock().is_err()
    }

    /// Whether a unit of this process has held the lock of the file at some time since it was asked for.
    pub(crate) fn had_the_lock_since(&self) -> impl Fn() -> bool + use<> {
        let turns = self.turns.clone();
        let before = turns.marks();
        // Odd while a unit is open.
        move || !before.is_multiple_of(2) || turns.marks() != before
    }

    /// Waits at most `patience` for the turn. A connection that was thrown away is made anew.
    pub(crate) async fn turn(&self, patience: Duration) -> Result<WriterTurn, StoreError> {
        let mut slot =
            tokio::time::timeout(patience, self.slot.clone().lock_owned()).await.map_err(|_| StoreError::Contention)?;
        if slot.is_none() {
            let connection = connect_writer(&self.place, Access::Write).await.map_err(|error| {
                tracing::error!(error = %error, "the database file could not be opened for writing again");
                StoreError::Unavailable("the database file cannot be opened for writing".to_owned())
            })?;
            *slot = Some(connection);
        }
        let in_memory = matches!(self.place, Place::Memory);
        Ok(WriterTurn { slot, in_memory, turns: self.turns.clone(), has_begun: false })
    }
}

/// The turn of one unit of work. Dropping it hands the turn on.
pub(crate) struct WriterTurn {
    slot: OwnedMutexGuard<Option<DatabaseConnection>>,
    in_memory: bool,
    turns: Turns,
    has_begun: bool,
}

impl Drop for WriterTurn {
    fn drop(&mut self) {
        if self.has_begun {
            self.turns.mark();
        }
    }
}

impl WriterTurn {
    /// Says that the unit has begun, so that it holds the lock of the file until the turn ends.
    pub(crate) fn unit_began(&mut self) {
        self.has_begun = true;
        self.turns.mark();
    }

    pub(crate) fn connection(&self) -> Result<&DatabaseConnection, StoreError> {
        self.slot.as_ref().ok_or_else(|| StoreError::Unavailable("the writer has no connection".to_owned()))
    }

    /// Ends the turn. A connection in doubt is thrown away, unless the whole database lives in it.
    pub(crate) async fn end(&mut self, connection_is_lost: bool) {
        if !connection_is_lost || self.in_memory {
            return;
        }
        if let Some(connection) = self.slot.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %error, "a database connection in doubt could not be closed");
        }
    }
}
