//! Relationships of two workspaces: who may say what, what each change does to people, and what never widens access.

use std::collections::BTreeSet;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::id::RelationshipId;
use domicile_domain::model::relationship::{Disclosure, RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::Openness;
use domicile_domain::port::directory::Directory;
use domicile_domain::usecase::{
    ApproveRelationship, AssignUser, Changed, Choice, Consistency, DomicileApi, Expectation, ExternalInput,
    GrantsInput, HomeTermsInput, HostTermsInput, LookupUser, NamedRelationship, Order, OtherWorkspace, PageRequest,
    PolicyInput, ProposeRelationship, RelationshipChange, RelationshipFilter, RelationshipView, TermsInput,
    UpdateRelationship, UpdateRole, UpdateWorkspacePolicy, etag,
};
use domicile_testkit::builders::{NOW, id, permission_name, relationship, role, user, workspace};

use crate::support::{Plan, World, call, reason, request, roles, save_as, search, wrong_fields};

type Done = Result<Changed<RelationshipChange>, Refusal>;

fn order(workspace: &str) -> Order {
    Order { workspace: workspace.to_owned(), request: request(), validate_only: false }
}

fn host(names: &[&str]) -> HostTermsInput {
    HostTermsInput { ceiling: roles(names), ..HostTermsInput::default() }
}

fn home() -> HomeTermsInput {
    HomeTermsInput { allows_host: true, ..HomeTermsInput::default() }
}

fn named(of: &RelationshipView) -> NamedRelationship {
    NamedRelationship { relationship: of.id.to_string(), etag: etag(of.id, of.version) }
}

fn to(other: &str, terms: TermsInput) -> ProposeRelationship {
    ProposeRelationship { other: Some(OtherWorkspace::Named(other.to_owned())), terms: Some(terms) }
}

/// A move of either side, by the manager of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Suspend,
    Resume,
    End,
    Decline,
}

impl World {
    fn manager(&self, side: Side) -> (&User, &'static str) {
        match side {
            Side::Host => (&self.dana, "acme"),
            Side::Home => (&self.lena, "borealis"),
        }
    }

    /// Acme proposes to Borealis, as the host.
    async fn propose(&self, terms: HostTermsInput) -> Done {
        let proposal = to("borealis", TermsInput::Host(terms));
        self.domicile.propose_relationship(&call(&self.dana), &order("acme"), &proposal).await
    }

    async fn approve(&self, of: &RelationshipView, terms: HomeTermsInput) -> Done {
        let yes = ApproveRelationship { named: named(of), terms: Some(TermsInput::Home(terms)) };
        self.domicile.approve_relationship(&call(&self.lena), &order("borealis"), &yes).await
    }

    async fn related(&self, terms: HostTermsInput) -> RelationshipView {
        let proposed = self.propose(terms).await.unwrap().thing.unwrap().view;
        self.approve(&proposed, home()).await.unwrap().thing.unwrap().view
    }

    async fn step(&self, step: Step, side: Side, of: &RelationshipView) -> Done {
        let ((manager, workspace), named) = (self.manager(side), named(of));
        let (call, order, api) = (call(manager), order(workspace), &self.domicile);
        match step {
            Step::Suspend => api.suspend_relationship(&call, &order, &named).await,
            Step::Resume => api.resume_relationship(&call, &order, &named).await,
            Step::End => api.end_relationship(&call, &order, &named).await,
            Step::Decline => api.decline_relationship(&call, &order, &named).await,
        }
    }

    async fn update(&self, side: Side, update: UpdateRelationship) -> Done {
        let (manager, workspace) = self.manager(side);
        self.domicile.update_relationship(&call(manager), &order(workspace), &update).await
    }

    /// Widens or narrows the ceiling.
    async fn ceiling(&self, of: &RelationshipView, names: &[&str]) -> Done {
        let update = UpdateRelationship { host_terms: host(names), ..changing(of, &["host_terms.ceiling"]) };
        self.update(Side::Host, update).await
    }

