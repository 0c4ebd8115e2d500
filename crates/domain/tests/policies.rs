//! The record of a workspace and its rules: who changes them, what is refused, and that the next check goes by them.

use std::collections::BTreeSet;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::actor::{Actor, ServicePrincipal};
use domicile_domain::model::membership::{ExternalState, MembershipKind};
use domicile_domain::model::notice::Channel;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::relationship::Disclosure;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{DirectoryVisibility, Openness, Workspace};
use domicile_domain::usecase::{
    Call, Changed, Consistency, DomicileApi, GrantsInput, LinksInput, MemberState, Order, PageRequest, PolicyChange,
    PolicyInput, PolicyReach, UpdateWorkspace, UpdateWorkspacePolicy, etag,
};
use domicile_testkit::builders::{external, minute, permission_name, relationship, role, workspace};

use crate::support::{World, both_rights, call, check, in_state, reason, request, service_call, wrong_fields};

fn order(workspace: &Workspace) -> Order {
    Order { workspace: workspace.id.to_string(), request: request(), validate_only: false }
}

fn open() -> PolicyInput {
    PolicyInput { inbound: Some(Openness::Open), outbound: Some(Openness::Open), ..PolicyInput::default() }
}

fn ceiling(roles: &[&str], permissions: &[&str]) -> PolicyInput {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    PolicyInput {
        default_ceiling: GrantsInput { roles: texts(roles), permissions: texts(permissions) },
        ..PolicyInput::default()
    }
}

/// Replaces rules of a workspace as it is now.
async fn set(
    world: &World,
    actor: &User,
    of: &Workspace,
    paths: &[&str],
    policy: PolicyInput,
) -> Result<Changed<PolicyChange>, Refusal> {
    let fresh = Consistency::FullyConsistent;
    let manager = if of.id == world.acme.id { &world.dana } else { &world.lena };
    let now = world.domicile.get_workspace_policy(&call(manager), &of.id.to_string(), &fresh).await.unwrap();
    let update_mask = paths.iter().map(|path| (*path).to_owned()).collect();
    let change = UpdateWorkspacePolicy { etag: etag(now.id, now.version), update_mask, policy };
    world.domicile.update_workspace_policy(&call(actor), &order(of), &change).await
}

async fn allowed(world: &World, workspace: &Workspace, user: &User, permission: &str) -> bool {
    let check = check(&workspace.id.to_string(), user.id, permission);
    world.domicile.check_access(&service_call(), &check).await.unwrap().decision.is_ok()
}

/// An External of Borealis in Acme who has the reader's role and, directly, the right to manage members.
async fn visitor(world: &World) -> User {
    let reader = world.reader.id;
    world
        .visitor("visitor", |membership| {
            membership.base.grants.roles.insert(reader);
            membership.base.grants.permissions.insert(PermissionName::update());
        })
        .await
}

#[tokio::test]
async fn the_next_check_goes_by_the_new_rules_and_no_membership_is_rewritten() {
    let world = World::new().await;
    let visitor = visitor(&world).await;
    let before = world.member(visitor.id).await;
    let (acme, borealis) = (&world.acme, &world.borealis);
    let closed = |direction: &str| match direction {
        "inbound" => PolicyInput { inbound: Some(Openness::Closed), ..PolicyInput::default() },
        _ => PolicyInput { outbound: Some(Openness::Closed), ..PolicyInput::default() },
    };
    assert!(!allowed(&world, acme, &visitor, "orders.read").await);
    let steps = [
        (acme, "default_ceiling", ceiling(&["guest", "reader"], &[]), true),
        (acme, "inbound", closed("inbound"), false),
        (acme, "inbound", PolicyInput { inbound: Some(Openness::RelatedOnly), ..PolicyInput::default() }, false),
        (acme, "inbound", open(), true),
        (borealis, "outbound", closed("outbound"), false),
        (borealis, "outbound", open(), true),
        (acme, "default_ceiling", ceiling(&["guest"], &[]), false),
        (acme, "default_ceiling", ceiling(&["guest", "reader"], &[]), true),
    ];
    for (place, (of, path, policy, allows)) in steps.into_iter().enumerate() {
        let manager = if of.id == acme.id { &world.dana } else { &world.lena };
        let changed = set(&world, manager, of, &[path], policy).await.unwrap();
        assert!(changed.consistency_token.is_some());
        assert_eq!(allowed(&world, acme, &visitor, "orders.read").await, allows, "step {place}: {path}");
    }
    assert_eq!(world.member(visitor.id).await, before);
}

