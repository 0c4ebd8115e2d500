//! Memberships, live and ended, and the facts that decide access.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::membership::{
    EndReason, EndedMembership, ExternalState, Grants, Membership, MembershipBase, MembershipKind,
};
use domicile_domain::model::name::{ExternalId, Handle};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::{Identity, User, UserState};
use domicile_domain::model::workspace::{Openness, Workspace, WorkspaceRef, WorkspaceState};
use domicile_domain::port::directory::{CheckFacts, CheckKey, CheckedSubject, Freshness};
use domicile_domain::port::store::{Constraint, StoreError};

use super::{Harness, Subject, begin, exclude, good, put, refused};
use crate::builders::{
    external, group, id, internal, language, minute, permission, permission_name, relationship, role, user, workspace,
};

/// What is left of a membership that the host ended.
pub(super) fn ended(base: &MembershipBase, at: Timestamp) -> EndedMembership {
    EndedMembership {
        id: base.id,
        user: base.user,
        workspace: base.workspace,
        kind: MembershipKind::Internal,
        grants: base.grants.clone(),
        external_id: base.external_id.clone(),
        assigned_by: base.assigned_by,
        assigned_at: base.assigned_at,
        reason: EndReason::Unlinked,
        ended_at: at,
        version: base.version.next(),
    }
}

struct World {
    host: Workspace,
    home: Workspace,
    anna: User,
    grants: Grants,
}

/// Anna of `home`, whom nobody has taken in; `host` has two roles.
async fn world(subject: &dyn Subject) -> World {
    let (host, home) = (workspace("host"), workspace("home"));
    let anna = user(home.id, "anna");
    let (editor, author) = (role(host.id, "editor"), role(host.id, "author"));
    let at_home = [role(home.id, "editor"), role(home.id, "author")];
    put(subject, &[(&host).into(), (&home).into(), (&anna).into(), permission("orders.read").into()]).await;
    put(subject, &[(&editor).into(), (&author).into()]).await;
    put(subject, &at_home.map(Into::into)).await;
    let grants = Grants {
        roles: BTreeSet::from([editor.id, author.id]),
        permissions: BTreeSet::from([permission_name("orders.read")]),
    };
    World { host, home, anna, grants }
}

fn external_id(text: &str) -> ExternalId {
    ExternalId::parse(text).expect("the test's external id is one")
}

async fn found(subject: &dyn Subject, workspace: WorkspaceId, user: UserId) -> Option<Membership> {
    let mut tx = begin(subject).await;
    let found = good(tx.memberships().find(workspace, user).await);
    good(tx.rollback().await);
    found
}

/// Every field of an External comes back, in every state, full and empty.
pub async fn every_field_and_state_of_an_external_comes_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, home, grants, .. } = world(&*subject).await;
    for (place, state) in (0_u32..).zip(ExternalState::ALL) {
        let guest = user(home.id, &format!("guest{place}"));
        let mut written = external(&guest, host.id);
        written.state = state;
        if place > 0 {
            written.base.grants = grants.clone();
            written.base.assigned_by = Some(id());
            written.base.external_id = Some(external_id(&format!("ext {place}")));
            written.base.version = Version::from_stored(6);
            written.language = Some(language("pt-BR"));
            written.expires_at = Some(minute(60));
            written.sponsor = Some(id());
            written.typed_contact = Some("guest@mail.example".to_owned());
        }
        put(&*subject, &[(&guest).into(), written.clone().into()]).await;
        assert_eq!(found(&*subject, host.id, guest.id).await, Some(Membership::External(written)));
    }
}

/// Every field of an Internal comes back, full and empty.
pub async fn every_field_of_an_internal_comes_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, .. } = world(&*subject).await;
    let ben = user(home.id, "ben");
    let clerk = role(home.id, "clerk");
    let mut full = internal(&anna);
    full.base.grants.roles.insert(clerk.id);
    full.base.grants.permissions.insert(permission_name("orders.read"));
    full.base.assigned_by = Some(id());
    full.base.external_id = Some(external_id("é-17"));
    let crew = group(home.id, "crew");
    full.groups = BTreeSet::from([crew.id]);
    full.units = BTreeSet::from([id()]);
    let plain = internal(&ben);
    put(&*subject, &[(&ben).into(), clerk.into(), crew.into(), full.clone().into(), plain.clone().into()]).await;
    assert_eq!(found(&*subject, home.id, anna.id).await, Some(Membership::Internal(full)));
    assert_eq!(found(&*subject, home.id, ben.id).await, Some(Membership::Internal(plain)));
}

