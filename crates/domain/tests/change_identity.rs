//! Identities that a manager binds and takes away: by whom, to whom, and what is written.

use std::collections::BTreeSet;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::membership::ExternalState;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::time::Version;
use domicile_domain::model::user::{Identity, User, UserState};
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::{Constraint, StoreError};
use domicile_domain::usecase::{Account, Call, Changed, Consistency, DomicileApi, RequestIdentity, UserView};
use domicile_testkit::builders::{id, internal, minute, user};
use domicile_testkit::memory::{Injection, Moment};

use crate::support::{
    IdentityChange, World, both_rights, call, in_state, reason, request, service, service_call, wrong_fields,
};

const ISSUER: &str = "https://login.example";

fn identity(subject: &str) -> Identity {
    Identity { issuer: ISSUER.to_owned(), subject: subject.to_owned() }
}

/// A change of a person's identities in Acme, under a request id of its own.
fn change(person: &User, subject: &str) -> IdentityChange {
    IdentityChange {
        workspace: "acme".to_owned(),
        request: request(),
        user: person.id.to_string(),
        identity: identity(subject),
        validate_only: false,
    }
}

type Answer = Result<Changed<Account>, Refusal>;

async fn bind(world: &World, change: &IdentityChange) -> Answer {
    world.domicile.bind_identity(&call(&world.dana), &change.order(), &change.change()).await
}

async fn unbind(world: &World, change: &IdentityChange) -> Answer {
    world.domicile.unbind_identity(&call(&world.dana), &change.order(), &change.change()).await
}

/// Refused so, by both ways or the one; nothing but the audit changed, and the audit tells of it.
async fn refused(world: &World, call: &Call, change: &IdentityChange, binding: bool, reason: Reason) -> Refusal {
    let before = world.content();
    let answer = if binding {
        world.domicile.bind_identity(call, &change.order(), &change.change()).await
    } else {
        world.domicile.unbind_identity(call, &change.order(), &change.change()).await
    };
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.reason, reason, "{change:?}");
    assert_eq!(world.content(), before, "{reason:?} changed something");
    let row = world.audit().await.into_iter().next().unwrap();
    let action = if binding { "bind_identity" } else { "unbind_identity" };
    assert_eq!((row.action.as_str(), row.outcome.as_str(), row.actor), (action, reason.as_str(), call.actor.user_id()));
    refusal
}

