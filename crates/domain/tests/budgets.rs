//! Budgets of identity probes: what a call costs whom, what is heard when a budget is used up, and what stands in the record.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use domicile_domain::error::{ErrorKind, Reason, Refusal};
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal};
use domicile_domain::model::budget::{BudgetKey, BudgetKind, BudgetStanding, Budgets};
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::store::{Store, StoreError};
use domicile_domain::usecase::{
    AssignUser, Call, Consistency, CreateWorkspace, Domicile, DomicileApi, Expectation, LookupUser, PageRequest,
};
use domicile_testkit::builders::{WIDE_BUDGETS, id};
use domicile_testkit::memory::{Injection, Moment};
use domicile_testkit::seed::PATIENCE;

use crate::reach::Stage;
use crate::support::{World, call, check, cobalt, mail, reason, request, save, save_as, search, service, service_call};

fn limit(limit: u32) -> NonZeroU32 {
    NonZeroU32::new(limit).unwrap()
}

/// The product of the world where the budgets of one kind allow so much, and the others everything.
fn allowing(world: &World, kind: BudgetKind, most: u32) -> Domicile {
    let most = limit(most);
    let budgets = match kind {
        BudgetKind::User => Budgets { probes_per_user_minute: most, ..WIDE_BUDGETS },
        BudgetKind::Workspace => Budgets { probes_per_workspace_hour: most, ..WIDE_BUDGETS },
        BudgetKind::Service => Budgets { probes_per_service_hour: most, ..WIDE_BUDGETS },
    };
    Domicile::new(world.ports.clone()).with_budgets(budgets)
}

fn shop() -> BudgetKey {
    BudgetKey::Service("shop".to_owned())
}

/// How much was counted of a budget so far.
async fn counted(world: &World, key: BudgetKey) -> u64 {
    let mut tx = world.store.begin(PATIENCE).await.unwrap();
    let tallies = tx.budgets().tallies(&[key]).await.unwrap();
    tallies.iter().map(|(_, tally)| tally.count + tally.before).sum()
}

/// What was counted of the person, of Acme, and of the service.
async fn spent(world: &World, person: &User) -> [u64; 3] {
    let acme = counted(world, BudgetKey::Workspace(world.acme.id)).await;
    [counted(world, BudgetKey::User(person.id)).await, acme, counted(world, shop()).await]
}

async fn look(domicile: &Domicile, person: &User) -> Result<Vec<BudgetStanding>, Refusal> {
    domicile.lookup_user(&call(person), &search(&mail("nobody"), "")).await.map(|reply| reply.budget)
}

