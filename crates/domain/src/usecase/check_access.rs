//! May this person do that there? (seed "Access Rights") One question, or many as of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::api::{
    AccessAnswer, BatchAnswer, BatchCheckAccess, BatchEntry, BatchEntryAnswer, Call, CheckAccess, CheckSubject,
};
use super::input::field;
use super::record::Deed;
use super::service::{Domicile, workspace_ref};
use super::token::{ensure_facts_fresh, freshness};
use crate::error::{Reason, Refusal, Violation};
use crate::model::actor::ServiceScope;
use crate::model::audit::AuditAction;
use crate::model::facts::AccessFacts;
use crate::model::id::UserId;
use crate::model::membership::Membership;
use crate::model::permission::{Permission, PermissionName};
use crate::model::time::Timestamp;
use crate::model::user::{Identity, parse_issuer, parse_subject};
use crate::model::workspace::{Workspace, WorkspaceRef};
use crate::policy::access::Denial;
use crate::port::directory::{CheckFacts, CheckKey, CheckedSubject, Freshness};
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
    let wrong = Violation::new("permission", "no service registered that permission; check the spelling");
    let refusal = Refusal::new(Reason::UnknownPermission).with("permission", permission);
    Refusal { violations: vec![wrong], ..refusal }
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
        if !self.may_be_answered(call, &workspace_ref(&request.workspace)?).await? {
            return Err(Refusal::new(Reason::PermissionDenied));
        }
        let began = self.now();
        let fresh = freshness(&*self.ports.sealer, &request.consistency)?;
        let key = key(&request.workspace, &request.subject, &request.permission)?;
        let found = self.found(std::slice::from_ref(&key), &fresh).await?.pop();
        let question = Question::of(call, &key, found.ok_or_else(unanswered)?)?;
        self.ensure_fresh_for(&fresh, question.facts.as_deref()).await?;
        Ok(self.decided(&question, self.now(), began))
    }

    /// What decides some checks, in the same order and as of one moment.
    async fn found(&self, keys: &[CheckKey], fresh: &Freshness) -> Result<Vec<CheckFacts>, Refusal> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.ports.directory.check_facts(keys, fresh).await?;
        if found.len() == keys.len() { Ok(found) } else { Err(unanswered().into()) }
    }

    /// Whether the service may ask about the workspace. Whoever may not ask everywhere is held to their scope before
    /// anything is read of what they ask: a refusal costs the same whether or not there is such a workspace. One that the
    /// scope lists by this very name need not be looked up.
    async fn may_be_answered(&self, call: &Call, named: &WorkspaceRef) -> Result<bool, StoreError> {
        let scope = &ServiceScope::AccessCheck;
        if may_check(call, None, scope) || call.actor.service.lists(scope, named) && call.actor.reaches_listed(named) {
            return Ok(true);
        }
        let found = self.ports.directory.workspace(named).await?;
        Ok(may_check(call, found.as_ref(), scope))
    }

    /// The same of each question of a batch; each workspace is looked up once.
    async fn may_each_be_answered(
        &self,
        call: &Call,
        entries: &[BatchEntry],
    ) -> Result<Vec<Result<(), Refusal>>, StoreError> {
        let mut known: BTreeMap<&str, Result<(), Refusal>> = BTreeMap::new();
        let mut answered = Vec::with_capacity(entries.len());
        for entry in entries {
            let workspace = entry.workspace.as_str();
            let may = match known.get(workspace) {
                Some(may) => may.clone(),
                None => match workspace_ref(workspace) {
                    Ok(named) if self.may_be_answered(call, &named).await? => Ok(()),
                    Ok(_) => Err(Refusal::new(Reason::PermissionDenied)),
                    Err(refusal) => Err(refusal),
                },
            };
            known.insert(workspace, may.clone());
            answered.push(may);
        }
        Ok(answered)
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
    pub(super) async fn ensure_fresh_for(&self, fresh: &Freshness, facts: Option<&AccessFacts>) -> Result<(), Refusal> {
        let Freshness::AtLeast(rows) = fresh else { return Ok(()) };
        if let Some(facts) = facts {
            ensure_facts_fresh(fresh, facts)?;
            if facts.account.is_some() {
                return Ok(());
            }
        }
        for (workspace, revision) in rows {
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
        let may = self.may_each_be_answered(call, &request.entries).await?;
        // Who asks what they may not is told of before a token that is none.
        let fresh = freshness(&*self.ports.sealer, &request.consistency);
        let asked = request.entries.iter().zip(may);
        let read: Vec<Result<CheckKey, Refusal>> = asked.map(|(entry, may)| may.and_then(|()| key_of(entry))).collect();
        let keys: Vec<CheckKey> = read.iter().flatten().cloned().collect();
        let mut found = self.found(&keys, fresh.as_ref().unwrap_or(&Freshness::Bounded)).await?.into_iter();
        let mut questions = Vec::with_capacity(request.entries.len());
        for key in read {
            questions.push(match key {
                Ok(key) => Question::of(call, &key, found.next().ok_or_else(unanswered)?),
                Err(refusal) => Err(refusal),
            });
        }
        self.tell_of_denied(call, &request.entries, &questions).await?;
        let fresh = fresh?;
        for question in questions.iter().flatten() {
            self.ensure_fresh_for(&fresh, question.facts.as_deref()).await?;
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
