//! The controls on PostgreSQL: pgbench with hand-written statements, prepared, over TCP.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use domicile_store_seaorm::inspect::check_statement;
use sea_orm::sqlx::postgres::{PgConnection, PgRow};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Row};
use tokio::process::Command;
use uuid::Uuid;

use super::save::CHANGES;
use crate::data::postgres::open;
use crate::load::Fault;
use crate::target::workspace_of_save;
use crate::work::SETTINGS;
use crate::world::{Answer, Check, Spread, World};

/// A PostgreSQL server with its tools.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The URL of a user who may create databases.
    pub url: String,
    /// The program.
    pub pgbench: PathBuf,
}

/// What a run of pgbench did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// Transactions, all of them.
    pub transactions: u64,
    /// Transactions a second, without the first second, in which statements are prepared.
    pub per_second: f64,
}

/// Checks that one row of keys holds, so that fetching keys costs a seventeenth of the statements.
const KEYS_IN_A_ROW: u64 = 16;

/// The select that the service runs for a check, with its parameters replaced.
fn check_sql(workspace: &str, user: &str, permission: &str) -> String {
    let mut sql = check_statement().to_owned();
    for (parameter, value) in
        [("$1", workspace), ("$2", "NULL"), ("$3", user), ("$4", "NULL"), ("$5", "NULL"), ("$6", permission)]
    {
        sql = sql.replace(parameter, value);
    }
    sql
}

/// What a service holds in memory: the state and the default ceiling of workspaces, and which role grants what.
struct Held {
    workspaces: HashMap<Uuid, (String, String)>,
    grants: HashSet<(Uuid, String)>,
}

impl Held {
    async fn read(connection: &mut PgConnection) -> Result<Self> {
        let workspaces =
            sqlx::query("SELECT id, state, ceiling_roles FROM workspaces").fetch_all(&mut *connection).await?;
        let grants = sqlx::query("SELECT role_id, permission FROM role_permissions").fetch_all(connection).await?;
        Ok(Self {
            workspaces: workspaces.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect(),
            grants: grants.iter().map(|row| (row.get(0), row.get(1))).collect(),
        })
    }
}

/// Decides on the row of the one statement, as a hand-written service would.
fn decide(row: &PgRow, held: &Held, permission: &str) -> Result<Answer> {
    let text = |column: &str| row.try_get::<Option<String>, _>(column);
    let at = |place: usize| row.try_get::<Option<String>, _>(place);
    let flag = |column: &str| row.try_get::<Option<bool>, _>(column).map(|flag| flag == Some(true));
    let workspace: Uuid = row.try_get(0)?;
    let (state, default_ceiling) = held.workspaces.get(&workspace).context("no such workspace")?;
    let Some(kind) = text("kind")? else { return Ok(Answer::Denied("NO_MEMBERSHIP")) };
    if state != "ACTIVE" {
        return Ok(Answer::Denied("WORKSPACE_UNAVAILABLE"));
    }
    let active = |place: usize| at(place).map(|state| state.as_deref() == Some("ACTIVE"));
    if !active(USER_STATE)? || !active(HOME_STATE)? {
        return Ok(Answer::Denied("ACCOUNT_UNAVAILABLE"));
    }
    let external = kind == "EXTERNAL";
    let over = row.try_get::<Option<i64>, _>("expires_at")?.is_some_and(|end| end <= super::save::now_us());
    match at(MEMBER_STATE)?.as_deref() {
        Some("PENDING") if external => return Ok(Answer::Denied("MEMBERSHIP_PENDING")),
        _ if external && over => return Ok(Answer::Denied("MEMBERSHIP_EXPIRED")),
        Some("SUSPENDED") if external => return Ok(Answer::Denied("MEMBERSHIP_SUSPENDED")),
        Some("REVIEW") if external => return Ok(Answer::Denied("MEMBERSHIP_IN_REVIEW")),
        _ => {}
    }
    let (named, directly) = (at(ROLES)?.unwrap_or_default(), at(PERMISSIONS)?.unwrap_or_default());
    let named: Vec<Uuid> = named.split(' ').filter_map(|id| id.parse().ok()).collect();
    let granting = named.into_iter().filter(|role| held.grants.contains(&(*role, permission.to_owned())));
    let roles: Vec<Uuid> = granting.collect();
    let retired = row.try_get::<Option<i64>, _>("retired_at")?.is_some();
    if retired || roles.is_empty() && !directly.split(' ').any(|granted| granted == permission) {
        return Ok(Answer::Denied("NOT_GRANTED"));
    }
    let ceiling = if at(RELATED_STATE)?.as_deref() != Some("ACTIVE") {
        default_ceiling.clone()
    } else if flag("suspended_by_host")? || flag("suspended_by_home")? {
        String::new()
    } else {
        text("ceiling_roles")?.unwrap_or_default()
    };
    if external && !roles.iter().any(|role| ceiling.contains(&role.to_string())) {
        return Ok(Answer::Denied("ABOVE_CEILING"));
    }
    Ok(Answer::Allowed)
}

