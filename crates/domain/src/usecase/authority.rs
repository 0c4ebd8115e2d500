//! Whether the acting person holds the rights that a call needs. Rights are read inside the unit of the write, after the
//! workspace's revision was taken, since the caller may be demoted meanwhile (C8).

use super::service::acting_user;
use crate::error::{Reason, Refusal};
use crate::model::facts::AccessFacts;
use crate::model::id::WorkspaceId;
use crate::model::membership::Membership;
use crate::model::permission::PermissionName;
use crate::model::time::Timestamp;
use crate::policy::Policies;
use crate::port::store::UnitOfWork;
use crate::usecase::Call;

/// A right over a workspace: the seed's "create and update access rights".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    Create,
    Update,
}

impl Right {
    fn permission(self) -> PermissionName {
        match self {
            Self::Create => PermissionName::create(),
            Self::Update => PermissionName::update(),
        }
    }
}

/// Whether the person of the facts holds a right there.
pub(super) fn holds(policies: &Policies, facts: &AccessFacts, right: Right, now: Timestamp) -> bool {
    policies.decide(facts, &right.permission(), now).is_ok()
}

/// Whether the acting person of a call may do there what takes these rights: they hold every one, and the call reaches so far.
pub(super) fn may(policies: &Policies, call: &Call, facts: &AccessFacts, rights: &[Right], now: Timestamp) -> bool {
    call.actor.reaches(Some(&facts.workspace)) && rights.iter().all(|right| holds(policies, facts, *right, now))
}

/// Whether the person of the facts is a qualifying manager there: Internal, account active, holding both rights (I3).
pub(super) fn is_qualifying_manager(policies: &Policies, facts: &AccessFacts, now: Timestamp) -> bool {
    matches!(facts.membership, Some(Membership::Internal(_)))
        && holds(policies, facts, Right::Create, now)
        && holds(policies, facts, Right::Update, now)
}

/// Reads the acting person's rights in the unit and refuses, in the same way whether or not the workspace exists, unless
/// all are held. `workspace` is absent if there is none.
pub(super) async fn authorise(
    tx: &mut dyn UnitOfWork,
    policies: &Policies,
    call: &Call,
    workspace: Option<WorkspaceId>,
    rights: &[Right],
    now: Timestamp,
) -> Result<AccessFacts, Refusal> {
    let user = acting_user(call)?;
    let facts = tx.memberships().access_facts(workspace.unwrap_or(WorkspaceId::nil()), user).await?;
    facts.filter(|facts| may(policies, call, facts, rights, now)).ok_or_else(|| Refusal::new(Reason::PermissionDenied))
}