#[tokio::test]
async fn rights_of_externals_go_as_soon_as_the_host_switches_them_off() {
    let world = World::new().await;
    let visitor = visitor(&world).await;
    let governing = || ceiling(&["guest"], &["domicile.update"]);
    let refused = set(&world, &world.dana, &world.acme, &["default_ceiling"], governing()).await;
    assert_eq!(reason(refused), Reason::GovernanceNotGrantable);
    let both = PolicyInput { external_managers: true, ..governing() };
    let paths = ["default_ceiling", "external_managers"];
    set(&world, &world.dana, &world.acme, &paths, both).await.unwrap();
    assert!(allowed(&world, &world.acme, &visitor, "domicile.update").await);
    set(&world, &world.dana, &world.acme, &["external_managers"], PolicyInput::default()).await.unwrap();
    assert!(!allowed(&world, &world.acme, &visitor, "domicile.update").await);
}

/// The same as in the ceiling of a relationship: the mark for Externals says nothing of rights over the workspace.
#[tokio::test]
async fn a_role_with_rights_stands_in_the_default_ceiling_by_the_policy_alone() {
    let world = World::new().await;
    let governing = || ceiling(&["access-manager"], &[]);
    let refused = set(&world, &world.dana, &world.acme, &["default_ceiling"], governing()).await;
    assert_eq!(reason(refused), Reason::GovernanceNotGrantable);
    let both = PolicyInput { external_managers: true, ..governing() };
    set(&world, &world.dana, &world.acme, &["default_ceiling", "external_managers"], both).await.unwrap();
}

#[tokio::test]
async fn roles_that_are_not_for_externals_are_named_all_at_once() {
    let world = World::new().await;
    let (one, two) = (role(world.acme.id, "clerk"), role(world.acme.id, "auditor"));
    world.put(&[(&one).into(), (&two).into()]).await;
    let before = world.content();
    let wanted = ceiling(&["guest", "clerk", "auditor", "reader"], &[]);
    let refusal = set(&world, &world.dana, &world.acme, &["default_ceiling"], wanted).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::RoleNotForExternals);
    assert_eq!(refusal.metadata, [("roles", "auditor, clerk".to_owned())]);
    assert_eq!(world.content(), before);
}

#[tokio::test]
async fn a_change_tells_whom_it_reaches_and_a_rehearsal_does_too() {
    let world = World::new().await;
    visitor(&world).await;
    world.visitor("second", |_| {}).await;
    let cobalt = workspace("cobalt");
    let related = domicile_testkit::builders::user(cobalt.id, "related");
    world
        .put(&[
            (&cobalt).into(),
            (&related).into(),
            external(&related, world.acme.id).into(),
            relationship(world.acme.id, cobalt.id).into(),
            external(&world.dana, cobalt.id).into(),
        ])
        .await;
    let reach = |here, elsewhere| Some(PolicyReach { externals_here: here, externals_elsewhere: elsewhere });
    let closed = || PolicyInput { inbound: Some(Openness::Closed), ..PolicyInput::default() };
    let outbound = PolicyInput { outbound: Some(Openness::RelatedOnly), ..PolicyInput::default() };
    let rows = [
        // The ceiling for unknown homes is not that of the related one.
        ("default_ceiling", ceiling(&["guest", "reader"], &[]), reach(2, 0)),
        ("inbound", PolicyInput { inbound: Some(Openness::RelatedOnly), ..PolicyInput::default() }, reach(2, 0)),
        ("inbound", closed(), reach(3, 0)),
        ("inbound", closed(), reach(0, 0)),
        ("outbound", outbound, reach(0, 1)),
        ("external_managers", PolicyInput { external_managers: true, ..PolicyInput::default() }, reach(3, 0)),
        ("acceptance_as_host", PolicyInput { acceptance_as_host: true, ..PolicyInput::default() }, reach(0, 0)),
    ];
    for (path, policy, reached) in rows {
        let now = world.acme_now().await;
        let change = UpdateWorkspacePolicy {
            etag: etag(now.id, now.version),
            update_mask: vec![path.to_owned()],
            policy: policy.clone(),
        };
        let rehearsal = Order { validate_only: true, ..order(&world.acme) };
        let told = world.domicile.update_workspace_policy(&call(&world.dana), &rehearsal, &change).await.unwrap();
        assert_eq!(world.acme_now().await, now);
        let done = world.domicile.update_workspace_policy(&call(&world.dana), &order(&world.acme), &change).await;
        let (told, done) = (told.thing.unwrap(), done.unwrap().thing.unwrap());
        assert_eq!((told.reach, done.reach), (reached, reached), "{path}");
        assert_eq!(told.workspace.policy, done.workspace.policy);
    }
}

