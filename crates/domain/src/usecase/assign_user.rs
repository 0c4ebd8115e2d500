//! The save: create or link, give roles, tell; one call, one transaction (seed steps 3 to 6).

use async_trait::async_trait;

use super::api::{AssignReply, AssignUser, Call, Expectation};
use super::authority::{Right, authorise, is_qualifying_manager};
use super::enrol::{EventLog, Fixed, Newcomer, NoticeOf};
use super::grant::{Regrant, check_ceiling, check_governance, handles, names};
use super::input::typed_profile_fields;
use super::lookup_user::searched;
use super::probe::{Probe, Scope};
use super::read_assignment::{Read, Reading};
use super::record::Deed;
use super::replay::{Repeatable, replayed_row};
use super::resolve::{Candidate, Contacts, Resolution, resolve};
use super::run_tx::{Command, Finish};
use super::service::{Domicile, acting_user, workspace_ref};
use super::token::{MatchHandle, TouchedRows};
use super::view::{Viewer, member_view};
use crate::error::{Reason, Refusal, Violation};
use crate::model::answer::{AssignAnswer, AssignOutcome, StoredAnswer};
use crate::model::audit::{AuditAction, AuditChange, AuditRecord};
use crate::model::budget::BudgetStanding;
use crate::model::facts::AccessFacts;
use crate::model::id::RequestId;
use crate::model::membership::{EndReason, ExternalMembership, ExternalState, Grants, Membership, MembershipBase};
use crate::model::notice::NoticeKind;
use crate::model::relationship::WorkspaceRelationship;
use crate::model::role::Role;
use crate::model::time::{Revision, Timestamp, Version};
use crate::model::workspace::Workspace;
use crate::policy::resolver::LookupOutcome;
use crate::port::directory::MemberRow;
use crate::port::store::{Constraint, StoreError, UnitOfWork};

/// What it takes to save.
const RIGHTS: [Right; 2] = [Right::Create, Right::Update];

/// What the unit leaves for the reply.
struct Saved {
    answer: AssignAnswer,
    outcome: AssignOutcome,
    row: Option<MemberRow>,
    discarded: Vec<String>,
    consistency_token: String,
    replayed: bool,
}

struct Assign<'a> {
    domicile: &'a Domicile,
    call: &'a Call,
    request: &'a AssignUser,
    request_id: Option<RequestId>,
    audit: AuditRecord,
    fixed: Fixed,
    probe: Probe,
}

/// What the steps of one attempt share.
struct Attempt<'a> {
    actor: &'a AccessFacts,
    roles: &'a [Role],
    revision: Revision,
    read: &'a Read,
    handle: Option<MatchHandle>,
    found: Resolution,
}

#[async_trait]
impl Command for Assign<'_> {
    type Output = (Saved, Vec<BudgetStanding>);

    /// Lost races on who was first resolve again: the winner is found then (C1, C2, C3, C13). So does a person whose
    /// account changed between reading and linking (C4).
    fn reruns_on(&self, error: &StoreError) -> bool {
        matches!(
            error,
            StoreError::Stale
                | StoreError::Conflict(
                    Constraint::ContactKey | Constraint::Membership | Constraint::Username | Constraint::Request
                )
        )
    }

    fn refusal(&self, error: StoreError) -> Refusal {
        match error {
            StoreError::Conflict(Constraint::ExternalId) => Refusal::new(Reason::ExternalIdTaken),
            other => other.into(),
        }
    }

    fn finds_its_own_effect(&self) -> bool {
        self.request_id.is_some()
    }

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let budget = self.probe.admit(tx).await?;
        Ok(self.work(tx).await?.map(|saved| (saved, budget)))
    }
}

