//! Relationships as the use cases read and change them, and the races of both sides.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::audit::AuditAction;
use domicile_domain::model::id::{RelationshipId, UserId, WorkspaceId};
use domicile_domain::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp, Version};
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::RelationshipQuery;
use domicile_domain::usecase::{
    AssignUser, Call, Changed, CheckAccess, CheckSubject, Consistency, DeleteRole, Domicile, DomicileApi, Expectation,
    ExternalInput, GrantsInput, HomeTermsInput, HostTermsInput, NamedRelationship, Order, OtherWorkspace, ProfileInput,
    ProposeRelationship, RelationshipChange, RequestIdentity, TermsInput, UpdateRelationship, etag,
};

use super::races::{call, managed, product};
use super::{Harness, begin, good, put};
use crate::builders::{
    NOW, external, id, internal, minute, permission, permission_name, relationship, role, user, workspace,
};

/// A relationship is read by its id in every state, with what a view is made of; what is not there is none.
pub async fn relationships_are_read_by_id(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let (one, two, far) = (role(host.id, "one"), role(host.id, "two"), role(host.id, "far"));
    put(&*subject, &[(&host).into(), (&home).into(), (&one).into(), (&two).into(), (&far).into()]).await;
    for state in RelationshipState::ALL {
        let mut written = relationship(host.id, home.id);
        written.host_terms.ceiling.roles = BTreeSet::from([one.id, two.id, id()]);
        (written.state, written.home_withheld) = (state, true);
        put(&*subject, &[(&written).into()]).await;
        let row = good(subject.directory().relationship(written.id).await).expect("it is there");
        assert_eq!(row.relationship, written);
        assert_eq!((row.host.id, row.home.id, row.roles), (host.id, home.id, vec![one.clone(), two.clone()]));
        let mut tx = begin(&*subject).await;
        assert_eq!(good(tx.relationships().by_id(written.id).await).as_ref(), Some(&written));
        assert_eq!(good(tx.relationships().by_id(id()).await), None);
        // Makes room for the next one.
        let over = WorkspaceRelationship {
            state: RelationshipState::Ended,
            version: Version::from_stored(2),
            ..written.clone()
        };
        good(tx.relationships().update(&over, written.version).await);
        good(tx.commit().await);
    }
    assert_eq!(good(subject.directory().relationship(id()).await), None);
}

/// A list holds either side of a workspace, one side or some states; a proposal that waited too long counts as lapsed; pages
/// join without gap or repeat.
pub async fn relationships_are_paged_by_side_and_state(harness: &dyn Harness) {
    use RelationshipState::{Active, Declined, Ended, Lapsed, Proposed};

    let subject = harness.fresh().await;
    let (own, other, third) = (workspace("own"), workspace("other"), workspace("third"));
    put(&*subject, &[(&own).into(), (&other).into(), (&third).into()]).await;
    let written = |host: &Workspace, home: &Workspace, state, proposed_at| WorkspaceRelationship {
        state,
        proposed_at,
        ..relationship(host.id, home.id)
    };
    let all = [
        written(&own, &other, Proposed, minute(5)),
        written(&other, &own, Proposed, minute(6)),
        written(&own, &third, Active, NOW),
        written(&own, &other, Declined, NOW),
        written(&third, &own, Ended, NOW),
        written(&other, &own, Lapsed, NOW),
        written(&other, &third, Active, NOW),
    ];
    for row in &all {
        put(&*subject, &[row.into()]).await;
    }
    let list = async |side, states: &[RelationshipState], lapsed: Timestamp| -> Vec<RelationshipId> {
        let query = RelationshipQuery { workspace: own.id, side, states: states.to_vec(), lapsed };
        let whole = good(subject.directory().relationships(&query, RelationshipId::nil(), 100).await);
        let mut paged = Vec::new();
        let mut after = RelationshipId::nil();
        loop {
            let page = good(subject.directory().relationships(&query, after, 2).await);
            let Some(last) = page.last() else { break };
            after = last.relationship.id;
            paged.extend(page);
        }
        assert_eq!(paged, whole);
        whole.into_iter().map(|row| row.relationship.id).collect()
    };
    let ids = |places: &[usize]| places.iter().filter_map(|place| all.get(*place)).map(|of| of.id).collect::<Vec<_>>();
    let none_lapsed = minute(4);
    assert_eq!(list(None, &[], none_lapsed).await, ids(&[0, 1, 2, 3, 4, 5]));
    assert_eq!(list(Some(Side::Host), &[], none_lapsed).await, ids(&[0, 2, 3]));
    assert_eq!(list(Some(Side::Home), &[], none_lapsed).await, ids(&[1, 4, 5]));
    assert_eq!(list(None, &[Proposed], none_lapsed).await, ids(&[0, 1]));
    assert_eq!(list(None, &[Proposed], minute(5)).await, ids(&[1]));
    assert_eq!(list(None, &[Lapsed], minute(5)).await, ids(&[0, 5]));
    assert_eq!(list(None, &[Lapsed, Active], none_lapsed).await, ids(&[2, 5]));
    assert_eq!(list(Some(Side::Home), &[Declined], none_lapsed).await, ids(&[]));
}

