//! What everything above the store stands on: a unit that failed writes nothing, turns are fair and bounded, and a full
//! disk or a failed COMMIT is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot be fails the test")]

mod earlier;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::id::{Id, RoleId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::phone::Region;
use domicile_domain::model::relationship::Ceiling;
use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::time::{Revision, Timestamp};
use domicile_domain::model::workspace::{NewWorkspace, Workspace, WorkspaceRef};
use domicile_domain::port::directory::Directory;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::{Constraint, Store, StoreError};
use domicile_store_seaorm::{Database, OpenError, SeaOrmStore};
use domicile_testkit::builders;
use domicile_testkit::seed::seed;
use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(5);

async fn in_file() -> (TempDir, SeaOrmStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SeaOrmStore::open_file(&folder.path().join("d.db")).await.unwrap();
    (folder, store)
}

fn workspace(number: u128, handle: &str) -> Workspace {
    let new = NewWorkspace {
        handle: Handle::parse(handle).unwrap(),
        display_name: Name::parse(handle).unwrap(),
        default_region: Region::parse("HU").unwrap(),
        default_language: LanguageTag::parse("hu").unwrap(),
    };
    Workspace::create(
        WorkspaceId::from_uuid(Uuid::from_u128(number)),
        new,
        Ceiling::default(),
        Timestamp::from_micros(1),
    )
}

fn role(number: u128, workspace: WorkspaceId) -> Role {
    Role::built_in(BuiltInRole::Member, RoleId::from_uuid(Uuid::from_u128(number)), workspace).unwrap()
}

async fn sql(folder: &TempDir, statement: &str) {
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let connection = sea_orm::Database::connect(url).await.unwrap();
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn handles(store: &SeaOrmStore) -> usize {
    store.dump().await.unwrap().get("workspaces").unwrap().len()
}

#[tokio::test]
async fn a_unit_is_seen_by_others_exactly_when_it_committed() {
    let (_folder, store) = in_file().await;
    let acme = workspace(1, "acme");
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&acme).await.unwrap();
    let own = unit.workspaces().find(&WorkspaceRef::Id(acme.id)).await.unwrap();
    assert_eq!(own.as_ref(), Some(&acme), "a unit sees its own writes");
    assert_eq!(store.workspace(&WorkspaceRef::Id(acme.id)).await.unwrap(), None);
    unit.commit().await.unwrap();
    assert_eq!(store.workspace(&WorkspaceRef::Handle(acme.handle.clone())).await.unwrap(), Some(acme));
}

#[tokio::test]
async fn a_caught_conflict_poisons_the_unit_and_its_commit_writes_nothing() {
    let (_folder, store) = in_file().await;
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&workspace(1, "acme")).await.unwrap();
    let conflict = unit.workspaces().insert(&workspace(2, "acme")).await;
    assert_eq!(conflict, Err(StoreError::Conflict(Constraint::WorkspaceHandle)));
    assert_eq!(unit.workspaces().insert(&workspace(3, "other")).await, Err(StoreError::Poisoned));
    assert_eq!(unit.workspaces().find(&WorkspaceRef::Id(Id::nil())).await, Err(StoreError::Poisoned));
    assert_eq!(unit.commit().await, Err(StoreError::Poisoned));
    assert_eq!(handles(&store).await, 0);
    // A control: the same without the conflict is written.
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&workspace(1, "acme")).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(handles(&store).await, 1);
}

#[tokio::test]
async fn a_dropped_and_a_rolled_back_unit_leave_no_trace() {
    let (_folder, store) = in_file().await;
    let before = store.dump().await.unwrap();
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&workspace(1, "acme")).await.unwrap();
    drop(unit);
    assert_eq!(store.dump().await.unwrap(), before);
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&workspace(1, "acme")).await.unwrap();
    unit.rollback().await.unwrap();
    assert_eq!(store.dump().await.unwrap(), before);
}

