//! Connections of PostgreSQL: a pool for units of work, one for reads, and a connection for signs of life; all bounded in
//! size and in waiting.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::port::store::StoreError;
use sea_orm::sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions, Connection, Error, PgConnection, Postgres, query};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, RuntimeErr, Statement,
    TransactionTrait, Value,
};

use crate::OpenError;
use crate::classify::classify;
use crate::kept::Kept;

/// How long a call waits for a connection of the pool.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(1);
/// How long the first connection may take, at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The server ends a statement after this; no call may take longer than ten seconds.
const STATEMENT_TIMEOUT: &str = "10s";
/// The server ends a transaction whose client fell silent, so that its locks do not outlive it.
const IDLE_TRANSACTION_TIMEOUT: &str = "15s";

/// One pool.
#[derive(Clone)]
pub(crate) struct Pool {
    connections: PgPool,
    kept: Kept,
    pub(crate) connection: DatabaseConnection,
    size: u32,
}

/// The pools of a database.
#[derive(Clone)]
pub(crate) struct Pools {
    pub(crate) writers: Pool,
    pub(crate) readers: Pool,
    /// One connection for questions whether the database lives: they do not wait behind the work of others.
    pub(crate) probe: Pool,
}

/// Reads a URL; a wrong one is told without its password.
pub(crate) fn read_url(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| OpenError::Url { detail: error.to_string() })?;
    Ok(options.application_name("domicile").disable_statement_logging())
}

/// The database without its password: `host:port/name`.
pub(crate) fn name_of(options: &PgConnectOptions) -> String {
    let place = options
        .get_socket()
        .map_or_else(|| format!("{}:{}", options.get_host(), options.get_port()), |s| s.display().to_string());
    format!("{place}/{}", options.get_database().unwrap_or_else(|| options.get_username()))
}

/// Connects once, for the schema, and to tell what is wrong at once: a pool would only say that it waited.
pub(crate) async fn connect_once(options: &PgConnectOptions) -> Result<DatabaseConnection, OpenError> {
    let unreachable = |detail: String| OpenError::Unreachable { place: name_of(options), detail };
    let first = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(options)).await;
    let connection = match first {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(refused(options, &error)),
        Err(_) => return Err(unreachable(format!("no answer within {} s", CONNECT_WITHIN.as_secs()))),
    };
    connection.close().await.map_err(|error| unreachable(error.to_string()))?;
    // A step of the schema may take longer than any call.
    Ok(pool(options.clone(), 1).connection)
}

/// What a server that was reached, or was not, says of a first connection.
fn refused(options: &PgConnectOptions, error: &Error) -> OpenError {
    let place = name_of(options);
    let Error::Database(told) = error else {
        return OpenError::Unreachable { place, detail: error.to_string() };
    };
    let user = options.get_username().to_owned();
    match told.code().as_deref() {
        Some("28P01" | "28000") => OpenError::SignIn { place, user, detail: told.message().to_owned() },
        Some("3D000") => OpenError::NoDatabase { place },
        Some("42501") => OpenError::NotAllowed { place, user },
        _ => OpenError::Unreachable { place, detail: told.message().to_owned() },
    }
}

/// The pools of a database; connections are made when they are needed.
pub(crate) fn pools(options: &PgConnectOptions, size: u32) -> Pools {
    // A read is one transaction that sees one committed state; set here, it costs no statement of its own.
    let reading = options
        .clone()
        .options([("default_transaction_isolation", "repeatable read"), ("default_transaction_read_only", "on")]);
    let bounded = |options: PgConnectOptions| {
        options.options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_TIMEOUT),
            // The server ends the session of a program that is gone without a word, and its locks with it.
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
        ])
    };
    let reading = bounded(reading);
    Pools {
        writers: pool(bounded(options.clone()), size),
        readers: pool(reading.clone(), size),
        probe: pool(reading, 1),
    }
}

/// Keeps other processes from changing the schema until the connection ends.
pub(crate) async fn lock_schema(connection: &DatabaseConnection) -> Result<(), DbErr> {
    connection.execute_unprepared("SELECT pg_advisory_lock(7214012026)").await.map(|_| ())
}

fn pool(options: PgConnectOptions, size: u32) -> Pool {
    let connections = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_WITHIN)
        .test_before_acquire(false)
        .connect_lazy_with(options.statement_cache_capacity(512));
    Pool { connection: DatabaseConnection::from(connections.clone()), kept: Kept::of(size), connections, size }
}

/// What the driver said, as the rest of this store hears it.
fn driver(error: Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

/// A statement with the values that those of checks have.
fn bound(statement: &Statement) -> Result<Query<'_, Postgres, PgArguments>, DbErr> {
    let values = statement.values.as_ref().map_or(&[][..], |values| values.0.as_slice());
    values.iter().try_fold(query(AssertSqlSafe(statement.sql.as_str())), |query, value| match value {
        Value::Uuid(id) => Ok(query.bind(*id)),
        Value::String(text) => Ok(query.bind(text.as_deref())),
        other => Err(DbErr::Type(format!("a single statement has no value like {other:?}"))),
    })
}

impl Pool {
    /// How many connections are open, how many of them idle, and how many there may be.
    pub(crate) fn sizes(&self) -> (u32, usize, u32) {
        (self.connections.size(), self.connections.num_idle() + self.kept.count(), self.size)
    }

    /// Begins a transaction, waiting at most `patience` for a connection.
    pub(crate) async fn begin(&self, patience: Duration) -> Result<DatabaseTransaction, StoreError> {
        self.first(patience, || self.kept.give_way(self.connection.begin())).await
    }

    /// The rows of one statement that only reads, waiting at most `patience` for a connection.
    pub(crate) async fn all(&self, statement: &Statement, patience: Duration) -> Result<Vec<QueryResult>, StoreError> {
        self.first(patience, || async {
            let mut taken = self.kept.take(&self.connections).await.map_err(driver)?;
            let rows = bound(statement)?.fetch_all(&mut **taken.connection()).await.map_err(driver)?;
            self.kept.leave(taken);
            Ok(rows.into_iter().map(QueryResult::from).collect())
        })
        .await
    }

    /// Does what can be done again on another connection.
    ///
    /// A connection is not tried before it is used, so after a restart of the server each idle one fails once: those are
    /// passed over, since nothing was done on them.
    async fn first<T, F>(&self, patience: Duration, work: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, DbErr>> + Send,
    {
        let work = async {
            let mut dead = 0;
            loop {
                match work().await.map_err(|error| classify(DbBackend::Postgres, &error).error) {
                    Err(StoreError::ConnectionLost) if dead < self.size => dead += 1,
                    done => return done,
                }
            }
        };
        match tokio::time::timeout(patience, work).await {
            Ok(Err(StoreError::Contention)) | Err(_) if self.connections.size() < self.size => {
                // There was room for another connection, and none could be made.
                Err(StoreError::ConnectionLost)
            }
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Contention),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_its_password() {
        let options = read_url("postgresql://ann:s3cret@db.example:6432/domicile?sslmode=require").unwrap();
        assert_eq!(name_of(&options), "db.example:6432/domicile");
        let refused = read_url("postgres://ann:s3cret@db.example:port/domicile").unwrap_err().to_string();
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
