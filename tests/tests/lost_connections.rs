//! A connection that breaks costs nobody anything: what was not committed is done again, and a save whose answer was lost
//! on its way is found again by its request id.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot be fails the test")]

use std::sync::{Arc, Mutex};

use domicile_domain::error::Reason;
use domicile_domain::port::store::StoreError;
use domicile_domain::usecase::{DomicileApi, LookupUser};
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_testkit::memory::{Injection, MemoryStore, Moment};
use domicile_tests::world::{World, save_of, without_audit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

/// What becomes of a COMMIT on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// It never arrives.
    Before,
    /// It is carried out, and its answer never arrives.
    After,
}

/// The next COMMITs that pass go through, so many of them; the one after is cut.
type Plan = Arc<Mutex<Option<(u32, Cut)>>>;

/// A wire to PostgreSQL that is cut as planned. Answers the port to connect to.
async fn wire(server: u16, plan: Plan) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (plan, server) = (plan.clone(), TcpStream::connect(("127.0.0.1", server)).await.unwrap());
            tokio::spawn(carry(client, server, plan));
        }
    });
    port
}

/// Whether this part of the conversation has a COMMIT that is to be cut.
fn cut_here(sent: &[u8], plan: &Plan) -> Option<Cut> {
    const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
    if !sent.windows(COMMIT.len()).any(|part| part == COMMIT) {
        return None;
    }
    let mut plan = plan.lock().unwrap();
    match plan.as_mut()? {
        (0, cut) => {
            let cut = *cut;
            *plan = None;
            Some(cut)
        }
        (left, _) => {
            *left -= 1;
            None
        }
    }
}

/// Carries one connection until either end closes it or it is cut; then both ends see it closed.
async fn carry(mut client: TcpStream, mut server: TcpStream, plan: Plan) {
    let (mut sent, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => match read {
                Ok(count @ 1..) => match cut_here(&sent[..count], &plan) {
                    Some(Cut::Before) => return,
                    cut => {
                        if server.write_all(&sent[..count]).await.is_err() {
                            return;
                        }
                        if cut.is_some() {
                            // Once it answers it has committed.
                            assert!(matches!(server.read(&mut answered).await, Ok(1..)));
                            return;
                        }
                    }
                },
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(count @ 1..) => {
                    if client.write_all(&answered[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

/// Whichever COMMIT of a save is cut on PostgreSQL's wire, before it or after it: there is one account, and the same request
/// answers for it.
#[tokio::test]
async fn a_save_has_its_one_effect_whichever_commit_is_cut_on_the_wire() {
    let Some(server) = postgres_server() else { return };
    let database = SeaOrmStore::create_database(&server).await.unwrap();
    SeaOrmStore::migrate(&database).await.unwrap();
    let Database::Postgres(options) = database else { panic!("a server has databases") };
    let plan = Plan::default();
    let port = wire(options.get_port(), plan.clone()).await;
    let wired = Database::Postgres(Box::new(options.port(port)));
    let store = Arc::new(SeaOrmStore::open(&wired, 4).await.unwrap());
    let world = World::new(store.clone()).await;
    let call = world.call(world.acme.manager);
    for cut in [Cut::Before, Cut::After] {
        let (mut passed, mut in_doubt) = (0, 0);
        loop {
            let name = format!("{cut:?}{passed}").to_lowercase();
            let save = save_of(&world, world.acme, &format!("{name}@people.example"), &name);
            let (reruns, people) = (world.domicile.reruns(), store.dump().await.unwrap()["users"].len());
            *plan.lock().unwrap() = Some((passed, cut));
            let saved = world.domicile.assign_user(&call, &save).await;
            if plan.lock().unwrap().take().is_some() {
                assert!(saved.is_ok(), "nothing was cut: {saved:?}");
                break;
            }
            let saved = match saved {
                Ok(saved) => {
                    assert_eq!(world.domicile.reruns(), reruns + 1, "{cut:?} {passed}");
                    in_doubt += u32::from(saved.replayed);
                    saved
                }
                // What is only counted is not counted twice: whether it was is not known, and the caller tries again.
                Err(refusal) => {
                    assert_eq!(refusal.reason, Reason::StoreUnavailable, "{cut:?} {passed}");
                    assert_eq!(store.dump().await.unwrap()["users"].len(), people, "{cut:?} {passed}");
                    world.domicile.assign_user(&call, &save).await.unwrap()
                }
            };
            assert_eq!(store.dump().await.unwrap()["users"].len(), people + 1, "{cut:?} {passed}");
            let again = world.domicile.assign_user(&call, &save).await.unwrap();
            assert_eq!((again.replayed, again.notice), (true, saved.notice), "{cut:?} {passed}");
            passed += 1;
        }
        assert!(passed >= 2, "the probe and the save: {passed}");
        assert_eq!(in_doubt, u32::from(cut == Cut::After), "{cut:?}");
    }
}