/// What two workspaces agreed last decides: the active relationship, else the one that ended last. Nothing that only one of
/// them ever said does.
pub async fn what_was_agreed_last_decides(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let anna = user(home.id, "anna");
    put(&*subject, &[(&host).into(), (&home).into(), (&anna).into(), internal(&anna).into()]).await;
    let agreed = async |expected: Option<&WorkspaceRelationship>| {
        let mut tx = begin(&*subject).await;
        assert_eq!(good(tx.relationships().agreed(host.id, home.id).await).as_ref(), expected);
        assert_eq!(good(tx.relationships().agreed(home.id, host.id).await), None);
        let facts = good(tx.memberships().access_facts(host.id, anna.id).await).expect("the workspace is there");
        assert_eq!(facts.relationship.as_deref(), expected);
        good(tx.rollback().await);
        let facts = good(subject.directory().access_facts(host.id, anna.id).await).expect("the workspace is there");
        assert_eq!(facts.relationship.as_deref(), expected);
    };
    let over = |state, answered: bool, ended: Option<u64>| WorkspaceRelationship {
        state,
        answered_at: answered.then_some(NOW),
        ended_at: ended.map(minute),
        ..relationship(host.id, home.id)
    };
    agreed(None).await;
    for one_sided in [
        over(RelationshipState::Declined, true, None),
        over(RelationshipState::Lapsed, false, None),
        // A proposal that its own side took back.
        over(RelationshipState::Ended, false, Some(9)),
    ] {
        put(&*subject, &[one_sided.into()]).await;
        agreed(None).await;
    }
    let late = over(RelationshipState::Ended, true, Some(8));
    put(&*subject, &[(&late).into(), over(RelationshipState::Ended, true, Some(7)).into()]).await;
    agreed(Some(&late)).await;
    let mut next = over(RelationshipState::Proposed, false, None);
    put(&*subject, &[(&next).into()]).await;
    agreed(Some(&late)).await;
    (next.state, next.answered_at) = (RelationshipState::Active, Some(minute(1)));
    let mut tx = begin(&*subject).await;
    good(tx.relationships().update(&next, next.version).await);
    good(tx.commit().await);
    agreed(Some(&next)).await;
}

