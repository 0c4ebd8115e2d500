//! That nothing of anybody stands in what the program says of itself is looked through wherever a test starts it (R17). Here:
//! that a word which should not be there fails the test, by its shape, as a secret, and as somebody of the database.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]
#![cfg(unix)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use domicile_domain::model::user::UserState;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_tests::captured::Captured;
use domicile_tests::postgres::fresh_url;
use domicile_tests::world::World;
use tokio::process::Command;

/// What fails when a process that said this is done with.
fn failure(said: &str, secrets: &[&str], database: Option<&str>) -> Option<String> {
    let mut command = Command::new("sh");
    command.args(["-c", "echo harmless >&2; echo \"$0\" >&2; exec sleep 60", said]);
    let secrets = secrets.iter().map(|secret| (*secret).to_owned());
    let (mut captured, mut lines) = Captured::start(&mut command, secrets);
    if let Some(database) = database {
        captured.knows_people_of(database);
    }
    // Both lines are there before it is ended.
    for _ in 0..2 {
        lines.blocking_recv().unwrap();
    }
    let failed = catch_unwind(AssertUnwindSafe(|| drop(captured))).err()?;
    Some(failed.downcast_ref::<String>().unwrap().clone())
}

#[tokio::test]
async fn a_planted_word_fails_the_test_whatever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("domicile.db");
    let store = SeaOrmStore::open_file(&path).await.unwrap();
    let world = World::new(Arc::new(store)).await;
    world.person(world.borealis, "zerbinetta", Some("+36301234567"), UserState::Active).await;
    drop(world);
    let url = format!("sqlite:{}", path.display());
    let looked = tokio::task::spawn_blocking(move || {
        [
            failure("all is well", &["s3cret-of-a-test"], Some(&url)),
            failure("to anna@acme.example", &[], None),
            failure("to +36201234567", &[], None),
            failure("by s3cret-of-a-test", &["s3cret-of-a-test"], None),
            failure("for zerbinetta", &[], Some(&url)),
            failure("for zerbinetta", &[], None),
        ]
    });
    let [well, address, phone, secret, name, unknown] = looked.await.unwrap();
    assert_eq!((well, unknown), (None, None));
    assert!(address.unwrap().starts_with("the log has an email address"));
    assert!(phone.unwrap().starts_with("the log has a phone number"));
    assert!(secret.unwrap().starts_with("the log has `s3cret-of-a-test`"));
    assert!(name.unwrap().starts_with("the log has `zerbinetta`"));
}

#[tokio::test]
async fn a_person_of_a_postgresql_database_is_looked_for_too() {
    let Some(server) = postgres_server() else { return };
    let url = fresh_url(&server).await;
    let database = url.parse::<Database>().unwrap();
    SeaOrmStore::migrate(&database).await.unwrap();
    let world = World::new(Arc::new(SeaOrmStore::open(&database, 2).await.unwrap())).await;
    world.person(world.borealis, "zerbinetta", None, UserState::Active).await;
    drop(world);
    let looked = tokio::task::spawn_blocking(move || {
        [failure("all is well", &[], Some(&url)), failure("for zerbinetta", &[], Some(&url))]
    });
    let [well, name] = looked.await.unwrap();
    assert_eq!(well, None);
    assert!(name.unwrap().starts_with("the log has `zerbinetta`"));
}
