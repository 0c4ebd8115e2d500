//! CheckAccess for every state of account, home, workspace and membership: whatever is not active denies, with its reason.

#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::{Id, MembershipId, RoleId, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{
    ExternalMembership, ExternalState, Grants, InternalMembership, Membership, MembershipBase,
};
use domicile_domain::model::name::{Handle, Name};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::phone::Region;
use domicile_domain::model::relationship::Ceiling;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::UserState;
use domicile_domain::model::workspace::{NewWorkspace, Openness, Workspace, WorkspaceState};
use domicile_domain::policy::Policies;
use domicile_domain::usecase::{CheckAccess, CheckSubject, Consistency, Denial, DomicileApi};
use domicile_testkit::memory::MemoryStore;
use domicile_tests::world::World;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn id<K>(number: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(number))
}

fn permission() -> PermissionName {
    PermissionName::parse("projects.read").unwrap()
}

fn role() -> Role {
    Role {
        id: id::<_>(5),
        workspace: id(1),
        handle: Handle::parse("reader").unwrap(),
        display_name: Name::parse("Reader").unwrap(),
        permissions: BTreeSet::from([permission()]),
        for_externals: true,
        built_in: None,
        version: Version::FIRST,
    }
}

fn base() -> MembershipBase {
    let (membership, user, workspace): (MembershipId, UserId, WorkspaceId) = (id(3), id(2), id(1));
    let roles: BTreeSet<RoleId> = BTreeSet::from([id(5)]);
    MembershipBase {
        id: membership,
        user,
        workspace,
        grants: Grants { roles, permissions: BTreeSet::new() },
        assigned_by: None,
        assigned_at: NOW,
        external_id: None,
        version: Version::FIRST,
    }
}

fn external(state: ExternalState, expires_at: Option<Timestamp>) -> Membership {
    Membership::External(ExternalMembership {
        base: base(),
        state,
        language: None,
        expires_at,
        sponsor: None,
        typed_contact: None,
    })
}

/// A person who may, as long as nothing is changed.
fn facts(membership: Option<Membership>) -> AccessFacts {
    let new = NewWorkspace {
        handle: Handle::parse("acme").unwrap(),
        display_name: Name::parse("Acme").unwrap(),
        default_region: Region::parse("HU").unwrap(),
        default_language: LanguageTag::parse("hu").unwrap(),
    };
    let ceiling = Ceiling { roles: BTreeSet::from([id(5)]), permissions: BTreeSet::new() };
    let home = if matches!(membership, Some(Membership::Internal(_))) { id(1) } else { id(9) };
    AccessFacts {
        workspace: Workspace::create(id(1), new, ceiling, NOW),
        account: Some(AccountFacts {
            user: id(2),
            home,
            state: UserState::Active,
            home_state: WorkspaceState::Active,
            home_outbound: Openness::Open,
        }),
        membership,
        roles: vec![role()],
        relationship: None,
    }
}

fn decide(facts: &AccessFacts) -> Result<(), Denial> {
    let policies = Policies::default();
    policies.access.decide(facts, &policies.ceiling.ceiling(facts), &permission(), NOW)
}

