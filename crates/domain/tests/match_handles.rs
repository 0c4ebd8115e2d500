//! The handle of a lookup ties a save to it. A foreign or old one is refused at once; whether it is stale matters only when
//! the save is about to act on it.

use std::time::Duration;

use domicile_domain::error::Reason;
use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::id::UserId;
use domicile_domain::model::time::Version;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::port::sealer::{SealPurpose, Sealer};
use domicile_domain::usecase::{AssignUser, DomicileApi, Expectation};
use domicile_testkit::builders::{NOW, minute, person, user};
use domicile_testkit::sealer::PlainSealer;

use crate::support::{PHONE, World, both_rights, call, in_state, mail, reason, save_as, search, with_phone};

async fn handle(world: &World, email: &str, phone: &str) -> String {
    world.lookup(email, phone).await.unwrap().match_handle
}

fn with_handle(handle: &str, save: AssignUser) -> AssignUser {
    AssignUser { match_handle: handle.to_owned(), ..save }
}

/// The handle that a lookup would have given had it found that person by those versions.
fn forged(world: &World, found: UserId, email: Option<i64>, phone: Option<i64>) -> String {
    let version = |v: Option<i64>| v.map_or(0, |v| Version::from_stored(v).as_i64());
    let (acme, dana, end) = (world.acme.id, world.dana.id, minute(10).as_micros());
    let content = format!("{acme}|{dana}|{found}|{}|{}|{end}", version(email), version(phone));
    PlainSealer.seal(SealPurpose::MatchHandle, content.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_handle_serves_its_own_lookup_for_ten_minutes() {
    let world = World::new().await;
    world.stranger("mbali").await;
    let found = world.lookup(&mail("mbali"), "").await.unwrap();
    assert_eq!(found.match_handle_expires_at, minute(10));
    let link = with_handle(&found.match_handle, save_as(Expectation::Link, "mbali"));
    world.clock.set(minute(10));
    world.refused(&link, Reason::MatchHandleExpired).await;
    world.clock.set(NOW.after(Duration::from_micros(10 * 60 * 1_000_000 - 1)));
    assert_eq!(world.assign(&link).await.unwrap().outcome, AssignOutcome::LinkedExternal);
}

#[tokio::test]
async fn a_foreign_or_old_handle_is_refused_before_the_outcome() {
    let world = World::new().await;
    let eve = world.colleague("eve", &both_rights()).await;
    world.visitor("member", |_| {}).await;
    let of_eve = world.domicile.lookup_user(&call(&eve), &search(&mail("member"), "")).await.unwrap();
    let mut elsewhere = search(&mail("member"), "");
    "borealis".clone_into(&mut elsewhere.workspace);
    let of_borealis = world.domicile.lookup_user(&call(&world.lena), &elsewhere).await.unwrap();
    let other_purpose = PlainSealer.seal(SealPurpose::PageToken, b"x").unwrap();
    let truncated = PlainSealer.seal(SealPurpose::MatchHandle, b"not|a|handle").unwrap();
    // The person is a member already: without the handle that is what is told.
    world.refused(&save_as(Expectation::Either, "member"), Reason::AlreadyMember).await;
    for foreign in [&of_eve.match_handle, &of_borealis.match_handle, "forged", &other_purpose, &truncated] {
        let save = with_handle(foreign, save_as(Expectation::Either, "member"));
        let refusal = world.refused(&save, Reason::MatchHandleInvalid).await;
        assert_eq!(refusal.violations[0].field, "match_handle");
    }
    let own = handle(&world, &mail("member"), "").await;
    world.clock.set(minute(10));
    world.refused(&with_handle(&own, save_as(Expectation::Either, "member")), Reason::MatchHandleExpired).await;
}

#[tokio::test]
async fn a_miss_stays_good_while_nobody_is_there() {
    let world = World::new().await;
    for (expectation, name) in [(Expectation::Create, "one"), (Expectation::Either, "two")] {
        let miss = handle(&world, &mail(name), PHONE).await;
        let saved = world.assign(&with_handle(&miss, save_as(expectation, name))).await.unwrap();
        assert_eq!(saved.outcome, AssignOutcome::CreatedInternal);
    }
    let miss = handle(&world, &mail("three"), "").await;
    world.refused(&with_handle(&miss, save_as(Expectation::Link, "three")), Reason::NoAccount).await;
}

/// The losers of C1 and C2 carry the handle of a miss: they hear what happened, not that their handle is stale.
#[tokio::test]
async fn after_a_miss_the_outcome_comes_first() {
    let world = World::new().await;
    let (here, there) = (handle(&world, &mail("here"), "").await, handle(&world, &mail("there"), "").await);
    world.account(user(world.acme.id, "here")).await;
    world.stranger("there").await;
    for expectation in Expectation::ALL {
        world.refused(&with_handle(&here, save_as(expectation, "here")), Reason::AlreadyMember).await;
    }
    world.refused(&with_handle(&there, save_as(Expectation::Create, "there")), Reason::ExpectationFailed).await;
    world.refused(&with_handle(&there, save_as(Expectation::Link, "there")), Reason::MatchHandleStale).await;
    let linked = world.assign(&with_handle(&there, save_as(Expectation::Either, "there"))).await.unwrap();
    assert_eq!(linked.outcome, AssignOutcome::LinkedExternal);
}

#[tokio::test]
async fn after_a_miss_a_match_by_phone_alone_is_not_linked() {
    let world = World::new().await;
    let miss = handle(&world, &mail("free"), PHONE).await;
    world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    let typed = |expectation| {
        let save = AssignUser { phone: PHONE.to_owned(), ..save_as(expectation, "free") };
        with_handle(&miss, save)
    };
    world.refused(&typed(Expectation::Create), Reason::ExpectationFailed).await;
    world.refused(&typed(Expectation::Either), Reason::MatchHandleRequired).await;
    world.refused(&typed(Expectation::Link), Reason::MatchHandleStale).await;
}

#[tokio::test]
async fn a_handle_that_names_one_person_never_links_another() {
    let world = World::new().await;
    world.stranger("anna").await;
    let ben = world.stranger("ben").await;
    let of_anna = handle(&world, &mail("anna"), "").await;
    for expectation in [Expectation::Link, Expectation::Either] {
        world.refused(&with_handle(&of_anna, save_as(expectation, "ben")), Reason::MatchHandleStale).await;
    }
    world.refused(&with_handle(&of_anna, save_as(Expectation::Create, "ben")), Reason::ExpectationFailed).await;
    let of_ben = handle(&world, &mail("ben"), "").await;
    world.assign(&with_handle(&of_ben, save_as(Expectation::Link, "ben"))).await.unwrap();
    assert!(world.member(ben.id).await.is_some());
}

#[tokio::test]
async fn a_handle_of_other_versions_of_the_contacts_is_stale() {
    let world = World::new().await;
    let mut changed = with_phone(user(world.borealis.id, "mbali"), PHONE);
    person(&mut changed).email.version = Version::from_stored(3);
    person(&mut changed).phone.as_mut().unwrap().version = Version::from_stored(5);
    let mbali = world.account(changed).await;
    let typed = |expectation| AssignUser { phone: PHONE.to_owned(), ..save_as(expectation, "mbali") };
    let before = [(Some(2), Some(5)), (Some(3), Some(4)), (None, Some(5)), (Some(3), None)];
    for (email, phone) in before {
        let old = forged(&world, mbali.id, email, phone);
        for expectation in [Expectation::Link, Expectation::Either] {
            world.refused(&with_handle(&old, typed(expectation)), Reason::MatchHandleStale).await;
        }
        world.refused(&with_handle(&old, typed(Expectation::Create)), Reason::ExpectationFailed).await;
    }
    let now = forged(&world, mbali.id, Some(3), Some(5));
    assert_eq!(now, handle(&world, &mail("mbali"), PHONE).await, "the test forges what a lookup gives");
    world.assign(&with_handle(&now, typed(Expectation::Link))).await.unwrap();
}

#[tokio::test]
async fn a_handle_that_named_somebody_creates_nobody() {
    let world = World::new().await;
    let gone: User = in_state(user(world.borealis.id, "gone"), UserState::Erased);
    world.put(&[(&gone).into()]).await;
    let old = forged(&world, gone.id, Some(1), None);
    for expectation in [Expectation::Create, Expectation::Either] {
        world.refused(&with_handle(&old, save_as(expectation, "gone")), Reason::MatchHandleStale).await;
    }
    world.refused(&with_handle(&old, save_as(Expectation::Link, "gone")), Reason::NoAccount).await;
    world.assign(&save_as(Expectation::Create, "gone")).await.unwrap();
}

#[tokio::test]
async fn a_handle_is_no_right() {
    let world = World::new().await;
    let reader = world.colleague("reader", &[]).await;
    world.stranger("mbali").await;
    let stolen = handle(&world, &mail("mbali"), "").await;
    let save = with_handle(&stolen, save_as(Expectation::Link, "mbali"));
    assert_eq!(reason(world.domicile.assign_user(&call(&reader), &save).await), Reason::PermissionDenied);
}