#[tokio::test]
async fn only_a_qualifying_manager_changes_a_workspace_and_needs_the_current_etag() {
    let world = World::with(|plan| {
        plan.acme.policy.external_managers = true;
        plan.acme.policy.default_ceiling.permissions.extend(both_rights());
    })
    .await;
    let mara = world.colleague("mara", &[PermissionName::update()]).await;
    let outside = world.visitor("outside", |m| m.base.grants.permissions = both_rights().into()).await;
    let before = world.content();
    for actor in [&mara, &outside, &world.lena] {
        let answer = set(&world, actor, &world.acme, &["inbound"], open()).await;
        assert_eq!(reason(answer), Reason::PermissionDenied);
        let answer = world.domicile.update_workspace(&call(actor), &order(&world.acme), &renamed("Mine")).await;
        assert_eq!(reason(answer), Reason::PermissionDenied);
    }
    let stale = UpdateWorkspacePolicy {
        etag: etag(world.acme.id, world.acme.version.next()),
        update_mask: vec!["inbound".to_owned()],
        policy: open(),
    };
    let answer = world.domicile.update_workspace_policy(&call(&world.dana), &order(&world.acme), &stale).await;
    assert_eq!(reason(answer), Reason::StaleEtag);
    let unnamed = UpdateWorkspacePolicy::default();
    let answer = world.domicile.update_workspace_policy(&call(&world.dana), &order(&world.acme), &unnamed).await;
    assert_eq!(wrong_fields(answer), BTreeSet::from(["etag", "update_mask"].map(ToOwned::to_owned)));
    assert_eq!(world.content(), before);
    // Who manages members sees the rules; others do not.
    let fresh = Consistency::FullyConsistent;
    for (actor, sees) in [(&mara, true), (&outside, true), (&world.lena, false)] {
        assert_eq!(world.domicile.get_workspace_policy(&call(actor), "acme", &fresh).await.is_ok(), sees);
    }
}

#[tokio::test]
async fn every_rule_is_replaced_and_no_other_than_those_named() {
    let world = World::new().await;
    let all = PolicyInput {
        inbound: Some(Openness::RelatedOnly),
        outbound: Some(Openness::Closed),
        default_ceiling: ceiling(&["reader"], &["orders.read"]).default_ceiling,
        visibility_of_externals: Some(DirectoryVisibility::Listed),
        acceptance_as_host: true,
        acceptance_as_home: true,
        disclosure: Some(Disclosure::MaskedContact),
        external_managers: true,
    };
    let one = set(&world, &world.dana, &world.acme, &["disclosure"], all.clone()).await.unwrap().thing.unwrap();
    let mut expected = world.acme.policy.clone();
    expected.disclosure = Disclosure::MaskedContact;
    assert_eq!(one.workspace.policy, expected);
    let paths = [
        "inbound",
        "outbound",
        "default_ceiling",
        "visibility_of_externals",
        "acceptance_as_host",
        "acceptance_as_home",
        "disclosure",
        "external_managers",
    ];
    set(&world, &world.dana, &world.acme, &paths, all).await.unwrap();
    let policy = world.acme_now().await.policy;
    assert_eq!((policy.inbound, policy.outbound), (Openness::RelatedOnly, Openness::Closed));
    assert_eq!(policy.default_ceiling.roles, BTreeSet::from([world.reader.id]));
    assert_eq!(policy.default_ceiling.permissions, BTreeSet::from([permission_name("orders.read")]));
    assert_eq!(policy.visibility_of_externals, DirectoryVisibility::Listed);
    assert!(policy.acceptance_as_host && policy.acceptance_as_home && policy.external_managers);
    // The disclosure is what it was: it is not among what changed.
    let changed: Vec<String> = paths.iter().filter(|path| **path != "disclosure").map(ToString::to_string).collect();
    assert_eq!(world.events().await.pop(), Some(EventBody::WorkspaceChanged { paths: changed }));
    let nothing = set(&world, &world.dana, &world.acme, &["inbound", "disclosure"], PolicyInput::default()).await;
    let fields = ["policy.inbound", "policy.disclosure"].map(ToOwned::to_owned);
    assert_eq!(wrong_fields(nothing), BTreeSet::from(fields));
}

