//! What all changes of a workspace have in common, in one place so that none can forget it: the workspace's revision,
//! the right to it, the stored answer, nobody raising themself, a manager who remains, audit, events, the token.
//!
//! A new change is a type with what its caller wrote, for which [`Change`] says what it takes and what it does; it is run
//! by [`Domicile::change`].

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{Call, Changed, Order};
use super::authority::{Right, authorise, is_qualifying_manager};
use super::guard::{self, Managers, Raised, Watched};
use super::input::needed_request_id;
use super::probe::{Probe, Scope};
use super::record::Deed;
use super::replay::Repeatable;
use super::run_tx::{Command, Finish};
use super::service::{Domicile, acting_user, workspace_ref};
use super::token::TouchedRows;
use crate::error::{Reason, Refusal, Violation};
use crate::event::{Event, EventBody};
use crate::model::answer::{ChangeAnswer, StoredAnswer};
use crate::model::audit::{AuditAction, AuditChange, AuditRecord, PersonalValue};
use crate::model::budget::BudgetStanding;
use crate::model::facts::AccessFacts;
use crate::model::id::{EventId, Id, RequestId, UserId, WorkspaceId};
use crate::model::time::{Revision, Timestamp};
use crate::model::workspace::WorkspaceRef;
use crate::port::store::{Constraint, StoreError, UnitOfWork};

/// What a change takes of the acting person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authority {
    /// `update`.
    Update,
    /// A qualifying manager.
    QualifyingManager,
}

impl Authority {
    const fn rights(self) -> &'static [Right] {
        match self {
            Self::Update => &[Right::Update],
            Self::QualifyingManager => &[Right::Create, Right::Update],
        }
    }
}

/// A change of a workspace, as its caller wrote it.
#[async_trait]
pub(super) trait Change: Send + Sync {
    /// What the caller is shown of it.
    type Thing: Send + Sync;
    /// Names it in the record.
    const ACTION: AuditAction;
    /// Who may make it.
    const AUTHORITY: Authority;
    /// The unique rules for which it can race: it is run again, and sees who was first.
    const RACES: &'static [Constraint] = &[];
    /// Whether its answer depends on whether somebody of others exists.
    const IS_PROBE: bool = false;
    /// How many events it writes at most.
    const MOST_EVENTS: usize = 4;

    /// Reads the whole request, looks at what is there, and writes. It may be run again from the start.
    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<Self::Thing>, Refusal>;

    /// What an earlier answer told of, as it is now; absent if it is gone.
    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<Self::Thing>, Refusal>;
}

/// What a change did.
pub(super) struct Made<T> {
    /// What the caller is shown.
    pub(super) thing: T,
    /// Its id, so that a repeated answer finds it.
    pub(super) id: Uuid,
    /// The person it concerns, for the record.
    pub(super) subject: Option<UserId>,
    /// What changed, for the record; none of it personal.
    pub(super) changes: Vec<AuditChange>,
    /// What is personal of it.
    pub(super) personal: Vec<PersonalValue>,
}

impl<T> Made<T> {
    /// A change that concerns nobody in particular.
    pub(super) fn new<K>(thing: T, id: Id<K>, changes: Vec<AuditChange>) -> Self {
        Self { thing, id: id.as_uuid(), subject: None, changes, personal: Vec::new() }
    }
}

/// A workspace in which a change counts.
struct Written {
    workspace: WorkspaceId,
    revision: Revision,
    /// What its record tells, where that is not what the own one tells.
    told: Option<Vec<AuditChange>>,
}

/// The unit of work of a change, with what was found out before it is made.
pub(super) struct Unit<'t> {
    pub(super) tx: &'t mut dyn UnitOfWork,
    pub(super) domicile: &'t Domicile,
    pub(super) call: &'t Call,
    /// The workspace in which the change is made.
    pub(super) workspace: WorkspaceId,
    /// The acting person.
    pub(super) person: UserId,
    /// The acting person in the workspace, read in this unit.
    pub(super) actor: &'t AccessFacts,
    pub(super) now: Timestamp,
    fixed: &'t Fixed,
    /// The workspaces in which the change counts, the own one first.
    written: Vec<Written>,
    /// What the acting person had where the change counts.
    pub(super) watched: Vec<Watched>,
    events: u16,
}

