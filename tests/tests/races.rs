//! C1, C2, C3 and C13 on the optimistic store in memory, on SQLite and on PostgreSQL: whatever is won or lost, one person has one
//! account, and nobody hears of an internal error.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use domicile_domain::error::Refusal;
use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::user::UserState;
use domicile_domain::policy::resolver::LookupOutcome;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{AssignReply, AssignUser, DomicileApi, Expectation, LookupUser};
use domicile_store_seaorm::SeaOrmStore;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_testkit::memory::MemoryStore;
use domicile_tests::world::{Place, World, save_of};
use tokio::sync::Barrier;

type Saved = Result<AssignReply, Refusal>;

/// Starts all saves at once and waits for all answers.
async fn at_once(world: &Arc<World>, saves: Vec<(Place, AssignUser)>) -> Vec<Saved> {
    let barrier = Arc::new(Barrier::new(saves.len()));
    let tasks: Vec<_> = saves
        .into_iter()
        .map(|(place, save)| {
            let (world, barrier) = (world.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                world.domicile.assign_user(&world.call(place.manager), &save).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// How often each answer was given.
fn tally(answers: &[Saved]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        let word = match answer {
            Ok(reply) => format!("{:?}", reply.outcome),
            Err(refusal) => refusal.reason.as_str().to_owned(),
        };
        *tally.entry(word).or_insert(0) += 1;
    }
    tally
}

/// The handle of a lookup that finds nobody yet.
async fn handle_of_a_miss(world: &World, place: Place, email: &str) -> String {
    let search = LookupUser { workspace: place.workspace.to_string(), email: email.to_owned(), phone: String::new() };
    let found = world.domicile.lookup_user(&world.call(place.manager), &search).await.unwrap();
    assert_eq!(found.outcome, LookupOutcome::NotFound);
    found.match_handle
}

/// Sixteen saves of one new email from two workspaces, after a lookup in each that found nobody: half say CREATE, half
/// EITHER. None hears that its handle is stale.
async fn one_new_email_from_two_workspaces<S: Store + Directory + StoreProbe + 'static>(
    world: &Arc<World>,
    store: &S,
    round: usize,
) {
    let email = format!("round{round}@people.example");
    let places = [world.acme, world.borealis];
    let handles = [handle_of_a_miss(world, places[0], &email).await, handle_of_a_miss(world, places[1], &email).await];
    let saves = (0..16).map(|number| {
        let at = places[number % 2];
        let mut save = save_of(world, at, &email, &format!("user{round}-{number}"));
        if number % 4 < 2 {
            save.expectation = Some(Expectation::Create);
        }
        save.match_handle.clone_from(&handles[number % 2]);
        (at, save)
    });
    let saves = saves.collect();
    let answers = at_once(world, saves).await;
    let tally = tally(&answers);
    let allowed = ["CreatedInternal", "LinkedExternal", "ALREADY_MEMBER", "EXPECTATION_FAILED"];
    assert!(tally.keys().all(|word| allowed.contains(&word.as_str())), "round {round}: {tally:?}");
    assert_eq!(tally["CreatedInternal"], 1, "round {round}: {tally:?}");
    assert!(tally.get("LinkedExternal").copied().unwrap_or(0) <= 1, "round {round}: {tally:?}");

    let created = answers.iter().flatten().find(|reply| reply.outcome == AssignOutcome::CreatedInternal).unwrap();
    let base = created.member.as_ref().unwrap().membership.base();
    for answer in answers.iter().flatten() {
        assert_eq!(answer.member.as_ref().unwrap().membership.base().user, base.user, "two accounts in round {round}");
    }
    assert_eq!(store.user(base.user).await.unwrap().unwrap().home, base.workspace);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_c2_sixteen_saves_of_one_new_email_make_one_account_on_memory() {
    let store = Arc::new(MemoryStore::default());
    let world = Arc::new(World::new(store.clone()).await);
    for round in 0..1_000 {
        one_new_email_from_two_workspaces(&world, &*store, round).await;
    }
    assert!(world.domicile.reruns() > 0, "no race was lost, so none was tested");
    let made = store.dump()["users"].len();
    assert_eq!(made, 1_002);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_c2_sixteen_saves_of_one_new_email_make_one_account_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SeaOrmStore::open_file(&folder.path().join("d.db")).await.unwrap());
    let world = Arc::new(World::new(store.clone()).await);
    for round in 0..1_000 {
        one_new_email_from_two_workspaces(&world, &*store, round).await;
    }
    assert_eq!(store.dump().await.unwrap()["users"].len(), 1_002);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_c2_sixteen_saves_of_one_new_email_make_one_account_on_postgres() {
    let Some(server) = postgres_server() else { return };
    let store = Arc::new(SeaOrmStore::create_on(&server, 8).await.unwrap());
    let world = Arc::new(World::new(store.clone()).await);
    for round in 0..1_000 {
        one_new_email_from_two_workspaces(&world, &*store, round).await;
    }
    assert!(world.domicile.reruns() > 0, "no race was lost, so none was tested");
    assert_eq!(store.dump().await.unwrap()["users"].len(), 1_002);
}

/// C3: links of one user at once make one membership with one notice.
async fn one_link<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>) {
    let world = Arc::new(World::new(store.clone()).await);
    for round in 0..50 {
        let name = format!("linked{round}");
        world.person(world.borealis, &name, None, UserState::Active).await;
        let before = store.notices(world.acme.workspace, last(), 1000).await.unwrap().len();
        let saves = (0..8).map(|_| (world.acme, save_of(&world, world.acme, &format!("{name}@people.example"), "x")));
        let tally = tally(&at_once(&world, saves.collect()).await);
        assert_eq!(tally, BTreeMap::from([("ALREADY_MEMBER".into(), 7), ("LinkedExternal".into(), 1)]));
        let after = store.notices(world.acme.workspace, last(), 1000).await.unwrap().len();
        assert_eq!(after - before, 1);
    }
}

/// C13: one request id at once has one effect and one answer.
async fn one_request<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>) {
    let world = Arc::new(World::new(store.clone()).await);
    for round in 0..50 {
        let save = save_of(&world, world.acme, &format!("once{round}@people.example"), &format!("once{round}"));
        let answers = at_once(&world, (0..8).map(|_| (world.acme, save.clone())).collect()).await;
        let replies: Vec<&AssignReply> = answers.iter().map(|a| a.as_ref().unwrap()).collect();
        assert_eq!(replies.iter().filter(|r| !r.replayed).count(), 1);
        assert!(
            replies.iter().all(
                |r| (r.outcome, &r.member, r.notice) == (replies[0].outcome, &replies[0].member, replies[0].notice)
            )
        );
    }
}

fn last() -> domicile_domain::model::id::NoticeId {
    domicile_domain::model::id::NoticeId::from_uuid(uuid::Uuid::max())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_links_of_one_person_make_one_membership_on_memory() {
    one_link(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_links_of_one_person_make_one_membership_on_sqlite() {
    one_link(Arc::new(SeaOrmStore::open_memory().await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_links_of_one_person_make_one_membership_on_postgres() {
    let Some(server) = postgres_server() else { return };
    one_link(Arc::new(SeaOrmStore::create_on(&server, 8).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_one_request_id_has_one_effect_on_memory() {
    one_request(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_one_request_id_has_one_effect_on_sqlite() {
    one_request(Arc::new(SeaOrmStore::open_memory().await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_one_request_id_has_one_effect_on_postgres() {
    let Some(server) = postgres_server() else { return };
    one_request(Arc::new(SeaOrmStore::create_on(&server, 8).await.unwrap())).await;
}
