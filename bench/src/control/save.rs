//! A save in hand-written SQL on SQLite: every row that `AssignUser` writes for a new Internal, and nothing else.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, ConnectOptions, Row};
use uuid::Uuid;

use crate::target::{fresh_id, workspace_of_save};
use crate::world::{Role, World};

/// How a control connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// As the product does: every commit waits for the disk.
    Full,
    /// As it must not be compared: a commit may be lost with the power. For the harness's own test.
    Normal,
}

/// Opens the writer's connection with the settings of the product's.
///
/// # Errors
/// The driver's.
pub async fn connect(path: &Path, synchronous: Synchronous) -> Result<SqliteConnection> {
    let synchronous = if synchronous == Synchronous::Full { "FULL" } else { "NORMAL" };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(512)
        .pragma("trusted_schema", "OFF")
        .pragma("mmap_size", "0")
        .pragma("secure_delete", "ON")
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", synchronous)
        .disable_statement_logging();
    Ok(options.connect().await?)
}

/// The ids and texts of one save.
#[derive(Debug, Clone)]
pub struct Save {
    /// Where.
    pub workspace: Uuid,
    /// Who saves.
    pub actor: Uuid,
    /// The role that is given.
    pub role: Uuid,
    /// Ids of user, membership, two events, audit row and request.
    pub ids: [Uuid; 6],
    /// Username, which is its own key.
    pub username: String,
    /// Email, which is its own key.
    pub email: String,
    /// When, in microseconds.
    pub now: i64,
    /// The counter of the budgets of workspace and service.
    pub slot: i64,
}

/// Now, in microseconds.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Save {
    /// The save of a number; the same one that the load sends.
    #[must_use]
    pub fn of(world: &World, number: u64) -> Self {
        let workspace = workspace_of_save(world, number);
        Self {
            workspace: world.workspace_id(workspace),
            actor: world.user_id(workspace),
            role: world.role_id(workspace, Role::Member),
            ids: std::array::from_fn(|place| fresh_id(number * 8 + u64::try_from(place).unwrap_or(0))),
            username: format!("new.person.{number:010}"),
            email: format!("new.person.{number:010}@bench.example"),
            now: now_us(),
            slot: i64::try_from(number % 8).unwrap_or(0),
        }
    }
}

/// The fields that changed, as the record keeps them.
pub const CHANGES: &str = r#"[{"path":"membership.kind","before":null,"after":"INTERNAL"},{"path":"membership.roles","before":null,"after":"member"},{"path":"membership.permissions","before":null,"after":""}]"#;

/// Counts a probe on so many counters.
macro_rules! count {
    ($rows:literal) => {
        concat!(
            "INSERT INTO budget_counters AS held (kind, subject, slot, period, counted, counted_before) VALUES ",
            $rows,
            " ON CONFLICT (kind, subject, slot) DO UPDATE SET \
             period = CASE WHEN held.period IN (excluded.period, excluded.period + 1) THEN held.period \
             ELSE excluded.period END, \
             counted = CASE WHEN held.period IN (excluded.period, excluded.period + 1) THEN held.counted + 1 ELSE 1 END, \
             counted_before = CASE WHEN held.period IN (excluded.period, excluded.period + 1) THEN held.counted_before \
             WHEN held.period + 1 = excluded.period THEN held.counted ELSE 0 END"
        )
    };
}
const COUNT_PERSON: &str = count!("(?, ?, ?, ?, 1, 0)");
const COUNT_SHARED: &str = count!("(?, ?, ?, ?, 1, 0), (?, ?, ?, ?, 1, 0)");
const COUNT_ALL: &str = count!("(?, ?, ?, ?, 1, 0), (?, ?, ?, ?, 1, 0), (?, ?, ?, ?, 1, 0)");
const TAKE_REVISION: &str = "UPDATE workspaces SET revision = revision + 1 WHERE id = ? RETURNING id, revision";
const USER: &str =
    "INSERT INTO users (id, home_id, created_in, state, created_at, updated_at, version) VALUES (?, ?, ?, ?, ?, ?, ?)";
const PROFILE: &str = "INSERT INTO user_profiles (user_id, home_id, first_name, last_name, username, username_key, preferred_language) VALUES (?, ?, ?, ?, ?, ?, ?)";
const RELEASE: &str = "DELETE FROM contacts WHERE kind = ? AND match_key = ? AND held_until <= ?";
const CONTACT: &str = "INSERT INTO contacts (kind, match_key, user_id, display, standing, since, version, former_home, held_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
const MEMBERSHIP: &str = "INSERT INTO memberships (workspace_id, user_id, id, kind, home_id, state, language, expires_at, sponsor, external_id, assigned_by, assigned_at, version, roles, permissions, groups, units) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '')";
const ROLE: &str = "INSERT INTO membership_roles (role_id, user_id) VALUES (?, ?)";
const EVENT: &str =
    "INSERT INTO events (workspace_id, revision, place, id, actor, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)";