/// The Externals of one home come in order of user id with what a check of each would read; pages join without gap.
pub async fn externals_of_a_home_come_with_their_facts(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home, third) = (workspace("host"), workspace("home"), workspace("third"));
    let (reader, other) = (role(host.id, "reader"), role(host.id, "other"));
    let agreed = relationship(host.id, home.id);
    put(&*subject, &[(&host).into(), (&home).into(), (&third).into()]).await;
    put(&*subject, &[(&reader).into(), (&other).into(), (&agreed).into()]).await;
    let add = async |of: &Workspace, name: &str| {
        let person = user(of.id, name);
        let mut abroad = external(&person, host.id);
        abroad.base.grants.roles.insert(reader.id);
        abroad.base.grants.permissions.insert(permission_name("domicile.update"));
        put(&*subject, &[(&person).into(), internal(&person).into(), abroad.into()]).await;
        person.id
    };
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.push(add(&home, &format!("a{number}")).await);
        add(&third, &format!("b{number}")).await;
    }
    let at_home = user(host.id, "own");
    put(&*subject, &[(&at_home).into(), internal(&at_home).into()]).await;
    let mut tx = begin(&*subject).await;
    let (mut after, mut seen) = (UserId::nil(), Vec::new());
    loop {
        let page = good(tx.memberships().externals(host.id, home.id, after, 2).await);
        let Some(last) = page.last().and_then(|facts| facts.account.as_ref()) else { break };
        after = last.user;
        for facts in page {
            let user = facts.account.as_ref().expect("they have accounts").user;
            assert_eq!(good(tx.memberships().access_facts(host.id, user).await).as_ref(), Some(&facts));
            seen.push(user);
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(good(tx.memberships().externals(home.id, host.id, UserId::nil(), 9).await), []);
    assert_eq!(good(tx.memberships().externals(WorkspaceId::nil(), home.id, UserId::nil(), 9).await), []);
    good(tx.rollback().await);
}

type Done = Result<Changed<RelationshipChange>, Refusal>;

fn order(workspace: &Workspace) -> Order {
    Order {
        workspace: workspace.id.to_string(),
        request: RequestIdentity { id: id::<()>().to_string(), fingerprint: RequestFingerprint([1; 32]) },
        validate_only: false,
    }
}

fn named(of: &WorkspaceRelationship) -> NamedRelationship {
    NamedRelationship { relationship: of.id.to_string(), etag: etag(of.id, of.version) }
}

async fn both<A: Send + 'static, B: Send + 'static>(
    a: impl Future<Output = A> + Send + 'static,
    b: impl Future<Output = B> + Send + 'static,
) -> (A, B) {
    let (a, b) = tokio::join!(tokio::spawn(a), tokio::spawn(b));
    (a.expect("no panic"), b.expect("no panic"))
}

/// Both sides propose at once: there is one proposal, and the other side hears that there is.
pub async fn two_proposals_at_once_are_one(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [dana]) = managed(&*subject, "acme").await;
    let (borealis, [lena]) = managed(&*subject, "borealis").await;
    let domicile = product(subject.store(), subject.directory());
    let propose = |by: &User, from: &Workspace, to: &Workspace, terms: TermsInput| {
        let (domicile, call, order) = (domicile.clone(), call(by), order(from));
        let other = Some(OtherWorkspace::Named(to.handle.to_string()));
        async move {
            let proposal = ProposeRelationship { other, terms: Some(terms) };
            domicile.propose_relationship(&call, &order, &proposal).await
        }
    };
    let host = TermsInput::Host(HostTermsInput::default());
    let home = TermsInput::Home(HomeTermsInput::default());
    let answers = both(propose(&dana, &acme, &borealis, host), propose(&lena, &borealis, &acme, home)).await;
    let refused: Vec<Reason> = [answers.0, answers.1].into_iter().filter_map(Result::err).map(|r| r.reason).collect();
    assert_eq!(refused, [Reason::RelationshipExists]);
    let lapsed = NOW;
    let query = RelationshipQuery { workspace: acme.id, side: None, states: Vec::new(), lapsed };
    assert_eq!(good(subject.directory().relationships(&query, RelationshipId::nil(), 9).await).len(), 1);
}

/// Each of two workspaces changes a relationship with the other at once. Each takes its own revision first, so that they
/// wait for each other in a circle where a store lets them; both changes are made all the same.
pub async fn two_sides_that_change_at_once_both_do(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [dana]) = managed(&*subject, "acme").await;
    let (borealis, [lena]) = managed(&*subject, "borealis").await;
    let domicile = product(subject.store(), subject.directory());
    let there = relationship(acme.id, borealis.id);
    let back = relationship(borealis.id, acme.id);
    put(&*subject, &[(&there).into(), (&back).into()]).await;
    let change = |by: &User, at: &Workspace, of: &WorkspaceRelationship, suspends: bool| {
        let (domicile, call, order, named) = (domicile.clone(), call(by), order(at), named(of));
        async move {
            if suspends {
                domicile.suspend_relationship(&call, &order, &named).await
            } else {
                domicile.resume_relationship(&call, &order, &named).await
            }
        }
    };
    let after = |done: Done, of: &WorkspaceRelationship| {
        let view = done.expect("it is made").thing.expect("it is shown").view;
        WorkspaceRelationship { version: view.version, ..of.clone() }
    };
    let (mut one, mut other) = (there, back);
    for round in 0..4 {
        let suspends = round % 2 == 0;
        let (a, b) = both(change(&dana, &acme, &one, suspends), change(&lena, &borealis, &other, suspends)).await;
        (one, other) = (after(a, &one), after(b, &other));
    }
    let changed = good(subject.directory().relationship(one.id).await).expect("it is there").relationship;
    assert_eq!((changed.version, changed.suspended_by_host), (Version::from_stored(5), false));
}

