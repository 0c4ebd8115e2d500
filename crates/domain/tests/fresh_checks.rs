//! Questions about access never answer with what was true before a write whose token they carry, and never decide anything
//! where the store does not answer.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::id::UserId;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::port::store::StoreError;
use domicile_domain::usecase::{
    AssignUser, BatchCheckAccess, BatchEntry, Call, CheckAccess, CheckSubject, Consistency, Domicile, DomicileApi,
    ExternalInput, ListEffectivePermissions, ListSubjects, PageRequest,
};
use domicile_testkit::memory::{Injection, Moment};

use crate::support::{IdentityChange, World, call, check, reason, request, roles, save, service_call};

const RIGHT: &str = "orders.read";

/// The five calls.
const CALLS: [&str; 5] = ["check", "batch", "list permissions", "list subjects", "explain"];

/// What a call answers, in short: enough to tell a stale answer from a fresh one.
async fn ask(
    domicile: &Domicile,
    what: &str,
    call: &Call,
    subject: CheckSubject,
    consistency: &Consistency,
) -> Result<String, Refusal> {
    let page = PageRequest::default();
    let one = CheckAccess {
        subject: subject.clone(),
        consistency: consistency.clone(),
        ..check("acme", UserId::nil(), RIGHT)
    };
    let CheckAccess { workspace, permission, .. } = one.clone();
    let consistency = consistency.clone();
    match what {
        "check" => domicile.check_access(call, &one).await.map(|answer| format!("{:?}", answer.decision)),
        "batch" => {
            let entry = BatchEntry { correlation_id: String::new(), workspace, subject, permission };
            let batch = BatchCheckAccess { entries: vec![entry], consistency };
            let answer = domicile.batch_check_access(call, &batch).await?;
            Ok(format!("{:?}", answer.entries[0].answer.clone()?.decision))
        }
        "list permissions" => {
            let list = ListEffectivePermissions { workspace, subject, page, consistency };
            let told = domicile.list_effective_permissions(call, &list).await?;
            Ok(format!("{:?}", told.items.iter().map(|row| row.permission.to_string()).collect::<Vec<_>>()))
        }
        "list subjects" => {
            let list = ListSubjects { workspace, permission, page, consistency };
            let told = domicile.list_subjects(call, &list).await?;
            Ok(format!("{:?}", told.items.iter().map(|row| row.user).collect::<Vec<_>>()))
        }
        "explain" => domicile.explain_access(call, &one).await.map(|told| format!("{:?}", told.failing)),
        other => panic!("{other}"),
    }
}

fn of(user: UserId) -> CheckSubject {
    CheckSubject::User(user.to_string())
}

/// Whoever asks each of them: the first two are for services alone, of the rest Dana asks.
fn asker(world: &World, what: &str) -> Call {
    match what {
        "check" | "batch" => service_call(),
        _ => call(&world.dana),
    }
}

/// A save that links a visitor as a reader, with its token.
async fn linked(world: &World) -> (User, String) {
    let visitor = world.stranger("visitor").await;
    let external = ExternalInput { grants: roles(&["reader"]), ..ExternalInput::default() };
    let saved = world.assign(&AssignUser { external, ..save("visitor") }).await.unwrap();
    (visitor, saved.consistency_token.unwrap())
}

#[tokio::test]
async fn a_reader_held_before_the_write_answers_no_call_that_carries_its_token() {
    let world = World::with(|plan| {
        plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
    })
    .await;
    let behind = world.replica();
    let (visitor, token) = linked(&world).await;
    let fresh = Consistency::AtLeastAsFresh(token);
    for what in CALLS {
        let caller = asker(&world, what);
        let now = ask(&world.domicile, what, &caller, of(visitor.id), &fresh).await.unwrap();
        let stale = ask(&behind, what, &caller, of(visitor.id), &Consistency::MinimizeLatency).await.unwrap();
        assert_ne!(now, stale, "{what}: the reader is behind, or this test shows nothing");
        let held = ask(&behind, what, &caller, of(visitor.id), &fresh).await;
        assert_eq!(reason(held), Reason::StoreUnavailable, "{what}");
    }
}

