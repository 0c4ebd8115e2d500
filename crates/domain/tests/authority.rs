//! Who may call what, and who may give rights over a workspace.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::membership::ExternalState;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::usecase::{AssignUser, Consistency, DomicileApi, Expectation, ExternalInput, PageRequest};
use domicile_testkit::builders::{external, id, permission_name, user};

use crate::support::{
    Plan, World, both_rights, call, in_state, mail, permissions, reason, roles, save, save_as, search, service_call,
};

/// What each call answers to a person: `None` is done.
async fn answers(world: &World, actor: &User, other: &User) -> Vec<(&'static str, Option<Reason>)> {
    fn why<T>(answer: Result<T, Refusal>) -> Option<Reason> {
        answer.err().map(|refusal| refusal.reason)
    }
    let (call, any, page) = (call(actor), Consistency::default(), PageRequest::default());
    let api = &world.domicile;
    let (other, notice) = (other.id.to_string(), id::<()>().to_string());
    let newcomer = save(&format!("n{}", &id::<()>().to_string()[30..]));
    vec![
        ("lookup", why(api.lookup_user(&call, &search(&mail("x"), "")).await)),
        ("assign", why(api.assign_user(&call, &newcomer).await)),
        ("get user", why(api.get_user(&call, "acme", &other, &any).await)),
        ("get membership", why(api.get_membership(&call, "acme", &other, &any).await)),
        ("list memberships", why(api.list_memberships(&call, "acme", &page, &any).await)),
        ("get notification", why(api.get_notification(&call, "acme", &notice, &any).await)),
        ("list notifications", why(api.list_notifications(&call, "acme", &page, &any).await)),
        ("get workspace", why(api.get_workspace(&call, "acme", &any).await)),
        ("list roles", why(api.list_roles(&call, "acme", &page, &any).await)),
    ]
}

const CALLS: usize = 9;
const DENIED: Option<Reason> = Some(Reason::PermissionDenied);
/// The notification of the table is one that is not there: a manager hears so, others hear nothing.
const ABSENT: Option<Reason> = Some(Reason::NotFound);

/// Lookup needs `create`, a save both, what tells of others `update`, the rest to be a member.
#[tokio::test]
async fn each_call_needs_its_rights() {
    let world = World::new().await;
    let other = world.visitor("other", |_| {}).await;
    let (create, update) = (PermissionName::create(), PermissionName::update());
    let creator = world.colleague("creator", std::slice::from_ref(&create)).await;
    let updater = world.colleague("updater", std::slice::from_ref(&update)).await;
    let both = world.colleague("both", &[create, update]).await;
    let plain = world.colleague("plain", &[]).await;
    let guest = world.visitor("guest", |_| {}).await;
    let pending = world.visitor("pending", |membership| membership.state = ExternalState::Pending).await;
    let answers_to = async |actor: &User| -> [Option<Reason>; CALLS] {
        let answers = answers(&world, actor, &other).await;
        answers.into_iter().map(|(_, why)| why).collect::<Vec<_>>().try_into().unwrap()
    };
    let members_only = [DENIED, DENIED, DENIED, DENIED, DENIED, DENIED, DENIED, None, None];
    let manager = [None, None, None, None, None, ABSENT, None, None, None];
    let table = [
        (&creator, [None, DENIED, DENIED, DENIED, DENIED, DENIED, DENIED, None, None]),
        (&updater, [DENIED, DENIED, None, None, None, ABSENT, None, None, None]),
        (&both, manager),
        (&world.dana, manager),
        (&plain, members_only),
        (&guest, members_only),
        (&pending, [DENIED; CALLS]),
        (&world.lena, [DENIED; CALLS]),
    ];
    for (actor, expected) in table {
        assert_eq!(answers_to(actor).await, expected, "{:?}", actor.person.as_ref().map(|p| p.username.as_str()));
    }
}

#[tokio::test]
async fn a_save_needs_a_person_whose_account_is_usable() {
    let world = World::new().await;
    assert_eq!(reason(world.domicile.assign_user(&service_call(), &save("new")).await), Reason::ActingUserRequired);
    for state in [UserState::Suspended, UserState::Deactivated] {
        let off = in_state(user(world.acme.id, &format!("{state:?}")), state);
        let mut membership = domicile_testkit::builders::internal(&off);
        membership.base.grants.permissions = both_rights().into();
        world.put(&[(&off).into(), membership.into()]).await;
        world.refused_to(&off, &save("new"), Reason::PermissionDenied).await;
    }
}

/// Rights in one workspace are nothing in another.
#[tokio::test]
async fn a_manager_elsewhere_is_nobody_here() {
    let world = World::new().await;
    world.refused_to(&world.lena, &save("new"), Reason::PermissionDenied).await;
    let there = AssignUser { workspace: "borealis".to_owned(), ..save("new") };
    assert!(world.domicile.assign_user(&call(&world.lena), &there).await.is_ok());
}

/// The two ways to give governance: the built-in role, and a right directly.
fn governance() -> [domicile_domain::usecase::GrantsInput; 2] {
    [roles(&["access-manager"]), permissions(&["domicile.update"])]
}