/// I2: one live membership per user and workspace.
pub async fn one_live_membership_each(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, home, anna, .. } = world(&*subject).await;
    put(&*subject, &[external(&anna, host.id).into()]).await;
    let taken = StoreError::Conflict(Constraint::Membership);
    refused(&*subject, external(&anna, host.id).into(), taken).await;
    let ben = user(home.id, "ben");
    put(&*subject, &[(&ben).into()]).await;
    let (a, b) = (external(&ben, host.id), external(&ben, host.id));
    exclude(&*subject, a.into(), b.into(), Constraint::Membership).await;
}

/// I1: one Internal membership per user.
pub async fn one_internal_membership_each(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, .. } = world(&*subject).await;
    put(&*subject, &[internal(&anna).into()]).await;
    let taken = StoreError::Conflict(Constraint::Membership);
    refused(&*subject, internal(&anna).into(), taken).await;
    let ben = user(home.id, "ben");
    put(&*subject, &[(&ben).into()]).await;
    exclude(&*subject, internal(&ben).into(), internal(&ben).into(), Constraint::Membership).await;
}

/// I1: nobody is Internal outside the home.
pub async fn no_internal_outside_the_home(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, anna, .. } = world(&*subject).await;
    let before = subject.dump().await;
    let mut stray = internal(&anna);
    stray.base.workspace = host.id;
    let mut tx = begin(&*subject).await;
    let answer = tx.memberships().insert(&Membership::Internal(stray)).await;
    assert!(matches!(answer, Err(StoreError::Fault(_))), "{answer:?}");
    assert_eq!(tx.commit().await, Err(StoreError::Poisoned));
    assert_eq!(subject.dump().await, before);
}

/// An external id is unique among the live memberships of a workspace, and free again when one ended.
pub async fn external_ids_are_unique_in_a_workspace(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, home, anna, .. } = world(&*subject).await;
    let guests = ["ben", "cleo", "dora", "emil"].map(|name| user(home.id, name));
    put(&*subject, &guests.each_ref().map(Into::into)).await;
    let [ben, cleo, dora, emil] = guests;
    let with = |user: &User, workspace, text: &str| {
        let mut membership = external(user, workspace);
        membership.base.external_id = Some(external_id(text));
        membership
    };
    let first = with(&anna, host.id, "x-1");
    put(&*subject, &[first.clone().into()]).await;
    refused(&*subject, with(&ben, host.id, "x-1").into(), StoreError::Conflict(Constraint::ExternalId)).await;
    let mut at_home = internal(&anna);
    at_home.base.external_id = Some(external_id("x-1"));
    put(&*subject, &[at_home.into(), external(&cleo, host.id).into()]).await;
    let (a, b) = (with(&dora, host.id, "x-2"), with(&emil, host.id, "x-2"));
    exclude(&*subject, a.into(), b.into(), Constraint::ExternalId).await;
    let version = first.base.version;
    let mut tx = begin(&*subject).await;
    good(tx.memberships().end(&first.end(EndReason::Unlinked, minute(1)), version).await);
    good(tx.memberships().insert(&Membership::External(with(&ben, host.id, "x-1"))).await);
    good(tx.commit().await);
}

/// An ended membership is not live any more; the last one is found with every field, and the person may come back.
pub async fn ended_memberships_go_to_the_history(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, home, anna, grants } = world(&*subject).await;
    let reasons = [
        EndReason::Unlinked,
        EndReason::Left,
        EndReason::Declined,
        EndReason::Lapsed,
        EndReason::Expired,
        EndReason::AccountEnded,
        EndReason::WorkspaceClosed,
        EndReason::Moved,
    ];
    for (minutes, reason) in (1..).zip(reasons) {
        let mut live = external(&anna, host.id);
        live.base.grants = grants.clone();
        live.base.external_id = Some(external_id("x-1"));
        live.base.assigned_by = (minutes % 2 == 0).then(id);
        live.typed_contact = Some("anna@mail.example".to_owned());
        put(&*subject, &[live.clone().into()]).await;
        let read_at = live.base.version;
        let over = live.end(reason, minute(minutes));
        let mut tx = begin(&*subject).await;
        good(tx.memberships().end(&over, read_at).await);
        good(tx.commit().await);
        assert_eq!(found(&*subject, host.id, anna.id).await, None);
        let mut tx = begin(&*subject).await;
        assert_eq!(good(tx.memberships().last_ended(host.id, anna.id).await), Some(over));
        assert_eq!(good(tx.memberships().last_ended(home.id, anna.id).await), None);
        good(tx.rollback().await);
    }
}

