//! Whether two sides did the same work under the same promise: the rows that each wrote, table by table; the indexes that each
//! kept; the settings of durability; and, where one save follows the
//! other, the flushes of the disk itself. [`prove`] is the one
//! way to a figure that writes.
//!
//! From where settings are read: of a control, from the connection that writes, or in pgbench's case by every one of its
//! sessions into a table; of the product, from the connection that writes of a store that this process opens on the same
//! database with the same adapter, since no call of the service tells them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use domicile_store_seaorm::{Database, SeaOrmStore};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use crate::data::{postgres, sqlite};
use crate::stats::float;

/// How far the bytes of a table's rows may differ between the sides.
const MOST_BYTES_APART: f64 = 0.05;
/// Tables that the controls need for themselves.
const OWN: &str = "bench_";

/// How much a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Holds {
    rows: i64,
    bytes: i64,
}

/// How much every table of a database holds, how many revisions its workspaces took, how many probes were counted, and every
/// index with its definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    holds: BTreeMap<String, Holds>,
    indexes: BTreeMap<String, String>,
}

/// What is changed in place is counted by what it adds up to. Of the counters of budgets those of hours, which hold all that a
/// run counted; a person's minute is over before.
const SUMS: [(&str, &str); 3] = [
    ("workspaces.revision", "SELECT CAST(sum(revision) AS BIGINT), CAST(0 AS BIGINT) FROM workspaces"),
    (
        "budget_counters of workspaces",
        "SELECT CAST(coalesce(sum(counted + counted_before), 0) AS BIGINT), CAST(0 AS BIGINT) FROM budget_counters WHERE kind = 'WORKSPACE'",
    ),
    (
        "budget_counters of services",
        "SELECT CAST(coalesce(sum(counted + counted_before), 0) AS BIGINT), CAST(0 AS BIGINT) FROM budget_counters WHERE kind = 'SERVICE'",
    ),
];
/// Its rows are counted by [`SUMS`] alone.
const IN_PLACE: &str = "budget_counters";

impl Tables {
    /// Counts a SQLite file.
    ///
    /// # Errors
    /// The driver's.
    pub async fn of_sqlite(path: &Path) -> Result<Self> {
        const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        const INDEXES: &str = "SELECT name, coalesce(sql, 'a key of ' || tbl_name) FROM sqlite_master
                               WHERE type = 'index' AND tbl_name NOT LIKE 'bench\\_%' ESCAPE '\\'";
        let mut connection = sqlite::open(path).await?;
        let mut tables = Self::default();
        for row in sqlx::query(TABLES).fetch_all(&mut connection).await? {
            let name: String = row.get(0);
            let columns = format!(
                "SELECT 'coalesce(length(CAST(\"' || name || '\" AS BLOB)), 0)' FROM pragma_table_info('{name}')"
            );
            let terms = sqlx::query(AssertSqlSafe(columns)).fetch_all(&mut connection).await?;
            let terms: Vec<String> = terms.iter().map(|row| row.get(0)).collect();
            let sql = format!("SELECT count(*), coalesce(sum({}), 0) FROM \"{name}\"", terms.join(" + "));
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
            tables.holds.insert(name, Holds { rows: row.get(0), bytes: row.get(1) });
        }
        for (name, sum) in SUMS {
            let row = sqlx::query(sum).fetch_one(&mut connection).await?;
            tables.holds.insert(name.to_owned(), Holds { rows: row.get(0), bytes: row.get(1) });
        }
        tables.holds.remove(IN_PLACE);
        let rows = sqlx::query(INDEXES).fetch_all(&mut connection).await?;
        tables.indexes = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        connection.close().await?;
        Ok(tables)
    }

    /// Counts a PostgreSQL database.
    ///
    /// # Errors
    /// The driver's.
    pub async fn of_postgres(url: &str) -> Result<Self> {
        const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        const INDEXES: &str = "SELECT indexname::text, indexdef FROM pg_indexes
                               WHERE schemaname = 'public' AND tablename NOT LIKE 'bench\\_%'";
        let mut connection = postgres::open(url).await?;
        let mut tables = Self::default();
        for row in sqlx::query(TABLES).fetch_all(&mut connection).await? {
            let name: String = row.get(0);
            let sql = format!("SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0)::bigint FROM \"{name}\" t");
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
            tables.holds.insert(name, Holds { rows: row.get(0), bytes: row.get(1) });
        }
        for (name, sum) in SUMS {
            let row = sqlx::query(sum).fetch_one(&mut connection).await?;
            tables.holds.insert(name.to_owned(), Holds { rows: row.get(0), bytes: row.get(1) });
        }
        tables.holds.remove(IN_PLACE);
        let rows = sqlx::query(INDEXES).fetch_all(&mut connection).await?;
        tables.indexes = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        connection.close().await?;
        Ok(tables)
    }
}

