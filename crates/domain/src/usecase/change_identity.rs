//! Binds an identity to a person of the home, or takes one away. Who is bound is signed in as the person from then on, so
//! this is governance: a qualifying manager does it, and nobody binds one to their own account.

use async_trait::async_trait;

use super::api::{Account, Call, ChangeIdentity, ChangeIdentityReply};
use super::authority::{Right, authorise_qualifying};
use super::identify::bound;
use super::input::field;
use super::probe::{Probe, Scope};
use super::record::Deed;
use super::replay::Repeatable;
use super::run_tx::{Command, Finish};
use super::service::{Domicile, workspace_ref};
use super::token::TouchedRows;
use crate::error::{Reason, Refusal, Violation};
use crate::event::{Event, EventBody};
use crate::model::answer::{ChangeIdentityAnswer, StoredAnswer};
use crate::model::audit::{AuditAction, AuditChange, AuditRecord, PersonalValue};
use crate::model::budget::BudgetStanding;
use crate::model::id::{EventId, RequestId, UserId, WorkspaceId};
use crate::model::membership::{InternalMembership, Membership};
use crate::model::time::{Revision, Timestamp};
use crate::model::user::{Identity, User, UserState, parse_issuer, parse_subject};
use crate::port::store::{Constraint, StoreError, UnitOfWork};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Bind,
    Unbind,
}

impl Move {
    const fn action(self) -> AuditAction {
        match self {
            Self::Bind => AuditAction::BindIdentity,
            Self::Unbind => AuditAction::UnbindIdentity,
        }
    }

    /// What the record tells of it. The subject is personal and stands apart.
    fn changes(self, identity: &Identity) -> Vec<AuditChange> {
        match self {
            Self::Bind => bound(identity, "MANAGER").to_vec(),
            Self::Unbind => {
                vec![AuditChange { path: "identities".to_owned(), before: Some(identity.issuer.clone()), after: None }]
            }
        }
    }
}

struct Change<'a> {
    domicile: &'a Domicile,
    call: &'a Call,
    request: &'a ChangeIdentity,
    way: Move,
    request_id: Option<RequestId>,
    audit: AuditRecord,
    event: EventId,
    now: Timestamp,
    /// To bind tells whether somebody has the identity; to take one away tells nothing of others.
    probe: Option<Probe>,
}

struct Changed {
    account: Option<Account>,
    consistency_token: String,
    replayed: bool,
}

/// A person of the workspace whose home it is.
struct AtHome {
    user: User,
    membership: InternalMembership,
}

#[async_trait]
impl Command for Change<'_> {
    type Output = (Changed, Vec<BudgetStanding>);

    /// Another was first with the identity or the request, or the account changed between reading and writing.
    fn reruns_on(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Stale | StoreError::Conflict(Constraint::Identity | Constraint::Request))
    }

    fn finds_its_own_effect(&self) -> bool {
        self.request_id.is_some()
    }

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Self::Output>, Refusal> {
        let budget = match &self.probe {
            Some(probe) => probe.admit(tx).await?,
            None => Vec::new(),
        };
        Ok(self.work(tx).await?.map(|changed| (changed, budget)))
    }
}

