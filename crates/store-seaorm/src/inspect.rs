//! What tests do with a store beside the ports: compare its whole content, fill its disk, and write what no port writes.

use std::collections::{BTreeMap, BTreeSet};

use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::store::StoreError;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    IntoActiveModel, IsolationLevel, QueryFilter, QueryTrait, Statement, TransactionTrait,
};
use uuid::Uuid;

use crate::classify::classify;
use crate::convert::{Word, uuid};
use crate::entity::{
    contact, group, membership, membership_group, membership_permission, membership_role, role, user_profile,
};
use crate::sqlite::{Access, WriterTurn};
use crate::words::words;
use crate::{Database, Engine, OpenError, SeaOrmStore};

/// The URL of a PostgreSQL server for tests, whose user may create databases: what `DOMICILE_TEST_POSTGRES` names. Without
/// one the tests that need it do nothing; `make test` names them.
pub fn postgres_server() -> Option<String> {
    let server = std::env::var("DOMICILE_TEST_POSTGRES").ok();
    if server.is_none() {
        tracing::warn!("skipped without PostgreSQL");
    }
    server
}

/// The one statement by which PostgreSQL is asked about a check, for who runs the same beside this store. Its parameters
/// are the workspace by id and by handle, the person by id, issuer and subject, and the permission.
pub fn check_statement() -> &'static str {
    crate::facts::one(DbBackend::Postgres)
}

impl SeaOrmStore {
    /// A store in a new database of a PostgreSQL server, given the URL of a user who may create one.
    ///
    /// # Errors
    /// What the server says.
    pub async fn create_on(server: &str, pool_size: u32) -> Result<Self, OpenError> {
        let database = Self::create_database(server).await?;
        Self::migrate(&database).await?;
        Self::open(&database, pool_size).await
    }

    /// A new, empty database of a PostgreSQL server.
    ///
    /// # Errors
    /// What the server says.
    pub async fn create_database(server: &str) -> Result<Database, OpenError> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let admin = server.parse::<Database>()?;
        let connection = admin.connect(Access::Write).await?;
        let created = connection.execute_unprepared(&format!("CREATE DATABASE \"{name}\"")).await;
        created.map_err(|error| admin.not_opened(&error))?;
        connection.close().await.map_err(|error| admin.not_opened(&error))?;
        let Database::Postgres(options) = admin else {
            return Err(OpenError::Url { detail: "it names no server".to_owned() });
        };
        Ok(Database::Postgres(Box::new(options.database(&name))))
    }

    /// Every row of every table, enumerated from the schema; each row as SQL literals, sorted.
    ///
    /// # Errors
    /// The store's.
    pub async fn dump(&self) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
        self.dump_without(&[]).await
    }

    /// The same, with none of the rows of some tables: those that grow with every call would be most of what is read.
    ///
    /// # Errors
    /// The store's.
    pub async fn dump_without(&self, unread: &[&str]) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
        let raw = self.raw().await?;
        let dumped = match raw.connection()?.get_database_backend() {
            DbBackend::Postgres => dump_postgres(raw.connection()?, unread).await,
            _ => dump_sqlite(raw.connection()?, unread).await,
        };
        raw.told(dumped)
    }

    /// Lets a SQLite file grow by nothing more: the writer's connection answers as on a full disk. The limit ends with
    /// that connection.
    ///
    /// # Errors
    /// The store's.
    pub async fn fill_disk(&self) -> Result<(), StoreError> {
        let raw = self.raw().await?;
        // One page is fewer than there are: SQLite takes the present number for the limit then.
        let limited = raw.connection()?.execute_unprepared("PRAGMA max_page_count = 1").await;
        raw.told(limited).map(|_| ())
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

    /// Runs one statement as text, for what no port does.
    ///
    /// # Errors
    /// The store's.
    pub async fn run_sql(&self, sql: &str) -> Result<(), StoreError> {
        let raw = self.raw().await?;
        let ran = raw.connection()?.execute_unprepared(sql).await;
        raw.told(ran).map(|_| ())
    }

    /// Every name, contact and personal value of the record: what nothing that leaves the service unasked may hold.
    ///
    /// # Errors
    /// The store's.
    pub async fn personal_words(&self) -> Result<BTreeSet<String>, StoreError> {
        const PERSONAL: &str = "SELECT first_name AS word FROM user_profiles UNION SELECT last_name FROM user_profiles \
            UNION SELECT username FROM user_profiles UNION SELECT display FROM contacts WHERE display IS NOT NULL \
            UNION SELECT value FROM personal_values";
        let raw = self.raw().await?;
        let connection = raw.connection()?;
        let statement = Statement::from_string(connection.get_database_backend(), PERSONAL);
        let rows = raw.told(connection.query_all_raw(statement).await)?;
        raw.told(rows.iter().map(|row| row.try_get("", "word")).collect())
    }

    /// What the rows of memberships say was given, and the tables that lead back from it do not; and the other way round.
    ///
    /// # Errors
    /// The store's.
    pub async fn contradictions(&self) -> Result<Vec<String>, StoreError> {
        let raw = self.raw().await?;
        let connection = raw.connection()?;
        let (mut given, mut led) = (BTreeSet::new(), BTreeSet::new());
        for member in raw.told(membership::Entity::find().all(connection).await)? {
            let lists = [("role", member.roles), ("permission", member.permissions), ("group", member.groups)];
            for (what, list) in &lists {
                given.extend(words(list).map(|word| (*what, member.workspace_id, member.user_id, word.to_owned())));
            }
        }
        // A row that leads to no workspace is nobody's.
        let nowhere = Uuid::nil();
        let roles = raw.told(role::Entity::find().all(connection).await)?;
        for row in raw.told(membership_role::Entity::find().all(connection).await)? {
            let of = roles.iter().find(|role| role.id == row.role_id).map_or(nowhere, |role| role.workspace_id);
            led.insert(("role", of, row.user_id, row.role_id.simple().to_string()));
        }
        for row in raw.told(membership_permission::Entity::find().all(connection).await)? {
            led.insert(("permission", row.workspace_id, row.user_id, row.permission));
        }
        let groups = raw.told(group::Entity::find().all(connection).await)?;
        for row in raw.told(membership_group::Entity::find().all(connection).await)? {
            let of = groups.iter().find(|group| group.id == row.group_id).map_or(nowhere, |group| group.workspace_id);
            led.insert(("group", of, row.user_id, row.group_id.simple().to_string()));
        }
        let only = |side: &str, (what, workspace, user, word): &(&str, Uuid, Uuid, String)| {
            format!("{what} {word} of user {user} in workspace {workspace} stands {side} alone")
        };
        let rows = given.difference(&led).map(|fact| only("in the membership", fact));
        Ok(rows.chain(led.difference(&given).map(|fact| only("in the table", fact))).collect())
    }

    /// Reads one number over the connection that writes, for what no port tells.
    ///
    /// # Errors
    /// The store's.
    pub async fn number(&self, sql: &str, column: &str) -> Result<Option<i64>, StoreError> {
        let raw = self.raw().await?;
        let connection = raw.connection()?;
        let statement = Statement::from_string(connection.get_database_backend(), sql.to_owned());
        let row = raw.told(connection.query_one_raw(statement).await)?;
        raw.told(row.map(|row| row.try_get("", column)).transpose())
    }

    async fn write(&self, statement: impl QueryTrait + Send) -> Result<(), StoreError> {
        let raw = self.raw().await?;
        let connection = raw.connection()?;
        let written = connection.execute_raw(statement.build(connection.get_database_backend())).await;
        raw.told(written).map(|_| ())
    }

    async fn raw(&self) -> Result<Raw, StoreError> {
        match &self.engine {
            Engine::SqliteFile { writer, .. } | Engine::SqliteMemory { writer } => {
                Ok(Raw::Turn(writer.turn(super::READ_PATIENCE).await?))
            }
            Engine::Postgres(pools) => Ok(Raw::Pool(pools.writers.connection.clone())),
        }
    }
}

