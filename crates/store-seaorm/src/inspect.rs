//! What tests do with a store beside the ports: compare its whole content, fill its disk, and write what no port writes.

use std::collections::BTreeMap;

use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::store::StoreError;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryTrait, Statement,
    TransactionTrait,
};

use crate::SeaOrmStore;
use crate::classify::classify;
use crate::connections::WriterTurn;
use crate::convert::{Word, uuid};
use crate::entity::{contact, user_profile};

impl SeaOrmStore {
    /// Every row of every table, enumerated from the schema; each row as SQL literals, sorted.
    ///
    /// # Errors
    /// The store's.
    pub async fn dump(&self) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
        let turn = self.writer.turn(super::READ_PATIENCE).await?;
        self.dump_in(&turn).await.map_err(|error| classify(&error).error)
    }

    /// Lets the file grow by nothing more: the writer's connection answers as on a full disk. The limit ends with that
    /// connection.
    ///
    /// # Errors
    /// The store's.
    pub async fn fill_disk(&self) -> Result<(), StoreError> {
        let turn = self.writer.turn(super::READ_PATIENCE).await?;
        // One page is fewer than there are: SQLite takes the present number for the limit then.
        let limited = turn.connection()?.execute_unprepared("PRAGMA max_page_count = 1").await;
        limited.map(|_| ()).map_err(|error| classify(&error).error)
    }

    /// Keeps a contact from others until an instant, as erasing an account leaves it.
    ///
    /// # Errors
    /// The store's.
    pub async fn hold_contact(
        &self,
        key: &ContactKey,
        former_home: WorkspaceId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let held = contact::Model {
            kind: key.kind.word().to_owned(),
            match_key: key.key.clone(),
            user_id: None,
            display: None,
            standing: None,
            since: None,
            version: None,
            former_home: Some(uuid(former_home)),
            held_until: Some(until.as_micros()),
        };
        self.write(contact::Entity::insert(held.into_active_model())).await
    }

    /// Takes the profile from a live user: a row that cannot be.
    ///
    /// # Errors
    /// The store's.
    pub async fn break_user(&self, user: UserId) -> Result<(), StoreError> {
        let of_user = user_profile::Column::UserId.eq(uuid(user));
        self.write(user_profile::Entity::delete_many().filter(of_user)).await
    }

    async fn write(&self, statement: impl QueryTrait + Send) -> Result<(), StoreError> {
        let turn = self.writer.turn(super::READ_PATIENCE).await?;
        let connection = turn.connection()?;
        let written = connection.execute_raw(statement.build(connection.get_database_backend())).await;
        written.map(|_| ()).map_err(|error| classify(&error).error)
    }

    async fn dump_in(&self, turn: &WriterTurn) -> Result<BTreeMap<String, Vec<String>>, DbErr> {
        let connection = turn.connection().map_err(|e| DbErr::Custom(e.to_string()))?;
        let transaction = connection.begin().await?;
        let query = |sql: String| Statement::from_string(DbBackend::Sqlite, sql);
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut dump = BTreeMap::new();
        for table in transaction.query_all_raw(query(tables.to_owned())).await? {
            let table: String = table.try_get("", "name")?;
            let columns =
                transaction.query_all_raw(query(format!("SELECT name FROM pragma_table_info('{table}')"))).await?;
            let columns: Vec<String> = columns
                .iter()
                .map(|c| c.try_get("", "name").map(|n: String| format!("quote(\"{n}\")")))
                .collect::<Result<_, _>>()?;
            let sql = format!("SELECT {} AS line FROM \"{table}\"", columns.join(" || '|' || "));
            let rows = transaction.query_all_raw(query(sql)).await?;
            let mut lines: Vec<String> = rows.iter().map(|row| row.try_get("", "line")).collect::<Result<_, _>>()?;
            lines.sort();
            dump.insert(table, lines);
        }
        transaction.rollback().await?;
        Ok(dump)
    }
}
