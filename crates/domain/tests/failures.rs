//! What fails around the use cases: stores, directories and sealers that answer errors. Nothing is half done, nothing is told
//! that is not so, and whoever repeats a request hears what became of it.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::membership::ExternalState;
use domicile_domain::port::directory::MockDirectory;
use domicile_domain::port::runtime::Clock;
use domicile_domain::port::sealer::{MockSealer, SealError};
use domicile_domain::port::store::{Constraint, MockStore, StoreError};
use domicile_domain::usecase::{AssignUser, Call, Consistency, Domicile, DomicileApi, PageRequest};
use domicile_testkit::builders::{NOW, minute};
use domicile_testkit::clock::FixedClock;
use domicile_testkit::memory::{Injection, Moment};

use crate::support::{World, call, check, cobalt, mail, reason, save, search, service_call};

fn gone() -> StoreError {
    StoreError::Unavailable("injected".to_owned())
}

/// Errors that no command answers by running again, with what the caller hears.
fn failures() -> [(StoreError, Reason); 4] {
    let corrupt = StoreError::Corrupt {
        table: "users",
        column: "state",
        row: "7".to_owned(),
        detail: "a state that is none".to_owned(),
    };
    [
        (gone(), Reason::StoreUnavailable),
        (StoreError::Poisoned, Reason::Internal),
        (corrupt, Reason::Internal),
        (StoreError::Fault("injected".to_owned()), Reason::Internal),
    ]
}

/// Lost races, all of them.
fn races() -> Vec<StoreError> {
    let conflicts = Constraint::ALL.into_iter().map(StoreError::Conflict);
    conflicts.chain([StoreError::Stale, StoreError::Contention]).collect()
}

/// The three writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Lookup,
    Save,
    Create,
}

impl Write {
    const ALL: [Self; 3] = [Self::Lookup, Self::Save, Self::Create];

    /// Does it as Dana, each time with a person of its own.
    async fn run(self, world: &World, domicile: &Domicile) -> Result<(), Refusal> {
        let name = format!("p{}", world.store.counters().begun);
        let dana = call(&world.dana);
        match self {
            Self::Lookup => domicile.lookup_user(&dana, &search(&mail(&name), "")).await.map(drop),
            Self::Save => domicile.assign_user(&dana, &save(&name)).await.map(drop),
            Self::Create => {
                let mut new = cobalt(&name);
                new.handle.clone_from(&name);
                domicile.create_workspace(&service_call(), &new).await.map(drop)
            }
        }
    }

    /// Which lost races it names.
    fn reruns_on(self, error: &StoreError) -> bool {
        use Constraint::{ContactKey, Membership, Request, Username, WorkspaceHandle};
        let named: &[Constraint] = match self {
            Self::Lookup => &[],
            Self::Save => &[ContactKey, Membership, Username, Request],
            Self::Create => &[ContactKey, WorkspaceHandle, Request],
        };
        match error {
            StoreError::Conflict(constraint) => named.contains(constraint),
            StoreError::Stale => self == Self::Save,
            other => *other == StoreError::Contention,
        }
    }

    /// Where the unit of the work begins: how many of that moment go by while the probe is counted before.
    fn work_begins_after(self, at: Moment) -> usize {
        match (at, self) {
            (Moment::Statement, Self::Lookup | Self::Save) => 2,
            _ => 1,
        }
    }
}

