//! The save where somebody is found: a link never edits a person, and the other workspaces have a say.

use std::time::Duration;

use domicile_domain::error::Reason;
use domicile_domain::event::EventBody;
use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::membership::{EndReason, ExternalState, MembershipKind};
use domicile_domain::model::name::ExternalId;
use domicile_domain::model::notice::{NoticeKind, NoticeState};
use domicile_domain::model::relationship::{RelationshipState, WorkspaceRelationship};
use domicile_domain::model::workspace::Workspace;
use domicile_domain::port::directory::Directory;
use domicile_domain::usecase::{AssignUser, Expectation, ExternalInput, ProfileInput};
use domicile_testkit::builders::{NOW, minute, relationship, user};

use crate::support::{PHONE, Plan, World, mail, roles, save, save_as, with_phone, wrong_fields};

/// What each link of the test's person gets: the outcome, the state it is stored in, and what the person is told.
async fn linked(world: &World, name: &str) -> (AssignOutcome, ExternalState, NoticeKind) {
    let saved = world.assign(&save(name)).await.unwrap();
    let user = saved.member.unwrap().membership.base().user;
    let notice = world.notices().await.into_iter().find(|n| Some(n.id) == saved.notice).unwrap();
    assert_eq!((notice.user, notice.state, notice.home), (user, NoticeState::Queued, world.borealis.id));
    (saved.outcome, world.external(user).await.state, notice.kind)
}

const AT_ONCE: (AssignOutcome, ExternalState, NoticeKind) =
    (AssignOutcome::LinkedExternal, ExternalState::Active, NoticeKind::AccessGranted);
const ASKED_FIRST: (AssignOutcome, ExternalState, NoticeKind) =
    (AssignOutcome::LinkPending, ExternalState::Pending, NoticeKind::AccessRequested);

#[tokio::test]
async fn a_link_writes_a_membership_and_leaves_the_person_as_they_were() {
    let world = World::new().await;
    let mbali = world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    let at_home = world.store.member(world.borealis.id, mbali.id).await.unwrap();
    let link = AssignUser {
        email: "MBALI@mail.example".to_owned(),
        external: ExternalInput { grants: roles(&["guest"]), language: "de".to_owned(), expires_at: Some(minute(60)) },
        external_id: "X-9".to_owned(),
        ..save_as(Expectation::Link, "other.name")
    };
    let saved = world.assign(&link).await.unwrap();
    assert_eq!(saved.outcome, AssignOutcome::LinkedExternal);

    let external = world.external(mbali.id).await;
    assert_eq!((external.state, external.expires_at), (ExternalState::Active, Some(minute(60))));
    assert_eq!(external.language.as_ref().map(ToString::to_string).as_deref(), Some("de"));
    assert_eq!(external.base.external_id.as_ref().map(ExternalId::as_str), Some("X-9"));
    assert_eq!(external.base.grants.roles.len(), 1);
    assert_eq!(external.typed_contact.as_deref(), Some("MBALI@mail.example"));

    assert_eq!(world.store.user(mbali.id).await.unwrap(), Some(mbali.clone()));
    assert_eq!(world.store.member(world.borealis.id, mbali.id).await.unwrap(), at_home);
    let profile = ["first_name", "last_name", "username", "preferred_language"].map(|f| format!("profile.{f}"));
    assert_eq!(saved.discarded_fields, profile);

    let notice = world.notices().await.into_iter().next().unwrap();
    assert_eq!(
        (notice.kind, notice.home, notice.language_asked.as_str()),
        (NoticeKind::AccessGranted, world.borealis.id, "de")
    );
    let began = EventBody::MembershipCreated {
        membership: external.base.id,
        user: mbali.id,
        membership_kind: MembershipKind::External,
        state: Some(ExternalState::Active),
        roles: external.base.grants.roles.iter().copied().collect(),
    };
    assert_eq!(world.events().await, [began]);
    assert_eq!(world.audit().await[0].subject, Some(mbali.id));
}

