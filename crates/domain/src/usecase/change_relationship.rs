//! Proposes, answers, changes, suspends and ends relationships of two workspaces. Each change counts in both of them: the
//! two wait for each other, and both know of it at once.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{
    ApproveRelationship, MemberEffect, NamedRelationship, OtherWorkspace, ProposeRelationship, RelationshipChange,
    RelationshipEffect, TermsInput, UpdateRelationship,
};
use super::change::{Authority, Change, Made, Unit};
use super::input::{field, needed_etag, same_etag};
use super::read_relationship::relationship_view;
use super::relationship_terms::{self as terms, ReadTerms, TermsField};
use super::token::MatchHandle;
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::audit::AuditAction;
use crate::model::facts::AccessFacts;
use crate::model::id::{RelationshipId, UserId, WorkspaceId};
use crate::model::relationship::{Disclosure, RelationshipMoveError, RelationshipState, Side, WorkspaceRelationship};
use crate::model::time::Timestamp;
use crate::model::workspace::{Workspace, WorkspaceRef, WorkspaceState};
use crate::policy::access::effective;
use crate::port::directory::RelationshipRow;
use crate::port::store::Constraint;

/// Proposes. Tells whether a workspace is there and where a person lives, so it is a probe.
pub(super) struct Propose<'a>(pub(super) &'a ProposeRelationship);

/// Changes the own side's terms.
pub(super) struct Update<'a>(pub(super) &'a UpdateRelationship);

/// Says yes. Only the person themself can.
pub(super) struct Approve<'a>(pub(super) &'a ApproveRelationship);

/// A move that takes nothing but the relationship.
pub(super) struct Moved<'a, M> {
    named: &'a NamedRelationship,
    which: PhantomData<M>,
}

impl<'a, M> Moved<'a, M> {
    pub(super) const fn of(named: &'a NamedRelationship) -> Self {
        Self { named, which: PhantomData }
    }
}

/// What such a move does.
pub(super) trait Move: Send + Sync {
    const ACTION: AuditAction;

    fn make(
        relationship: &mut WorkspaceRelationship,
        side: Side,
        by: UserId,
        now: Timestamp,
    ) -> Result<(), RelationshipMoveError>;
}

macro_rules! moves {
    ($($(#[$doc:meta])* $name:ident: $action:ident, |$relationship:ident, $side:ident, $by:ident, $now:ident| $make:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Move for $name {
            const ACTION: AuditAction = AuditAction::$action;

            fn make(
                $relationship: &mut WorkspaceRelationship,
                $side: Side,
                $by: UserId,
                $now: Timestamp,
            ) -> Result<(), RelationshipMoveError> {
                $make
            }
        }
    )*};
}

moves! {
    /// Says no.
    Decline: DeclineRelationship, |relationship, side, by, now| relationship.decline(by, side, now);
    /// Takes all access away that it admits.
    Suspend: SuspendRelationship, |relationship, side, _by, _now| relationship.suspend(side);
    /// Takes that back.
    Resume: ResumeRelationship, |relationship, side, _by, _now| relationship.resume(side);
    /// Ends it for good.
    End: EndRelationship, |relationship, side, _by, now| relationship.end(side, now);
}

#[async_trait]
impl Change for Propose<'_> {
    type Thing = RelationshipChange;
    const ACTION: AuditAction = AuditAction::ProposeRelationship;
    const AUTHORITY: Authority = Authority::QualifyingManager;
    const RACES: &'static [Constraint] = &[Constraint::Relationship];
    const IS_PROBE: bool = true;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<RelationshipChange>, Refusal> {
        let mut wrong = unit.violations();
        let own = own_terms(unit, self.0.terms.as_ref(), &mut wrong).await?;
        self.check_other(&mut wrong);
        let Some(own) = own.filter(|_| wrong.is_empty()) else {
            return Err(Refusal::invalid(wrong));
        };
        let Other { workspace: other, withheld } = self.other(unit).await?;
        if other.id == unit.workspace {
            let said = "a workspace has no relationship with itself; name another one";
            return Err(Refusal::invalid(vec![Violation::new(self.other_field(), said)]));
        }
        let terms = own.allowed()?;
        let side = terms.side();
        unit.also_in(other.id).await?;
        let pair = match side {
            Side::Host => (unit.workspace, other.id),
            Side::Home => (other.id, unit.workspace),
        };
        self.make_room(unit, pair, side).await?;
        let id = unit.new_id();
        let mut proposed = WorkspaceRelationship::propose(id, pair, terms, unit.person, unit.now);
        proposed.home_withheld = withheld;
        unit.tx.relationships().insert(&proposed).await?;
        made(unit, None, proposed, RelationshipEffect::default()).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<RelationshipChange>, Refusal> {
        again(unit, thing).await
    }
}