/// C5: a link with a role against a narrower ceiling, and against a suspension: whoever is first, nobody may do more than
/// the relationship admits then.
pub async fn a_link_never_outruns_a_narrower_ceiling(harness: &dyn Harness) {
    for suspends in [false, true] {
        let subject = harness.fresh().await;
        let (acme, [dana]) = managed(&*subject, "acme").await;
        let (borealis, [lena]) = managed(&*subject, "borealis").await;
        let domicile = product(subject.store(), subject.directory());
        let mut reader = role(acme.id, "reader");
        reader.for_externals = true;
        reader.permissions.insert(permission_name("orders.read"));
        let mia = user(borealis.id, "mia");
        let mut agreed = relationship(acme.id, borealis.id);
        agreed.host_terms.ceiling.roles.insert(reader.id);
        put(&*subject, &[permission("orders.read").into(), (&reader).into(), (&agreed).into()]).await;
        put(&*subject, &[(&mia).into(), internal(&mia).into()]).await;
        let narrower = narrowed(&domicile, suspends, (&lena, &borealis), (&dana, &acme), &agreed);
        let (link, narrower) = both(linked(&domicile, &dana, &acme, &reader), narrower).await;
        assert!(narrower.is_ok(), "{narrower:?}");
        if let Err(refusal) = link {
            assert_eq!(refusal.reason, Reason::RoleAboveCeiling);
        }
        let check = CheckAccess {
            workspace: acme.id.to_string(),
            subject: CheckSubject::User(mia.id.to_string()),
            permission: "orders.read".to_owned(),
            consistency: Consistency::FullyConsistent,
        };
        let service = ServicePrincipal::new("shop").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere);
        let asked = Call { actor: Actor::service(service), ..call(&dana) };
        assert!(domicile.check_access(&asked, &check).await.expect("it is decided").decision.is_err());
    }
}

fn linked(
    domicile: &Arc<Domicile>,
    by: &User,
    acme: &Workspace,
    role: &Role,
) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
    let (domicile, call) = (domicile.clone(), call(by));
    let grants = GrantsInput { roles: vec![role.handle.to_string()], permissions: Vec::new() };
    let save = AssignUser {
        workspace: acme.id.to_string(),
        request: order(acme).request,
        expectation: Some(Expectation::Link),
        email: "mia@mail.example".to_owned(),
        phone: String::new(),
        match_handle: String::new(),
        profile: ProfileInput::default(),
        internal: GrantsInput::default(),
        external: ExternalInput { grants, ..ExternalInput::default() },
        external_id: String::new(),
        notify: Some(true),
        validate_only: false,
    };
    async move { domicile.assign_user(&call, &save).await.map(drop) }
}

fn narrowed(
    domicile: &Arc<Domicile>,
    suspends: bool,
    (lena, borealis): (&User, &Workspace),
    (dana, acme): (&User, &Workspace),
    of: &WorkspaceRelationship,
) -> impl Future<Output = Done> + Send + 'static {
    let (domicile, named) = (domicile.clone(), named(of));
    let (by_home, at_home, by_host, at_host) = (call(lena), order(borealis), call(dana), order(acme));
    async move {
        if suspends {
            return domicile.suspend_relationship(&by_home, &at_home, &named).await;
        }
        let narrower = UpdateRelationship {
            named,
            host_terms: HostTermsInput::default(),
            home_terms: HomeTermsInput::default(),
            paths: vec!["host_terms.ceiling".to_owned()],
        };
        domicile.update_relationship(&by_host, &at_host, &narrower).await
    }
}