#[tokio::test]
async fn a_probe_costs_whatever_becomes_of_it() {
    let world = World::new().await;
    world.stranger("mbali").await;
    let updater = world.colleague("updater", &[PermissionName::update()]).await;
    let api = &world.domicile;
    let (dana, lena) = (world.dana.clone(), world.lena.clone());
    let at = |workspace: &str| LookupUser { workspace: workspace.to_owned(), ..search(&mail("mbali"), "") };
    let done = save_as(Expectation::Create, "nora");
    let unread = AssignUser { email: "nobody".to_owned(), ..save("other") };
    let rehearsal = AssignUser { validate_only: true, ..save("mbali") };
    let searches = [
        ("hit", &dana, search(&mail("mbali"), ""), None, [1, 1, 1]),
        ("miss", &dana, search(&mail("nobody"), ""), None, [1, 1, 1]),
        ("wrong fields", &dana, search("nobody", "12"), Some(Reason::InvalidRequest), [1, 1, 1]),
        ("without the right", &updater, search(&mail("mbali"), ""), Some(Reason::PermissionDenied), [1, 0, 1]),
        ("from outside", &lena, search(&mail("mbali"), ""), Some(Reason::PermissionDenied), [1, 0, 1]),
        ("nowhere", &dana, at("nowhere"), Some(Reason::PermissionDenied), [1, 0, 1]),
        ("no workspace", &dana, at(""), Some(Reason::InvalidRequest), [1, 0, 1]),
        ("no workspace from outside", &lena, at("Ac me"), Some(Reason::InvalidRequest), [1, 0, 1]),
    ];
    let costs = |before: [u64; 3], after: [u64; 3]| [0, 1, 2].map(|place| after[place] - before[place]);
    for (name, person, search, why, cost) in searches {
        let before = spent(&world, person).await;
        let answer = api.lookup_user(&call(person), &search).await;
        assert_eq!(answer.err().map(|refusal| refusal.reason), why, "{name}");
        assert_eq!(costs(before, spent(&world, person).await), cost, "{name}");
    }
    let saves = [
        ("save", &dana, done.clone(), None, [1, 1, 1]),
        ("the same again", &dana, done.clone(), None, [1, 1, 1]),
        ("rehearsal", &dana, rehearsal, None, [1, 1, 1]),
        ("member", &dana, save("nora"), Some(Reason::AlreadyMember), [1, 1, 1]),
        ("wrong fields", &dana, unread, Some(Reason::InvalidRequest), [1, 1, 1]),
        ("without the rights", &updater, save("other"), Some(Reason::PermissionDenied), [1, 0, 1]),
    ];
    for (name, person, save, why, cost) in saves {
        let before = spent(&world, person).await;
        let answer = api.assign_user(&call(person), &save).await;
        assert_eq!(answer.err().map(|refusal| refusal.reason), why, "{name}");
        assert_eq!(costs(before, spent(&world, person).await), cost, "{name}");
    }
    let unnamed = Call { actor: Actor::service(ServicePrincipal::new("shop")), ..service_call() };
    let new = cobalt("olga");
    let wrong = CreateWorkspace { handle: "?".to_owned(), request: request(), ..cobalt("vera") };
    let rehearsal = CreateWorkspace { validate_only: true, handle: "dune".to_owned(), ..cobalt("vera") };
    for (name, call, new, why) in [
        ("new", service_call(), new.clone(), None),
        ("the same again", service_call(), new, None),
        ("wrong fields", service_call(), wrong, Some(Reason::InvalidRequest)),
        ("rehearsal", service_call(), rehearsal, None),
        ("without the scope", unnamed, cobalt("vera"), Some(Reason::PermissionDenied)),
    ] {
        let before = spent(&world, &dana).await;
        let answer = api.create_workspace(&call, &new).await;
        assert_eq!(answer.err().map(|refusal| refusal.reason), why, "{name}");
        assert_eq!(costs(before, spent(&world, &dana).await), [0, 0, 1], "{name}");
    }
    // What tells nothing of foreign contacts costs nothing, and neither does what names no person to pay.
    let before = spent(&world, &dana).await;
    assert_eq!(reason(api.lookup_user(&service_call(), &search(&mail("x"), "")).await), Reason::ActingUserRequired);
    assert_eq!(reason(api.assign_user(&service_call(), &save("x")).await), Reason::ActingUserRequired);
    let any = Consistency::default();
    assert!(api.get_user(&call(&dana), "acme", &dana.id.to_string(), &any).await.is_ok());
    assert!(api.list_memberships(&call(&dana), "acme", &PageRequest::default(), &any).await.is_ok());
    assert!(api.check_access(&service_call(), &check("acme", dana.id, "domicile.update")).await.is_ok());
    assert_eq!(spent(&world, &dana).await, before);
}

/// Every probe of a person, refused ones too: of the person and the service whatever is wrong, of the workspace where they
/// hold the rights.
#[tokio::test]
async fn each_method_that_is_a_probe_costs_when_it_is_served_and_when_it_is_refused() {
    let world = World::new().await;
    let (dana, lena, nora) = (world.dana.clone(), world.lena.clone(), world.colleague("nora", &[]).await);
    let stage = Stage::about(world, nora).await;
    for method in ["lookup_user", "assign_user", "propose_relationship", "bind_identity"] {
        for (person, workspace, served, cost) in
            [(&dana, "acme", true, [1, 1, 1]), (&lena, "acme", false, [1, 0, 1]), (&dana, "nowhere", false, [1, 0, 1])]
        {
            let before = spent(&stage.world, person).await;
            let answer = stage.act(method, &call(person), workspace).await;
            assert_eq!(answer.is_ok(), served, "{method} {workspace}: {answer:?}");
            let after = spent(&stage.world, person).await;
            assert_eq!([0, 1, 2].map(|place| after[place] - before[place]), cost, "{method} {workspace}");
        }
    }
}