/// To whom a relationship is proposed.
struct Other {
    workspace: Workspace,
    /// Whether the caller may not know which workspace it is.
    withheld: bool,
}

impl Propose<'_> {
    fn check_other(&self, wrong: &mut Vec<Violation>) {
        let said = match (&self.0.other, &self.0.terms) {
            (None, _) => "name the other workspace by id or handle, or give the match handle of a lookup",
            (Some(OtherWorkspace::Named(text)), _) if text.parse::<WorkspaceRef>().is_err() => {
                "name the other workspace by id or handle"
            }
            (Some(OtherWorkspace::HomeOfMatch(token)), _) if token.is_empty() => "give the match handle of a lookup",
            (Some(OtherWorkspace::HomeOfMatch(_)), Some(TermsInput::Home(_))) => {
                "the workspace that looked somebody up is the host of that person; give `host_terms`"
            }
            _ => return,
        };
        wrong.push(Violation::new(self.other_field(), said));
    }

    const fn other_field(&self) -> &'static str {
        match self.0.other {
            Some(OtherWorkspace::HomeOfMatch(_)) => "match_handle",
            Some(OtherWorkspace::Named(_)) | None => "other",
        }
    }

    /// The other workspace. One that is not there is answered like one that is not in use.
    async fn other(&self, unit: &mut Unit<'_>) -> Result<Other, Refusal> {
        let usable = |workspace: &Workspace| workspace.state == WorkspaceState::Active;
        let (named, person) = match &self.0.other {
            Some(OtherWorkspace::HomeOfMatch(token)) => (WorkspaceRef::Id(home_of_match(unit, token).await?), true),
            Some(OtherWorkspace::Named(text)) => (text.parse().map_err(|_| not_there())?, false),
            None => return Err(Refusal::new(Reason::NotFound)),
        };
        let found = unit.tx.workspaces().find(&named).await?.filter(usable);
        match found {
            Some(workspace) => {
                let told = unit.domicile.policies.directory.disclosure(&workspace) == Disclosure::Full;
                Ok(Other { withheld: person && workspace.id != unit.workspace && !told, workspace })
            }
            None if person => Err(Refusal::new(Reason::NotLinkable)),
            None => Err(not_there()),
        }
    }

    /// At most one is proposed or active. A proposal that lapsed stands in nobody's way: it is put aside.
    async fn make_room(
        &self,
        unit: &mut Unit<'_>,
        (host, home): (WorkspaceId, WorkspaceId),
        side: Side,
    ) -> Result<(), Refusal> {
        let Some(live) = unit.tx.relationships().find(host, home).await? else { return Ok(()) };
        if live.is_lapsed(unit.now) {
            let mut lapsed = live.clone();
            lapsed.lapse();
            unit.tx.relationships().update(&lapsed, live.version).await?;
            return tell(unit, Some(&live), &lapsed).await;
        }
        let refusal = Refusal::new(Reason::RelationshipExists);
        // By a person the caller would learn whose home it is.
        let by_name = matches!(self.0.other, Some(OtherWorkspace::Named(_))) && live.shows_other_to(side);
        Err(if by_name { refusal.with("relationship", live.id).with("state", word(live.state)) } else { refusal })
    }
}

