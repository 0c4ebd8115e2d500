//! Groups, who is in them, what they carry, and the records of workspaces that are changed.

use std::collections::BTreeSet;

use domicile_domain::model::group::{Group, GroupRef, GroupSize};
use domicile_domain::model::id::{GroupId, UserId, WorkspaceId};
use domicile_domain::model::membership::{ExternalState, Membership, MembershipKind};
use domicile_domain::model::relationship::{RelationshipState, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Version;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{Openness, Workspace, WorkspaceLinks, WorkspaceRef};
use domicile_domain::port::directory::BelongingRow;
use domicile_domain::port::store::{Constraint, Externals, GroupCandidate, StoreError};

use super::{Harness, Subject, begin, exclude, good, put};
use crate::builders::{
    email, external, group, handle, id, internal, language, minute, name, permission_name, relationship, role, user,
    workspace,
};

struct World {
    home: Workspace,
    clerk: Role,
    ruler: Role,
    anna: User,
    ben: User,
}

/// Anna and Ben, Internals of `home`, which has a role with nothing and one that rules.
async fn world(subject: &dyn Subject) -> World {
    let home = workspace("home");
    let (anna, ben) = (user(home.id, "anna"), user(home.id, "ben"));
    let (clerk, mut ruler) = (role(home.id, "clerk"), role(home.id, "ruler"));
    ruler.permissions = BTreeSet::from([permission_name("domicile.update")]);
    put(subject, &[(&home).into(), (&clerk).into(), (&ruler).into(), (&anna).into(), (&ben).into()]).await;
    put(subject, &[internal(&anna).into(), internal(&ben).into()]).await;
    World { home, clerk, ruler, anna, ben }
}

fn carrying(workspace: WorkspaceId, handle: &str, roles: &[&Role]) -> Group {
    Group { roles: roles.iter().map(|role| role.id).collect(), ..group(workspace, handle) }
}

async fn found(subject: &dyn Subject, workspace: WorkspaceId, named: &GroupRef) -> Option<GroupSize> {
    let mut tx = begin(subject).await;
    let found = good(tx.groups().find(workspace, named).await);
    good(tx.rollback().await);
    assert_eq!(good(subject.directory().group(workspace, named).await), found);
    found
}

async fn standing(subject: &dyn Subject, workspace: WorkspaceId, user: UserId) -> (BTreeSet<GroupId>, i64) {
    let row = good(subject.directory().member(workspace, user).await);
    match row.map(|row| row.membership) {
        Some(Membership::Internal(internal)) => (internal.groups, internal.base.version.as_i64()),
        other => panic!("not an Internal: {other:?}"),
    }
}

/// Runs one write on groups in a unit of its own.
macro_rules! write {
    ($subject:expr, $method:ident($($argument:expr),*)) => {{
        let mut tx = begin($subject).await;
        let answer = tx.groups().$method($($argument),*).await;
        if answer.is_ok() { good(tx.commit().await) } else { good(tx.rollback().await) }
        answer
    }};
}

/// Groups come back by id and handle, in their own workspace alone, and page by page in order of id.
pub async fn groups_come_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, clerk, ruler, .. } = world(&*subject).await;
    let other = workspace("other");
    let full = Group { version: Version::from_stored(7), ..carrying(home.id, "full", &[&clerk, &ruler]) };
    let plain = group(home.id, "plain");
    let elsewhere = group(other.id, "plain");
    put(&*subject, &[(&other).into(), (&full).into(), (&plain).into(), (&elsewhere).into()]).await;
    for expected in [&full, &plain, &elsewhere] {
        let (workspace, size) = (expected.workspace, GroupSize { group: expected.clone(), members: 0 });
        assert_eq!(found(&*subject, workspace, &GroupRef::Id(expected.id)).await.as_ref(), Some(&size));
        let named = GroupRef::Handle(expected.handle.clone());
        assert_eq!(found(&*subject, workspace, &named).await, Some(size));
    }
    assert_eq!(found(&*subject, other.id, &GroupRef::Id(full.id)).await, None);
    assert_eq!(found(&*subject, other.id, &GroupRef::Handle(handle("full"))).await, None);
    let mut tx = begin(&*subject).await;
    for (workspace, count) in [(home.id, 2), (other.id, 1)] {
        assert_eq!(good(tx.groups().count(workspace).await), count);
    }
    good(tx.rollback().await);
    let directory = subject.directory();
    let handles = |rows: Vec<GroupSize>| rows.into_iter().map(|row| row.group.handle).collect::<Vec<_>>();
    let all = good(directory.groups(home.id, GroupId::nil(), 9).await);
    assert_eq!(handles(all), [handle("full"), handle("plain")]);
    assert_eq!(handles(good(directory.groups(home.id, GroupId::nil(), 1).await)), [handle("full")]);
    assert_eq!(handles(good(directory.groups(home.id, full.id, 9).await)), [handle("plain")]);
}

