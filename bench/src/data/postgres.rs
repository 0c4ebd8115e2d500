//! A PostgreSQL database of a world: COPY into the product's own schema.

use std::fmt::Write as _;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use domicile_store_seaorm::{Database, SeaOrmStore};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Row};

use super::{Batch, Value, each_batch};
use crate::progress::Progress;
use crate::world::World;

/// Connects to a database by its URL.
///
/// # Errors
/// The driver's.
pub async fn open(url: &str) -> Result<PgConnection> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    options.connect().await.context("PostgreSQL cannot be reached")
}

/// The URL of another database of the same server.
///
/// # Errors
/// The URL names no database.
pub fn sibling(url: &str, name: &str) -> Result<String> {
    let (server, _) = url.rsplit_once('/').context("the URL of PostgreSQL names no database")?;
    Ok(format!("{server}/{name}"))
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(connection).await.context(sql)?;
    Ok(())
}

fn line(values: &[Value], into: &mut String) {
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            into.push('\t');
        }
        // Writing to a String cannot fail; no text of the data has a character that COPY would need escaped.
        let _ = match value {
            Value::Id(id) => write!(into, "{id}"),
            Value::Text(text) => write!(into, "{text}"),
            Value::Word(word) => write!(into, "{word}"),
            Value::Int(number) => write!(into, "{number}"),
            Value::Flag(flag) => write!(into, "{}", if *flag { 't' } else { 'f' }),
            Value::Null => write!(into, "\\N"),
        };
    }
    into.push('\n');
}

async fn insert(connection: &mut PgConnection, batch: &Batch) -> Result<()> {
    let table = batch.table;
    let mut text = String::new();
    batch.values.chunks(table.columns.len()).for_each(|row| line(row, &mut text));
    let sql = format!("COPY {} ({}) FROM STDIN", table.name, table.columns.join(","));
    let mut copy = connection.copy_in_raw(&sql).await?;
    copy.send(text.as_bytes()).await?;
    copy.finish().await.with_context(|| format!("rows of {} are refused", table.name))?;
    Ok(())
}

/// Every key between tables, as a search for rows that point at nothing.
const FOREIGN_KEYS: &str = "
    SELECT format('SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)',
        k.conrelid::regclass,
        (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') FROM unnest(k.conkey) x
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x),
        k.confrelid::regclass,
        (SELECT string_agg(format('p.%I = c.%I', b.attname, a.attname), ' AND ')
            FROM unnest(k.conkey, k.confkey) x (one, other)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.one
            JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = x.other))
    FROM pg_constraint k WHERE k.contype = 'f'";

async fn fill(url: &str, world: &World, progress: &Progress) -> Result<()> {
    let mut connection = open(url).await?;
    // Keys between tables are checked all at once below, which is the same and faster.
    run(&mut connection, "SET session_replication_role = replica; SET synchronous_commit = off".to_owned()).await?;
    each_batch(world, progress, async |batch| insert(&mut connection, batch).await).await?;
    progress.tell("checking the keys between tables");
    for search in sqlx::query(FOREIGN_KEYS).fetch_all(&mut connection).await? {
        let search: String = search.get(0);
        let broken: i64 = sqlx::query(AssertSqlSafe(search.clone())).fetch_one(&mut connection).await?.get(0);
        if broken > 0 {
            bail!("{broken} rows point at nothing: {search}");
        }
    }
    // What a database that has been in use for a while has: statistics, and rows known to be visible to all.
    run(&mut connection, "VACUUM ANALYZE".to_owned()).await?;
    run(&mut connection, "CHECKPOINT".to_owned()).await?;
    connection.close().await?;
    Ok(())
}

/// Makes the database of a world on a server, and answers its URL.
///
/// # Errors
/// The schema refuses the rows.
pub async fn base(server: &str, world: &World) -> Result<String> {
    let name = format!("bench_base_{}_{}", world.users, world.seed);
    let url = create(server, &name, None).await?;
    SeaOrmStore::migrate(&url.parse::<Database>()?).await?;
    let progress = Progress::of(&format!("PostgreSQL data of {} users", world.users));
    fill(&url, world, &progress).await?;
    progress.done("filled");
    Ok(url)
}

/// A new database, empty or the copy of another; one of that name is dropped.
///
/// # Errors
/// The server's.
pub async fn create(server: &str, name: &str, template: Option<&str>) -> Result<String> {
    let mut admin = open(server).await?;
    run(&mut admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    let template = template.map_or(String::new(), |base| format!(" TEMPLATE {base} STRATEGY FILE_COPY"));
    run(&mut admin, format!("CREATE DATABASE {name}{template}")).await?;
    run(&mut admin, "CHECKPOINT".to_owned()).await?;
    admin.close().await?;
    sibling(server, name)
}

/// The name of a database from its URL.
#[must_use]
pub fn name_of(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}