/// What a manager has elsewhere as an External comes back when their own home opens, so they may not be who opens it.
#[tokio::test]
async fn nobody_opens_their_home_to_get_back_what_they_have_elsewhere() {
    let world = World::with(|plan| plan.acme.policy.outbound = Openness::Closed).await;
    let far = role(world.borealis.id, "far");
    let mut far = far;
    (far.for_externals, far.permissions) = (true, BTreeSet::from([permission_name("orders.read")]));
    let mut membership = external(&world.dana, world.borealis.id);
    membership.base.grants.roles.insert(far.id);
    world.put(&[(&far).into(), membership.into()]).await;
    let far_ceiling = ceiling(&["far"], &[]);
    set(&world, &world.lena, &world.borealis, &["default_ceiling"], far_ceiling).await.unwrap();
    assert!(!allowed(&world, &world.borealis, &world.dana, "orders.read").await);
    let lars = world.colleague("lars", &both_rights()).await;
    let refusal = set(&world, &world.dana, &world.acme, &["outbound"], open()).await.unwrap_err();
    assert_eq!(
        (refusal.reason, refusal.metadata),
        (Reason::SelfEscalation, vec![("permissions", "orders.read".to_owned())])
    );
    assert!(!allowed(&world, &world.borealis, &world.dana, "orders.read").await);
    // Somebody who gains nothing by it may.
    set(&world, &lars, &world.acme, &["outbound"], open()).await.unwrap();
    assert!(allowed(&world, &world.borealis, &world.dana, "orders.read").await);
}

fn renamed(name: &str) -> UpdateWorkspace {
    UpdateWorkspace {
        update_mask: vec!["display_name".to_owned()],
        display_name: name.to_owned(),
        ..UpdateWorkspace::default()
    }
}

#[tokio::test]
async fn the_record_is_replaced_field_by_field() {
    let world = World::new().await;
    let dana = call(&world.dana);
    let all = UpdateWorkspace {
        etag: etag(world.acme.id, world.acme.version),
        update_mask: [
            "display_name",
            "default_region",
            "default_language",
            "notice_languages",
            "channels",
            "links.begin",
            "links.accept",
            "links.leave",
            "support_contact",
        ]
        .map(ToOwned::to_owned)
        .to_vec(),
        display_name: "Acme and sons".to_owned(),
        default_region: "de".to_owned(),
        default_language: "de".to_owned(),
        notice_languages: vec!["de".to_owned(), "pt-BR".to_owned()],
        channels: vec!["SMS".to_owned()],
        links: LinksInput {
            begin: "https://acme.example/begin".to_owned(),
            accept: "https://acme.example/accept?x=1".to_owned(),
            leave: String::new(),
        },
        support_contact: "help@acme.example".to_owned(),
    };
    let done = world.domicile.update_workspace(&dana, &order(&world.acme), &all).await.unwrap().thing.unwrap();
    let stored = world.acme_now().await;
    assert_eq!((&stored, stored.version), (&done, world.acme.version.next()));
    assert_eq!((stored.display_name.as_str(), stored.default_region.to_string().as_str()), ("Acme and sons", "DE"));
    assert_eq!(stored.notices.channels, [Channel::Sms]);
    assert_eq!(stored.links.accept.as_deref(), Some("https://acme.example/accept?x=1"));
    assert_eq!((stored.links.leave.as_deref(), stored.policy), (None, world.acme.policy.clone()));
    // The address may be somebody's own: the record and the log tell that there is one, not which.
    let dump = world.store.dump();
    for table in ["audit_records", "events"] {
        assert!(dump[table].iter().all(|line| !line.contains("help@")), "{table}");
    }
    // An etag that is given counts, and none is needed.
    assert_eq!(reason(world.domicile.update_workspace(&dana, &order(&world.acme), &all).await), Reason::StaleEtag);
    let renamed = world.domicile.update_workspace(&dana, &order(&world.acme), &renamed("Acme")).await.unwrap();
    assert_eq!(renamed.thing.unwrap().display_name.as_str(), "Acme");
}

