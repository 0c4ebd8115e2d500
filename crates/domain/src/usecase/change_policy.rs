//! The rules that a workspace sets for itself. A qualifying manager changes them; the next check sees it, since nothing is
//! rewritten: ceilings and policies are looked at when access is read.

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{PolicyChange, PolicyReach, UpdateWorkspacePolicy};
use super::change::{Authority, Change, Made, Unit};
use super::change_workspace::{current, differing, replace};
use super::grant::may_be_ceiling;
use super::guard::Watched;
use super::input::{grants, mask, needed_etag, same_etag};
use crate::error::{Refusal, Violation};
use crate::model::audit::AuditAction;
use crate::model::id::WorkspaceId;
use crate::model::relationship::Ceiling;
use crate::model::role::Role;
use crate::model::workspace::{Openness, Workspace, WorkspacePolicy};
use crate::port::store::{Externals, StoreError};

/// Replaces rules.
pub(super) struct UpdatePolicy<'a>(pub(super) &'a UpdateWorkspacePolicy);

/// A rule that can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Inbound,
    Outbound,
    DefaultCeiling,
    VisibilityOfExternals,
    AcceptanceAsHost,
    AcceptanceAsHome,
    Disclosure,
    ExternalManagers,
}

impl Rule {
    const ALL: [(&str, Self); 8] = [
        ("inbound", Self::Inbound),
        ("outbound", Self::Outbound),
        ("default_ceiling", Self::DefaultCeiling),
        ("visibility_of_externals", Self::VisibilityOfExternals),
        ("acceptance_as_host", Self::AcceptanceAsHost),
        ("acceptance_as_home", Self::AcceptanceAsHome),
        ("disclosure", Self::Disclosure),
        ("external_managers", Self::ExternalManagers),
    ];

    fn shown(self, of: &WorkspacePolicy) -> Option<String> {
        match self {
            Self::Inbound => Some(of.inbound.as_str().to_owned()),
            Self::Outbound => Some(of.outbound.as_str().to_owned()),
            Self::DefaultCeiling => {
                let roles = of.default_ceiling.roles.iter().map(ToString::to_string);
                let all: Vec<String> =
                    roles.chain(of.default_ceiling.permissions.iter().map(ToString::to_string)).collect();
                (!all.is_empty()).then(|| all.join(", "))
            }
            Self::VisibilityOfExternals => Some(of.visibility_of_externals.as_str().to_owned()),
            Self::AcceptanceAsHost => Some(of.acceptance_as_host.to_string()),
            Self::AcceptanceAsHome => Some(of.acceptance_as_home.to_string()),
            Self::Disclosure => Some(of.disclosure.as_str().to_owned()),
            Self::ExternalManagers => Some(of.external_managers.to_string()),
        }
    }
}

#[async_trait]
impl Change for UpdatePolicy<'_> {
    type Thing = PolicyChange;
    const ACTION: AuditAction = AuditAction::UpdateWorkspacePolicy;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<PolicyChange>, Refusal> {
        let before = current(unit).await?;
        let defined = unit.tx.roles().of_workspace(unit.workspace).await?;
        let mut wrong = unit.violations();
        needed_etag(&mut wrong, &self.0.etag);
        let rules = mask(&self.0.update_mask, &Rule::ALL, &mut wrong);
        let policy = self.read(unit, &before.policy, &defined, &rules, &mut wrong).await?;
        if !wrong.is_empty() {
            return Err(Refusal::invalid(wrong));
        }
        same_etag(&self.0.etag, before.id, before.version)?;
        if rules.contains(&Rule::DefaultCeiling) {
            may_be_ceiling(&policy.default_ceiling, &defined, &policy)?;
        }
        if widens(before.policy.outbound, policy.outbound) {
            watch_elsewhere(unit).await?;
        }
        let shown = Rule::ALL.map(|(path, rule)| (path, rule.shown(&before.policy), rule.shown(&policy)));
        let changes = differing(shown);
        let reach = reach(unit, &before.policy, &policy).await?;
        let after = Workspace { policy, ..before.clone() };
        let made = replace(unit, before, after, changes).await?;
        let thing = PolicyChange { workspace: made.thing, reach: Some(reach) };
        Ok(Made { thing, id: made.id, subject: made.subject, changes: made.changes, personal: made.personal })
    }

    async fn again(&self, unit: &mut Unit<'_>, _thing: Uuid) -> Result<Option<PolicyChange>, Refusal> {
        Ok(Some(PolicyChange { workspace: current(unit).await?, reach: None }))
    }
}

