//! May this person do that there? (seed "Access Rights") One question, or many as of one moment.

use std::time::Duration;

use super::api::{
    AccessAnswer, BatchAnswer, BatchCheckAccess, BatchEntry, BatchEntryAnswer, Call, CheckAccess, CheckSubject,
};
use super::input::field;
use super::record::Deed;
use super::service::{Domicile, workspace_ref};
use super::token::{TouchedRows, ensure_facts_fresh};
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::ServiceScope;
use crate::model::audit::AuditAction;
use crate::model::facts::AccessFacts;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::membership::Membership;
use crate::model::permission::{Permission, PermissionName};
use crate::model::time::Timestamp;
use crate::model::user::{Identity, parse_issuer, parse_subject};
use crate::model::workspace::{Workspace, WorkspaceRef};
use crate::policy::access::Denial;

/// How long a caller may rely on an answer, unless the membership ends before.
const ANSWER_SERVES: Duration = Duration::from_secs(2);

/// What a caller may call a question.
const LONGEST_CORRELATION_ID: usize = 64;

/// A question that was understood, of a caller who may ask it.
struct Question {
    workspace: WorkspaceId,
    user: UserId,
    permission: Permission,
}

impl Domicile {
    pub(super) async fn check(&self, call: &Call, request: &CheckAccess) -> Result<AccessAnswer, Refusal> {
        match self.answer(call, request).await {
            Ok(answer) => Ok(answer),
            Err(refusal) => {
                let deed =
                    Deed { call, action: AuditAction::CheckAccess, workspace: &request.workspace, request_id: None };
                self.refuse(&deed, refusal).await
            }
        }
    }

    async fn answer(&self, call: &Call, request: &CheckAccess) -> Result<AccessAnswer, Refusal> {
        let workspace = self.named_by_checker(call, &request.workspace, &ServiceScope::AccessCheck).await?;
        let fresh = TouchedRows::of(&*self.ports.sealer, &request.consistency)?;
        let question = self.question(workspace, &request.subject, &request.permission).await?;
        let facts = self.ports.directory.access_facts(question.workspace, question.user).await?;
        self.ensure_fresh_for(fresh.as_ref(), facts.as_ref()).await?;
        Ok(self.decided(&question, facts.as_ref(), self.now()))
    }

    /// The workspace of a question; nil if there is none, which only a service with the scope everywhere may learn.
    pub(super) async fn named_by_checker(
        &self,
        call: &Call,
        workspace: &str,
        scope: &ServiceScope,
    ) -> Result<WorkspaceId, Refusal> {
        let found = self.ports.directory.workspace(&workspace_ref(workspace)).await?;
        if may_check(call, found.as_ref(), scope) {
            Ok(found.map_or(WorkspaceId::nil(), |found| found.id))
        } else {
            Err(Refusal::new(Reason::PermissionDenied))
        }
    }

    /// Reads the rest of a question; all violations at once.
    async fn question(
        &self,
        workspace: WorkspaceId,
        subject: &CheckSubject,
        permission: &str,
    ) -> Result<Question, Refusal> {
        let mut wrong = Vec::new();
        let permission = field(&mut wrong, "permission", PermissionName::parse(permission));
        let subject = Named::read(subject, &mut wrong);
        let (Some(permission), Some(subject)) = (permission, subject) else {
            return Err(Refusal::invalid(wrong));
        };
        let permission = self.offered(&permission).await?;
        Ok(Question { workspace, user: self.user_of(&subject).await?, permission })
    }

    /// The entry of the catalogue. A name that nobody offers is a mistake of the caller, never a denial.
    pub(super) async fn offered(&self, permission: &PermissionName) -> Result<Permission, Refusal> {
        let entry = self.ports.directory.permission(permission).await?;
        entry.ok_or_else(|| Refusal::new(Reason::UnknownPermission).with("permission", permission))
    }

