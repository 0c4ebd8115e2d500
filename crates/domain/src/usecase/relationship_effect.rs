//! What a change of a relationship does to the people of its home.

use std::sync::Arc;

use super::api::{MemberEffect, RelationshipEffect};
use super::change::Unit;
use crate::error::Refusal;
use crate::model::facts::AccessFacts;
use crate::model::id::UserId;
use crate::model::relationship::WorkspaceRelationship;
use crate::policy::access::effective;

/// How many people are looked at in one read.
const AT_ONCE: u32 = 500;

/// What the change does to each External of the home, decided as every check decides it.
pub(super) async fn effect(
    unit: &mut Unit<'_>,
    of: &WorkspaceRelationship,
    before: Option<WorkspaceRelationship>,
    after: Option<WorkspaceRelationship>,
) -> Result<RelationshipEffect, Refusal> {
    let mut told = RelationshipEffect::default();
    let (before, after) = (before.map(Arc::new), after.map(Arc::new));
    let policies = &unit.domicile.policies;
    let mut last = UserId::nil();
    loop {
        let page = unit.tx.memberships().externals(of.host, of.home, last, AT_ONCE).await?;
        for facts in &page {
            let under = |relationship: &Option<Arc<WorkspaceRelationship>>| {
                let facts = AccessFacts { relationship: relationship.clone(), ..facts.clone() };
                effective(policies, &facts, unit.now)
            };
            let Some(user) = facts.account.as_ref().map(|account| account.user) else { continue };
            last = user;
            told.externals += 1;
            let (had, has) = (under(&before), under(&after));
            if had != has {
                told.affected += 1;
                if told.members.len() < RelationshipEffect::MOST_NAMED {
                    let gains = has.difference(&had).cloned().collect();
                    let loses = had.difference(&has).cloned().collect();
                    told.members.push(MemberEffect { user, gains, loses });
                }
            }
        }
        if page.len() < AT_ONCE as usize {
            return Ok(told);
        }
    }
}