/// What one side wrote with so many operations.
#[derive(Debug, Clone)]
pub struct Work {
    /// How many operations.
    pub operations: u64,
    /// Before the first.
    pub before: Tables,
    /// After the last.
    pub after: Tables,
}

impl Work {
    fn written(&self, table: &str) -> Holds {
        let of = |tables: &Tables| tables.holds.get(table).copied().unwrap_or_default();
        let (before, after) = (of(&self.before), of(&self.after));
        Holds { rows: after.rows - before.rows, bytes: after.bytes - before.bytes }
    }
}

/// Proves that both sides keep the same indexes.
fn same_indexes(control: &Tables, subject: &Tables) -> Result<()> {
    for name in control.indexes.keys().chain(subject.indexes.keys()) {
        let of = |side: &Tables| side.indexes.get(name).cloned().unwrap_or_else(|| "missing".to_owned());
        let (theirs, ours) = (of(control), of(subject));
        if theirs != ours {
            bail!("unequal work: the index `{name}` is {theirs} for the control and {ours} for the subject");
        }
    }
    Ok(())
}

/// Proves that both sides wrote the same rows for each operation, in number exactly and in bytes nearly, under the same
/// indexes.
///
/// # Errors
/// They did not; the sentence names the first table or index.
pub fn same_work(control: &Work, subject: &Work) -> Result<()> {
    if control.operations == 0 || subject.operations == 0 {
        bail!("unequal work: the control did {} operations, the subject {}", control.operations, subject.operations);
    }
    same_indexes(&control.before, &subject.before)?;
    same_indexes(&control.after, &subject.after)?;
    let tables = control.after.holds.keys().chain(subject.after.holds.keys()).filter(|name| !name.starts_with(OWN));
    for table in tables {
        let (ours, theirs) = (subject.written(table), control.written(table));
        let per = |written: i64, operations: u64| float(u64::try_from(written).unwrap_or(0)) / float(operations);
        let cross = |written: i64, operations: u64| i128::from(written) * i128::from(operations);
        if cross(ours.rows, control.operations) != cross(theirs.rows, subject.operations) {
            bail!(
                "unequal work: for each operation the control adds {:.2} rows to `{table}`, the subject {:.2}",
                per(theirs.rows, control.operations),
                per(ours.rows, subject.operations)
            );
        }
        let (our_bytes, their_bytes) = (per(ours.bytes, subject.operations), per(theirs.bytes, control.operations));
        if (our_bytes - their_bytes).abs() > MOST_BYTES_APART * our_bytes.max(their_bytes) && ours.rows != 0 {
            bail!(
                "unequal work: for each operation the control writes {their_bytes:.0} bytes to `{table}`, the subject \
                 {our_bytes:.0}"
            );
        }
    }
    Ok(())
}

/// Settings of a connection that decide what a commit promises and costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability(pub BTreeMap<String, String>);

/// What is compared on SQLite.
const PRAGMAS: [&str; 6] = ["journal_mode", "synchronous", "foreign_keys", "secure_delete", "page_size", "cache_size"];
/// The one that no table of SQLite tells.
const CHECKPOINT: &str = "wal_autocheckpoint";
/// What is compared on PostgreSQL.
pub const SETTINGS: &str =
    "name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'commit_delay')";

impl Durability {
    /// Of a connection of SQLite.
    ///
    /// # Errors
    /// The driver's.
    pub async fn of_sqlite(connection: &mut SqliteConnection) -> Result<Self> {
        let mut settings = BTreeMap::new();
        for pragma in PRAGMAS {
            let sql = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
            settings.insert(pragma.to_owned(), row.get(0));
        }
        let row = sqlx::query(AssertSqlSafe(format!("PRAGMA {CHECKPOINT}"))).fetch_one(connection).await?;
        settings.insert(CHECKPOINT.to_owned(), row.get::<i64, _>(0).to_string());
        Ok(Self(settings))
    }