#[tokio::test]
async fn what_cannot_be_of_a_record_is_told_field_by_field() {
    let world = World::new().await;
    let wrong = UpdateWorkspace {
        update_mask: ["display_name", "default_region", "channels", "links.begin", "links.leave", "support_contact"]
            .map(ToOwned::to_owned)
            .to_vec(),
        display_name: "see www.evil.example".to_owned(),
        default_region: "Hungary".to_owned(),
        channels: vec!["EMAIL".to_owned(), "EMAIL".to_owned(), "PIGEON".to_owned()],
        links: LinksInput {
            begin: "http://acme.example".to_owned(),
            accept: String::new(),
            leave: "https://acme.example@evil.example/".to_owned(),
        },
        support_contact: "nobody".to_owned(),
        ..UpdateWorkspace::default()
    };
    let answer = world.domicile.update_workspace(&call(&world.dana), &order(&world.acme), &wrong).await;
    let fields = [
        "display_name",
        "default_region",
        "channels[1]",
        "channels[2]",
        "links.begin",
        "links.leave",
        "support_contact",
    ];
    assert_eq!(wrong_fields(answer), BTreeSet::from(fields.map(ToOwned::to_owned)));
}

#[tokio::test]
async fn people_see_the_workspaces_they_belong_to_and_how() {
    let world = World::new().await;
    let anna = world.visitor("anna", |membership| membership.state = ExternalState::Pending).await;
    let ben = world.visitor("ben", |membership| membership.expires_at = Some(minute(1))).await;
    world.clock.set(minute(2));
    let fresh = Consistency::FullyConsistent;
    let list = async |call: &Call, size: i32| {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page = world.domicile.list_workspaces(call, &PageRequest { size, token }, &fresh).await?;
            all.extend(page.items.into_iter().map(|entry| (entry.workspace.id, entry.member)));
            token = page.next_token;
            if token.is_empty() {
                return Ok::<_, Refusal>(all);
            }
        }
    };
    let home = (world.borealis.id, Some((MembershipKind::Internal, MemberState::Active)));
    let here = |state| (world.acme.id, Some((MembershipKind::External, state)));
    let sorted = |mut rows: Vec<_>| {
        rows.sort_by_key(|(id, _)| *id);
        rows
    };
    for size in [0, 1] {
        assert_eq!(list(&call(&anna), size).await.unwrap(), sorted(vec![home, here(MemberState::Pending)]));
        assert_eq!(list(&call(&ben), size).await.unwrap(), sorted(vec![home, here(MemberState::Over)]));
        let operator = Actor::service(ServicePrincipal { operator: true, ..ServicePrincipal::new("operator") });
        let operator = Call { actor: operator, ..service_call() };
        let all = sorted(vec![(world.acme.id, None), (world.borealis.id, None)]);
        assert_eq!(list(&operator, size).await.unwrap(), all);
    }
    let off = in_state(domicile_testkit::builders::user(world.acme.id, "off"), UserState::Suspended);
    world.account(off.clone()).await;
    assert_eq!(reason(list(&call(&off), 0).await), Reason::PermissionDenied);
    assert_eq!(reason(list(&service_call(), 0).await), Reason::ActingUserRequired);
}
