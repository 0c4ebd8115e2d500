//! Whether the write lock of a SQLite file can be had, found out without writing: another process may hold it, and then
//! reads are answered while no call can change anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::port::store::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Mutex;

use crate::sqlite::Writer;

/// The pause before the lock is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Tries the lock on a connection of its own, which is opened when it is first needed.
#[derive(Clone)]
pub(crate) struct WriteLock {
    path: PathBuf,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl WriteLock {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, connection: Arc::default() }
    }

    /// Waits until the lock is free, or a writer of this process has it: that one is only busy.
    pub(crate) async fn can_be_had(&self, writer: &Writer) -> Result<(), StoreError> {
        let is_ours = writer.had_the_lock_since();
        while !is_ours() && !self.is_free().await? {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
        Ok(())
    }

    async fn is_free(&self) -> Result<bool, StoreError> {
        // One try at a time: a disk that hangs must not take a thread with every question.
        let Ok(mut connection) = self.connection.clone().try_lock_owned() else { return Ok(false) };
        let path = self.path.clone();
        let tried = tokio::task::spawn_blocking(move || {
            let tried = match connection.as_ref() {
                Some(open) => tried(open),
                None => open(&path).and_then(|open| tried(connection.insert(open))),
            };
            if tried.is_err() {
                *connection = None;
            }
            tried
        });
        match tried.await {
            Ok(tried) => {
                tried.map_err(|error| StoreError::Unavailable(format!("the database cannot be written: {error}")))
            }
            Err(error) => Err(StoreError::Fault(format!("the write lock could not be tried: {error}"))),
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

/// Takes the lock and gives it back: no page is written.
fn tried(connection: &Connection) -> rusqlite::Result<bool> {
    match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
        Ok(()) => Ok(true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error),
    }
}