    /// The person that is meant; nil if nobody is.
    pub(super) async fn user_of(&self, subject: &Named) -> Result<UserId, Refusal> {
        match subject {
            Named::User(user) => Ok(*user),
            Named::Identity(identity) => {
                Ok(self.ports.directory.user_by_identity(identity).await?.unwrap_or(UserId::nil()))
            }
        }
    }

    /// What was read sees the write of the token, or cannot be answered with yet. Of somebody who is nobody, no home tells
    /// how fresh that is: then every workspace of the token does.
    pub(super) async fn ensure_fresh_for(
        &self,
        fresh: Option<&TouchedRows>,
        facts: Option<&AccessFacts>,
    ) -> Result<(), Refusal> {
        let Some(rows) = fresh else { return Ok(()) };
        if let Some(facts) = facts {
            ensure_facts_fresh(fresh, facts)?;
            if facts.account.is_some() {
                return Ok(());
            }
        }
        for (workspace, revision) in rows.rows() {
            let found = self.ports.directory.workspace(&WorkspaceRef::Id(*workspace)).await?;
            if found.is_none_or(|found| found.revision < *revision) {
                return Err(Refusal::new(Reason::StoreUnavailable));
            }
        }
        Ok(())
    }

    fn decided(&self, question: &Question, facts: Option<&AccessFacts>, now: Timestamp) -> AccessAnswer {
        match facts {
            None => answer_until(Err(Denial::NoMembership), None, now),
            Some(facts) => {
                answer_until(self.decision(facts, &question.permission, now), facts.membership.as_ref(), now)
            }
        }
    }

    /// The policy's decision on a permission of the catalogue: what is retired is granted no more.
    pub(super) fn decision(&self, facts: &AccessFacts, permission: &Permission, now: Timestamp) -> Result<(), Denial> {
        self.policies.decide(facts, &permission.name, now)?;
        if permission.retired_at.is_some() { Err(Denial::NotGranted) } else { Ok(()) }
    }

    pub(super) async fn check_batch(&self, call: &Call, request: &BatchCheckAccess) -> Result<BatchAnswer, Refusal> {
        match self.answers(call, request).await {
            Ok(answers) => Ok(answers),
            Err(refusal) => {
                let first = request.entries.first().map_or("", |entry| entry.workspace.as_str());
                let deed = Deed { call, action: AuditAction::BatchCheckAccess, workspace: first, request_id: None };
                self.refuse(&deed, refusal).await
            }
        }
    }

