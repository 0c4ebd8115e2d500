//! Whether the schema and the keys of a database fit this program, and how they are brought up to date.

use domicile_domain::model::text::NORMALISER_VERSION;
use domicile_domain::port::store::StoreError;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, IntoActiveModel, QueryTrait,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{IntoSchemaManagerConnection, MigratorTrait, SchemaManager, seaql_migrations};

use crate::OpenError;
use crate::classify::classify;
use crate::entity::meta;
use crate::migration::Migrator;
use crate::postgres;

/// The row of `meta` that tells which normaliser made the keys.
const NORMALISER: &str = "normaliser_version";
/// Where the steps that ran are recorded.
const STEPS: &str = "seaql_migrations";

fn failed(place: &str) -> impl Fn(DbErr) -> OpenError {
    let place = place.to_owned();
    move |error| OpenError::Migrate { place: place.clone(), detail: error.to_string() }
}

/// The steps that this program knows and the database has not taken, in order.
///
/// # Errors
/// [`OpenError::Newer`] when the database has taken one that this program does not know.
pub(crate) async fn pending<C>(connection: &C, place: &str) -> Result<Vec<String>, OpenError>
where
    C: ConnectionTrait,
    for<'c> &'c C: IntoSchemaManagerConnection<'c>,
{
    if !SchemaManager::new(connection).has_table(STEPS).await.map_err(failed(place))? {
        return missing(Vec::new(), place);
    }
    let taken = seaql_migrations::Entity::find().all(connection).await.map_err(failed(place))?;
    missing(taken.into_iter().map(|step| step.version), place)
}

/// The steps that are not among those taken.
pub(crate) fn missing(taken: impl IntoIterator<Item = String>, place: &str) -> Result<Vec<String>, OpenError> {
    let known = Migrator::migrations();
    let mut missing: Vec<String> = known.iter().map(|step| step.name().to_owned()).collect();
    for step in taken {
        match missing.iter().position(|name| *name == step) {
            Some(at) => drop(missing.remove(at)),
            None => return Err(OpenError::Newer { place: place.to_owned(), step }),
        }
    }
    Ok(missing)
}

/// Takes the missing steps and answers which they were. Of several processes that do so at once one takes them, and the
/// others find nothing left.
pub(crate) async fn migrate(connection: &DatabaseConnection, place: &str) -> Result<Vec<String>, OpenError> {
    if connection.get_database_backend() == DbBackend::Postgres {
        postgres::lock_schema(connection).await.map_err(failed(place))?;
        return take(connection, place).await;
    }
    // Nobody's write is waited for where there is nothing to do.
    if pending(connection, place).await?.is_empty() {
        return Ok(Vec::new());
    }
    // Making a table anew would be taking away every row that others point at, and SQLite does not let a transaction say that
    // it must not look. Each step looks at all keys before it ends.
    connection.execute_unprepared("PRAGMA foreign_keys = OFF").await.map_err(failed(place))?;
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let begun = connection.begin_with_options(options).await;
    let transaction = begun.map_err(|error| match classify(DbBackend::Sqlite, &error).error {
        StoreError::Contention => OpenError::Migrate {
            place: place.to_owned(),
            detail:
                "another process holds the write lock of the file, and may be doing the same; wait until it is done, or \
                     end it, and try again"
                    .to_owned(),
        },
        _ => failed(place)(error),
    })?;
    let taken = take(&transaction, place).await?;
    transaction.commit().await.map_err(failed(place))?;
    connection.execute_unprepared("PRAGMA foreign_keys = ON").await.map_err(failed(place))?;
    Ok(taken)
}

/// Takes the steps that are missing now that no other process takes any.
async fn take<C>(connection: &C, place: &str) -> Result<Vec<String>, OpenError>
where
    C: ConnectionTrait,
    for<'c> &'c C: IntoSchemaManagerConnection<'c>,
{
    let missing = pending(connection, place).await?;
    if missing.is_empty() {
        return Ok(missing);
    }
    Migrator::up(connection, None).await.map_err(failed(place))?;
    if stored_normaliser(connection, place).await?.is_none() {
        let row = meta::Model { key: NORMALISER.to_owned(), value: NORMALISER_VERSION.to_string() };
        let statement = meta::Entity::insert(row.into_active_model()).build(connection.get_database_backend());
        connection.execute_raw(statement).await.map_err(failed(place))?;
    }
    Ok(missing)
}

/// Refuses a database whose schema or keys do not fit this program.
pub(crate) async fn check(connection: &DatabaseConnection, place: &str) -> Result<(), OpenError> {
    let missing = pending(connection, place).await?;
    if !missing.is_empty() {
        return Err(OpenError::Behind { place: place.to_owned(), steps: missing.join(", ") });
    }
    // Keys made by another version of the normaliser would find other people.
    match stored_normaliser(connection, place).await? {
        Some(version) if version == NORMALISER_VERSION.to_string() => Ok(()),
        stored => {
            Err(OpenError::Normaliser { place: place.to_owned(), stored: stored.unwrap_or_else(|| "none".to_owned()) })
        }
    }
}

async fn stored_normaliser(connection: &impl ConnectionTrait, place: &str) -> Result<Option<String>, OpenError> {
    let row = meta::Entity::find_by_id(NORMALISER).one(connection).await.map_err(failed(place))?;
    Ok(row.map(|row| row.value))
}
