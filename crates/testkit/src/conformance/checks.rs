//! Questions about access: what they read, and that they see every write.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::membership::{EndReason, Membership};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{CheckKey, CheckedSubject, Freshness};
use domicile_domain::port::sealer::{SealPurpose, Sealer};
use domicile_domain::port::store::UnitOfWork;
use domicile_domain::usecase::{Call, CheckAccess, CheckSubject, Consistency, Denial, Domicile, DomicileApi};

use super::races::ports;
use super::{Harness, Subject, begin, good, put};
use crate::builders::{
    NOW, external, id, internal, minute, permission, permission_name, relationship, role, user, with_role, workspace,
};
use crate::sealer::PlainSealer;

/// A call of a service that may ask everything.
pub(super) fn asking() -> Call {
    let service = ServicePrincipal::new("shop").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere);
    let (deadline, correlation_id) = (minute(60), "asks".to_owned());
    Call { actor: Actor::service(service), deadline, correlation_id, surface: "embedded" }
}

fn product(subject: &dyn Subject) -> Domicile {
    Domicile::new(ports(subject.store(), subject.directory()))
}

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

/// How often the pairs are made; `make soak` makes 100,000.
fn pairs() -> usize {
    std::env::var("DOMICILE_TEST_PAIRS").ok().map_or(500, |text| text.parse().expect("a number of pairs"))
}

/// Takes the next revision of a workspace, does a thing in the same unit, and gives the consistency token of that.
pub(super) async fn written(
    subject: &dyn Subject,
    place: WorkspaceId,
    write: impl AsyncFnOnce(&mut dyn UnitOfWork),
) -> Consistency {
    let mut tx = begin(subject).await;
    let taken = good(tx.workspaces().take_revision(&WorkspaceRef::Id(place)).await);
    let (place, revision) = taken.expect("the test's workspace is there");
    write(&mut *tx).await;
    good(tx.commit().await);
    let content = format!("{place}|{revision}");
    let token = PlainSealer.seal(SealPurpose::ConsistencyToken, content.as_bytes()).expect("it seals");
    Consistency::AtLeastAsFresh(token)
}

pub(super) async fn end(tx: &mut dyn UnitOfWork, place: WorkspaceId, person: UserId) {
    let found = good(tx.memberships().find(place, person).await);
    if let Some(Membership::External(live)) = found {
        let read_at = live.base.version;
        good(tx.memberships().end(&live.end(EndReason::Unlinked, NOW), read_at).await);
    }
}

/// R6: what was revoked is denied by the next check with the token of that, and what was granted is allowed by the next, by
/// another product on the same store too.
pub async fn a_check_after_a_revocation_is_never_stale(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (mut host, home) = (workspace("host"), workspace("home"));
    let mut reader = role(host.id, "reader");
    reader.for_externals = true;
    reader.permissions.insert(permission_name("orders.read"));
    host.policy.default_ceiling.roles.insert(reader.id);
    let anna = user(home.id, "anna");
    put(&*subject, &[(&host).into(), (&home).into(), permission("orders.read").into(), (&reader).into()]).await;
    put(&*subject, &[(&anna).into(), internal(&anna).into()]).await;
    let products = [product(&*subject), product(&*subject)];
    let call = asking();
    for round in 0..pairs() {
        let mut visit = external(&anna, host.id);
        visit.base.grants.roles.insert(reader.id);
        let visit = Membership::External(visit);
        let granted = written(&*subject, host.id, async |tx| good(tx.memberships().insert(&visit).await)).await;
        let revoked = |decision: Result<(), Denial>| assert_eq!(decision, Err(Denial::NoMembership), "pair {round}");
        let allowed = |decision: Result<(), Denial>| assert_eq!(decision, Ok(()), "pair {round}");
        for product in &products {
            allowed(decided(product, &call, &host, &anna, granted.clone()).await);
        }
        let gone = written(&*subject, host.id, async |tx| end(tx, host.id, anna.id).await).await;
        for product in &products {
            revoked(decided(product, &call, &host, &anna, gone.clone()).await);
        }
        revoked(
            decided(
                products.iter().cycle().nth(round % 2).expect("two products"),
                &call,
                &host,
                &anna,
                Consistency::FullyConsistent,
            )
            .await,
        );
    }
}

async fn decided(
    product: &Domicile,
    call: &Call,
    host: &Workspace,
    person: &User,
    consistency: Consistency,
) -> Result<(), Denial> {
    let request = CheckAccess {
        workspace: host.id.to_string(),
        subject: CheckSubject::User(person.id.to_string()),
        permission: "orders.read".to_owned(),
        consistency,
    };
    product.check_access(call, &request).await.expect("the check is answered").decision
}
