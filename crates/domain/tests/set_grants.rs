//! What a member has directly, as it is replaced: by whom, for whom, on what was read, and what is written.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::membership::{ExternalState, Grants, Membership, MembershipBase};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::usecase::{
    Call, Changed, Consistency, DomicileApi, MemberView, Order, RequestIdentity, SetPermissions, SetRoles, etag,
};
use domicile_testkit::builders::{id, internal, minute, permission, permission_name, user};

use crate::support::{World, call, in_state, order, reason, request, wrong_fields};

type Answer = Result<Changed<MemberView>, Refusal>;

/// The etag of the membership in Acme as it is now.
async fn etag_of(world: &World, user: &User) -> String {
    let membership = world.member(user.id).await.unwrap();
    etag(membership.base().id, membership.base().version)
}

async fn set_roles_by(world: &World, by: &Call, user: &User, roles: &[&str]) -> Answer {
    let change = SetRoles {
        user: user.id.to_string(),
        roles: roles.iter().map(ToString::to_string).collect(),
        etag: etag_of(world, user).await,
    };
    world.domicile.set_roles(by, &order(), &change).await
}

pub(crate) async fn set_roles(world: &World, user: &User, roles: &[&str]) -> Answer {
    set_roles_by(world, &call(&world.dana), user, roles).await
}

async fn set_permissions(world: &World, user: &User, permissions: &[&str]) -> Answer {
    let change = SetPermissions {
        user: user.id.to_string(),
        permissions: permissions.iter().map(ToString::to_string).collect(),
        etag: etag_of(world, user).await,
    };
    world.domicile.set_permissions(&call(&world.dana), &order(), &change).await
}

