//! How the store is, for those who run it: whether it answers, its connections, and what waits to be sent.

use std::time::Duration;

use domicile_domain::model::time::Timestamp;
use domicile_domain::port::store::StoreError;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use sea_orm_migration::seaql_migrations;

use crate::classify::classify;
use crate::entity::notice;
use crate::executor::{Executor, StatementCount};
use crate::sqlite::READERS;
use crate::{Engine, OpenError, Read, SeaOrmStore, schema};

/// Why the store cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It did not answer in time.
    #[error("the database did not answer within {0:?}")]
    Silent(Duration),
    /// It answered with an error.
    #[error("the database cannot be read: {0}")]
    Store(#[from] StoreError),
    /// It answers reads, and nothing can be written.
    #[error(
        "nothing can be written: the write lock of the database file has been held for {0:?}, most likely by another process; find it and end it, or wait until it is done"
    )]
    Locked(Duration),
    /// Its schema is not this program's.
    #[error(transparent)]
    Schema(OpenError),
}

/// The connections of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// What they are for: `writers`, `readers`.
    pub pool: &'static str,
    /// At work.
    pub busy: usize,
    /// Open and free.
    pub idle: usize,
    /// How many there may be.
    pub most: u32,
}

impl Connections {
    fn new(pool: &'static str, (open, idle, most): (u32, usize, u32)) -> Self {
        Self { pool, busy: usize::try_from(open).unwrap_or(usize::MAX).saturating_sub(idle), idle, most }
    }
}

/// Notices that wait to be sent, for the first time or again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingNotices {
    /// How many.
    pub count: u64,
    /// When the oldest was made.
    pub oldest: Option<Timestamp>,
}

impl SeaOrmStore {
    /// Whether the store answers a read within a time, with a schema that this program knows, and whether within that time
    /// a write could begin. Nothing is written.
    ///
    /// # Errors
    /// [`Unfit`] says why not.
    pub async fn fit(&self, within: Duration) -> Result<(), Unfit> {
        let (taken, writes) = tokio::join!(tokio::time::timeout(within, self.taken_steps()), self.writable(within));
        let taken = taken.map_err(|_| Unfit::Silent(within))??;
        let place = "the database";
        let missing = schema::missing(taken, place).map_err(Unfit::Schema)?;
        if missing.is_empty() {
            return writes;
        }
        Err(Unfit::Schema(OpenError::Behind { place: place.to_owned(), steps: missing.join(", ") }))
    }

    /// Whether a write could begin within a time, where another process can be in the way: that of a file.
    pub(crate) async fn writable(&self, within: Duration) -> Result<(), Unfit> {
        let Engine::SqliteFile { writer, lock, .. } = &self.engine else { return Ok(()) };
        let free = tokio::time::timeout(within, lock.can_be_had(writer)).await;
        free.map_err(|_| Unfit::Locked(within))?.map_err(Unfit::Store)
    }

    /// A read that waits behind no call, and does not count among their statements.
    async fn read_apart(&self) -> Result<Read, StoreError> {
        self.read_over(|pools| &pools.probe, StatementCount::default()).await
    }

    async fn taken_steps(&self) -> Result<Vec<String>, StoreError> {
        let mut read = self.read_apart().await?.guarded;
        let backend = read.backend();
        let rows = read.all(seaql_migrations::Entity::find().build(backend)).await?;
        let versions = rows.iter().map(|row| row.try_get("", "version"));
        versions.collect::<Result<_, _>>().map_err(|error| classify(backend, &error).error)
    }

    /// The connections to the database, each pool apart.
    pub fn connections(&self) -> Vec<Connections> {
        let writer = |writer: &crate::sqlite::Writer| {
            let idle = usize::from(!writer.is_taken());
            Connections { pool: "writers", busy: 1 - idle, idle, most: 1 }
        };
        match &self.engine {
            Engine::SqliteMemory { writer: one } => vec![writer(one)],
            Engine::SqliteFile { writer: one, readers, .. } => {
                let readers = readers.get_sqlite_connection_pool();
                vec![writer(one), Connections::new("readers", (readers.size(), readers.num_idle(), READERS))]
            }
            Engine::Postgres(pools) => vec![
                Connections::new("writers", pools.writers.sizes()),
                Connections::new("readers", pools.readers.sizes()),
            ],
        }
    }

    /// What waits to be sent.
    ///
    /// # Errors
    /// The store's.
    pub async fn waiting_notices(&self) -> Result<WaitingNotices, StoreError> {
        let mut read = self.read_apart().await?.guarded;
        let backend = read.backend();
        let statement = notice::Entity::find()
            .select_only()
            .column_as(notice::Column::Id.count(), "waiting")
            .column_as(notice::Column::CreatedAt.min(), "oldest")
            .filter(notice::Column::DueAt.is_not_null())
            .build(backend);
        let Some(row) = read.one(statement).await? else { return Ok(WaitingNotices { count: 0, oldest: None }) };
        let values = || -> Result<(i64, Option<i64>), sea_orm::DbErr> {
            Ok((row.try_get("", "waiting")?, row.try_get("", "oldest")?))
        };
        let (count, oldest) = values().map_err(|error| classify(backend, &error).error)?;
        Ok(WaitingNotices { count: u64::try_from(count).unwrap_or(0), oldest: oldest.map(Timestamp::from_micros) })
    }
}