/// Ending needs the live membership at the version that was read: another version, another life or none is stale.
pub async fn ending_needs_the_live_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, anna, .. } = world(&*subject).await;
    let live = external(&anna, host.id);
    put(&*subject, &[live.clone().into()]).await;
    let over = live.clone().end(EndReason::Unlinked, minute(1));
    let other_life = EndedMembership { id: id(), ..over.clone() };
    let nobody = EndedMembership { user: id(), ..over.clone() };
    let before = subject.dump().await;
    for (ended, read_at) in
        [(&over, live.base.version.next()), (&other_life, live.base.version), (&nobody, live.base.version)]
    {
        let mut tx = begin(&*subject).await;
        assert_eq!(tx.memberships().end(ended, read_at).await, Err(StoreError::Stale));
        assert_eq!(tx.commit().await, Err(StoreError::Poisoned));
        assert_eq!(subject.dump().await, before);
    }
}

async fn facts(subject: &dyn Subject, workspace: WorkspaceId, user: UserId) -> Option<AccessFacts> {
    let mut tx = begin(subject).await;
    let in_unit = good(tx.memberships().access_facts(workspace, user).await);
    good(tx.rollback().await);
    assert_eq!(good(subject.directory().access_facts(workspace, user).await), in_unit);
    let key = CheckKey {
        workspace: WorkspaceRef::Id(workspace),
        subject: CheckedSubject::User(user),
        permission: permission_name("orders.read"),
    };
    let checked = good(subject.directory().check_facts(&[key], &Freshness::Newest).await).remove(0);
    assert_eq!(checked.access.as_deref(), in_unit.as_ref());
    in_unit
}

/// The facts of nobody, a stranger, an Internal, an External with and without a relationship; of no workspace none.
pub async fn access_facts_of_every_shape(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, anna, grants, .. } = world(&*subject).await;
    assert_eq!(facts(&*subject, WorkspaceId::nil(), anna.id).await, None);
    let nobody = AccessFacts {
        workspace: host.clone().into(),
        account: None,
        membership: None,
        roles: vec![],
        relationship: None,
    };
    assert_eq!(facts(&*subject, host.id, UserId::nil()).await, Some(nobody.clone()));

    let mut closed = workspace("closed");
    closed.state = WorkspaceState::Suspended;
    closed.policy.outbound = Openness::RelatedOnly;
    let mut ben = user(closed.id, "ben");
    ben.state = UserState::Suspended;
    put(&*subject, &[(&closed).into(), (&ben).into()]).await;
    let account = AccountFacts {
        user: ben.id,
        home: closed.id,
        state: UserState::Suspended,
        home_state: WorkspaceState::Suspended,
        home_revision: closed.revision,
        home_outbound: Openness::RelatedOnly,
    };
    let stranger = AccessFacts { account: Some(account), ..nobody };
    assert_eq!(facts(&*subject, host.id, ben.id).await, Some(stranger.clone()));

    let mut guest = external(&ben, host.id);
    guest.base.grants = grants;
    put(&*subject, &[guest.clone().into(), relationship(closed.id, host.id).into()]).await;
    let mut roles = good(subject.directory().roles(host.id).await);
    roles.retain(|role| guest.base.grants.roles.contains(&role.id));
    assert_eq!(roles.len(), 2);
    let roles = roles.into_iter().map(Arc::new).collect();
    let linked = AccessFacts { membership: Some(Membership::External(guest)), roles, ..stranger };
    assert_eq!(facts(&*subject, host.id, ben.id).await, Some(linked.clone()));

    let agreed = relationship(host.id, closed.id);
    put(&*subject, &[(&agreed).into()]).await;
    let related = AccessFacts { relationship: Some(agreed.into()), ..linked };
    assert_eq!(facts(&*subject, host.id, ben.id).await, Some(related));

    put(&*subject, &[internal(&ben).into()]).await;
    let at_home = facts(&*subject, closed.id, ben.id).await.expect("the home is there");
    assert_eq!(at_home.membership.map(|m| m.kind()), Some(MembershipKind::Internal));
    assert_eq!((at_home.roles, at_home.relationship), (vec![], None));
}

