//! A client of another make: the six steps from Python grpcio against the real service, with its rich errors decoded.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_domain::model::user::UserState;
use domicile_store_seaorm::SeaOrmStore;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_tests::python::{python, stubs};
use domicile_tests::world::World;
use tempfile::TempDir;
use tokio::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the guide's program and answers what it printed, and whether it ended well.
async fn six_steps(python: &Path, stubs: &TempDir, arguments: [&str; 6]) -> (String, bool) {
    let ran = Command::new(python)
        .arg(repository().join("tests/python/six_steps.py"))
        .args(arguments)
        .env("PYTHONPATH", stubs.path())
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(err.is_empty(), "{err}");
    (out.into_owned(), ran.status.success())
}

async fn the_guide_works_on(store: SeaOrmStore) {
    let Some(python) = python() else { return };
    let stubs = stubs(&python).await;
    let world = World::new(Arc::new(store)).await;
    world.person(world.borealis, "mbali", None, UserState::Active).await;
    let address = world.serve().await;
    let dana = world.acme.manager.to_string();
    let run = |email: &'static str, role: &'static str| {
        let (python, stubs, address, dana) = (&python, &stubs, &address, &dana);
        async move { six_steps(python, stubs, [address, "t", dana, "acme", email, role]).await }
    };

    let (told, well) = run("anna@people.example", "member").await;
    assert!(well, "{told}");
    assert!(told.starts_with("Found   LOOKUP_OUTCOME_NOT_FOUND"), "{told}");
    assert!(told.contains("Saved   ASSIGN_OUTCOME_CREATED_INTERNAL workspaces/"), "{told}");
    assert!(told.ends_with("Message NOTIFICATION_STATE_QUEUED\n"), "{told}");

    let (told, well) = run("mbali@people.example", "access-manager").await;
    assert!(!well, "{told}");
    assert!(told.contains("Refused ROLE_ABOVE_CEILING {'above_ceiling': 'access-manager'} {}"), "{told}");

    let (told, well) = run("mbali@people.example", "nonsense").await;
    assert!(!well, "{told}");
    assert!(told.contains("Refused INVALID_REQUEST {} {'external.roles[0]': '`nonsense` is no role"), "{told}");

    let (told, well) = run("mbali@people.example", "guest").await;
    assert!(well, "{told}");
    assert!(told.contains("Found   LOOKUP_OUTCOME_FOUND M. T."), "{told}");
    assert!(told.contains("Saved   ASSIGN_OUTCOME_LINKED_EXTERNAL"), "{told}");

    let (told, well) = run("mbali@people.example", "guest").await;
    assert!(!well, "{told}");
    assert!(told.contains("Refused ALREADY_MEMBER"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_six_steps_from_python_on_sqlite() {
    the_guide_works_on(SeaOrmStore::open_memory().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_six_steps_from_python_on_postgres() {
    let Some(server) = postgres_server() else { return };
    the_guide_works_on(SeaOrmStore::create_on(&server, 4).await.unwrap()).await;
}

#[test]
fn the_guide_shows_the_program_that_is_tested() {
    let page = std::fs::read_to_string(repository().join("docs/guide/python.md")).unwrap();
    let program = std::fs::read_to_string(repository().join("tests/python/six_steps.py")).unwrap();
    let shown = page.split_once("```python\n").unwrap().1.split_once("```\n").unwrap().0;
    assert_eq!(shown, program);
}