impl Assign<'_> {
    async fn work(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Saved>, Refusal> {
        let reference = workspace_ref(&self.request.workspace)?;
        let taken = tx.workspaces().take_revision(&reference).await?;
        let id = taken.map(|(id, _)| id);
        let actor = authorise(tx, &self.domicile.policies, self.call, id, &RIGHTS, self.fixed.now).await?;
        let Some((_, revision)) = taken else {
            return Err(Refusal::new(Reason::PermissionDenied));
        };

        if let Some(answer) = self.repeatable().replay(tx).await? {
            return self.replayed(tx, answer).await;
        }
        let roles = tx.roles().of_workspace(actor.workspace.id).await?;
        let phones = &*self.domicile.ports.phones;
        let reading = Reading { phones, host: &actor.workspace, roles: &roles, now: self.fixed.now };
        let read = Read::of(self.request, tx, &reading).await?;
        let handle = self.match_handle(&actor.workspace)?;
        let found = resolve(tx, actor.workspace.id, acting_user(self.call)?, &read.contacts, self.fixed.now).await?;
        let attempt = Attempt { actor: &actor, roles: &roles, revision, read: &read, handle, found };
        let saved = self.save(tx, &attempt).await?;
        if self.request.validate_only {
            return Ok(Finish::Discard(saved));
        }
        Ok(Finish::Commit(saved))
    }

    fn repeatable(&self) -> Repeatable<'_> {
        Repeatable {
            call: self.call,
            action: AuditAction::AssignUser,
            request_id: self.request_id,
            fingerprint: self.request.request.fingerprint,
        }
    }

    async fn replayed(&self, tx: &mut dyn UnitOfWork, answer: StoredAnswer) -> Result<Finish<Saved>, Refusal> {
        let StoredAnswer::AssignUser(answer) = answer else {
            return Err(Refusal::new(Reason::RequestIdReused));
        };
        let row = replayed_row(tx, answer.workspace, answer.user, answer.membership).await?;
        Ok(Finish::Discard(Saved {
            outcome: answer.outcome,
            row,
            discarded: answer.discarded_fields.clone(),
            consistency_token: self.consistency_token(&answer)?,
            answer,
            replayed: true,
        }))
    }

    fn told(&self) -> bool {
        self.request.notify == Some(true)
    }

    fn match_handle(&self, host: &Workspace) -> Result<Option<MatchHandle>, Refusal> {
        let sealer = &*self.domicile.ports.sealer;
        MatchHandle::of_save(sealer, &self.request.match_handle, host.id, self.call, self.fixed.now)
    }

    /// Sealed in the unit: a save whose answer cannot be given is not made.
    fn consistency_token(&self, answer: &AssignAnswer) -> Result<String, Refusal> {
        TouchedRows::new(vec![(answer.workspace, answer.revision)]).seal(&*self.domicile.ports.sealer)
    }

    async fn save(&self, tx: &mut dyn UnitOfWork, at: &Attempt<'_>) -> Result<Saved, Refusal> {
        use LookupOutcome::{FormerMember, Found, NotFound};
        match (at.found.outcome, at.read.expectation) {
            (NotFound, Expectation::Link) => Err(Refusal::new(Reason::NoAccount)),
            (NotFound, Expectation::Create | Expectation::Either) => self.create(tx, at).await,
            (Found, Expectation::Create) => Err(Refusal::new(Reason::ExpectationFailed)),
            (Found, _) | (FormerMember, Expectation::Link | Expectation::Either) => match &at.found.candidate {
                Some(candidate) => self.link(tx, at, candidate).await,
                None => Err(Refusal::new(Reason::NotLinkable)),
            },
            (outcome, _) => Err(self.refused_outcome(outcome, &at.found)),
        }
    }

    fn refused_outcome(&self, outcome: LookupOutcome, found: &Resolution) -> Refusal {
        let reason = match outcome {
            LookupOutcome::AlreadyMember => Reason::AlreadyMember,
            LookupOutcome::MemberSuspended => Reason::MemberSuspended,
            LookupOutcome::MemberPending => Reason::MemberPending,
            LookupOutcome::FormerMember => Reason::FormerMember,
            LookupOutcome::HomeUserInactive => Reason::HomeUserInactive,
            LookupOutcome::RelationshipRequired => Reason::RelationshipRequired,
            LookupOutcome::ContactReserved => Reason::ContactReserved,
            LookupOutcome::ConflictingMatch => Reason::ConflictingMatch,
            LookupOutcome::Found => Reason::ExpectationFailed,
            LookupOutcome::NotFound => Reason::NoAccount,
            LookupOutcome::NotLinkable => Reason::NotLinkable,
        };
        let refusal = Refusal::new(reason);
        match found.member_state(self.fixed.now) {
            Some((kind, state)) if outcome.shows_match() => refusal
                .with("kind", format!("{kind:?}").to_uppercase())
                .with("state", format!("{state:?}").to_uppercase()),
            _ => refusal,
        }
    }

    async fn create(&self, tx: &mut dyn UnitOfWork, at: &Attempt<'_>) -> Result<Saved, Refusal> {
        // A lookup of a miss stays good while nobody is there; one that showed somebody does not.
        if at.handle.is_some_and(|handle| !handle.is_miss()) {
            return Err(Refusal::new(Reason::MatchHandleStale));
        }
        let profile = at.read.profile.clone().map_err(Refusal::invalid)?;
        let Some(email) = at.read.contacts.email.clone() else {
            return Err(Refusal::new(Reason::NoAccount));
        };
        let home = &at.actor.workspace;
        if tx.users().username_taken(home.id, profile.username.match_key()).await? {
            return Err(Refusal::new(Reason::UsernameTaken).with("field", "profile.username"));
        }
        self.check_governance(at, &at.read.internal)?;
        let newcomer = Newcomer {
            profile,
            email,
            phone: at.read.contacts.phone.clone(),
            in_own_domain: at.found.own_domain,
            grants: at.read.internal.clone(),
            external_id: at.read.external_id.clone(),
        };
        let mut log = EventLog::new(home.id, at.revision, self.call.actor.user_id(), &self.fixed);
        let (user, membership) = self.domicile.create_internal(tx, home.id, &newcomer, &self.fixed, &mut log).await?;
        let done = Done {
            outcome: AssignOutcome::CreatedInternal,
            notice: self.told().then_some(NoticeKind::Onboarding),
            discarded: Vec::new(),
            row: MemberRow { membership, user, home: None, relationship: None },
        };
        self.finish(tx, at, home, done).await
    }

    async fn link(&self, tx: &mut dyn UnitOfWork, at: &Attempt<'_>, candidate: &Candidate) -> Result<Saved, Refusal> {
        // EITHER links on an email match only; a match by phone alone needs LINK with the handle of a lookup.
        let by_phone_alone = at.found.email.is_none();
        if by_phone_alone && (at.read.expectation != Expectation::Link || at.handle.is_none()) {
            return Err(Refusal::new(Reason::MatchHandleRequired));
        }
        // EITHER after a miss links whom the save itself finds by email. Every other handle must name who is linked.
        let after_miss = |handle: &MatchHandle| at.read.expectation == Expectation::Either && handle.is_miss();
        if at.handle.is_some_and(|handle| !after_miss(&handle) && !handle.still_holds(&at.found)) {
            return Err(Refusal::new(Reason::MatchHandleStale));
        }
        if !self.told() {
            return Err(Refusal::new(Reason::NotifyRequired));
        }
        let host = &at.actor.workspace;
        self.check_governance(at, &at.read.external)?;
        check_ceiling(&self.domicile.policies, &candidate.facts, at.roles, &at.read.external)?;
        // Suspending or ending a relationship takes access away. What its terms ask of a membership stays asked.
        let agreed = |r: &&WorkspaceRelationship| r.was_agreed();
        let relationship = candidate.facts.relationship.as_deref().filter(agreed);
        let expires_at = self.expiry(relationship)?;

        tx.users().hold(candidate.user.id, candidate.user.version).await?;
        let mut log = EventLog::new(host.id, at.revision, self.call.actor.user_id(), &self.fixed);
        let swept = match candidate.facts.membership.clone() {
            Some(stale) => self.domicile.end_stale(tx, stale, &self.fixed, &mut log).await?,
            None => None,
        };
        let last_end = swept.or(candidate.last_ended.as_ref().map(|ended| ended.reason));
        let pending = needs_acceptance(host, &candidate.home, relationship, last_end);
        let membership = Membership::External(ExternalMembership {
            base: MembershipBase {
                id: self.fixed.membership,
                user: candidate.user.id,
                workspace: host.id,
                grants: at.read.external.clone(),
                assigned_by: self.call.actor.user_id(),
                assigned_at: self.fixed.now,
                external_id: at.read.external_id.clone(),
                version: Version::FIRST,
            },
            state: if pending { ExternalState::Pending } else { ExternalState::Active },
            language: at.read.language.clone(),
            expires_at,
            sponsor: None,
            typed_contact: typed_contact(&at.read.contacts, &at.found),
        });
        tx.memberships().insert(&membership).await?;
        log.began(tx, &membership).await?;
        let (outcome, notice) = if pending {
            (AssignOutcome::LinkPending, NoticeKind::AccessRequested)
        } else {
            (AssignOutcome::LinkedExternal, NoticeKind::AccessGranted)
        };
        let done = Done {
            outcome,
            notice: Some(notice),
            discarded: self.discarded(&at.found),
            row: MemberRow {
                membership,
                user: candidate.user.clone(),
                home: Some(candidate.home.clone()),
                relationship: candidate.facts.relationship.as_deref().cloned(),
            },
        };
        self.finish(tx, at, &candidate.home, done).await
    }

    /// Linking never edits a person: what was typed of one is reported as not used.
    fn discarded(&self, found: &Resolution) -> Vec<String> {
        let mut fields = typed_profile_fields("profile", &self.request.profile);
        if found.email.is_none() && !self.request.email.trim().is_empty() {
            fields.push("email".to_owned());
        }
        if found.phone.is_none() && !self.request.phone.trim().is_empty() {
            fields.push("phone".to_owned());
        }
        fields
    }

    /// Whether the acting person may grant that: all of it is new.
    fn check_governance(&self, at: &Attempt<'_>, grants: &Grants) -> Result<(), Refusal> {
        let nothing = Grants::default();
        let regrant = Regrant { roles: at.roles, before: &nothing, after: grants, own: false };
        check_governance(&regrant, is_qualifying_manager(&self.domicile.policies, at.actor, self.fixed.now))
    }

    /// The end of the membership: the relationship may limit how long one lasts.
    fn expiry(&self, relationship: Option<&WorkspaceRelationship>) -> Result<Option<Timestamp>, Refusal> {
        let asked = self.request.external.expires_at;
        let latest =
            relationship.and_then(|r| r.host_terms.longest_membership).map(|longest| self.fixed.now.after(longest));
        match (asked, latest) {
            (Some(asked), Some(latest)) if asked > latest => Err(Refusal::invalid(vec![Violation::new(
                "external.expire_time",
                "the relationship with that home does not let a membership last so long",
            )])),
            (asked, latest) => Ok(asked.or(latest)),
        }
    }

    async fn finish(
        &self,
        tx: &mut dyn UnitOfWork,
        at: &Attempt<'_>,
        home: &Workspace,
        done: Done,
    ) -> Result<Saved, Refusal> {
        let host = &at.actor.workspace;
        let base = done.row.membership.base();
        let notice = match (done.notice, &done.row.user.person) {
            (Some(kind), Some(person)) => {
                let of = NoticeOf {
                    kind,
                    workspace: host.id,
                    home,
                    membership: &done.row.membership,
                    person,
                    actor: self.call.actor.user_id(),
                };
                Some(self.domicile.queue_notice(tx, of, &self.fixed).await?)
            }
            _ => None,
        };
        let answer = AssignAnswer {
            outcome: done.outcome,
            workspace: host.id,
            user: base.user,
            membership: base.id,
            kind: done.row.membership.kind(),
            membership_version: base.version,
            notice,
            discarded_fields: done.discarded.clone(),
            revision: at.revision,
        };
        let row = AuditRecord {
            workspace: Some(host.id),
            subject: Some(base.user),
            outcome: "done".to_owned(),
            changes: changes(&done, at.roles),
            ..self.audit.clone()
        };
        tx.records().audit(&row, &searched(&at.read.contacts, Some(base.user))).await?;
        self.repeatable().keep(tx, StoredAnswer::AssignUser(answer.clone()), self.fixed.now).await?;
        Ok(Saved {
            consistency_token: self.consistency_token(&answer)?,
            answer,
            outcome: done.outcome,
            row: Some(done.row),
            discarded: done.discarded,
            replayed: false,
        })
    }
}

