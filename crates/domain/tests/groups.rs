//! Groups: who may do what with them, what they carry, and that nobody raises themself by one.

use std::collections::BTreeSet;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::group::{Group, GroupSize};
use domicile_domain::model::id::UserId;
use domicile_domain::model::membership::{EndReason, EndedMembership, Membership, MembershipKind};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::Role;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    Changed, Consistency, CreateGroup, DeleteGroup, DomicileApi, GroupMembers, Order, PageRequest, UpdateGroup, etag,
};
use domicile_testkit::builders::{group, id, internal, permission_name, role, user};
use domicile_testkit::seed::PATIENCE;

use crate::support::{World, call, in_state, reason, request, wrong_fields};

type Answer = Result<Changed<GroupSize>, Refusal>;

fn order() -> Order {
    Order { workspace: "acme".to_owned(), request: request(), validate_only: false }
}

/// Acme with a role of product permissions and groups that carry nothing, that role, and rights over the workspace.
struct Stage {
    world: World,
    writer: Role,
    plain: Group,
    writers: Group,
    governors: Group,
    /// Internal with `update` alone.
    mara: User,
    /// Internal without anything.
    nora: User,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let mut writer = role(world.acme.id, "writer");
        writer.permissions.insert(permission_name("orders.write"));
        let plain = group(world.acme.id, "plain");
        let mut writers = group(world.acme.id, "writers");
        writers.roles.insert(writer.id);
        let mut governors = group(world.acme.id, "governors");
        governors.roles.insert(world.governor.id);
        world.put(&[(&writer).into(), (&plain).into(), (&writers).into(), (&governors).into()]).await;
        let mara = world.colleague("mara", &[PermissionName::update()]).await;
        let nora = world.colleague("nora", &[]).await;
        Self { world, writer, plain, writers, governors, mara, nora }
    }

    async fn add(&self, actor: &User, group: &Group, users: &[UserId]) -> Answer {
        let change = GroupMembers { group: group.handle.to_string(), users: texts(users) };
        self.world.domicile.add_group_members(&call(actor), &order(), &change).await
    }

    async fn remove(&self, actor: &User, group: &Group, users: &[UserId]) -> Answer {
        let change = GroupMembers { group: group.id.to_string(), users: texts(users) };
        self.world.domicile.remove_group_members(&call(actor), &order(), &change).await
    }

    async fn carry(&self, actor: &User, group: &Group, roles: &[&Role]) -> Answer {
        let change = UpdateGroup {
            update_mask: vec!["roles".to_owned()],
            roles: roles.iter().map(|role| role.handle.to_string()).collect(),
            ..update(group)
        };
        self.world.domicile.update_group(&call(actor), &order(), &change).await
    }

    async fn delete(&self, actor: &User, group: &Group, force: bool) -> Answer {
        let change = DeleteGroup { group: group.id.to_string(), etag: etag(group.id, group.version), force };
        self.world.domicile.delete_group(&call(actor), &order(), &change).await
    }

    /// The membership without grants, as setting its roles will leave it.
    async fn take_everything_from(&self, user: &User) {
        let Some(Membership::Internal(before)) = self.world.member(user.id).await else {
            panic!("not an Internal");
        };
        let ended = EndedMembership {
            id: before.base.id,
            user: user.id,
            workspace: before.base.workspace,
            kind: MembershipKind::Internal,
            grants: before.base.grants.clone(),
            external_id: None,
            assigned_by: None,
            assigned_at: before.base.assigned_at,
            reason: EndReason::Moved,
            ended_at: before.base.assigned_at,
            version: before.base.version.next(),
        };
        let mut tx = self.world.store.begin(PATIENCE).await.unwrap();
        tx.memberships().end(&ended, before.base.version).await.unwrap();
        tx.memberships().insert(&Membership::Internal(internal(user))).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn may_write(&self, user: &User) -> bool {
        self.world.check(user.id, "orders.write").await.unwrap().decision.is_ok()
    }

    async fn groups_of(&self, user: &User) -> (BTreeSet<domicile_domain::model::id::GroupId>, i64) {
        match self.world.member(user.id).await {
            Some(Membership::Internal(internal)) => (internal.groups, internal.base.version.as_i64()),
            other => panic!("not an Internal: {other:?}"),
        }
    }
}

