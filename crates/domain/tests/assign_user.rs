//! The save where nobody is found: what it writes in one unit, what it refuses, and how it is repeated.

use domicile_domain::error::Reason;
use domicile_domain::event::EventBody;
use domicile_domain::model::answer::{AssignOutcome, RequestFingerprint};
use domicile_domain::model::contact::{ContactKey, ContactStanding};
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::membership::{EndReason, Membership, MembershipKind};
use domicile_domain::model::name::ExternalId;
use domicile_domain::model::notice::{Channel, NoticeKind, NoticeState};
use domicile_domain::model::permission::Permission;
use domicile_domain::model::time::Version;
use domicile_domain::port::directory::Directory;
use domicile_domain::usecase::{
    AssignUser, DomicileApi, Expectation, ExternalInput, GrantsInput, ProfileInput, RequestIdentity,
};
use domicile_testkit::builders::{NOW, email, internal, minute, permission, person, user};

use crate::support::{
    PHONE, World, both_rights, call, mail, permissions, profile, reason, request, roles, save, save_as, service,
    with_phone, wrong_fields,
};

#[tokio::test]
async fn creating_writes_account_membership_notice_events_audit_and_answer_in_one_unit() {
    let world = World::new().await;
    let (before, counters) = (world.acme_now().await.revision, world.store.counters());
    let create = AssignUser {
        phone: "06 30 123 4567".to_owned(),
        internal: roles(&["reader", "member"]),
        external_id: "E-17".to_owned(),
        ..save_as(Expectation::Create, "nora")
    };
    let saved = world.assign(&create).await.unwrap();
    assert_eq!(saved.outcome, AssignOutcome::CreatedInternal);
    assert_eq!((saved.replayed, saved.discarded_fields.is_empty()), (false, true));
    assert_eq!(world.store.counters().committed, counters.committed + 1);
    assert_eq!(world.acme_now().await.revision, before.next());

    let member = saved.member.unwrap();
    let Membership::Internal(membership) = &member.membership else { panic!("{member:?}") };
    let base = &membership.base;
    assert_eq!(world.member(base.user).await.as_ref(), Some(&member.membership));
    assert_eq!((base.assigned_by, base.assigned_at), (Some(world.dana.id), NOW));
    assert_eq!(base.external_id.as_ref().map(ExternalId::as_str), Some("E-17"));
    assert_eq!(base.grants.roles.len(), 2);
    assert_eq!((member.display_name.as_deref(), member.phone.as_deref()), (Some("Nora Vega"), Some(PHONE)));

    let account = world.store.user(base.user).await.unwrap().unwrap();
    assert_eq!((account.home, account.created_in), (world.acme.id, world.acme.id));
    assert_eq!(account.person.unwrap().email.standing, ContactStanding::Asserted);

    let notice = world.notices().await.into_iter().next().unwrap();
    assert_eq!(Some(notice.id), saved.notice);
    assert_eq!(
        (notice.kind, notice.state, notice.channel),
        (NoticeKind::Onboarding, NoticeState::Queued, Channel::Email)
    );
    assert_eq!((notice.home, notice.due_at, notice.actor), (world.acme.id, Some(NOW), Some(world.dana.id)));
    assert_eq!((notice.membership, notice.language_asked.as_str()), (base.id, "hu"));

    let roles = base.grants.roles.iter().copied().collect();
    let began = EventBody::MembershipCreated {
        membership: base.id,
        user: base.user,
        membership_kind: MembershipKind::Internal,
        state: None,
        roles,
    };
    assert_eq!(world.events().await, [EventBody::UserCreated { user: base.user }, began]);
    let events = world.store.events(world.acme.id, before, 10).await.unwrap();
    assert_eq!(
        events.iter().map(|e| (e.revision, e.index)).collect::<Vec<_>>(),
        [(before.next(), 0), (before.next(), 1)]
    );

    let row = world.audit().await.into_iter().next().unwrap();
    assert_eq!((row.outcome.as_str(), row.subject), ("done", Some(base.user)));
    let changes: Vec<_> = row.changes.iter().map(|c| (c.path.as_str(), c.after.as_deref().unwrap())).collect();
    let expected =
        [("membership.kind", "INTERNAL"), ("membership.roles", "member,reader"), ("membership.permissions", "")];
    assert_eq!(changes, expected);
    assert_eq!(world.content()["answered_requests"].len(), 1);
}

