//! A sign of life of the database.

use std::time::Duration;

use async_trait::async_trait;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::StoreError;
use sea_orm::{EntityTrait, QuerySelect, QueryTrait};

use crate::entity::workspace;
use crate::executor::{Executor, StatementCount};
use crate::{SeaOrmStore, Unfit};

/// How long a write may take to begin: a little less than whoever asks waits, who is told why then.
const WRITES_WITHIN: Duration = Duration::from_millis(800);

#[async_trait]
impl StoreProbe for SeaOrmStore {
    /// Reads one row at most, and does not count among the statements: those are of calls.
    async fn reachable(&self) -> Result<(), StoreError> {
        let writes = self.writable(WRITES_WITHIN).await;
        writes.map_err(|unfit| match unfit {
            Unfit::Store(error) => error,
            other => StoreError::Unavailable(other.to_string()),
        })?;
        let mut read = self.read_over(|pools| &pools.probe, StatementCount::default()).await?;
        let one = workspace::Entity::find().select_only().column(workspace::Column::Id).limit(1);
        let statement = one.build(read.guarded.backend());
        read.guarded.one(statement).await.map(|_| ())
    }
}
