//! The catalogue of permissions: who may put in what, and what its entries do.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::permission::{Permission, PermissionUses};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::policy::access::Denial;
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    Call, Changed, DomicileApi, ListPermissions, PageRequest, PermissionInput, RegisterPermissions, RequestIdentity,
    RetirePermission,
};
use domicile_testkit::builders::{minute, permission_name};
use domicile_testkit::seed::PATIENCE;

use crate::support::{World, call, reason, request, service_call, wrong_fields};

fn define(names: &[&str]) -> RegisterPermissions {
    let permission = |name: &&str| PermissionInput { name: (*name).to_owned(), description: format!("May {name}") };
    RegisterPermissions {
        request: request(),
        permissions: names.iter().map(permission).collect(),
        validate_only: false,
    }
}

fn retire(name: &str) -> RetirePermission {
    RetirePermission { request: request(), name: name.to_owned(), validate_only: false }
}

/// A call of a service with a prefix.
fn registrar(name: &str, prefix: &str) -> Call {
    let scope = ServiceScope::PermissionsRegister(prefix.to_owned());
    let service = ServicePrincipal::new(name).with_scope(scope, ScopeReach::Everywhere);
    Call { actor: Actor::service(service), ..service_call() }
}

async fn register(world: &World, names: &[&str]) -> Result<Changed<Vec<Permission>>, Refusal> {
    world.domicile.register_permissions(&service_call(), &define(names)).await
}

async fn listed(world: &World, prefix: &str, show_retired: bool) -> Vec<String> {
    let list = ListPermissions {
        workspace: "acme".to_owned(),
        prefix: prefix.to_owned(),
        show_retired,
        ..ListPermissions::default()
    };
    let page = world.domicile.list_permissions(&call(&world.dana), &list).await.unwrap();
    page.items.iter().map(|entry| entry.name.to_string()).collect()
}

#[tokio::test]
async fn what_is_registered_can_be_granted_and_allows() {
    let world = World::new().await;
    world.clock.set(minute(3));
    let done = register(&world, &["shop.sell", "shop.buy"]).await.unwrap();
    let expected = ["shop.buy", "shop.sell"].map(|name| Permission {
        name: permission_name(name),
        description: format!("May {name}"),
        registered_by: "shop".to_owned(),
        registered_at: minute(3),
        retired_at: None,
    });
    assert_eq!(done.thing.as_deref(), Some(expected.as_slice()));
    assert_eq!(done.consistency_token, None);
    let nora = world.colleague("nora", &[permission_name("shop.sell")]).await;
    assert_eq!(world.check(nora.id, "shop.sell").await.unwrap().decision, Ok(()));
}

/// A service does it at each start: once is enough, and only what differs is written.
#[tokio::test]
async fn registering_again_changes_the_description_alone() {
    let world = World::new().await;
    register(&world, &["shop.sell"]).await.unwrap();
    let content = |world: &World| {
        let mut content = world.content();
        content.remove("answered_requests");
        content
    };
    let before = content(&world);
    world.clock.set(minute(5));
    register(&world, &["shop.sell"]).await.unwrap();
    assert_eq!(content(&world), before);
    let mut other = define(&["shop.sell"]);
    "Sell anything".clone_into(&mut other.permissions[0].description);
    let done = world.domicile.register_permissions(&service_call(), &other).await.unwrap().thing.unwrap();
    assert_eq!((done[0].description.as_str(), done[0].registered_at), ("Sell anything", minute(0)));

    let again = world.domicile.register_permissions(&service_call(), &other).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.thing, Some(done));
}

