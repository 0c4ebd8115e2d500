//! May this person do that there? Through the use case, and as the policy decides it on bare facts: whatever is not active
//! denies, with its reason.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::Reason;
use domicile_domain::model::actor::{ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::UserId;
use domicile_domain::model::membership::{ExternalMembership, ExternalState, Membership};
use domicile_domain::model::permission::Permission;
use domicile_domain::model::relationship::{Ceiling, RelationshipState, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::{Identity, UserState};
use domicile_domain::model::workspace::WorkspaceRef;
use domicile_domain::model::workspace::{Openness, Workspace, WorkspaceState};
use domicile_domain::policy::Policies;
use domicile_domain::usecase::{CheckAccess, CheckSubject, Consistency, Denial, DomicileApi};
use domicile_testkit::builders::{
    NOW, external, internal, minute, permission, permission_name, relationship, role, user, with_role, workspace,
};

use crate::support::{Plan, World, check, in_state, reason, save, service, service_call, wrong_fields};

const RIGHT: &str = "orders.read";
/// How long a caller may rely on an answer.
const SERVES: Duration = Duration::from_secs(2);

type Decision = Result<(), Denial>;

const ALLOWED: Decision = Ok(());

/// The default ceiling lets Externals have the role `reader`.
fn generous(plan: &mut Plan) {
    plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
}

/// Somebody from Borealis who holds `reader` in Acme, and what they may do there.
async fn visitor_may(plan: impl FnOnce(&mut Plan), change: impl FnOnce(&mut ExternalMembership)) -> Decision {
    let world = World::with(|p| {
        generous(p);
        plan(p);
    })
    .await;
    let reader = world.reader.id;
    let visitor = world
        .visitor("visitor", |membership| {
            membership.base.grants.roles.insert(reader);
            change(membership);
        })
        .await;
    world.check(visitor.id, RIGHT).await.unwrap().decision
}

#[tokio::test]
async fn every_state_of_an_account_that_is_not_active_denies() {
    for state in UserState::ALL {
        let world = World::with(generous).await;
        let expected = if state == UserState::Active { ALLOWED } else { Err(Denial::AccountUnavailable) };
        let own = in_state(user(world.acme.id, "own"), state);
        let at_home = with_role(internal(&own), &world.reader);
        let away = in_state(user(world.borealis.id, "away"), state);
        let mut linked = external(&away, world.acme.id);
        linked.base.grants.roles.insert(world.reader.id);
        world.put(&[(&own).into(), at_home.into(), (&away).into(), linked.into()]).await;
        assert_eq!(world.check(own.id, RIGHT).await.unwrap().decision, expected, "Internal, {state:?}");
        assert_eq!(world.check(away.id, RIGHT).await.unwrap().decision, expected, "External, {state:?}");
    }
}

#[tokio::test]
async fn every_state_of_a_workspace_that_is_not_active_denies() {
    for state in WorkspaceState::ALL {
        let active = state == WorkspaceState::Active;
        let host = if active { ALLOWED } else { Err(Denial::WorkspaceUnavailable) };
        assert_eq!(visitor_may(|plan| plan.acme.state = state, |_| {}).await, host, "host {state:?}");
        // Outside the home every cause there reads the same.
        let home = if active { ALLOWED } else { Err(Denial::AccountUnavailable) };
        assert_eq!(visitor_may(|plan| plan.borealis.state = state, |_| {}).await, home, "home {state:?}");
        let world = World::with(|plan| plan.acme.state = state).await;
        assert_eq!(world.check(world.dana.id, "domicile.update").await.unwrap().decision, host, "own {state:?}");
    }
}

#[tokio::test]
async fn every_state_of_an_external_membership_that_is_not_active_denies() {
    for state in ExternalState::ALL {
        let expected = match state {
            ExternalState::Active => ALLOWED,
            ExternalState::Pending => Err(Denial::MembershipPending),
            ExternalState::Suspended => Err(Denial::MembershipSuspended),
            ExternalState::Review => Err(Denial::MembershipInReview),
        };
        assert_eq!(visitor_may(|_| {}, |membership| membership.state = state).await, expected, "{state:?}");
    }
    let ends = |micros: u64| {
        move |membership: &mut ExternalMembership| {
            membership.expires_at = Some(NOW.after(Duration::from_micros(micros)));
        }
    };
    assert_eq!(visitor_may(|_| {}, ends(0)).await, Err(Denial::MembershipExpired), "the end is exclusive");
    assert_eq!(visitor_may(|_| {}, ends(1)).await, ALLOWED);
}

#[tokio::test]
async fn every_state_of_a_relationship_has_its_ceiling() {
    let with = async |change: &dyn Fn(&mut WorkspaceRelationship)| {
        let world = World::new().await;
        let mut agreed = relationship(world.acme.id, world.borealis.id);
        agreed.host_terms.ceiling.roles.insert(world.reader.id);
        change(&mut agreed);
        world.put(&[agreed.into()]).await;
        let reader = world.reader.id;
        let visitor = world
            .visitor("visitor", |m| {
                m.base.grants.roles.insert(reader);
            })
            .await;
        world.check(visitor.id, RIGHT).await.unwrap().decision
    };
    for state in RelationshipState::ALL {
        // The default ceiling, which is all that is left without an active relationship, has no `reader`.
        let expected = if state == RelationshipState::Active { ALLOWED } else { Err(Denial::AboveCeiling) };
        assert_eq!(with(&|agreed| agreed.state = state).await, expected, "{state:?}");
    }
    for (host, home) in [(true, false), (false, true), (true, true)] {
        let suspend =
            |agreed: &mut WorkspaceRelationship| (agreed.suspended_by_host, agreed.suspended_by_home) = (host, home);
        assert_eq!(with(&suspend).await, Err(Denial::AboveCeiling), "suspended {host} {home}");
    }
    assert_eq!(with(&|agreed| agreed.home_terms.allows_host = false).await, Err(Denial::AboveCeiling));
}

#[tokio::test]
async fn an_external_has_what_closed_doors_and_the_ceiling_leave() {
    assert_eq!(visitor_may(|_| {}, |_| {}).await, ALLOWED);
    assert_eq!(
        visitor_may(|plan| plan.acme.policy.default_ceiling = Ceiling::default(), |_| {}).await,
        Err(Denial::AboveCeiling)
    );
    assert_eq!(visitor_may(|plan| plan.reader.for_externals = false, |_| {}).await, Err(Denial::AboveCeiling));
    assert_eq!(visitor_may(|_| {}, |membership| membership.base.grants.roles.clear()).await, Err(Denial::NotGranted));
    for openness in Openness::ALL {
        let expected = if openness == Openness::Open { ALLOWED } else { Err(Denial::AboveCeiling) };
        assert_eq!(
            visitor_may(|plan| plan.acme.policy.inbound = openness, |_| {}).await,
            expected,
            "host {openness:?}"
        );
        assert_eq!(
            visitor_may(|plan| plan.borealis.policy.outbound = openness, |_| {}).await,
            expected,
            "home {openness:?}"
        );
    }
    let direct = |membership: &mut ExternalMembership| {
        membership.base.grants.roles.clear();
        membership.base.grants.permissions.insert(permission_name(RIGHT));
    };
    assert_eq!(visitor_may(|_| {}, direct).await, Err(Denial::AboveCeiling));
    let raised = |plan: &mut Plan| plan.acme.policy.default_ceiling.permissions.extend([permission_name(RIGHT)]);
    assert_eq!(visitor_may(raised, direct).await, ALLOWED);
}

#[tokio::test]
async fn an_answer_serves_two_seconds_and_never_past_the_end_of_the_membership() {
    let world = World::with(generous).await;
    let reader = world.reader.id;
    let end = NOW.after(Duration::from_millis(500));
    let brief = world
        .visitor("brief", |m| {
            m.base.grants.roles.insert(reader);
            m.expires_at = Some(end);
        })
        .await;
    let answer = world.check(brief.id, RIGHT).await.unwrap();
    assert_eq!((answer.decision, answer.checked_at, answer.valid_until), (ALLOWED, NOW, end));
    let of_dana = world.check(world.dana.id, "domicile.create").await.unwrap();
    assert_eq!(of_dana.valid_until, NOW.after(SERVES));
    world.clock.set(end);
    let over = world.check(brief.id, RIGHT).await.unwrap();
    assert_eq!((over.decision, over.valid_until), (Err(Denial::MembershipExpired), end.after(SERVES)));
}

#[tokio::test]
async fn a_person_is_named_by_id_or_by_an_identity_that_is_bound() {
    let world = World::new().await;
    let identity = |issuer: &str, subject: &str| Identity { issuer: issuer.to_owned(), subject: subject.to_owned() };
    world.put(&[(world.dana.id, identity("https://id.example", "dana-1")).into()]).await;
    let by = |identity| CheckAccess {
        subject: CheckSubject::Identity(identity),
        ..check("acme", UserId::nil(), "domicile.update")
    };
    let decide = async |request| world.domicile.check_access(&service_call(), &request).await;
    assert_eq!(decide(by(identity("https://id.example", "dana-1"))).await.unwrap().decision, ALLOWED);
    for unbound in [identity("https://other.example", "dana-1"), identity("https://id.example", "dana-2")] {
        assert_eq!(decide(by(unbound)).await.unwrap().decision, Err(Denial::NoMembership));
    }
    let long = "s".repeat(256);
    for (wrong, field) in [
        (identity("", "dana-1"), "identity.issuer"),
        (identity("https://id.example", ""), "identity.subject"),
        (identity("https://id.example", &long), "identity.subject"),
    ] {
        assert_eq!(wrong_fields(decide(by(wrong)).await), [field.to_owned()].into());
    }
    let unreadable =
        CheckAccess { subject: CheckSubject::User("dana".to_owned()), ..check("acme", UserId::nil(), "x") };
    assert_eq!(wrong_fields(decide(unreadable).await), ["permission".to_owned(), "user".to_owned()].into());
}

#[tokio::test]
async fn what_does_not_exist_is_denied_and_an_unknown_permission_is_an_error() {
    let world = World::new().await;
    world.put(&[Permission { retired_at: Some(NOW), ..permission("orders.old") }.into()]).await;
    let old = {
        let own = user(world.acme.id, "own");
        let mut membership = internal(&own);
        membership.base.grants.permissions.insert(permission_name("orders.old"));
        world.put(&[(&own).into(), membership.into()]).await;
        own
    };
    let decide = async |workspace: &str, user, right: &str| {
        world.domicile.check_access(&service_call(), &check(workspace, user, right)).await
    };
    let dana = world.dana.id;
    assert_eq!(decide("acme", dana, "domicile.update").await.unwrap().decision, ALLOWED);
    assert_eq!(decide(&world.acme.id.to_string(), dana, "domicile.update").await.unwrap().decision, ALLOWED);
    for (workspace, user) in [("nowhere", dana), ("borealis", dana), ("acme", UserId::nil()), ("acme", world.lena.id)] {
        let denied = decide(workspace, user, "domicile.update").await.unwrap();
        assert_eq!(denied.decision, Err(Denial::NoMembership), "{workspace}");
    }
    assert_eq!(decide("acme", old.id, "orders.old").await.unwrap().decision, Err(Denial::NotGranted), "retired");
    let unknown = decide("acme", dana, "no.such").await.unwrap_err();
    assert_eq!(
        (unknown.reason, unknown.metadata),
        (Reason::UnknownPermission, vec![("permission", "no.such".to_owned())])
    );
    assert_eq!(world.audit().await[0].outcome, "UNKNOWN_PERMISSION");
}

#[tokio::test]
async fn a_service_checks_where_its_scope_holds() {
    let world = World::new().await;
    let scoped = |scopes| {
        let mut call = service_call();
        call.actor.service = ServicePrincipal { scopes, ..service() };
        call
    };
    let acme_only =
        scoped(vec![(ServiceScope::AccessCheck, ScopeReach::Workspaces([WorkspaceRef::Id(world.acme.id)].into()))]);
    let of = |workspace: &str| check(workspace, world.dana.id, "domicile.update");
    assert_eq!(world.domicile.check_access(&acme_only, &of("acme")).await.unwrap().decision, ALLOWED);
    // One that is not on the list looks like one that does not exist.
    let elsewhere = world.domicile.check_access(&acme_only, &of("borealis")).await.unwrap_err();
    assert_eq!(elsewhere.reason, Reason::PermissionDenied);
    assert_eq!(world.domicile.check_access(&acme_only, &of("nowhere")).await.unwrap_err(), elsewhere);
    let other = scoped(vec![(ServiceScope::WorkspacesCreate, ScopeReach::Everywhere)]);
    assert_eq!(reason(world.domicile.check_access(&other, &of("acme")).await), Reason::PermissionDenied);
}

#[tokio::test]
async fn a_token_that_was_not_made_here_is_refused_and_one_from_the_future_waits() {
    let world = World::new().await;
    let with = |token: &str| CheckAccess {
        consistency: Consistency::AtLeastAsFresh(token.to_owned()),
        ..check("acme", world.dana.id, "domicile.update")
    };
    let decide = async |token: &str| world.domicile.check_access(&service_call(), &with(token)).await;
    let handle = world.lookup("x@mail.example", "").await.unwrap().match_handle;
    for foreign in ["", "forged", handle.as_str()] {
        assert_eq!(reason(decide(foreign).await), Reason::InvalidConsistencyToken, "{foreign}");
    }
    let replica = world.replica();
    let token = world.assign(&save("nora")).await.unwrap().consistency_token.unwrap();
    assert_eq!(decide(&token).await.unwrap().decision, ALLOWED);
    // A replica that lags behind the token cannot answer yet, and says so instead of denying or allowing.
    let behind = replica.check_access(&service_call(), &with(&token)).await;
    assert_eq!(reason(behind), Reason::StoreUnavailable);
    let any = CheckAccess { consistency: Consistency::MinimizeLatency, ..with(&token) };
    assert_eq!(replica.check_access(&service_call(), &any).await.unwrap().decision, ALLOWED);
    // A token of another workspace says nothing of this one.
    let of_lena = CheckAccess {
        subject: CheckSubject::User(world.lena.id.to_string()),
        workspace: "borealis".to_owned(),
        ..with(&token)
    };
    assert_eq!(world.domicile.check_access(&service_call(), &of_lena).await.unwrap().decision, ALLOWED);
}

/// Facts of somebody who may, as long as nothing is changed.
fn facts(membership: impl FnOnce(&Workspace, &Role) -> Option<Membership>) -> AccessFacts {
    let mut acme = workspace("acme");
    let mut reader = role(acme.id, "reader");
    reader.for_externals = true;
    reader.permissions.insert(permission_name(RIGHT));
    acme.policy.default_ceiling.roles.insert(reader.id);
    let membership = membership(&acme, &reader);
    let home = if matches!(membership, Some(Membership::Internal(_))) { acme.id } else { workspace("borealis").id };
    let account = AccountFacts {
        user: membership.as_ref().map_or(UserId::nil(), |m| m.base().user),
        home,
        state: UserState::Active,
        home_state: WorkspaceState::Active,
        home_revision: Revision::FIRST,
        home_outbound: Openness::Open,
    };
    AccessFacts {
        workspace: acme.into(),
        account: Some(account),
        membership,
        roles: vec![reader.into()],
        relationship: None,
    }
}

fn decide(facts: &AccessFacts) -> Decision {
    let policies = Policies::default();
    policies.access.decide(facts, &policies.ceiling.ceiling(facts), &permission_name(RIGHT), NOW)
}

/// The policy alone, on facts that no store would give: every gate closes by itself, in its order.
#[test]
fn every_gate_closes_by_itself() {
    let at_home = |acme: &Workspace, reader: &Role| Some(with_role(internal(&user(acme.id, "own")), reader));
    let away = |acme: &Workspace, reader: &Role| {
        let mut linked = external(&user(workspace("borealis").id, "away"), acme.id);
        linked.base.grants.roles.insert(reader.id);
        Some(Membership::External(linked))
    };
    for make in [at_home as fn(&Workspace, &Role) -> Option<Membership>, away] {
        assert_eq!(decide(&facts(make)), ALLOWED);
        for state in WorkspaceState::ALL.into_iter().filter(|state| *state != WorkspaceState::Active) {
            let mut closed = facts(make);
            closed.account.as_mut().unwrap().home_state = state;
            assert_eq!(decide(&closed), Err(Denial::AccountUnavailable), "{state:?}");
            // The workspace's own gate comes before the account's.
            Arc::make_mut(&mut closed.workspace).state = state;
            assert_eq!(decide(&closed), Err(Denial::WorkspaceUnavailable), "{state:?}");
        }
        for state in UserState::ALL.into_iter().filter(|state| *state != UserState::Active) {
            let mut closed = facts(make);
            closed.account.as_mut().unwrap().state = state;
            assert_eq!(decide(&closed), Err(Denial::AccountUnavailable), "{state:?}");
        }
        let mut without = facts(make);
        without.account = None;
        assert_eq!(decide(&without), Err(Denial::NoMembership));
    }
    assert_eq!(decide(&facts(|_, _| None)), Err(Denial::NoMembership));
    let mut lapsed = facts(away);
    if let Some(Membership::External(external)) = &mut lapsed.membership {
        external.state = ExternalState::Pending;
        external.expires_at = Some(minute(0));
    }
    assert_eq!(decide(&lapsed), Err(Denial::MembershipPending), "nobody accepted in time");
}