    /// All facts are read as of one moment, and decided at one instant. What is wrong with one question is its own answer;
    /// what fails for all is an error of the call.
    async fn answers(&self, call: &Call, request: &BatchCheckAccess) -> Result<BatchAnswer, Refusal> {
        // Without the scope anywhere nothing is told, whatever else is wrong with the request.
        if !call.actor.service.scopes.iter().any(|(scope, _)| *scope == ServiceScope::AccessCheck) {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        let most = BatchCheckAccess::MOST;
        if request.entries.is_empty() || request.entries.len() > most {
            let wrong = Violation::new("entries", format!("give 1 to {most} questions; ask again for more"));
            return Err(Refusal::invalid(vec![wrong]));
        }
        let mut questions = Vec::with_capacity(request.entries.len());
        for entry in &request.entries {
            questions.push(own_fault(self.entry(call, entry).await)?);
        }
        self.tell_of_denied(call, &request.entries, &questions).await?;
        let fresh = TouchedRows::of(&*self.ports.sealer, &request.consistency)?;
        let asked: Vec<(WorkspaceId, UserId)> =
            questions.iter().flatten().map(|question| (question.workspace, question.user)).collect();
        let facts = self.ports.directory.many_access_facts(&asked).await?;
        for read in &facts {
            self.ensure_fresh_for(fresh.as_ref(), read.as_ref()).await?;
        }
        let mut facts = facts.into_iter();
        let now = self.now();
        let mut entries = Vec::with_capacity(questions.len());
        for (entry, question) in request.entries.iter().zip(questions) {
            let answer = match question {
                Ok(question) => {
                    let facts = facts.next().flatten();
                    Ok(self.decided(&question, facts.as_ref(), now))
                }
                Err(refusal) => Err(refusal),
            };
            entries.push(BatchEntryAnswer { correlation_id: entry.correlation_id.clone(), answer });
        }
        Ok(BatchAnswer { entries, checked_at: now })
    }

    /// Records that questions were asked which the service may not ask. Where it may ask none, it is refused.
    async fn tell_of_denied(
        &self,
        call: &Call,
        entries: &[BatchEntry],
        questions: &[Result<Question, Refusal>],
    ) -> Result<(), Refusal> {
        let is_denied = |question: &Result<Question, Refusal>| matches!(question, Err(refusal) if refusal.reason == Reason::PermissionDenied);
        let Some(first) = entries.iter().zip(questions).find(|(_, question)| is_denied(question)) else {
            return Ok(());
        };
        if questions.iter().all(is_denied) {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        let workspace = first.0.workspace.as_str();
        let deed = Deed { call, action: AuditAction::BatchCheckAccess, workspace, request_id: None };
        self.record_alone(&deed, Reason::PermissionDenied.as_str(), Vec::new()).await
    }

    async fn entry(&self, call: &Call, entry: &BatchEntry) -> Result<Question, Refusal> {
        let workspace = self.named_by_checker(call, &entry.workspace, &ServiceScope::AccessCheck).await?;
        if entry.correlation_id.chars().count() > LONGEST_CORRELATION_ID {
            let said = format!("give at most {LONGEST_CORRELATION_ID} characters");
            return Err(Refusal::invalid(vec![Violation::new("correlation_id", said)]));
        }
        self.question(workspace, &entry.subject, &entry.permission).await
    }
}

/// Sets an error of the store, which leaves every question open, apart from what is wrong with one question.
fn own_fault(question: Result<Question, Refusal>) -> Result<Result<Question, Refusal>, Refusal> {
    match question {
        Err(refusal) if refusal.cause.is_some() => Err(refusal),
        question => Ok(question),
    }
}

/// Whether the service may ask about the workspace. One that does not exist is in no list of workspaces.
pub(super) fn may_check(call: &Call, workspace: Option<&Workspace>, scope: &ServiceScope) -> bool {
    let service = &call.actor.service;
    let may = match workspace {
        Some(workspace) => service.may(scope, workspace),
        None => service.may_everywhere(scope),
    };
    may && call.actor.reaches(workspace)
}

/// Whom a question is about, read.
pub(super) enum Named {
    User(UserId),
    Identity(Identity),
}

impl Named {
    pub(super) fn read(subject: &CheckSubject, wrong: &mut Vec<Violation>) -> Option<Self> {
        match subject {
            CheckSubject::User(text) => field(wrong, "user", text.parse()).map(Self::User),
            CheckSubject::Identity(identity) => {
                let issuer = field(wrong, "identity.issuer", parse_issuer(&identity.issuer));
                let subject = field(wrong, "identity.subject", parse_subject(&identity.subject));
                Some(Self::Identity(Identity { issuer: issuer?, subject: subject? }))
            }
        }
    }
}

/// The answer, with until when a caller may rely on it: never past the end of the membership.
pub(super) fn answer_until(
    decision: Result<(), Denial>,
    membership: Option<&Membership>,
    now: Timestamp,
) -> AccessAnswer {
    AccessAnswer { decision, checked_at: now, valid_until: serves_until(membership, now) }
}

pub(super) fn serves_until(membership: Option<&Membership>, now: Timestamp) -> Timestamp {
    let ends = match membership {
        Some(Membership::External(external)) => external.expires_at.filter(|end| *end > now),
        _ => None,
    };
    let serves = now.after(ANSWER_SERVES);
    ends.map_or(serves, |end| end.min(serves))
}