impl Unit<'_> {
    /// The id of what the change makes anew; the same in each attempt.
    pub(super) const fn new_id<K>(&self) -> Id<K> {
        Id::from_uuid(self.fixed.thing)
    }

    /// A list of violations to begin with: what is wrong with every change alike.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut wrong = Vec::new();
        needed_request_id(&mut wrong, self.fixed.request_id);
        wrong
    }

    /// Says that the change counts in another workspace too: its writers wait, its readers learn of it by the token, and
    /// nobody raises themself there either.
    pub(super) async fn also_in(&mut self, other: WorkspaceId) -> Result<(), Refusal> {
        self.counts_in(other, None).await?;
        let facts = self.tx.memberships().access_facts(other, self.person).await?;
        self.watched.extend(facts.map(|facts| Watched::new(&self.domicile.policies, &facts, self.now)));
        Ok(())
    }

    /// The same of a change that grants nothing there, with what the record of that workspace tells of it.
    ///
    /// Whoever takes more than one takes them in the order of their ids, so that two changes which do never wait for each
    /// other in a circle. Only with a change that is made in one of those can there be one: the store breaks it, and the
    /// loser is run again.
    pub(super) async fn told_in(&mut self, other: WorkspaceId, told: Vec<AuditChange>) -> Result<(), Refusal> {
        self.counts_in(other, Some(told)).await
    }

    async fn counts_in(&mut self, other: WorkspaceId, told: Option<Vec<AuditChange>>) -> Result<(), Refusal> {
        let taken = self.tx.workspaces().take_revision(&WorkspaceRef::Id(other)).await?;
        let (workspace, revision) = taken.ok_or_else(|| Refusal::new(Reason::NotFound))?;
        self.written.push(Written { workspace, revision, told });
        Ok(())
    }

    /// Appends an event to the log of the workspace.
    pub(super) async fn event(&mut self, body: EventBody) -> Result<(), Refusal> {
        let own = self.written.first().map(|own| (own.workspace, own.revision));
        let id = self.fixed.events.get(usize::from(self.events)).copied();
        let (Some((workspace, revision)), Some(id)) = (own, id) else {
            let too_many = StoreError::Fault("a change writes more events than it has ids".to_owned());
            return Err(too_many.into());
        };
        let (index, actor) = (self.events, self.call.actor.user_id());
        let event = Event { id, workspace, revision, index, actor, at: self.now, body };
        self.tx.records().event(&event).await?;
        self.events += 1;
        Ok(())
    }
}

/// Ids and the request id, fixed before the first attempt.
struct Fixed {
    request_id: Option<RequestId>,
    thing: Uuid,
    events: Vec<EventId>,
}

struct Run<'a, C> {
    domicile: &'a Domicile,
    call: &'a Call,
    order: &'a Order,
    change: &'a C,
    fixed: Fixed,
    audit: AuditRecord,
    now: Timestamp,
    probe: Option<Probe>,
}

#[async_trait]
impl<C: Change> Command for Run<'_, C> {
    type Output = (Changed<C::Thing>, Vec<BudgetStanding>);

    /// Another was first. What it did is seen by running again.
    fn reruns_on(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Stale | StoreError::Conflict(Constraint::Request) => true,
            StoreError::Conflict(constraint) => C::RACES.contains(constraint),
            _ => false,
        }
    }

    fn finds_its_own_effect(&self) -> bool {
        self.fixed.request_id.is_some()
    }

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let budget = match &self.probe {
            Some(probe) => probe.admit(tx).await?,
            None => Vec::new(),
        };
        Ok(self.work(tx).await?.map(|changed| (changed, budget)))
    }
}