    /// Of the connection by which the product writes a SQLite file, told by itself. Writes nothing that stays.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_sqlite_store(path: &Path) -> Result<Self> {
        let store = SeaOrmStore::open(&Database::SqliteFile(path.to_owned()), 1).await?;
        for pragma in PRAGMAS {
            let sql = format!("INSERT INTO meta SELECT '{OWN}{pragma}', CAST({pragma} AS TEXT) FROM pragma_{pragma}");
            store.run_sql(&sql).await?;
        }
        let checkpoint = store.number(&format!("PRAGMA {CHECKPOINT}"), CHECKPOINT).await?;
        drop(store);
        let mut connection = sqlite::open(path).await?;
        let rows =
            sqlx::query("DELETE FROM meta WHERE key LIKE 'bench\\_%' ESCAPE '\\' RETURNING substr(key, 7), value");
        let rows = rows.fetch_all(&mut connection).await?;
        connection.close().await?;
        let mut settings: BTreeMap<String, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        settings.extend(checkpoint.map(|pages| (CHECKPOINT.to_owned(), pages.to_string())));
        Ok(Self(settings))
    }

    /// Of a session of PostgreSQL.
    ///
    /// # Errors
    /// The driver's.
    pub async fn of_postgres(connection: &mut PgConnection) -> Result<Self> {
        let sql = format!("SELECT name, setting FROM pg_settings WHERE {SETTINGS}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
        Ok(Self(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
    }

    /// Of all sessions of pgbench that wrote: each of so many told its own.
    ///
    /// # Errors
    /// The driver's; a session told nothing; two told different things.
    pub async fn of_pgbench(url: &str, sessions: u64) -> Result<Self> {
        let sql = "SELECT name, min(setting), max(setting), count(*) FROM bench_settings GROUP BY name";
        let mut connection = postgres::open(url).await?;
        let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
        connection.close().await?;
        let mut settings = BTreeMap::new();
        for row in rows {
            let (name, least, greatest, told): (String, String, String, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            if least != greatest || u64::try_from(told)? != sessions {
                bail!(
                    "durability differs: {told} of {sessions} sessions of pgbench told `{name}`, from {least} to {greatest}"
                );
            }
            settings.insert(name, least);
        }
        Ok(Self(settings))
    }

    /// Of the session by which the product writes a PostgreSQL database, told by itself. Writes nothing that stays.
    ///
    /// # Errors
    /// The store's.
    pub async fn of_postgres_store(url: &str) -> Result<Self> {
        let store = SeaOrmStore::open(&url.parse::<Database>()?, 1).await?;
        store
            .run_sql(&format!("INSERT INTO meta SELECT '{OWN}' || name, setting FROM pg_settings WHERE {SETTINGS}"))
            .await?;
        drop(store);
        let mut connection = postgres::open(url).await?;
        let rows = sqlx::query("DELETE FROM meta WHERE key LIKE 'bench\\_%' RETURNING substr(key, 7), value");
        let rows = rows.fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(Self(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
    }

    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// Proves that both sides promise the same of a commit.
///
/// # Errors
/// They do not; the sentence names the setting.
pub fn same_durability(control: &Durability, subject: &Durability) -> Result<()> {
    for name in control.0.keys().chain(subject.0.keys()) {
        let of = |side: &Durability| side.0.get(name).cloned().unwrap_or_else(|| "unset".to_owned());
        let (theirs, ours) = (of(control), of(subject));
        if theirs != ours {
            bail!("durability differs: `{name}` is {theirs} for the control and {ours} for the subject");
        }
    }
    Ok(())
}

/// How often the floor is measured.
const SYNCS: u8 = 60;

/// The median of what writing and syncing 4 KiB takes in a folder, in microseconds: no commit that waits for the disk can be
/// much faster.
///
/// # Errors
/// The disk's.
pub fn fsync_floor_us(folder: &Path) -> Result<f64> {
    use std::io::{Seek, Write};
    let path = folder.join("fsync-floor");
    let mut file = std::fs::File::create(&path)?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    let mut times = Vec::new();
    for byte in 0..SYNCS {
        file.rewind()?;
        let started = std::time::Instant::now();
        file.write_all(&[byte; 4096])?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path).context("the file of the fsync floor cannot be removed")?;
    Ok(crate::stats::median(&times))
}

/// Counts the flushes of the disk on which a folder lies, by the kernel: whoever waits for the disk makes it flush, and there is
/// nothing to be timed. The flushes of others are counted too.
#[derive(Debug, Clone)]
pub struct Flushes {
    device: Option<(String, String)>,
    flushed: u64,
    saves: u64,
}

impl Flushes {
    /// Of the disk of a folder. Nothing can be counted where the kernel does not tell, or `fsync` does not show.
    ///
    /// # Errors
    /// The disk's.
    pub fn of(folder: &Path) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let device = std::fs::metadata(folder)?.dev();
        let numbers = (rustix::fs::major(device).to_string(), rustix::fs::minor(device).to_string());
        let mut flushes = Self { device: Some(numbers), flushed: 0, saves: 0 };
        let before = flushes.so_far();
        fsync_floor_us(folder)?;
        let shown = before.zip(flushes.so_far()).is_some_and(|(before, after)| after - before >= u64::from(SYNCS));
        if !shown {
            flushes.device = None;
        }
        Ok(flushes)
    }

    /// How often the disk was flushed since it was found.
    #[must_use]
    pub fn so_far(&self) -> Option<u64> {
        let (major, minor) = self.device.as_ref()?;
        let disks = std::fs::read_to_string("/proc/diskstats").ok()?;
        let mut disks = disks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let disk = disks.find(|disk| disk.first() == Some(&major.as_str()) && disk.get(1) == Some(&minor.as_str()))?;
        disk.get(18)?.parse().ok()
    }

    /// Adds so many saves, one after the other, with the flushes since `before`.
    pub fn add(&mut self, before: Option<u64>, saves: u64) {
        if let (Some(before), Some(after)) = (before, self.so_far()) {
            self.flushed += after.saturating_sub(before);
            self.saves += saves;
        }
    }

    /// Flushes for each save, if they could be counted.
    #[must_use]
    pub fn each(&self) -> Option<f64> {
        (self.saves > 0).then(|| float(self.flushed) / float(self.saves))
    }
}

/// What is known of the disk while a figure was measured.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// What `fsync` of 4 KiB took between the rounds, in microseconds.
    pub fsyncs_us: Vec<f64>,
    /// How often the disk was flushed for each save by hand that does not wait for it, if that could be counted.
    pub flushes_without: Option<f64>,
}

/// What one side shows of itself.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What it wrote.
    pub work: Work,
    /// What its commits promise.
    pub durability: Durability,
    /// How often the disk was flushed for each save, where saves follow each other; of saves at once several may share a flush.
    pub flushes: Option<f64>,
}

/// A commit that waits for the disk flushes it once; a little is given to saves at the edges of the count.
const FEWEST_FLUSHES: f64 = 0.95;
/// Where saves that do not wait see more, others flush the disk so often that nothing can be told.
const MOST_FLUSHES_OF_OTHERS: f64 = 0.5;

impl Disk {
    /// Whether flushes tell who waits for the disk.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.flushes_without.is_some_and(|without| without <= MOST_FLUSHES_OF_OTHERS)
    }
}

/// Proves that a side that promises to wait for the disk did, where that can be seen.
fn waited_for_disk(side: &str, flushes: Option<f64>, disk: &Disk) -> Result<()> {
    let Some(flushes) = flushes.filter(|_| disk.tells()) else { return Ok(()) };
    // What is no number is no proof.
    let enough = flushes >= FEWEST_FLUSHES;
    if !enough {
        bail!(
            "durability differs: the disk was flushed {flushes:.2} times for each save of the {side}, and a commit that waits for \
             it flushes it once"
        );
    }
    Ok(())
}

/// Proves that the two sides of a figure that writes did the same work under the same promise, and kept it.
///
/// # Errors
/// They did not; the sentence tells what differs.
pub fn prove(control: &Evidence, subject: &Evidence, disk: &Disk) -> Result<()> {
    same_work(&control.work, &subject.work)?;
    same_durability(&control.durability, &subject.durability)?;
    waited_for_disk("control", control.flushes, disk)?;
    waited_for_disk("subject", subject.flushes, disk)
}