fn not_there() -> Refusal {
    Refusal {
        message: "No workspace in use has that id or handle. Check it with the other side.".to_owned(),
        ..Refusal::new(Reason::NotFound).with("field", "other")
    }
}

/// The home of whoever the own lookup of the caller showed.
async fn home_of_match(unit: &mut Unit<'_>, token: &str) -> Result<WorkspaceId, Refusal> {
    let sealer = &*unit.domicile.ports.sealer;
    let handle = MatchHandle::of_save(sealer, token, unit.workspace, unit.call, unit.now)?;
    let found = handle.filter(|handle| !handle.is_miss()).map(|handle| handle.found);
    let Some(found) = found else {
        let wrong =
            Violation::new("match_handle", "that lookup showed nobody; look up somebody whose home it is to be");
        return Err(Refusal { violations: vec![wrong], ..Refusal::new(Reason::MatchHandleInvalid) });
    };
    let person = unit.tx.users().find(found).await?;
    person.map(|person| person.home).ok_or_else(|| Refusal::new(Reason::MatchHandleStale))
}

#[async_trait]
impl Change for Update<'_> {
    type Thing = RelationshipChange;
    const ACTION: AuditAction = AuditAction::UpdateRelationship;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<RelationshipChange>, Refusal> {
        let mut wrong = unit.violations();
        let found = found(unit, &self.0.named, &mut wrong).await?;
        let fields = terms::mask(&self.0.paths, &mut wrong);
        let own = match found.as_ref().map(|(_, side)| *side) {
            Some(Side::Host) => Some(TermsInput::Host(self.0.host_terms.clone())),
            Some(Side::Home) => Some(TermsInput::Home(self.0.home_terms.clone())),
            None => None,
        };
        let read = match own {
            Some(input) => Some(terms::read(unit, &input, Some(&fields), &mut wrong).await?),
            None => None,
        };
        let (current, side) = current(found, &self.0.named, wrong)?;
        others(&fields, side)?;
        let own = read.ok_or_else(|| Refusal::new(Reason::NotFound))?.allowed()?;
        let mut changed = current.clone();
        changed
            .change_terms(terms::with(&current, own, &fields), unit.now)
            .map_err(|error| refused(error, &current, unit.now))?;
        store(unit, side, current, changed).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<RelationshipChange>, Refusal> {
        again(unit, thing).await
    }
}