/// A service can name anybody; only who is there has a counter. The work is the same.
#[tokio::test]
async fn a_service_that_invents_people_pays_for_them_itself() {
    let world = World::new().await;
    let named = |user: UserId| {
        let means = Means::ActAs(ScopeReach::Everywhere);
        Call { actor: Actor { service: service(), user: Some(ActingUser { id: user, means }) }, ..service_call() }
    };
    let tried = async |user: UserId, workspace: &str| {
        let before = (world.store.counters().begun, world.store.counters().statements);
        let search = LookupUser { workspace: workspace.to_owned(), ..search(&mail("x"), "") };
        let refused = reason(world.domicile.lookup_user(&named(user), &search).await);
        assert_eq!(refused, Reason::PermissionDenied);
        let after = (world.store.counters().begun, world.store.counters().statements);
        (after.0 - before.0, after.1 - before.1)
    };
    let usual = tried(world.lena.id, "acme").await;
    assert_eq!(counted(&world, BudgetKey::User(world.lena.id)).await, 1);
    for workspace in ["acme", "nowhere"] {
        let before = counted(&world, shop()).await;
        for _ in 0..100 {
            assert_eq!(tried(id(), workspace).await, usual);
        }
        assert_eq!(counted(&world, shop()).await, before + 200);
    }
    let kept = &world.store.dump()["budget_counters"];
    let of_people: Vec<&String> = kept.iter().filter(|row| row.contains("User(")).collect();
    assert!(matches!(of_people[..], [one] if one.contains(&world.lena.id.to_string())), "{kept:?}");
    assert!(kept.len() <= 1 + usize::from(BudgetKind::Service.slots()), "{kept:?}");
    // A token is somebody's: nobody is looked for.
    assert_eq!(tried(world.lena.id, "nowhere").await, usual);
    assert_eq!(counted(&world, BudgetKey::User(world.lena.id)).await, 2);
}

#[tokio::test]
async fn replies_tell_how_the_budgets_stand() {
    let world = World::new().await;
    let shipped = Domicile::new(world.ports.clone());
    let standing = |kind, most, remaining| BudgetStanding { kind, limit: limit(most), remaining };
    let after = |calls: u32| {
        let [user, workspace, service] = BudgetKind::ALL;
        [standing(user, 20, 20 - calls), standing(workspace, 300, 300 - calls), standing(service, 2000, 2000 - calls)]
    };
    assert_eq!(look(&shipped, &world.dana).await.unwrap(), after(1));
    assert_eq!(shipped.assign_user(&call(&world.dana), &save("nora")).await.unwrap().budget, after(2));
    let rehearsal = AssignUser { validate_only: true, ..save("other") };
    assert_eq!(shipped.assign_user(&call(&world.dana), &rehearsal).await.unwrap().budget, after(3));
    let created = shipped.create_workspace(&service_call(), &cobalt("olga")).await.unwrap();
    assert_eq!(created.budget, [standing(BudgetKind::Service, 2000, 1996)]);
}

/// Whichever budget it is: it says so and how long to wait, nothing is done, and after the wait the same call passes.
#[tokio::test]
async fn a_used_up_budget_says_when_the_same_call_passes() {
    for kind in BudgetKind::ALL {
        let world = World::new().await;
        let domicile = allowing(&world, kind, 3);
        let mut passed = 0;
        for _ in 0..4 {
            let before = world.content();
            let save = save_as(Expectation::Create, &format!("nora{passed}"));
            let Err(refusal) = domicile.assign_user(&call(&world.dana), &save).await else {
                passed += 1;
                continue;
            };
            assert_eq!((refusal.reason, refusal.kind()), (Reason::BudgetExhausted, ErrorKind::Exhausted));
            assert_eq!(refusal.metadata, [("budget", kind.as_str().to_owned()), ("limit", "3".to_owned())]);
            assert_eq!(refusal.budget.as_ref().map(BudgetKey::kind), Some(kind));
            assert_eq!(world.content(), before);
            let pause = refusal.retry_after.unwrap();
            assert!(!pause.is_zero() && pause <= kind.window() * 2, "{pause:?}");
            world.clock.advance(pause);
            domicile.assign_user(&call(&world.dana), &save).await.unwrap();
        }
        assert_eq!(passed, 3, "{kind:?}");
    }
}

#[tokio::test]
async fn a_new_workspace_is_refused_when_the_services_budget_is_used_up() {
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::Service, 1);
    look(&domicile, &world.dana).await.unwrap();
    let refusal = domicile.create_workspace(&service_call(), &cobalt("olga")).await.unwrap_err();
    assert_eq!(refusal.budget, Some(shop()));
    // Another service has a budget of its own.
    let mut other = service_call();
    other.actor.service.name = "console".to_owned();
    assert!(domicile.create_workspace(&other, &cobalt("olga")).await.is_ok());
}