#[tokio::test]
async fn a_rehearsal_changes_nothing_but_the_audit_and_does_not_use_the_request_id() {
    let world = World::new().await;
    world.stranger("mbali").await;
    for (name, outcome) in [("nora", AssignOutcome::CreatedInternal), ("mbali", AssignOutcome::LinkedExternal)] {
        let before = world.content();
        let rehearsal = AssignUser { validate_only: true, ..save(name) };
        let told = world.assign(&rehearsal).await.unwrap();
        assert_eq!((told.outcome, told.replayed), (outcome, false));
        assert_eq!((told.member, told.notice, told.consistency_token), (None, None, None));
        assert_eq!(told.discarded_fields.is_empty(), name == "nora");
        assert_eq!(world.content(), before);
        assert_eq!(world.audit().await[0].outcome, "rehearsed");
        let real = AssignUser { validate_only: false, ..rehearsal };
        assert_eq!(world.assign(&real).await.unwrap().outcome, outcome);
    }
    let refused = AssignUser { validate_only: true, ..save("mbali") };
    world.refused(&refused, Reason::AlreadyMember).await;
}

#[tokio::test]
async fn one_request_id_has_one_effect_and_one_answer() {
    let world = World::new().await;
    let manager = world.colleague("second", &both_rights()).await;
    let create = save_as(Expectation::Create, "nora");
    let first = world.assign(&create).await.unwrap();
    let content = world.content();
    let again = world.assign(&create).await.unwrap();
    assert_eq!(again, domicile_domain::usecase::AssignReply { replayed: true, ..first.clone() });
    // The replay comes before validation, after permission.
    let unreadable = AssignUser { email: "nobody".to_owned(), ..create.clone() };
    assert_eq!(world.assign(&unreadable).await.unwrap().notice, first.notice);
    world.refused_to(&world.lena, &create, Reason::PermissionDenied).await;
    let other_body = RequestIdentity { id: create.request.id.clone(), fingerprint: RequestFingerprint([2; 32]) };
    world.refused(&AssignUser { request: other_body, ..create.clone() }, Reason::RequestIdReused).await;
    // The same id of another person or service is another request.
    world.refused_to(&manager, &create, Reason::AlreadyMember).await;
    let mut other_service = call(&world.dana);
    other_service.actor.service =
        domicile_domain::model::actor::ServicePrincipal { name: "console".to_owned(), ..service() };
    assert_eq!(reason(world.domicile.assign_user(&other_service, &create).await), Reason::AlreadyMember);
    assert_eq!(world.content(), content);
}

#[tokio::test]
async fn refusals_are_not_kept_and_an_answer_outlives_its_membership() {
    let world = World::new().await;
    let link = save_as(Expectation::Link, "mbali");
    world.refused(&link, Reason::NoAccount).await;
    let mbali = world.stranger("mbali").await;
    let first = world.assign(&link).await.unwrap();
    assert_eq!((first.outcome, first.replayed), (AssignOutcome::LinkedExternal, false));
    world.end(&mbali, EndReason::Unlinked).await;
    let late = world.assign(&link).await.unwrap();
    assert_eq!((late.outcome, late.replayed, late.member), (AssignOutcome::LinkedExternal, true, None));
    assert_eq!((late.notice, late.consistency_token), (first.notice, first.consistency_token));
    // A new life of the membership is not the one that the answer told of.
    world.assign(&save_as(Expectation::Link, "mbali")).await.unwrap();
    assert_eq!(world.assign(&link).await.unwrap().member, None);
}

#[tokio::test]
async fn only_a_new_internal_can_go_untold() {
    let world = World::new().await;
    world.stranger("mbali").await;
    world.former("gone", EndReason::Left).await;
    for name in ["mbali", "gone"] {
        for expectation in [Expectation::Link, Expectation::Either] {
            let quiet = AssignUser { notify: Some(false), ..save_as(expectation, name) };
            world.refused(&quiet, Reason::NotifyRequired).await;
        }
    }
    for (expectation, name) in [(Expectation::Create, "one"), (Expectation::Either, "two")] {
        let saved = world.assign(&AssignUser { notify: Some(false), ..save_as(expectation, name) }).await.unwrap();
        assert_eq!((saved.outcome, saved.notice), (AssignOutcome::CreatedInternal, None));
    }
    assert_eq!(world.notices().await, []);
}