/// What a branch of the save did, before message, audit and answer.
struct Done {
    outcome: AssignOutcome,
    notice: Option<NoticeKind>,
    discarded: Vec<String>,
    row: MemberRow,
}

/// Off by default; the host, the home or their relationship may ask for it, and so does how the last membership ended.
fn needs_acceptance(
    host: &Workspace,
    home: &Workspace,
    relationship: Option<&WorkspaceRelationship>,
    last_end: Option<EndReason>,
) -> bool {
    host.policy.acceptance_as_host
        || home.policy.acceptance_as_home
        || relationship.is_some_and(|r| r.host_terms.acceptance || r.home_terms.acceptance)
        || last_end.is_some_and(EndReason::asks_next_time)
}

/// The contact by which the person was found, as the host typed it.
fn typed_contact(contacts: &Contacts, found: &Resolution) -> Option<String> {
    let email = found.email.and(contacts.email.as_ref()).map(ToString::to_string);
    email.or_else(|| found.phone.and(contacts.phone.as_ref()).map(ToString::to_string))
}

fn changes(done: &Done, roles: &[Role]) -> Vec<AuditChange> {
    let base = done.row.membership.base();
    let change = |path: &str, after: String| AuditChange { path: path.to_owned(), before: None, after: Some(after) };
    vec![
        change("membership.kind", format!("{:?}", done.row.membership.kind()).to_uppercase()),
        change("membership.roles", handles(&base.grants.roles, roles)),
        change("membership.permissions", names(&base.grants.permissions)),
    ]
}