impl UpdatePolicy<'_> {
    async fn read(
        &self,
        unit: &mut Unit<'_>,
        before: &WorkspacePolicy,
        defined: &[Role],
        rules: &[Rule],
        wrong: &mut Vec<Violation>,
    ) -> Result<WorkspacePolicy, StoreError> {
        let typed = &self.0.policy;
        let mut policy = before.clone();
        macro_rules! choose {
            ($name:ident, $mend:literal) => {
                match typed.$name {
                    Some(chosen) => policy.$name = chosen,
                    None => wrong.push(Violation::new(concat!("policy.", stringify!($name)), $mend)),
                }
            };
        }
        for rule in rules {
            match rule {
                Rule::Inbound => choose!(inbound, "choose OPEN, RELATED_ONLY or CLOSED"),
                Rule::Outbound => choose!(outbound, "choose OPEN, RELATED_ONLY or CLOSED"),
                Rule::DefaultCeiling => {
                    let read =
                        grants(unit.tx, defined, "policy.default_ceiling", &typed.default_ceiling, wrong).await?;
                    policy.default_ceiling = Ceiling { roles: read.roles, permissions: read.permissions };
                }
                Rule::VisibilityOfExternals => {
                    choose!(visibility_of_externals, "choose HIDDEN, NAME_ONLY or LISTED");
                }
                Rule::AcceptanceAsHost => policy.acceptance_as_host = typed.acceptance_as_host,
                Rule::AcceptanceAsHome => policy.acceptance_as_home = typed.acceptance_as_home,
                Rule::Disclosure => choose!(disclosure, "choose NONE, NAME, MASKED_CONTACT or FULL"),
                Rule::ExternalManagers => policy.external_managers = typed.external_managers,
            }
        }
        Ok(policy)
    }
}

const fn degree(openness: Openness) -> u8 {
    match openness {
        Openness::Closed => 0,
        Openness::RelatedOnly => 1,
        Openness::Open => 2,
    }
}

const fn widens(before: Openness, after: Openness) -> bool {
    degree(after) > degree(before)
}

/// How many hosts are looked at in one read.
const AT_ONCE: u32 = 64;

/// What the maker has as an External elsewhere comes back when their home opens, so it is watched there too.
async fn watch_elsewhere(unit: &mut Unit<'_>) -> Result<(), Refusal> {
    let person = unit.person;
    let mut after = WorkspaceId::nil();
    loop {
        let hosts = unit.tx.memberships().hosts_of(person, after, AT_ONCE).await?;
        for host in &hosts {
            let facts = unit.tx.memberships().access_facts(*host, person).await?;
            unit.watched.extend(facts.map(|facts| Watched::new(&unit.domicile.policies, &facts, unit.now)));
        }
        match hosts.last() {
            Some(last) if hosts.len() == AT_ONCE as usize => after = *last,
            _ => return Ok(()),
        }
    }
}

/// Whom a change of rules reaches, counted with one statement for each side.
async fn reach(
    unit: &mut Unit<'_>,
    before: &WorkspacePolicy,
    after: &WorkspacePolicy,
) -> Result<PolicyReach, StoreError> {
    let (here, mut reach) = (unit.workspace, PolicyReach::default());
    let closes = [before.inbound, after.inbound].contains(&Openness::Closed) && before.inbound != after.inbound;
    let all = closes || before.external_managers != after.external_managers;
    let unknown = before.inbound != after.inbound || before.default_ceiling != after.default_ceiling;
    let which = if all { Some(Externals::In(here)) } else { unknown.then_some(Externals::UnderDefaultOf(here)) };
    if let Some(which) = which {
        reach.externals_here = unit.tx.memberships().count_externals(which).await?;
    }
    if before.outbound != after.outbound {
        reach.externals_elsewhere = unit.tx.memberships().count_externals(Externals::From(here)).await?;
    }
    Ok(reach)
}
