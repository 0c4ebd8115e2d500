//! Workspaces, roles, the catalogue, relationships.

use std::collections::BTreeSet;
use std::time::Duration;

use domicile_domain::model::email::MailDomain;
use domicile_domain::model::id::WorkspaceId;
use domicile_domain::model::notice::Channel;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::phone::Region;
use domicile_domain::model::relationship::{
    Ceiling, Disclosure, HomeTerms, HostTerms, RelationshipState, Side, WorkspaceRelationship,
};
use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::time::{Revision, Version};
use domicile_domain::model::workspace::{
    DirectoryVisibility, Openness, Workspace, WorkspaceLinks, WorkspaceNotices, WorkspacePolicy, WorkspaceRef,
    WorkspaceState,
};
use domicile_domain::port::store::{Constraint, StoreError};

use super::{Harness, begin, exclude, good, put, refused};
use crate::builders::{
    built_in, email, handle, id, language, minute, name, permission, permission_name, relationship, role, workspace,
};

fn domain(text: &str) -> MailDomain {
    MailDomain::parse(text).expect("the test's domain is one")
}

/// A ceiling with two roles and one permission; the store keeps ids that it cannot check.
fn ceiling() -> Ceiling {
    Ceiling { roles: BTreeSet::from([id(), id()]), permissions: BTreeSet::from([permission_name("orders.read")]) }
}

const OPENNESS: [Openness; 3] = [Openness::Open, Openness::RelatedOnly, Openness::Closed];
const VISIBILITY: [DirectoryVisibility; 3] =
    [DirectoryVisibility::Hidden, DirectoryVisibility::NameOnly, DirectoryVisibility::Listed];
const DISCLOSURE: [Disclosure; 4] = [Disclosure::None, Disclosure::Name, Disclosure::MaskedContact, Disclosure::Full];

/// A workspace whose every field differs from the shipped one.
fn full(place: usize, state: WorkspaceState) -> Workspace {
    let mut full = workspace(&format!("full-{place}"));
    full.display_name = name("Ácme \"Kft\" & Söhne");
    full.state = state;
    full.default_region = Region::parse("DE").expect("a region");
    full.default_language = language("pt-BR");
    full.notices = WorkspaceNotices {
        languages: vec![language("de"), language("en")],
        channels: vec![Channel::Sms, Channel::Email],
        gateway: Some("main".to_owned()),
        sender: Some("Acme".to_owned()),
        support_contact: Some(email("Help@acme.example")),
    };
    full.links = WorkspaceLinks {
        begin: Some("https://acme.example/begin".to_owned()),
        accept: Some("https://acme.example/accept".to_owned()),
        leave: Some("https://acme.example/leave".to_owned()),
    };
    full.verified_domains =
        BTreeSet::from([domain(&format!("a{place}.example")), domain(&format!("b{place}.example"))]);
    let [inbound, outbound] = [place, place + 1].map(|n| OPENNESS.into_iter().cycle().nth(n).unwrap_or(Openness::Open));
    full.policy = WorkspacePolicy {
        inbound,
        outbound,
        default_ceiling: ceiling(),
        visibility_of_externals: VISIBILITY.into_iter().cycle().nth(place).unwrap_or(DirectoryVisibility::Hidden),
        acceptance_as_host: place.is_multiple_of(2),
        acceptance_as_home: place % 2 == 1,
        disclosure: DISCLOSURE.into_iter().cycle().nth(place).unwrap_or(Disclosure::None),
        external_managers: place.is_multiple_of(2),
    };
    full.created_at = minute(7);
    full.version = Version::from_stored(5);
    full.revision = Revision::from_stored(8);
    full
}

/// Every field of a workspace, in every state and policy, is read as it was written, by id and by handle.
pub async fn every_field_and_state_of_a_workspace_comes_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let mut all: Vec<Workspace> = (0_usize..).zip(WorkspaceState::ALL).map(|(n, state)| full(n, state)).collect();
    all.push(workspace("plain"));
    for acme in all {
        put(&*subject, &[(&acme).into()]).await;
        for reference in [WorkspaceRef::Id(acme.id), WorkspaceRef::Handle(acme.handle.clone())] {
            let mut tx = begin(&*subject).await;
            assert_eq!(good(tx.workspaces().find(&reference).await).as_ref(), Some(&acme));
            good(tx.rollback().await);
            assert_eq!(good(subject.directory().workspace(&reference).await).as_ref(), Some(&acme));
        }
    }
    for nothing in [WorkspaceRef::Id(WorkspaceId::nil()), WorkspaceRef::Handle(handle("nothing"))] {
        assert_eq!(good(subject.directory().workspace(&nothing).await), None);
    }
}