/// One check and many are answered by the same facts, in the order asked, whichever way workspace and person are named; what
/// is not there is absent. The number of checks does not change the number of statements, so one call sees one state.
pub async fn checks_are_answered_in_order(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, home, anna, grants } = world(&*subject).await;
    let mut guest = external(&anna, host.id);
    guest.base.grants = grants;
    let known = Identity { issuer: "https://login.example".to_owned(), subject: "anna \"1\"".to_owned() };
    let unknown = Identity { subject: "2".to_owned(), ..known.clone() };
    let agreed = relationship(host.id, home.id);
    let rows = [guest.into(), internal(&anna).into(), (&agreed).into(), (anna.id, known.clone()).into()];
    put(&*subject, &rows).await;
    let handle = |text: &str| WorkspaceRef::Handle(Handle::parse(text).expect("the test's handle is one"));
    let by_id = |id| (WorkspaceRef::Id(id), CheckedSubject::User(anna.id));
    let asked = [
        (by_id(host.id), "orders.read", Some((host.id, anna.id))),
        ((handle("home"), CheckedSubject::Identity(known)), "domicile.create", Some((home.id, anna.id))),
        ((handle("nowhere"), CheckedSubject::User(anna.id)), "orders.read", None),
        ((handle("host"), CheckedSubject::Identity(unknown)), "orders.write", Some((host.id, UserId::nil()))),
        (by_id(WorkspaceId::nil()), "orders.read", None),
        (by_id(host.id), "orders.read", Some((host.id, anna.id))),
    ];
    let directory = subject.directory();
    let mut expected = Vec::new();
    let mut checks = Vec::new();
    for ((workspace, subject), permission, pair) in asked {
        let permission = permission_name(permission);
        let access = match pair {
            Some((workspace, user)) => good(directory.access_facts(workspace, user).await),
            None => None,
        };
        let entry = good(directory.permission(&permission).await);
        expected.push(CheckFacts { access: access.map(Arc::new), permission: entry.map(Arc::new), as_of: None });
        checks.push(CheckKey { workspace, subject, permission });
    }
    assert_eq!(expected.iter().filter(|facts| facts.access.is_some()).count(), 4);
    assert_eq!(expected.iter().filter(|facts| facts.permission.is_some()).count(), 5);
    assert_eq!(good(directory.check_facts(&checks, &Freshness::Newest).await), expected);
    for (check, facts) in checks.iter().zip(&expected) {
        let alone = good(directory.check_facts(std::slice::from_ref(check), &Freshness::Bounded).await);
        assert_eq!(alone.as_slice(), std::slice::from_ref(facts));
    }
    assert_eq!(good(directory.check_facts(&[], &Freshness::Newest).await), []);
}

/// Facts follow every unit that took a revision, and no unit that was taken back.
pub async fn facts_follow_revisions(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, anna, grants, .. } = world(&*subject).await;
    let mut guest = external(&anna, host.id);
    guest.base.grants = grants;
    put(&*subject, &[guest.into()]).await;
    let before = facts(&*subject, host.id, anna.id).await.expect("the host is there");
    let mut tx = begin(&*subject).await;
    let taken = good(tx.workspaces().take_revision(&WorkspaceRef::Id(host.id)).await);
    good(tx.roles().insert(&role(host.id, "later")).await);
    let within = good(tx.memberships().access_facts(host.id, anna.id).await).expect("the host is there");
    assert_eq!(Some(within.workspace.revision), taken.map(|(_, revision)| revision));
    good(tx.rollback().await);
    assert_eq!(facts(&*subject, host.id, anna.id).await, Some(before.clone()));
    let mut tx = begin(&*subject).await;
    good(tx.workspaces().take_revision(&WorkspaceRef::Id(host.id)).await);
    good(tx.commit().await);
    let after = facts(&*subject, host.id, anna.id).await.expect("the host is there");
    assert_eq!(after.workspace.revision, before.workspace.revision.next());
}

/// Members come in order of user id with account, home and relationship; pages join without gap or repeat.
pub async fn members_are_paged(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { host, home, anna, .. } = world(&*subject).await;
    let agreed = relationship(host.id, home.id);
    let own = user(host.id, "own");
    put(&*subject, &[(&agreed).into(), (&own).into(), internal(&own).into()]).await;
    put(&*subject, &[external(&anna, host.id).into(), internal(&anna).into()]).await;
    let mut expected = vec![anna.id, own.id];
    for number in 0..5 {
        let guest = user(home.id, &format!("guest{number}"));
        expected.push(guest.id);
        put(&*subject, &[(&guest).into(), external(&guest, host.id).into()]).await;
    }
    expected.sort_unstable();
    let directory = subject.directory();
    let (mut seen, mut after) = (Vec::new(), UserId::nil());
    loop {
        let page = good(directory.members(host.id, after, 3).await);
        let Some(last) = page.last() else { break };
        after = last.user.id;
        for row in page {
            assert_eq!(row.membership.base().user, row.user.id);
            assert_eq!(good(directory.member(host.id, row.user.id).await).as_ref(), Some(&row));
            let external = row.user.id != own.id;
            assert_eq!(row.home, external.then(|| home.clone()));
            assert_eq!(row.relationship, external.then(|| agreed.clone()));
            seen.push(row.user.id);
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(good(directory.member(host.id, id()).await), None);
    assert_eq!(good(directory.members(WorkspaceId::nil(), UserId::nil(), 3).await), Vec::new());
}
