//! May this person do that there? (seed "Access Rights", plain form)

use std::time::Duration;

use super::api::{AccessAnswer, Call, CheckAccess, CheckSubject};
use super::record::Deed;
use super::service::{Domicile, workspace_ref};
use super::token::{TouchedRows, ensure_fresh};
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::ServiceScope;
use crate::model::audit::AuditAction;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::membership::Membership;
use crate::model::permission::PermissionName;
use crate::model::time::Timestamp;
use crate::policy::access::Denial;

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
        let workspace = self.ports.directory.workspace(&workspace_ref(&request.workspace)).await?;
        let service = &call.actor.service;
        let may = match &workspace {
            Some(workspace) => service.may(&ServiceScope::AccessCheck, workspace),
            None => service.may_everywhere(&ServiceScope::AccessCheck),
        };
        if !may || !call.actor.reaches(workspace.as_ref()) {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        let id = workspace.map_or(WorkspaceId::nil(), |w| w.id);
        let fresh = TouchedRows::of(&*self.ports.sealer, &request.consistency)?;
        let (permission, named) = read(request)?;
        let Some(entry) = self.ports.directory.permission(&permission).await? else {
            return Err(Refusal::new(Reason::UnknownPermission).with("permission", &permission));
        };
        let user = match named {
            Named::User(user) => user,
            Named::Identity(identity) => {
                self.ports.directory.user_by_identity(&identity).await?.unwrap_or(UserId::nil())
            }
        };
        let facts = self.ports.directory.access_facts(id, user).await?;
        let now = self.now();
        let Some(facts) = facts else {
            return Ok(answer(Err(Denial::NoMembership), None, now));
        };
        ensure_fresh(fresh, &facts.workspace)?;
        let ceiling = self.policies.ceiling.ceiling(&facts);
        let mut decision = self.policies.access.decide(&facts, &ceiling, &permission, now);
        if decision.is_ok() && entry.retired_at.is_some() {
            decision = Err(Denial::NotGranted);
        }
        if decision == Err(Denial::AccountUnavailable) && facts.membership.is_none() {
            decision = Err(Denial::NoMembership);
        }
        Ok(answer(decision, facts.membership.as_ref(), now))
    }
}

enum Named {
    User(UserId),
    Identity(crate::model::user::Identity),
}

fn read(request: &CheckAccess) -> Result<(PermissionName, Named), Refusal> {
    let mut wrong = Vec::new();
    let permission = super::input::field(&mut wrong, "permission", PermissionName::parse(&request.permission));
    let named = match &request.subject {
        CheckSubject::User(text) => super::input::field(&mut wrong, "user", text.parse()).map(Named::User),
        CheckSubject::Identity(identity) if identity.issuer.is_empty() || identity.subject.is_empty() => {
            wrong.push(Violation::new("identity", "give both issuer and subject"));
            None
        }
        CheckSubject::Identity(identity) => Some(Named::Identity(identity.clone())),
    };
    match (permission, named) {
        (Some(permission), Some(named)) => Ok((permission, named)),
        _ => Err(Refusal::invalid(wrong)),
    }
}

fn answer(decision: Result<(), Denial>, membership: Option<&Membership>, now: Timestamp) -> AccessAnswer {
    let ends = match membership {
        Some(Membership::External(external)) => external.expires_at.filter(|end| *end > now),
        _ => None,
    };
    let serves = now.after(ANSWER_SERVES);
    AccessAnswer { decision, checked_at: now, valid_until: ends.map_or(serves, |end| end.min(serves)) }
}