#[tokio::test]
async fn binding_and_taking_away_write_account_record_event_and_answer() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    world.clock.set(minute(5));
    for (binding, version, bound) in [(true, 2, vec![identity("n-1")]), (false, 3, Vec::new())] {
        let change = change(&nora, "n-1");
        let reply = if binding { bind(&world, &change).await } else { unbind(&world, &change).await }.unwrap();
        let expected = User { version: Version::from_stored(version), updated_at: minute(5), ..nora.clone() };
        assert_eq!(world.store.user(nora.id).await.unwrap().as_ref(), Some(&expected));
        assert_eq!(world.store.identities(nora.id).await.unwrap(), bound);
        assert_eq!(reply.thing, Some(Account { user: expected, identities: bound }));
        assert!(!reply.replayed);
        let fresh = Consistency::AtLeastAsFresh(reply.consistency_token.unwrap());
        let read = world.domicile.get_user(&call(&world.dana), "acme", &nora.id.to_string(), &fresh).await.unwrap();
        assert_eq!(Some(read), reply.thing.map(UserView::Whole));

        let paths = vec!["identities".to_owned()];
        assert_eq!(world.events().await.pop(), Some(EventBody::UserChanged { user: nora.id, paths }));
        let row = world.audit().await.into_iter().next().unwrap();
        let action = if binding { "bind_identity" } else { "unbind_identity" };
        assert_eq!((row.action.as_str(), row.outcome.as_str()), (action, "done"));
        assert_eq!((row.actor, row.subject), (Some(world.dana.id), Some(nora.id)));
        assert_eq!(row.request_id, change.request.id.parse().ok());
        let told: Vec<(&str, Option<&str>, Option<&str>)> =
            row.changes.iter().map(|c| (c.path.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        if binding {
            assert_eq!(told, [("identities", None, Some(ISSUER)), ("identities.how", None, Some("MANAGER"))]);
        } else {
            assert_eq!(told, [("identities", Some(ISSUER), None)]);
        }
        // The subject is personal: it stands apart, under the person, and nowhere else.
        let dump = world.store.dump();
        let subjects = dump["personal_values"].iter().filter(|line| line.contains("n-1")).count();
        assert_eq!(subjects, if binding { 1 } else { 2 });
        for table in ["audit_records", "events", "answered_requests"] {
            assert!(dump[table].iter().all(|line| !line.contains("n-1")), "{table}");
        }
    }
    assert_eq!(world.events().await.len(), 2);
}

#[tokio::test]
async fn an_identity_leads_to_its_person_until_it_is_taken_away() {
    let world = World::new().await;
    let (nora, ben) = (world.colleague("nora", &[]).await, world.colleague("ben", &[]).await);
    bind(&world, &change(&nora, "n-1")).await.unwrap();
    assert_eq!(world.store.user_by_identity(&identity("n-1")).await.unwrap(), Some(nora.id));
    unbind(&world, &change(&nora, "n-1")).await.unwrap();
    assert_eq!(world.store.user_by_identity(&identity("n-1")).await.unwrap(), None);
    bind(&world, &change(&ben, "n-1")).await.unwrap();
    assert_eq!(world.store.user_by_identity(&identity("n-1")).await.unwrap(), Some(ben.id));
}

/// A home manages its people whatever state their accounts are in; of a tombstone nothing is left to manage.
#[tokio::test]
async fn accounts_in_every_state_but_erased_can_be_bound() {
    for state in UserState::ALL {
        let world = World::new().await;
        let nora = in_state(user(world.acme.id, "nora"), state);
        world.put(&[(&nora).into(), internal(&nora).into()]).await;
        if state == UserState::Erased {
            for binding in [true, false] {
                refused(&world, &call(&world.dana), &change(&nora, "n-1"), binding, Reason::NotFound).await;
            }
        } else {
            assert!(bind(&world, &change(&nora, "n-1")).await.is_ok(), "{state:?}");
            assert!(unbind(&world, &change(&nora, "n-1")).await.is_ok(), "{state:?}");
        }
    }
}

#[tokio::test]
async fn only_a_qualifying_manager_of_the_home_may() {
    let world = World::with(|plan| {
        plan.acme.policy.external_managers = true;
        plan.acme.policy.default_ceiling.permissions.extend(both_rights());
    })
    .await;
    let nora = world.colleague("nora", &[]).await;
    let nobody = user(world.acme.id, "absent");
    let off = in_state(user(world.acme.id, "off"), UserState::Suspended);
    let mut membership = internal(&off);
    membership.base.grants.permissions = both_rights().into();
    world.put(&[(&off).into(), membership.into()]).await;
    let callers = [
        world.colleague("member", &[]).await,
        world.colleague("creator", &[PermissionName::create()]).await,
        world.colleague("updater", &[PermissionName::update()]).await,
        world.visitor("external", |membership| membership.base.grants.permissions = both_rights().into()).await,
        world.lena.clone(),
        off,
    ];
    for caller in &callers {
        for binding in [true, false] {
            // The same whether or not the person exists, and whatever else is wrong.
            let wrong =
                IdentityChange { request: RequestIdentity { id: String::new(), ..request() }, ..change(&nora, "") };
            for change in [change(&nora, "n-1"), change(&nobody, "n-1"), wrong] {
                refused(&world, &call(caller), &change, binding, Reason::PermissionDenied).await;
            }
        }
    }
    let alone = world
        .domicile
        .bind_identity(&service_call(), &change(&nora, "n-1").order(), &change(&nora, "n-1").change())
        .await;
    assert_eq!(reason(alone), Reason::ActingUserRequired);
    let manager = world.colleague("manager", &both_rights()).await;
    assert!(
        world
            .domicile
            .bind_identity(&call(&manager), &change(&nora, "n-1").order(), &change(&nora, "n-1").change())
            .await
            .is_ok()
    );
}

/// An identity is of the account, and the account is the home's: a host is told so, and changes nothing.
#[tokio::test]
async fn a_host_is_told_that_the_home_owns_it() {
    let world = World::new().await;
    for state in ExternalState::ALL {
        let visitor = world.visitor(&format!("visitor{state:?}").to_lowercase(), |m| m.state = state).await;
        world.put(&[(visitor.id, identity(&visitor.id.to_string())).into()]).await;
        for binding in [true, false] {
            let change = change(&visitor, &visitor.id.to_string());
            refused(&world, &call(&world.dana), &change, binding, Reason::HomeOwnedField).await;
        }
        let at_home = IdentityChange { workspace: "borealis".to_owned(), ..change(&visitor, "at.home") };
        let at_home = IdentityChange { identity: identity(&format!("{state:?}")), ..at_home };
        assert!(world.domicile.bind_identity(&call(&world.lena), &at_home.order(), &at_home.change()).await.is_ok());
    }
    // Of those who are nothing here nothing is told.
    let stranger = world.stranger("stranger").await;
    for person in [stranger, user(world.acme.id, "absent")] {
        for binding in [true, false] {
            refused(&world, &call(&world.dana), &change(&person, "s-1"), binding, Reason::NotFound).await;
        }
    }
}

/// By whatever means the manager acts. What one is tired of one may take from oneself.
#[tokio::test]
async fn nobody_binds_an_identity_to_themself() {
    let world = World::new().await;
    for means in [Means::OwnToken, Means::Exchanged, Means::ActAs(ScopeReach::Everywhere)] {
        let actor = Actor { service: service(), user: Some(ActingUser { id: world.dana.id, means }) };
        let own = Call { actor, ..service_call() };
        refused(&world, &own, &change(&world.dana, "d-1"), true, Reason::AnotherPersonRequired).await;
    }
    let second = world.colleague("second", &both_rights()).await;
    world
        .domicile
        .bind_identity(&call(&second), &change(&world.dana, "d-1").order(), &change(&world.dana, "d-1").change())
        .await
        .unwrap();
    assert!(unbind(&world, &change(&world.dana, "d-1")).await.is_ok());
}

#[tokio::test]
async fn an_identity_that_is_bound_is_taken_and_nobody_hears_whose_it_is() {
    let world = World::new().await;
    let (nora, ben) = (world.colleague("nora", &[]).await, world.colleague("ben", &[]).await);
    let far = world.stranger("far").await;
    world.put(&[(nora.id, identity("n-1")).into(), (far.id, identity("f-1")).into()]).await;
    let mut told = Vec::new();
    for (person, subject) in [(&nora, "n-1"), (&ben, "n-1"), (&ben, "f-1")] {
        told.push(refused(&world, &call(&world.dana), &change(person, subject), true, Reason::IdentityTaken).await);
    }
    assert!(told.iter().all(|refusal| *refusal == Refusal::new(Reason::IdentityTaken)), "{told:?}");
    // What is bound to another is not there to be taken away, as what is bound to nobody.
    for subject in ["f-1", "n-1", "x-1"] {
        let refusal = refused(&world, &call(&world.dana), &change(&ben, subject), false, Reason::NotFound).await;
        assert_eq!(refusal.violations.first().map(|wrong| wrong.field.as_str()), Some("identity"));
    }
}

#[tokio::test]
async fn a_person_has_ten_identities_at_most() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    for number in 0..Identity::MOST {
        bind(&world, &change(&nora, &format!("n-{number}"))).await.unwrap();
    }
    refused(&world, &call(&world.dana), &change(&nora, "n-x"), true, Reason::TooManyIdentities).await;
    unbind(&world, &change(&nora, "n-0")).await.unwrap();
    assert!(bind(&world, &change(&nora, "n-x")).await.is_ok());
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let world = World::new().await;
    let wrong = IdentityChange {
        workspace: "acme".to_owned(),
        request: RequestIdentity { id: "7".to_owned(), fingerprint: RequestFingerprint([1; 32]) },
        user: "nora".to_owned(),
        identity: Identity { issuer: "http://login.example".to_owned(), subject: "a\u{202e}".to_owned() },
        validate_only: false,
    };
    let all = ["identity.issuer", "identity.subject", "request_id", "user"].map(ToOwned::to_owned);
    assert_eq!(wrong_fields(bind(&world, &wrong).await), BTreeSet::from(all.clone()));
    assert_eq!(wrong_fields(unbind(&world, &wrong).await), BTreeSet::from(all));
}