fn texts(users: &[UserId]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}

fn update(group: &Group) -> UpdateGroup {
    UpdateGroup { group: group.id.to_string(), etag: etag(group.id, group.version), ..UpdateGroup::default() }
}

fn create(handle: &str, roles: &[&str]) -> CreateGroup {
    CreateGroup {
        handle: handle.to_owned(),
        display_name: "A group".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    }
}

#[tokio::test]
async fn what_a_group_carries_counts_for_those_in_it_and_for_nobody_else() {
    let stage = Stage::new().await;
    let Stage { world, writers, nora, mara, .. } = &stage;
    assert!(!stage.may_write(nora).await);
    let added = stage.add(&world.dana, writers, &[nora.id]).await.unwrap().thing.unwrap();
    assert_eq!((added.members, &added.group), (1, writers));
    assert!(stage.may_write(nora).await && !stage.may_write(mara).await);
    // It is a new version of the membership, which shows the group.
    assert_eq!(stage.groups_of(nora).await, (BTreeSet::from([writers.id]), 2));
    let removed = stage.remove(&world.dana, writers, &[nora.id]).await.unwrap();
    assert_eq!(removed.thing.unwrap().members, 0);
    assert!(!stage.may_write(nora).await);
    assert_eq!(stage.groups_of(nora).await, (BTreeSet::new(), 3));
    let (group, nora) = (writers.id, nora.id);
    assert_eq!(
        world.events().await,
        [
            EventBody::GroupMembersChanged { group, added: vec![nora], removed: vec![] },
            EventBody::GroupMembersChanged { group, added: vec![], removed: vec![nora] },
        ]
    );
}

#[tokio::test]
async fn other_roles_and_a_deleted_group_are_felt_by_the_next_check() {
    let stage = Stage::new().await;
    let Stage { world, plain, writer, nora, .. } = &stage;
    stage.add(&world.dana, plain, &[nora.id]).await.unwrap();
    let carried = stage.carry(&world.dana, plain, &[writer]).await.unwrap().thing.unwrap().group;
    assert!(stage.may_write(nora).await);
    // There is somebody in it: the number is told, and with force they lose what it carried.
    let refusal = stage.delete(&world.dana, &carried, false).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::GroupNotEmpty);
    assert_eq!(refusal.metadata, [("members", "1".to_owned())]);
    assert!(stage.may_write(nora).await);
    let deleted = stage.delete(&world.dana, &carried, true).await.unwrap();
    assert_eq!(deleted.thing.unwrap().members, 1);
    assert!(!stage.may_write(nora).await);
    assert_eq!(stage.groups_of(nora).await, (BTreeSet::new(), 3));
    let found = world.domicile.get_group(&call(&world.dana), "acme", "plain", &Consistency::FullyConsistent).await;
    assert_eq!(reason(found), Reason::NotFound);
}

#[tokio::test]
async fn a_rehearsal_tells_and_changes_nothing() {
    let stage = Stage::new().await;
    let Stage { world, writers, nora, .. } = &stage;
    let before = world.content();
    let order = Order { validate_only: true, ..order() };
    let change = GroupMembers { group: "writers".to_owned(), users: texts(&[nora.id]) };
    let told = world.domicile.add_group_members(&call(&world.dana), &order, &change).await.unwrap();
    assert_eq!((told.thing.unwrap().members, told.consistency_token), (1, None));
    assert_eq!(world.content(), before);
    assert_eq!(stage.groups_of(nora).await.1, 1, "{writers:?}");
}

