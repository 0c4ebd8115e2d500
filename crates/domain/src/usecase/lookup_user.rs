//! Search for a person by email or phone (seed steps 2 to 4; M1 to M14).

use std::time::Duration;

use async_trait::async_trait;

use super::api::{Call, LookupReply, LookupUser};
use super::authority::{Right, authorise};
use super::probe::{Probe, Scope};
use super::record::Deed;
use super::resolve::{Candidate, Contacts, Resolution, resolve};
use super::run_tx::{Command, Finish};
use super::service::{Domicile, acting_user, workspace_ref};
use super::token::MatchHandle;
use super::view::masked_match;
use crate::error::{Refusal, Violation};
use crate::model::audit::{AuditAction, AuditRecord, PersonalValue};
use crate::model::budget::BudgetStanding;
use crate::model::contact::ContactKey;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::relationship::Disclosure;
use crate::model::time::Timestamp;
use crate::port::store::UnitOfWork;

/// What it takes to search.
const RIGHTS: [Right; 1] = [Right::Create];
/// How long a match handle serves.
const HANDLE_SERVES: Duration = Duration::from_mins(10);

struct Lookup<'a> {
    domicile: &'a Domicile,
    call: &'a Call,
    request: &'a LookupUser,
    row: AuditRecord,
    now: Timestamp,
    probe: Probe,
}

#[async_trait]
impl Command for Lookup<'_> {
    type Output = LookupReply;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let budget = self.probe.admit(tx).await?;
        let workspace = tx.workspaces().find(&workspace_ref(&self.request.workspace)?).await?;
        let id = workspace.as_ref().map(|w| w.id);
        let host = authorise(tx, &self.domicile.policies, self.call, id, &RIGHTS, self.now).await?.workspace;

        let contacts = self.contacts(host.default_region)?;
        let resolution = resolve(tx, host.id, acting_user(self.call)?, &contacts, self.now).await?;

        let subject = resolution.candidate.as_ref().map(|c| c.user.id);
        let row = AuditRecord {
            workspace: Some(host.id),
            subject,
            outcome: resolution.outcome.as_str().to_owned(),
            ..self.row.clone()
        };
        tx.records().audit(&row, &searched(&contacts, subject)).await?;
        Ok(Finish::Commit(self.reply(host.id, &resolution, budget)?))
    }
}

impl Lookup<'_> {
    fn contacts(&self, region: crate::model::phone::Region) -> Result<Contacts, Refusal> {
        let mut violations = Vec::new();
        if self.request.email.trim().is_empty() && self.request.phone.trim().is_empty() {
            violations.push(Violation::new("email", "give an email address, a phone number or both"));
        }
        let contacts = Contacts::read(
            &*self.domicile.ports.phones,
            region,
            ("email", &self.request.email),
            ("phone", &self.request.phone),
            &mut violations,
        );
        if violations.is_empty() { Ok(contacts) } else { Err(Refusal::invalid(violations)) }
    }

    fn reply(
        &self,
        host: WorkspaceId,
        found: &Resolution,
        budget: Vec<BudgetStanding>,
    ) -> Result<LookupReply, Refusal> {
        let expires_at = self.now.after(HANDLE_SERVES);
        let shown = found.shown();
        let handle = MatchHandle::of(host, acting_user(self.call)?, found, expires_at);
        let member = shown.and_then(|_| found.member_state(self.now));
        Ok(LookupReply {
            outcome: found.outcome,
            matched_by: if shown.is_some() { found.matched_by() } else { Vec::new() },
            display: shown.and_then(|c| self.domicile.display(host, c)),
            member_kind: member.map(|(kind, _)| kind),
            member_state: member.map(|(_, state)| state),
            match_handle: handle.seal(&*self.domicile.ports.sealer)?,
            match_handle_expires_at: expires_at,
            budget,
        })
    }
}

/// What was searched for, as personal values of whom it found.
pub(super) fn searched(contacts: &Contacts, user: Option<UserId>) -> Vec<PersonalValue> {
    let value = |path: &str, key: ContactKey| PersonalValue { user, path: path.to_owned(), value: key.key };
    let email = contacts.email.as_ref().map(|e| value("email", e.into()));
    email.into_iter().chain(contacts.phone.as_ref().map(|p| value("phone", p.into()))).collect()
}

impl Domicile {
    pub(super) async fn lookup(&self, call: &Call, request: &LookupUser) -> Result<LookupReply, Refusal> {
        let deed = Deed { call, action: AuditAction::LookupUser, workspace: &request.workspace, request_id: None };
        match self.search(&deed, request).await {
            Ok(reply) => Ok(reply),
            Err(refusal) => self.refuse(&deed, refusal).await,
        }
    }

    async fn search(&self, deed: &Deed<'_>, request: &LookupUser) -> Result<LookupReply, Refusal> {
        let call = deed.call;
        let probe = self.count_probe(call, Some(&Scope { workspace: &request.workspace, rights: &RIGHTS })).await?;
        let now = self.now();
        let row = deed.row(self, "", now);
        let command = Lookup { domicile: self, call, request, row, now, probe };
        self.runner.run(&command, call.deadline).await
    }

    /// A person of this home by name; others as their home discloses.
    fn display(&self, host: WorkspaceId, candidate: &Candidate) -> Option<String> {
        let person = candidate.user.person.as_ref()?;
        let disclosure = if candidate.user.home == host {
            Disclosure::Full
        } else {
            // A search tells a name only where the home itself discloses it; a relationship widens what members show.
            self.policies.directory.disclosure(&candidate.home)
        };
        Some(masked_match(person, disclosure))
    }
}
