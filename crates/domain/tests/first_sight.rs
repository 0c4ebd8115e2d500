//! A person whom nobody bound comes with a token: who is taken for a user, who is not, and what nobody learns of it.

use std::sync::Arc;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal};
use domicile_domain::model::audit::AuditRecord;
use domicile_domain::model::budget::Counter;
use domicile_domain::model::contact::{ContactKey, ContactOwner, ContactStanding};
use domicile_domain::model::id::UserId;
use domicile_domain::model::time::{Revision, Version};
use domicile_domain::model::user::{Identity, User, UserState};
use domicile_domain::model::workspace::{WorkspaceRef, WorkspaceState};
use domicile_domain::port::authenticator::{Caller, PersonClaim};
use domicile_domain::port::directory::{Directory, MockDirectory};
use domicile_domain::port::store::{
    Constraint, MockStore, MockUnitOfWork, MockUserRepository, MockWorkspaceRepository, StoreError,
};
use domicile_domain::usecase::{Arrival, Domicile, DomicileApi};
use domicile_testkit::builders::{email, external, handle, id, internal, minute, person, user};
use domicile_testkit::memory::{Injection, Moment};

use crate::support::{Plan, World, in_state, mail, service};

const ISSUER: &str = "https://login.example";

fn identity(subject: &str) -> Identity {
    Identity { issuer: ISSUER.to_owned(), subject: subject.to_owned() }
}

/// What a token proves: a subject, the email that its issuer has verified, and the homes it is trusted for.
#[derive(Clone)]
struct Token {
    identity: Identity,
    email: Option<String>,
    trusted_for: Option<ScopeReach>,
}

/// A token of the issuer that is trusted for Acme, by its handle.
fn token(subject: &str, email: &str) -> Token {
    let acme = WorkspaceRef::Handle(handle("acme"));
    Token {
        identity: identity(subject),
        email: Some(email.to_owned()),
        trusted_for: Some(ScopeReach::Workspaces([acme].into())),
    }
}

fn arrival() -> Arrival {
    Arrival { deadline: minute(60), correlation_id: "sight".to_owned(), surface: "embedded" }
}

fn caller(token: &Token, own: bool) -> Caller {
    let person = PersonClaim::Proven {
        identity: token.identity.clone(),
        own,
        verified_email: token.email.as_deref().map(email),
        trusted_for: token.trusted_for.clone(),
    };
    Caller { service: service(), person: Some(person) }
}

async fn seen(domicile: &Domicile, token: &Token) -> Result<UserId, Refusal> {
    let actor = domicile.identify(caller(token, true), &arrival()).await?;
    Ok(actor.user_id().unwrap())
}

/// Somebody at home in Acme, without an identity.
async fn nora(world: &World) -> User {
    world.account(user(world.acme.id, "nora")).await
}

async fn last_record(world: &World) -> AuditRecord {
    world.audit().await.into_iter().next().unwrap()
}

fn changed<'a>(row: &'a AuditRecord, path: &str) -> Option<&'a str> {
    row.changes.iter().find(|change| change.path == path)?.after.as_deref()
}

/// The rows of all workspaces, and of none, that tell of a refused stranger.
fn refusals(world: &World) -> usize {
    let dump = world.store.dump();
    dump["audit_records"].iter().filter(|row| row.contains("IDENTITY_NOT_BOUND")).count()
}