#[tokio::test]
async fn a_service_registers_under_its_own_prefix_alone() {
    let world = World::new().await;
    let names = ["shop.sell", "shopping.list", "stock.read", "domicile.delete"];
    let refusal = register(&world, &names).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::PrefixNotGranted);
    let outside = "domicile.delete, shopping.list, stock.read".to_owned();
    assert_eq!(refusal.metadata, [("permissions", outside)]);
    assert_eq!(listed(&world, "shop", true).await, [""; 0]);
    // The reserved prefix is nobody's, whatever a configuration says.
    let reserved = registrar("sly", "domicile");
    let define = define(&["domicile.delete"]);
    let refusal = world.domicile.register_permissions(&reserved, &define).await;
    assert_eq!(reason(refusal), Reason::PrefixNotGranted);
    let refusal = world.domicile.retire_permission(&reserved, &retire("domicile.update")).await;
    assert_eq!(reason(refusal), Reason::PrefixNotGranted);
}

#[tokio::test]
async fn a_name_of_another_service_is_taken() {
    let world = World::new().await;
    register(&world, &["shop.sell"]).await.unwrap();
    let till = registrar("till", "shop");
    let refusal = world.domicile.register_permissions(&till, &define(&["shop.pay", "shop.sell"])).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::PermissionTaken);
    assert_eq!(refusal.metadata, [("permissions", "shop.sell".to_owned())]);
    assert_eq!(listed(&world, "shop", true).await, ["shop.sell"], "all or none");
    let refusal = world.domicile.retire_permission(&till, &retire("shop.sell")).await;
    assert_eq!(reason(refusal), Reason::PermissionTaken);
}