/// A group's handle is unique in its workspace, and what it carries and where it is must exist.
pub async fn groups_have_their_keys(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, clerk, .. } = world(&*subject).await;
    let (first, second) = (group(home.id, "crew"), group(home.id, "crew"));
    exclude(&*subject, first.into(), second.into(), Constraint::GroupHandle).await;
    for unknown in [carrying(home.id, "lost", &[&role(home.id, "unknown")]), group(id(), "lost")] {
        let mut tx = begin(&*subject).await;
        let answer = tx.groups().insert(&unknown).await;
        assert!(matches!(answer, Err(StoreError::Fault(_))), "{answer:?}");
        good(tx.rollback().await);
    }
    // Neither a membership nor a group that is not there can be joined.
    let crew = group(home.id, "staff");
    put(&*subject, &[(&crew).into()]).await;
    let stranger = user(home.id, "stranger");
    put(&*subject, &[(&stranger).into()]).await;
    for (group, user) in [(&crew, stranger.id), (&group(home.id, "none"), anna.id)] {
        let answer = write!(&*subject, add(group, &[user]));
        assert!(matches!(answer, Err(StoreError::Fault(_))), "{answer:?}");
    }
    let mut lost = internal(&stranger);
    lost.groups.insert(id());
    let mut tx = begin(&*subject).await;
    let answer = tx.memberships().insert(&Membership::Internal(lost)).await;
    assert!(matches!(answer, Err(StoreError::Fault(_))), "{answer:?}");
    good(tx.rollback().await);
    let unknown = Group { roles: BTreeSet::from([id()]), ..crew.clone() };
    let answer = write!(&*subject, update(&unknown, crew.version));
    assert!(matches!(answer, Err(StoreError::Fault(_))), "{answer:?}");
    let kept = found(&*subject, home.id, &GroupRef::Id(crew.id)).await.map(|size| size.group);
    assert_eq!(kept, Some(crew), "{clerk:?}");
}

/// A group is replaced and deleted at the version that was read, and no other.
pub async fn groups_are_replaced_at_their_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, clerk, ruler, anna, .. } = world(&*subject).await;
    let before = carrying(home.id, "crew", &[&clerk]);
    put(&*subject, &[(&before).into()]).await;
    good(write!(&*subject, add(&before, &[anna.id])));
    let after = Group {
        display_name: name("Other"),
        version: before.version.next(),
        roles: BTreeSet::from([ruler.id]),
        ..before.clone()
    };
    good(write!(&*subject, update(&after, before.version)));
    assert_eq!(write!(&*subject, update(&before, before.version)), Err(StoreError::Stale));
    assert_eq!(write!(&*subject, delete(&before, before.version)), Err(StoreError::Stale));
    let size = found(&*subject, home.id, &GroupRef::Id(before.id)).await;
    assert_eq!(size, Some(GroupSize { group: after.clone(), members: 1 }));
    good(write!(&*subject, delete(&after, after.version)));
    assert_eq!(found(&*subject, home.id, &GroupRef::Id(before.id)).await, None);
    // Whoever was in it left it, at the next version.
    assert_eq!(standing(&*subject, home.id, anna.id).await, (BTreeSet::new(), 3));
}