#[tokio::test]
async fn who_is_in_already_stays_and_who_is_not_stays_out() {
    let stage = Stage::new().await;
    let Stage { world, plain, nora, mara, .. } = &stage;
    stage.add(&world.dana, plain, &[nora.id]).await.unwrap();
    let both = stage.add(&world.dana, plain, &[nora.id, mara.id, mara.id]).await.unwrap();
    assert_eq!(both.thing.unwrap().members, 2);
    assert_eq!((stage.groups_of(nora).await.1, stage.groups_of(mara).await.1), (2, 2));
    let events = world.events().await.len();
    assert_eq!(stage.add(&world.dana, plain, &[nora.id]).await.unwrap().thing.unwrap().members, 2);
    assert_eq!(stage.remove(&world.dana, plain, &[world.dana.id]).await.unwrap().thing.unwrap().members, 2);
    assert_eq!(world.events().await.len(), events, "nothing happened, and something was told of it");
}

#[tokio::test]
async fn everybody_who_stands_in_the_way_is_named_and_nobody_is_added() {
    let stage = Stage::new().await;
    let Stage { world, plain, nora, .. } = &stage;
    let visitor = world.visitor("visitor", |_| {}).await;
    let gone = in_state(user(world.acme.id, "gone"), UserState::Deactivated);
    world.put(&[(&gone).into(), internal(&gone).into()]).await;
    let before = world.content();
    let absent = id();
    for (users, reason, wrong) in [
        (vec![nora.id, visitor.id], Reason::InternalOnly, vec!["users[1]"]),
        (vec![gone.id, nora.id], Reason::HomeUserInactive, vec!["users[0]"]),
        (vec![gone.id, visitor.id, nora.id], Reason::InternalOnly, vec!["users[0]", "users[1]"]),
        (vec![visitor.id, absent, gone.id], Reason::NotFound, vec!["users[0]", "users[1]", "users[2]"]),
    ] {
        let refusal = stage.add(&world.dana, plain, &users).await.unwrap_err();
        let named: Vec<&str> = refusal.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!((refusal.reason, named), (reason, wrong));
    }
    assert_eq!(reason(stage.remove(&world.dana, plain, &[visitor.id]).await), Reason::InternalOnly);
    assert_eq!(world.content(), before);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_at_once() {
    let stage = Stage::new().await;
    let Stage { world, plain, .. } = &stage;
    let dana = call(&world.dana);
    let bare =
        Order { request: domicile_domain::usecase::RequestIdentity { id: String::new(), ..request() }, ..order() };
    let wrong = create("Not a handle", &["writer", "nonsense"]);
    let wrong = CreateGroup { display_name: String::new(), ..wrong };
    let answer = world.domicile.create_group(&dana, &bare, &wrong).await;
    let fields = ["request_id", "handle", "display_name", "roles[1]"].map(ToOwned::to_owned);
    assert_eq!(wrong_fields(answer), BTreeSet::from(fields));

    let wrong = UpdateGroup { update_mask: vec!["handle".to_owned(), "roles".to_owned()], ..UpdateGroup::default() };
    let answer = world.domicile.update_group(&dana, &order(), &wrong).await;
    assert_eq!(wrong_fields(answer), BTreeSet::from(["etag", "group", "update_mask"].map(ToOwned::to_owned)));
    let answer = world.domicile.update_group(&dana, &order(), &update(plain)).await;
    assert_eq!(wrong_fields(answer), BTreeSet::from(["update_mask".to_owned()]));

    let people = |users: Vec<String>| GroupMembers { group: "plain".to_owned(), users };
    for (users, field) in [
        (vec![], "users"),
        (vec![id::<()>().to_string(); 101], "users"),
        (vec![world.dana.id.to_string(), "dana".to_owned()], "users[1]"),
    ] {
        let answer = world.domicile.add_group_members(&dana, &order(), &people(users)).await;
        assert_eq!(wrong_fields(answer), BTreeSet::from([field.to_owned()]));
    }
}

#[tokio::test]
async fn a_stale_etag_is_told_with_the_current_one() {
    let stage = Stage::new().await;
    let Stage { world, plain, .. } = &stage;
    let name = |name: &str, etag: String| UpdateGroup {
        update_mask: vec!["display_name".to_owned()],
        display_name: name.to_owned(),
        etag,
        ..update(plain)
    };
    let dana = call(&world.dana);
    let first = name("First", etag(plain.id, plain.version));
    let updated = world.domicile.update_group(&dana, &order(), &first).await.unwrap().thing.unwrap().group;
    assert_eq!((updated.display_name.as_str(), &updated.roles), ("First", &plain.roles));
    let refusal = world.domicile.update_group(&dana, &order(), &first).await.unwrap_err();
    let current = etag(updated.id, updated.version);
    assert_eq!((refusal.reason, refusal.metadata), (Reason::StaleEtag, vec![("current_etag", current)]));
    assert_eq!(reason(stage.delete(&world.dana, plain, false).await), Reason::StaleEtag);
}

#[tokio::test]
async fn handles_are_unique_and_groups_have_a_limit() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let dana = call(&world.dana);
    let again = world.domicile.create_group(&dana, &order(), &create("plain", &[])).await;
    assert_eq!(reason(again), Reason::HandleTaken);
    // Three are there.
    let more: Vec<_> = (3..Group::MOST).map(|number| group(world.acme.id, &format!("g{number}")).into()).collect();
    world.put(&more).await;
    let refusal = world.domicile.create_group(&dana, &order(), &create("one-too-many", &[])).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.metadata), (Reason::LimitReached, vec![("limit", "1000".to_owned())]));
}