#[tokio::test]
async fn a_workspaces_budget_is_not_used_up_from_outside() {
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::Workspace, 3);
    let updater = world.colleague("updater", &[PermissionName::update()]).await;
    for _ in 0..5 {
        assert_eq!(reason(look(&domicile, &world.lena).await), Reason::PermissionDenied);
        assert_eq!(reason(look(&domicile, &updater).await), Reason::PermissionDenied);
    }
    for remaining in [2, 1, 0] {
        assert_eq!(look(&domicile, &world.dana).await.unwrap()[1].remaining, remaining);
    }
    assert_eq!(look(&domicile, &world.dana).await.unwrap_err().budget, Some(BudgetKey::Workspace(world.acme.id)));
    // Who is nothing there does not learn of it either: the same answer after the same work as where there is nothing.
    let mut heard = Vec::new();
    for workspace in ["acme", "nowhere"] {
        let search = LookupUser { workspace: workspace.to_owned(), ..search(&mail("x"), "") };
        let before = world.store.counters().statements;
        let refusal = domicile.lookup_user(&call(&world.lena), &search).await.unwrap_err();
        heard.push((refusal, world.store.counters().statements - before));
    }
    assert_eq!(heard[0].0.reason, Reason::PermissionDenied);
    assert_eq!(heard[0], heard[1]);
    let home = LookupUser { workspace: "borealis".to_owned(), ..search(&mail("x"), "") };
    assert!(domicile.lookup_user(&call(&world.lena), &home).await.is_ok(), "each workspace has its own");
}

/// A service that may name the person elsewhere alone is outside here, whatever rights the person holds.
#[tokio::test]
async fn a_grant_that_does_not_reach_a_workspace_costs_it_nothing() {
    let world = World::new().await;
    let reach = ScopeReach::Workspaces(BTreeSet::from([WorkspaceRef::Id(world.borealis.id)]));
    let mut named = call(&world.dana);
    named.actor.user = Some(ActingUser { id: world.dana.id, means: Means::ActAs(reach) });
    let search = search(&mail("x"), "");
    assert_eq!(reason(world.domicile.lookup_user(&named, &search).await), Reason::PermissionDenied);
    assert_eq!(spent(&world, &world.dana).await, [1, 0, 1]);
}

/// One person who asks on and on uses up what is theirs and nothing that others share.
#[tokio::test]
async fn a_flood_of_one_person_costs_nobody_else() {
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::User, 2);
    for number in 0..40 {
        assert_eq!(look(&domicile, &world.dana).await.is_ok(), number < 2);
    }
    assert_eq!(spent(&world, &world.dana).await, [40, 2, 2]);
    let colleague = world.colleague("colleague", &[PermissionName::create()]).await;
    assert!(look(&domicile, &colleague).await.is_ok());
}

#[tokio::test]
async fn the_callers_budget_is_told_before_the_permission_and_the_workspaces_after() {
    let world = World::new().await;
    let one = limit(1);
    let all = Domicile::new(world.ports.clone()).with_budgets(Budgets::all(one));
    look(&all, &world.dana).await.unwrap();
    assert_eq!(look(&all, &world.dana).await.unwrap_err().budget, Some(BudgetKey::User(world.dana.id)));
    for outsider in [&world.lena, &world.colleague("updater", &[PermissionName::update()]).await] {
        assert_eq!(look(&all, outsider).await.unwrap_err().budget, Some(shop()));
    }
    let shared = Budgets { probes_per_workspace_hour: one, ..WIDE_BUDGETS };
    let shared = Domicile::new(world.ports.clone()).with_budgets(shared);
    let full = look(&shared, &world.dana).await.unwrap_err();
    assert_eq!(full.budget, Some(BudgetKey::Workspace(world.acme.id)));
}

