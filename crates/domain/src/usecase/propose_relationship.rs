//! Proposes a relationship to another workspace, which is named or is the home of somebody who was looked up.

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{OtherWorkspace, ProposeRelationship, RelationshipChange, RelationshipEffect, TermsInput};
use super::change::{Authority, Change, Made, Unit};
use super::change_relationship::{again, made, own_terms, relationship_changed, word};
use super::token::MatchHandle;
use crate::error::{Reason, Refusal, Violation};
use crate::model::audit::AuditAction;
use crate::model::id::WorkspaceId;
use crate::model::relationship::{Disclosure, Side, WorkspaceRelationship};
use crate::model::workspace::{Workspace, WorkspaceRef, WorkspaceState};
use crate::port::store::Constraint;

/// Proposes. Tells whether a workspace is there and where a person lives, so it is a probe.
pub(super) struct Propose<'a>(pub(super) &'a ProposeRelationship);

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
            return relationship_changed(unit, Some(&live), &lapsed).await;
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
        ..Refusal::missing("other")
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