#[tokio::test]
async fn one_request_has_one_effect_and_one_answer() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let change = change(&nora, "n-1");
    let first = bind(&world, &change).await.unwrap();
    let content = world.content();
    let again = bind(&world, &change).await.unwrap();
    let budget = again.budget.clone();
    assert_eq!(again, Changed { replayed: true, budget, ..first });
    let other = IdentityChange {
        request: RequestIdentity { fingerprint: RequestFingerprint([2; 32]), ..change.request.clone() },
        ..change.clone()
    };
    assert_eq!(reason(bind(&world, &other).await), Reason::RequestIdReused);
    assert_eq!(world.content(), content);
    // The other way under the same id is another request.
    assert!(!unbind(&world, &change).await.unwrap().replayed);
    // Replay comes after permission.
    let denied = world.domicile.bind_identity(&call(&nora), &change.order(), &change.change()).await;
    assert_eq!(reason(denied), Reason::PermissionDenied);
}

#[tokio::test]
async fn a_rehearsal_goes_as_far_as_the_preconditions_and_writes_nothing() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let rehearsal = IdentityChange { validate_only: true, ..change(&nora, "n-1") };
    let content = world.content();
    let reply = bind(&world, &rehearsal).await.unwrap();
    assert_eq!(reply.thing.unwrap().identities, [identity("n-1")], "what it would be");
    assert_eq!((reply.consistency_token, reply.replayed), (None, false));
    assert_eq!(reply.budget.len(), 3, "it costs as much");
    assert_eq!(world.content(), content);
    assert_eq!(world.audit().await.into_iter().next().unwrap().outcome, "rehearsed");
    assert_eq!(reason(unbind(&world, &rehearsal).await), Reason::NotFound);
    bind(&world, &change(&nora, "n-1")).await.unwrap();
    assert_eq!(reason(bind(&world, &IdentityChange { request: request(), ..rehearsal }).await), Reason::IdentityTaken);
}