#[tokio::test]
async fn typed_values_of_somebody_who_exists_are_discarded_and_reported() {
    let world = World::new().await;
    let mbali = world.stranger("mbali").await;
    let typed = AssignUser {
        phone: PHONE.to_owned(),
        profile: ProfileInput { first_name: "Typed".to_owned(), username: " ".to_owned(), ..ProfileInput::default() },
        ..save("mbali")
    };
    let saved = world.assign(&typed).await.unwrap();
    assert_eq!(saved.discarded_fields, ["profile.first_name", "phone"]);
    assert_eq!(world.store.user(mbali.id).await.unwrap(), Some(mbali));

    let jonas = world.account(with_phone(user(world.borealis.id, "jonas"), "+36209999999")).await;
    let handle = world.lookup(&mail("free"), "+36 20 999 9999").await.unwrap().match_handle;
    let by_phone = AssignUser {
        phone: "+36209999999".to_owned(),
        match_handle: handle,
        profile: ProfileInput::default(),
        ..save_as(Expectation::Link, "free")
    };
    let saved = world.assign(&by_phone).await.unwrap();
    assert_eq!(saved.discarded_fields, ["email"]);
    assert_eq!(world.external(jonas.id).await.typed_contact.as_deref(), Some("+36209999999"));
    assert_eq!(world.store.user(jonas.id).await.unwrap(), Some(jonas));
}

type Ask = fn(&mut Workspace, &mut Workspace, &mut WorkspaceRelationship);

/// A world in which the relationship of the two workspaces stands, after a change of any of the three.
async fn related(change: impl FnOnce(&mut Workspace, &mut Workspace, &mut WorkspaceRelationship)) -> World {
    let mut terms = None;
    let world = World::with(|plan: &mut Plan| {
        let mut fresh = relationship(plan.acme.id, plan.borealis.id);
        change(&mut plan.acme, &mut plan.borealis, &mut fresh);
        terms = Some(fresh);
    })
    .await;
    world.put(&[terms.unwrap().into()]).await;
    world.stranger("mbali").await;
    world
}

#[tokio::test]
async fn host_home_or_their_relationship_ask_for_acceptance() {
    let asks: [Ask; 6] = [
        |acme, _, _| acme.policy.acceptance_as_host = true,
        |_, borealis, _| borealis.policy.acceptance_as_home = true,
        |_, _, terms| terms.host_terms.acceptance = true,
        |_, _, terms| terms.home_terms.acceptance = true,
        // Suspending a relationship takes access away; it is no way around what was agreed.
        |_, _, terms| (terms.host_terms.acceptance, terms.suspended_by_host) = (true, true),
        |_, _, terms| (terms.home_terms.acceptance, terms.suspended_by_home) = (true, true),
    ];
    for (number, ask) in asks.into_iter().enumerate() {
        assert_eq!(linked(&related(ask).await, "mbali").await, ASKED_FIRST, "{number}");
    }
    let does_not: [Ask; 4] = [
        |_, _, _| {},
        |acme, _, _| acme.policy.acceptance_as_home = true,
        |_, borealis, _| borealis.policy.acceptance_as_host = true,
        |_, _, terms| (terms.host_terms.acceptance, terms.state) = (true, RelationshipState::Proposed),
    ];
    for (number, ask) in does_not.into_iter().enumerate() {
        assert_eq!(linked(&related(ask).await, "mbali").await, AT_ONCE, "{number}");
    }
}

#[tokio::test]
async fn how_the_last_membership_ended_decides_whether_the_person_is_asked() {
    let world = World::new().await;
    for reason in EndReason::ALL {
        let name = format!("{reason:?}");
        world.former(&name, reason).await;
        let asked = match reason {
            EndReason::Left | EndReason::Declined | EndReason::Lapsed => ASKED_FIRST,
            EndReason::Unlinked
            | EndReason::Expired
            | EndReason::AccountEnded
            | EndReason::WorkspaceClosed
            | EndReason::Moved => AT_ONCE,
        };
        world.refused(&save_as(Expectation::Create, &name), Reason::FormerMember).await;
        assert_eq!(linked(&world, &name).await, asked, "{reason:?}");
    }
}

/// A host that somebody left does not get them back by waiting for its questions to lapse.
#[tokio::test]
async fn who_left_is_asked_until_they_say_yes() {
    let world = World::new().await;
    world.former("mbali", EndReason::Left).await;
    for month in 1..=4 {
        assert_eq!(linked(&world, "mbali").await, ASKED_FIRST, "month {month}");
        world.refused(&save("mbali"), Reason::MemberPending).await;
        world.clock.set(NOW.after(Workspace::PENDING_FOR * month));
    }
    // Nor by a question that ends the next minute.
    let now = NOW.after(Workspace::PENDING_FOR * 4);
    let brief = ExternalInput { expires_at: Some(now.after(Duration::from_mins(1))), ..ExternalInput::default() };
    let asked = world.assign(&AssignUser { external: brief, ..save("mbali") }).await.unwrap();
    assert_eq!(asked.outcome, AssignOutcome::LinkPending);
    world.clock.set(now.after(Duration::from_mins(1)));
    assert_eq!(linked(&world, "mbali").await, ASKED_FIRST);
    let ended = |event: &EventBody| matches!(event, EventBody::MembershipEnded { reason: EndReason::Lapsed, .. });
    assert_eq!(world.events().await.iter().filter(|event| ended(event)).count(), 5);
}