/// What a home changes counts in every host: its token holds there too.
#[tokio::test]
async fn a_token_of_the_home_is_held_against_the_home() {
    let world = World::new().await;
    let visitor = world.visitor("visitor", |_| {}).await;
    let behind = world.replica();
    let there = AssignUser { workspace: "borealis".to_owned(), ..save("newcomer") };
    let saved = world.domicile.assign_user(&call(&world.lena), &there).await.unwrap();
    let fresh = Consistency::AtLeastAsFresh(saved.consistency_token.unwrap());
    for what in ["check", "batch", "list permissions", "explain"] {
        let caller = asker(&world, what);
        assert!(ask(&world.domicile, what, &caller, of(visitor.id), &fresh).await.is_ok(), "{what}");
        let held = ask(&behind, what, &caller, of(visitor.id), &fresh).await;
        assert_eq!(reason(held), Reason::StoreUnavailable, "{what}");
        // Of Dana, whose home is Acme, the token tells nothing.
        assert!(ask(&behind, what, &caller, of(world.dana.id), &fresh).await.is_ok(), "{what}");
    }
}

/// Somebody whom nobody knows yet has no home that would tell how old that is.
#[tokio::test]
async fn an_identity_that_was_bound_just_now_is_not_denied_by_a_reader_that_is_behind() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let behind = world.replica();
    let identity = Identity { issuer: "https://login.example".to_owned(), subject: "n-1".to_owned() };
    let change = IdentityChange {
        workspace: "acme".to_owned(),
        request: request(),
        user: nora.id.to_string(),
        identity: identity.clone(),
        validate_only: false,
    };
    let bound = world.domicile.bind_identity(&call(&world.dana), &change.order(), &change.change()).await.unwrap();
    let fresh = Consistency::AtLeastAsFresh(bound.consistency_token.unwrap());
    for workspace in ["acme", "borealis", "nowhere"] {
        let asked = CheckAccess {
            workspace: workspace.to_owned(),
            subject: CheckSubject::Identity(identity.clone()),
            consistency: fresh.clone(),
            ..check("", UserId::nil(), RIGHT)
        };
        assert!(world.domicile.check_access(&service_call(), &asked).await.is_ok(), "{workspace}");
        let held = behind.check_access(&service_call(), &asked).await;
        assert_eq!(reason(held), Reason::StoreUnavailable, "{workspace}");
    }
}

/// Whichever read fails: an error that says so, never a denial and never an allowance.
#[tokio::test]
async fn a_store_that_does_not_answer_decides_nothing() {
    let corrupt = StoreError::Corrupt { table: "roles", column: "handle", row: "7".to_owned(), detail: "x".to_owned() };
    let failures = [
        (StoreError::Unavailable("injected".to_owned()), Reason::StoreUnavailable),
        (StoreError::ConnectionLost, Reason::StoreUnavailable),
        (StoreError::Contention, Reason::Contention),
        (corrupt, Reason::Internal),
        (StoreError::Fault("injected".to_owned()), Reason::Internal),
    ];
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    for what in CALLS {
        let caller = asker(&world, what);
        let about = || of(nora.id);
        for (error, why) in &failures {
            let mut reads = 0;
            loop {
                let injected = world.store.counters().injected;
                world.store.inject_after(reads, Injection { at: Moment::Read, error: error.clone(), times: 1 });
                let answer = ask(&world.domicile, what, &caller, about(), &Consistency::FullyConsistent).await;
                if world.store.counters().injected == injected {
                    assert!(answer.is_ok(), "{what}: {answer:?}");
                    // The injection is still in line: let it go by.
                    while world.store.counters().injected == injected {
                        let _ = ask(&world.domicile, "check", &service_call(), about(), &Consistency::default()).await;
                    }
                    break;
                }
                assert_eq!(reason(answer), *why, "{what} read {reads} {error:?}");
                reads += 1;
            }
            assert!(reads >= 1, "{what}: no read failed");
        }
    }
}
