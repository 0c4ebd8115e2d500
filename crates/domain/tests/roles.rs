//! Roles as they are made, changed and deleted, and whom that reaches.

use std::collections::BTreeSet;

use domicile_domain::error::Reason;
use domicile_domain::event::EventBody;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::time::Version;
use domicile_domain::usecase::{
    Consistency, CreateRole, DeleteRole, DomicileApi, HomeTermsInput, HostTermsInput, NamedRelationship, Order,
    PageRequest, RelationshipFilter, RequestIdentity, UpdateRelationship, UpdateRole, etag,
};
use domicile_testkit::builders::{permission_name, relationship, role};

use crate::support::{World, call, order, reason, request, wrong_fields};

const ANY: Consistency = Consistency::MinimizeLatency;

fn new(handle: &str) -> CreateRole {
    CreateRole {
        handle: handle.to_owned(),
        display_name: "Order desk".to_owned(),
        permissions: vec!["orders.read".to_owned()],
        for_externals: false,
    }
}

fn etag_of(role: &Role) -> String {
    etag(role.id, role.version)
}

/// A change of the permissions of a role, as it was read.
fn grants(role: &Role, permissions: &[&str]) -> UpdateRole {
    UpdateRole {
        role: role.handle.to_string(),
        paths: vec!["permissions".to_owned()],
        permissions: permissions.iter().map(ToString::to_string).collect(),
        etag: etag_of(role),
        ..UpdateRole::default()
    }
}

#[tokio::test]
async fn a_role_is_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let by = call(&world.dana);
    let made = world.domicile.create_role(&by, &order(), &new("order-desk")).await.unwrap().thing.unwrap();
    assert_eq!((made.handle.as_str(), made.version, made.built_in), ("order-desk", Version::FIRST, None));
    assert_eq!(made.permissions, [permission_name("orders.read")].into());
    let nora = world.colleague("nora", &[]).await;
    for text in ["order-desk".to_owned(), made.id.to_string()] {
        assert_eq!(world.domicile.get_role(&call(&nora), "acme", &text, &ANY).await.unwrap(), made);
    }
    let change = UpdateRole {
        role: made.id.to_string(),
        paths: vec!["display_name".to_owned(), "for_externals".to_owned()],
        display_name: "Desk".to_owned(),
        permissions: vec!["not.read".to_owned()],
        for_externals: true,
        etag: etag_of(&made),
    };
    let done = world.domicile.update_role(&by, &order(), &change).await.unwrap().thing.unwrap();
    let expected = Role {
        display_name: domicile_testkit::builders::name("Desk"),
        for_externals: true,
        version: made.version.next(),
        ..made.clone()
    };
    assert_eq!((done.role, done.reach), (expected.clone(), RoleReach::default()));
    let row = world.audit().await.remove(0);
    let told: Vec<_> = row.changes.iter().map(|c| (c.path.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("role.display_name", Some("Order desk"), Some("Desk")),
            ("role.for_externals", Some("false"), Some("true")),
            ("role.internals_reached", None, Some("0")),
            ("role.externals_reached", None, Some("0")),
        ]
    );
    let delete = DeleteRole { role: "order-desk".to_owned(), etag: etag_of(&expected), force: false };
    let order = order();
    let gone = world.domicile.delete_role(&by, &order, &delete).await.unwrap();
    assert_eq!(gone.thing.map(|gone| (gone.role, gone.uses)), Some((expected, RoleUses::default())));
    let again = world.domicile.delete_role(&by, &order, &delete).await.unwrap();
    assert_eq!((again.replayed, again.thing), (true, None));
    assert_eq!(reason(world.domicile.get_role(&by, "acme", "order-desk", &ANY).await), Reason::NotFound);
    let paths = vec!["display_name".to_owned(), "for_externals".to_owned()];
    let events = [
        EventBody::RoleCreated { role: made.id },
        EventBody::RoleChanged { role: made.id, paths },
        EventBody::RoleDeleted { role: made.id },
    ];
    assert_eq!(world.events().await, events);
}

#[tokio::test]
async fn only_a_qualifying_manager_defines_roles() {
    let world = World::new().await;
    let helper = world.colleague("helper", &[PermissionName::update()]).await;
    let by = call(&helper);
    let change = grants(&world.reader, &[]);
    let delete = DeleteRole { role: "reader".to_owned(), etag: etag_of(&world.reader), force: true };
    assert_eq!(reason(world.domicile.create_role(&by, &order(), &new("desk")).await), Reason::PermissionDenied);
    assert_eq!(reason(world.domicile.update_role(&by, &order(), &change).await), Reason::PermissionDenied);
    assert_eq!(reason(world.domicile.delete_role(&by, &order(), &delete).await), Reason::PermissionDenied);
}