#[tokio::test]
async fn a_trusted_issuer_with_a_verified_email_binds_its_person() {
    let world = World::new().await;
    let nora = nora(&world).await;
    world.clock.set(minute(5));
    let revision = world.acme_now().await.revision;
    // The address is compared as contacts are: without case.
    let token = token("n-1", "NORA@mail.EXAMPLE");
    for (own, means) in [(true, Means::OwnToken), (false, Means::Exchanged)] {
        let actor = world.domicile.identify(caller(&token, own), &arrival()).await.unwrap();
        assert_eq!(actor, Actor { service: service(), user: Some(ActingUser { id: nora.id, means }) });
    }

    let mut expected = nora.clone();
    expected.version = nora.version.next();
    expected.updated_at = minute(5);
    person(&mut expected).email.verify(minute(5));
    assert_eq!(world.store.user(nora.id).await.unwrap(), Some(expected));
    assert_eq!(world.store.identities(nora.id).await.unwrap(), [identity("n-1")]);
    assert_eq!(world.acme_now().await.revision, revision.next(), "the second call found the first one's effect");
    let paths = vec!["identities".to_owned(), "email.standing".to_owned()];
    assert_eq!(world.events().await, [EventBody::UserChanged { user: nora.id, paths }]);

    let row = last_record(&world).await;
    assert_eq!((row.action.as_str(), row.outcome.as_str()), ("bind_identity", "done"));
    assert_eq!((row.actor, row.subject, row.workspace), (Some(nora.id), Some(nora.id), Some(world.acme.id)));
    assert_eq!(
        (row.service.as_str(), row.surface.as_str(), row.correlation_id.as_str()),
        ("shop", "embedded", "sight")
    );
    assert_eq!(changed(&row, "identities"), Some(ISSUER));
    assert_eq!(changed(&row, "identities.how"), Some("FIRST_SIGHT"));
    assert_eq!(changed(&row, "email.standing"), Some("VERIFIED"));
    // What is personal stands apart, under the person: erasing finds it there.
    assert!(!format!("{row:?}").contains("n-1"));
    let personal = &world.store.dump()["personal_values"];
    let told = |text: &str| personal.iter().any(|line| line.contains(text) && line.contains(&nora.id.to_string()));
    assert!(told("n-1") && told("nora@mail.example"), "{personal:?}");
}

#[tokio::test]
async fn a_contact_that_is_verified_already_stays_as_it_is() {
    let world = World::new().await;
    let mut nora = user(world.acme.id, "nora");
    person(&mut nora).email.standing = ContactStanding::Verified;
    let nora = world.account(nora).await;
    world.clock.set(minute(5));
    assert_eq!(seen(&world.domicile, &token("n-1", &mail("nora"))).await, Ok(nora.id));
    let now = world.store.user(nora.id).await.unwrap().unwrap();
    assert_eq!((now.version, now.person), (nora.version.next(), nora.person));
    let paths = vec!["identities".to_owned()];
    assert_eq!(world.events().await, [EventBody::UserChanged { user: nora.id, paths }]);
    assert_eq!(changed(&last_record(&world).await, "email.standing"), None);
}

#[tokio::test]
async fn a_bound_identity_is_its_user_whatever_the_token_says_of_an_email() {
    let world = World::new().await;
    let nora = nora(&world).await;
    world.put(&[(nora.id, identity("n-1")).into()]).await;
    let content = world.content();
    let elsewhere = [
        token("n-1", &mail("nora")),
        token("n-1", &mail("dana")),
        Token { email: None, ..token("n-1", "") },
        Token { trusted_for: None, ..token("n-1", &mail("dana")) },
    ];
    for token in elsewhere {
        assert_eq!(seen(&world.domicile, &token).await, Ok(nora.id));
    }
    assert_eq!(world.content(), content);
}

/// Why somebody stays a stranger, in a world of its own; what the home's record says of it, if the home may know.
struct Case {
    why: &'static str,
    plan: fn(&mut Plan),
    before: fn(&World, &User) -> Vec<domicile_testkit::seed::Row>,
    state: UserState,
    token: fn(Token) -> Token,
    home_knows: bool,
}