/// A flood does not fill the record: of the refusals of one budget the first in a period stands there.
#[tokio::test]
async fn one_refusal_of_a_budget_and_period_is_recorded() {
    for kind in BudgetKind::ALL {
        let world = World::new().await;
        let domicile = allowing(&world, kind, 1);
        let recorded = async || {
            let rows = world.audit().await.into_iter().filter(|row| row.outcome == "BUDGET_EXHAUSTED");
            rows.map(|row| (row.actor, row.at)).collect::<Vec<_>>()
        };
        look(&domicile, &world.dana).await.unwrap();
        for _ in 0..5 {
            assert_eq!(reason(look(&domicile, &world.dana).await), Reason::BudgetExhausted);
        }
        let first = (Some(world.dana.id), domicile_testkit::builders::NOW);
        assert_eq!(recorded().await, [first], "{kind:?}");
        world.clock.advance(kind.window());
        for _ in 0..5 {
            assert_eq!(reason(look(&domicile, &world.dana).await), Reason::BudgetExhausted);
        }
        assert_eq!(recorded().await.len(), 2, "{kind:?}");
    }
    // Each person has their own row.
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::User, 1);
    let other = world.colleague("other", &[PermissionName::create()]).await;
    for person in [&world.dana, &other] {
        look(&domicile, person).await.unwrap();
        look(&domicile, person).await.unwrap_err();
    }
    assert_eq!(world.audit().await.iter().filter(|row| row.outcome == "BUDGET_EXHAUSTED").count(), 2);
}

/// A refusal that could not be recorded is not told, and the next one is recorded in its place.
#[tokio::test]
async fn a_refusal_that_was_not_recorded_leaves_its_place_free() {
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::User, 1);
    look(&domicile, &world.dana).await.unwrap();
    // The count is committed, the record is not.
    let gone = StoreError::Unavailable("injected".to_owned());
    world.store.inject_after(1, Injection { at: Moment::Commit, error: gone, times: 1 });
    assert_eq!(reason(look(&domicile, &world.dana).await), Reason::StoreUnavailable);
    assert_eq!(reason(look(&domicile, &world.dana).await), Reason::BudgetExhausted);
    assert_eq!(world.audit().await[0].outcome, "BUDGET_EXHAUSTED");
}

#[tokio::test]
async fn what_stands_around_a_probe_is_done_again_or_fails_it() {
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::User, 20);
    let mut left = 20;
    // Rights that cannot be read now are read again; nothing is counted before.
    for error in [StoreError::Contention, StoreError::ConnectionLost] {
        for passed in 0..2 {
            let reruns = domicile.reruns();
            world.store.inject_after(passed, Injection { at: Moment::Read, error: error.clone(), times: 1 });
            left -= 1;
            assert_eq!(look(&domicile, &world.dana).await.unwrap()[0].remaining, left);
            assert_eq!(domicile.reruns(), reruns + 1);
        }
    }
    let broken = StoreError::Fault("injected".to_owned());
    world.store.inject(Injection { at: Moment::Read, error: broken, times: 1 });
    assert_eq!(reason(look(&domicile, &world.dana).await), Reason::Internal);
    // A count of which the answer was lost is made again.
    world.store.inject(Injection { at: Moment::Committed, error: StoreError::ConnectionLost, times: 1 });
    assert_eq!(look(&domicile, &world.dana).await.unwrap()[0].remaining, left - 2);
    // Without a count nothing is told.
    let gone = StoreError::Unavailable("injected".to_owned());
    world.store.inject(Injection { at: Moment::Commit, error: gone, times: 1 });
    assert_eq!(reason(look(&domicile, &world.dana).await), Reason::StoreUnavailable);

    // Nobody waits any more.
    world.store.inject(Injection { at: Moment::Read, error: StoreError::Contention, times: 1 });
    let late = Call { deadline: world.ports.clock.now(), ..call(&world.dana) };
    let unread = domicile.lookup_user(&late, &search(&mail("x"), "")).await;
    assert_eq!(reason(unread), Reason::Contention);
}

#[tokio::test]
async fn a_persons_minute_slides() {
    let world = World::new().await;
    let domicile = allowing(&world, BudgetKind::User, 10);
    for _ in 0..10 {
        look(&domicile, &world.dana).await.unwrap();
    }
    // Half a period later half of them count, and what was refused meanwhile would have cost.
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(look(&domicile, &world.dana).await.unwrap()[0].remaining, 4);
    world.clock.advance(Duration::from_mins(2));
    assert_eq!(look(&domicile, &world.dana).await.unwrap()[0].remaining, 9);
    assert_eq!(counted(&world, BudgetKey::Workspace(WorkspaceId::nil())).await, 0);
}
