//! The audit row of a refusal or a rehearsal, in a unit of its own.

use async_trait::async_trait;

use super::run_tx::{Command, Finish};
use super::service::{Domicile, workspace_ref};
use crate::error::Refusal;
use crate::model::audit::{AuditAction, AuditRecord, PersonalValue};
use crate::model::budget::{BudgetKey, Counter};
use crate::model::id::{RequestId, WorkspaceId};
use crate::model::time::Timestamp;
use crate::model::workspace::WorkspaceRef;
use crate::port::store::UnitOfWork;
use crate::usecase::Call;

/// What is being recorded.
pub(super) struct Deed<'a> {
    pub(super) call: &'a Call,
    pub(super) action: AuditAction,
    /// As the caller wrote it.
    pub(super) workspace: &'a str,
    pub(super) request_id: Option<RequestId>,
}

impl Deed<'_> {
    /// The row, for the view of `workspace`.
    pub(super) fn row(&self, domicile: &Domicile, outcome: &str, now: Timestamp) -> AuditRecord {
        AuditRecord {
            id: domicile.new_id(),
            workspace: None,
            workspace_text: self.workspace.chars().take(64).collect(),
            service: self.call.actor.service.name.clone(),
            actor: self.call.actor.user_id(),
            action: self.action,
            outcome: outcome.to_owned(),
            subject: None,
            request_id: self.request_id,
            correlation_id: self.call.correlation_id.clone(),
            surface: self.call.surface.to_owned(),
            changes: Vec::new(),
            at: now,
        }
    }
}

/// Writes one row, whether or not the workspace exists, with the same statements.
struct RecordAlone<'a> {
    row: AuditRecord,
    workspace: &'a str,
    personal: Vec<PersonalValue>,
    /// Of what this counter counts, the first in a period is written and no other.
    first_of: Option<Counter>,
}

#[async_trait]
impl Command for RecordAlone<'_> {
    /// Whether the row was written.
    type Output = bool;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<bool>, Refusal> {
        if let Some(counter) = &self.first_of {
            let tallies = tx.budgets().count(std::slice::from_ref(counter), self.row.at).await?;
            if tallies.iter().any(|tally| tally.count > 1) {
                return Ok(Finish::Discard(false));
            }
        }
        // What can name none is looked for all the same.
        let named = workspace_ref(self.workspace).unwrap_or(WorkspaceRef::Id(WorkspaceId::nil()));
        let named = tx.workspaces().find(&named).await?;
        // What was not created has no view. The handle may be that of another workspace, which has no part in this.
        let viewed = named.filter(|_| self.row.action != AuditAction::CreateWorkspace);
        let row = AuditRecord { workspace: viewed.map(|w| w.id), ..self.row.clone() };
        tx.records().audit(&row, &self.personal).await?;
        Ok(Finish::Commit(true))
    }
}

impl Domicile {
    /// Records what did not change anything. An answer that cannot be recorded is not given.
    pub(super) async fn record_alone(
        &self,
        deed: &Deed<'_>,
        outcome: &str,
        personal: Vec<PersonalValue>,
    ) -> Result<(), Refusal> {
        let row = deed.row(self, outcome, self.now());
        let command = RecordAlone { row, workspace: deed.workspace, personal, first_of: None };
        self.runner.run(&command, deed.call.deadline).await.map(|_| ())
    }

    /// Records the first in a period of what a counter counts, with a row that says more. A stranger must not fill the
    /// record, however often they come.
    pub(super) async fn record_first(
        &self,
        deed: &Deed<'_>,
        row: AuditRecord,
        personal: Vec<PersonalValue>,
        of: Counter,
    ) -> Result<(), Refusal> {
        let command = RecordAlone { row, workspace: deed.workspace, personal, first_of: Some(of) };
        self.runner.run(&command, deed.call.deadline).await.map(|_| ())
    }

    /// Records a refusal and hands it on. Errors of the store are logged with their cause instead: nothing was decided.
    /// Of the refusals that one budget causes the first in each of its periods is recorded: a flood must not fill the record.
    pub(super) async fn refuse<T>(&self, deed: &Deed<'_>, refusal: Refusal) -> Result<T, Refusal> {
        if refusal.cause.is_none() {
            let row = deed.row(self, refusal.reason.as_str(), self.now());
            let first_of = refusal.budget.clone().map(BudgetKey::refusals);
            let command = RecordAlone { row, workspace: deed.workspace, personal: Vec::new(), first_of };
            let recorded = self.runner.run(&command, deed.call.deadline).await?;
            if let Some(budget) = refusal.budget.as_ref().filter(|_| recorded) {
                let (kind, service) = (budget.kind().as_str(), deed.call.actor.service.name.as_str());
                let id = deed.call.correlation_id.as_str();
                tracing::warn!(budget = kind, service, request.id = id, "a budget of identity probes is used up");
            }
        }
        Err(refusal)
    }
}