/// A connection that writes, whatever the engine.
enum Raw {
    Turn(WriterTurn),
    Pool(DatabaseConnection),
}

impl Raw {
    fn connection(&self) -> Result<&DatabaseConnection, StoreError> {
        match self {
            Self::Turn(turn) => turn.connection(),
            Self::Pool(connection) => Ok(connection),
        }
    }

    fn told<T>(&self, answer: Result<T, DbErr>) -> Result<T, StoreError> {
        let backend = self.connection()?.get_database_backend();
        answer.map_err(|error| classify(backend, &error).error)
    }
}

type Dump = BTreeMap<String, Vec<String>>;

async fn dump_sqlite(connection: &DatabaseConnection, unread: &[&str]) -> Result<Dump, DbErr> {
    const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let transaction = connection.begin().await?;
    let mut dump = Dump::new();
    for table in texts(&transaction, TABLES, "name").await? {
        if unread.contains(&table.as_str()) {
            dump.insert(table, Vec::new());
            continue;
        }
        let columns = format!("SELECT 'quote(\"' || name || '\")' AS term FROM pragma_table_info('{table}')");
        let terms = texts(&transaction, &columns, "term").await?.join(" || '|' || ");
        dump.insert(table.clone(), rows(&transaction, &format!("SELECT {terms} AS line FROM \"{table}\"")).await?);
    }
    transaction.rollback().await?;
    Ok(dump)
}

async fn dump_postgres(connection: &DatabaseConnection, unread: &[&str]) -> Result<Dump, DbErr> {
    const TABLES: &str = "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()";
    let transaction = connection.begin_with_config(Some(IsolationLevel::RepeatableRead), None).await?;
    let mut dump = Dump::new();
    for table in texts(&transaction, TABLES, "name").await? {
        if unread.contains(&table.as_str()) {
            dump.insert(table, Vec::new());
            continue;
        }
        dump.insert(table.clone(), rows(&transaction, &format!("SELECT t::text AS line FROM \"{table}\" t")).await?);
    }
    transaction.rollback().await?;
    Ok(dump)
}

async fn rows(transaction: &DatabaseTransaction, sql: &str) -> Result<Vec<String>, DbErr> {
    let mut lines = texts(transaction, sql, "line").await?;
    lines.sort();
    Ok(lines)
}

async fn texts(transaction: &DatabaseTransaction, sql: &str, column: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(transaction.get_database_backend(), sql.to_owned());
    transaction.query_all_raw(statement).await?.iter().map(|row| row.try_get("", column)).collect()
}