#[tokio::test]
async fn a_request_that_is_repeated_has_one_effect() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let (dana, order, new) = (call(&world.dana), order(), create("crew", &["writer"]));
    let made = world.domicile.create_group(&dana, &order, &new).await.unwrap();
    let again = world.domicile.create_group(&dana, &order, &new).await.unwrap();
    assert_eq!((again.replayed, &again.thing), (true, &made.thing));
    let group = made.thing.unwrap().group;
    assert_eq!(group.roles, BTreeSet::from([stage.writer.id]));
    assert_eq!(world.events().await, [EventBody::GroupCreated { group: group.id }]);
    stage.delete(&world.dana, &group, false).await.unwrap();
    let gone = world.domicile.create_group(&dana, &order, &new).await.unwrap();
    assert_eq!((gone.replayed, gone.thing), (true, None));
}

/// Every way to raise oneself by a group, and every way to hand out rights over the workspace by one without having the
/// standing to: who tries it, what they do, and why it is refused. Nothing changes.
#[tokio::test]
async fn nobody_raises_themself_by_a_group() {
    let stage = Stage::new().await;
    let Stage { world, plain, writers, governors, writer, mara, nora, .. } = &stage;
    let (dana, governor) = (&world.dana, &world.governor);
    // Another qualifying manager: with one alone, product permissions would be theirs to take.
    let lars = world.colleague("lars", &crate::support::both_rights()).await;
    // Mara is in a group that carries nothing yet, and in none that carries something.
    stage.add(dana, plain, &[mara.id, dana.id]).await.unwrap();
    let before = world.content();
    let new = |handle: &str, roles: &[&str]| (order(), create(handle, roles));
    let made = |actor: &User, (order, new): (Order, CreateGroup)| {
        let actor = call(actor);
        async move { world.domicile.create_group(&actor, &order, &new).await }
    };
    let tries: Vec<(&str, Answer, Reason)> = vec![
        ("Mara joins the writers", stage.add(mara, writers, &[mara.id]).await, Reason::SelfEscalation),
        ("Dana joins the writers", stage.add(dana, writers, &[dana.id]).await, Reason::SelfEscalation),
        (
            "Mara joins the writers among others",
            stage.add(mara, writers, &[nora.id, mara.id]).await,
            Reason::SelfEscalation,
        ),
        ("Mara makes her group writers", stage.carry(mara, plain, &[writer]).await, Reason::SelfEscalation),
        ("Dana makes her group writers", stage.carry(dana, plain, &[writer]).await, Reason::SelfEscalation),
        ("Mara joins the governors", stage.add(mara, governors, &[mara.id]).await, Reason::GovernanceNotGrantable),
        ("Mara makes her group governors", stage.carry(mara, plain, &[governor]).await, Reason::GovernanceNotGrantable),
        ("Mara lets Nora govern", stage.add(mara, governors, &[nora.id]).await, Reason::GovernanceNotGrantable),
        ("Mara takes Dana out", stage.remove(mara, governors, &[dana.id]).await, Reason::GovernanceNotGrantable),
        ("Mara disarms the governors", stage.carry(mara, governors, &[]).await, Reason::GovernanceNotGrantable),
        ("Mara deletes the governors", stage.delete(mara, governors, true).await, Reason::GovernanceNotGrantable),
        (
            "Mara makes a group of governors",
            made(mara, new("more", &["access-manager"])).await,
            Reason::GovernanceNotGrantable,
        ),
        ("Nora manages nothing", stage.add(nora, plain, &[nora.id]).await, Reason::PermissionDenied),
        ("Lena manages elsewhere", stage.add(&world.lena, plain, &[nora.id]).await, Reason::PermissionDenied),
    ];
    for (told, answer, reason) in tries {
        assert_eq!(answer.unwrap_err().reason, reason, "{told}");
    }
    assert_eq!(world.content(), before);
    // What is not theirs they may hand out.
    assert!(stage.add(mara, writers, &[nora.id]).await.is_ok());
    assert!(stage.add(dana, governors, &[nora.id]).await.is_ok());
    assert!(stage.remove(&lars, governors, &[nora.id]).await.is_ok());
}

