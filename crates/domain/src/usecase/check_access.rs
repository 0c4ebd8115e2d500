//! May this person do that there? (seed "Access Rights") One question, or many as of one moment.

use std::sync::Arc;
use std::time::Duration;

use super::api::{
    AccessAnswer, BatchAnswer, BatchCheckAccess, BatchEntry, BatchEntryAnswer, Call, CheckAccess, CheckSubject,
    Consistency,
};
use super::input::field;
use super::record::Deed;
use super::service::{Domicile, workspace_ref};
use super::token::{TouchedRows, ensure_facts_fresh, freshness};
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
use crate::port::directory::{CheckFacts, CheckKey, CheckedSubject};
use crate::port::store::StoreError;

/// How long a caller may rely on an answer, unless the membership ends before.
const ANSWER_SERVES: Duration = Duration::from_secs(2);

/// What a caller may call a question.
const LONGEST_CORRELATION_ID: usize = 64;

/// A question that was understood, of a caller who may ask it.
struct Question {
    /// Absent if there is no such workspace.
    facts: Option<Arc<AccessFacts>>,
    permission: Arc<Permission>,
    /// As of when the facts were kept, if they were.
    as_of: Option<Timestamp>,
}

impl Question {
    /// What was found, if the caller may hear of it.
    fn of(call: &Call, key: &CheckKey, found: CheckFacts) -> Result<Self, Refusal> {
        let workspace = found.access.as_ref().map(|facts| &*facts.workspace);
        if !may_check(call, workspace, &ServiceScope::AccessCheck) {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        let permission = found.permission.ok_or_else(|| unknown(&key.permission))?;
        Ok(Self { facts: found.access, permission, as_of: found.as_of })
    }
}

/// A name that nobody offers is a mistake of the caller, never a denial.
fn unknown(permission: &PermissionName) -> Refusal {
    Refusal::new(Reason::UnknownPermission).with("permission", permission)
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
        // Whoever may not ask everywhere is held to their scope before anything is read: a refusal costs the same whether or
        // not there is such a workspace.
        if !may_check(call, None, &ServiceScope::AccessCheck) {
            self.named_by_checker(call, &request.workspace, &ServiceScope::AccessCheck).await?;
        }
        let began = self.now();
        let asked = TouchedRows::of(&*self.ports.sealer, &request.consistency)
            .and_then(|fresh| Ok((fresh, key(&request.workspace, &request.subject, &request.permission)?)));
        let (fresh, key) = match asked {
            Ok(asked) => asked,
            Err(refusal) => return Err(self.of_permitted(call, &request.workspace, refusal).await?),
        };
        let found = self.found(std::slice::from_ref(&key), &request.consistency, fresh.as_ref()).await?.pop();
        let question = Question::of(call, &key, found.ok_or_else(unanswered)?)?;
        self.ensure_fresh_for(fresh.as_ref(), question.facts.as_deref()).await?;
        Ok(self.decided(&question, self.now(), began))
    }

    /// What decides some checks, in the same order and as of one moment.
    async fn found(
        &self,
        keys: &[CheckKey],
        consistency: &Consistency,
        fresh: Option<&TouchedRows>,
    ) -> Result<Vec<CheckFacts>, Refusal> {
        let found = self.ports.directory.check_facts(keys, &freshness(consistency, fresh)).await?;
        if found.len() == keys.len() { Ok(found) } else { Err(unanswered().into()) }
    }

    /// What is wrong with a question, for who may ask it; who may not learns nothing of it.
    async fn of_permitted(&self, call: &Call, workspace: &str, refusal: Refusal) -> Result<Refusal, Refusal> {
        self.named_by_checker(call, workspace, &ServiceScope::AccessCheck).await?;
        Ok(refusal)
    }

    /// The workspace of a question; nil if there is none, which only a service with the scope everywhere may learn.
    pub(super) async fn named_by_checker(
        &self,
        call: &Call,
        workspace: &str,
        scope: &ServiceScope,
    ) -> Result<WorkspaceId, Refusal> {
        let found = self.ports.directory.workspace(&workspace_ref(workspace)?).await?;
        if may_check(call, found.as_ref(), scope) {
            Ok(found.map_or(WorkspaceId::nil(), |found| found.id))
        } else {
            Err(Refusal::new(Reason::PermissionDenied))
        }
    }

