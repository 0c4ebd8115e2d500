//! What a surface refuses of a known caller before it reads the call stands in the record, once in an hour.

use domicile_domain::error::Reason;
use domicile_domain::model::actor::{Actor, ServicePrincipal};
use domicile_domain::port::sealer::{MockSealer, SealError};
use domicile_domain::port::store::StoreError;
use domicile_domain::usecase::{Call, DomicileApi};
use domicile_testkit::builders::minute;
use domicile_testkit::memory::{Injection, Moment};
use std::sync::Arc;

use crate::support::{World, call, service_call};

const LOOKUP: &str = "domicile.v1.UserService/LookupUser";
const ASSIGN: &str = "domicile.v1.UserService/AssignUser";

fn rows(world: &World) -> Vec<String> {
    world.store.dump()["audit_records"].clone()
}

fn by(service: &str) -> Call {
    Call { actor: Actor::service(ServicePrincipal::new(service)), deadline: minute(600), ..service_call() }
}

#[tokio::test]
async fn each_service_method_and_reason_leaves_one_row_an_hour() {
    let world = World::new().await;
    let content = world.content();
    for (service, method, reason, expected) in [
        ("orders", LOOKUP, "METHOD_NOT_ALLOWED", 1),
        ("orders", ASSIGN, "METHOD_NOT_ALLOWED", 2),
        ("orders", LOOKUP, "ACTING_USER_REQUIRED", 3),
        ("billing", LOOKUP, "METHOD_NOT_ALLOWED", 4),
        ("orders", LOOKUP, "METHOD_NOT_ALLOWED", 4),
    ] {
        for _ in 0..3 {
            world.domicile.turned_away(&by(service), method, reason).await.unwrap();
        }
        let rows = rows(&world);
        assert_eq!(rows.len(), expected, "{service} {method} {reason}");
        let told = |row: &&String| ["Call", service, method, reason].iter().all(|word| row.contains(word));
        assert_eq!(rows.iter().filter(told).count(), 1, "{rows:?}");
    }
    world.clock.set(minute(61));
    world.domicile.turned_away(&by("orders"), LOOKUP, "METHOD_NOT_ALLOWED").await.unwrap();
    assert_eq!(rows(&world).len(), 5, "the next hour tells of it again");
    assert_eq!(world.content(), content, "nothing else changed");
}

/// The person stands in the row, and no workspace does: the call was not read.
#[tokio::test]
async fn the_row_names_the_person_and_no_workspace() {
    let world = World::new().await;
    world.domicile.turned_away(&call(&world.dana), ASSIGN, "OWN_TOKEN_REQUIRED").await.unwrap();
    let rows = rows(&world);
    assert!(rows[0].contains(&world.dana.id.to_string()) && rows[0].contains("workspace: None"), "{rows:?}");
    assert!(world.audit().await.is_empty(), "no workspace sees it");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_an_error() {
    let world = World::new().await;
    let gone = StoreError::Unavailable("injected".to_owned());
    world.store.inject(Injection { at: Moment::Commit, error: gone, times: 1 });
    let refused = world.domicile.turned_away(&by("orders"), LOOKUP, "METHOD_NOT_ALLOWED").await.unwrap_err();
    assert_eq!((refused.reason, rows(&world).len()), (Reason::StoreUnavailable, 0));

    let mut sealer = MockSealer::new();
    sealer.expect_fingerprint().return_const(Err(SealError("there is no key".to_owned())));
    let keyless = world.rewired(|ports| ports.sealer = Arc::new(sealer));
    let refused = keyless.turned_away(&by("orders"), LOOKUP, "METHOD_NOT_ALLOWED").await.unwrap_err();
    assert_eq!((refused.reason, rows(&world).len()), (Reason::Internal, 0));
}