fn cases() -> Vec<Case> {
    let usual = || Case {
        why: "",
        plan: |_| {},
        before: |_, _| Vec::new(),
        state: UserState::Active,
        token: |token| token,
        home_knows: true,
    };
    let unknown = || Case { home_knows: false, ..usual() };
    vec![
        Case { why: "ISSUER_NOT_TRUSTED", token: |t| Token { trusted_for: None, ..t }, ..unknown() },
        Case { why: "EMAIL_NOT_VERIFIED", token: |t| Token { email: None, ..t }, ..unknown() },
        Case { why: "MALFORMED", token: |t| Token { identity: identity(" "), ..t }, ..unknown() },
        Case {
            why: "MALFORMED",
            token: |t| Token { identity: Identity { issuer: "http://login.example".to_owned(), ..t.identity }, ..t },
            ..unknown()
        },
        Case { why: "NO_ACCOUNT", token: |t| Token { email: Some(mail("nobody")), ..t }, ..unknown() },
        // A tombstone has no contact any more.
        Case { why: "NO_ACCOUNT", state: UserState::Erased, ..unknown() },
        Case {
            why: "ISSUER_NOT_TRUSTED_FOR_HOME",
            token: |t| {
                let far = WorkspaceRef::Handle(handle("borealis"));
                Token { trusted_for: Some(ScopeReach::Workspaces([far].into())), ..t }
            },
            ..unknown()
        },
        Case {
            why: "ISSUER_NOT_TRUSTED_FOR_HOME",
            token: |t| Token { trusted_for: Some(ScopeReach::Workspaces([].into())), ..t },
            ..unknown()
        },
        // Trust is of the home: being External in a workspace that trusts the issuer is not enough.
        Case {
            why: "ISSUER_NOT_TRUSTED_FOR_HOME",
            before: |world, _| {
                let far = user(world.borealis.id, "far");
                vec![(&far).into(), internal(&far).into(), external(&far, world.acme.id).into()]
            },
            token: |t| Token { email: Some(mail("far")), ..t },
            ..unknown()
        },
        Case { why: "HOME_UNAVAILABLE", plan: |plan| plan.acme.state = WorkspaceState::Suspended, ..usual() },
        Case { why: "HOME_UNAVAILABLE", plan: |plan| plan.acme.state = WorkspaceState::Closing, ..usual() },
        Case { why: "HOME_UNAVAILABLE", plan: |plan| plan.acme.state = WorkspaceState::Closed, ..usual() },
        Case { why: "ACCOUNT_UNAVAILABLE", state: UserState::Suspended, ..usual() },
        Case { why: "ACCOUNT_UNAVAILABLE", state: UserState::Deactivated, ..usual() },
        // The address passed to somebody else at the issuer; the account did not.
        Case { why: "ANOTHER_SUBJECT_BOUND", before: |_, nora| vec![(nora.id, identity("n-0")).into()], ..usual() },
        Case {
            why: "TOO_MANY_IDENTITIES",
            before: |_, nora| {
                let at =
                    |number| Identity { issuer: format!("https://login{number}.example"), subject: "n".to_owned() };
                (0..Identity::MOST).map(|number| (nora.id, at(number)).into()).collect()
            },
            ..usual()
        },
    ]
}