    /// The entry of the catalogue. A name that nobody offers is a mistake of the caller, never a denial.
    pub(super) async fn offered(&self, permission: &PermissionName) -> Result<Permission, Refusal> {
        let entry = self.ports.directory.permission(permission).await?;
        entry.ok_or_else(|| unknown(permission))
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

    /// Decided `now`, by facts that were true as of another moment: from that one on the answer grows old.
    fn decided(&self, question: &Question, now: Timestamp, began: Timestamp) -> AccessAnswer {
        let as_of = question.as_of.unwrap_or(began);
        let (decision, membership) = match &question.facts {
            None => (Err(Denial::NoMembership), None),
            Some(facts) => (self.decision(facts, &question.permission, now), facts.membership.as_ref()),
        };
        let valid_until = serves_until(membership, now).min(as_of.after(ANSWER_SERVES));
        AccessAnswer { decision, checked_at: as_of, valid_until }
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
        let began = self.now();
        // Who asks what they may not is told of before a token that is none.
        let fresh = TouchedRows::of(&*self.ports.sealer, &request.consistency);
        let rows = fresh.as_ref().ok().and_then(Option::as_ref);
        let read: Vec<Result<CheckKey, Refusal>> = request.entries.iter().map(key_of).collect();
        let keys: Vec<CheckKey> = read.iter().flatten().cloned().collect();
        let mut found = self.found(&keys, &request.consistency, rows).await?.into_iter();
        let mut questions = Vec::with_capacity(request.entries.len());
        for (entry, key) in request.entries.iter().zip(read) {
            questions.push(match key {
                Ok(key) => Question::of(call, &key, found.next().ok_or_else(unanswered)?),
                Err(refusal) => own_fault(self.of_permitted(call, &entry.workspace, refusal).await)?,
            });
        }
        self.tell_of_denied(call, &request.entries, &questions).await?;
        let fresh = fresh?;
        for question in questions.iter().flatten() {
            self.ensure_fresh_for(fresh.as_ref(), question.facts.as_deref()).await?;
        }
        let now = self.now();
        let answers = questions.into_iter().map(|question| Ok(self.decided(&question?, now, began)));
        let answers: Vec<Result<AccessAnswer, Refusal>> = answers.collect();
        let checked_at = answers.iter().flatten().map(|answer| answer.checked_at).min().unwrap_or(began);
        let entries = request
            .entries
            .iter()
            .zip(answers)
            .map(|(entry, answer)| BatchEntryAnswer { correlation_id: entry.correlation_id.clone(), answer });
        Ok(BatchAnswer { entries: entries.collect(), checked_at })
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
}

/// Sets an error of the store, which leaves every question open, apart from what is wrong with one question.
fn own_fault(refusal: Result<Refusal, Refusal>) -> Result<Result<Question, Refusal>, Refusal> {
    match refusal {
        Err(refusal) if refusal.cause.is_some() => Err(refusal),
        Ok(refusal) | Err(refusal) => Ok(Err(refusal)),
    }
}

fn unanswered() -> StoreError {
    StoreError::Fault("a check was asked of the store and has no answer".to_owned())
}

/// Reads a question: where it is asked, then all violations at once.
fn key(workspace: &str, subject: &CheckSubject, permission: &str) -> Result<CheckKey, Refusal> {
    let workspace = workspace_ref(workspace)?;
    let mut wrong = Vec::new();
    let permission = field(&mut wrong, "permission", PermissionName::parse(permission));
    let subject = Named::read(subject, &mut wrong).map(|named| match named {
        Named::User(user) => CheckedSubject::User(user),
        Named::Identity(identity) => CheckedSubject::Identity(identity),
    });
    match (permission, subject) {
        (Some(permission), Some(subject)) => Ok(CheckKey { workspace, subject, permission }),
        _ => Err(Refusal::invalid(wrong)),
    }
}

fn key_of(entry: &BatchEntry) -> Result<CheckKey, Refusal> {
    if entry.correlation_id.chars().count() > LONGEST_CORRELATION_ID {
        let said = format!("give at most {LONGEST_CORRELATION_ID} characters");
        return Err(Refusal::invalid(vec![Violation::new("correlation_id", said)]));
    }
    key(&entry.workspace, &entry.subject, &entry.permission)
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
