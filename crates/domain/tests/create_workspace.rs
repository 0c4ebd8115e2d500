//! A new workspace with its first manager: who may make one, what is written, and whom it cannot be given.

use domicile_domain::error::Reason;
use domicile_domain::event::EventBody;
use domicile_domain::model::actor::{ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::membership::MembershipKind;
use domicile_domain::model::notice::NoticeKind;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::UserState;
use domicile_domain::port::directory::Directory;

use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::usecase::{
    AssignReply, Call, CreateWorkspace, CreateWorkspaceReply, DomicileApi, ProfileInput, RequestIdentity,
};
use domicile_testkit::builders::{email, minute, user};

use crate::support::{
    COUNT_AND_WORK, PHONE, World, both_rights, call, cobalt, in_state, mail, reason, request, save, service,
    service_call, with_phone, wrong_fields,
};

/// The request is refused so; nothing but the audit changed, and no workspace's view tells of it.
async fn refused_to(world: &World, call: &Call, new: &CreateWorkspace, why: Reason) {
    let (before, views) = (world.content(), world.audit().await.len());
    assert_eq!(reason(world.domicile.create_workspace(call, new).await), why);
    assert_eq!(world.content(), before);
    assert_eq!(
        world.audit().await.len(),
        views,
        "the attempt stands in the view of a workspace that has no part in it"
    );
    let rows = world.store.dump().remove("audit_records").unwrap();
    let told = rows.iter().filter(|row| row.contains(why.as_str()) && row.contains("CreateWorkspace")).count();
    assert_eq!(told, 1, "{rows:?}");
}

async fn refused(world: &World, new: &CreateWorkspace, why: Reason) {
    refused_to(world, &service_call(), new, why).await;
}

#[tokio::test]
async fn a_workspace_comes_with_its_roles_its_manager_and_a_message_in_one_unit() {
    let world = World::new().await;
    let committed = world.store.counters().committed;
    let created = world.domicile.create_workspace(&service_call(), &cobalt("nora")).await.unwrap();
    assert_eq!(world.store.counters().committed, committed + COUNT_AND_WORK);

    let workspace = created.workspace.unwrap();
    let stored = world.store.workspace(&WorkspaceRef::Handle(workspace.handle.clone())).await.unwrap().unwrap();
    assert_eq!(stored, workspace);
    let roles = world.store.roles(workspace.id).await.unwrap();
    assert_eq!(roles.iter().map(|r| r.handle.as_str()).collect::<Vec<_>>(), ["access-manager", "guest", "member"]);
    let named = |handle: &str| roles.iter().find(|r| r.handle.as_str() == handle).map(|r: &Role| r.id).unwrap();
    assert_eq!(workspace.policy.default_ceiling.roles, [named("guest")].into());

    let manager = created.manager.unwrap();
    let base = manager.membership.base().clone();
    assert_eq!((manager.membership.kind(), base.workspace), (MembershipKind::Internal, workspace.id));
    assert_eq!(base.grants.roles, [named("access-manager")].into());
    let account = world.store.user(base.user).await.unwrap().unwrap();
    assert_eq!((account.home, account.created_in), (workspace.id, workspace.id));

    let notice = world.store.notice(created.notice.unwrap()).await.unwrap().unwrap().notice;
    assert_eq!((notice.kind, notice.user, notice.home), (NoticeKind::Onboarding, base.user, workspace.id));
    let events = world.store.events(workspace.id, Revision::from_stored(0), 10).await.unwrap();
    let began = EventBody::MembershipCreated {
        membership: base.id,
        user: base.user,
        membership_kind: MembershipKind::Internal,
        state: None,
        roles: vec![named("access-manager")],
    };
    let bodies: Vec<EventBody> = events.into_iter().map(|event| event.body).collect();
    assert_eq!(bodies, [EventBody::WorkspaceCreated {}, EventBody::UserCreated { user: base.user }, began]);
    let row = world.store.audit(workspace.id, 10).await.unwrap().into_iter().next().unwrap();
    assert_eq!((row.outcome.as_str(), row.subject, row.actor), ("done", Some(base.user), None));

    // The manager can act at once.
    let hire = domicile_domain::usecase::AssignUser { workspace: "cobalt".to_owned(), ..save("hired") };
    assert!(world.domicile.assign_user(&call(&account), &hire).await.is_ok());
}

#[tokio::test]
async fn it_needs_the_scope_everywhere_or_the_operator() {
    let world = World::new().await;
    let with = |operator, scopes| {
        let mut call = service_call();
        call.actor.service = ServicePrincipal { operator, scopes, ..service() };
        call
    };
    let here = ScopeReach::Workspaces([WorkspaceRef::Id(world.acme.id)].into());
    let partial = with(false, vec![(ServiceScope::WorkspacesCreate, here)]);
    let other_scope = with(false, vec![(ServiceScope::AccessCheck, ScopeReach::Everywhere)]);
    let mut manager = call(&world.dana);
    manager.actor.service = other_scope.actor.service.clone();
    for denied in [&with(false, vec![]), &partial, &other_scope, &manager] {
        let world = World::new().await;
        refused_to(&world, denied, &cobalt("nora"), Reason::PermissionDenied).await;
    }
    assert!(world.domicile.create_workspace(&with(true, vec![]), &cobalt("nora")).await.is_ok());
}

#[tokio::test]
async fn who_has_an_account_cannot_be_the_first_manager() {
    for state in [UserState::Active, UserState::Suspended, UserState::Deactivated] {
        let world = World::new().await;
        world.account(in_state(user(world.borealis.id, "mbali"), state)).await;
        refused(&world, &cobalt("mbali"), Reason::FounderHasHome).await;
    }
    let world = World::new().await;
    world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    let by_phone = CreateWorkspace { manager_phone: PHONE.to_owned(), ..cobalt("free") };
    refused(&world, &by_phone, Reason::FounderHasHome).await;
}

#[tokio::test]
async fn contacts_that_are_two_peoples_or_kept_from_others_make_no_manager() {
    let world = World::new().await;
    world.account(with_phone(user(world.borealis.id, "mbali"), PHONE)).await;
    world.stranger("jonas").await;
    let both = CreateWorkspace { manager_phone: PHONE.to_owned(), ..cobalt("jonas") };
    refused(&world, &both, Reason::ConflictingMatch).await;

    let world = World::new().await;
    world.store.hold_contact(ContactKey::from(&email(&mail("kept"))), world.acme.id, minute(60));
    refused(&world, &cobalt("kept"), Reason::NotLinkable).await;
    world.clock.set(minute(60));
    assert!(world.domicile.create_workspace(&service_call(), &cobalt("kept")).await.is_ok());

    let domain = MailDomain::parse("borealis.example").unwrap();
    let world = World::with(|plan| plan.borealis.verified_domains.extend([domain])).await;
    let foreign = CreateWorkspace { manager_email: "nora@borealis.example".to_owned(), ..cobalt("nora") };
    refused(&world, &foreign, Reason::NotLinkable).await;
}

#[tokio::test]
async fn a_handle_is_taken_once() {
    let world = World::new().await;
    let taken = CreateWorkspace { handle: "acme".to_owned(), ..cobalt("nora") };
    refused(&world, &taken, Reason::HandleTaken).await;
}

/// An attempt may carry the handle of a workspace that has no part in it; its view of the record stays as it is.
#[tokio::test]
async fn a_refused_attempt_stands_in_nobodys_view() {
    let world = World::new().await;
    for wrong in [
        CreateWorkspace { handle: "acme".to_owned(), manager_email: "x".to_owned(), ..cobalt("nora") },
        CreateWorkspace { handle: world.acme.id.to_string(), ..cobalt("nora") },
    ] {
        let view = world.audit().await;
        assert_eq!(reason(world.domicile.create_workspace(&service_call(), &wrong).await), Reason::InvalidRequest);
        assert_eq!(world.audit().await, view);
    }
}

#[tokio::test]
async fn one_request_id_makes_one_workspace() {
    let world = World::new().await;
    let new = cobalt("nora");
    let first = world.domicile.create_workspace(&service_call(), &new).await.unwrap();
    let content = world.content();
    let again = world.domicile.create_workspace(&service_call(), &new).await.unwrap();
    let budget = again.budget.clone();
    assert_eq!(again, CreateWorkspaceReply { replayed: true, budget, ..first });
    let other = RequestIdentity { id: new.request.id.clone(), fingerprint: RequestFingerprint([2; 32]) };
    refused(&world, &CreateWorkspace { request: other, ..new.clone() }, Reason::RequestIdReused).await;
    // The same id of another method is another request.
    let mut save = save("other");
    save.request = new.request;
    let both = world.colleague("second", &both_rights()).await;
    let saved: AssignReply = world.domicile.assign_user(&call(&both), &save).await.unwrap();
    assert!(!saved.replayed);
    assert_ne!(world.content(), content);
}

#[tokio::test]
async fn a_rehearsal_makes_nothing_and_refuses_what_the_call_would() {
    let world = World::new().await;
    let before = world.content();
    let rehearsal = CreateWorkspace { validate_only: true, ..cobalt("nora") };
    let told = world.domicile.create_workspace(&service_call(), &rehearsal).await.unwrap();
    assert_eq!((told.workspace, told.manager, told.notice, told.consistency_token), (None, None, None, None));
    assert_eq!(world.content(), before);
    let rows = world.store.dump().remove("audit_records").unwrap();
    assert_eq!(rows.iter().filter(|row| row.contains("rehearsed")).count(), 1);
    let founder = CreateWorkspace { validate_only: true, ..cobalt("dana") };
    refused(&world, &founder, Reason::FounderHasHome).await;
    let real = CreateWorkspace { validate_only: false, ..rehearsal };
    assert!(world.domicile.create_workspace(&service_call(), &real).await.is_ok());
}

#[tokio::test]
async fn wrong_fields_are_named_together() {
    let world = World::new().await;
    let wrong = CreateWorkspace {
        request: RequestIdentity { id: String::new(), ..request() },
        handle: "Cobalt!".to_owned(),
        display_name: "www.cobalt".to_owned(),
        default_region: "ZZ".to_owned(),
        default_language: "?".to_owned(),
        manager_email: " ".to_owned(),
        manager_phone: String::new(),
        manager: ProfileInput::default(),
        validate_only: false,
    };
    let fields = wrong_fields(world.domicile.create_workspace(&service_call(), &wrong).await);
    let expected = [
        "default_language",
        "default_region",
        "display_name",
        "handle",
        "manager.email",
        "manager.profile.first_name",
        "manager.profile.last_name",
        "manager.profile.preferred_language",
        "manager.profile.username",
        "request_id",
    ];
    assert_eq!(fields, expected.map(str::to_owned).into());
    let phone = CreateWorkspace { manager_phone: "12".to_owned(), manager_email: "x".to_owned(), ..cobalt("nora") };
    let fields = wrong_fields(world.domicile.create_workspace(&service_call(), &phone).await);
    assert_eq!(fields, ["manager.email".to_owned(), "manager.phone".to_owned()].into());
}
