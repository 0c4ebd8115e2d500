//! One decision by the policies in this process, as every check makes it of what was read: no store, no wire.

use std::hint::black_box;
use std::time::Instant;

use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::membership::{ExternalState, Membership};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp};
use domicile_domain::model::user::UserState;
use domicile_domain::model::workspace::{Openness, WorkspaceState};
use domicile_domain::policy::Policies;
use domicile_domain::policy::access::Denial;
use domicile_testkit::builders::{external, group, internal, permission_name, relationship, role, user, workspace};

use crate::stats::float;

/// How many permissions a role of a usual workspace has.
const USUAL_PERMISSIONS: usize = 20;
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// A question about a usual member with three roles, the last of which grants.
pub struct Decision {
    facts: AccessFacts,
    permission: PermissionName,
    policies: Policies,
}

impl Decision {
    /// A group carries the role that grants.
    #[must_use]
    pub fn of_an_internal() -> Self {
        Self::of(false)
    }

    /// Of a related home, within a ceiling of three roles and a direct permission.
    #[must_use]
    pub fn of_an_external() -> Self {
        Self::of(true)
    }

    fn of(is_external: bool) -> Self {
        let (host, home) = (workspace("acme"), workspace("borealis"));
        let permission = permission_name("orders.read");
        let usual = |handle: &str| {
            let names = (0..USUAL_PERMISSIONS).map(|number| permission_name(&format!("{handle}.action-{number}")));
            Role { permissions: names.collect(), for_externals: true, ..role(host.id, handle) }
        };
        let (clerk, packer, mut reader) = (usual("clerk"), usual("packer"), usual("reader"));
        reader.permissions.insert(permission.clone());
        let all = [clerk.id, packer.id, reader.id];
        let person = user(if is_external { home.id } else { host.id }, "anna");
        let mut related = relationship(host.id, home.id);
        related.host_terms.ceiling.roles = all.into();
        related.host_terms.ceiling.permissions.insert(permission_name("orders.note"));
        let membership = if is_external {
            let mut visit = external(&person, host.id);
            visit.base.grants.roles = all.into();
            visit.state = ExternalState::Active;
            Membership::External(visit)
        } else {
            let mut own = internal(&person);
            own.base.grants.roles = [clerk.id, packer.id].into();
            own.groups.insert(group(host.id, "readers").id);
            Membership::Internal(own)
        };
        let account = AccountFacts {
            user: person.id,
            home: person.home,
            state: UserState::Active,
            home_state: WorkspaceState::Active,
            home_revision: Revision::FIRST,
            home_outbound: Openness::Open,
        };
        let facts = AccessFacts {
            workspace: host.into(),
            account: Some(account),
            membership: Some(membership),
            roles: [clerk, packer, reader].map(Into::into).into(),
            relationship: is_external.then(|| related.into()),
        };
        Self { facts, permission, policies: Policies::default() }
    }

    /// Decides.
    ///
    /// # Errors
    /// Never: it is allowed.
    pub fn make(&self) -> Result<(), Denial> {
        self.policies.decide(black_box(&self.facts), black_box(&self.permission), NOW)
    }

    /// Nanoseconds of one of so many; `None` if one was not allowed.
    #[must_use]
    pub fn each_ns(&self, count: u64) -> Option<f64> {
        let began = Instant::now();
        let allowed = (0..count).filter(|_| self.make().is_ok()).count();
        let took = began.elapsed();
        (u64::try_from(allowed) == Ok(count)).then(|| took.as_secs_f64() * 1e9 / float(count))
    }
}