#[tokio::test]
async fn each_command_reruns_for_the_races_it_names_and_for_no_other_failure() {
    let world = World::new().await;
    for (at, write) in
        [Moment::Statement, Moment::Commit].into_iter().flat_map(|at| Write::ALL.map(|write| (at, write)))
    {
        for counting in [true, false] {
            let passed = if counting { 0 } else { write.work_begins_after(at) };
            for error in races() {
                let (reruns, content) = (world.domicile.reruns(), world.content());
                world.store.inject_after(passed, Injection { at, error: error.clone(), times: 1 });
                let answer = write.run(&world, &world.domicile).await;
                // Counting a probe can lose no race but for its turn.
                let rerun = if counting { error == StoreError::Contention } else { write.reruns_on(&error) };
                assert_eq!(world.domicile.reruns(), reruns + u64::from(rerun), "{write:?} {at:?} {error:?}");
                if rerun {
                    assert_eq!(answer, Ok(()), "{write:?} {at:?} {error:?}");
                    continue;
                }
                let taken = write == Write::Save && error == StoreError::Conflict(Constraint::ExternalId);
                let why = if taken && !counting { Reason::ExternalIdTaken } else { Reason::Contention };
                assert_eq!(reason(answer), why, "{write:?} {at:?} {error:?}");
                assert_eq!(world.content(), content, "{write:?} {at:?} {error:?}");
            }
            for (error, why) in failures() {
                let (reruns, dump) = (world.domicile.reruns(), world.dump());
                world.store.inject_after(passed, Injection { at, error: error.clone(), times: 1 });
                let refusal = write.run(&world, &world.domicile).await.unwrap_err();
                // The cause is for the log; what the caller hears is the reason's own sentence.
                let plain = Refusal { cause: Some(error.clone()), ..Refusal::new(why) };
                assert_eq!(refusal, plain, "{write:?} {at:?}");
                assert_eq!((world.domicile.reruns(), world.dump()), (reruns, dump), "{write:?} {at:?} {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn whichever_statement_fails_nothing_of_the_unit_is_kept() {
    for write in Write::ALL {
        let world = World::new().await;
        let start = world.store.counters().statements;
        write.run(&world, &world.domicile).await.unwrap();
        let statements = usize::try_from(world.store.counters().statements - start).unwrap();
        let dump = world.dump();
        for passed in 0..statements {
            world.store.inject_after(passed, Injection { at: Moment::Statement, error: gone(), times: 1 });
            assert_eq!(
                reason(write.run(&world, &world.domicile).await),
                Reason::StoreUnavailable,
                "{write:?} {passed}"
            );
            assert_eq!(world.dump(), dump, "{write:?} statement {passed}");
        }
        assert!(statements > 8, "{write:?}: {statements}");
        assert_eq!(write.run(&world, &world.domicile).await, Ok(()));
    }
}

/// A link that also ends what was over: all or nothing as well.
#[tokio::test]
async fn a_link_ends_the_stale_membership_only_together_with_the_new_one() {
    let world = World::new().await;
    world.visitor("mbali", |membership| membership.expires_at = Some(minute(0))).await;
    let dump = world.dump();
    let mut passed = 0;
    loop {
        world.store.inject_after(passed, Injection { at: Moment::Statement, error: gone(), times: 1 });
        let injected = world.store.counters().injected;
        let answer = world.assign(&save("mbali")).await;
        if world.store.counters().injected == injected {
            assert!(answer.is_ok(), "{answer:?}");
            break;
        }
        assert_eq!(reason(answer), Reason::StoreUnavailable);
        assert_eq!(world.dump(), dump, "statement {passed}");
        passed += 1;
    }
    assert!(passed > 15, "{passed}");
    assert_eq!((world.content()["membership_history"].len(), world.events().await.len()), (1, 2));
}

/// A call that nobody waits for after `patience`.
fn brief(world: &World, patience: Duration) -> Call {
    Call { deadline: NOW.after(patience), ..call(&world.dana) }
}

#[tokio::test]
async fn a_race_that_is_always_lost_ends_at_the_deadline() {
    let world = World::new().await;
    let clock = Arc::new(FixedClock::passing(NOW));
    let domicile = world.rewired(|ports| ports.clock = clock.clone());
    world.store.inject(Injection { at: Moment::Commit, error: StoreError::Contention, times: usize::MAX });
    let patience = Duration::from_millis(300);
    let dump = world.dump();
    let refused = domicile.assign_user(&brief(&world, patience), &save("nora")).await;
    assert_eq!(reason(refused), Reason::Contention);
    assert_eq!(world.dump(), dump);
    let slept: Duration = clock.slept().iter().sum();
    assert!(slept < patience && clock.slept().iter().all(|pause| *pause <= Duration::from_millis(50)), "{slept:?}");
    assert!(domicile.reruns() > 5 && domicile.reruns() == clock.slept().len() as u64);
}

#[tokio::test]
async fn a_unit_that_cannot_begin_is_asked_for_with_the_patience_that_is_left() {
    let world = World::new().await;
    let patience = Duration::from_millis(300);
    for (error, why, again) in [
        (gone(), Reason::StoreUnavailable, false),
        (StoreError::Contention, Reason::Contention, true),
        (StoreError::ConnectionLost, Reason::StoreUnavailable, true),
    ] {
        let clock = Arc::new(FixedClock::passing(NOW));
        let mut store = MockStore::new();
        let (answered, now) = (error.clone(), clock.clone());
        let left = move |asked: &Duration| *asked == NOW.after(patience).since(now.now());
        let expected = if again { 2..1000 } else { 1..2 };
        // No row is written of a refusal that was none: another unit would fail the test in its patience.
        store.expect_begin().times(expected).withf(left).returning(move |_| Err(answered.clone()));
        let domicile = world.rewired(|ports| (ports.store, ports.clock) = (Arc::new(store), clock.clone()));
        let refusal = domicile.assign_user(&brief(&world, patience), &save("nora")).await.unwrap_err();
        assert_eq!((refusal.reason, refusal.cause), (why, Some(error)));
    }
}

#[tokio::test]
async fn a_refusal_stands_though_its_unit_could_not_be_rolled_back() {
    let world = World::new().await;
    world.visitor("member", |membership| membership.state = ExternalState::Suspended).await;
    world.store.inject(Injection { at: Moment::Rollback, error: gone(), times: 1 });
    world.refused(&save("member"), Reason::MemberSuspended).await;
    assert_eq!(world.store.counters().injected, 1);
}

#[tokio::test]
async fn what_is_only_read_or_rehearsed_is_told_once_its_unit_is_taken_back() {
    let world = World::new().await;
    let done = save("nora");
    let first = world.assign(&done).await.unwrap();
    let rehearsal = AssignUser { validate_only: true, ..save("other") };
    for repeated in [&done, &rehearsal] {
        let dump = world.dump();
        world.store.inject(Injection { at: Moment::Rollback, error: gone(), times: 1 });
        assert_eq!(reason(world.assign(repeated).await), Reason::StoreUnavailable);
        assert_eq!(world.dump(), dump);
        assert_eq!(world.assign(repeated).await.unwrap().replayed, repeated == &done);
    }
    assert_eq!(world.assign(&done).await.unwrap().notice, first.notice);
}

#[tokio::test]
async fn a_refusal_or_rehearsal_that_cannot_be_recorded_is_not_answered() {
    let world = World::new().await;
    world.visitor("member", |_| {}).await;
    let rehearsal = AssignUser { validate_only: true, ..save("nora") };
    for (answered, at) in [(&save("member"), Moment::Begin), (&rehearsal, Moment::Begin)] {
        let dump = world.dump();
        // The first unit counts the probe, the second is the work's, the third the record's.
        world.store.inject_after(2, Injection { at, error: gone(), times: 1 });
        assert_eq!(reason(world.assign(answered).await), Reason::StoreUnavailable);
        assert_eq!(world.dump(), dump);
    }
    world.refused(&save("member"), Reason::AlreadyMember).await;
    assert!(world.assign(&rehearsal).await.is_ok());
}

/// The store wrote, and its answer was lost: the caller hears that it is unknown, and the same request id tells.
#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_told_by_the_request_id() {
    let world = World::new().await;
    let lost = Injection { at: Moment::Committed, error: gone(), times: 1 };
    let request = save("nora");
    // The count's commit goes through; the work's is the one.
    world.store.inject_after(1, lost.clone());
    assert_eq!(reason(world.assign(&request).await), Reason::StoreUnavailable);
    let content = world.content();
    let told = world.assign(&request).await.unwrap();
    assert!(told.replayed && told.member.is_some() && told.notice.is_some() && told.consistency_token.is_some());

    let new = cobalt("olga");
    world.store.inject_after(1, lost);
    assert_eq!(reason(world.domicile.create_workspace(&service_call(), &new).await), Reason::StoreUnavailable);
    let told = world.domicile.create_workspace(&service_call(), &new).await.unwrap();
    assert!(told.replayed && told.workspace.is_some() && told.manager.is_some());
    assert_eq!(content["users"].len() + 1, world.content()["users"].len());
}

/// Without keys or randomness no token can be made.
fn without_keys(world: &World) -> Domicile {
    let mut sealer = MockSealer::new();
    sealer.expect_seal().returning(|_, _| Err(SealError("no randomness".to_owned())));
    world.rewired(|ports| ports.sealer = Arc::new(sealer))
}

/// Tokens are sealed in the unit, so that nothing is saved, and nothing recorded as told, that cannot be answered.
#[tokio::test]
async fn what_cannot_be_answered_is_not_saved() {
    let world = World::new().await;
    world.stranger("mbali").await;
    let broken = without_keys(&world);
    let (content, dana) = (world.content(), call(&world.dana));
    let (create, link, new) = (save("nora"), save("mbali"), cobalt("olga"));
    for request in [&create, &link] {
        assert_eq!(reason(broken.assign_user(&dana, request).await), Reason::Internal);
        assert_eq!(world.audit().await[0].outcome, "INTERNAL");
    }
    assert_eq!(reason(broken.create_workspace(&service_call(), &new).await), Reason::Internal);
    assert_eq!(reason(broken.lookup_user(&dana, &search(&mail("mbali"), "")).await), Reason::Internal);
    assert_eq!(world.audit().await[0].outcome, "INTERNAL", "nothing was found, as far as anybody was told");
    let page = PageRequest { size: 1, token: String::new() };
    let listed = broken.list_roles(&dana, "acme", &page, &Consistency::default()).await;
    assert_eq!(reason(listed), Reason::Internal);
    assert_eq!(world.content(), content);
    // The ids were not used: the same requests are done once there are keys again.
    for request in [&create, &link] {
        let first = world.assign(request).await.unwrap();
        assert!(!first.replayed);
        assert_eq!(reason(broken.assign_user(&dana, request).await), Reason::Internal);
        let again = world.assign(request).await.unwrap();
        assert_eq!((again.replayed, again.notice), (true, first.notice));
    }
    assert!(!world.domicile.create_workspace(&service_call(), &new).await.unwrap().replayed);
}

/// An error is never a decision, whichever read of the check meets it.
#[tokio::test]
async fn a_directory_that_fails_decides_nothing() {
    let world = World::new().await;
    let (who, right) = (world.dana.id, "domicile.update");
    for (error, why) in failures() {
        let mut passed = 0;
        loop {
            let injected = world.store.counters().injected;
            world.store.inject_after(passed, Injection { at: Moment::Read, error: error.clone(), times: 1 });
            let answer = world.check(who, right).await;
            if world.store.counters().injected == injected {
                assert_eq!(answer.unwrap().decision, Ok(()));
                break;
            }
            let refusal = answer.unwrap_err();
            assert_eq!((refusal.reason, refusal.cause), (why, Some(error.clone())), "read {passed}");
            passed += 1;
        }
        assert_eq!(passed, 1, "all facts are one read");
        // The injection that was left over does not disturb the next round.
        assert!(world.check(who, right).await.is_err());
    }
}

#[tokio::test]
async fn every_read_tells_of_a_directory_that_fails_and_asks_nothing_more() {
    let world = World::new().await;
    for (error, why) in failures() {
        let mut directory = MockDirectory::new();
        let answered = error.clone();
        // Any other question would fail the test.
        directory.expect_workspace().times(6).returning(move |_| Err(answered.clone()));
        let answered = error.clone();
        directory.expect_check_facts().once().returning(move |_, _| Err(answered.clone()));
        let answered = error.clone();
        directory.expect_notice().once().returning(move |_| Err(answered.clone()));
        let domicile = world.rewired(|ports| ports.directory = Arc::new(directory));
        let (dana, any, page) = (call(&world.dana), Consistency::default(), PageRequest::default());
        let id = world.dana.id.to_string();
        let dump = world.dump();
        let heard = [
            reason(domicile.check_access(&service_call(), &check("acme", world.dana.id, "domicile.update")).await),
            reason(domicile.get_user(&dana, "acme", &id, &any).await),
            reason(domicile.get_membership(&dana, "acme", &id, &any).await),
            reason(domicile.get_workspace(&dana, "acme", &any).await),
            reason(domicile.list_memberships(&dana, "acme", &page, &any).await),
            reason(domicile.list_roles(&dana, "acme", &page, &any).await),
            reason(domicile.get_notification(&dana, "acme", &id, &any).await),
            reason(domicile.list_notifications(&dana, "acme", &page, &any).await),
        ];
        assert_eq!(heard, [why; 8]);
        // Nothing was decided, so nothing stands in the record.
        assert_eq!(world.dump(), dump);
    }
}