/// People join and leave a group, each at the next version of their membership, and are seen in it.
pub async fn people_join_and_leave_groups(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, ben, .. } = world(&*subject).await;
    let host = workspace("host");
    let guest = user(host.id, "guest");
    let off = User { state: UserState::Suspended, ..user(home.id, "off") };
    let (crew, other) = (group(home.id, "crew"), group(home.id, "other"));
    put(&*subject, &[(&host).into(), (&guest).into(), internal(&guest).into(), external(&guest, home.id).into()]).await;
    put(&*subject, &[(&off).into(), internal(&off).into(), (&crew).into(), (&other).into()]).await;
    good(write!(&*subject, add(&crew, &[anna.id, ben.id])));
    good(write!(&*subject, add(&other, &[anna.id])));
    assert_eq!(standing(&*subject, home.id, anna.id).await, (BTreeSet::from([crew.id, other.id]), 3));
    assert_eq!(standing(&*subject, home.id, ben.id).await, (BTreeSet::from([crew.id]), 2));
    assert_eq!(standing(&*subject, home.id, off.id).await, (BTreeSet::new(), 1));

    let candidate = |user: &User, kind, is_in| GroupCandidate { user: user.id, kind, account: user.state, is_in };
    let mut expected = vec![
        candidate(&anna, MembershipKind::Internal, true),
        candidate(&guest, MembershipKind::External, false),
        candidate(&off, MembershipKind::Internal, false),
    ];
    expected.sort_by_key(|candidate| candidate.user);
    let mut tx = begin(&*subject).await;
    let asked = [off.id, id(), guest.id, anna.id];
    assert_eq!(good(tx.groups().candidates(home.id, crew.id, &asked).await), expected);
    good(tx.rollback().await);

    let directory = subject.directory();
    let mut both = [anna.id, ben.id];
    both.sort_unstable();
    let page = good(directory.group_members(home.id, crew.id, UserId::nil(), 9).await);
    assert_eq!(page.iter().map(|row| row.user.id).collect::<Vec<_>>(), both);
    for row in &page {
        let alone = good(directory.member(home.id, row.user.id).await);
        assert_eq!(alone.as_ref(), Some(row));
    }
    let first = good(directory.group_members(home.id, crew.id, UserId::nil(), 1).await);
    assert_eq!(first.iter().map(|row| row.user.id).collect::<Vec<_>>(), both[..1]);
    let rest = good(directory.group_members(home.id, crew.id, both[0], 9).await);
    assert_eq!(rest.iter().map(|row| row.user.id).collect::<Vec<_>>(), both[1..]);

    assert_eq!(write!(&*subject, remove(&other, &[anna.id, ben.id])), Err(StoreError::Stale));
    good(write!(&*subject, remove(&crew, &[anna.id])));
    assert_eq!(standing(&*subject, home.id, anna.id).await, (BTreeSet::from([other.id]), 4));
    let size = found(&*subject, home.id, &GroupRef::Id(crew.id)).await.map(|size| size.members);
    assert_eq!(size, Some(1));
}

/// The roles that a group carries are among the facts of those in it, and make them governors and grantees.
pub async fn what_groups_carry_counts(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, clerk, ruler, anna, ben } = world(&*subject).await;
    let crew = carrying(home.id, "crew", &[&ruler, &clerk]);
    put(&*subject, &[(&crew).into()]).await;
    let governors = async || {
        let mut tx = begin(&*subject).await;
        let governors = good(tx.memberships().governors(home.id, UserId::nil(), 9).await);
        good(tx.rollback().await);
        governors
    };
    assert_eq!(governors().await, []);
    good(write!(&*subject, add(&crew, &[ben.id])));
    let directory = subject.directory();
    let roles = async |user: &User| {
        let facts = good(directory.access_facts(home.id, user.id).await).expect("the workspace is there");
        facts.roles.iter().map(|role| role.handle.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(roles(&ben).await, ["clerk", "ruler"]);
    assert_eq!(roles(&anna).await, [""; 0]);
    assert_eq!(governors().await, [ben.id]);
    let update = permission_name("domicile.update");
    let grantees = good(directory.grantees(home.id, &update, UserId::nil(), 9).await);
    assert_eq!(grantees.into_iter().filter_map(|facts| Some(facts.account?.user)).collect::<Vec<_>>(), [ben.id]);
    good(write!(&*subject, remove(&crew, &[ben.id])));
    assert_eq!((roles(&ben).await.len(), governors().await.len()), (0, 0));
}

/// A membership that ends leaves its groups.
pub async fn who_ends_leaves_the_groups(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, .. } = world(&*subject).await;
    let crew = group(home.id, "crew");
    put(&*subject, &[(&crew).into()]).await;
    good(write!(&*subject, add(&crew, &[anna.id])));
    let row = good(subject.directory().member(home.id, anna.id).await).expect("she is there");
    let base = row.membership.base();
    let mut tx = begin(&*subject).await;
    good(tx.memberships().end(&super::memberships::ended(base, minute(1)), base.version).await);
    good(tx.commit().await);
    let size = found(&*subject, home.id, &GroupRef::Id(crew.id)).await;
    assert_eq!(size, Some(GroupSize { group: crew, members: 0 }));
}