    async fn shown(&self, side: Side, of: RelationshipId) -> RelationshipView {
        let (manager, workspace) = self.manager(side);
        let any = Consistency::default();
        self.domicile.get_relationship(&call(manager), workspace, &of.to_string(), &any).await.unwrap()
    }

    async fn may(&self, user: &User, permission: &str) -> bool {
        self.check(user.id, permission).await.unwrap().decision.is_ok()
    }
}

fn changing(of: &RelationshipView, paths: &[&str]) -> UpdateRelationship {
    UpdateRelationship {
        named: named(of),
        host_terms: HostTermsInput::default(),
        home_terms: HomeTermsInput::default(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

fn done(answer: Done) -> RelationshipChange {
    answer.unwrap().thing.unwrap()
}

/// Somebody of Borealis who is External in Acme with the role that reads orders.
async fn reader(world: &World, name: &str) -> User {
    world.visitor(name, |membership| _ = membership.base.grants.roles.insert(world.reader.id)).await
}

#[tokio::test]
async fn one_side_proposes_the_other_approves_and_the_next_check_feels_every_move() {
    let world = World::new().await;
    let mia = reader(&world, "mia").await;
    assert!(!world.may(&mia, "orders.read").await);

    let proposed = done(world.propose(host(&["reader"])).await);
    assert_eq!((proposed.view.state, proposed.view.own_side), (RelationshipState::Proposed, Side::Host));
    assert_eq!(proposed.view.home.as_ref().map(|home| home.handle.as_str()), Some("borealis"));
    assert_eq!(proposed.view.home_terms, None, "the home has not said its terms");
    assert!(!world.may(&mia, "orders.read").await, "a proposal gives nothing");

    let seen = world.shown(Side::Home, proposed.view.id).await;
    assert_eq!((seen.own_side, seen.proposed_by), (Side::Home, None), "the people of the other side are not shown");
    assert_eq!(seen.host_terms.as_ref().unwrap().roles[0].handle.as_str(), "reader");

    let active = done(world.approve(&proposed.view, home()).await);
    let effect = active.effect.unwrap();
    assert_eq!((effect.externals, effect.affected), (1, 1));
    assert_eq!(effect.members[0].user, mia.id);
    assert_eq!(effect.members[0].gains, BTreeSet::from([permission_name("orders.read")]));
    assert!(world.may(&mia, "orders.read").await);

    let suspended = done(world.step(Step::Suspend, Side::Home, &active.view).await);
    assert_eq!(suspended.effect.unwrap().members[0].loses, BTreeSet::from([permission_name("orders.read")]));
    assert!(!world.may(&mia, "orders.read").await);

    // One flag a side: the host cannot take back what the home suspended.
    let unmoved = done(world.step(Step::Resume, Side::Host, &suspended.view).await);
    assert_eq!((unmoved.view.version, unmoved.view.suspended_by_home), (suspended.view.version, true));
    assert!(!world.may(&mia, "orders.read").await);
    let resumed = done(world.step(Step::Resume, Side::Home, &unmoved.view).await);
    assert!(world.may(&mia, "orders.read").await);

    let ended = done(world.step(Step::End, Side::Home, &resumed.view).await);
    assert_eq!(ended.view.state, RelationshipState::Ended);
    assert!(!world.may(&mia, "orders.read").await);
    assert_eq!(reason(world.step(Step::Resume, Side::Host, &ended.view).await), Reason::RelationshipState);
    // A new one can be proposed, and gives what the two agree.
    world.related(host(&["reader"])).await;
    assert!(world.may(&mia, "orders.read").await);
}

#[tokio::test]
async fn every_change_is_told_in_both_workspaces() {
    let world = World::new().await;
    let active = world.related(host(&["guest"])).await;
    let after = Revision::from_stored(0);
    let told = async |of| -> Vec<EventBody> {
        let events = world.store.events(of, after, 100).await.unwrap();
        events.into_iter().map(|event| event.body).collect()
    };
    // The event stands in the log of the workspace that made the change.
    let of_acme = told(world.acme.id).await;
    assert!(matches!(&of_acme[..], [EventBody::RelationshipChanged { relationship, before: None, home: Some(_), .. }]
            if *relationship == active.id));
    let of_borealis = told(world.borealis.id).await;
    assert!(matches!(
        &of_borealis[..],
        [EventBody::RelationshipChanged {
            before: Some(RelationshipState::Proposed),
            after: RelationshipState::Active,
            ..
        }]
    ));
    // The record of both tells of both changes; of the other side's people it tells nothing.
    for (of, own, other) in
        [(&world.acme, &world.dana, "approve_relationship"), (&world.borealis, &world.lena, "propose_relationship")]
    {
        let rows = world.store.audit(of.id, 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        for row in rows {
            let by_other = row.action.as_str() == other;
            assert_eq!(row.actor, (!by_other).then_some(own.id), "{row:?}");
            assert!(row.changes.iter().any(|change| change.path == "state"), "{row:?}");
            let which = row.changes.iter().find(|change| change.path == "relationship.id").unwrap();
            assert_eq!(which.after, Some(active.id.to_string()), "{row:?}");
        }
    }
    // A reader of the other workspace that is behind does not answer as if it had seen the change.
    let replica = world.replica();
    let suspended = world.step(Step::Suspend, Side::Home, &active).await.unwrap();
    let fresh = Consistency::AtLeastAsFresh(suspended.consistency_token.unwrap());
    let read = replica.get_workspace(&call(&world.dana), "acme", &fresh).await;
    assert_eq!(reason(read), Reason::StoreUnavailable);
    assert!(world.domicile.get_workspace(&call(&world.dana), "acme", &fresh).await.is_ok());
}

#[tokio::test]
async fn who_proposed_does_not_answer_and_the_other_side_is_asked() {
    let world = World::new().await;
    let second = world.colleague("second", &crate::support::both_rights()).await;
    let proposed = done(world.propose(host(&["guest"])).await).view;
    let yes = |terms| ApproveRelationship { named: named(&proposed), terms: Some(terms) };
    let own = yes(TermsInput::Host(host(&[])));
    let answer = world.domicile.approve_relationship(&call(&world.dana), &order("acme"), &own).await;
    assert_eq!(reason(answer), Reason::AnotherPersonRequired);
    let answer = world.domicile.approve_relationship(&call(&second), &order("acme"), &own).await;
    assert_eq!(reason(answer), Reason::OtherSidesField);
    let foreign = yes(TermsInput::Host(host(&[])));
    let answer = world.domicile.approve_relationship(&call(&world.lena), &order("borealis"), &foreign).await;
    assert_eq!(wrong_fields(answer), BTreeSet::from(["host_terms".to_owned()]));
    let none = ApproveRelationship { named: named(&proposed), terms: None };
    let answer = world.domicile.approve_relationship(&call(&world.lena), &order("borealis"), &none).await;
    assert_eq!(wrong_fields(answer), BTreeSet::from(["terms".to_owned()]));
    // The one that is asked has nothing to change or end yet; the one that asked may do both.
    assert_eq!(reason(world.step(Step::End, Side::Home, &proposed).await), Reason::RelationshipState);
    let update = UpdateRelationship { home_terms: home(), ..changing(&proposed, &["home_terms.allows_host"]) };
    assert_eq!(reason(world.update(Side::Home, update).await), Reason::RelationshipState);
    let changed = done(world.ceiling(&proposed, &["guest", "reader"]).await).view;
    // A yes is to what was read.
    let stale = world.approve(&proposed, home()).await.unwrap_err();
    assert_eq!(stale.reason, Reason::StaleEtag);
    assert!(stale.metadata.contains(&("current_etag", etag(changed.id, changed.version))));
    done(world.step(Step::Decline, Side::Home, &changed).await);
    assert_eq!(world.shown(Side::Host, changed.id).await.state, RelationshipState::Declined);
    // After a no another can be proposed, and taken back.
    let again = done(world.propose(host(&["guest"])).await).view;
    assert_eq!(done(world.step(Step::End, Side::Host, &again).await).view.state, RelationshipState::Ended);
}

#[tokio::test]
async fn a_proposal_lapses_after_fourteen_days_and_stands_in_nobodys_way() {
    let world = World::new().await;
    let first = done(world.propose(host(&["guest"])).await).view;
    let exists = world.propose(host(&[])).await.unwrap_err();
    assert_eq!(exists.reason, Reason::RelationshipExists);
    assert!(exists.metadata.contains(&("relationship", first.id.to_string())));
    world.clock.set(NOW.after(WorkspaceRelationship::PROPOSED_FOR));
    assert_eq!(world.shown(Side::Home, first.id).await.state, RelationshipState::Lapsed);
    let late = world.approve(&first, home()).await.unwrap_err();
    assert_eq!(late.reason, Reason::RelationshipState);
    assert!(late.metadata.contains(&("state", "LAPSED".to_owned())));
    let second = done(world.propose(host(&["guest"])).await).view;
    let list = async |states: &[RelationshipState]| -> Vec<RelationshipId> {
        let filter = RelationshipFilter {
            side: Choice::Is(Side::Home),
            states: states.iter().map(|state| Some(*state)).collect(),
        };
        let page = PageRequest::default();
        let page = world
            .domicile
            .list_relationships(&call(&world.lena), "borealis", &filter, &page, &Consistency::default())
            .await;
        page.unwrap().items.into_iter().map(|view| view.id).collect()
    };
    assert_eq!(list(&[RelationshipState::Lapsed]).await, [first.id]);
    assert_eq!(list(&[RelationshipState::Proposed]).await, [second.id]);
    assert_eq!(list(&[]).await, [first.id, second.id]);
}

#[tokio::test]
async fn terms_are_changed_by_their_side_and_field_by_field() {
    let world = World::new().await;
    let active = world.related(host(&["guest"])).await;
    // Nothing of the other side, whatever stands beside it.
    let both = changing(&active, &["home_terms.acceptance", "host_terms.acceptance", "host_terms.ceiling"]);
    let refusal = world.update(Side::Home, both.clone()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::OtherSidesField);
    assert!(refusal.metadata.contains(&("fields", "host_terms.acceptance, host_terms.ceiling".to_owned())));
    assert_eq!(world.shown(Side::Host, active.id).await.version, active.version);
    assert_eq!(reason(world.update(Side::Host, both).await), Reason::OtherSidesField);

    for (paths, etag, fields) in [
        (vec![], true, vec!["update_mask"]),
        (vec!["host_terms.ceilings"], true, vec!["update_mask"]),
        (vec!["host_terms"], false, vec!["etag", "update_mask"]),
    ] {
        let mut wrong = changing(&active, &paths);
        if !etag {
            wrong.named.etag.clear();
        }
        let expected = fields.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(wrong_fields(world.update(Side::Host, wrong).await), expected, "{paths:?}");
    }
    let odd = UpdateRelationship {
        host_terms: HostTermsInput {
            directory_visibility: Choice::Unknown,
            longest_membership: Some(59),
            ..host(&["nobody"])
        },
        ..changing(&active, &["host_terms.ceiling", "host_terms.directory_visibility", "host_terms.longest_membership"])
    };
    let expected = ["host_terms.ceiling.roles[0]", "host_terms.directory_visibility", "host_terms.longest_membership"];
    assert_eq!(wrong_fields(world.update(Side::Host, odd).await), expected.map(str::to_owned).into());

    // What is not named is not looked at, and stays.
    let update = UpdateRelationship {
        host_terms: HostTermsInput {
            directory_visibility: Choice::Unknown,
            longest_membership: Some(86_400),
            acceptance: true,
            ..host(&["nobody"])
        },
        ..changing(&active, &["host_terms.longest_membership"])
    };
    let changed = done(world.update(Side::Host, update).await).view;
    let terms = &changed.host_terms.as_ref().unwrap().terms;
    assert_eq!((terms.longest_membership, terms.acceptance), (Some(Duration::from_hours(24)), false));
    assert_eq!(terms.ceiling, active.host_terms.as_ref().unwrap().terms.ceiling);

    let update = UpdateRelationship {
        home_terms: HomeTermsInput { disclosure: Choice::Is(Disclosure::Full), ..HomeTermsInput::default() },
        ..changing(&changed, &["home_terms.disclosure"])
    };
    let changed = done(world.update(Side::Home, update).await).view;
    let terms = changed.home_terms.as_ref().unwrap();
    assert_eq!((terms.disclosure, terms.allows_host), (Some(Disclosure::Full), true));
}

#[tokio::test]
async fn a_ceiling_holds_what_the_host_lets_externals_have() {
    let world = World::new().await;
    let (inner, second) = (role(world.acme.id, "inner"), role(world.acme.id, "deep"));
    world.put(&[(&inner).into(), (&second).into()]).await;
    let refusal = world.propose(host(&["inner", "reader", "deep"])).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::RoleNotForExternals);
    assert!(refusal.metadata.contains(&("roles", "deep, inner".to_owned())), "{refusal:?}");
    for terms in [
        host(&["access-manager"]),
        HostTermsInput { ceiling: crate::support::permissions(&["domicile.update"]), ..HostTermsInput::default() },
    ] {
        assert_eq!(reason(world.propose(terms.clone()).await), Reason::GovernanceNotGrantable);
        let open = World::with(|plan: &mut Plan| plan.acme.policy.external_managers = true).await;
        assert!(open.propose(terms).await.is_ok());
    }
    let unknown =
        HostTermsInput { ceiling: crate::support::permissions(&["orders.none"]), ..HostTermsInput::default() };
    assert_eq!(
        wrong_fields(world.propose(unknown).await),
        BTreeSet::from(["host_terms.ceiling.permissions[0]".into()])
    );
}

#[tokio::test]
async fn a_workspace_that_is_not_there_is_answered_like_one_that_is_not_in_use() {
    let world = World::new().await;
    let mut closed = workspace("closed");
    closed.state = domicile_domain::model::workspace::WorkspaceState::Suspended;
    world.put(&[(&closed).into()]).await;
    let propose = async |other: &str| {
        let proposal = to(other, TermsInput::Home(home()));
        world.domicile.propose_relationship(&call(&world.dana), &order("acme"), &proposal).await
    };
    let answers = [propose("closed").await, propose("nowhere").await];
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap_err().reason, Reason::NotFound);
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(wrong_fields(propose("acme").await), BTreeSet::from(["other".to_owned()]));
    for none in ["", "%"] {
        assert_eq!(wrong_fields(propose(none).await), BTreeSet::from(["other".to_owned()]));
    }
    // A relationship of others looks like none.
    let (far, near) = (workspace("far"), workspace("near"));
    let others = relationship(far.id, near.id);
    world.put(&[(&far).into(), (&near).into(), (&others).into()]).await;
    let read = async |of: RelationshipId| {
        world.domicile.get_relationship(&call(&world.dana), "acme", &of.to_string(), &Consistency::default()).await
    };
    assert_eq!(read(others.id).await, read(id()).await);
    assert_eq!(reason(read(others.id).await), Reason::NotFound);
}

/// M12: the host takes related people alone; whose home the person is stays with the home until it says yes.
#[tokio::test]
async fn a_match_handle_proposes_to_a_home_that_is_not_told() {
    let world = World::with(|plan| plan.acme.policy.inbound = Openness::RelatedOnly).await;
    let mia = world.stranger("mia").await;
    let found = world.lookup("mia@mail.example", "").await.unwrap();
    let by_match = |handle: &str| ProposeRelationship {
        other: Some(OtherWorkspace::HomeOfMatch(handle.to_owned())),
        terms: Some(TermsInput::Host(host(&["reader"]))),
    };
    let propose = async |handle: &str| {
        world.domicile.propose_relationship(&call(&world.dana), &order("acme"), &by_match(handle)).await
    };
    let refused = world.assign(&save_as(Expectation::Link, "mia")).await;
    assert_eq!(reason(refused), Reason::RelationshipRequired);
    let proposed = done(propose(&found.match_handle).await).view;
    assert_eq!(proposed.home, None);
    assert!(!format!("{proposed:?}").contains(&world.borealis.id.to_string()));
    let told = format!("{:?} {:?}", world.events().await, world.audit().await);
    assert!(!told.contains(&world.borealis.id.to_string()), "{told}");
    // Neither by the same person nor by name does the host learn whose home it is.
    assert_eq!(propose(&found.match_handle).await, Err(Refusal::new(Reason::RelationshipExists)));
    assert_eq!(world.propose(host(&[])).await, Err(Refusal::new(Reason::RelationshipExists)));
    // A handle of nobody, of another person's lookup and of one's own people proposes nothing.
    let miss = world.lookup("nobody@mail.example", "").await.unwrap();
    assert_eq!(reason(propose(&miss.match_handle).await), Reason::MatchHandleInvalid);
    let there = LookupUser { workspace: "borealis".to_owned(), ..search("dana@mail.example", "") };
    let foreign = world.domicile.lookup_user(&call(&world.lena), &there).await.unwrap();
    assert_eq!(reason(propose(&foreign.match_handle).await), Reason::MatchHandleInvalid);
    let own = world.lookup("dana@mail.example", "").await.unwrap();
    assert_eq!(wrong_fields(propose(&own.match_handle).await), BTreeSet::from(["match_handle".to_owned()]));

    // The home sees who asks, and with its yes it is told.
    let seen = world.shown(Side::Home, proposed.id).await;
    assert_eq!((seen.host.id, seen.home.map(|home| home.id)), (world.acme.id, Some(world.borealis.id)));
    done(world.approve(&proposed, home()).await);
    assert_eq!(world.shown(Side::Host, proposed.id).await.home.map(|home| home.id), Some(world.borealis.id));
    let link = AssignUser {
        external: ExternalInput { grants: roles(&["reader"]), ..ExternalInput::default() },
        ..save_as(Expectation::Link, "mia")
    };
    world.assign(&link).await.unwrap();
    assert!(world.may(&mia, "orders.read").await);
}

#[tokio::test]
async fn a_rehearsal_tells_what_would_be_and_changes_nothing() {
    let world = World::new().await;
    let mia = reader(&world, "mia").await;
    reader(&world, "ned").await;
    world.visitor("guest", |_| {}).await;
    let active = world.related(host(&["reader"])).await;
    let before = world.content();
    let order = Order { validate_only: true, ..order("acme") };
    let narrower = UpdateRelationship { host_terms: host(&["guest"]), ..changing(&active, &["host_terms.ceiling"]) };
    let told = world.domicile.update_relationship(&call(&world.dana), &order, &narrower).await.unwrap();
    assert_eq!((told.consistency_token, world.content()), (None, before));
    let effect = told.thing.unwrap().effect.unwrap();
    assert_eq!((effect.externals, effect.affected, effect.members.len()), (3, 2, 2));
    assert!(effect.members.iter().all(|of| of.gains.is_empty() && of.loses.len() == 1));
    let narrowed = done(world.ceiling(&active, &["guest"]).await).view;
    assert!(!world.may(&mia, "orders.read").await);
    // Widening again restores what was clipped, and lists it.
    let effect = done(world.ceiling(&narrowed, &["reader"]).await).effect.unwrap();
    assert_eq!((effect.affected, effect.members[0].gains.len()), (2, 1));
    assert!(world.may(&mia, "orders.read").await);
}

#[tokio::test]
async fn many_people_are_counted_and_the_first_hundred_named() {
    let world = World::new().await;
    for number in 0..505 {
        reader(&world, &format!("r{number}")).await;
    }
    let proposed = done(world.propose(host(&["reader"])).await).view;
    let effect = done(world.approve(&proposed, home()).await).effect.unwrap();
    assert_eq!((effect.externals, effect.affected, effect.members.len()), (505, 505, 100));
    assert!(effect.members.is_sorted_by(|a, b| a.user < b.user));
}

/// A manager of the home who is External in the host does not widen their own ceiling.
#[tokio::test]
async fn nobody_raises_themself_in_the_other_workspace() {
    let world = World::new().await;
    let second = user(world.borealis.id, "second");
    let mut membership = domicile_testkit::builders::internal(&second);
    membership.base.grants.permissions = crate::support::both_rights().into();
    let mut abroad = domicile_testkit::builders::external(&second, world.acme.id);
    abroad.base.grants.roles.insert(world.reader.id);
    world.put(&[(&second).into(), membership.into(), abroad.into()]).await;
    let proposed = done(world.propose(host(&["reader"])).await).view;
    let yes = ApproveRelationship { named: named(&proposed), terms: Some(TermsInput::Home(home())) };
    let answer = world.domicile.approve_relationship(&call(&second), &order("borealis"), &yes).await;
    assert_eq!(reason(answer), Reason::SelfEscalation);
    assert!(!world.may(&second, "orders.read").await);
    let active = done(world.approve(&proposed, home()).await).view;
    assert!(world.may(&second, "orders.read").await);

    // What another manager of the home took away is not theirs to take back.
    let (by, api) = (call(&second), &world.domicile);
    let closed = HomeTermsInput { allows_host: false, ..home() };
    let close = UpdateRelationship { home_terms: closed, ..changing(&active, &["home_terms.allows_host"]) };
    let closed = done(world.update(Side::Home, close).await).view;
    assert!(!world.may(&second, "orders.read").await);
    let open = |of| UpdateRelationship { home_terms: home(), ..changing(of, &["home_terms.allows_host"]) };
    let answer = api.update_relationship(&by, &order("borealis"), &open(&closed)).await;
    assert_eq!((reason(answer), world.may(&second, "orders.read").await), (Reason::SelfEscalation, false));
    let opened = done(world.update(Side::Home, open(&closed)).await).view;
    assert!(world.may(&second, "orders.read").await);

    let suspended = done(world.step(Step::Suspend, Side::Home, &opened).await).view;
    assert!(!world.may(&second, "orders.read").await);
    let answer = api.resume_relationship(&by, &order("borealis"), &named(&suspended)).await;
    assert_eq!((reason(answer), world.may(&second, "orders.read").await), (Reason::SelfEscalation, false));
    // Ending takes away, also what was suspended: it is done, and nothing is gained.
    done(api.end_relationship(&by, &order("borealis"), &named(&suspended)).await);
    assert!(!world.may(&second, "orders.read").await);
}

/// A small generator: the same histories at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Dana replaces what the reader's role grants and for whom, or a rule of Acme; answers whether that may widen anything.
async fn redefine(world: &World, dice: &mut Dice) -> bool {
    let (by, order) = (call(&world.dana), order("acme"));
    if dice.roll(2) == 0 {
        let read = world.domicile.get_role(&by, "acme", "reader", &Consistency::FullyConsistent).await.unwrap();
        let (path, for_externals) =
            [("for_externals", false), ("for_externals", true), ("permissions", true)][dice.roll(3)];
        let permissions = if dice.roll(3) == 0 { vec![] } else { vec!["orders.read".to_owned()] };
        let update = UpdateRole {
            role: "reader".to_owned(),
            etag: etag(read.id, read.version),
            paths: vec![path.to_owned()],
            permissions: permissions.clone(),
            for_externals,
            ..UpdateRole::default()
        };
        world.domicile.update_role(&by, &order, &update).await.unwrap();
        return if path == "permissions" { !permissions.is_empty() } else { for_externals };
    }
    let now = world.acme_now().await;
    let (path, inbound) = [
        ("inbound", Openness::Closed),
        ("inbound", Openness::Open),
        ("inbound", Openness::RelatedOnly),
        ("default_ceiling", Openness::Open),
    ][dice.roll(4)];
    let default_ceiling = GrantsInput {
        roles: if dice.roll(2) == 0 { vec!["guest".to_owned()] } else { vec![] },
        permissions: if dice.roll(2) == 0 { vec!["orders.write".to_owned()] } else { vec![] },
    };
    let update = UpdateWorkspacePolicy {
        etag: etag(now.id, now.version),
        update_mask: vec![path.to_owned()],
        policy: PolicyInput { inbound: Some(inbound), default_ceiling, ..PolicyInput::default() },
    };
    world.domicile.update_workspace_policy(&by, &order, &update).await.unwrap();
    path == "default_ceiling" || inbound != Openness::Closed
}

/// Random histories through the product, in which roles and rules are edited too: suspending and ending never widen what
/// anybody may do, nor does a proposal or a no, whatever the host's default for unknown homes is.
#[tokio::test]
async fn suspending_and_ending_never_widen_access_in_any_history() {
    const ROLES: [&[&str]; 4] = [&[], &["guest"], &["reader"], &["guest", "reader"]];
    let mut wider_defaults = 0;
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let generous = dice.roll(2) == 0;
        let world = World::with(|plan| {
            plan.acme.policy.default_ceiling.permissions.insert(permission_name("orders.write"));
            if generous {
                plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
            }
        })
        .await;
        let mia = reader(&world, "mia").await;
        let ned = world
            .visitor("ned", |membership| _ = membership.base.grants.permissions.insert(permission_name("orders.write")))
            .await;
        let access = async || [world.may(&mia, "orders.read").await, world.may(&ned, "orders.write").await];
        let mut live: Option<RelationshipView> = None;
        let mut before = access().await;
        for _ in 0..30 {
            let side = Side::ALL[dice.roll(2)];
            if dice.roll(5) == 0 {
                let widens = redefine(&world, &mut dice).await;
                let after = access().await;
                let more = before.iter().zip(&after).any(|(before, after)| *after && !before);
                assert!(widens || !more, "history {seed}: {before:?} became {after:?} by a rule that narrows");
                before = after;
                continue;
            }
            let mut widens = false;
            let answer = match (&live, dice.roll(7)) {
                (None, _) => world.propose(host(ROLES[dice.roll(4)])).await,
                (Some(of), 0) => world.step(Step::Suspend, side, of).await,
                (Some(of), 1) => world.step(Step::End, side, of).await,
                (Some(of), 2) => world.step(Step::Decline, side, of).await,
                (Some(of), 3) => {
                    widens = true;
                    world.step(Step::Resume, side, of).await
                }
                (Some(of), 4) => {
                    widens = true;
                    world.ceiling(of, ROLES[dice.roll(4)]).await
                }
                (Some(of), 5) => {
                    widens = true;
                    let home_terms = HomeTermsInput { allows_host: dice.roll(3) > 0, ..home() };
                    let update = UpdateRelationship { home_terms, ..changing(of, &["home_terms.allows_host"]) };
                    world.update(Side::Home, update).await
                }
                (Some(of), _) => {
                    widens = true;
                    world.approve(of, HomeTermsInput { allows_host: dice.roll(3) > 0, ..home() }).await
                }
            };
            let after = access().await;
            let more = before.iter().zip(&after).any(|(before, after)| *after && !before);
            assert!(widens || !more, "history {seed}: {before:?} became {after:?} by {answer:?}");
            if let Ok(changed) = answer {
                let view = changed.thing.unwrap().view;
                let over = !matches!(view.state, RelationshipState::Proposed | RelationshipState::Active);
                wider_defaults += usize::from(over && generous);
                live = (!over).then_some(view);
            }
            before = after;
        }
    }
    assert!(wider_defaults > 20, "too few histories ended where the default is wider: {wider_defaults}");
}