impl<C: Change> Run<'_, C> {
    async fn work(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Changed<C::Thing>>, Refusal> {
        let policies = &self.domicile.policies;
        let taken = tx.workspaces().take_revision(&workspace_ref(&self.order.workspace)?).await?;
        let id = taken.map(|(id, _)| id);
        let actor = authorise(tx, policies, self.call, id, C::AUTHORITY.rights(), self.now).await?;
        let qualifies = is_qualifying_manager(policies, &actor, self.now);
        let Some(own) = taken.filter(|_| qualifies || C::AUTHORITY == Authority::Update) else {
            return Err(Refusal::new(Reason::PermissionDenied));
        };
        let answer = self.repeatable().replay(tx).await?;
        let mut unit = Unit {
            tx: &mut *tx,
            domicile: self.domicile,
            call: self.call,
            workspace: actor.workspace.id,
            person: acting_user(self.call)?,
            actor: &actor,
            now: self.now,
            fixed: &self.fixed,
            written: vec![Written { workspace: own.0, revision: own.1, told: None }],
            watched: vec![Watched::new(policies, &actor, self.now)],
            events: 0,
        };
        if let Some(answer) = answer {
            return self.replayed(&mut unit, answer).await;
        }
        let before = Managers { qualified: qualifies, another: guard::another_manager(&mut unit).await? };
        let made = self.change.make(&mut unit).await?;
        let raised = guard::check(&mut unit, before).await?;
        let Unit { written, .. } = unit;
        self.record(tx, &written, &made, raised).await?;
        let written = written.iter().map(|written| (written.workspace, written.revision)).collect();
        let answer = ChangeAnswer { thing: made.id, written };
        self.repeatable().keep(tx, StoredAnswer::Change(answer.clone()), self.now).await?;
        let changed = self.changed(Some(made.thing), answer, false)?;
        Ok(if self.order.validate_only { Finish::Discard(changed) } else { Finish::Commit(changed) })
    }

    fn repeatable(&self) -> Repeatable<'_> {
        Repeatable {
            call: self.call,
            action: C::ACTION,
            request_id: self.fixed.request_id,
            fingerprint: self.order.request.fingerprint,
        }
    }

    async fn replayed(&self, unit: &mut Unit<'_>, answer: StoredAnswer) -> Result<Finish<Changed<C::Thing>>, Refusal> {
        let StoredAnswer::Change(answer) = answer else {
            return Err(Refusal::new(Reason::RequestIdReused));
        };
        let thing = self.change.again(unit, answer.thing).await?;
        Ok(Finish::Discard(self.changed(thing, answer, true)?))
    }

    /// Sealed in the unit: a change whose answer cannot be given is not made.
    fn changed(
        &self,
        thing: Option<C::Thing>,
        answer: ChangeAnswer,
        replayed: bool,
    ) -> Result<Changed<C::Thing>, Refusal> {
        let token = TouchedRows::new(answer.written).seal(&*self.domicile.ports.sealer)?;
        Ok(Changed { thing, consistency_token: Some(token), replayed, budget: Vec::new() })
    }

    /// In the record of every workspace in which the change counts. Elsewhere than in its own it stands without who made it
    /// and by which call, without what is personal, and under the id of the workspace that reads it.
    async fn record(
        &self,
        tx: &mut dyn UnitOfWork,
        written: &[Written],
        made: &Made<C::Thing>,
        raised: Raised,
    ) -> Result<(), StoreError> {
        let outcome = match raised {
            Raised::Nobody => "done",
            Raised::TheOnlyManager => "self_grant",
        };
        let told = AuditRecord { outcome: outcome.to_owned(), changes: made.changes.clone(), ..self.audit.clone() };
        let mut written = written.iter();
        let own = written.next().map(|own| own.workspace);
        let row = AuditRecord { workspace: own, subject: made.subject, ..told.clone() };
        tx.records().audit(&row, &made.personal).await?;
        for other in written {
            let row = AuditRecord {
                id: self.domicile.new_id(),
                workspace: Some(other.workspace),
                workspace_text: other.workspace.to_string(),
                service: String::new(),
                actor: None,
                request_id: None,
                correlation_id: String::new(),
                outcome: "done".to_owned(),
                changes: other.told.clone().unwrap_or_else(|| told.changes.clone()),
                ..told.clone()
            };
            tx.records().audit(&row, &[]).await?;
        }
        Ok(())
    }
}

impl Domicile {
    /// Makes a change in the workspace that the caller named, or rehearses it, and records it or its refusal.
    pub(super) async fn change<C: Change>(
        &self,
        call: &Call,
        order: &Order,
        change: &C,
    ) -> Result<Changed<C::Thing>, Refusal> {
        let request_id = order.request.id.parse().ok();
        let workspace = order.workspace.as_str();
        let deed = Deed { call, action: C::ACTION, workspace, request_id };
        let probe = if C::IS_PROBE {
            match self.count_probe(call, Some(&Scope { workspace, rights: C::AUTHORITY.rights() })).await {
                Ok(probe) => Some(probe),
                Err(refusal) => return self.refuse(&deed, refusal).await,
            }
        } else {
            None
        };
        let now = self.now();
        let events = std::iter::repeat_with(|| self.new_id()).take(C::MOST_EVENTS).collect();
        let fixed = Fixed { request_id, thing: self.ports.ids.uuid(), events };
        let audit = deed.row(self, "", now);
        let run = Run { domicile: self, call, order, change, fixed, audit, now, probe };
        let (changed, budget) = match self.runner.run(&run, call.deadline).await {
            Ok(done) => done,
            Err(refusal) => return self.refuse(&deed, refusal).await,
        };
        if order.validate_only {
            self.record_alone(&deed, "rehearsed", Vec::new()).await?;
            return Ok(Changed { consistency_token: None, budget, ..changed });
        }
        Ok(Changed { budget, ..changed })
    }
}