/// The record and the rules of a workspace are replaced at the version that was read; handle, domains and revision stay.
pub async fn workspaces_are_replaced_at_their_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, ruler, .. } = world(&*subject).await;
    let mut after = home.clone();
    after.handle = handle("stolen");
    after.display_name = name("Other");
    after.default_language = language("de");
    after.notices.languages = vec![language("de"), language("en")];
    after.notices.channels.reverse();
    after.notices.support_contact = Some(email("help@home.example"));
    after.links = WorkspaceLinks { begin: Some("https://home.example/".to_owned()), ..WorkspaceLinks::default() };
    after.policy.inbound = Openness::RelatedOnly;
    after.policy.default_ceiling.roles.insert(ruler.id);
    after.policy.external_managers = true;
    after.version = home.version.next();
    after.revision = Version::from_stored(99);
    let mut tx = begin(&*subject).await;
    let (_, revision) = good(tx.workspaces().take_revision(&WorkspaceRef::Id(home.id)).await).expect("it is there");
    good(tx.workspaces().update(&after, home.version).await);
    good(tx.commit().await);
    let expected = Workspace { handle: home.handle.clone(), revision, ..after.clone() };
    let stored = good(subject.directory().workspace(&WorkspaceRef::Id(home.id)).await);
    assert_eq!(stored, Some(expected));
    let mut tx = begin(&*subject).await;
    assert_eq!(tx.workspaces().update(&after, home.version).await, Err(StoreError::Stale));
    good(tx.rollback().await);
}

/// External memberships are counted by host, by unknown home and by home, and a person's hosts are found.
pub async fn externals_are_counted(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, ben, .. } = world(&*subject).await;
    let (host, other) = (workspace("host"), workspace("other"));
    let far = user(other.id, "far");
    put(&*subject, &[(&host).into(), (&other).into(), (&far).into(), internal(&far).into()]).await;
    let mut suspended = external(&ben, host.id);
    suspended.state = ExternalState::Suspended;
    put(&*subject, &[external(&anna, host.id).into(), external(&anna, other.id).into(), suspended.into()]).await;
    let mut proposed = relationship(host.id, other.id);
    proposed.state = RelationshipState::Proposed;
    put(&*subject, &[external(&far, host.id).into(), relationship(host.id, home.id).into(), proposed.into()]).await;
    let mut tx = begin(&*subject).await;
    for (which, count) in [
        (Externals::In(host.id), 3),
        (Externals::UnderDefaultOf(host.id), 1),
        (Externals::UnderDefaultOf(other.id), 1),
        (Externals::In(home.id), 0),
        (Externals::From(home.id), 3),
        (Externals::From(host.id), 0),
    ] {
        assert_eq!(good(tx.memberships().count_externals(which).await), count, "{which:?}");
    }
    let mut hosts = [host.id, other.id];
    hosts.sort_unstable();
    assert_eq!(good(tx.memberships().hosts_of(anna.id, WorkspaceId::nil(), 9).await), hosts);
    assert_eq!(good(tx.memberships().hosts_of(anna.id, WorkspaceId::nil(), 1).await), hosts[..1]);
    assert_eq!(good(tx.memberships().hosts_of(anna.id, hosts[0], 9).await), hosts[1..]);
    good(tx.rollback().await);
}

/// What a host and a home had with each other.
type Past<'a> = &'a (dyn Fn(&Workspace) -> Vec<WorkspaceRelationship> + Send + Sync);