#[tokio::test]
async fn a_new_internal_is_told_in_the_preferred_language_by_the_homes_channel() {
    let world = World::with(|plan| plan.acme.notices.channels = vec![Channel::Sms, Channel::Email]).await;
    let external = ExternalInput { language: "de".to_owned(), ..ExternalInput::default() };
    world.assign(&AssignUser { external, ..save("without.phone") }).await.unwrap();
    world.assign(&AssignUser { phone: PHONE.to_owned(), ..save("with.phone") }).await.unwrap();
    let told: Vec<_> = world.notices().await.into_iter().map(|n| (n.channel, n.language_asked.to_string())).collect();
    // `external.language` is of the membership that EITHER might have made.
    assert_eq!(told, [(Channel::Sms, "hu".to_owned()), (Channel::Email, "hu".to_owned())]);
}

#[tokio::test]
async fn wrong_fields_are_named_together() {
    let world = World::new().await;
    let wrong = AssignUser {
        request: RequestIdentity { id: "x".to_owned(), ..request() },
        email: "nobody".to_owned(),
        phone: "12".to_owned(),
        profile: ProfileInput { first_name: "http://x".to_owned(), ..ProfileInput::default() },
        internal: GrantsInput {
            roles: vec!["nope".to_owned()],
            permissions: vec!["no.such".to_owned(), "x".to_owned()],
        },
        external: ExternalInput { language: "??".to_owned(), expires_at: Some(NOW), ..ExternalInput::default() },
        external_id: "\u{202e}".to_owned(),
        ..save_as(Expectation::Create, "nora")
    };
    let fields = wrong_fields(world.assign(&wrong).await);
    let expected = [
        "email",
        "external",
        "external.expire_time",
        "external.language",
        "external_id",
        "internal.permissions[0]",
        "internal.permissions[1]",
        "internal.roles[0]",
        "phone",
        "profile.first_name",
        "profile.last_name",
        "profile.preferred_language",
        "profile.username",
        "request_id",
    ];
    assert_eq!(fields, expected.map(str::to_owned).into());
    assert_eq!(world.audit().await[0].outcome, "INVALID_REQUEST");
}

#[tokio::test]
async fn each_expectation_takes_its_own_fields() {
    let world = World::new().await;
    let some = roles(&["member"]);
    let external = |grants| ExternalInput { grants, ..ExternalInput::default() };
    let language = ExternalInput { language: "de".to_owned(), ..ExternalInput::default() };
    let expiry = ExternalInput { expires_at: Some(minute(60)), ..ExternalInput::default() };
    let empty = String::new;
    let cases = [
        (AssignUser { expectation: None, ..save("x") }, "expectation"),
        (AssignUser { email: empty(), ..save_as(Expectation::Create, "x") }, "email"),
        (AssignUser { email: empty(), phone: PHONE.to_owned(), ..save("x") }, "email"),
        (AssignUser { email: empty(), ..save_as(Expectation::Link, "x") }, "email"),
        (AssignUser { external: external(some.clone()), ..save_as(Expectation::Create, "x") }, "external"),
        (AssignUser { external: language, ..save_as(Expectation::Create, "x") }, "external"),
        (AssignUser { external: expiry, ..save_as(Expectation::Create, "x") }, "external"),
        (AssignUser { internal: some.clone(), ..save_as(Expectation::Link, "x") }, "internal"),
        (AssignUser { profile: ProfileInput::default(), ..save("x") }, "profile.username"),
    ];
    for (save, field) in cases {
        let fields = wrong_fields(world.assign(&save).await);
        assert!(fields.contains(field) && fields.iter().all(|f| f.starts_with(&field[..5])), "{field}: {fields:?}");
    }
    let either = AssignUser { internal: some.clone(), external: external(some), ..save("x") };
    assert_eq!(world.assign(&either).await.unwrap().outcome, AssignOutcome::CreatedInternal);
}