impl Change<'_> {
    async fn work(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Changed>, Refusal> {
        let taken = tx.workspaces().take_revision(&workspace_ref(&self.request.workspace)).await?;
        let id = taken.map(|(id, _)| id);
        let home = authorise_qualifying(tx, &self.domicile.policies, self.call, id, self.now).await?.workspace;
        let Some((_, revision)) = taken else {
            return Err(Refusal::new(Reason::PermissionDenied));
        };
        if let Some(answer) = self.repeatable().replay(tx).await? {
            return self.replayed(tx, &answer).await;
        }
        let (person, identity) = self.read()?;
        let person = at_home(tx, home.id, person).await?;
        self.check(tx, &person.user, &identity).await?;
        let changed = self.write(tx, person, &identity, revision).await?;
        Ok(if self.request.validate_only { Finish::Discard(changed) } else { Finish::Commit(changed) })
    }

    fn repeatable(&self) -> Repeatable<'_> {
        Repeatable {
            call: self.call,
            action: self.way.action(),
            request_id: self.request_id,
            fingerprint: self.request.request.fingerprint,
        }
    }

    async fn replayed(&self, tx: &mut dyn UnitOfWork, answer: &StoredAnswer) -> Result<Finish<Changed>, Refusal> {
        let StoredAnswer::ChangeIdentity(answer) = answer else {
            return Err(Refusal::new(Reason::RequestIdReused));
        };
        let user = tx.users().find(answer.user).await?.filter(|user| user.home == answer.workspace);
        let account = match user {
            Some(user) => Some(Account { identities: tx.users().identities(user.id).await?, user }),
            None => None,
        };
        Ok(Finish::Discard(Changed { account, consistency_token: self.consistency_token(answer)?, replayed: true }))
    }

    /// Sealed in the unit: a change whose answer cannot be given is not made.
    fn consistency_token(&self, answer: &ChangeIdentityAnswer) -> Result<String, Refusal> {
        let rows = TouchedRows {
            workspace: answer.workspace,
            revision: answer.revision,
            membership: answer.membership,
            membership_version: answer.membership_version,
        };
        rows.seal(&*self.domicile.ports.sealer)
    }

    /// Reads the whole request; all violations at once.
    fn read(&self) -> Result<(UserId, Identity), Refusal> {
        let ChangeIdentity { user, identity, .. } = self.request;
        let mut wrong = Vec::new();
        if self.request_id.is_none() {
            wrong.push(Violation::new("request_id", "give a new UUID for each change; the same one repeats it safely"));
        }
        let user = field(&mut wrong, "user", user.parse());
        let issuer = field(&mut wrong, "identity.issuer", parse_issuer(&identity.issuer));
        let subject = field(&mut wrong, "identity.subject", parse_subject(&identity.subject));
        match (user, issuer, subject) {
            (Some(user), Some(issuer), Some(subject)) if wrong.is_empty() => Ok((user, Identity { issuer, subject })),
            _ => Err(Refusal::invalid(wrong)),
        }
    }

    async fn check(&self, tx: &mut dyn UnitOfWork, user: &User, identity: &Identity) -> Result<(), Refusal> {
        let bound = tx.users().identities(user.id).await?;
        match self.way {
            Move::Bind => self.check_binding(tx, user, identity, &bound).await,
            Move::Unbind if bound.contains(identity) => Ok(()),
            Move::Unbind => Err(Refusal::new(Reason::NotFound).with("field", "identity")),
        }
    }

    async fn check_binding(
        &self,
        tx: &mut dyn UnitOfWork,
        user: &User,
        identity: &Identity,
        bound: &[Identity],
    ) -> Result<(), Refusal> {
        // A second way in outlives the session, the service or the grant by which the first one was used.
        if Some(user.id) == self.call.actor.user_id() {
            return Err(Refusal::new(Reason::AnotherPersonRequired));
        }
        // Whose it is stays with their home.
        if tx.users().identity_owner(identity).await?.is_some() {
            return Err(Refusal::new(Reason::IdentityTaken));
        }
        if bound.len() >= Identity::MOST { Err(Refusal::new(Reason::TooManyIdentities)) } else { Ok(()) }
    }

    async fn write(
        &self,
        tx: &mut dyn UnitOfWork,
        AtHome { user, membership }: AtHome,
        identity: &Identity,
        revision: Revision,
    ) -> Result<Changed, Refusal> {
        tx.users().count_change(user.id, user.version, self.now).await?;
        match self.way {
            Move::Bind => tx.users().bind_identity(user.id, identity, self.now).await?,
            Move::Unbind => tx.users().unbind_identity(user.id, identity).await?,
        }
        let row = AuditRecord {
            workspace: Some(user.home),
            subject: Some(user.id),
            outcome: "done".to_owned(),
            changes: self.way.changes(identity),
            ..self.audit.clone()
        };
        let path = "identity.subject".to_owned();
        let subject = PersonalValue { user: Some(user.id), path, value: identity.subject.clone() };
        tx.records().audit(&row, &[subject]).await?;
        let event = Event {
            id: self.event,
            workspace: user.home,
            revision,
            index: 0,
            actor: self.call.actor.user_id(),
            at: self.now,
            body: EventBody::UserChanged { user: user.id, paths: vec!["identities".to_owned()] },
        };
        tx.records().event(&event).await?;
        let answer = ChangeIdentityAnswer {
            workspace: user.home,
            user: user.id,
            membership: membership.base.id,
            membership_version: membership.base.version,
            revision,
        };
        self.repeatable().keep(tx, StoredAnswer::ChangeIdentity(answer.clone()), self.now).await?;
        let identities = tx.users().identities(user.id).await?;
        let user = User { version: user.version.next(), updated_at: self.now, ..user };
        Ok(Changed {
            account: Some(Account { user, identities }),
            consistency_token: self.consistency_token(&answer)?,
            replayed: false,
        })
    }
}

/// The person of a home. Of those who are External here the home is elsewhere, and a tombstone is nobody.
async fn at_home(tx: &mut dyn UnitOfWork, home: WorkspaceId, person: UserId) -> Result<AtHome, Refusal> {
    let membership = match tx.memberships().find(home, person).await? {
        Some(Membership::Internal(membership)) => membership,
        Some(Membership::External(_)) => return Err(Refusal::new(Reason::HomeOwnedField)),
        None => return Err(Refusal::new(Reason::NotFound)),
    };
    let user = tx.users().find(person).await?.filter(|user| user.state != UserState::Erased);
    user.map(|user| AtHome { user, membership }).ok_or_else(|| Refusal::new(Reason::NotFound))
}

impl Domicile {
    pub(super) async fn change_identity(
        &self,
        call: &Call,
        request: &ChangeIdentity,
        way: Move,
    ) -> Result<ChangeIdentityReply, Refusal> {
        let request_id = request.request.id.parse().ok();
        let deed = Deed { call, action: way.action(), workspace: &request.workspace, request_id };
        let (changed, budget) = match self.change(&deed, request, way).await {
            Ok(changed) => changed,
            Err(refusal) => return self.refuse(&deed, refusal).await,
        };
        if request.validate_only {
            self.record_alone(&deed, "rehearsed", Vec::new()).await?;
            return Ok(ChangeIdentityReply {
                account: None,
                consistency_token: None,
                replayed: changed.replayed,
                budget,
            });
        }
        Ok(ChangeIdentityReply {
            account: changed.account,
            consistency_token: Some(changed.consistency_token),
            replayed: changed.replayed,
            budget,
        })
    }

    async fn change(
        &self,
        deed: &Deed<'_>,
        request: &ChangeIdentity,
        way: Move,
    ) -> Result<(Changed, Vec<BudgetStanding>), Refusal> {
        let Deed { call, request_id, .. } = *deed;
        let scope = Scope { workspace: &request.workspace, rights: &[Right::Create, Right::Update] };
        let probe = match way {
            Move::Bind => Some(self.count_probe(call, Some(&scope)).await?),
            Move::Unbind => None,
        };
        let now = self.now();
        let audit = deed.row(self, "", now);
        let command =
            Change { domicile: self, call, request, way, request_id, audit, event: self.new_id(), now, probe };
        self.runner.run(&command, call.deadline).await
    }
}
