//! The store in memory passes the suite that every store passes, and fails when told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::{Constraint, Store, StoreError};
use domicile_testkit::builders::{email, person, user, workspace};
use domicile_testkit::conformance::{Harness, Subject};
use domicile_testkit::decorators::{FaultyStore, HeldStore};
use domicile_testkit::memory::{Injection, MemoryStore, Moment};
use domicile_testkit::seed::{PATIENCE, seed, try_seed};

struct Memory;

struct OneMemory(MemoryStore);

#[async_trait]
impl Harness for Memory {
    async fn fresh(&self) -> Box<dyn Subject> {
        Box::new(OneMemory(MemoryStore::new()))
    }
}

#[async_trait]
impl Subject for OneMemory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(self.0.clone())
    }

    async fn dump(&self) -> BTreeMap<String, Vec<String>> {
        self.0.dump()
    }

    async fn hold_contact(&self, key: &ContactKey, former_home: WorkspaceId, until: Timestamp) {
        self.0.hold_contact(key.clone(), former_home, until);
    }

    async fn break_user(&self, _user: UserId) {
        let error = StoreError::Fault("injected".to_owned());
        self.0.inject(Injection { at: Moment::Statement, error, times: 1 });
    }
}

domicile_testkit::conformance_suite!(Memory);

#[tokio::test]
async fn injected_errors_come_at_their_moment_and_in_order() {
    let store = MemoryStore::new();
    let acme = workspace("acme");
    let contention = StoreError::Contention;
    let gone = StoreError::Unavailable("injected".to_owned());
    store.inject(Injection { at: Moment::Commit, error: contention.clone(), times: 2 });
    store.inject(Injection { at: Moment::Commit, error: gone.clone(), times: 1 });
    store.inject(Injection { at: Moment::Committed, error: gone.clone(), times: 1 });
    for error in [contention.clone(), contention, gone.clone()] {
        assert_eq!(try_seed(&store, &[(&acme).into()]).await, Err(error));
        assert_eq!(store.workspace(&WorkspaceRef::Id(acme.id)).await, Ok(None));
    }
    assert_eq!(try_seed(&store, &[(&acme).into()]).await, Err(gone.clone()));
    assert!(store.workspace(&WorkspaceRef::Id(acme.id)).await.unwrap().is_some(), "it was written all the same");
    store.inject(Injection { at: Moment::Begin, error: gone.clone(), times: 1 });
    assert_eq!(store.begin(PATIENCE).await.err(), Some(gone.clone()));
    store.inject(Injection { at: Moment::Read, error: gone.clone(), times: 1 });
    assert_eq!(store.workspace(&WorkspaceRef::Id(acme.id)).await, Err(gone));
    assert_eq!(store.counters().injected, 6);
}

#[tokio::test]
async fn the_nth_statement_can_fail() {
    let store = MemoryStore::new();
    store.inject_after(1, Injection { at: Moment::Statement, error: StoreError::Contention, times: 1 });
    let mut tx = store.begin(PATIENCE).await.unwrap();
    tx.workspaces().insert(&workspace("acme")).await.unwrap();
    assert_eq!(tx.workspaces().insert(&workspace("umbrella")).await, Err(StoreError::Contention));
    assert_eq!(tx.commit().await, Err(StoreError::Poisoned));
}

#[tokio::test]
async fn a_lost_race_shows_at_commit() {
    let store = MemoryStore::new();
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    seed(&store, &[(&acme).into(), (&umbrella).into()]).await;
    let (first, mut second) = (user(acme.id, "anna"), user(umbrella.id, "annie"));
    person(&mut second).email.value = email("anna@mail.example");
    let mut slow = store.begin(PATIENCE).await.unwrap();
    slow.users().insert(&second).await.unwrap();
    seed(&store, &[(&first).into()]).await;
    assert_eq!(slow.commit().await, Err(StoreError::Conflict(Constraint::ContactKey)));

    let mut slow = store.begin(PATIENCE).await.unwrap();
    let mut fast = store.begin(PATIENCE).await.unwrap();
    let acme = WorkspaceRef::Id(acme.id);
    assert_eq!(slow.workspaces().take_revision(&acme).await, fast.workspaces().take_revision(&acme).await);
    fast.commit().await.unwrap();
    assert_eq!(slow.commit().await, Err(StoreError::Contention));
    let counters = store.counters();
    assert_eq!((counters.contentions, counters.conflicts[&Constraint::ContactKey]), (1, 1));
    assert_eq!(store.lost_races(), 2);
}

#[tokio::test]
async fn a_unit_is_held_at_its_commit() {
    let memory = MemoryStore::new();
    let store = Arc::new(HeldStore::new(Arc::new(memory.clone())));
    let acme = workspace("acme");
    let mut held = store.hold_next();
    let task = tokio::spawn({
        let (store, acme) = (store.clone(), acme.clone());
        async move { try_seed(&*store, &[acme.into()]).await }
    });
    assert!(held.reached().await);
    assert_eq!(memory.workspace(&WorkspaceRef::Id(acme.id)).await, Ok(None));
    held.release();
    task.await.unwrap().unwrap();
    assert!(memory.workspace(&WorkspaceRef::Id(acme.id)).await.unwrap().is_some());
}

#[tokio::test]
async fn every_first_attempt_fails() {
    let memory = MemoryStore::new();
    let store = FaultyStore::new(Arc::new(memory.clone()), StoreError::Contention);
    for handle in ["acme", "umbrella"] {
        let acme = workspace(handle);
        assert_eq!(try_seed(&store, &[(&acme).into()]).await, Err(StoreError::Contention));
        assert_eq!(memory.workspace(&WorkspaceRef::Id(acme.id)).await, Ok(None));
        try_seed(&store, &[(&acme).into()]).await.unwrap();
    }
    assert_eq!(store.commits(), 4);
}