#[tokio::test]
async fn a_membership_whose_time_is_over_is_ended_in_the_unit_of_the_new_one() {
    let world = World::new().await;
    let reader = world.reader.id;
    let old = world
        .visitor("mbali", |membership| {
            membership.expires_at = Some(minute(1));
            membership.base.grants.roles.insert(reader);
        })
        .await;
    let life = world.external(old.id).await.base.id;
    world.refused(&save("mbali"), Reason::AlreadyMember).await;
    world.clock.set(minute(1));
    let revision = world.acme_now().await.revision;
    assert_eq!(linked(&world, "mbali").await, AT_ONCE);
    let fresh = world.external(old.id).await;
    assert!(fresh.base.id != life && fresh.base.grants.roles.is_empty(), "old roles are not restored");
    let events = world.store.events(world.acme.id, revision, 10).await.unwrap();
    assert_eq!(
        events.iter().map(|e| (e.revision, e.index)).collect::<Vec<_>>(),
        [(revision.next(), 0), (revision.next(), 1)]
    );
    let ended =
        EventBody::MembershipEnded { membership: life, user: old.id, reason: EndReason::Expired, roles: vec![reader] };
    assert_eq!(events[0].body, ended);
    assert_eq!(world.content()["membership_history"].len(), 1);
}

#[tokio::test]
async fn a_relationship_limits_how_long_a_membership_lasts() {
    let longest = Duration::from_hours(24);
    let limits: [Ask; 2] = [
        |_, _, terms| terms.host_terms.longest_membership = Some(Duration::from_hours(24)),
        |_, _, terms| {
            terms.host_terms.longest_membership = Some(Duration::from_hours(24));
            terms.suspended_by_host = true;
        },
    ];
    for limit in limits {
        let world = related(limit).await;
        let until = |end| AssignUser {
            external: ExternalInput { expires_at: Some(end), ..ExternalInput::default() },
            ..save("mbali")
        };
        let beyond = NOW.after(longest + Duration::from_micros(1));
        assert_eq!(wrong_fields(world.assign(&until(beyond)).await), ["external.expire_time".to_owned()].into());
        let saved = world.assign(&save("mbali")).await.unwrap();
        let mbali = saved.member.unwrap().membership.base().user;
        assert_eq!(world.external(mbali).await.expires_at, Some(NOW.after(longest)));
        let jonas = world.stranger("jonas").await;
        let shorter = AssignUser { email: mail("jonas"), ..until(minute(5)) };
        world.assign(&shorter).await.unwrap();
        assert_eq!(world.external(jonas.id).await.expires_at, Some(minute(5)));
    }
    let world = World::new().await;
    let mbali = world.stranger("mbali").await;
    let past = ExternalInput { expires_at: Some(NOW), ..ExternalInput::default() };
    let fields = wrong_fields(world.assign(&AssignUser { external: past, ..save("mbali") }).await);
    assert_eq!(fields, ["external.expire_time".to_owned()].into());
    world.assign(&save("mbali")).await.unwrap();
    assert_eq!(world.external(mbali.id).await.expires_at, None);
}

#[tokio::test]
async fn grants_stay_under_the_ceiling_of_the_relationship() {
    let asks = |name: &str| AssignUser {
        external: ExternalInput { grants: roles(&["reader", "guest"]), ..ExternalInput::default() },
        ..save(name)
    };
    let world = World::new().await;
    world.stranger("mbali").await;
    let refusal = world.refused(&asks("mbali"), Reason::RoleAboveCeiling).await;
    assert_eq!(refusal.metadata, [("above_ceiling", "reader".to_owned())]);
    assert!(refusal.message.contains("reader"));

    // The relationship's own ceiling replaces the default one, whole.
    let mut agreed = relationship(world.acme.id, world.borealis.id);
    agreed.host_terms.ceiling.roles.insert(world.reader.id);
    world.put(&[agreed.into()]).await;
    let refusal = world.refused(&asks("mbali"), Reason::RoleAboveCeiling).await;
    assert_eq!(refusal.metadata, [("above_ceiling", "guest".to_owned())]);
    let within = ExternalInput { grants: roles(&["reader"]), ..ExternalInput::default() };
    let saved = world.assign(&AssignUser { external: within, ..save("mbali") }).await.unwrap();
    let user = saved.member.unwrap().membership.base().user;
    assert_eq!(world.check(user, "orders.read").await.unwrap().decision, Ok(()));
}