#[tokio::test]
async fn without_the_scope_for_all_workspaces_nothing_is_registered() {
    let world = World::new().await;
    let scope = ServiceScope::PermissionsRegister("shop".to_owned());
    let here = ScopeReach::Workspaces([WorkspaceRef::Id(world.acme.id)].into());
    let bare = ServicePrincipal::new("shop");
    for service in [bare.clone(), bare.with_scope(scope, here)] {
        let by = Call { actor: Actor::service(service), ..service_call() };
        let refused = world.domicile.register_permissions(&by, &define(&["shop.sell"])).await;
        assert_eq!(reason(refused), Reason::PermissionDenied);
        let refused = world.domicile.retire_permission(&by, &retire("shop.sell")).await;
        assert_eq!(reason(refused), Reason::PermissionDenied);
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let world = World::new().await;
    let mut wrong = define(&["shop.sell", "Shop", "shop.buy", "shop.sell"]);
    wrong.request = RequestIdentity { id: "1".to_owned(), ..request() };
    wrong.permissions[2].description.clear();
    let fields = wrong_fields(world.domicile.register_permissions(&service_call(), &wrong).await);
    let expected = ["request_id", "permissions[1].name", "permissions[2].description", "permissions[3].name"];
    assert_eq!(fields, expected.map(ToOwned::to_owned).into());
    for count in [0, 101] {
        let fields = wrong_fields(register(&world, &vec!["shop.sell"; count]).await);
        assert_eq!(fields, ["permissions".to_owned()].into());
    }
    let fields = wrong_fields(world.domicile.retire_permission(&service_call(), &retire("shop")).await);
    assert_eq!(fields, ["permission".to_owned()].into());
    let missing = world.domicile.retire_permission(&service_call(), &retire("shop.sell")).await;
    assert_eq!(reason(missing), Reason::NotFound);
}

#[tokio::test]
async fn what_is_retired_allows_nothing_until_it_is_registered_again() {
    let world = World::new().await;
    register(&world, &["shop.sell"]).await.unwrap();
    let nora = world.colleague("nora", &[permission_name("shop.sell")]).await;
    let rehearsal = RetirePermission { validate_only: true, ..retire("shop.sell") };
    let told = world.domicile.retire_permission(&service_call(), &rehearsal).await.unwrap().thing.unwrap();
    assert_eq!(told.uses, PermissionUses { roles: 0, memberships: 1 });
    assert_eq!(world.check(nora.id, "shop.sell").await.unwrap().decision, Ok(()));

    let done = world.domicile.retire_permission(&service_call(), &retire("shop.sell")).await.unwrap().thing.unwrap();
    assert_eq!(done, told);
    assert_eq!(world.check(nora.id, "shop.sell").await.unwrap().decision, Err(Denial::NotGranted));
    assert_eq!(listed(&world, "shop", false).await, [""; 0]);
    assert_eq!(listed(&world, "shop", true).await, ["shop.sell"]);
    // Once more changes nothing.
    world.clock.set(minute(9));
    let again = world.domicile.retire_permission(&service_call(), &retire("shop.sell")).await.unwrap().thing.unwrap();
    assert_eq!(again, done);

    register(&world, &["shop.sell"]).await.unwrap();
    assert_eq!(world.check(nora.id, "shop.sell").await.unwrap().decision, Ok(()));
}

#[tokio::test]
async fn what_is_done_and_what_is_refused_is_recorded() {
    let world = World::new().await;
    register(&world, &["shop.sell"]).await.unwrap();
    register(&world, &["stock.read"]).await.unwrap_err();
    world.domicile.retire_permission(&service_call(), &retire("shop.sell")).await.unwrap();
    let rows = world.dump().remove("audit_records").unwrap();
    assert_eq!(rows.len(), 3);
    for (action, outcome) in
        [("RegisterPermissions", "done"), ("RegisterPermissions", "PREFIX_NOT_GRANTED"), ("RetirePermission", "done")]
    {
        let fits = |row: &&String| row.contains(action) && row.contains(&format!("outcome: \"{outcome}\""));
        assert_eq!(rows.iter().filter(fits).count(), 1, "{action} {outcome}: {rows:?}");
    }
    assert!(rows.iter().any(|row| row.contains("May shop.sell (retired)")), "{rows:?}");
}

#[tokio::test]
async fn members_list_the_catalogue_page_by_page_and_others_do_not() {
    let world = World::new().await;
    register(&world, &["shop.a", "shop.b", "shop.c"]).await.unwrap();
    let nora = world.colleague("nora", &[]).await;
    let mut list = ListPermissions {
        workspace: "acme".to_owned(),
        prefix: "shop.".to_owned(),
        page: PageRequest { size: 2, token: String::new() },
        ..ListPermissions::default()
    };
    let first = world.domicile.list_permissions(&call(&nora), &list).await.unwrap();
    list.page.token.clone_from(&first.next_token);
    let second = world.domicile.list_permissions(&call(&nora), &list).await.unwrap();
    let names: Vec<&str> = first.items.iter().chain(&second.items).map(|entry| entry.name.as_str()).collect();
    assert_eq!((names.as_slice(), second.next_token.as_str()), (["shop.a", "shop.b", "shop.c"].as_slice(), ""));
    // The token is of this list: another filter is another list.
    let other = ListPermissions { show_retired: true, ..list.clone() };
    assert_eq!(reason(world.domicile.list_permissions(&call(&nora), &other).await), Reason::InvalidPageToken);
    assert_eq!(reason(world.domicile.list_permissions(&call(&world.lena), &list).await), Reason::PermissionDenied);
    let wrong = ListPermissions { prefix: "Shop%".to_owned(), ..list };
    assert_eq!(wrong_fields(world.domicile.list_permissions(&call(&nora), &wrong).await), ["prefix".to_owned()].into());
}

/// Two services at once with one name, on a store that lets both see that it is free: one has it.
#[tokio::test]
async fn one_name_is_registered_by_one_service() {
    let world = World::new().await;
    let mut tx = world.store.begin(PATIENCE).await.unwrap();
    let till = Permission {
        name: permission_name("shop.sell"),
        description: "Sell".to_owned(),
        registered_by: "till".to_owned(),
        registered_at: minute(0),
        retired_at: None,
    };
    tx.roles().register(&till).await.unwrap();
    register(&world, &["shop.sell"]).await.unwrap();
    assert!(tx.commit().await.is_err(), "the second is told that it lost");
    let refusal = world.domicile.register_permissions(&registrar("till", "shop"), &define(&["shop.sell"])).await;
    assert_eq!(reason(refusal), Reason::PermissionTaken);
}