#[tokio::test]
async fn two_at_once_bind_one_identity_once() {
    let world = World::new().await;
    let (nora, ben) = (world.colleague("nora", &[]).await, world.colleague("ben", &[]).await);
    let (one, two) = (change(&nora, "n-1"), change(&ben, "n-1"));
    let answers = tokio::join!(bind(&world, &one), bind(&world, &two));
    let told = [answers.0, answers.1].map(|answer| answer.map(drop).map_err(|refusal| refusal.reason));
    assert!(told.contains(&Ok(())) && told.contains(&Err(Reason::IdentityTaken)), "{told:?}");
    // From different homes no revision keeps them apart; the identity does.
    let far = world.stranger("far").await;
    let (here, there) =
        (change(&nora, "n-2"), IdentityChange { workspace: "borealis".to_owned(), ..change(&far, "n-2") });
    let lena = call(&world.lena);
    let (order, theirs) = (there.order(), there.change());
    let answers = tokio::join!(bind(&world, &here), world.domicile.bind_identity(&lena, &order, &theirs));
    let told = [answers.0, answers.1].map(|answer| answer.map(drop).map_err(|refusal| refusal.reason));
    assert!(told.contains(&Ok(())) && told.contains(&Err(Reason::IdentityTaken)), "{told:?}");
    // One request twice at once.
    let same = change(&nora, "n-3");
    let answers = tokio::join!(bind(&world, &same), bind(&world, &same));
    let replayed = [answers.0.unwrap().replayed, answers.1.unwrap().replayed];
    assert!(replayed == [true, false] || replayed == [false, true]);
    assert!(world.domicile.reruns() >= 3, "no race was lost, so none was tested");
}

#[tokio::test]
async fn lost_races_are_run_again_and_other_failures_leave_nothing() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let mut number = 0;
    for at in [Moment::Statement, Moment::Commit] {
        for constraint in Constraint::ALL {
            let error = StoreError::Conflict(constraint);
            let named = matches!(constraint, Constraint::Identity | Constraint::Request);
            number += 1;
            tried(&world, &nora, number, at, error, named).await;
        }
        for (error, again) in [(StoreError::Stale, true), (StoreError::Contention, true), (StoreError::Poisoned, false)]
        {
            number += 1;
            tried(&world, &nora, number, at, error, again).await;
        }
    }
}

async fn tried(world: &World, nora: &User, number: usize, at: Moment, error: StoreError, again: bool) {
    let (reruns, content) = (world.domicile.reruns(), world.content());
    let change = change(nora, &format!("n-{number}"));
    // The unit that counts the probe comes first: two statements, one commit.
    let passed = if at == Moment::Statement { 2 } else { 1 };
    world.store.inject_after(passed, Injection { at, error: error.clone(), times: 1 });
    let answer = bind(world, &change).await;
    assert_eq!(answer.is_ok(), again, "{at:?} {error:?}");
    assert_eq!(world.domicile.reruns(), reruns + u64::from(again), "{at:?} {error:?}");
    if again {
        unbind(world, &IdentityChange { request: request(), ..change }).await.unwrap();
    } else {
        assert_eq!(world.content(), content, "{at:?} {error:?}");
    }
}

#[tokio::test]
async fn the_operator_and_services_without_a_person_bind_nobody() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let operator = ServicePrincipal { operator: true, ..service() };
    for actor in [Actor::service(operator.clone()), Actor::person(operator, world.dana.id)] {
        let call = Call { actor, ..service_call() };
        refused(&world, &call, &change(&nora, "n-1"), true, Reason::PermissionDenied).await;
    }
    let missing = IdentityChange { workspace: "nowhere".to_owned(), ..change(&nora, "n-1") };
    assert_eq!(bind(&world, &missing).await, Err(Refusal::new(Reason::PermissionDenied)));
    let by_id = IdentityChange { workspace: world.acme.id.to_string(), user: id::<()>().to_string(), ..missing };
    assert_eq!(reason(bind(&world, &by_id).await), Reason::NotFound);
}