const AUDIT: &str = "INSERT INTO audit_records (id, workspace_id, workspace_text, service, actor, action, outcome, subject, request_id, correlation_id, surface, changes, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const PERSONAL: &str = "INSERT INTO personal_values (audit_id, place, user_id, path, value) VALUES (?, ?, ?, ?, ?)";
const ANSWER: &str = "INSERT INTO answered_requests (service, user_id, method, request_id, fingerprint, answer, at) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// What a control does beside the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// The rows, with no statement that could be spared.
    Rows,
    /// Every statement that the store's adapter runs for the rows.
    AsTheStore,
    /// The rows without the two events: unequal work, for the harness's own test.
    WithoutEvents,
}

/// Does one save, in a transaction for the count of the probe and one for the rest, and answers how many statements it ran
/// between BEGIN and COMMIT.
///
/// # Errors
/// The driver's.
pub async fn save(connection: &mut SqliteConnection, save: &Save, script: Script) -> Result<u64> {
    let Save { workspace, actor, role, ids, username, email, now, slot } = save;
    let [user, membership, created, began, audit, request] = *ids;
    let mut statements = 0;
    macro_rules! run {
        ($sql:ident, $($value:expr),*) => {{
            sqlx::query($sql)$(.bind($value))*.execute(&mut *connection).await?;
            statements += 1;
        }};
    }
    let (person, host) = (actor.to_string(), workspace.to_string());
    let (minute, hour) = (now / 60_000_000, now / 3_600_000_000);
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    if script == Script::AsTheStore {
        run!(COUNT_PERSON, "USER", &person, 0_i64, minute);
        run!(COUNT_SHARED, "WORKSPACE", &host, slot, hour, "SERVICE", "development", slot, hour);
    } else {
        run!(
            COUNT_ALL,
            "USER",
            &person,
            0_i64,
            minute,
            "WORKSPACE",
            &host,
            slot,
            hour,
            "SERVICE",
            "development",
            slot,
            hour
        );
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let row = sqlx::query(TAKE_REVISION).bind(workspace).fetch_one(&mut *connection).await?;
    let revision: i64 = row.get(1);
    statements += 1;
    run!(USER, user, workspace, workspace, "ACTIVE", now, now, 1_i64);
    run!(PROFILE, user, workspace, "New", "Person", username, username, "en");
    if script == Script::AsTheStore {
        run!(RELEASE, "EMAIL", email, now);
    }
    let nobody = None::<Uuid>;
    let never = None::<i64>;
    let nothing = None::<&str>;
    run!(CONTACT, "EMAIL", email, user, email, "ASSERTED", now, 1_i64, nobody, never);
    let roles = role.simple().to_string();
    run!(
        MEMBERSHIP, workspace, user, membership, "INTERNAL", workspace, nothing, nothing, never, nobody, nothing,
        actor, now, 1_i64, roles
    );
    run!(ROLE, role, user);
    if script != Script::WithoutEvents {
        let body = format!(r#"{{"kind":"user_created","user":"{user}"}}"#);
        run!(EVENT, workspace, revision, 0_i64, created, actor, now, body);
        let body = format!(
            r#"{{"kind":"membership_created","membership":"{membership}","user":"{user}","membership_kind":"internal","state":null,"roles":["{role}"]}}"#
        );
        run!(EVENT, workspace, revision, 1_i64, began, actor, now, body);
    }
    let correlation = request.to_string();
    run!(
        AUDIT,
        audit,
        workspace,
        host,
        "development",
        actor,
        "assign_user",
        "done",
        user,
        request,
        correlation,
        "grpc",
        CHANGES,
        now
    );
    run!(PERSONAL, audit, 0_i64, user, "email", email);
    let answer = format!(
        r#"{{"of":"assign_user","outcome":"created_internal","workspace":"{workspace}","user":"{user}","membership":"{membership}","kind":"internal","membership_version":1,"notice":null,"discarded_fields":[],"revision":{revision}}}"#
    );
    run!(ANSWER, "development", actor, "assign_user", request, [7_u8; 32].as_slice(), answer, now);
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(statements)
}
