//! Point reads of a SQLite file on the thread that asks. The other driver hands every statement to a thread of its own and
//! waits for it, which costs several times what SQLite takes for a point.
//!
//! A connection is locked while a statement runs and never across an await. Whatever goes wrong here is no answer: the
//! caller asks the other driver, which says what it is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use sea_orm::{Statement, Value};
use uuid::Uuid;

use crate::facts::{Cells, Point};
use crate::sqlite::READERS;

/// Connections that read, each opened when it is first needed.
#[derive(Debug)]
pub(crate) struct InlineReaders {
    path: PathBuf,
    connections: Vec<Mutex<Option<Connection>>>,
}

thread_local! {
    /// Where this thread looks for a connection first. One that it had before has what it reads closer to its processor than
    /// one that another thread had meanwhile.
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl InlineReaders {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, connections: (0..READERS).map(|_| Mutex::new(None)).collect() }
    }

    /// The points that a statement finds; `None` if this driver could not tell.
    pub(crate) fn points(&self, statement: &Statement) -> Option<Vec<Point>> {
        let values = statement.values.as_ref().map_or(&[][..], |values| values.0.as_slice());
        let values: Vec<Sql> = values.iter().map(sql_of).collect::<Option<_>>()?;
        let mut connection = self.free()?;
        let read = match connection.as_ref() {
            Some(open) => read(open, &statement.sql, &values),
            None => self.open().and_then(|open| read(connection.insert(open), &statement.sql, &values)),
        };
        if let Err(error) = &read {
            tracing::debug!(error = %error, "a point read is left to the other driver");
            *connection = None;
        }
        drop(connection);
        read.ok().flatten()
    }

    /// A connection that nobody uses, the thread's own before others; its own if all are used.
    fn free(&self) -> Option<MutexGuard<'_, Option<Connection>>> {
        let first = PLACE.with(|place| *place);
        let places = (0..self.connections.len()).map(|step| first.wrapping_add(step) % self.connections.len());
        let free = places.filter_map(|place| self.connections.get(place)).find_map(|slot| slot.try_lock().ok());
        free.or_else(|| {
            let slot = self.connections.get(first.checked_rem(self.connections.len())?)?;
            Some(slot.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// As the readers of the other driver, but that it waits for nobody.
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        Ok(connection)
    }
}

/// `None` where a row cannot be what it says: the other driver finds the same, and tells it.
fn read(connection: &Connection, sql: &str, values: &[Sql]) -> rusqlite::Result<Option<Vec<Point>>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut points = Vec::new();
    while let Some(row) = rows.next()? {
        let Ok(point) = Point::read(row) else { return Ok(None) };
        points.push(point);
    }
    Ok(Some(points))
}

/// The values that the statements of checks have.
fn sql_of(value: &Value) -> Option<Sql> {
    Some(match value {
        Value::Uuid(id) => id.map_or(Sql::Null, |id| Sql::Blob(id.as_bytes().to_vec())),
        Value::String(text) => text.clone().map_or(Sql::Null, Sql::Text),
        _ => return None,
    })
}

fn cell<T>(
    row: &Row<'_>,
    place: usize,
    what: &str,
    of: impl Fn(ValueRef<'_>) -> Option<T>,
) -> Result<Option<T>, String> {
    match row.get_ref(place).map_err(|error| error.to_string())? {
        ValueRef::Null => Ok(None),
        value => of(value).map(Some).ok_or_else(|| format!("no {what} but {:?}", value.data_type())),
    }
}

impl Cells for Row<'_> {
    fn uuid(&self, place: usize) -> Result<Option<Uuid>, String> {
        cell(self, place, "id", |value| value.as_blob().ok().and_then(|bytes| Uuid::from_slice(bytes).ok()))
    }

    fn text(&self, place: usize) -> Result<Option<String>, String> {
        cell(self, place, "text", |value| value.as_str().ok().map(ToOwned::to_owned))
    }

    fn whole(&self, place: usize) -> Result<Option<i64>, String> {
        cell(self, place, "whole number", |value| value.as_i64().ok())
    }

    fn flag(&self, place: usize) -> Result<Option<bool>, String> {
        cell(self, place, "flag", |value| value.as_i64().ok().map(|number| number != 0))
    }
}