impl Domicile {
    pub(super) async fn assign(&self, call: &Call, request: &AssignUser) -> Result<AssignReply, Refusal> {
        let request_id = request.request.id.parse().ok();
        let deed = Deed { call, action: AuditAction::AssignUser, workspace: &request.workspace, request_id };
        match self.save(&deed, request).await {
            Ok((saved, budget)) => self.assign_reply(&deed, request, saved, budget).await,
            Err(refusal) => self.refuse(&deed, refusal).await,
        }
    }

    async fn save(&self, deed: &Deed<'_>, request: &AssignUser) -> Result<(Saved, Vec<BudgetStanding>), Refusal> {
        let Deed { call, request_id, .. } = *deed;
        let probe = self.count_probe(call, Some(&Scope { workspace: &request.workspace, rights: &RIGHTS })).await?;
        let fixed = Fixed::new(self);
        let audit = deed.row(self, "", fixed.now);
        let command = Assign { domicile: self, call, request, request_id, audit, fixed, probe };
        self.runner.run(&command, call.deadline).await
    }

    async fn assign_reply(
        &self,
        deed: &Deed<'_>,
        request: &AssignUser,
        saved: Saved,
        budget: Vec<BudgetStanding>,
    ) -> Result<AssignReply, Refusal> {
        let reply = AssignReply {
            outcome: saved.outcome,
            member: None,
            notice: None,
            discarded_fields: saved.discarded,
            consistency_token: None,
            replayed: saved.replayed,
            budget,
        };
        if request.validate_only {
            self.record_alone(deed, "rehearsed", Vec::new()).await?;
            return Ok(reply);
        }
        let now = self.now();
        Ok(AssignReply {
            member: saved.row.map(|row| member_view(&self.policies, row, Viewer::Manager, now)),
            notice: saved.answer.notice,
            consistency_token: Some(saved.consistency_token),
            ..reply
        })
    }
}