/// The policy `external_managers` on, and a ceiling with both rights and the role.
fn external_managers(plan: &mut Plan) {
    plan.acme.policy.external_managers = true;
    plan.acme.policy.default_ceiling.roles.insert(plan.governor.id);
    plan.acme.policy.default_ceiling.permissions.extend(both_rights());
}

#[tokio::test]
async fn governance_is_given_by_a_qualifying_manager() {
    let world = World::new().await;
    for (number, grants) in governance().into_iter().enumerate() {
        let name = format!("manager{number}");
        let create = AssignUser { internal: grants, ..save_as(Expectation::Create, &name) };
        let saved = world.assign(&create).await.unwrap();
        let held = saved.member.unwrap().membership.base().grants.clone();
        let row = world.audit().await.into_iter().next().unwrap();
        let after = |path: &str| row.changes.iter().find(|c| c.path == path).and_then(|c| c.after.clone()).unwrap();
        if number == 0 {
            assert!(held.roles.contains(&world.governor.id));
            assert_eq!(after("membership.roles"), "access-manager");
        } else {
            assert!(held.permissions.contains(&PermissionName::update()));
            assert_eq!(after("membership.permissions"), "domicile.update");
        }
    }
}

/// An External manager does the daily work and gives no rights over the workspace: another workspace could switch them off.
#[tokio::test]
async fn an_external_manager_gives_no_governance() {
    let world = World::with(external_managers).await;
    let governor = world.governor.id;
    let by_role = world.visitor("by.role", |membership| membership.base.grants.roles.extend([governor])).await;
    let direct = world.visitor("direct", |membership| membership.base.grants.permissions = both_rights().into()).await;
    world.stranger("mbali").await;
    for manager in [&by_role, &direct] {
        for grants in governance() {
            let create = AssignUser { internal: grants.clone(), ..save_as(Expectation::Create, "new") };
            world.refused_to(manager, &create, Reason::GovernanceNotGrantable).await;
            let external = ExternalInput { grants, ..ExternalInput::default() };
            let link = AssignUser { external, ..save_as(Expectation::Link, "mbali") };
            world.refused_to(manager, &link, Reason::GovernanceNotGrantable).await;
        }
    }
    let plain = AssignUser { internal: roles(&["reader"]), ..save_as(Expectation::Create, "new") };
    let saved = world.domicile.assign_user(&call(&by_role), &plain).await.unwrap();
    assert_eq!(saved.outcome, AssignOutcome::CreatedInternal);
}

/// Without the policy the same grants are worth nothing, and no new ones are given, though the ceiling lists them.
#[tokio::test]
async fn without_the_policy_externals_hold_no_governance() {
    let closed = |plan: &mut Plan| {
        external_managers(plan);
        plan.acme.policy.external_managers = false;
    };
    let world = World::with(closed).await;
    let visitor =
        world.visitor("visitor", |membership| membership.base.grants.permissions = both_rights().into()).await;
    world.refused_to(&visitor, &save("new"), Reason::PermissionDenied).await;
    assert!(world.check(visitor.id, "domicile.update").await.unwrap().decision.is_err());
    world.stranger("mbali").await;
    for (grants, named) in governance().into_iter().zip(["access-manager", "domicile.update"]) {
        let external = ExternalInput { grants, ..ExternalInput::default() };
        let link = AssignUser { external, ..save_as(Expectation::Link, "mbali") };
        let refusal = world.refused(&link, Reason::RoleAboveCeiling).await;
        assert_eq!(refusal.metadata, [("above_ceiling", named.to_owned())]);
    }
}

#[tokio::test]
async fn with_the_policy_a_qualifying_manager_makes_an_external_manager() {
    let world = World::with(external_managers).await;
    for (number, grants) in governance().into_iter().enumerate() {
        let user = world.stranger(&format!("visitor{number}")).await;
        let external = ExternalInput { grants, ..ExternalInput::default() };
        world.assign(&AssignUser { external, ..save(&format!("visitor{number}")) }).await.unwrap();
        assert_eq!(world.check(user.id, "domicile.update").await.unwrap().decision, Ok(()));
    }
}

/// Product permissions are given by whoever may save, qualifying or not, up to the ceiling.
#[tokio::test]
async fn product_permissions_need_no_qualifying_manager() {
    let raise = |plan: &mut Plan| {
        plan.acme.policy.default_ceiling.permissions.insert(permission_name("orders.read"));
        external_managers(plan);
    };
    let world = World::with(raise).await;
    let manager = world.stranger("manager").await;
    let mut membership = external(&manager, world.acme.id);
    membership.base.grants.permissions = both_rights().into();
    world.put(&[membership.into()]).await;
    world.stranger("mbali").await;
    let typed = |grants| AssignUser { external: ExternalInput { grants, ..ExternalInput::default() }, ..save("mbali") };
    let too_much = typed(permissions(&["orders.read", "orders.write"]));
    let refusal = world.refused_to(&manager, &too_much, Reason::RoleAboveCeiling).await;
    assert_eq!(refusal.metadata, [("above_ceiling", "orders.write".to_owned())]);
    let saved = world.domicile.assign_user(&call(&manager), &typed(permissions(&["orders.read"]))).await.unwrap();
    assert_eq!(saved.outcome, AssignOutcome::LinkedExternal);
}
