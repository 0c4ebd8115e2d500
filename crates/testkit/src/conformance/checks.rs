//! Questions about access: what they read.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::membership::Membership;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::port::directory::{CheckKey, CheckedSubject, Freshness};

use super::{Harness, begin, good, put};
use crate::builders::{
    external, id, internal, permission, permission_name, relationship, role, user, with_role, workspace,
};

/// Many facts are those of one person each, in the order asked, whether or not person and workspace exist.
pub async fn many_facts_are_those_of_each(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let (anna, ben) = (user(home.id, "anna"), user(host.id, "ben"));
    let reader = role(host.id, "reader");
    let mut visit = external(&anna, host.id);
    visit.base.grants.roles.insert(reader.id);
    put(&*subject, &[(&host).into(), (&home).into(), (&anna).into(), (&ben).into(), (&reader).into()]).await;
    put(&*subject, &[internal(&anna).into(), internal(&ben).into(), visit.into()]).await;
    put(&*subject, &[relationship(host.id, home.id).into()]).await;
    let nobody: UserId = id();
    let asked: Vec<(WorkspaceId, UserId)> = [host.id, home.id, id()]
        .into_iter()
        .flat_map(|place| [anna.id, nobody, ben.id, anna.id].map(|person| (place, person)))
        .collect();
    let key = |(workspace, person): &(WorkspaceId, UserId)| CheckKey {
        workspace: WorkspaceRef::Id(*workspace),
        subject: CheckedSubject::User(*person),
        permission: permission_name("orders.read"),
    };
    let keys: Vec<CheckKey> = asked.iter().map(key).collect();
    let many = good(subject.directory().check_facts(&keys, &Freshness::Newest).await);
    let many: Vec<Option<AccessFacts>> = many.into_iter().map(|found| found.access.map(Arc::unwrap_or_clone)).collect();
    let mut each = Vec::new();
    for (place, person) in &asked {
        each.push(good(subject.directory().access_facts(*place, *person).await));
    }
    assert_eq!(many, each);
}

/// Grantees are the members to whom the permission is granted in any way, in order of user id, page by page.
pub async fn grantees_are_paged(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let name = permission_name("orders.read");
    let (mut reader, writer) = (role(host.id, "reader"), role(host.id, "writer"));
    reader.permissions.insert(name.clone());
    put(&*subject, &[(&host).into(), (&home).into(), permission("orders.read").into()]).await;
    put(&*subject, &[(&reader).into(), (&writer).into()]).await;
    let mut expected = BTreeSet::new();
    for number in 0..9 {
        let person = user(if number < 5 { host.id } else { home.id }, &format!("person{number}"));
        let mut membership: Membership = if number < 5 {
            Membership::Internal(internal(&person))
        } else {
            Membership::External(external(&person, host.id))
        };
        let grants = match &mut membership {
            Membership::Internal(internal) => &mut internal.base.grants,
            Membership::External(external) => &mut external.base.grants,
        };
        match number % 3 {
            0 => drop(grants.roles.insert(reader.id)),
            1 => drop(grants.permissions.insert(name.clone())),
            _ => drop(grants.roles.insert(writer.id)),
        }
        if number % 3 != 2 {
            expected.insert(person.id);
        }
        put(&*subject, &[(&person).into(), membership.into()]).await;
        // Elsewhere the same person has nothing of the kind.
        if number >= 5 {
            put(&*subject, &[internal(&person).into()]).await;
        }
    }
    let mut found: Vec<AccessFacts> = Vec::new();
    loop {
        let after = found.last().and_then(|facts| facts.account.as_ref()).map_or(UserId::nil(), |account| account.user);
        let page = good(subject.directory().grantees(host.id, &name, after, 4).await);
        assert!(page.len() <= 4);
        let last = page.len() < 4;
        found.extend(page);
        if last {
            break;
        }
    }
    let people: Vec<UserId> = found.iter().filter_map(|facts| Some(facts.account.as_ref()?.user)).collect();
    assert_eq!(people, expected.into_iter().collect::<Vec<_>>());
    for facts in found {
        let person = facts.account.as_ref().map_or(UserId::nil(), |account| account.user);
        assert_eq!(good(subject.directory().access_facts(host.id, person).await), Some(facts));
    }
    for (place, permission) in [(home.id, &name), (host.id, &permission_name("orders.none")), (id(), &name)] {
        assert_eq!(good(subject.directory().grantees(place, permission, UserId::nil(), 4).await), vec![]);
    }
}

/// The Internals who are looked at for a manager are those to whom a governance permission is granted, and no others.
pub async fn governors_are_internals_with_a_right(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let mut governor = role(host.id, "governor");
    governor.permissions.insert(PermissionName::update());
    put(&*subject, &[(&host).into(), (&home).into(), permission("orders.read").into(), (&governor).into()]).await;
    let (by_role, direct, plain, visitor) =
        (user(host.id, "role"), user(host.id, "direct"), user(host.id, "plain"), user(home.id, "visitor"));
    let (mut directly, mut plainly, mut visiting) = (internal(&direct), internal(&plain), external(&visitor, host.id));
    directly.base.grants.permissions.insert(PermissionName::create());
    plainly.base.grants.permissions.insert(permission_name("orders.read"));
    visiting.base.grants.roles.insert(governor.id);
    for person in [&by_role, &direct, &plain, &visitor] {
        put(&*subject, &[person.into()]).await;
    }
    let here = with_role(internal(&by_role), &governor);
    put(&*subject, &[here.into(), directly.into(), plainly.into(), visiting.into()]).await;
    let mut tx = begin(&*subject).await;
    let all = good(tx.memberships().governors(host.id, UserId::nil(), 9).await);
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([by_role.id, direct.id]));
    assert!(all.is_sorted());
    let first = good(tx.memberships().governors(host.id, UserId::nil(), 1).await);
    assert_eq!(first.first(), all.first());
    let second = good(tx.memberships().governors(host.id, all.first().copied().unwrap_or(UserId::nil()), 1).await);
    assert_eq!(second.first(), all.get(1));
    good(tx.rollback().await);
}