/// A role that is deleted by force is taken from the ceiling of every home: each has its next revision, by which the token
/// is met there, and a row in its record; a relationship that is over, and one that never named the role, stay as they were.
pub async fn a_deleted_role_tells_every_home(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [dana]) = managed(&*subject, "acme").await;
    let (reader, other) = (role(acme.id, "reader"), role(acme.id, "other"));
    put(&*subject, &[(&reader).into(), (&other).into()]).await;
    let admits = |home: &Workspace, role: &Role, state| {
        let mut agreed = WorkspaceRelationship { state, ..relationship(acme.id, home.id) };
        agreed.host_terms.ceiling.roles.insert(role.id);
        agreed
    };
    let mut told = Vec::new();
    for (handle, state) in [("one", RelationshipState::Active), ("two", RelationshipState::Proposed)] {
        let (home, [manager]) = managed(&*subject, handle).await;
        let admitting = admits(&home, &reader, state);
        put(&*subject, &[(&admitting).into()]).await;
        told.push((home, manager, admitting));
    }
    let (past, untouched) = (workspace("past"), workspace("untouched"));
    let left =
        [admits(&past, &reader, RelationshipState::Ended), admits(&untouched, &other, RelationshipState::Active)];
    put(&*subject, &[(&past).into(), (&untouched).into(), (&left[0]).into(), (&left[1]).into()]).await;

    let mut tx = begin(&*subject).await;
    told.sort_by_key(|(home, ..)| home.id);
    let admitting: Vec<WorkspaceRelationship> = told.iter().map(|(.., admitting)| admitting.clone()).collect();
    assert_eq!(good(tx.relationships().admitting(&reader).await), admitting);
    assert_eq!(good(tx.relationships().admitting(&role(acme.id, "nobody")).await), []);
    good(tx.rollback().await);

    let domicile = product(subject.store(), subject.directory());
    let delete = DeleteRole { role: "reader".to_owned(), etag: etag(reader.id, reader.version), force: true };
    let done = domicile.delete_role(&call(&dana), &order(&acme), &delete).await.expect("it is deleted");
    let fresh = Consistency::AtLeastAsFresh(done.consistency_token.expect("a write has a token"));
    let directory = subject.directory();
    let revision = async |of: &Workspace| good(directory.workspace(&WorkspaceRef::Id(of.id)).await).map(|w| w.revision);
    for (home, manager, admitting) in &told {
        assert_eq!(revision(home).await, Some(home.revision.next()));
        let named = admitting.id.to_string();
        let view = domicile.get_relationship(&call(manager), home.handle.as_str(), &named, &fresh).await;
        let view = view.expect("the home is at the token");
        assert_eq!((view.version, view.host_terms.expect("said").roles), (admitting.version.next(), Vec::new()));
        let row = good(directory.audit(home.id, 1).await).pop().expect("the home is told");
        assert_eq!((row.action, row.actor, row.outcome.as_str()), (AuditAction::DeleteRole, None, "done"));
        let paths: Vec<&str> = row.changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["relationship.id", "host_terms.ceiling", "role.handle"]);
    }
    for (home, before) in [&past, &untouched].into_iter().zip(&left) {
        assert_eq!(revision(home).await, Some(home.revision));
        let after = good(directory.relationship(before.id).await).expect("it is there").relationship;
        assert_eq!(&after, before);
    }
    let events = good(directory.events(acme.id, Revision::from_stored(0), 9).await);
    let homes: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::RelationshipChanged { home, paths, .. } if paths == &["host_terms.ceiling"] => *home,
            _ => None,
        })
        .collect();
    assert_eq!((events.len(), homes), (3, told.iter().map(|(home, ..)| home.id).collect()));
}

/// A role is deleted from the ceilings of two homes while each of them suspends its relationship: they wait for each other in
/// a circle where a store lets them, and nothing of it is lost.
pub async fn a_role_is_deleted_while_its_homes_change(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [dana]) = managed(&*subject, "acme").await;
    let reader = role(acme.id, "reader");
    put(&*subject, &[(&reader).into()]).await;
    let domicile = product(subject.store(), subject.directory());
    let mut homes = Vec::new();
    for handle in ["one", "two"] {
        let (home, [manager]) = managed(&*subject, handle).await;
        let mut admitting = relationship(acme.id, home.id);
        admitting.host_terms.ceiling.roles.insert(reader.id);
        put(&*subject, &[(&admitting).into()]).await;
        let (domicile, by, order, named) = (domicile.clone(), call(&manager), order(&home), named(&admitting));
        let suspend = async move { domicile.suspend_relationship(&by, &order, &named).await.map(drop) };
        homes.push((admitting, tokio::spawn(suspend)));
    }
    let delete = DeleteRole { role: "reader".to_owned(), etag: etag(reader.id, reader.version), force: true };
    let deleted = domicile.delete_role(&call(&dana), &order(&acme), &delete).await;
    assert!(deleted.is_ok(), "{deleted:?}");
    for (before, suspended) in homes {
        let suspended = suspended.await.expect("no panic");
        if let Err(refusal) = &suspended {
            assert_eq!(refusal.reason, Reason::StaleEtag);
        }
        let after = good(subject.directory().relationship(before.id).await).expect("it is there").relationship;
        let mut expected = before.without_role(reader.id);
        if suspended.is_ok() {
            (expected.suspended_by_home, expected.version) = (true, expected.version.next());
        }
        assert_eq!(after, expected);
    }
}