/// I3: a workspace whose only qualifying manager is one by a group keeps them.
#[tokio::test]
async fn the_last_manager_stays_in_the_group_that_makes_them_one() {
    let stage = Stage::new().await;
    let Stage { world, governors, nora, .. } = &stage;
    stage.add(&world.dana, governors, &[nora.id]).await.unwrap();
    // Nora manages by the group now. Dana, who manages by herself, may leave again what she never joined.
    stage.take_everything_from(&world.dana).await;
    for answer in [
        stage.remove(nora, governors, &[nora.id]).await,
        stage.carry(nora, governors, &[]).await,
        stage.delete(nora, governors, true).await,
    ] {
        assert_eq!(reason(answer), Reason::LastManager);
    }
    stage.add(nora, governors, &[world.dana.id]).await.unwrap();
    assert!(stage.remove(nora, governors, &[nora.id]).await.is_ok());
}

#[tokio::test]
async fn groups_and_their_people_are_listed_page_by_page() {
    let stage = Stage::new().await;
    let Stage { world, plain, writers, governors, nora, mara, .. } = &stage;
    stage.add(&world.dana, plain, &[nora.id, mara.id]).await.unwrap();
    let (dana, fresh) = (call(&world.dana), Consistency::FullyConsistent);
    let first = PageRequest { size: 2, token: String::new() };
    let page = world.domicile.list_groups(&dana, "acme", &first, &fresh).await.unwrap();
    let rest = PageRequest { size: 2, token: page.next_token.clone() };
    let last = world.domicile.list_groups(&dana, "acme", &rest, &fresh).await.unwrap();
    let all: Vec<(Group, u64)> = page.items.into_iter().chain(last.items).map(|row| (row.group, row.members)).collect();
    assert_eq!(all, [(plain.clone(), 2), (writers.clone(), 0), (governors.clone(), 0)]);
    assert_eq!(last.next_token, "");

    let one = PageRequest { size: 1, token: String::new() };
    let page = world.domicile.list_group_members(&dana, "acme", "plain", &one, &fresh).await.unwrap();
    let rest = PageRequest { size: 9, token: page.next_token.clone() };
    // A token is of its list.
    let other = world.domicile.list_group_members(&dana, "acme", "writers", &rest, &fresh).await;
    assert_eq!(reason(other), Reason::InvalidPageToken);
    let last = world.domicile.list_group_members(&dana, "acme", "plain", &rest, &fresh).await.unwrap();
    let listed: BTreeSet<UserId> =
        page.items.into_iter().chain(last.items).map(|view| view.membership.base().user).collect();
    assert_eq!(listed, BTreeSet::from([nora.id, mara.id]));
}