/// A field of the other side refuses the whole update, and every one is named.
fn others(fields: &[TermsField], side: Side) -> Result<(), Refusal> {
    let paths: Vec<&str> = fields.iter().filter(|field| field.side() != side).map(|field| field.path()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let named = paths.join(", ");
    let mut refusal = Refusal::new(Reason::OtherSidesField).with("fields", &named);
    refusal.message = format!("The other workspace decides {named}. Nothing was changed; ask it to change its part.");
    Err(refusal)
}

#[async_trait]
impl Change for Approve<'_> {
    type Thing = RelationshipChange;
    const ACTION: AuditAction = AuditAction::ApproveRelationship;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<RelationshipChange>, Refusal> {
        let mut wrong = unit.violations();
        let found = found(unit, &self.0.named, &mut wrong).await?;
        let own = match (&self.0.terms, found.as_ref().map(|(_, side)| *side)) {
            (Some(TermsInput::Home(_)), Some(Side::Host)) => {
                wrong.push(Violation::new("home_terms", "your workspace is the host; give `host_terms`"));
                None
            }
            (Some(TermsInput::Host(_)), Some(Side::Home)) => {
                wrong.push(Violation::new("host_terms", "your workspace is the home; give `home_terms`"));
                None
            }
            (terms, _) => own_terms(unit, terms.as_ref(), &mut wrong).await?,
        };
        let (current, side) = current(found, &self.0.named, wrong)?;
        let terms = own.ok_or_else(|| Refusal::new(Reason::NotFound))?.allowed()?;
        let mut changed = current.clone();
        changed.approve(unit.person, terms, unit.now).map_err(|error| refused(error, &current, unit.now))?;
        store(unit, side, current, changed).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<RelationshipChange>, Refusal> {
        again(unit, thing).await
    }
}

#[async_trait]
impl<M: Move> Change for Moved<'_, M> {
    type Thing = RelationshipChange;
    const ACTION: AuditAction = M::ACTION;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<RelationshipChange>, Refusal> {
        let mut wrong = unit.violations();
        let found = found(unit, self.named, &mut wrong).await?;
        let (current, side) = current(found, self.named, wrong)?;
        let mut changed = current.clone();
        M::make(&mut changed, side, unit.person, unit.now).map_err(|error| refused(error, &current, unit.now))?;
        store(unit, side, current, changed).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<RelationshipChange>, Refusal> {
        again(unit, thing).await
    }
}

/// Reads the terms of the own side, which are needed.
async fn own_terms(
    unit: &mut Unit<'_>,
    input: Option<&TermsInput>,
    wrong: &mut Vec<Violation>,
) -> Result<Option<ReadTerms>, Refusal> {
    let Some(input) = input else {
        let said =
            "give `host_terms` if your workspace admits people of the other, `home_terms` if it is the other way";
        wrong.push(Violation::new("terms", said));
        return Ok(None);
    };
    terms::read(unit, input, None, wrong).await.map(Some)
}

/// A relationship, and which side of it the workspace is.
type Found = (WorkspaceRelationship, Side);

/// The relationship that is named, as it is. One of others looks like none. It changes under the revisions of both
/// workspaces alone, so that the own one keeps it as it is read.
async fn found(
    unit: &mut Unit<'_>,
    named: &NamedRelationship,
    wrong: &mut Vec<Violation>,
) -> Result<Option<Found>, Refusal> {
    needed_etag(wrong, &named.etag);
    let Some(id) = field(wrong, "relationship", named.relationship.parse()) else { return Ok(None) };
    let found = unit.tx.relationships().by_id(id).await?;
    Ok(found.and_then(|found| found.side_of(unit.workspace).map(|side| (found, side))))
}

/// The relationship, once the whole request is right, and it is still as the caller read it.
fn current(found: Option<Found>, named: &NamedRelationship, wrong: Vec<Violation>) -> Result<Found, Refusal> {
    if !wrong.is_empty() {
        return Err(Refusal::invalid(wrong));
    }
    let (found, side) = found.ok_or_else(|| Refusal::new(Reason::NotFound))?;
    same_etag(&named.etag, found.id, found.version)?;
    Ok((found, side))
}

/// A move that cannot be made, in the words of the model, with the state that it found.
fn refused(error: RelationshipMoveError, current: &WorkspaceRelationship, now: Timestamp) -> Refusal {
    let reason = match error {
        RelationshipMoveError::SamePerson => Reason::AnotherPersonRequired,
        RelationshipMoveError::OtherSideAnswers => Reason::OtherSidesField,
        RelationshipMoveError::NotProposed
        | RelationshipMoveError::Lapsed
        | RelationshipMoveError::Unanswered
        | RelationshipMoveError::NotActive
        | RelationshipMoveError::Over => Reason::RelationshipState,
    };
    let state = word(current.state_at(now));
    Refusal { message: format!("This relationship is {state}: {error}."), ..Refusal::new(reason) }.with("state", state)
}

/// The word of the contract.
const fn word(state: RelationshipState) -> &'static str {
    match state {
        RelationshipState::Proposed => "PROPOSED",
        RelationshipState::Active => "ACTIVE",
        RelationshipState::Declined => "DECLINED",
        RelationshipState::Lapsed => "LAPSED",
        RelationshipState::Ended => "ENDED",
    }
}

/// Writes what a move changed, with what it does to people.
async fn store(
    unit: &mut Unit<'_>,
    side: Side,
    current: WorkspaceRelationship,
    changed: WorkspaceRelationship,
) -> Result<Made<RelationshipChange>, Refusal> {
    unit.also_in(current.workspace_of(side.other())).await?;
    let before = unit.tx.relationships().agreed(current.host, current.home).await?;
    if changed != current {
        unit.tx.relationships().update(&changed, current.version).await?;
    }
    let after = unit.tx.relationships().agreed(current.host, current.home).await?;
    let effect = effect(unit, &changed, before, after).await?;
    made(unit, Some(&current), changed, effect).await
}

