//! A connection that breaks costs nobody anything: what was not committed is done again, and a save whose answer was lost
//! on its way is found again by its request id.

use std::sync::Arc;

use domicile_domain::error::Reason;
use domicile_domain::port::store::StoreError;
use domicile_domain::usecase::{DomicileApi, LookupUser};
use domicile_testkit::memory::{Injection, MemoryStore, Moment};
use domicile_tests::world::{World, save_of, without_audit};

fn lost(at: Moment) -> Injection {
    Injection { at, error: StoreError::ConnectionLost, times: 1 }
}

#[tokio::test]
async fn a_save_has_its_one_effect_whenever_the_connection_breaks() {
    let store = Arc::new(MemoryStore::default());
    let world = World::new(store.clone()).await;
    let call = world.call(world.acme.manager);
    for (round, at) in [Moment::Begin, Moment::Statement, Moment::Commit, Moment::Committed].into_iter().enumerate() {
        let save = save_of(&world, world.acme, &format!("lost{round}@people.example"), &format!("lost{round}"));
        let (reruns, people) = (world.domicile.reruns(), store.dump()["users"].len());
        // The first unit counts the probe, the second saves.
        store.inject_after(1, lost(at));
        let saved = world.domicile.assign_user(&call, &save).await.unwrap();
        assert_eq!(world.domicile.reruns(), reruns + 1, "{at:?}");
        assert_eq!(store.dump()["users"].len(), people + 1, "{at:?}");
        assert_eq!(saved.replayed, at == Moment::Committed, "{at:?}");
        let again = world.domicile.assign_user(&call, &save).await.unwrap();
        assert_eq!((again.replayed, again.notice), (true, saved.notice), "{at:?}");
    }
}

#[tokio::test]
async fn a_lookup_whose_commit_is_in_doubt_is_not_answered() {
    let store = Arc::new(MemoryStore::default());
    let world = World::new(store.clone()).await;
    let call = world.call(world.acme.manager);
    let search = LookupUser { workspace: "acme".into(), email: "dana@acme.example".into(), phone: String::new() };
    for at in [Moment::Begin, Moment::Statement] {
        store.inject(lost(at));
        assert!(world.domicile.lookup_user(&call, &search).await.is_ok(), "{at:?}");
    }
    for at in [Moment::Commit, Moment::Committed] {
        let before = without_audit(store.dump());
        // The unit that counts the probe commits before that of the search.
        store.inject_after(1, lost(at));
        let refused = world.domicile.lookup_user(&call, &search).await.unwrap_err();
        assert_eq!(refused.reason, Reason::StoreUnavailable, "{at:?}");
        assert_eq!(without_audit(store.dump()), before, "{at:?}");
    }
}

#[tokio::test]
async fn a_store_that_stays_away_is_told_at_the_deadline() {
    let store = Arc::new(MemoryStore::default());
    let world = World::passing(store.clone()).await;
    let before = store.dump();
    store.inject(Injection { at: Moment::Begin, error: StoreError::ConnectionLost, times: usize::MAX });
    let save = save_of(&world, world.acme, "late@people.example", "late");
    let refused = world.domicile.assign_user(&world.call(world.acme.manager), &save).await.unwrap_err();
    assert_eq!(refused.reason, Reason::StoreUnavailable);
    assert_eq!(store.dump(), before);
}
