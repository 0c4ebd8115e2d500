//! Searching for a person: what is told, what is recorded, and what it costs.

use domicile_domain::error::Reason;
use domicile_domain::model::contact::{ContactKey, ContactKind, ContactStanding};
use domicile_domain::model::membership::{ExternalState, MembershipKind};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::relationship::Disclosure;
use domicile_domain::model::user::UserState;
use domicile_domain::policy::resolver::LookupOutcome;
use domicile_domain::port::store::StoreError;
use domicile_domain::usecase::{DomicileApi, LookupUser, MemberState};
use domicile_testkit::builders::{email, minute, person, relationship, user};
use domicile_testkit::memory::{Injection, Moment};

use crate::support::{PHONE, World, call, in_state, mail, reason, search, service_call, with_phone, wrong_fields};

#[tokio::test]
async fn hits_and_misses_are_recorded_with_what_was_searched_and_change_nothing_else() {
    let world = World::new().await;
    let mbali = world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    let before = world.content();
    for (address, found, outcome) in [(mail("MBALI"), Some(mbali.id), "FOUND"), (mail("nobody"), None, "NOT_FOUND")] {
        let phone = if found.is_some() { "06 30 123 4567" } else { "" };
        world.lookup(&address, phone).await.unwrap();
        let row = world.audit().await.into_iter().next().unwrap();
        let told = (row.action.as_str(), row.outcome.as_str(), row.actor, row.subject, row.surface.as_str());
        assert_eq!(told, ("lookup_user", outcome, Some(world.dana.id), found, "embedded"));
        // The values stand apart, keyed by whom they are about.
        let values = world.store.dump().remove("personal_values").unwrap();
        let of_row: Vec<&String> = values.iter().filter(|value| value.contains(&row.id.to_string())).collect();
        let key = address.to_lowercase();
        assert!(of_row.iter().any(|value| value.contains(&key)), "{of_row:?}");
        assert_eq!(of_row.len(), if found.is_some() { 2 } else { 1 });
        assert_eq!(of_row.iter().all(|value| value.contains(&mbali.id.to_string())), found.is_some());
    }
    assert_eq!(world.content(), before);
}

#[tokio::test]
async fn a_lookup_that_cannot_be_recorded_answers_nothing() {
    let world = World::new().await;
    world.stranger("mbali").await;
    let start = world.store.counters().statements;
    world.lookup(&mail("mbali"), "").await.unwrap();
    let statements = usize::try_from(world.store.counters().statements - start).unwrap();
    assert!(statements > 5);
    let before = world.dump();
    let error = StoreError::Unavailable("injected".to_owned());
    // The record is the last statement; whichever fails, nothing is told.
    for passed in 0..statements {
        world.store.inject_after(passed, Injection { at: Moment::Statement, error: error.clone(), times: 1 });
        assert_eq!(reason(world.lookup(&mail("mbali"), "").await), Reason::StoreUnavailable, "statement {passed}");
    }
    for passed in 0..2 {
        world.store.inject_after(passed, Injection { at: Moment::Commit, error: error.clone(), times: 1 });
        assert_eq!(reason(world.lookup(&mail("mbali"), "").await), Reason::StoreUnavailable, "commit {passed}");
    }
    assert_eq!(world.dump(), before);
    assert_eq!(world.lookup(&mail("mbali"), "").await.unwrap().outcome, LookupOutcome::Found);
}

#[tokio::test]
async fn a_hit_and_a_miss_have_one_shape_and_cost() {
    let world = World::new().await;
    world.account(with_phone(user(world.borealis.id, "hit"), PHONE)).await;
    world.former("former", domicile_domain::model::membership::EndReason::Unlinked).await;
    world.visitor("member", |_| {}).await;
    let mut seen = Vec::new();
    for (name, phone) in [("hit", PHONE), ("miss", "+36301111111"), ("former", PHONE), ("member", "+36301111111")] {
        let before = world.store.counters().statements;
        let reply = world.lookup(&mail(name), phone).await.unwrap();
        seen.push((
            world.store.counters().statements - before,
            reply.match_handle.len(),
            reply.match_handle_expires_at,
        ));
    }
    assert!(seen.iter().all(|row| *row == seen[0]), "{seen:?}");
    assert_eq!(seen[0].2, minute(10));
}

#[tokio::test]
async fn whoever_lacks_the_right_hears_the_same_whether_or_not_the_workspace_exists() {
    let world = World::new().await;
    let updater = world.colleague("updater", &[PermissionName::update()]).await;
    let creator = world.colleague("creator", &[PermissionName::create()]).await;
    let visitor = world.visitor("visitor", |_| {}).await;
    assert!(world.domicile.lookup_user(&call(&creator), &search(&mail("x"), "")).await.is_ok());
    let mut seen = Vec::new();
    for actor in [&updater, &visitor, &world.lena] {
        for workspace in ["acme", "nowhere", "01900000-0000-7000-8000-00000000ffff"] {
            let request = LookupUser { workspace: workspace.to_owned(), ..search(&mail("visitor"), "") };
            let before = world.store.counters().statements;
            let refusal = world.domicile.lookup_user(&call(actor), &request).await.unwrap_err();
            seen.push((refusal, world.store.counters().statements - before));
        }
    }
    assert_eq!(seen[0].0.reason, Reason::PermissionDenied);
    assert!(seen.iter().all(|row| *row == seen[0]), "{seen:?}");
    // Each is recorded with what was written, in Acme's view where it is Acme.
    let rows = world.store.dump().remove("audit_records").unwrap();
    assert_eq!(rows.iter().filter(|row| row.contains("PERMISSION_DENIED")).count(), seen.len());
    assert_eq!(rows.iter().filter(|row| row.contains("\"nowhere\"") && row.contains("workspace: None")).count(), 3);

    let nobody = world.domicile.lookup_user(&service_call(), &search(&mail("x"), "")).await;
    assert_eq!(reason(nobody), Reason::ActingUserRequired);
}