#[tokio::test]
async fn each_replaces_its_own_set_and_writes_membership_event_and_record() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[permission_name("orders.write")]).await;
    let read_at = world.member(nora.id).await.unwrap().base().clone();

    let done = set_roles(&world, &nora, &["reader", &world.reader.id.to_string()]).await.unwrap();
    let grants = Grants { roles: [world.reader.id].into(), permissions: read_at.grants.permissions.clone() };
    let with_role = MembershipBase { grants, version: read_at.version.next(), ..read_at.clone() };
    let view = done.thing.unwrap();
    assert_eq!(view.membership.base(), &with_role);
    assert_eq!(world.member(nora.id).await.unwrap().base(), &with_role);
    let changed = EventBody::MembershipChanged {
        membership: read_at.id,
        user: nora.id,
        paths: vec!["roles".to_owned()],
        roles_before: vec![],
        roles_after: vec![world.reader.id],
    };
    assert_eq!(world.events().await, [changed]);
    let row = world.audit().await.remove(0);
    assert_eq!((row.action.as_str(), row.outcome.as_str()), ("set_roles", "done"));
    assert_eq!((row.actor, row.subject), (Some(world.dana.id), Some(nora.id)));
    let told: Vec<_> = row.changes.iter().map(|c| (c.path.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
    assert_eq!(told, [("membership.roles", Some(""), Some("reader"))]);
    assert_eq!(world.check(nora.id, "orders.read").await.unwrap().decision, Ok(()));
    let fresh = Consistency::AtLeastAsFresh(done.consistency_token.unwrap());
    let read = world.domicile.get_membership(&call(&world.dana), "acme", &nora.id.to_string(), &fresh).await;
    assert_eq!(read.unwrap(), view);

    set_permissions(&world, &nora, &[]).await.unwrap();
    let after = world.member(nora.id).await.unwrap().base().clone();
    assert_eq!(after.grants, Grants { roles: [world.reader.id].into(), ..Grants::default() });
    assert_eq!(after.version, with_role.version.next());
    let row = world.audit().await.remove(0);
    let told: Vec<_> = row.changes.iter().map(|c| (c.path.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
    assert_eq!(told, [("membership.permissions", Some("orders.write"), Some(""))]);
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let world = World::new().await;
    let retired =
        domicile_domain::model::permission::Permission { retired_at: Some(minute(0)), ..permission("orders.old") };
    world.put(&[retired.into()]).await;
    let bad = Order { request: RequestIdentity { id: "7".to_owned(), ..request() }, ..order() };
    let roles = SetRoles {
        user: "nora".to_owned(),
        roles: ["reader", "nothing", ""].map(ToOwned::to_owned).to_vec(),
        etag: String::new(),
    };
    let wrong = wrong_fields(world.domicile.set_roles(&call(&world.dana), &bad, &roles).await);
    assert_eq!(wrong, ["request_id", "user", "etag", "roles[1]", "roles[2]"].map(ToOwned::to_owned).into());
    let permissions = SetPermissions {
        user: "nora".to_owned(),
        permissions: ["orders.read", "Orders", "orders.none", "orders.old"].map(ToOwned::to_owned).to_vec(),
        etag: String::new(),
    };
    let wrong = wrong_fields(world.domicile.set_permissions(&call(&world.dana), &bad, &permissions).await);
    let expected = ["request_id", "user", "etag", "permissions[1]", "permissions[2]", "permissions[3]"];
    assert_eq!(wrong, expected.map(ToOwned::to_owned).into());
    let many = SetRoles { roles: vec!["reader".to_owned(); 101], ..roles };
    let wrong = wrong_fields(world.domicile.set_roles(&call(&world.dana), &bad, &many).await);
    assert!(wrong.contains("roles"), "{wrong:?}");
}

#[tokio::test]
async fn a_stale_etag_is_told_the_current_one_and_a_new_life_is_another() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let read = etag_of(&world, &nora).await;
    set_roles(&world, &nora, &["reader"]).await.unwrap();
    let late = SetRoles { user: nora.id.to_string(), roles: vec![], etag: read };
    let refusal = world.domicile.set_roles(&call(&world.dana), &order(), &late).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::StaleEtag);
    assert_eq!(refusal.metadata, [("current_etag", etag_of(&world, &nora).await)]);
    let other = SetRoles { etag: etag(id::<()>(), domicile_domain::model::time::Version::FIRST), ..late };
    assert_eq!(reason(world.domicile.set_roles(&call(&world.dana), &order(), &other).await), Reason::StaleEtag);
}

#[tokio::test]
async fn who_waits_can_be_given_roles_and_who_is_over_or_gone_cannot() {
    let world = World::with(|plan| {
        plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
    })
    .await;
    for state in ExternalState::ALL {
        let guest = world.visitor(&format!("{state:?}").to_lowercase(), |member| member.state = state).await;
        set_roles(&world, &guest, &["reader"]).await.unwrap();
        assert_eq!(world.external(guest.id).await.base.grants.roles, [world.reader.id].into());
        assert_eq!(world.external(guest.id).await.state, state);
    }
    let over = world.visitor("over", |member| member.expires_at = Some(minute(1))).await;
    world.clock.set(minute(1));
    assert_eq!(reason(set_roles(&world, &over, &["reader"]).await), Reason::NotFound);
    let gone = world.stranger("gone").await;
    let change = SetRoles { user: gone.id.to_string(), roles: vec![], etag: "any".to_owned() };
    assert_eq!(reason(world.domicile.set_roles(&call(&world.dana), &order(), &change).await), Reason::NotFound);
    for (state, expected) in [(UserState::Suspended, None), (UserState::Deactivated, Some(Reason::HomeUserInactive))] {
        let person = in_state(user(world.acme.id, &format!("home.{state:?}").to_lowercase()), state);
        world.put(&[(&person).into(), internal(&person).into()]).await;
        let answer = set_roles(&world, &person, &["reader"]).await;
        assert_eq!(answer.err().map(|refusal| refusal.reason), expected, "{state:?}");
    }
}

#[tokio::test]
async fn an_external_has_nothing_above_the_ceiling_and_all_of_it_is_named() {
    let world = World::with(|plan| {
        plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
        plan.acme.policy.default_ceiling.permissions.insert(permission_name("orders.read"));
    })
    .await;
    let guest = world.visitor("guest", |_| {}).await;
    let refusal = set_roles(&world, &guest, &["reader", "member", "access-manager"]).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::RoleAboveCeiling);
    assert_eq!(refusal.metadata, [("above_ceiling", "access-manager, member".to_owned())]);
    let refusal = set_permissions(&world, &guest, &["orders.read", "orders.write"]).await.unwrap_err();
    assert_eq!(refusal.metadata, [("above_ceiling", "orders.write".to_owned())]);
    assert_eq!(world.external(guest.id).await.base.grants, Grants::default());
    set_permissions(&world, &guest, &["orders.read"]).await.unwrap();
    assert_eq!(world.check(guest.id, "orders.read").await.unwrap().decision, Ok(()));
}