/// A handle is one workspace's.
pub async fn handles_of_workspaces_are_unique(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    put(&*subject, &[workspace("acme").into()]).await;
    refused(&*subject, workspace("acme").into(), StoreError::Conflict(Constraint::WorkspaceHandle)).await;
    let (a, b) = (workspace("umbrella"), workspace("umbrella"));
    exclude(&*subject, a.into(), b.into(), Constraint::WorkspaceHandle).await;
}

/// A revision is one more than the last that was committed; nothing has none.
pub async fn revisions_count(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let acme = workspace("acme");
    put(&*subject, &[(&acme).into()]).await;
    let by_handle = WorkspaceRef::Handle(acme.handle.clone());
    for (expected, commit) in [(2, true), (3, false), (3, true)] {
        let mut tx = begin(&*subject).await;
        let taken = good(tx.workspaces().take_revision(&by_handle).await);
        assert_eq!(taken, Some((acme.id, Revision::from_stored(expected))));
        good(if commit { tx.commit().await } else { tx.rollback().await });
    }
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.workspaces().take_revision(&WorkspaceRef::Id(WorkspaceId::nil())).await), None);
    assert_eq!(good(tx.workspaces().take_revision(&WorkspaceRef::Handle(handle("nothing"))).await), None);
    good(tx.commit().await);
    let read = good(subject.directory().workspace(&by_handle).await).expect("it is there");
    assert_eq!((read.revision, read.version), (Revision::from_stored(3), acme.version));
}

/// A verified domain leads to its workspace.
pub async fn domains_have_owners(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let mut acme = workspace("acme");
    acme.verified_domains = BTreeSet::from([domain("acme.example"), domain("bücher.example")]);
    put(&*subject, &[(&acme).into(), workspace("umbrella").into()]).await;
    let mut tx = begin(&*subject).await;
    for (text, owner) in
        [("ACME.example", Some(acme.id)), ("xn--bcher-kva.example", Some(acme.id)), ("mail.acme.example", None)]
    {
        assert_eq!(good(tx.workspaces().owner_of_domain(&domain(text)).await), owner, "{text}");
    }
    good(tx.rollback().await);
}

/// Every field of a role comes back, of the asked workspace alone, by handle.
pub async fn roles_come_back_by_handle(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    let mut editor = role(acme.id, "editor");
    editor.permissions = BTreeSet::from([permission_name("orders.read"), PermissionName::update()]);
    editor.for_externals = true;
    editor.version = Version::from_stored(4);
    let mut roles: Vec<Role> = BuiltInRole::ALL.map(|kind| built_in(acme.id, kind)).to_vec();
    roles.push(editor);
    put(&*subject, &[(&acme).into(), (&umbrella).into(), permission("orders.read").into()]).await;
    for role in &roles {
        put(&*subject, &[role.into()]).await;
    }
    put(&*subject, &[role(umbrella.id, "editor").into()]).await;
    roles.sort_by(|a, b| a.handle.cmp(&b.handle));
    assert_eq!(good(subject.directory().roles(acme.id).await), roles);
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.roles().of_workspace(acme.id).await), roles);
    assert_eq!(good(tx.roles().of_workspace(WorkspaceId::nil()).await), Vec::new());
    good(tx.rollback().await);
}

/// A role's handle is unique in its workspace, and free in another.
pub async fn handles_of_roles_are_unique_in_a_workspace(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, umbrella) = (workspace("acme"), workspace("umbrella"));
    put(&*subject, &[(&acme).into(), (&umbrella).into(), role(acme.id, "editor").into()]).await;
    refused(&*subject, role(acme.id, "editor").into(), StoreError::Conflict(Constraint::RoleHandle)).await;
    put(&*subject, &[role(umbrella.id, "editor").into()]).await;
    let (a, b) = (role(acme.id, "author"), role(acme.id, "author"));
    exclude(&*subject, a.into(), b.into(), Constraint::RoleHandle).await;
}

