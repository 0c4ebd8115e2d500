//! A SQLite file of a world: rows of many values in one transaction, into the product's own schema.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use domicile_store_seaorm::{Database, SeaOrmStore};
use sea_orm::sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, Arguments, AssertSqlSafe, ConnectOptions, Connection, Row};

use super::{Batch, Value, each_batch};
use crate::progress::Progress;
use crate::world::{World, mix};

/// Goes up when the same seed makes other rows.
const MAKER: u32 = 2;
/// SQLite takes 32,766 values in one statement.
const MOST_VALUES: usize = 32_000;
/// More rows in one statement are no faster.
const MOST_ROWS: usize = 1_000;

/// Opens a file as it is, without touching its settings.
///
/// # Errors
/// The driver's.
pub async fn open(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).statement_cache_capacity(512).disable_statement_logging();
    options.connect().await.with_context(|| format!("{} cannot be opened", path.display()))
}

fn add(arguments: &mut SqliteArguments, value: &Value) -> Result<()> {
    let added = match value {
        Value::Id(id) => arguments.add(*id),
        Value::Text(text) => arguments.add(text.clone()),
        Value::Word(word) => arguments.add(*word),
        Value::Int(number) => arguments.add(*number),
        Value::Flag(flag) => arguments.add(*flag),
        Value::Null => arguments.add(None::<i64>),
    };
    added.map_err(|error| anyhow::anyhow!("a value cannot be bound: {error}"))
}

async fn insert(connection: &mut SqliteConnection, batch: &Batch) -> Result<()> {
    let columns = batch.table.columns.len();
    let most = (MOST_VALUES / columns).min(MOST_ROWS) * columns;
    let row = format!("({})", vec!["?"; columns].join(","));
    for values in batch.values.chunks(most) {
        let rows = vec![row.as_str(); values.len() / columns].join(",");
        let sql = format!("INSERT INTO {} ({}) VALUES {rows}", batch.table.name, batch.table.columns.join(","));
        let mut arguments = SqliteArguments::default();
        for value in values {
            add(&mut arguments, value)?;
        }
        // Full statements come again; the last of a batch does not.
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(values.len() == most);
        query.execute(&mut *connection).await.with_context(|| format!("rows of {} are refused", batch.table.name))?;
    }
    Ok(())
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql).execute(connection).await.with_context(|| sql.to_owned())?;
    Ok(())
}

/// Fills a migrated file.
async fn fill(path: &Path, world: &World, progress: &Progress) -> Result<()> {
    let mut connection = open(path).await?;
    run(&mut connection, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000").await?;
    // Keys between tables are checked all at once below, which is the same and faster.
    run(&mut connection, "PRAGMA foreign_keys = OFF; BEGIN").await?;
    each_batch(world, progress, async |batch| insert(&mut connection, batch).await).await?;
    run(&mut connection, "COMMIT").await?;
    progress.tell("checking the keys between tables");
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut connection).await?;
    if let Some(row) = broken {
        bail!("a row of {} points at nothing", row.get::<String, _>(0));
    }
    run(&mut connection, "PRAGMA journal_mode = WAL").await?;
    connection.close().await?;
    Ok(())
}

/// What the product's schema is, in a number: another one makes another file.
async fn schema_of(path: &Path) -> Result<u64> {
    let mut connection = open(path).await?;
    let rows =
        sqlx::query("SELECT coalesce(sql, '') FROM sqlite_master ORDER BY name").fetch_all(&mut connection).await?;
    connection.close().await?;
    let text: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(text.join(";").bytes().fold(u64::from(MAKER), |hash, byte| mix(hash ^ u64::from(byte))))
}

/// The file of a world in `folder`: the one of an earlier run with the same seed, size and schema, or a new one.
///
/// # Errors
/// The schema refuses the rows, or the disk is full; no file is left then.
pub async fn base(folder: &Path, world: &World) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let partial = folder.join(format!("partial-{}", std::process::id()));
    remove(&partial)?;
    SeaOrmStore::migrate(&Database::SqliteFile(partial.clone())).await?;
    let schema = schema_of(&partial).await?;
    let prefix = format!("users-{}-seed-{}-", world.users, world.seed);
    let path = folder.join(format!("{prefix}{schema:016x}.db"));
    if path.exists() {
        remove(&partial)?;
        return Ok(path);
    }
    // Files of an earlier schema are of no use any more, and large.
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    let progress = Progress::of(&format!("SQLite data of {} users", world.users));
    let filled = fill(&partial, world, &progress).await;
    if let Err(error) = filled {
        remove(&partial)?;
        return Err(error);
    }
    std::fs::rename(&partial, &path)?;
    let size = std::fs::metadata(&path)?.len() / 1_000_000;
    progress.done(&format!("{size} MB"));
    Ok(path)
}

/// Removes a database file with what SQLite keeps beside it.
fn remove(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// A copy of a file to write in.
///
/// # Errors
/// The disk is full.
pub fn copy(base: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    std::fs::copy(base, to).with_context(|| format!("{} cannot be copied", base.display()))?;
    Ok(())
}