/// Where the default ceiling of a host has a say: with homes that it agreed on nothing with, and with those where what they
/// agreed on last ended and was neither suspended nor forbidden then. Nothing earlier and nothing one-sided counts.
pub async fn the_default_reaches_whom_no_agreement_keeps_from_it(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let host = workspace("host");
    put(&*subject, &[(&host).into()]).await;
    let ended = |home: &Workspace, minutes: u64| WorkspaceRelationship {
        state: RelationshipState::Ended,
        ended_at: Some(minute(minutes)),
        ..relationship(host.id, home.id)
    };
    let suspended = |ended: WorkspaceRelationship| WorkspaceRelationship { suspended_by_host: true, ..ended };
    let forbidden = |home: &Workspace| {
        let mut ended = ended(home, 1);
        ended.home_terms.allows_host = false;
        ended
    };
    let one_sided = |ended: WorkspaceRelationship| WorkspaceRelationship { answered_at: None, ..suspended(ended) };
    let pasts: [(Past<'_>, u64); 9] = [
        (&|_| vec![], 1),
        (&|home| vec![relationship(host.id, home.id)], 0),
        (&|home| vec![ended(home, 1)], 1),
        (&|home| vec![suspended(ended(home, 1))], 0),
        (&|home| vec![WorkspaceRelationship { suspended_by_home: true, ..ended(home, 1) }], 0),
        (&|home| vec![forbidden(home)], 0),
        (&|home| vec![suspended(ended(home, 1)), ended(home, 2)], 1),
        (&|home| vec![ended(home, 1), suspended(ended(home, 2))], 0),
        (&|home| vec![ended(home, 1), one_sided(ended(home, 2))], 1),
    ];
    let mut expected = 0;
    for (number, (past, counts)) in pasts.into_iter().enumerate() {
        let home = workspace(&format!("home-{number}"));
        let guest = user(home.id, &format!("guest{number}"));
        put(&*subject, &[(&home).into(), (&guest).into(), internal(&guest).into()]).await;
        put(&*subject, &[external(&guest, host.id).into()]).await;
        for agreed in past(&home) {
            put(&*subject, &[(&agreed).into()]).await;
        }
        expected += counts;
        let mut tx = begin(&*subject).await;
        let counted = good(tx.memberships().count_externals(Externals::UnderDefaultOf(host.id)).await);
        assert_eq!(counted, expected, "home {number}");
        good(tx.rollback().await);
    }
}

/// Workspaces are listed page by page, all of them and those of a person, with how the person stands there.
pub async fn workspaces_are_listed(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let World { home, anna, .. } = world(&*subject).await;
    let mut host = workspace("host");
    let domain = |text: &str| domicile_domain::model::email::MailDomain::parse(text).expect("it is a domain");
    host.verified_domains = BTreeSet::from([domain("host.example"), domain("host.test")]);
    let other = workspace("other");
    let mut membership = external(&anna, host.id);
    (membership.state, membership.expires_at) = (ExternalState::Review, Some(minute(9)));
    put(&*subject, &[(&host).into(), (&other).into(), membership.clone().into()]).await;
    let directory = subject.directory();
    let mut all = [home.clone(), host.clone(), other];
    all.sort_by_key(|workspace| workspace.id);
    assert_eq!(good(directory.workspaces(WorkspaceId::nil(), 9).await), all);
    assert_eq!(good(directory.workspaces(all[0].id, 1).await), all[1..2]);
    let mut own = [
        BelongingRow { workspace: home, external: None },
        BelongingRow { workspace: host, external: Some(membership.standing()) },
    ];
    own.sort_by_key(|row| row.workspace.id);
    assert_eq!(good(directory.workspaces_of(anna.id, WorkspaceId::nil(), 9).await), own);
    assert_eq!(good(directory.workspaces_of(anna.id, WorkspaceId::nil(), 1).await), own[..1]);
    assert_eq!(good(directory.workspaces_of(anna.id, own[0].workspace.id, 9).await), own[1..]);
    assert_eq!(good(directory.workspaces_of(id(), WorkspaceId::nil(), 9).await), []);
}