#[tokio::test]
async fn handles_are_taken_once_and_those_of_built_in_roles_always() {
    let world = World::new().await;
    for handle in ["reader", "access-manager", "member", "guest"] {
        let taken = world.domicile.create_role(&call(&world.dana), &order(), &new(handle)).await;
        assert_eq!(reason(taken), Reason::HandleTaken, "{handle}");
    }
    // Handles of others are theirs.
    world
        .domicile
        .create_role(&call(&world.lena), &Order { workspace: "borealis".to_owned(), ..order() }, &new("reader"))
        .await
        .unwrap();
}

#[tokio::test]
async fn built_in_roles_stay_as_they_are() {
    let world = World::new().await;
    for handle in ["access-manager", "member", "guest"] {
        let built_in = world.domicile.get_role(&call(&world.dana), "acme", handle, &ANY).await.unwrap();
        let change = grants(&built_in, &["orders.read"]);
        let changed = world.domicile.update_role(&call(&world.dana), &order(), &change).await;
        assert_eq!(reason(changed), Reason::BuiltInRole, "{handle}");
        let delete = DeleteRole { role: handle.to_owned(), etag: etag_of(&built_in), force: true };
        let deleted = world.domicile.delete_role(&call(&world.dana), &order(), &delete).await;
        assert_eq!(reason(deleted), Reason::BuiltInRole, "{handle}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let world = World::new().await;
    let by = call(&world.dana);
    let bad = Order { request: RequestIdentity { id: String::new(), ..request() }, ..order() };
    let made = CreateRole {
        handle: "Desk".to_owned(),
        display_name: " ".to_owned(),
        permissions: ["orders.read", "orders.none"].map(ToOwned::to_owned).to_vec(),
        for_externals: true,
    };
    let wrong = wrong_fields(world.domicile.create_role(&by, &bad, &made).await);
    assert_eq!(wrong, ["request_id", "handle", "display_name", "permissions[1]"].map(ToOwned::to_owned).into());
    let many = CreateRole { permissions: vec!["orders.read".to_owned(); 501], ..new("desk") };
    let wrong = wrong_fields(world.domicile.create_role(&by, &order(), &many).await);
    assert_eq!(wrong, ["permissions".to_owned()].into());
    let change = UpdateRole {
        role: "reader".to_owned(),
        paths: ["handle", "display_name", "*"].map(ToOwned::to_owned).to_vec(),
        ..UpdateRole::default()
    };
    let unnamed = UpdateRole { role: "No role!".to_owned(), ..change.clone() };
    let wrong = wrong_fields(world.domicile.update_role(&by, &bad, &change).await);
    let expected = ["request_id", "etag", "update_mask", "display_name"];
    assert_eq!(wrong, expected.map(ToOwned::to_owned).into());
    let wrong = wrong_fields(world.domicile.update_role(&by, &bad, &unnamed).await);
    let expected = ["request_id", "role", "etag", "update_mask", "display_name"];
    assert_eq!(wrong, expected.map(ToOwned::to_owned).into());
    let nothing = UpdateRole { role: "reader".to_owned(), etag: etag_of(&world.reader), ..UpdateRole::default() };
    let wrong = wrong_fields(world.domicile.update_role(&by, &order(), &nothing).await);
    assert_eq!(wrong, ["update_mask".to_owned()].into());
    let wrong = wrong_fields(world.domicile.delete_role(&by, &bad, &DeleteRole::default()).await);
    assert_eq!(wrong, ["request_id", "role", "etag"].map(ToOwned::to_owned).into());
    for unnamed in ["", "Reader", &"x".repeat(5000)] {
        let wrong = wrong_fields(world.domicile.get_role(&by, "acme", unnamed, &ANY).await);
        assert_eq!(wrong, ["role".to_owned()].into(), "{unnamed}");
    }
}

#[tokio::test]
async fn a_stale_etag_is_told_the_current_one_and_what_is_not_there_is_not_found() {
    let world = World::new().await;
    let by = call(&world.dana);
    let change = grants(&world.reader, &["orders.write"]);
    let changed = world.domicile.update_role(&by, &order(), &change).await.unwrap().thing.unwrap().role;
    let current = [("current_etag", etag_of(&changed))];
    let late = world.domicile.update_role(&by, &order(), &change).await.unwrap_err();
    assert_eq!((late.reason, late.metadata.as_slice()), (Reason::StaleEtag, current.as_slice()));
    let delete = DeleteRole { role: "reader".to_owned(), etag: change.etag.clone(), force: true };
    let late = world.domicile.delete_role(&by, &order(), &delete).await.unwrap_err();
    assert_eq!((late.reason, late.metadata.as_slice()), (Reason::StaleEtag, current.as_slice()));
    let far = role(world.borealis.id, "far");
    world.put(&[(&far).into()]).await;
    for name in ["nothing".to_owned(), "far".to_owned(), far.id.to_string()] {
        let change = UpdateRole { role: name.clone(), ..change.clone() };
        let answers = [
            world.domicile.update_role(&by, &order(), &change).await.map(drop),
            world
                .domicile
                .delete_role(&by, &order(), &DeleteRole { role: name.clone(), ..delete.clone() })
                .await
                .map(drop),
            world.domicile.get_role(&by, "acme", &name, &ANY).await.map(drop),
        ];
        for answer in answers {
            let refusal = answer.unwrap_err();
            assert_eq!(refusal.reason, Reason::NotFound, "{name}");
            assert_eq!(refusal.violations.first().map(|wrong| wrong.field.as_str()), Some("role"), "{name}");
        }
    }
}

/// Two Internals and an External have the reader role, and it stands in the default ceiling.
async fn in_use() -> World {
    let world = World::with(|plan| {
        plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
    })
    .await;
    let reader = world.reader.id;
    world.visitor("vera", |member| member.base.grants.roles = BTreeSet::from([reader])).await;
    for name in ["nora", "paul"] {
        let user = domicile_testkit::builders::user(world.acme.id, name);
        let membership = domicile_testkit::builders::internal(&user);
        let membership = domicile_testkit::builders::with_role(membership, &world.reader);
        world.put(&[(&user).into(), membership.into()]).await;
    }
    world
}

#[tokio::test]
async fn a_change_tells_whom_it_reaches_before_it_is_made() {
    let world = in_use().await;
    let rehearsal = Order { validate_only: true, ..order() };
    let content = world.content();
    let change = grants(&world.reader, &["orders.read", "orders.write"]);
    let told = world.domicile.update_role(&call(&world.dana), &rehearsal, &change).await.unwrap().thing.unwrap();
    assert_eq!(told.reach, RoleReach { internals: 2, externals: 1 });
    assert_eq!(world.content(), content);
    let done = world.domicile.update_role(&call(&world.dana), &order(), &change).await.unwrap().thing.unwrap();
    assert_eq!(done, told);
    let members = world.domicile.list_memberships(&call(&world.dana), "acme", &<_>::default(), &ANY).await.unwrap();
    for member in members.items.iter().filter(|member| member.membership.base().user != world.dana.id) {
        let user = member.membership.base().user;
        assert_eq!(world.check(user, "orders.write").await.unwrap().decision, Ok(()), "{user}");
    }
}

#[tokio::test]
async fn a_role_in_use_is_deleted_by_force_alone_and_taken_from_all() {
    let world = in_use().await;
    let by = call(&world.dana);
    let delete = DeleteRole { role: "reader".to_owned(), etag: etag_of(&world.reader), force: false };
    let refusal = world.domicile.delete_role(&by, &order(), &delete).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::RoleInUse);
    let counted = [("memberships", "3".to_owned()), ("groups", "0".to_owned()), ("ceilings", "1".to_owned())];
    assert_eq!(refusal.metadata, counted);
    assert!(refusal.message.contains("memberships: 3, groups: 0, ceilings: 1"), "{}", refusal.message);
    let force = DeleteRole { force: true, ..delete };
    let gone = world.domicile.delete_role(&by, &order(), &force).await.unwrap().thing.unwrap();
    assert_eq!(gone.uses, RoleUses { memberships: 3, groups: 0, ceilings: 1 });
    let row = world.audit().await.remove(0);
    let told: Vec<_> = row.changes.iter().map(|c| (c.path.as_str(), c.before.as_deref())).collect();
    assert!(told.contains(&("role.memberships", Some("3"))), "{told:?}");
    assert!(told.contains(&("role.ceilings", Some("1"))), "{told:?}");
    let members = world.domicile.list_memberships(&by, "acme", &<_>::default(), &ANY).await.unwrap();
    for member in members.items {
        assert!(!member.membership.base().grants.roles.contains(&world.reader.id));
        assert_ne!(world.check(member.membership.base().user, "orders.read").await.unwrap().decision, Ok(()));
    }
    assert!(!world.acme_now().await.policy.default_ceiling.roles.contains(&world.reader.id));
}

/// C19, one after the other: what would leave nobody who manages the workspace is refused on every path of roles.
#[tokio::test]
async fn an_edit_that_takes_the_rights_of_the_last_manager_is_refused() {
    let world = World::new().await;
    let by = call(&world.dana);
    let chiefs = CreateRole {
        permissions: ["domicile.create", "domicile.update"].map(ToOwned::to_owned).to_vec(),
        ..new("chiefs")
    };
    let chiefs = world.domicile.create_role(&by, &order(), &chiefs).await.unwrap().thing.unwrap();
    // Boss manages by the role alone, and is the only one then.
    let boss = domicile_testkit::builders::user(world.acme.id, "boss");
    let membership = domicile_testkit::builders::with_role(domicile_testkit::builders::internal(&boss), &chiefs);
    world.put(&[(&boss).into(), membership.into()]).await;
    let dana = world.member(world.dana.id).await.unwrap();
    let demotion = domicile_domain::usecase::SetRoles {
        user: world.dana.id.to_string(),
        roles: vec![],
        etag: etag(dana.base().id, dana.base().version),
    };
    world.domicile.set_roles(&by, &order(), &demotion).await.unwrap();
    let by = call(&boss);
    let weaker = grants(&chiefs, &["domicile.create"]);
    assert_eq!(reason(world.domicile.update_role(&by, &order(), &weaker).await), Reason::LastManager);
    let delete = DeleteRole { role: "chiefs".to_owned(), etag: etag_of(&chiefs), force: true };
    assert_eq!(reason(world.domicile.delete_role(&by, &order(), &delete).await), Reason::LastManager);
}

/// What homes read of a relationship is of the host too: a token of the host's change of a role holds there.
#[tokio::test]
async fn a_home_that_is_behind_does_not_show_an_old_ceiling_by_the_hosts_token() {
    let world = World::new().await;
    let mut agreed = relationship(world.acme.id, world.borealis.id);
    agreed.host_terms.ceiling.roles.insert(world.reader.id);
    world.put(&[(&agreed).into()]).await;
    let (by, lena, id) = (call(&world.dana), call(&world.lena), agreed.id.to_string());
    let behind = world.replica();
    let rename = UpdateRole {
        role: "reader".to_owned(),
        paths: vec!["display_name".to_owned()],
        display_name: "Order reader".to_owned(),
        etag: etag_of(&world.reader),
        ..UpdateRole::default()
    };
    let renamed = world.domicile.update_role(&by, &order(), &rename).await.unwrap();
    let role = renamed.thing.unwrap().role;
    let delete = DeleteRole { role: "reader".to_owned(), etag: etag_of(&role), force: true };
    let between = world.replica();
    let deleted = world.domicile.delete_role(&by, &order(), &delete).await.unwrap();
    for (reader, token) in [(behind, renamed.consistency_token), (between, deleted.consistency_token)] {
        let fresh = Consistency::AtLeastAsFresh(token.unwrap());
        assert!(reader.get_relationship(&lena, "borealis", &id, &ANY).await.is_ok());
        let one = reader.get_relationship(&lena, "borealis", &id, &fresh).await;
        assert_eq!(reason(one), Reason::StoreUnavailable);
        let (all, page) = (RelationshipFilter::default(), PageRequest::default());
        let list = reader.list_relationships(&lena, "borealis", &all, &page, &fresh).await;
        assert_eq!(reason(list), Reason::StoreUnavailable);
        let shown = world.domicile.get_relationship(&lena, "borealis", &id, &fresh).await.unwrap();
        assert_eq!(shown.host_terms.unwrap().roles, []);
    }
}

#[tokio::test]
async fn a_role_in_more_ceilings_than_one_change_reaches_is_refused_with_their_number() {
    let world = World::new().await;
    let by = call(&world.dana);
    let mut admitting = Vec::new();
    for number in 0..101 {
        let home = domicile_testkit::builders::workspace(&format!("home-{number}"));
        let mut agreed = relationship(world.acme.id, home.id);
        agreed.host_terms.ceiling.roles.insert(world.reader.id);
        world.put(&[(&home).into(), (&agreed).into()]).await;
        admitting.push(agreed);
    }
    let delete = DeleteRole { role: "reader".to_owned(), etag: etag_of(&world.reader), force: true };
    let content = world.content();
    let refusal = world.domicile.delete_role(&by, &order(), &delete).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::LimitReached);
    assert_eq!(refusal.metadata, [("limit", "100".to_owned()), ("ceilings", "101".to_owned())]);
    assert_eq!(world.content(), content);
    let last = admitting.pop().unwrap();
    let narrower = UpdateRelationship {
        named: NamedRelationship { relationship: last.id.to_string(), etag: etag(last.id, last.version) },
        host_terms: HostTermsInput::default(),
        home_terms: HomeTermsInput::default(),
        paths: vec!["host_terms.ceiling".to_owned()],
    };
    world.domicile.update_relationship(&by, &order(), &narrower).await.unwrap();
    let gone = world.domicile.delete_role(&by, &order(), &delete).await.unwrap().thing.unwrap();
    assert_eq!(gone.uses.ceilings, 100);
    let told = world.events().await;
    let changed = told.iter().filter(|event| matches!(event, EventBody::RelationshipChanged { .. }));
    assert_eq!(changed.count(), 101);
}