#[test]
fn every_state_that_is_not_active_denies() {
    let internal = || {
        Some(Membership::Internal(InternalMembership { base: base(), groups: BTreeSet::new(), units: BTreeSet::new() }))
    };
    let active = || Some(external(ExternalState::Active, None));
    for membership in [internal(), active()] {
        assert_eq!(decide(&facts(membership.clone())), Ok(()));
        for state in UserState::ALL {
            let mut facts = facts(membership.clone());
            facts.account.as_mut().unwrap().state = state;
            let expected = if state == UserState::Active { Ok(()) } else { Err(Denial::AccountUnavailable) };
            assert_eq!(decide(&facts), expected, "{state:?}");
        }
        for state in WorkspaceState::ALL {
            let mut facts = facts(membership.clone());
            facts.workspace.state = state;
            let expected = if state == WorkspaceState::Active { Ok(()) } else { Err(Denial::WorkspaceUnavailable) };
            assert_eq!(decide(&facts), expected, "{state:?}");
            facts.workspace.state = WorkspaceState::Active;
            facts.account.as_mut().unwrap().home_state = state;
            let expected = if state == WorkspaceState::Active { Ok(()) } else { Err(Denial::AccountUnavailable) };
            assert_eq!(decide(&facts), expected, "home {state:?}");
        }
    }
    for state in ExternalState::ALL {
        let expected = match state {
            ExternalState::Active => Ok(()),
            ExternalState::Pending => Err(Denial::MembershipPending),
            ExternalState::Suspended => Err(Denial::MembershipSuspended),
            ExternalState::Review => Err(Denial::MembershipInReview),
        };
        assert_eq!(decide(&facts(Some(external(state, None)))), expected, "{state:?}");
    }
    let at_its_end = facts(Some(external(ExternalState::Active, Some(NOW))));
    assert_eq!(decide(&at_its_end), Err(Denial::MembershipExpired), "the end is exclusive");
    let before_it = facts(Some(external(ExternalState::Active, Some(NOW.after(Duration::from_micros(1))))));
    assert_eq!(decide(&before_it), Ok(()));
    assert_eq!(decide(&facts(None)), Err(Denial::NoMembership));
}

#[test]
fn an_external_has_what_the_ceiling_leaves() {
    let linked = || facts(Some(external(ExternalState::Active, None)));
    let mut narrowed = linked();
    narrowed.workspace.policy.default_ceiling = Ceiling::default();
    assert_eq!(decide(&narrowed), Err(Denial::AboveCeiling));
    let mut unmarked = linked();
    unmarked.roles.iter_mut().for_each(|role| role.for_externals = false);
    assert_eq!(decide(&unmarked), Err(Denial::AboveCeiling));
    for openness in [Openness::RelatedOnly, Openness::Closed] {
        let mut closed = linked();
        closed.workspace.policy.inbound = openness;
        assert_eq!(decide(&closed), Err(Denial::AboveCeiling), "host {openness:?}");
        let mut closed = linked();
        closed.account.as_mut().unwrap().home_outbound = openness;
        assert_eq!(decide(&closed), Err(Denial::AboveCeiling), "home {openness:?}");
    }
    let mut ungranted = linked();
    ungranted.roles.clear();
    assert_eq!(decide(&ungranted), Err(Denial::NotGranted));
}

#[tokio::test]
async fn an_unknown_workspace_or_user_is_denied_and_an_unknown_permission_is_an_error() {
    let world = World::new(Arc::new(MemoryStore::default())).await;
    let call = world.call(world.acme.manager);
    let check = |workspace: &str, user: UserId, permission: &str| CheckAccess {
        workspace: workspace.to_owned(),
        subject: CheckSubject::User(user.to_string()),
        permission: permission.to_owned(),
        consistency: Consistency::FullyConsistent,
    };
    let manager = world.acme.manager;
    let decided = |check: CheckAccess| {
        let (domicile, call) = (world.domicile.clone(), call.clone());
        async move { domicile.check_access(&call, &check).await }
    };
    let allowed = decided(check("acme", manager, "domicile.update")).await.unwrap();
    assert_eq!(allowed.decision, Ok(()));
    assert!(allowed.valid_until > allowed.checked_at);
    for (workspace, user) in [("nowhere", manager), ("borealis", manager), ("acme", UserId::nil())] {
        let denied = decided(check(workspace, user, "domicile.update")).await.unwrap();
        assert_eq!(denied.decision, Err(Denial::NoMembership), "{workspace}");
    }
    let unknown = decided(check("acme", manager, "no.such")).await.unwrap_err();
    assert_eq!(unknown.reason.as_str(), "UNKNOWN_PERMISSION");
    let foreign = CheckAccess {
        consistency: Consistency::AtLeastAsFresh("forged".to_owned()),
        ..check("acme", manager, "domicile.update")
    };
    assert_eq!(decided(foreign).await.unwrap_err().reason.as_str(), "INVALID_CONSISTENCY_TOKEN");
}
