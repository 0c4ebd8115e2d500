//! May this person do that there? (seed "Access Rights", plain form)

use std::time::Duration;

use super::api::{AccessAnswer, Call, CheckAccess, CheckSubject};
use super::record::Deed;
use super::service::{Domicile, workspace_ref};
use super::token::{ensure_met, freshness};
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::ServiceScope;
use crate::model::audit::AuditAction;
use crate::model::membership::Membership;
use crate::model::permission::PermissionName;
use crate::model::time::Timestamp;
use crate::model::workspace::Workspace;
use crate::policy::access::Denial;
use crate::port::directory::{CheckKey, CheckedSubject, Freshness};
use crate::port::store::StoreError;

/// How long a caller may rely on an answer, unless the membership ends before.
const ANSWER_SERVES: Duration = Duration::from_secs(2);

impl Domicile {
    pub(super) async fn check(&self, call: &Call, request: &CheckAccess) -> Result<AccessAnswer, Refusal> {
        match self.decide(call, request).await {
            Ok(answer) => Ok(answer),
            Err(refusal) => {
                let deed =
                    Deed { call, action: AuditAction::CheckAccess, workspace: &request.workspace, request_id: None };
                self.refuse(&deed, refusal).await
            }
        }
    }

    async fn decide(&self, call: &Call, request: &CheckAccess) -> Result<AccessAnswer, Refusal> {
        let began = self.now();
        let (key, freshness) = match self.key(request) {
            Ok(asked) => asked,
            Err(refusal) => {
                // Who may not ask learns nothing, not even what was wrong with the question.
                let workspace = self.ports.directory.workspace(&workspace_ref(&request.workspace)).await?;
                may_ask(call, workspace.as_ref())?;
                return Err(refusal);
            }
        };
        let found = self.ports.directory.check_facts(std::slice::from_ref(&key), &freshness).await?;
        let found = found
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Fault("a check was asked of the store and has no answer".to_owned()))?;
        may_ask(call, found.access.as_ref().map(|facts| &*facts.workspace))?;
        let Some(entry) = found.permission else {
            return Err(Refusal::new(Reason::UnknownPermission).with("permission", &key.permission));
        };
        let (now, as_of) = (self.now(), found.as_of.unwrap_or(began));
        let Some(facts) = found.access else {
            return Ok(answer(Err(Denial::NoMembership), None, now, as_of));
        };
        ensure_met(&freshness, facts.workspace.id, facts.workspace.revision)?;
        if let Some(account) = &facts.account {
            ensure_met(&freshness, account.home, account.home_revision)?;
        }
        let ceiling = self.policies.ceiling.ceiling(&facts);
        let mut decision = self.policies.access.decide(&facts, &ceiling, &key.permission, now);
        if decision.is_ok() && entry.retired_at.is_some() {
            decision = Err(Denial::NotGranted);
        }
        if decision == Err(Denial::AccountUnavailable) && facts.membership.is_none() {
            decision = Err(Denial::NoMembership);
        }
        Ok(answer(decision, facts.membership.as_ref(), now, as_of))
    }

    /// What is asked, and how fresh the answer must be.
    fn key(&self, request: &CheckAccess) -> Result<(CheckKey, Freshness), Refusal> {
        let freshness = freshness(&*self.ports.sealer, &request.consistency)?;
        let (permission, subject) = read(request)?;
        Ok((CheckKey { workspace: workspace_ref(&request.workspace), subject, permission }, freshness))
    }
}

/// Whether the caller may ask about a workspace, or about one that is not there.
fn may_ask(call: &Call, workspace: Option<&Workspace>) -> Result<(), Refusal> {
    let service = &call.actor.service;
    let may = match workspace {
        Some(workspace) => service.may(&ServiceScope::AccessCheck, workspace),
        None => service.may_everywhere(&ServiceScope::AccessCheck),
    };
    if may && call.actor.reaches(workspace) { Ok(()) } else { Err(Refusal::new(Reason::PermissionDenied)) }
}

fn read(request: &CheckAccess) -> Result<(PermissionName, CheckedSubject), Refusal> {
    let mut wrong = Vec::new();
    let permission = super::input::field(&mut wrong, "permission", PermissionName::parse(&request.permission));
    let named = match &request.subject {
        CheckSubject::User(text) => super::input::field(&mut wrong, "user", text.parse()).map(CheckedSubject::User),
        CheckSubject::Identity(identity) if identity.issuer.is_empty() || identity.subject.is_empty() => {
            wrong.push(Violation::new("identity", "give both issuer and subject"));
            None
        }
        CheckSubject::Identity(identity) => Some(CheckedSubject::Identity(identity.clone())),
    };
    match (permission, named) {
        (Some(permission), Some(named)) => Ok((permission, named)),
        _ => Err(Refusal::invalid(wrong)),
    }
}

/// Decided `now`, by facts that were true `as_of` another moment: from that one on the answer grows old.
fn answer(
    decision: Result<(), Denial>,
    membership: Option<&Membership>,
    now: Timestamp,
    as_of: Timestamp,
) -> AccessAnswer {
    let ends = match membership {
        Some(Membership::External(external)) => external.expires_at.filter(|end| *end > now),
        _ => None,
    };
    let serves = as_of.after(ANSWER_SERVES);
    AccessAnswer { decision, checked_at: as_of, valid_until: ends.map_or(serves, |end| end.min(serves)) }
}