#[tokio::test]
async fn the_second_writer_waits_for_its_turn_and_no_longer_than_its_patience() {
    let (_folder, store) = in_file().await;
    let first = store.begin(PATIENCE).await.unwrap();
    let impatient = store.begin(Duration::from_millis(20)).await;
    assert_eq!(impatient.err(), Some(StoreError::Contention));
    let store = Arc::new(store);
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.begin(PATIENCE).await.map(|_| ()) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    first.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn revisions_are_taken_one_by_one_and_a_missing_workspace_has_none() {
    let (_folder, store) = in_file().await;
    let acme = workspace(1, "acme");
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&acme).await.unwrap();
    unit.commit().await.unwrap();
    for expected in 2..4 {
        let mut unit = store.begin(PATIENCE).await.unwrap();
        let before = store.statements();
        let taken = unit.workspaces().take_revision(&WorkspaceRef::Handle(acme.handle.clone())).await.unwrap();
        assert_eq!(taken, Some((acme.id, Revision::from_stored(expected))));
        assert_eq!(unit.workspaces().take_revision(&WorkspaceRef::Id(Id::nil())).await.unwrap(), None);
        assert_eq!(store.statements() - before, 2);
        unit.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_points_nowhere_is_a_fault_and_writes_nothing() {
    let (_folder, store) = in_file().await;
    let mut unit = store.begin(PATIENCE).await.unwrap();
    let fault = unit.roles().insert(&role(9, WorkspaceId::nil())).await;
    assert!(matches!(fault, Err(StoreError::Fault(_))), "{fault:?}");
    assert_eq!(unit.commit().await, Err(StoreError::Poisoned));
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_unit_is_told_and_later_units_go_on() {
    let (_folder, store) = in_file().await;
    store.fill_disk().await.unwrap();
    let mut unit = store.begin(PATIENCE).await.unwrap();
    let mut written = 0;
    let full = loop {
        written += 1;
        assert!(written < 10_000, "the disk never got full");
        if let Err(error) = unit.workspaces().insert(&workspace(written, &format!("w{written}"))).await {
            break error;
        }
    };
    assert_eq!(full, StoreError::Unavailable("the disk is full".to_owned()));
    assert!(written > 1, "the failure came in the middle");
    assert_eq!(unit.commit().await, Err(StoreError::Poisoned));
    assert_eq!(handles(&store).await, 0);
    // There is room again, since the connection in doubt was thrown away with its limit.
    let mut unit = store.begin(PATIENCE).await.unwrap();
    for number in 1..=written {
        unit.workspaces().insert(&workspace(number, &format!("w{number}"))).await.unwrap();
    }
    unit.commit().await.unwrap();
    assert_eq!(u128::try_from(handles(&store).await).unwrap(), written);
}

#[tokio::test]
async fn a_failed_commit_is_an_error_and_nothing_is_written() {
    let (folder, store) = in_file().await;
    // A key that is checked at COMMIT alone, in a table of this test: every new workspace breaks it.
    sql(
        &folder,
        "CREATE TABLE late (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES late (id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER break AFTER INSERT ON workspaces BEGIN INSERT INTO late (parent) VALUES (99); END",
    )
    .await;
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&workspace(1, "acme")).await.unwrap();
    let committed = unit.commit().await;
    assert!(matches!(committed, Err(StoreError::Fault(_))), "{committed:?}");
    assert_eq!(handles(&store).await, 0);
    sql(&folder, "DROP TRIGGER break").await;
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&workspace(1, "acme")).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(handles(&store).await, 1);
}

#[tokio::test]
async fn a_row_that_cannot_be_names_table_column_and_row_and_poisons() {
    let (folder, store) = in_file().await;
    let acme = workspace(1, "acme");
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.workspaces().insert(&acme).await.unwrap();
    unit.commit().await.unwrap();
    sql(&folder, "UPDATE workspaces SET default_region = 'Hungary'").await;
    let mut unit = store.begin(PATIENCE).await.unwrap();
    match unit.workspaces().find(&WorkspaceRef::Id(acme.id)).await {
        Err(StoreError::Corrupt { table, column, row, .. }) => {
            assert_eq!((table, column, row), ("workspaces", "default_region", acme.id.to_string()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(unit.commit().await, Err(StoreError::Poisoned));
}

async fn refused(path: &Path) -> String {
    match SeaOrmStore::open_file(path).await {
        Ok(_) => panic!("it opened"),
        Err(error @ (OpenError::Newer { .. } | OpenError::Normaliser { .. } | OpenError::Open { .. })) => {
            error.to_string()
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_newer_schema_another_normaliser_and_a_missing_folder_are_refused_with_a_sentence() {
    let (folder, store) = in_file().await;
    drop(store);
    let path = folder.path().join("d.db");
    sql(&folder, "UPDATE meta SET value = '999' WHERE key = 'normaliser_version'").await;
    assert!(refused(&path).await.contains("version 999 of the normaliser"));
    sql(&folder, "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await;
    assert!(refused(&path).await.contains("m9999_later"));
    assert!(refused(&folder.path().join("nowhere/d.db")).await.contains("Check that the folder exists"));
}

#[tokio::test]
async fn a_sign_of_life_waits_for_no_writer_and_counts_as_no_statement() {
    let (_folder, store) = in_file().await;
    let before = store.statements();
    let unit = store.begin(PATIENCE).await.unwrap();
    store.reachable().await.unwrap();
    unit.rollback().await.unwrap();
    assert_eq!(store.statements(), before);
}

/// What the steps were, in the words of SQLite.
const STEPS: [&str; 3] = [
    include_str!("../src/migration/m0001_first.sqlite.sql"),
    include_str!("../src/migration/m0002_budgets.sqlite.sql"),
    include_str!("../src/migration/m0003_groups.sqlite.sql"),
];

/// A file as the first steps left it, with rows.
async fn after(steps: usize, rows: &str) -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    std::fs::File::create(&path).unwrap();
    let schema = STEPS.iter().take(steps).copied().collect::<String>();
    sql(
        &folder,
        &format!("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF; {schema} {} {rows}", earlier::taken(steps)),
    )
    .await;
    (folder, Database::SqliteFile(path))
}

#[tokio::test]
async fn a_database_of_an_earlier_schema_gains_what_it_lacks_and_keeps_its_rows() {
    for steps in [1, 3] {
        let (_folder, database) = after(steps, &earlier::rows(steps, |id| format!("x'{}'", id.simple()))).await;
        let behind = SeaOrmStore::open(&database, 1).await.err().unwrap().to_string();
        assert!(behind.contains(&format!("lacks {}", earlier::STEPS[steps])), "{behind}");
        assert_eq!(SeaOrmStore::migrate(&database).await.unwrap(), earlier::STEPS[steps..]);
        let store = SeaOrmStore::open(&database, 1).await.unwrap();
        earlier::is_kept(&store, steps).await;
        // Keys between tables are looked at again.
        let nowhere = store.run_sql("INSERT INTO membership_roles VALUES (x'00', x'00')").await;
        assert_eq!(nowhere, Err(StoreError::Fault("FOREIGN KEY constraint failed".to_owned())));
    }
}

#[tokio::test]
async fn a_step_that_would_leave_a_row_that_points_at_nothing_is_not_taken() {
    let stray = "INSERT INTO membership_permissions VALUES (x'01', x'02', 'orders.read');";
    let (_folder, database) = after(3, stray).await;
    let refused = SeaOrmStore::migrate(&database).await.unwrap_err().to_string();
    assert!(refused.contains("a row of membership_permissions points at nothing"), "{refused}");
    assert_eq!(SeaOrmStore::pending(&database).await.unwrap(), earlier::STEPS[3..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_bring_a_file_up_to_date_at_once_one_does() {
    let (_folder, database) = after(3, &earlier::rows(3, |id| format!("x'{}'", id.simple()))).await;
    let mut all = JoinSet::new();
    for _ in 0..4 {
        let database = database.clone();
        all.spawn(async move { SeaOrmStore::migrate(&database).await.unwrap() });
    }
    let mut taken = all.join_all().await;
    taken.retain(|steps| !steps.is_empty());
    assert_eq!(taken, [earlier::STEPS[3..].to_vec()]);
    earlier::is_kept(&SeaOrmStore::open(&database, 1).await.unwrap(), 3).await;
}

#[tokio::test]
async fn who_waits_in_vain_to_bring_a_file_up_to_date_is_told_for_what() {
    let (folder, database) = after(3, "").await;
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let other =
        sea_orm::Database::connect(sea_orm::ConnectOptions::new(url).max_connections(1).to_owned()).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let refused = SeaOrmStore::migrate(&database).await.unwrap_err().to_string();
    assert!(refused.contains("another process holds the write lock of the file"), "{refused}");
    other.execute_unprepared("ROLLBACK").await.unwrap();
    assert_eq!(SeaOrmStore::migrate(&database).await.unwrap(), earlier::STEPS[3..]);
}

#[tokio::test]
async fn a_notice_that_cannot_be_read_is_leased_with_the_others_and_named() {
    let (folder, store) = in_file().await;
    let acme = builders::workspace("acme");
    let anna = builders::user(acme.id, "anna");
    let (broken, whole) = (builders::notice(&anna), builders::notice(&anna));
    seed(&store, &[(&acme).into(), (&anna).into(), (&broken).into(), (&whole).into()]).await;
    sql(&folder, &format!("UPDATE notices SET channel = 'PIGEON' WHERE id = x'{}'", broken.id.as_uuid().simple()))
        .await;
    let (now, later) = (builders::minute(0), builders::minute(5));
    for (at, unreadable, readable) in [(now, 1, 1), (now, 0, 0), (later, 1, 1)] {
        let mut unit = store.begin(PATIENCE).await.unwrap();
        let leased = unit.notices().lease_due(at, later, 10).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!((leased.unreadable.len(), leased.notices.len()), (unreadable, readable), "{at:?}");
        for (id, error) in leased.unreadable {
            assert_eq!(id, broken.id);
            assert!(error.to_string().contains("PIGEON"), "{error}");
        }
        assert!(leased.notices.iter().all(|notice| notice.id == whole.id));
    }
}

#[tokio::test]
async fn what_is_held_twice_is_compared_both_ways() {
    let (_folder, store) = in_file().await;
    let acme = builders::workspace("acme");
    let anna = builders::user(acme.id, "anna");
    let auditor = builders::role(acme.id, "auditor");
    let rows = [(&acme).into(), (&anna).into(), (&auditor).into()];
    seed(&store, &rows).await;
    seed(&store, &[builders::with_role(builders::internal(&anna), &auditor).into()]).await;
    assert_eq!(store.contradictions().await.unwrap(), Vec::<String>::new());
    store.run_sql("DELETE FROM membership_roles").await.unwrap();
    let [told] = <[String; 1]>::try_from(store.contradictions().await.unwrap()).unwrap();
    assert!(told.starts_with("role ") && told.ends_with("stands in the membership alone"), "{told}");
    store
        .run_sql("INSERT INTO membership_roles SELECT id, zeroblob(16) FROM roles; UPDATE memberships SET roles = ''")
        .await
        .unwrap();
    let [told] = <[String; 1]>::try_from(store.contradictions().await.unwrap()).unwrap();
    assert!(told.ends_with("stands in the table alone"), "{told}");
}