#[tokio::test]
async fn governance_is_given_and_taken_from_others_by_a_qualifying_manager_alone() {
    let world = World::new().await;
    let helper = world.colleague("helper", &[PermissionName::update()]).await;
    let nora = world.colleague("nora", &[]).await;
    let boss = world.colleague("boss", &[]).await;
    set_roles(&world, &boss, &["access-manager"]).await.unwrap();

    let by = call(&helper);
    set_roles_by(&world, &by, &nora, &["reader"]).await.unwrap();
    let gives = set_roles_by(&world, &by, &nora, &["reader", "access-manager"]).await;
    assert_eq!(reason(gives), Reason::GovernanceNotGrantable);
    assert_eq!(reason(set_roles_by(&world, &by, &boss, &[]).await), Reason::GovernanceNotGrantable);
    // What the other has stays, so it is neither given nor taken.
    set_roles_by(&world, &by, &boss, &["access-manager", "reader"]).await.unwrap();
    let direct =
        SetPermissions { user: helper.id.to_string(), permissions: vec![], etag: etag_of(&world, &helper).await };
    world.domicile.set_permissions(&by, &order(), &direct).await.unwrap();
    assert_eq!(reason(set_roles_by(&world, &by, &nora, &[]).await), Reason::PermissionDenied);
}

#[tokio::test]
async fn the_last_manager_cannot_be_lost() {
    let world = World::new().await;
    assert_eq!(reason(set_roles(&world, &world.dana, &[]).await), Reason::LastManager);
    let boss = world.colleague("boss", &[]).await;
    set_roles(&world, &boss, &["access-manager"]).await.unwrap();
    set_roles(&world, &world.dana, &[]).await.unwrap();
    assert_eq!(reason(set_roles_by(&world, &call(&boss), &boss, &["reader"]).await), Reason::LastManager);
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_and_a_rehearsal_none() {
    let world = World::new().await;
    let nora = world.colleague("nora", &[]).await;
    let change =
        SetRoles { user: nora.id.to_string(), roles: vec!["reader".to_owned()], etag: etag_of(&world, &nora).await };
    let before = world.content();
    let rehearsal = Order { validate_only: true, ..order() };
    let shown = world.domicile.set_roles(&call(&world.dana), &rehearsal, &change).await.unwrap();
    assert_eq!(world.content(), before);
    assert_eq!(world.audit().await[0].outcome, "rehearsed");

    let order = order();
    let first = world.domicile.set_roles(&call(&world.dana), &order, &change).await.unwrap();
    let again = world.domicile.set_roles(&call(&world.dana), &order, &change).await.unwrap();
    assert_eq!((shown.thing, shown.consistency_token), (first.thing.clone(), None));
    assert!(again.replayed);
    assert_eq!((&again.thing, &again.consistency_token), (&first.thing, &first.consistency_token));
    assert_eq!(world.events().await.len(), 1);
    let Some(Membership::Internal(_)) = world.member(nora.id).await else { panic!("she is at home here") };
}
