//! Roles, what members have, and the catalogue of permissions, as they change.

use std::collections::BTreeSet;

use domicile_domain::model::group::{Group, GroupRef};
use domicile_domain::model::membership::{ExternalMembership, Grants, InternalMembership, Membership, MembershipBase};
use domicile_domain::model::permission::{Permission, PermissionUses};
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::store::StoreError;

use super::{Harness, Subject, begin, good, put};
use crate::builders::{
    external, group, internal, minute, name, permission, permission_name, relationship, role, user, workspace,
};

/// Acme with a role that is named everywhere, and another that is named nowhere.
struct World {
    acme: Workspace,
    editor: Role,
    author: Role,
    anna: User,
    cleo: User,
    home: Workspace,
    /// Carries both roles; Gert alone is in it.
    team: Group,
}

async fn world(subject: &dyn Subject) -> World {
    let mut acme = workspace("acme");
    let home = workspace("home");
    let (mut editor, author) = (role(acme.id, "editor"), role(acme.id, "author"));
    editor.permissions = BTreeSet::from([permission_name("orders.read")]);
    acme.policy.default_ceiling.roles = BTreeSet::from([editor.id, author.id]);
    put(subject, &[permission("orders.read").into(), permission("orders.write").into()]).await;
    put(subject, &[(&acme).into(), (&home).into(), (&editor).into(), (&author).into()]).await;
    let (anna, cleo) = (user(acme.id, "anna"), user(home.id, "cleo"));
    let both = Grants {
        roles: BTreeSet::from([editor.id, author.id]),
        permissions: BTreeSet::from([permission_name("orders.write")]),
    };
    let (mut anna_here, mut cleo_here) = (internal(&anna), external(&cleo, acme.id));
    anna_here.base.grants = both.clone();
    cleo_here.base.grants = both;
    let mut agreed = relationship(acme.id, home.id);
    agreed.host_terms.ceiling.roles = BTreeSet::from([editor.id, author.id]);
    put(subject, &[(&anna).into(), (&cleo).into(), anna_here.into(), cleo_here.into(), agreed.into()]).await;
    let mut team = group(acme.id, "team");
    team.roles = BTreeSet::from([editor.id, author.id]);
    let gert = user(acme.id, "gert");
    let mut gert_here = internal(&gert);
    gert_here.groups = BTreeSet::from([team.id]);
    put(subject, &[(&team).into(), (&gert).into(), gert_here.into()]).await;
    World { acme, editor, author, anna, cleo, home, team }
}

impl World {
    async fn base(&self, subject: &dyn Subject, user: &User) -> MembershipBase {
        let row = good(subject.directory().member(self.acme.id, user.id).await).expect("a member");
        row.membership.base().clone()
    }
}

/// What is granted is replaced, both sets, at the version that was read and no other; nothing else of it changes.
pub async fn grants_are_replaced_at_their_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let world = world(&*subject).await;
    for user in [&world.anna, &world.cleo] {
        let before = good(subject.directory().member(world.acme.id, user.id).await).expect("a member").membership;
        let grants = Grants {
            roles: BTreeSet::from([world.author.id]),
            permissions: BTreeSet::from([permission_name("orders.read")]),
        };
        let read_at = before.base().version;
        let base = MembershipBase { grants, version: read_at.next(), ..before.base().clone() };
        let mut tx = begin(&*subject).await;
        good(tx.memberships().grant(&base, read_at).await);
        assert_eq!(good(tx.memberships().find(world.acme.id, user.id).await).expect("there").base(), &base);
        good(tx.commit().await);
        let expected = match before {
            Membership::Internal(internal) => {
                Membership::Internal(InternalMembership { base: base.clone(), ..internal })
            }
            Membership::External(external) => {
                Membership::External(ExternalMembership { base: base.clone(), ..external })
            }
        };
        let after = good(subject.directory().member(world.acme.id, user.id).await).expect("a member").membership;
        assert_eq!(after, expected);

        let mut tx = begin(&*subject).await;
        let late = MembershipBase { grants: Grants::default(), ..base };
        assert_eq!(tx.memberships().grant(&late, read_at).await, Err(StoreError::Stale));
        good(tx.rollback().await);
    }
}

/// A role's name, permissions and mark are replaced at the version that was read and no other.
pub async fn roles_are_replaced_at_their_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let world = world(&*subject).await;
    let changed = Role {
        display_name: name("Chief editor"),
        permissions: BTreeSet::from([permission_name("orders.write")]),
        for_externals: !world.editor.for_externals,
        version: world.editor.version.next(),
        ..world.editor.clone()
    };
    let mut tx = begin(&*subject).await;
    good(tx.roles().update(&changed, world.editor.version).await);
    good(tx.commit().await);
    assert_eq!(good(subject.directory().roles(world.acme.id).await), [world.author.clone(), changed.clone()]);
    let mut tx = begin(&*subject).await;
    assert_eq!(tx.roles().update(&changed, world.editor.version).await, Err(StoreError::Stale));
    good(tx.rollback().await);
}