#[tokio::test]
async fn every_other_stranger_stays_one_hears_the_same_and_is_recorded() {
    let mut answers = Vec::new();
    for Case { why, plan, before, state, token: change, home_knows } in cases() {
        let world = World::with(plan).await;
        let nora = in_state(user(world.acme.id, "nora"), state);
        world.put(&[(&nora).into()]).await;
        world.put(&before(&world, &nora)).await;
        let token = change(token("n-1", &mail("nora")));
        let content = world.content();
        let refusal = seen(&world.domicile, &token).await.unwrap_err();
        assert_eq!(world.content(), content, "{why} changed something");
        answers.push(refusal);

        let (all, of_home) = (refusals(&world), world.audit().await);
        assert_eq!((all, of_home.len()), (1, usize::from(home_knows)), "{why}");
        let rows = &world.store.dump()["audit_records"];
        assert!(rows.iter().any(|row| row.contains("BindIdentity") && row.contains(why)), "{why}: {rows:?}");
        if let Some(row) = of_home.first() {
            assert_eq!((row.subject, row.actor, changed(row, "identities.refused")), (Some(nora.id), None, Some(why)));
        }
        // The subject is kept only where it belongs to somebody who can be erased.
        let personal = &world.store.dump()["personal_values"];
        assert_eq!(personal.iter().any(|line| line.contains("n-1")), home_knows, "{why}");
    }
    assert_eq!(answers[0], Refusal::new(Reason::IdentityNotBound));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// Whoever asks with a token of a trusted issuer cannot tell by the work whether somebody has the email.
#[tokio::test]
async fn strangers_cost_the_same_whether_or_not_there_is_an_account() {
    let world = World::new().await;
    let nora = nora(&world).await;
    world.put(&[(nora.id, identity("n-0")).into()]).await;
    let gone = in_state(user(world.acme.id, "gone"), UserState::Suspended);
    world.put(&[(&gone).into()]).await;
    world.stranger("far").await;
    world.store.hold_contact(ContactKey::from(&email(&mail("held"))), world.acme.id, minute(60));
    let mut work = Vec::new();
    for name in ["nora", "gone", "far", "nobody", "held"] {
        let before = world.store.counters();
        let refused = seen(&world.domicile, &token("n-1", &mail(name))).await;
        assert_eq!(refused, Err(Refusal::new(Reason::IdentityNotBound)), "{name}");
        let after = world.store.counters();
        work.push((after.begun - before.begun, after.statements - before.statements));
    }
    assert!(work.iter().all(|cost| *cost == work[0]), "{work:?}");
}

#[tokio::test]
async fn two_at_once_are_one_person_with_one_identity() {
    let world = World::new().await;
    let nora = nora(&world).await;
    let token = token("n-1", &mail("nora"));
    let answers = tokio::join!(
        seen(&world.domicile, &token),
        seen(&world.domicile, &token),
        seen(&world.domicile, &token),
        seen(&world.domicile, &token)
    );
    assert_eq!(answers, (Ok(nora.id), Ok(nora.id), Ok(nora.id), Ok(nora.id)));
    assert!(world.domicile.reruns() > 0, "no race was lost, so none was tested");
    assert_eq!(world.store.identities(nora.id).await.unwrap().len(), 1);
    assert_eq!(world.store.user(nora.id).await.unwrap().unwrap().version, nora.version.next());
    assert_eq!((world.events().await.len(), world.audit().await.len()), (1, 1));
}

#[tokio::test]
async fn two_subjects_at_once_do_not_share_an_account() {
    let world = World::new().await;
    let nora = nora(&world).await;
    let (one, two) = (token("n-1", &mail("nora")), token("n-2", &mail("nora")));
    let answers = tokio::join!(seen(&world.domicile, &one), seen(&world.domicile, &two));
    let refused = Err(Refusal::new(Reason::IdentityNotBound));
    assert!(answers == (Ok(nora.id), refused.clone()) || answers == (refused, Ok(nora.id)), "{answers:?}");
    assert_eq!(world.store.identities(nora.id).await.unwrap().len(), 1);
}

/// The directory may be behind: the unit looks again, and the one to whom the identity is bound is meant.
#[tokio::test]
async fn an_identity_that_was_taken_meanwhile_is_read_again() {
    let world = World::new().await;
    let (nora, ben) = (nora(&world).await, world.account(user(world.acme.id, "ben")).await);
    world.put(&[(ben.id, identity("n-1")).into()]).await;
    let mut behind = MockDirectory::new();
    behind.expect_user_by_identity().returning(|_| Ok(None));
    let domicile = world.rewired(|ports| ports.directory = Arc::new(behind));
    let content = world.content();
    assert_eq!(seen(&domicile, &token("n-1", &mail("nora"))).await, Ok(ben.id));
    assert_eq!(world.content(), content);
    assert_eq!(world.store.identities(nora.id).await.unwrap(), []);
}

#[tokio::test]
async fn lost_races_are_run_again_at_the_statement_and_at_the_commit() {
    for at in [Moment::Statement, Moment::Commit] {
        for error in [StoreError::Conflict(Constraint::Identity), StoreError::Stale, StoreError::Contention] {
            let world = World::new().await;
            let nora = nora(&world).await;
            world.store.inject(Injection { at, error: error.clone(), times: 1 });
            assert_eq!(seen(&world.domicile, &token("n-1", &mail("nora"))).await, Ok(nora.id), "{at:?} {error:?}");
            assert_eq!(world.domicile.reruns(), 1, "{at:?} {error:?}");
            assert_eq!(world.store.identities(nora.id).await.unwrap().len(), 1, "{at:?} {error:?}");
        }
    }
    // The answer of the commit was lost on its way: what it wrote is found.
    let world = World::new().await;
    let nora = nora(&world).await;
    world.store.inject(Injection { at: Moment::Committed, error: StoreError::ConnectionLost, times: 1 });
    assert_eq!(seen(&world.domicile, &token("n-1", &mail("nora"))).await, Ok(nora.id));
    assert_eq!((world.domicile.reruns(), world.events().await.len()), (1, 1));
}

#[tokio::test]
async fn whichever_statement_fails_nobody_is_bound_by_half_and_nobody_is_let_in() {
    let world = World::new().await;
    let nora = nora(&world).await;
    let dump = world.store.dump();
    let mut passed = 0;
    loop {
        let gone = StoreError::Unavailable("injected".to_owned());
        world.store.inject_after(passed, Injection { at: Moment::Statement, error: gone, times: 1 });
        match seen(&world.domicile, &token("n-1", &mail("nora"))).await {
            Ok(user) => break assert_eq!(user, nora.id),
            Err(refusal) => assert_eq!(refusal.reason, Reason::StoreUnavailable),
        }
        assert_eq!(world.store.dump(), dump, "statement {passed}");
        passed += 1;
    }
    assert!(passed > 8, "{passed}");
}

/// A refusal that cannot be recorded is not told: the caller hears of the store.
#[tokio::test]
async fn a_stranger_who_cannot_be_recorded_hears_that_the_store_failed() {
    let world = World::new().await;
    let gone = StoreError::Unavailable("injected".to_owned());
    world.store.inject(Injection { at: Moment::Commit, error: gone, times: 1 });
    let refused = seen(&world.domicile, &token("n-1", &mail("nobody"))).await.unwrap_err();
    assert_eq!((refused.reason, refusals(&world)), (Reason::StoreUnavailable, 0));
}

#[tokio::test]
async fn services_and_people_they_name_are_taken_as_they_come_and_the_operator_names_nobody() {
    let world = World::new().await;
    let alone = world.domicile.identify(Caller { service: service(), person: None }, &arrival()).await;
    assert_eq!(alone, Ok(Actor::service(service())));
    let reach = ScopeReach::Workspaces([WorkspaceRef::Id(world.acme.id)].into());
    let named = PersonClaim::Named { user: id(), reach: reach.clone() };
    let caller = Caller { service: service(), person: Some(named.clone()) };
    let actor = world.domicile.identify(caller.clone(), &arrival()).await.unwrap();
    assert_eq!(actor.user.map(|user| user.means), Some(Means::ActAs(reach)));
    assert!(world.store.dump()["audit_records"].is_empty(), "nothing was refused");
    let operator = ServicePrincipal { operator: true, ..ServicePrincipal::new("console") };
    let refused = world.domicile.identify(Caller { service: operator, ..caller }, &arrival()).await;
    assert_eq!(refused, Err(Refusal::new(Reason::ActAsNotGranted)));
}

/// The service and whom it named stand in the record, in the view of no workspace: nobody acted in one.
#[tokio::test]
async fn a_service_that_names_somebody_without_a_grant_is_recorded_with_whom_it_named() {
    let world = World::new().await;
    let (nora, operator) =
        (nora(&world).await, ServicePrincipal { operator: true, ..ServicePrincipal::new("console") });
    let why = "there is no grant".to_owned();
    let ungranted = |user| PersonClaim::Ungranted { user, why: why.clone() };
    let reach = ScopeReach::Everywhere;
    for (service, person, message) in [
        (service(), ungranted(nora.id), why.clone()),
        (operator.clone(), ungranted(nora.id), why.clone()),
        (operator, PersonClaim::Named { user: world.dana.id, reach }, Refusal::new(Reason::ActAsNotGranted).message),
    ] {
        let content = world.content();
        let (name, named) = (service.name.clone(), if message == why { nora.id } else { world.dana.id });
        let caller = Caller { service, person: Some(person) };
        for _ in 0..3 {
            let refused = world.domicile.identify(caller.clone(), &arrival()).await.unwrap_err();
            assert_eq!((refused.reason, &refused.message), (Reason::ActAsNotGranted, &message));
        }
        assert_eq!(world.content(), content);
        let rows = &world.store.dump()["audit_records"];
        let told = |row: &&String| {
            ["ActAs", "ACT_AS_NOT_GRANTED", &name, &named.to_string()].iter().all(|word| row.contains(word))
        };
        assert_eq!(rows.iter().filter(told).count(), 1, "{rows:?}");
    }
    assert!(world.audit().await.is_empty());
}

/// Rows of the record that tell of refused strangers, after so many calls of each of so many, through one service.
async fn rows_after(world: &World, strangers: u32, calls: u32) -> usize {
    for number in 0..strangers {
        for _ in 0..calls {
            let token = token(&format!("n-{number}"), &mail("nobody"));
            assert_eq!(seen(&world.domicile, &token).await, Err(Refusal::new(Reason::IdentityNotBound)));
        }
    }
    refusals(world)
}

#[tokio::test]
async fn strangers_do_not_fill_the_record() {
    let world = World::new().await;
    assert_eq!(rows_after(&world, 1, 1).await, 1, "the first is recorded");
    assert_eq!(rows_after(&world, 1, 50).await, 1, "and stands for those that follow");
    assert_eq!(rows_after(&world, 5, 3).await, 5, "another one has a row");
    let most = usize::try_from(Counter::OF_TURNED_AWAY).unwrap();
    let all = rows_after(&world, 2000, 1).await;
    assert!(all > most / 2 && all <= most, "{all}");
    // The next period tells of them again.
    world.clock.set(minute(61));
    assert_eq!(rows_after(&world, 1, 5).await, all + 1);
}

/// Whoever comes for a person stands in the record of the home, whatever flood comes for nobody.
#[tokio::test]
async fn a_flood_of_strangers_hides_nobody_who_comes_for_a_person() {
    let world = World::new().await;
    world.put(&[(nora(&world).await.id, identity("hers")).into()]).await;
    rows_after(&world, 2000, 1).await;
    for (subject, rows) in [("n-1", 1), ("n-1", 1), ("n-2", 2)] {
        assert!(seen(&world.domicile, &token(subject, &mail("nora"))).await.is_err());
        assert_eq!(world.audit().await.len(), rows, "{subject}");
    }
    // Another cause is another row.
    assert!(seen(&world.domicile, &Token { email: None, ..token("n-1", "") }).await.is_err());
    assert_eq!(world.audit().await.len(), 2);
}

/// An issuer may say another address of one subject at each call. What that costs does not tell whose addresses there are.
#[tokio::test]
async fn a_second_address_costs_the_same_whether_or_not_it_is_somebodys() {
    let world = World::new().await;
    let gone = in_state(user(world.acme.id, "gone"), UserState::Suspended);
    world.put(&[(&gone).into()]).await;
    let mut work = Vec::new();
    for name in ["nobody", "gone", "nobody-else"] {
        let before = world.store.counters();
        assert!(seen(&world.domicile, &token("n-1", &mail(name))).await.is_err(), "{name}");
        let after = world.store.counters();
        work.push((after.begun - before.begun, after.statements - before.statements));
    }
    assert!(work.iter().all(|cost| *cost == work[0]), "{work:?}");
}

/// Where a unit sees what others committed meanwhile: the identity was bound while this one waited for the home's revision.
#[tokio::test]
async fn whoever_waited_for_the_call_that_bound_them_is_the_same_person() {
    let world = World::new().await;
    let (nora, acme) = (nora(&world).await, world.acme_now().await);
    let mut store = MockStore::new();
    let known = nora.clone();
    store.expect_begin().times(1).returning(move |_| {
        let (nora, acme) = (known.clone(), acme.clone());
        let mut tx = MockUnitOfWork::new();
        tx.expect_users().returning(move || {
            let (owner, nora) = (nora.id, nora.clone());
            let mut users = MockUserRepository::new();
            users.expect_identity_owner().returning(|_| Ok(None));
            users.expect_contact_owner().returning(move |_, _| {
                let (standing, version) = (ContactStanding::Asserted, Version::FIRST);
                Ok(Some(ContactOwner::User { user: owner, standing, version }))
            });
            users.expect_find().returning(move |_| Ok(Some(nora.clone())));
            users.expect_identities().returning(|_| Ok(vec![identity("n-1")]));
            Box::new(users)
        });
        tx.expect_workspaces().returning(move || {
            let acme = acme.clone();
            let mut workspaces = MockWorkspaceRepository::new();
            workspaces.expect_take_revision().returning(|_| Ok(Some((id(), Revision::FIRST))));
            workspaces.expect_find().returning(move |_| Ok(Some(acme.clone())));
            Box::new(workspaces)
        });
        tx.expect_rollback().times(1).returning(|| Ok(()));
        Ok(Box::new(tx))
    });
    let domicile = world.rewired(|ports| ports.store = Arc::new(store));
    assert_eq!(seen(&domicile, &token("n-1", &mail("nora"))).await, Ok(nora.id));
}