#[tokio::test]
async fn roles_are_named_by_id_or_handle_and_permissions_must_be_in_use() {
    let world = World::new().await;
    let retired = Permission { retired_at: Some(NOW), ..permission("orders.old") };
    world.put(&[retired.into()]).await;
    let by_id = AssignUser { internal: roles(&[&world.reader.id.to_string(), "reader"]), ..save("one") };
    let member = world.assign(&by_id).await.unwrap().member.unwrap();
    assert_eq!(member.membership.base().grants.roles, [world.reader.id].into());
    let direct = AssignUser { internal: permissions(&["orders.write"]), ..save("two") };
    assert!(world.assign(&direct).await.is_ok());
    let old = AssignUser { internal: permissions(&["orders.old"]), ..save("three") };
    assert_eq!(wrong_fields(world.assign(&old).await), ["internal.permissions[0]".to_owned()].into());
}

#[tokio::test]
async fn what_is_unique_is_refused_by_its_own_reason() {
    let world = World::new().await;
    world.stranger("elsewhere").await;
    world.colleague("taken", &[]).await;
    let named = |username: &str| AssignUser { profile: profile(username), ..save("new") };
    let refusal = world.refused(&named("Taken"), Reason::UsernameTaken).await;
    assert_eq!(refusal.metadata, [("field", "profile.username".to_owned())]);
    let numbered = |name: &str| AssignUser { external_id: "E-1".to_owned(), ..save(name) };
    // A username is unique at home alone.
    let first = AssignUser { profile: profile("elsewhere"), ..numbered("new") };
    assert!(world.assign(&first).await.is_ok());
    world.refused(&numbered("other"), Reason::ExternalIdTaken).await;
    world.refused(&numbered("elsewhere"), Reason::ExternalIdTaken).await;
}

#[tokio::test]
async fn a_foreign_domain_is_not_created_and_the_own_proves_the_address() {
    let domain = |text: &str| MailDomain::parse(text).unwrap();
    let world = World::with(|plan| {
        plan.acme.verified_domains.insert(domain("acme.example"));
        plan.borealis.verified_domains.insert(domain("borealis.example"));
    })
    .await;
    let at = |address: &str, name: &str| AssignUser { email: address.to_owned(), ..save(name) };
    world.refused(&at("new@BOREALIS.example", "new"), Reason::NotLinkable).await;
    let own = world.assign(&at("new@Acme.example", "new")).await.unwrap().member.unwrap();
    let account = world.store.user(own.membership.base().user).await.unwrap().unwrap();
    assert_eq!(account.person.unwrap().email.standing, ContactStanding::Verified);
    // Somebody who has such an address already is found by it.
    let mut lent = user(world.acme.id, "lent");
    person(&mut lent).email.value = email("lent@borealis.example");
    world.put(&[(&lent).into(), internal(&lent).into()]).await;
    world.refused(&at("lent@borealis.example", "x"), Reason::AlreadyMember).await;
}

#[tokio::test]
async fn contacts_that_are_taken_or_kept_create_nobody() {
    let world = World::new().await;
    world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    world.stranger("jonas").await;
    let with = |name: &str| AssignUser { phone: PHONE.to_owned(), ..save_as(Expectation::Create, name) };
    world.refused(&with("free"), Reason::ExpectationFailed).await;
    world.refused(&with("jonas"), Reason::ConflictingMatch).await;
    let hold = |name: &str, home| world.store.hold_contact(ContactKey::from(&email(&mail(name))), home, minute(60));
    hold("ours", world.acme.id);
    hold("theirs", world.borealis.id);
    for (name, why) in [("ours", Reason::ContactReserved), ("theirs", Reason::NotLinkable)] {
        for expectation in Expectation::ALL {
            world.refused(&save_as(expectation, name), why).await;
        }
    }
    world.clock.set(minute(60));
    assert!(world.assign(&save("theirs")).await.is_ok());
}

#[tokio::test]
async fn a_token_of_a_save_makes_a_read_at_least_as_fresh() {
    let world = World::new().await;
    let saved = world.assign(&save("nora")).await.unwrap();
    let fresh = domicile_domain::usecase::Consistency::AtLeastAsFresh(saved.consistency_token.unwrap());
    let user = saved.member.unwrap().membership.base().user.to_string();
    let read = world.domicile.get_membership(&call(&world.dana), "acme", &user, &fresh).await.unwrap();
    assert_eq!(read.membership.base().version, Version::FIRST);
}