/// A deleted role is taken from every membership, group and ceiling, each of which is at its next version, and from nobody else.
pub async fn a_deleted_role_is_taken_from_everywhere(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let world = world(&*subject).await;
    let before = [world.base(&*subject, &world.anna).await, world.base(&*subject, &world.cleo).await];
    let mut tx = begin(&*subject).await;
    let everywhere = RoleUses { memberships: 2, groups: 1, ceilings: 2 };
    assert_eq!(good(tx.roles().uses(&world.editor).await), everywhere);
    assert_eq!(good(tx.roles().reach(&world.editor).await), RoleReach { internals: 2, externals: 1 });
    good(tx.roles().delete(&world.editor).await);
    assert_eq!(good(tx.roles().uses(&world.editor).await), RoleUses::default());
    assert_eq!(good(tx.roles().uses(&world.author).await), everywhere);
    good(tx.commit().await);

    let directory = subject.directory();
    assert_eq!(good(directory.roles(world.acme.id).await), std::slice::from_ref(&world.author));
    let rest = BTreeSet::from([world.author.id]);
    for (user, before) in [&world.anna, &world.cleo].into_iter().zip(before) {
        let after = world.base(&*subject, user).await;
        assert_eq!(after.grants.roles, rest);
        let grants = Grants { roles: rest.clone(), ..before.grants.clone() };
        assert_eq!(after, MembershipBase { grants, version: before.version.next(), ..before });
    }
    let acme = good(directory.workspace(&WorkspaceRef::Id(world.acme.id)).await).expect("there");
    assert_eq!(acme.policy.default_ceiling.roles, rest);
    assert_eq!(acme.version, world.acme.version.next());
    let mut tx = begin(&*subject).await;
    let team = good(tx.groups().find(world.acme.id, &GroupRef::Id(world.team.id)).await).expect("there").group;
    let version = world.team.version.next();
    assert_eq!(team, Group { roles: rest.clone(), version, ..world.team.clone() });
    let agreed = good(tx.relationships().find(world.acme.id, world.home.id).await).expect("there");
    assert_eq!(agreed.host_terms.ceiling.roles, rest);
    assert_eq!(agreed.version, relationship(world.acme.id, world.home.id).version.next());
    good(tx.rollback().await);

    let mut tx = begin(&*subject).await;
    let stale = Role { version: world.author.version.next(), ..world.author };
    assert_eq!(tx.roles().delete(&stale).await, Err(StoreError::Stale));
    good(tx.rollback().await);
}

/// An entry is replaced by name; where it is named is counted over all workspaces.
pub async fn entries_of_the_catalogue_are_replaced(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let world = world(&*subject).await;
    let there = role(world.home.id, "far");
    let far = Role { permissions: BTreeSet::from([permission_name("orders.read")]), ..there };
    put(&*subject, &[far.into()]).await;
    let retired = Permission {
        description: "Old".to_owned(),
        registered_by: "shop".to_owned(),
        retired_at: Some(minute(3)),
        ..permission("orders.read")
    };
    let mut tx = begin(&*subject).await;
    let uses = good(tx.roles().permission_uses(&retired.name).await);
    assert_eq!(uses, PermissionUses { roles: 2, memberships: 0 });
    let uses = good(tx.roles().permission_uses(&permission_name("orders.write")).await);
    assert_eq!(uses, PermissionUses { roles: 0, memberships: 2 });
    good(tx.roles().update_permission(&retired).await);
    good(tx.commit().await);
    assert_eq!(good(subject.directory().permission(&retired.name).await), Some(retired));
    let mut tx = begin(&*subject).await;
    assert_eq!(tx.roles().update_permission(&permission("orders.none")).await, Err(StoreError::Stale));
    good(tx.rollback().await);
}

/// The catalogue comes page by page, by name as bytes are ordered, by the words of a prefix, with retired ones if asked.
pub async fn the_catalogue_is_paged(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let old = Permission { retired_at: Some(minute(1)), ..permission("orders.old") };
    let names = ["orders.read", "orders.returns.read", "orders-x.read", "orders_x.read", "ordersx.read", "stock.read"];
    put(&*subject, &names.map(|name| permission(name).into())).await;
    put(&*subject, &[old.into()]).await;
    let page = async |prefix: &str, retired: bool, after: &str, limit: u32| {
        let page = good(subject.directory().permissions(prefix, retired, after, limit).await);
        page.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page("orders", false, "", 10).await, ["orders.read", "orders.returns.read"]);
    assert_eq!(page("orders", true, "", 10).await, ["orders.old", "orders.read", "orders.returns.read"]);
    assert_eq!(page("orders.returns", true, "", 10).await, ["orders.returns.read"]);
    assert_eq!(page("ord", true, "", 10).await, [""; 0]);
    let all = page("", false, "", 100).await;
    let mut sorted: Vec<&str> = names.into_iter().chain(["domicile.create", "domicile.update"]).collect();
    sorted.sort_unstable();
    assert_eq!(all, sorted);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let next = page("", false, &after, 3).await;
        let Some(last) = next.last().cloned() else { break };
        after = last;
        seen.extend(next);
    }
    assert_eq!(seen, all);
}
