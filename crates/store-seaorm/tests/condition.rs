//! What is told of a store to those who run it.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::time::Duration;

use domicile_domain::model::membership::Membership;
use domicile_domain::model::notice::NoticeState;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::Store;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{SeaOrmStore, Unfit};
use domicile_testkit::builders::{internal, notice, user, workspace};
use domicile_testkit::seed::{PATIENCE, Row, seed};

const SOON: Duration = Duration::from_secs(5);

/// One notice waits, and one was handed over before it.
async fn waiting_notices_are_counted(store: &SeaOrmStore) {
    assert_eq!(store.waiting_notices().await.unwrap().count, 0);
    let acme = workspace("acme");
    let anna = user(acme.id, "anna");
    let membership = internal(&anna);
    let (mut sent, mut waits) = (notice(&anna), notice(&anna));
    (sent.membership, waits.membership) = (membership.base.id, membership.base.id);
    sent.state = NoticeState::HandedOver;
    sent.due_at = None;
    waits.created_at = waits.created_at.after(SOON);
    let rows: Vec<Row> =
        vec![acme.into(), (&anna).into(), Membership::Internal(membership).into(), (&sent).into(), (&waits).into()];
    seed(store, &rows).await;
    let waiting = store.waiting_notices().await.unwrap();
    assert_eq!((waiting.count, waiting.oldest), (1, Some(waits.created_at)));
}

async fn a_store_fits_while_its_schema_is_this_programs(store: &SeaOrmStore) {
    store.fit(SOON).await.unwrap();
    store.run_sql("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await.unwrap();
    let told = store.fit(SOON).await.unwrap_err();
    assert!(matches!(&told, Unfit::Schema(_)) && told.to_string().contains("m9999_later"), "{told}");
    store.run_sql("DELETE FROM seaql_migrations").await.unwrap();
    assert!(store.fit(SOON).await.unwrap_err().to_string().contains("lacks m0001_first"));
    store.run_sql("DROP TABLE seaql_migrations").await.unwrap();
    assert!(matches!(store.fit(SOON).await.unwrap_err(), Unfit::Store(_)));
}

/// A unit at work is a busy connection for writing.
async fn busy_connections_are_told(store: &SeaOrmStore) {
    let writers = || *store.connections().iter().find(|of| of.pool == "writers").unwrap();
    assert_eq!(writers().busy, 0);
    let unit = store.begin(PATIENCE).await.unwrap();
    assert_eq!(writers().busy, 1);
    unit.rollback().await.unwrap();
    assert!(writers().busy <= writers().most.try_into().unwrap());
}

async fn everything(store: &SeaOrmStore) {
    busy_connections_are_told(store).await;
    waiting_notices_are_counted(store).await;
    a_store_fits_while_its_schema_is_this_programs(store).await;
}

#[tokio::test]
async fn a_sqlite_file_tells_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    everything(&SeaOrmStore::open_file(&folder.path().join("d.db")).await.unwrap()).await;
}

#[tokio::test]
async fn sqlite_in_memory_tells_how_it_is() {
    everything(&SeaOrmStore::open_memory().await.unwrap()).await;
}

#[tokio::test]
async fn postgres_tells_how_it_is() {
    let Some(server) = postgres_server() else { return };
    everything(&SeaOrmStore::create_on(&server, 2).await.unwrap()).await;
}

#[tokio::test]
async fn a_file_whose_write_lock_is_held_elsewhere_takes_no_writes_and_nothing_is_written_to_find_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let (store, other) = (SeaOrmStore::open_file(&path).await.unwrap(), SeaOrmStore::open_file(&path).await.unwrap());
    let written = || ["d.db", "d.db-wal"].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let before = written();
    store.fit(SOON).await.unwrap();

    let held = other.begin(PATIENCE).await.unwrap();
    let moment = Duration::from_millis(100);
    assert!(matches!(store.fit(moment).await, Err(Unfit::Locked(told)) if told == moment));
    let told = store.reachable().await.unwrap_err().to_string();
    assert!(told.contains("the write lock") && !told.contains("d.db"), "{told}");
    // Whoever is asking when it is given back hears of it.
    let (fit, given_back) = tokio::join!(store.fit(SOON), held.rollback());
    fit.unwrap();
    given_back.unwrap();
    store.reachable().await.unwrap();
    assert!(written() == before, "something was written");
}

#[tokio::test]
async fn a_writer_of_this_process_is_busy_and_not_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let (store, other) = (SeaOrmStore::open_file(&path).await.unwrap(), SeaOrmStore::open_file(&path).await.unwrap());
    let moment = Duration::from_millis(100);
    let first = store.begin(PATIENCE).await.unwrap();
    store.fit(moment).await.unwrap();
    assert!(matches!(other.fit(moment).await, Err(Unfit::Locked(_))), "for another process it is held");
    first.rollback().await.unwrap();
    // One that waits for the lock does not have it.
    let held = other.begin(PATIENCE).await.unwrap();
    let (waited, ()) = tokio::join!(store.begin(PATIENCE), async {
        assert!(matches!(store.fit(moment).await, Err(Unfit::Locked(_))), "a unit that waits does not hold it");
        held.rollback().await.unwrap();
    });
    waited.unwrap().rollback().await.unwrap();
}
