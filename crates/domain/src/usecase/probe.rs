//! Identity probes: calls whose answer depends on whether a contact of others exists. Each costs budgets, refused or not.
//!
//! A probe is counted in a unit of its own ([`Domicile::count_probe`]); the unit of the work begins with
//! [`Probe::admit`], which reads the budgets and refuses. What is refused is, in order: more than the person's budget, more
//! than the service's, where no workspace can be, without the rights, more than the workspace's.

use async_trait::async_trait;

use super::authority::{Right, may};
use super::run_tx::{Command, Finish};
use super::service::{Domicile, acting_user, workspace_ref};
use crate::error::{Reason, Refusal};
use crate::model::actor::Means;
use crate::model::budget::{BudgetKey, BudgetStanding, Budgets, Counter, Usage};
use crate::model::id::{UserId, WorkspaceId};
use crate::model::time::Timestamp;
use crate::model::workspace::WorkspaceRef;
use crate::port::store::UnitOfWork;
use crate::usecase::Call;

/// Where a probe is made, and what it takes there.
pub(super) struct Scope<'a> {
    /// As the caller wrote it.
    pub(super) workspace: &'a str,
    pub(super) rights: &'a [Right],
}

/// A probe that was counted.
pub(super) struct Probe {
    budgets: Budgets,
    now: Timestamp,
    /// How the person's budget stands, where a person acts.
    person: Option<BudgetStanding>,
    service: BudgetKey,
    /// The workspace's, if the person holds the rights there.
    workspace: Option<BudgetKey>,
    /// Why it is not made where it was asked for, whatever the budgets allow.
    barred: Option<Refusal>,
}

/// Counts one probe, and answers how much of the person's budget is used then.
struct Count<'a> {
    /// The person's, counted first. What their budget refuses costs nobody else: one person who asks on and on must not use
    /// up what the others of the workspace and the service share.
    first: Option<Counter>,
    /// Those of the workspace and of the service, the one with the most writers last.
    shared: &'a [Counter],
    budgets: Budgets,
    now: Timestamp,
}

#[async_trait]
impl Command for Count<'_> {
    type Output = Option<Usage>;

    /// A commit of which the answer was lost is made again: at worst one call costs two.
    fn finds_its_own_effect(&self) -> bool {
        true
    }

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let mut own = None;
        if let Some(first) = &self.first {
            let kind = first.key.kind();
            let tallies = tx.budgets().count(std::slice::from_ref(first), self.now).await?;
            let usage = Usage::of(kind, tallies, self.now);
            if BudgetStanding::within(&usage, self.budgets.limit(kind)).is_none() {
                return Ok(Finish::Commit(Some(usage)));
            }
            own = Some(usage);
        }
        tx.budgets().count(self.shared, self.now).await?;
        Ok(Finish::Commit(own))
    }
}

impl Domicile {
    /// Counts a probe, and refuses it if the person's budget is used up.
    ///
    /// The workspace pays only for those who hold the rights, lest anybody could use up its budget from outside. Whether
    /// they do is read before; the unit of the work reads it again (C8). Only somebody who is there has a budget: for a
    /// name that is nobody's the service that gave it pays once more, after the same statements, lest it could make
    /// counters without end.
    pub(super) async fn count_probe(&self, call: &Call, scope: Option<&Scope<'_>>) -> Result<Probe, Refusal> {
        let now = self.now();
        let user = scope.map(|_| acting_user(call)).transpose()?;
        let (held, barred) = match (scope, user) {
            (Some(scope), Some(user)) => match workspace_ref(scope.workspace) {
                Ok(named) => match self.held_in(call, &named, scope.rights, user, now).await? {
                    Some(workspace) => (Some(workspace), None),
                    None => (None, Some(Refusal::new(Reason::PermissionDenied))),
                },
                Err(refusal) => (None, Some(refusal)),
            },
            _ => (None, None),
        };
        let service = BudgetKey::Service(call.actor.service.name.clone());
        let of_service = self.counter(&service);
        let person = match user {
            // Whoever holds rights is there.
            Some(user) if held.is_some() || self.is_somebody(call, user).await? => Some(BudgetKey::User(user)),
            _ => None,
        };
        let first = user.map(|_| person.as_ref().map_or_else(|| of_service.clone(), |key| self.counter(key)));
        let workspace = held.map(BudgetKey::Workspace);
        let shared: Vec<Counter> = workspace.iter().map(|key| self.counter(key)).chain([of_service]).collect();
        let count = Count { first, shared: &shared, budgets: self.budgets, now };
        let own = self.runner.run(&count, call.deadline).await?;
        let person = match person.zip(own) {
            Some((person, usage)) => Some(within(self.budgets, &person, &usage)?),
            None => None,
        };
        Ok(Probe { budgets: self.budgets, now, person, service, workspace, barred })
    }

    /// The workspace, if the person holds the rights there. The number of statements does not depend on what exists.
    async fn held_in(
        &self,
        call: &Call,
        named: &WorkspaceRef,
        rights: &[Right],
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<WorkspaceId>, Refusal> {
        let directory = &self.ports.directory;
        let found = self.runner.read(call.deadline, || directory.workspace(named)).await?;
        let id = found.map_or(WorkspaceId::nil(), |workspace| workspace.id);
        let facts = self.runner.read(call.deadline, || directory.access_facts(id, user)).await?;
        Ok(facts.filter(|facts| may(&self.policies, call, facts, rights, now)).map(|facts| facts.workspace.id))
    }

    /// Whether the acting person is there. A token is bound to somebody who is; a service can name whom it likes.
    async fn is_somebody(&self, call: &Call, user: UserId) -> Result<bool, Refusal> {
        if !matches!(call.actor.user.as_ref().map(|user| &user.means), Some(Means::ActAs(_))) {
            return Ok(true);
        }
        let directory = &self.ports.directory;
        Ok(self.runner.read(call.deadline, || directory.user(user)).await?.is_some())
    }

    fn counter(&self, key: &BudgetKey) -> Counter {
        key.clone().probes(self.ports.ids.chance())
    }
}

impl Probe {
    /// Refuses the probe if a budget is used up or the person lacks the rights, in the same way and after the same work
    /// whether or not the workspace exists. Answers how the budgets stand.
    ///
    /// The unit began after the probe was counted, so of probes that are made at once each sees all that were counted before
    /// it was, and at most as many pass as a budget allows.
    pub(super) async fn admit(&self, tx: &mut dyn UnitOfWork) -> Result<Vec<BudgetStanding>, Refusal> {
        let shared: Vec<BudgetKey> = self.workspace.iter().chain([&self.service]).cloned().collect();
        let tallies = tx.budgets().tallies(&shared).await?;
        let standing = |key: &BudgetKey| {
            let own = tallies.iter().filter(|(of, _)| of == key).map(|(_, tally)| *tally);
            within(self.budgets, key, &Usage::of(key.kind(), own, self.now))
        };
        let service = standing(&self.service)?;
        if let Some(refusal) = &self.barred {
            return Err(refusal.clone());
        }
        let workspace = self.workspace.as_ref().map(standing).transpose()?;
        Ok(self.person.into_iter().chain(workspace).chain([service]).collect())
    }
}

fn within(budgets: Budgets, key: &BudgetKey, usage: &Usage) -> Result<BudgetStanding, Refusal> {
    let limit = budgets.limit(key.kind());
    BudgetStanding::within(usage, limit).ok_or_else(|| Refusal::exhausted(key.clone(), limit, usage.free_after(limit)))
}
