//! What no change may do, on whatever path: give its maker more than they had, or leave a workspace without a manager.
//! What the maker has is read before and after, in the unit of the change.

use std::collections::BTreeSet;

use super::authority::is_qualifying_manager;
use super::change::Unit;
use crate::error::{Reason, Refusal};
use crate::model::facts::AccessFacts;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::permission::{PermissionClass, PermissionName};
use crate::model::time::Timestamp;
use crate::policy::Policies;
use crate::policy::access::{effective, granted};

/// What the maker of a change has in a workspace: what is granted, and what of it counts now.
///
/// Both are compared. What is granted above a ceiling or during a suspension would begin to count later, when nobody
/// looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    workspace: WorkspaceId,
    granted: BTreeSet<PermissionName>,
    effective: BTreeSet<PermissionName>,
}

impl Watched {
    pub(super) fn new(policies: &Policies, facts: &AccessFacts, now: Timestamp) -> Self {
        Self { workspace: facts.workspace.id, granted: granted(facts), effective: effective(policies, facts, now) }
    }

    /// What is there now and was not before.
    fn gained(&self, before: &Self) -> BTreeSet<PermissionName> {
        let granted = self.granted.difference(&before.granted);
        granted.chain(self.effective.difference(&before.effective)).cloned().collect()
    }
}

/// Whether the change gave its maker more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raised {
    /// No.
    Nobody,
    /// Product permissions, to the only qualifying manager: nobody else could.
    TheOnlyManager,
}

/// Who managed the workspace before the change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Managers {
    /// Whether the maker of the change was a qualifying manager.
    pub(super) qualified: bool,
    /// Whether somebody else was.
    pub(super) another: bool,
}

/// Refuses what the change did to its maker or to the workspace.
pub(super) async fn check(unit: &mut Unit<'_>, before: Managers) -> Result<Raised, Refusal> {
    let Managers { qualified, another: had_another } = before;
    let managed = qualified || had_another;
    let person = unit.person;
    let policies = &unit.domicile.policies;
    let mut gained = BTreeSet::new();
    let mut qualifies = false;
    for before in &unit.watched {
        let Some(facts) = unit.tx.memberships().access_facts(before.workspace, person).await? else {
            continue;
        };
        gained.extend(Watched::new(policies, &facts, unit.now).gained(before));
        qualifies |= before.workspace == unit.actor.workspace.id && is_qualifying_manager(policies, &facts, unit.now);
    }
    let another = qualifies && gained.is_empty() || another_manager(unit).await?;
    // INVARIANT: I3. A workspace that had a qualifying manager keeps one.
    if managed && !qualifies && !another {
        return Err(Refusal::new(Reason::LastManager));
    }
    if gained.is_empty() {
        return Ok(Raised::Nobody);
    }
    let product_alone = gained.iter().all(|permission| permission.class() == PermissionClass::Product);
    // A change that takes the other manager away does not make its maker the only one.
    if qualified && !had_another && !another && product_alone {
        return Ok(Raised::TheOnlyManager);
    }
    let named = gained.iter().map(PermissionName::as_str).collect::<Vec<_>>().join(", ");
    let mut refusal = Refusal::new(Reason::SelfEscalation).with("permissions", &named);
    refusal.message = format!(
        "This would give you what you do not have: {named}. Nothing was changed; ask another AccessManager of the workspace."
    );
    Err(refusal)
}

/// How many people who hold a governance right are looked at in one read.
const AT_ONCE: u32 = 16;

/// Whether somebody else than the maker is a qualifying manager.
pub(super) async fn another_manager(unit: &mut Unit<'_>) -> Result<bool, Refusal> {
    let (workspace, person) = (unit.workspace, unit.person);
    let mut after = UserId::nil();
    loop {
        let governors = unit.tx.memberships().governors(workspace, after, AT_ONCE).await?;
        for governor in governors.iter().copied().filter(|governor| *governor != person) {
            let facts = unit.tx.memberships().access_facts(workspace, governor).await?;
            if facts.is_some_and(|facts| is_qualifying_manager(&unit.domicile.policies, &facts, unit.now)) {
                return Ok(true);
            }
        }
        match governors.last() {
            Some(last) if governors.len() == AT_ONCE as usize => after = *last,
            _ => return Ok(false),
        }
    }
}