/// How many people are looked at in one read.
const AT_ONCE: u32 = 500;

/// What the change does to each External of the home, decided as every check decides it.
async fn effect(
    unit: &mut Unit<'_>,
    of: &WorkspaceRelationship,
    before: Option<WorkspaceRelationship>,
    after: Option<WorkspaceRelationship>,
) -> Result<RelationshipEffect, Refusal> {
    let mut told = RelationshipEffect::default();
    let (before, after) = (before.map(Arc::new), after.map(Arc::new));
    let policies = &unit.domicile.policies;
    let mut last = UserId::nil();
    loop {
        let page = unit.tx.memberships().externals(of.host, of.home, last, AT_ONCE).await?;
        for facts in &page {
            let under = |relationship: &Option<Arc<WorkspaceRelationship>>| {
                let facts = AccessFacts { relationship: relationship.clone(), ..facts.clone() };
                effective(policies, &facts, unit.now)
            };
            let Some(user) = facts.account.as_ref().map(|account| account.user) else { continue };
            last = user;
            told.externals += 1;
            let (had, has) = (under(&before), under(&after));
            if had != has {
                told.affected += 1;
                if told.members.len() < RelationshipEffect::MOST_NAMED {
                    let gains = has.difference(&had).cloned().collect();
                    let loses = had.difference(&has).cloned().collect();
                    told.members.push(MemberEffect { user, gains, loses });
                }
            }
        }
        if page.len() < AT_ONCE as usize {
            return Ok(told);
        }
    }
}

/// Appends the event, unless nothing changed.
async fn tell(
    unit: &mut Unit<'_>,
    before: Option<&WorkspaceRelationship>,
    after: &WorkspaceRelationship,
) -> Result<(), Refusal> {
    let paths: Vec<String> = terms::changes(before, after).into_iter().map(|change| change.path).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let own = after.side_of(unit.workspace);
    let shown = own.is_some_and(|side| after.shows_other_to(side));
    unit.event(EventBody::RelationshipChanged {
        relationship: after.id,
        host: after.host,
        home: shown.then_some(after.home),
        before: before.map(|before| before.state),
        after: after.state,
        paths,
    })
    .await
}

async fn made(
    unit: &mut Unit<'_>,
    before: Option<&WorkspaceRelationship>,
    after: WorkspaceRelationship,
    effect: RelationshipEffect,
) -> Result<Made<RelationshipChange>, Refusal> {
    tell(unit, before, &after).await?;
    let (id, changes) = (after.id, terms::changes(before, &after));
    let view = view(unit, after).await?;
    let view = view.ok_or_else(|| Refusal::new(Reason::NotFound))?;
    Ok(Made::new(RelationshipChange { view, effect: Some(effect) }, id, changes))
}

async fn again(unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<RelationshipChange>, Refusal> {
    let Some(found) = unit.tx.relationships().by_id(RelationshipId::from_uuid(thing)).await? else {
        return Ok(None);
    };
    Ok(view(unit, found).await?.map(|view| RelationshipChange { view, effect: None }))
}

/// The relationship as the caller's side sees it.
async fn view(
    unit: &mut Unit<'_>,
    relationship: WorkspaceRelationship,
) -> Result<Option<super::api::RelationshipView>, Refusal> {
    let host = unit.tx.workspaces().find(&WorkspaceRef::Id(relationship.host)).await?;
    let home = unit.tx.workspaces().find(&WorkspaceRef::Id(relationship.home)).await?;
    let mut roles = unit.tx.roles().of_workspace(relationship.host).await?;
    roles.retain(|role| relationship.host_terms.ceiling.roles.contains(&role.id));
    let side = relationship.side_of(unit.workspace);
    let (Some(host), Some(home), Some(side)) = (host, home, side) else { return Ok(None) };
    let row = RelationshipRow { relationship, host, home, roles };
    Ok(Some(relationship_view(row, side, unit.now)))
}