/// Places in the select whose names are not the only ones.
const USER_STATE: usize = 4;
const HOME_STATE: usize = 5;
const MEMBER_STATE: usize = 10;
const ROLES: usize = 18;
const PERMISSIONS: usize = 19;
const RELATED_STATE: usize = 24;

/// Asks the one statement, and proves that what it answers is enough to decide each check rightly, with what a service holds
/// in memory.
///
/// # Errors
/// A wrong decision: the control would do too little.
pub async fn prove_checks(url: &str, checks: &[Check]) -> Result<()> {
    let mut connection = open(url).await?;
    let held = Held::read(&mut connection).await?;
    let sql = check_statement();
    for check in checks {
        let none = || None::<String>;
        let query = sqlx::query(sql).bind(check.workspace).bind(none()).bind(check.user).bind(none()).bind(none());
        let row = query.bind(check.permission).fetch_one(&mut connection).await?;
        let decided = decide(&row, &held, check.permission)?;
        if decided != check.answer {
            let wrong = format!("the control decides {decided:?}, and it must be {:?}", check.answer);
            bail!("an answer was wrong: {:?}", Fault::Wrong(wrong));
        }
    }
    connection.close().await?;
    Ok(())
}

async fn copy_rows(connection: &mut PgConnection, table: &str, lines: &str) -> Result<()> {
    let mut copy = connection.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
    copy.send(lines.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// Puts the keys of the checks into the database, and writes the script. Answers how many keys rows there are.
///
/// # Errors
/// The server's.
pub async fn check_script(url: &str, world: &World, spread: Spread, rows: u64, to: &Path) -> Result<()> {
    let columns: Vec<String> = (1..=KEYS_IN_A_ROW).map(|k| format!("w{k} uuid, u{k} uuid, p{k} text")).collect();
    let mut connection = open(url).await?;
    let create = format!("CREATE TABLE bench_checks (n int PRIMARY KEY, {})", columns.join(", "));
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
    let lines: Vec<String> = (1..=rows)
        .map(|row| {
            let keys = (0..KEYS_IN_A_ROW).map(|k| world.check(spread, (row - 1) * KEYS_IN_A_ROW + k));
            let keys: Vec<String> = keys.map(|c| format!("{}\t{}\t{}", c.workspace, c.user, c.permission)).collect();
            format!("{row}\t{}\n", keys.join("\t"))
        })
        .collect();
    copy_rows(&mut connection, "bench_checks", &lines.concat()).await?;
    sqlx::raw_sql("VACUUM ANALYZE bench_checks").execute(&mut connection).await?;
    connection.close().await?;
    let asks: Vec<String> = (1..=KEYS_IN_A_ROW)
        .map(|k| format!("{};\n", check_sql(&format!(":w{k}"), &format!(":u{k}"), &format!(":p{k}"))))
        .collect();
    let script =
        format!("\\set n random(1, {rows})\nSELECT * FROM bench_checks WHERE n = :n \\gset\n{}", asks.concat());
    std::fs::write(to, script)?;
    Ok(())
}

/// Statements of a transaction of the checks, the fetch of the keys included.
pub const CHECK_STATEMENTS: u64 = KEYS_IN_A_ROW + 1;

/// The save as a script: the count of the probe in a transaction of its own, the reads that no save can do without (the
/// caller's rights, the role, the budgets), and every row. Client and place in the client name the row of keys, whose ids are
/// used once. Each session first tells its settings, in the second that is not counted.
const SAVE: &str = r#"\if :start
INSERT INTO bench_settings SELECT name, setting FROM pg_settings WHERE {SETTINGS};
\set start 0
\endif
\set n :client_id * :rows + :s
\set s :s + 1
\set ws random(0, 7)
\set ss random(0, 7)
INSERT INTO budget_counters AS held (kind, subject, slot, period, counted, counted_before) SELECT c.kind, c.subject, c.slot, floor(extract(epoch from clock_timestamp()) / c.seconds)::bigint, 1, 0 FROM bench_saves k CROSS JOIN LATERAL (VALUES (1, 'USER', k.a::text, 0, 60), (2, 'WORKSPACE', k.w::text, :ws::bigint, 3600), (3, 'SERVICE', 'development', :ss::bigint, 3600)) c (place, kind, subject, slot, seconds) WHERE k.n = :n ORDER BY c.place ON CONFLICT (kind, subject, slot) DO UPDATE SET period = CASE WHEN held.period IN (excluded.period, excluded.period + 1) THEN held.period ELSE excluded.period END, counted = CASE WHEN held.period IN (excluded.period, excluded.period + 1) THEN held.counted + 1 ELSE 1 END, counted_before = CASE WHEN held.period IN (excluded.period, excluded.period + 1) THEN held.counted_before WHEN held.period + 1 = excluded.period THEN held.counted ELSE 0 END;
BEGIN;
SELECT k.w, k.a, k.u, k.m, k.au, k.e1, k.e2, k.rq, r.id AS role, (extract(epoch from clock_timestamp()) * 1000000)::bigint AS t FROM bench_saves k JOIN memberships m ON m.workspace_id = k.w AND m.user_id = k.a JOIN roles r ON r.workspace_id = k.w AND r.handle = 'member' WHERE k.n = :n AND EXISTS (SELECT 1 FROM roles o JOIN role_permissions p ON p.role_id = o.id AND p.permission = 'domicile.update' WHERE o.workspace_id = k.w AND strpos(m.roles, replace(o.id::text, '-', '')) > 0) \gset
SELECT sum(counted) AS spent FROM budget_counters WHERE slot >= 0 AND (kind = 'WORKSPACE' AND subject = :w OR kind = 'SERVICE' AND subject = 'development') \gset
UPDATE workspaces SET revision = revision + 1 WHERE id = :w RETURNING revision \gset
INSERT INTO users (id, home_id, created_in, state, created_at, updated_at, version) VALUES (:u, :w, :w, 'ACTIVE', :t, :t, 1);
INSERT INTO user_profiles (user_id, home_id, first_name, last_name, username, username_key, preferred_language) VALUES (:u, :w, 'New', 'Person', 'new.person.' || lpad(:n::text, 10, '0'), 'new.person.' || lpad(:n::text, 10, '0'), 'en');
INSERT INTO contacts (kind, match_key, user_id, display, standing, since, version) VALUES ('EMAIL', 'new.person.' || lpad(:n::text, 10, '0') || '@bench.example', :u, 'new.person.' || lpad(:n::text, 10, '0') || '@bench.example', 'ASSERTED', :t, 1);
INSERT INTO memberships (workspace_id, user_id, id, kind, home_id, assigned_by, assigned_at, version, roles, permissions, groups, units) VALUES (:w, :u, :m, 'INTERNAL', :w, :a, :t, 1, replace(:role::text, '-', ''), '', '', '');
INSERT INTO membership_roles (role_id, user_id) VALUES (:role, :u);
INSERT INTO events (workspace_id, revision, place, id, actor, at, body) VALUES (:w, :revision, 0, :e1, :a, :t, '{"kind":"user_created","user":"' || :u || '"}');
INSERT INTO events (workspace_id, revision, place, id, actor, at, body) VALUES (:w, :revision, 1, :e2, :a, :t, '{"kind":"membership_created","membership":"' || :m || '","user":"' || :u || '","membership_kind":"internal","state":null,"roles":["' || :role || '"]}');
INSERT INTO audit_records (id, workspace_id, workspace_text, service, actor, action, outcome, subject, request_id, correlation_id, surface, changes, at) VALUES (:au, :w, :w, 'development', :a, 'assign_user', 'done', :u, :rq, :rq, 'grpc', '{CHANGES}', :t);
INSERT INTO personal_values (audit_id, place, user_id, path, value) VALUES (:au, 0, :u, 'email', 'new.person.' || lpad(:n::text, 10, '0') || '@bench.example');
INSERT INTO answered_requests (service, user_id, method, request_id, fingerprint, answer, at) VALUES ('development', :a, 'assign_user', :rq, '\x0707070707070707070707070707070707070707070707070707070707070707', '{"of":"assign_user","outcome":"created_internal","workspace":"' || :w || '","user":"' || :u || '","membership":"' || :m || '","kind":"internal","membership_version":1,"notice":null,"discarded_fields":[],"revision":' || :revision || '}', :t);
COMMIT;
"#;

/// Ids of version 7 that grow with `n`, made on the server once, before anything is measured.
const SAVE_KEYS: &str = "
    CREATE TABLE bench_targets (place bigint PRIMARY KEY, w uuid NOT NULL, a uuid NOT NULL);
    CREATE TABLE bench_saves (n bigint PRIMARY KEY, w uuid NOT NULL, a uuid NOT NULL, u uuid NOT NULL, m uuid NOT NULL,
        au uuid NOT NULL, e1 uuid NOT NULL, e2 uuid NOT NULL, rq uuid NOT NULL);
    CREATE TABLE bench_settings (name text NOT NULL, setting text NOT NULL);";

/// The place whose workspace the key `n` saves into, as SQL. Each client walks through `rows` keys of its own, all clients at
/// once: what they do at a time lies side by side, so they meet as many workspaces as the load does, which counts up.
fn place_of_key(rows: u64, clients: u64, workspaces: u64) -> String {
    format!("((n % {rows}) * {clients} + n / {rows}) % {workspaces}")
}

/// Puts the keys of the saves into the database, `rows` for each client, and writes the script.
///
/// # Errors
/// The server's.
pub async fn save_script(url: &str, world: &World, clients: u64, rows: u64, to: &Path) -> Result<()> {
    let mut connection = open(url).await?;
    sqlx::raw_sql(SAVE_KEYS).execute(&mut connection).await?;
    let lines: Vec<String> = (0..world.workspaces)
        .map(|place| {
            let workspace = workspace_of_save(world, place);
            format!("{place}\t{}\t{}\n", world.workspace_id(workspace), world.user_id(workspace))
        })
        .collect();
    copy_rows(&mut connection, "bench_targets", &lines.concat()).await?;
    let id = "overlay(gen_random_uuid()::text placing p.t from 1 for 15)::uuid";
    let fill = format!(
        "INSERT INTO bench_saves SELECT n, b.w, b.a, {id}, {id}, {id}, {id}, {id}, {id}
         FROM generate_series(0, {}) n
         CROSS JOIN LATERAL (SELECT lpad(to_hex(1800000000000 + n % {rows}), 12, '0') AS h) x
         CROSS JOIN LATERAL (SELECT substr(x.h, 1, 8) || '-' || substr(x.h, 9, 4) || '-7' AS t) p
         JOIN bench_targets b ON b.place = {}",
        clients * rows - 1,
        place_of_key(rows, clients, world.workspaces)
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut connection).await?;
    sqlx::raw_sql("VACUUM ANALYZE bench_saves").execute(&mut connection).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
    connection.close().await?;
    // pgbench takes a colon before a word for a variable, in texts too.
    let script = SAVE
        .replace("{SETTINGS}", SETTINGS)
        .replace("{CHANGES}", CHANGES)
        .replace("\":null", "\":' || 'null")
        .replace("\":1,", "\":' || '1,");
    std::fs::write(to, script)?;
    Ok(())
}

impl Postgres {
    /// Runs a script with so many clients for so many seconds, and one more to warm up.
    ///
    /// # Errors
    /// A failed transaction, or a client that was cut.
    pub async fn run(
        &self,
        url: &str,
        script: &Path,
        clients: usize,
        seconds: u64,
        variables: &BTreeMap<&str, u64>,
    ) -> Result<Told> {
        let (credentials, place) =
            url.strip_prefix("postgres://").and_then(|rest| rest.rsplit_once('@')).context("no user")?;
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let mut command = Command::new(&self.pgbench);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
            command.env_remove(name);
        }
        command
            .args(["--no-vacuum", "--protocol=prepared", "--progress=1", "--jobs=2"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", seconds + 1))
            .arg(format!("--file={}", script.display()));
        for (name, value) in variables {
            command.arg(format!("--define={name}={value}"));
        }
        let ran = command
            .arg(format!("postgres://{user}@{place}"))
            .env("PGPASSWORD", password)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("{} cannot be run", self.pgbench.display()))?;
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        if !ran.status.success() {
            bail!("pgbench failed: {}", err.lines().rev().take(3).collect::<Vec<_>>().join(" | "));
        }
        read(&out, &err)
    }
}

const FAILED: &str = "number of failed transactions:";

/// Reads what pgbench prints.
fn read(out: &str, progress: &str) -> Result<Told> {
    let number = |label: &str| -> Result<u64> {
        let line = out
            .lines()
            .find_map(|line| line.strip_prefix(label))
            .with_context(|| format!("pgbench told no `{label}`"))?;
        let digits: String = line.trim().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().with_context(|| format!("pgbench told `{line}`"))
    };
    // Up to version 14 a failed transaction ends its client, which the exit status and standard error tell.
    let failed = if out.contains(FAILED) { number(FAILED)? } else { 0 };
    if failed > 0 {
        bail!("a call failed: {failed} transactions of pgbench");
    }
    let rates = progress.lines().filter(|line| line.starts_with("progress:")).filter_map(|line| {
        line.split(',')
            .nth(1)
            .and_then(|rate| rate.trim().strip_suffix(" tps"))
            .and_then(|rate| rate.parse::<f64>().ok())
    });
    let rates: Vec<f64> = rates.skip(1).collect();
    if rates.is_empty() {
        bail!("pgbench told no progress: {}", progress.lines().next().unwrap_or_default());
    }
    let count = f64::from(u32::try_from(rates.len())?);
    Ok(Told {
        transactions: number("number of transactions actually processed:")?,
        per_second: rates.iter().sum::<f64>() / count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_prints_is_read() {
        let out = "number of transactions actually processed: 1234\nnumber of failed transactions: 0 (0.000%)\n";
        let progress = "pgbench (15.6)\nprogress: 1.0 s, 100.0 tps, lat 1.5 ms stddev 0.3, 0 failed\n\
                        progress: 2.0 s, 300.0 tps, lat 1.5 ms stddev 0.3, 0 failed\n\
                        progress: 3.0 s, 500.0 tps, lat 1.5 ms stddev 0.3, 0 failed\n";
        assert_eq!(read(out, progress).unwrap(), Told { transactions: 1234, per_second: 400.0 });
        let failed = out.replace("transactions: 0 ", "transactions: 3 ");
        assert!(read(&failed, progress).unwrap_err().to_string().contains("3 transactions"));
        let of_14 = "number of transactions actually processed: 1234\n";
        assert_eq!(read(of_14, progress).unwrap().transactions, 1234);
        assert!(read(out, "").is_err());
    }

    #[tokio::test]
    async fn clients_start_on_as_many_workspaces_as_the_load_does() {
        let world = World::new(10_000, 7);
        let (clients, turns, turn) = (32, 3, 5);
        let rows = turns * turn;
        let keys = format!(
            "WITH RECURSIVE keys (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM keys WHERE n + 1 < {})
             SELECT n, {} FROM keys ORDER BY n",
            clients * rows,
            place_of_key(rows, clients, world.workspaces)
        );
        let mut connection = crate::data::sqlite::open(Path::new(":memory:")).await.unwrap();
        let keys = sqlx::query(AssertSqlSafe(keys)).fetch_all(&mut connection).await.unwrap();
        let places: Vec<i64> = keys.iter().map(|row| row.get(1)).collect();
        let distinct = |places: &mut dyn Iterator<Item = u64>| -> usize {
            places.map(|place| workspace_of_save(&world, place)).collect::<std::collections::BTreeSet<_>>().len()
        };
        for first in (0..turns).map(|number| number * turn) {
            let at_once = |client: u64| places[usize::try_from(client * rows + first).unwrap()].try_into().unwrap();
            let control = distinct(&mut (0..clients).map(at_once));
            let subject = distinct(&mut (first * clients..(first + 1) * clients));
            assert_eq!(control, subject, "at {first}");
            assert!(control + 1 >= 32, "{control} workspaces at {first}");
        }
    }
}