#[tokio::test]
async fn wrong_fields_are_named_together() {
    let world = World::new().await;
    assert_eq!(wrong_fields(world.lookup(" ", "").await), ["email".to_owned()].into());
    let both = wrong_fields(world.lookup("nobody", "12").await);
    assert_eq!(both, ["email".to_owned(), "phone".to_owned()].into());
    assert_eq!(world.audit().await[0].outcome, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_person_is_shown_by_initials_unless_the_home_discloses_more() {
    for disclosure in Disclosure::ALL {
        let world = World::with(|plan| plan.borealis.policy.disclosure = disclosure).await;
        world.stranger("mbali").await;
        let shown = world.lookup(&mail("mbali"), "").await.unwrap().display.unwrap();
        let expected = if disclosure == Disclosure::None { "A. K." } else { "Anna Kovács" };
        assert_eq!(shown, expected, "{disclosure:?}");
    }
    // A relationship widens what members show, not what a search tells; one's own people are shown by name.
    let world = World::new().await;
    let mut open = relationship(world.acme.id, world.borealis.id);
    open.home_terms.disclosure = Some(Disclosure::Full);
    world.put(&[open.into()]).await;
    world.stranger("mbali").await;
    world.colleague("own", &[]).await;
    assert_eq!(world.lookup(&mail("mbali"), "").await.unwrap().display.as_deref(), Some("A. K."));
    assert_eq!(world.lookup(&mail("own"), "").await.unwrap().display.as_deref(), Some("Anna Kovács"));
}

#[tokio::test]
async fn who_cannot_be_linked_is_not_shown() {
    let world = World::new().await;
    world.account(in_state(user(world.borealis.id, "off"), UserState::Suspended)).await;
    let found = world.lookup(&mail("off"), "").await.unwrap();
    let told = (found.outcome, found.display, found.matched_by, found.member_kind, found.member_state);
    assert_eq!(told, (LookupOutcome::NotLinkable, None, vec![], None, None));
}

#[tokio::test]
async fn a_match_tells_by_which_contact_and_how_far_it_can_be_relied_on() {
    let world = World::new().await;
    let mut mbali = with_phone(user(world.borealis.id, "mbali"), PHONE);
    person(&mut mbali).email.standing = ContactStanding::Verified;
    world.account(mbali).await;
    let by = |found: domicile_domain::usecase::LookupReply| -> Vec<_> {
        found.matched_by.iter().map(|by| (by.kind, by.standing)).collect()
    };
    let (by_mail, by_phone) =
        ((ContactKind::Email, ContactStanding::Verified), (ContactKind::Phone, ContactStanding::Asserted));
    assert_eq!(by(world.lookup(&mail("mbali"), PHONE).await.unwrap()), [by_mail, by_phone]);
    assert_eq!(by(world.lookup(&mail("mbali"), "").await.unwrap()), [by_mail]);
    assert_eq!(by(world.lookup(&mail("free"), PHONE).await.unwrap()), [by_phone]);
}

#[tokio::test]
async fn a_member_is_told_with_kind_and_state() {
    let world = World::new().await;
    world.visitor("visitor", |membership| membership.state = ExternalState::Review).await;
    world.visitor("over", |membership| membership.expires_at = Some(minute(0))).await;
    let told = |found: domicile_domain::usecase::LookupReply| (found.outcome, found.member_kind, found.member_state);
    assert_eq!(
        told(world.lookup(&mail("visitor"), "").await.unwrap()),
        (LookupOutcome::AlreadyMember, Some(MembershipKind::External), Some(MemberState::Review))
    );
    // As of one that was swept already.
    assert_eq!(told(world.lookup(&mail("over"), "").await.unwrap()), (LookupOutcome::FormerMember, None, None));
    assert_eq!(
        told(world.lookup(&mail("dana"), "").await.unwrap()),
        (LookupOutcome::AlreadyMember, Some(MembershipKind::Internal), Some(MemberState::Active))
    );
}

#[tokio::test]
async fn a_held_contact_is_told_to_its_former_home_alone_until_it_is_free() {
    let world = World::new().await;
    let hold = |name: &str, home| world.store.hold_contact(ContactKey::from(&email(&mail(name))), home, minute(60));
    hold("ours", world.acme.id);
    hold("theirs", world.borealis.id);
    let phone = ContactKey { kind: ContactKind::Phone, key: PHONE.to_owned() };
    world.store.hold_contact(phone, world.acme.id, minute(60));
    let outcome = async |name: &str, phone: &str| world.lookup(&mail(name), phone).await.unwrap().outcome;
    assert_eq!(outcome("ours", "").await, LookupOutcome::ContactReserved);
    assert_eq!(outcome("ours", PHONE).await, LookupOutcome::ContactReserved);
    assert_eq!(outcome("theirs", "").await, LookupOutcome::NotLinkable);
    assert_eq!(outcome("theirs", PHONE).await, LookupOutcome::NotLinkable);
    world.clock.set(minute(60));
    assert_eq!(outcome("theirs", PHONE).await, LookupOutcome::NotFound);
}
