//! What a person may do, who may do something, and why: the explanation names the gate that the decision failed at.

use std::collections::BTreeSet;
use std::sync::Arc;

use domicile_domain::error::Reason;
use domicile_domain::model::actor::{ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::UserId;
use domicile_domain::model::membership::{ExternalMembership, ExternalState, Membership, MembershipKind};
use domicile_domain::model::name::Handle;
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{Ceiling, Side, WorkspaceRelationship};
use domicile_domain::model::time::{Revision, Timestamp};
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{Openness, WorkspaceState};
use domicile_domain::policy::Policies;
use domicile_domain::policy::access::{AccessPolicy, ShippedAccessPolicy, effective};
use domicile_domain::usecase::{
    BatchCheckAccess, BatchEntry, Call, CeilingSource, CheckAccess, CheckSubject, Consistency, Denial, Domicile,
    DomicileApi, Evidence, Explanation, Gate, GrantSource, ListEffectivePermissions, ListSubjects, PageRequest,
    RemedyAction,
};
use domicile_testkit::builders::{
    NOW, external, internal, minute, permission, permission_name, relationship, role, user, with_role, workspace,
};

use crate::set_grants::set_roles;
use crate::support::{Plan, World, both_rights, call, check, in_state, reason, service_call, wrong_fields};

const RIGHT: &str = "orders.read";

fn generous(plan: &mut Plan) {
    plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
}

/// Somebody from Borealis who holds `reader` in Acme.
async fn reading_visitor(world: &World, change: impl FnOnce(&mut ExternalMembership)) -> User {
    let reader = world.reader.id;
    let with_reader = |membership: &mut ExternalMembership| {
        membership.base.grants.roles.insert(reader);
        change(membership);
    };
    world.visitor("visitor", with_reader).await
}

async fn explained(world: &World, call: &Call, user: UserId) -> Explanation {
    world.domicile.explain_access(call, &check("acme", user, RIGHT)).await.unwrap()
}

/// One way to be kept out, and what the explanation says of it.
struct Case {
    name: &'static str,
    world: World,
    person: User,
    gate: Gate,
    evidence: Evidence,
    action: RemedyAction,
    /// Whether the remedy is Dana's, who manages Acme.
    is_dana_s: bool,
}

impl Case {
    /// The ceiling that it is about.
    fn source(&self) -> Option<CeilingSource> {
        match self.evidence {
            Evidence::Ceiling(source) => Some(source),
            _ => None,
        }
    }

    async fn holds(self) {
        let Self { name, world, person, gate, evidence, action, is_dana_s } = self;
        let answer = world.check(person.id, RIGHT).await.unwrap();
        let told = explained(&world, &call(&world.dana), person.id).await;
        assert_eq!(told.answer, answer, "{name}: the decision is that of a check");
        assert_eq!(told.failing, Some(gate), "{name}");
        let first = told.gates.iter().find(|report| report.verdict.is_err()).unwrap();
        assert_eq!((first.gate, first.verdict), (gate, answer.decision), "{name}");
        assert_eq!(first.evidence, evidence, "{name}");
        assert_eq!(told.partial, told.gates.iter().any(|report| report.evidence == Evidence::Withheld), "{name}");
        let remedies: Vec<_> = told.remedies.iter().map(|remedy| (remedy.action, remedy.may_apply)).collect();
        assert_eq!(remedies, [(action, is_dana_s)], "{name}");
        if action == RemedyAction::GrantRole {
            assert_eq!(told.remedies[0].roles, std::slice::from_ref(&world.reader.handle), "{name}");
        }
        // A service hears the same, and nothing that it could do itself.
        let service = explained(&world, &service_call(), person.id).await;
        assert_eq!((service.answer, service.failing), (answer, Some(gate)), "{name}");
        assert!(service.remedies.iter().all(|remedy| !remedy.may_apply), "{name}");
        // Whoever manages another workspace learns nothing.
        let (lena, request) = (call_without_scopes(&world.lena), check("acme", person.id, RIGHT));
        let denied = world.domicile.explain_access(&lena, &request).await;
        assert_eq!(reason(denied), Reason::PermissionDenied, "{name}");
        if action == RemedyAction::GrantRole {
            set_roles(&world, &person, &["reader"]).await.unwrap();
            assert_eq!(world.check(person.id, RIGHT).await.unwrap().decision, Ok(()), "{name}: it helps");
        }
    }
}

/// A call for a person by a service that has no scope.
fn call_without_scopes(user: &User) -> Call {
    let mut call = call(user);
    call.actor.service = ServicePrincipal::new("plain");
    call
}

/// Acme with a visitor who may read, but for one thing.
async fn visitor(
    name: &'static str,
    plan: impl FnOnce(&mut Plan),
    change: impl FnOnce(&mut ExternalMembership),
    (gate, evidence, action, is_dana_s): (Gate, Evidence, RemedyAction, bool),
) -> Case {
    let world = World::with(|p| {
        generous(p);
        plan(p);
    })
    .await;
    let person = reading_visitor(&world, change).await;
    Case { name, world, person, gate, evidence, action, is_dana_s }
}

async fn related(
    name: &'static str,
    change: impl FnOnce(&mut WorkspaceRelationship),
    source: CeilingSource,
    action: RemedyAction,
    is_dana_s: bool,
) -> Case {
    let world = World::with(generous).await;
    let person = reading_visitor(&world, |_| {}).await;
    let mut agreed = relationship(world.acme.id, world.borealis.id);
    change(&mut agreed);
    world.put(&[agreed.into()]).await;
    Case { name, world, person, gate: Gate::Ceiling, evidence: Evidence::Ceiling(source), action, is_dana_s }
}

#[expect(clippy::too_many_lines, reason = "a table: a case a row")]
async fn cases() -> Vec<Case> {
    let world = World::new().await;
    let stranger = world.stranger("stranger").await;
    let no_member = Case {
        name: "no membership",
        world,
        person: stranger,
        gate: Gate::Membership,
        evidence: Evidence::Membership(None),
        action: RemedyAction::AssignPerson,
        is_dana_s: true,
    };
    let world = World::new().await;
    let own = in_state(user(world.acme.id, "own"), UserState::Suspended);
    world.put(&[(&own).into(), with_role(internal(&own), &world.reader).into()]).await;
    let account = Case {
        name: "suspended account at home",
        world,
        person: own,
        gate: Gate::Account,
        evidence: Evidence::Account(UserState::Suspended),
        action: RemedyAction::ReactivateAccount,
        is_dana_s: true,
    };
    let world = World::with(generous).await;
    let away = in_state(user(world.borealis.id, "away"), UserState::Suspended);
    let mut linked = external(&away, world.acme.id);
    linked.base.grants.roles.insert(world.reader.id);
    world.put(&[(&away).into(), linked.into()]).await;
    let account_elsewhere = Case {
        name: "suspended account elsewhere",
        world,
        person: away,
        gate: Gate::Account,
        evidence: Evidence::Withheld,
        action: RemedyAction::AskHome,
        is_dana_s: false,
    };
    let world = World::new().await;
    let plain = world.colleague("plain", &[]).await;
    let not_granted = Case {
        name: "not granted",
        world,
        person: plain,
        gate: Gate::Grant,
        evidence: Evidence::Grants(vec![]),
        action: RemedyAction::GrantRole,
        is_dana_s: true,
    };
    let world = World::with(generous).await;
    let visitor_without = world.visitor("without", |_| {}).await;
    let within = Case {
        name: "not granted, and within the ceiling",
        world,
        person: visitor_without,
        gate: Gate::Grant,
        evidence: Evidence::Grants(vec![]),
        action: RemedyAction::GrantRole,
        is_dana_s: true,
    };
    let world = World::new().await;
    let visitor_without = world.visitor("without", |_| {}).await;
    let above = Case {
        name: "not granted, and above the ceiling",
        world,
        person: visitor_without,
        gate: Gate::Grant,
        evidence: Evidence::Grants(vec![]),
        action: RemedyAction::WidenCeiling,
        is_dana_s: true,
    };
    vec![
        no_member,
        account,
        account_elsewhere,
        not_granted,
        within,
        above,
        visitor(
            "by a role that is not marked for Externals any more",
            |plan| plan.reader.for_externals = false,
            |_| {},
            (Gate::Ceiling, Evidence::Ceiling(CeilingSource::UnknownHomes), RemedyAction::MarkRole, true),
        )
        .await,
        visitor(
            "host open to related homes alone",
            |plan| plan.acme.policy.inbound = Openness::RelatedOnly,
            |_| {},
            (Gate::Ceiling, Evidence::Ceiling(CeilingSource::HostClosed), RemedyAction::OpenWorkspace, true),
        )
        .await,
        related(
            "what an ended relationship did not admit",
            |agreed| agreed.end(Side::Host, NOW).unwrap(),
            CeilingSource::EndedRelationship,
            RemedyAction::ProposeRelationship,
            true,
        )
        .await,
        visitor(
            "home suspended",
            |plan| plan.borealis.state = WorkspaceState::Suspended,
            |_| {},
            (Gate::Account, Evidence::Withheld, RemedyAction::AskHome, false),
        )
        .await,
        visitor(
            "pending",
            |_| {},
            |m| m.state = ExternalState::Pending,
            (Gate::Acceptance, Evidence::External(ExternalState::Pending), RemedyAction::AcceptMembership, false),
        )
        .await,
        visitor(
            "suspended here",
            |_| {},
            |m| m.state = ExternalState::Suspended,
            (Gate::Suspension, Evidence::External(ExternalState::Suspended), RemedyAction::ReactivateMembership, true),
        )
        .await,
        visitor(
            "in review",
            |_| {},
            |m| m.state = ExternalState::Review,
            (Gate::Review, Evidence::External(ExternalState::Review), RemedyAction::ConfirmMembership, true),
        )
        .await,
        visitor(
            "expired",
            |_| {},
            |m| m.expires_at = Some(NOW),
            (Gate::Expiry, Evidence::Expiry(Some(NOW)), RemedyAction::AssignPerson, true),
        )
        .await,
        visitor(
            "above the default",
            |plan| plan.acme.policy.default_ceiling = Ceiling::default(),
            |_| {},
            (Gate::Ceiling, Evidence::Ceiling(CeilingSource::UnknownHomes), RemedyAction::WidenCeiling, true),
        )
        .await,
        visitor(
            "host closed",
            |plan| plan.acme.policy.inbound = Openness::Closed,
            |_| {},
            (Gate::Ceiling, Evidence::Ceiling(CeilingSource::HostClosed), RemedyAction::OpenWorkspace, true),
        )
        .await,
        visitor(
            "home closed",
            |plan| plan.borealis.policy.outbound = Openness::Closed,
            |_| {},
            (Gate::Ceiling, Evidence::Withheld, RemedyAction::AskHome, false),
        )
        .await,
        related("above the terms", |_| {}, CeilingSource::Relationship, RemedyAction::WidenCeiling, true).await,
        related(
            "suspended by the host",
            |agreed| agreed.suspended_by_host = true,
            CeilingSource::SuspendedByHost,
            RemedyAction::ResumeRelationship,
            true,
        )
        .await,
        related(
            "suspended by the home",
            |agreed| agreed.suspended_by_home = true,
            CeilingSource::SuspendedByHome,
            RemedyAction::AskHome,
            false,
        )
        .await,
    ]
}

#[tokio::test]
async fn each_way_to_be_kept_out_is_named_with_its_evidence_and_its_remedy() {
    let cases = Box::pin(cases()).await;
    let gates: BTreeSet<String> = cases.iter().map(|case| format!("{:?}", case.gate)).collect();
    // These are looked at by tests of their own: a manager of a workspace that is not in use is none.
    let apart = [Gate::Home, Gate::Workspace, Gate::Catalogue, Gate::Policy];
    let others = Gate::ALL.iter().filter(|gate| !apart.contains(gate));
    assert_eq!(gates, others.map(|gate| format!("{gate:?}")).collect(), "every gate has a case");
    let sources: BTreeSet<String> = cases.iter().filter_map(|case| Some(format!("{:?}", case.source()?))).collect();
    let apart = [CeilingSource::NoAccount, CeilingSource::HomeClosed, CeilingSource::Policy];
    let others = CeilingSource::ALL.iter().filter(|source| !apart.contains(source));
    assert_eq!(sources, others.map(|source| format!("{source:?}")).collect(), "every ceiling has a case");
    for case in cases {
        case.holds().await;
    }
}

/// Rights over the workspace that its policy keeps from Externals, and what a manager who does not qualify may give.
#[tokio::test]
async fn what_gives_rights_over_the_workspace_is_a_remedy_for_whom_it_is_one() {
    let update = PermissionName::update();
    let world = World::with(|plan| plan.acme.policy.default_ceiling.roles.extend([plan.governor.id])).await;
    let governor = world.governor.id;
    let visitor = world.visitor("visitor", |m| m.base.grants.roles.extend([governor])).await;
    let request = check("acme", visitor.id, update.as_str());
    let told = world.domicile.explain_access(&call(&world.dana), &request).await.unwrap();
    let remedies: Vec<_> = told.remedies.iter().map(|remedy| (remedy.action, remedy.may_apply)).collect();
    assert_eq!((told.failing, remedies), (Some(Gate::Ceiling), vec![(RemedyAction::AllowExternalManagers, true)]));

    // A role that carries governance beside the permission is not a helper's to give; the plain one is.
    let world = World::new().await;
    let helper = world.colleague("helper", std::slice::from_ref(&update)).await;
    let plain = world.colleague("plain", &[]).await;
    let mut mixed = role(world.acme.id, "mixed");
    mixed.permissions.extend([permission_name(RIGHT), update.clone()]);
    world.put(&[(&mixed).into()]).await;
    let handles = |told: &Explanation| told.remedies[0].roles.iter().map(ToString::to_string).collect::<Vec<_>>();
    let by_dana = explained(&world, &call(&world.dana), plain.id).await;
    assert_eq!((by_dana.remedies[0].may_apply, handles(&by_dana)), (true, vec!["mixed".into(), "reader".into()]));
    let by_helper = explained(&world, &call(&helper), plain.id).await;
    assert_eq!((by_helper.remedies[0].may_apply, handles(&by_helper)), (true, vec!["reader".into()]));
    let request = check("acme", plain.id, update.as_str());
    let governing = world.domicile.explain_access(&call(&helper), &request).await.unwrap();
    assert_eq!((governing.remedies[0].action, governing.remedies[0].may_apply), (RemedyAction::GrantRole, false));
}

/// Giving it would help nobody.
#[tokio::test]
async fn a_retired_permission_that_is_not_granted_is_the_services_affair() {
    let world = World::new().await;
    let plain = world.colleague("plain", &[]).await;
    world.put(&[Permission { retired_at: Some(NOW), ..permission("orders.old") }.into()]).await;
    let request = check("acme", plain.id, "orders.old");
    let told = world.domicile.explain_access(&call(&world.dana), &request).await.unwrap();
    assert_eq!((told.failing, told.remedies[0].action), (Some(Gate::Grant), RemedyAction::AskService));
}

/// In a workspace that is not in use nobody is a manager; a service still hears why.
#[tokio::test]
async fn a_suspended_workspace_and_a_retired_permission_are_told_to_a_service() {
    let world = World::with(|plan| plan.acme.state = WorkspaceState::Suspended).await;
    let told = explained(&world, &service_call(), world.dana.id).await;
    assert_eq!(told.failing, Some(Gate::Workspace));
    assert_eq!(told.remedies[0].action, RemedyAction::ReactivateWorkspace);

    let world = World::new().await;
    let own = user(world.acme.id, "own");
    let mut membership = internal(&own);
    membership.base.grants.permissions.insert(permission_name("orders.old"));
    let old = Permission { retired_at: Some(NOW), ..permission("orders.old") };
    world.put(&[old.into(), (&own).into(), membership.into()]).await;
    let request = check("acme", own.id, "orders.old");
    let told = world.domicile.explain_access(&service_call(), &request).await.unwrap();
    assert_eq!((told.failing, told.answer.decision), (Some(Gate::Catalogue), Err(Denial::NotGranted)));
    assert_eq!(told.gates.last().unwrap().evidence, Evidence::Catalogue(Some(NOW)));
    assert_eq!(told.remedies[0].action, RemedyAction::AskService);
    // It is listed as granted, and as counting no more; and nobody is a subject of it.
    let listed = world.domicile.list_effective_permissions(&service_call(), &list("acme", &own)).await.unwrap();
    let rows: Vec<_> = listed.items.iter().map(|row| (row.permission.as_str(), row.decision)).collect();
    assert_eq!(rows, [("orders.old", Err(Denial::NotGranted))]);
    let subjects = world.domicile.list_subjects(&call(&world.dana), &who("orders.old")).await.unwrap();
    assert_eq!(subjects.items, []);
}

#[tokio::test]
async fn nothing_fails_where_access_is_allowed_and_the_roles_that_would_help_are_named() {
    let world = World::with(generous).await;
    let visitor = reading_visitor(&world, |_| {}).await;
    let told = explained(&world, &call(&world.dana), visitor.id).await;
    assert_eq!((told.answer.decision, told.failing, told.remedies), (Ok(()), None, vec![]));
    assert!(told.partial, "the account is the home's affair");
    assert!(told.gates.iter().all(|report| report.verdict.is_ok()));
    let plain = world.colleague("plain", &[]).await;
    let told = explained(&world, &call(&world.dana), plain.id).await;
    let handles: Vec<&str> = told.remedies[0].roles.iter().map(Handle::as_str).collect();
    assert_eq!(handles, [world.reader.handle.as_str()]);
    assert!(!told.partial, "at home nothing is withheld");
}

#[tokio::test]
async fn people_explain_themselves_and_nobody_else() {
    let world = World::with(generous).await;
    let visitor = reading_visitor(&world, |m| m.state = ExternalState::Pending).await;
    let told = explained(&world, &call_without_scopes(&visitor), visitor.id).await;
    assert_eq!(told.remedies[0].action, RemedyAction::AcceptMembership);
    assert!(told.remedies[0].may_apply, "to accept is the person's own");
    let plain = world.colleague("plain", &[]).await;
    let own = explained(&world, &call_without_scopes(&plain), plain.id).await;
    assert!(!own.remedies[0].may_apply, "nobody gives themself a role");
    for about in [&visitor, &world.dana] {
        let request = check("acme", about.id, RIGHT);
        let other = world.domicile.explain_access(&call_without_scopes(&plain), &request).await;
        assert_eq!(reason(other), Reason::PermissionDenied);
        let listed =
            world.domicile.list_effective_permissions(&call_without_scopes(&plain), &list("acme", about)).await;
        assert_eq!(reason(listed), Reason::PermissionDenied);
    }
    let stranger = world.stranger("stranger").await;
    let request = check("acme", stranger.id, RIGHT);
    let outside = world.domicile.explain_access(&call_without_scopes(&stranger), &request).await;
    assert_eq!(reason(outside), Reason::PermissionDenied, "whoever is no member learns nothing of themself");
}

/// Every combination of what the gates look at: the first gate that is shut is the decision.
#[test]
fn the_gates_and_the_decision_are_one() {
    let shipped = ShippedAccessPolicy;
    let name = permission_name(RIGHT);
    let mut looked_at = 0;
    for facts in every_combination() {
        for admitted in [true, false] {
            let ceiling = Ceiling {
                roles: facts.roles.iter().filter(|_| admitted).map(|role| role.id).collect(),
                permissions: BTreeSet::new(),
            };
            let gates = shipped.gates(&facts, &ceiling, &name, NOW);
            let first = gates.iter().find_map(|(_, verdict)| verdict.err());
            assert_eq!(shipped.decide(&facts, &ceiling, &name, NOW).err(), first, "{facts:?}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 2_000, "{looked_at}");
}

fn every_combination() -> Vec<AccessFacts> {
    let mut reader = role(workspace("acme").id, "reader");
    reader.for_externals = true;
    reader.permissions.insert(permission_name(RIGHT));
    let reader = Arc::new(reader);
    let mut all = Vec::new();
    for (host_state, home_state) in
        WorkspaceState::ALL.into_iter().flat_map(|host| WorkspaceState::ALL.map(|home| (host, home)))
    {
        let mut host = workspace("acme");
        host.state = host_state;
        let host = Arc::new(host);
        for state in UserState::ALL {
            let person = user(host.id, "person");
            let mut memberships = vec![None, Some(Membership::Internal(internal(&person)))];
            for state in ExternalState::ALL {
                for expires_at in [None, Some(NOW), Some(minute(5))] {
                    let mut visit = external(&person, host.id);
                    (visit.state, visit.expires_at) = (state, expires_at);
                    memberships.push(Some(Membership::External(visit)));
                }
            }
            let account = AccountFacts {
                user: person.id,
                home: person.home,
                state,
                home_state,
                home_revision: Revision::FIRST,
                home_outbound: Openness::Open,
            };
            for membership in memberships {
                for roles in [vec![], vec![reader.clone()]] {
                    all.push(AccessFacts {
                        workspace: host.clone(),
                        account: Some(account.clone()),
                        membership: membership.clone(),
                        roles,
                        relationship: None,
                    });
                }
            }
        }
    }
    all
}

fn list(workspace: &str, user: &User) -> ListEffectivePermissions {
    ListEffectivePermissions {
        workspace: workspace.to_owned(),
        subject: CheckSubject::User(user.id.to_string()),
        page: PageRequest::default(),
        consistency: Consistency::FullyConsistent,
    }
}

fn who(permission: &str) -> ListSubjects {
    ListSubjects {
        workspace: "acme".to_owned(),
        permission: permission.to_owned(),
        page: PageRequest::default(),
        consistency: Consistency::FullyConsistent,
    }
}

#[tokio::test]
async fn effective_permissions_tell_by_what_they_are_granted_and_what_is_clipped() {
    let world = World::new().await;
    let visitor = reading_visitor(&world, |m| {
        m.base.grants.permissions.insert(permission_name("orders.write"));
    })
    .await;
    let reader = GrantSource::Role { role: world.reader.id, handle: world.reader.handle.clone(), own: true };
    let told = world.domicile.list_effective_permissions(&call(&world.dana), &list("acme", &visitor)).await.unwrap();
    let rows: Vec<_> =
        told.items.iter().map(|row| (row.permission.as_str(), row.decision, row.sources.clone())).collect();
    let clipped = Err(Denial::AboveCeiling);
    assert_eq!(rows, [(RIGHT, clipped, vec![reader]), ("orders.write", clipped, vec![GrantSource::Direct])]);
    // Pages follow each other in order of name.
    let one = PageRequest { size: 1, token: String::new() };
    let first = ListEffectivePermissions { page: one, ..list("acme", &visitor) };
    let page = world.domicile.list_effective_permissions(&call(&world.dana), &first).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let next = PageRequest { size: 1, token: page.next_token };
    let second = ListEffectivePermissions { page: next, ..list("acme", &visitor) };
    let page = world.domicile.list_effective_permissions(&call(&world.dana), &second).await.unwrap();
    assert_eq!((page.items[0].permission.as_str(), page.next_token.as_str()), ("orders.write", ""));
}

#[tokio::test]
async fn subjects_are_those_for_whom_the_policy_decides_so() {
    let world = World::with(generous).await;
    let inside = reading_visitor(&world, |_| {}).await;
    let over = world.stranger("over").await;
    let mut ended = external(&over, world.acme.id);
    ended.base.grants.roles.insert(world.reader.id);
    ended.expires_at = Some(NOW);
    let own = user(world.acme.id, "own");
    let here = with_role(internal(&own), &world.reader);
    world.put(&[ended.into(), (&own).into(), here.into()]).await;
    let mut all = BTreeSet::new();
    let mut page = PageRequest { size: 1, token: String::new() };
    let mut pages = 0;
    loop {
        let asked = ListSubjects { page, ..who(RIGHT) };
        let told = world.domicile.list_subjects(&call(&world.dana), &asked).await.unwrap();
        for row in &told.items {
            assert_eq!(world.check(row.user, RIGHT).await.unwrap().decision, Ok(()));
            all.insert((row.user, row.kind));
        }
        pages += 1;
        if told.next_token.is_empty() {
            break;
        }
        page = PageRequest { size: 1, token: told.next_token };
    }
    assert_eq!(pages, 3, "whoever is clipped still takes a place");
    assert_eq!(all, BTreeSet::from([(inside.id, MembershipKind::External), (own.id, MembershipKind::Internal)]));
    // A service needs the scope for it.
    let plain = world.domicile.list_subjects(&service_call(), &who(RIGHT)).await;
    assert_eq!(reason(plain), Reason::PermissionDenied);
    let mut scoped = service_call();
    let service = ServicePrincipal::new("search");
    scoped.actor.service = service.with_scope(ServiceScope::AccessSubjects, ScopeReach::Everywhere);
    assert_eq!(world.domicile.list_subjects(&scoped, &who(RIGHT)).await.unwrap().items.len(), 2);
    assert_eq!(reason(world.domicile.list_subjects(&scoped, &who("orders.none")).await), Reason::UnknownPermission);
}

fn question(id: &str, CheckAccess { workspace, subject, permission, .. }: CheckAccess) -> BatchEntry {
    BatchEntry { correlation_id: id.to_owned(), workspace, subject, permission }
}

fn batch(entries: Vec<BatchEntry>) -> BatchCheckAccess {
    BatchCheckAccess { entries, consistency: Consistency::FullyConsistent }
}

#[tokio::test]
async fn a_batch_answers_each_question_and_keeps_wrong_ones_apart() {
    let world = World::new().await;
    let dana = world.dana.id;
    let entries = vec![
        question("a", check("acme", dana, "domicile.update")),
        question("b", check("acme", dana, "orders.none")),
        question("c", check("borealis", dana, "domicile.update")),
        question("d", CheckAccess { subject: CheckSubject::User("x".to_owned()), ..check("acme", dana, "y") }),
        question("", check("nowhere", dana, "domicile.update")),
        question(&"e".repeat(65), check("acme", dana, "domicile.update")),
    ];
    let told = world.domicile.batch_check_access(&service_call(), &batch(entries)).await.unwrap();
    let short: Vec<_> = told
        .entries
        .iter()
        .map(|entry| {
            let answer = entry.answer.clone().map(|answer| answer.decision).map_err(|refusal| refusal.reason);
            (entry.correlation_id.get(..1).unwrap_or_default(), answer)
        })
        .collect();
    let nobody = Ok(Err(Denial::NoMembership));
    let invalid = Err(Reason::InvalidRequest);
    assert_eq!(
        short,
        [
            ("a", Ok(Ok(()))),
            ("b", Err(Reason::UnknownPermission)),
            ("c", nobody),
            ("d", invalid),
            ("", nobody),
            ("e", invalid),
        ]
    );
    for entries in [vec![], vec![question("", check("acme", dana, RIGHT)); 101]] {
        let refused = world.domicile.batch_check_access(&service_call(), &batch(entries)).await;
        assert_eq!(wrong_fields(refused), ["entries".to_owned()].into());
    }
}

#[tokio::test]
async fn a_question_outside_the_scope_is_that_question_s_own_error_and_is_recorded() {
    let world = World::new().await;
    let mut here = service_call();
    let only = ScopeReach::Workspaces(["acme".parse().unwrap()].into());
    here.actor.service = ServicePrincipal::new("desk").with_scope(ServiceScope::AccessCheck, only);
    let entries = || {
        vec![
            question("in", check("acme", world.dana.id, "domicile.update")),
            question("out", check("borealis", world.lena.id, "domicile.update")),
            question("none", check("nowhere", world.lena.id, "domicile.update")),
        ]
    };
    let told = world.domicile.batch_check_access(&here, &batch(entries())).await.unwrap();
    let reasons: Vec<_> = told.entries.iter().map(|entry| entry.answer.as_ref().err().map(|r| r.reason)).collect();
    assert_eq!(reasons, [None, Some(Reason::PermissionDenied), Some(Reason::PermissionDenied)]);
    assert_eq!(told.entries[1].answer, told.entries[2].answer, "foreign and missing look the same");
    let outside = entries().split_off(1);
    assert_eq!(reason(world.domicile.batch_check_access(&here, &batch(outside)).await), Reason::PermissionDenied);
}

/// An own policy: nobody works in the first minute of the hour.
struct Pause;

impl AccessPolicy for Pause {
    fn decide(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Result<(), Denial> {
        if now < minute(1) {
            Err(Denial::NotGranted)
        } else {
            ShippedAccessPolicy.decide(facts, ceiling, permission, now)
        }
    }
}

#[tokio::test]
async fn an_own_policy_is_one_gate() {
    let world = World::new().await;
    let policies = Policies { access: Arc::new(Pause), ..Policies::default() };
    let domicile = Domicile::with_policies(world.ports.clone(), policies);
    let [create, _] = both_rights();
    let request = check("acme", world.dana.id, create.as_str());
    let told = domicile.explain_access(&service_call(), &request).await.unwrap();
    assert_eq!(told.failing, Some(Gate::Policy));
    assert_eq!(told.remedies[0].action, RemedyAction::AskPolicyOwner);
    world.clock.set(minute(1));
    assert_eq!(domicile.explain_access(&service_call(), &request).await.unwrap().failing, None);
    // What stands in lists goes by the same policy.
    let facts = domicile_domain::port::directory::Directory::access_facts(&world.store, world.acme.id, world.dana.id);
    let facts = facts.await.unwrap().unwrap();
    let policies = Policies { access: Arc::new(Pause), ..Policies::default() };
    assert_eq!(effective(&policies, &facts, NOW).len(), 0);
    assert_eq!(effective(&policies, &facts, minute(1)).len(), 2);
}