/// An entry of the catalogue comes back with every field; registering it again leaves it; governance is there.
pub async fn permissions_are_registered_once(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (read, mut write) = (permission("orders.read"), permission("orders.write"));
    write.retired_at = Some(minute(5));
    put(&*subject, &[(&read).into(), (&write).into()]).await;
    let mut again = permission("orders.read");
    "another".clone_into(&mut again.description);
    "another".clone_into(&mut again.registered_by);
    put(&*subject, &[again.into()]).await;
    let directory = subject.directory();
    assert_eq!(good(directory.permission(&read.name).await), Some(read));
    let mut tx = begin(&*subject).await;
    let names = BTreeSet::from([write.name.clone(), permission_name("orders.delete")]);
    assert_eq!(good(tx.roles().permissions(&names).await), [write]);
    assert_eq!(good(tx.roles().permissions(&BTreeSet::new()).await), []);
    good(tx.rollback().await);
    for governance in [PermissionName::create(), PermissionName::update()] {
        let entry = good(directory.permission(&governance).await).expect("governance is in the catalogue");
        assert_eq!((entry.name, entry.retired_at), (governance, None));
    }
}

/// Relationships whose every field differs from the shipped one, by a number.
fn full_relationship(host: WorkspaceId, home: WorkspaceId, place: usize) -> WorkspaceRelationship {
    let mut full = relationship(host, home);
    full.suspended_by_host = place.is_multiple_of(2);
    full.suspended_by_home = place % 2 == 1;
    full.host_terms = HostTerms {
        ceiling: ceiling(),
        directory_visibility: VISIBILITY.get(place).copied(),
        longest_membership: Some(Duration::from_hours(90 * 24)),
        acceptance: true,
    };
    full.home_terms = HomeTerms { disclosure: DISCLOSURE.get(place).copied(), allows_host: false, acceptance: true };
    full.proposed_by_side = if place.is_multiple_of(2) { Side::Home } else { Side::Host };
    full.proposed_at = minute(1);
    full.answered_at = Some(minute(2));
    full.version = Version::from_stored(3);
    full
}

/// Every field comes back; only a proposed or active one is found, and only in its direction.
pub async fn relationships_come_back_while_live(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    put(&*subject, &[(&host).into(), (&home).into()]).await;
    for place in 0..5 {
        for state in RelationshipState::ALL {
            let mut written = full_relationship(host.id, home.id, place);
            written.state = state;
            if state == RelationshipState::Proposed {
                (written.answered_by, written.answered_at) = (None, None);
            }
            put(&*subject, &[(&written).into()]).await;
            let live = matches!(state, RelationshipState::Proposed | RelationshipState::Active);
            let mut tx = begin(&*subject).await;
            let found = good(tx.relationships().find(host.id, home.id).await);
            assert_eq!(found, live.then(|| written.clone()));
            assert_eq!(good(tx.relationships().find(home.id, host.id).await), None);
            let ended = WorkspaceRelationship {
                state: RelationshipState::Ended,
                ended_at: Some(minute(9)),
                version: written.version.next(),
                ..written.clone()
            };
            good(tx.relationships().update(&ended, written.version).await);
            assert_eq!(good(tx.relationships().find(host.id, home.id).await), None);
            good(tx.commit().await);
        }
    }
}

/// One proposed or active relationship for a host and a home; the other direction is another pair.
pub async fn one_live_relationship_for_a_pair(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home, third) = (workspace("host"), workspace("home"), workspace("third"));
    let mut proposed = relationship(host.id, home.id);
    proposed.state = RelationshipState::Proposed;
    put(&*subject, &[(&host).into(), (&home).into(), (&third).into(), (&proposed).into()]).await;
    let taken = StoreError::Conflict(Constraint::Relationship);
    refused(&*subject, relationship(host.id, home.id).into(), taken).await;
    put(&*subject, &[relationship(home.id, host.id).into()]).await;
    let (a, b) = (relationship(host.id, third.id), relationship(host.id, third.id));
    exclude(&*subject, a.into(), b.into(), Constraint::Relationship).await;
}

/// A relationship is replaced whole at the version that was read, and at no other.
pub async fn relationships_are_replaced_at_their_version(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let first = relationship(host.id, home.id);
    put(&*subject, &[(&host).into(), (&home).into(), (&first).into()]).await;
    let mut second = full_relationship(host.id, home.id, 1);
    (second.id, second.version) = (first.id, first.version.next());
    let mut tx = begin(&*subject).await;
    good(tx.relationships().update(&second, first.version).await);
    good(tx.commit().await);
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.relationships().find(host.id, home.id).await), Some(second.clone()));
    assert_eq!(tx.relationships().update(&first, first.version).await, Err(StoreError::Stale));
    good(tx.rollback().await);
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.relationships().find(host.id, home.id).await), Some(second));
    good(tx.rollback().await);
}
