//! Whose call it is: from what credentials prove to a user of the system. An identity is bound by an AccessManager of the
//! home, or here, at first sight, where its issuer is trusted for that home and vouches for the user's email.

use async_trait::async_trait;

use super::api::{Arrival, Call};
use super::record::Deed;
use super::run_tx::{Command, Finish};
use super::service::Domicile;
use super::token::fingerprint;
use crate::error::{Reason, Refusal};
use crate::event::{Event, EventBody};
use crate::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal};
use crate::model::audit::{AuditAction, AuditChange, AuditRecord, PersonalValue};
use crate::model::budget::BudgetKey;
use crate::model::contact::{ContactKey, ContactOwner, ContactStanding};
use crate::model::email::EmailAddress;
use crate::model::id::{EventId, UserId, WorkspaceId};
use crate::model::time::{Revision, Timestamp};
use crate::model::user::{Identity, User, UserState};
use crate::model::workspace::{Workspace, WorkspaceRef, WorkspaceState};
use crate::port::authenticator::{Caller, PersonClaim};
use crate::port::store::{Constraint, StoreError, UnitOfWork};

/// How an identity was bound, in the record's word.
const FIRST_SIGHT: &str = "FIRST_SIGHT";

/// Why an identity stays unbound. It stands in the audit record and nowhere else: whoever shows the identity must not
/// learn from the answer whether there is an account with the email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unbound {
    IssuerNotTrusted,
    EmailNotVerified,
    Malformed,
    NoAccount,
    IssuerNotTrustedForHome,
    HomeUnavailable,
    AccountUnavailable,
    AnotherSubjectBound,
    TooManyIdentities,
}

impl Unbound {
    /// The word of the audit record.
    const fn as_str(self) -> &'static str {
        match self {
            Self::IssuerNotTrusted => "ISSUER_NOT_TRUSTED",
            Self::EmailNotVerified => "EMAIL_NOT_VERIFIED",
            Self::Malformed => "MALFORMED",
            Self::NoAccount => "NO_ACCOUNT",
            Self::IssuerNotTrustedForHome => "ISSUER_NOT_TRUSTED_FOR_HOME",
            Self::HomeUnavailable => "HOME_UNAVAILABLE",
            Self::AccountUnavailable => "ACCOUNT_UNAVAILABLE",
            Self::AnotherSubjectBound => "ANOTHER_SUBJECT_BOUND",
            Self::TooManyIdentities => "TOO_MANY_IDENTITIES",
        }
    }
}

/// An identity that is bound to nobody, with what its issuer says and is trusted to say.
struct Stranger<'a> {
    identity: &'a Identity,
    verified_email: Option<&'a EmailAddress>,
    trusted_for: Option<&'a ScopeReach>,
}

impl Stranger<'_> {
    /// Whether the account is the stranger's, as the trusted issuer says, and nothing speaks against binding.
    fn check(&self, user: &User, home: &Workspace, bound: &[Identity]) -> Result<(), Unbound> {
        let same_issuer = |other: &Identity| other.issuer == self.identity.issuer;
        if !self.is_trusted_for(home) {
            Err(Unbound::IssuerNotTrustedForHome)
        } else if home.state != WorkspaceState::Active {
            Err(Unbound::HomeUnavailable)
        } else if user.state != UserState::Active {
            Err(Unbound::AccountUnavailable)
        } else if bound.iter().any(same_issuer) {
            // Whoever comes to hold the address at the issuer would take the account over.
            Err(Unbound::AnotherSubjectBound)
        } else if bound.len() >= Identity::MOST {
            Err(Unbound::TooManyIdentities)
        } else {
            Ok(())
        }
    }

    fn is_trusted_for(&self, home: &Workspace) -> bool {
        self.trusted_for.is_some_and(|reach| reach.covers(home))
    }
}

/// What became of a stranger.
enum Sight {
    /// Bound to this user, now or by another call meanwhile.
    Bound(UserId),
    /// Not bound. The account is named where the issuer is trusted for its home, which may know then.
    Unbound { why: Unbound, account: Option<(UserId, WorkspaceId)> },
}

struct FirstSight<'a> {
    stranger: &'a Stranger<'a>,
    email: &'a EmailAddress,
    row: AuditRecord,
    event: EventId,
    now: Timestamp,
}

#[async_trait]
impl Command for FirstSight<'_> {
    type Output = Sight;

    /// Another call was first to bind the identity, or the account changed between reading and binding.
    fn reruns_on(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Conflict(Constraint::Identity) | StoreError::Stale)
    }

    fn finds_its_own_effect(&self) -> bool {
        true
    }

    /// The statements are the same whether or not somebody has the email, until something is bound. The revision of the
    /// home is taken before its people's identities are read: two strangers of one issuer cannot both be the first.
    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Sight>, Refusal> {
        if let Some(user) = tx.users().identity_owner(self.stranger.identity).await? {
            return Ok(Finish::Discard(Sight::Bound(user)));
        }
        let owner = match tx.users().contact_owner(&ContactKey::from(self.email), self.now).await? {
            Some(ContactOwner::User { user, .. }) => user,
            Some(ContactOwner::Held { .. }) | None => UserId::nil(),
        };
        let user = tx.users().find(owner).await?;
        let home = WorkspaceRef::Id(user.as_ref().map_or(WorkspaceId::nil(), |user| user.home));
        let taken = tx.workspaces().take_revision(&home).await?;
        let home = tx.workspaces().find(&home).await?;
        let bound = tx.users().identities(owner).await?;
        let (Some(user), Some(home), Some((_, revision))) = (user, home, taken) else {
            return Ok(Finish::Discard(Sight::Unbound { why: Unbound::NoAccount, account: None }));
        };
        // Another call may have bound it while this one waited for the revision.
        if bound.contains(self.stranger.identity) {
            return Ok(Finish::Discard(Sight::Bound(user.id)));
        }
        if let Err(why) = self.stranger.check(&user, &home, &bound) {
            let account = self.stranger.is_trusted_for(&home).then_some((user.id, home.id));
            return Ok(Finish::Discard(Sight::Unbound { why, account }));
        }
        self.bind(tx, &user, revision).await?;
        Ok(Finish::Commit(Sight::Bound(user.id)))
    }
}

impl FirstSight<'_> {
    async fn bind(&self, tx: &mut dyn UnitOfWork, user: &User, revision: Revision) -> Result<(), StoreError> {
        let identity = self.stranger.identity;
        tx.users().count_change(user.id, user.version, self.now).await?;
        tx.users().bind_identity(user.id, identity, self.now).await?;
        let mut changes = bound(identity, FIRST_SIGHT).to_vec();
        let mut paths = vec!["identities".to_owned()];
        let asserted = |person: &crate::model::user::Person| person.email.standing == ContactStanding::Asserted;
        if user.person.as_ref().is_some_and(asserted) {
            tx.users().verify_contact(user.id, &ContactKey::from(self.email), self.now).await?;
            changes.push(AuditChange {
                path: "email.standing".to_owned(),
                before: Some("ASSERTED".to_owned()),
                after: Some("VERIFIED".to_owned()),
            });
            paths.push("email.standing".to_owned());
        }
        let row = AuditRecord {
            workspace: Some(user.home),
            actor: Some(user.id),
            subject: Some(user.id),
            outcome: "done".to_owned(),
            changes,
            ..self.row.clone()
        };
        tx.records().audit(&row, &shown(self.stranger, Some(user.id))).await?;
        let event = Event {
            id: self.event,
            workspace: user.home,
            revision,
            index: 0,
            actor: Some(user.id),
            at: self.now,
            body: EventBody::UserChanged { user: user.id, paths },
        };
        tx.records().event(&event).await
    }
}

/// What the record tells of a new identity: its issuer, and how it was bound. The subject is personal.
pub(super) fn bound(identity: &Identity, how: &str) -> [AuditChange; 2] {
    let change =
        |path: &str, after: &str| AuditChange { path: path.to_owned(), before: None, after: Some(after.to_owned()) };
    [change("identities", &identity.issuer), change("identities.how", how)]
}

/// What the stranger showed, as personal values. The subject of somebody who has no account is not kept: no erasing
/// would find it.
fn shown(stranger: &Stranger<'_>, user: Option<UserId>) -> Vec<PersonalValue> {
    let value = |path: &str, value: &str| PersonalValue { user, path: path.to_owned(), value: value.to_owned() };
    let email = stranger.verified_email.map(|email| value("email", email.match_key()));
    let subject = user.map(|_| value("identity.subject", &stranger.identity.subject));
    email.into_iter().chain(subject).collect()
}

/// The call as it comes to the door: of the service alone.
fn call_at_the_door(service: ServicePrincipal, arrival: &Arrival) -> Call {
    Call {
        actor: Actor::service(service),
        deadline: arrival.deadline,
        correlation_id: arrival.correlation_id.clone(),
        surface: arrival.surface,
    }
}

impl Domicile {
    pub(super) async fn actor_of(&self, caller: Caller, arrival: &Arrival) -> Result<Actor, Refusal> {
        let Caller { service, person } = caller;
        let user = match person {
            None => None,
            // No grant reaches so far. An authenticator that says otherwise is not believed.
            Some(PersonClaim::Named { user, .. }) if service.operator => {
                return Err(self.ungranted(service, user, Refusal::new(Reason::ActAsNotGranted), arrival).await?);
            }
            Some(PersonClaim::Named { user, reach }) => Some(ActingUser { id: user, means: Means::ActAs(reach) }),
            Some(PersonClaim::Ungranted { user, why }) => {
                let refusal = Refusal { message: why, ..Refusal::new(Reason::ActAsNotGranted) };
                return Err(self.ungranted(service, user, refusal, arrival).await?);
            }
            Some(PersonClaim::Proven { identity, own, verified_email, trusted_for }) => {
                let stranger = Stranger {
                    identity: &identity,
                    verified_email: verified_email.as_ref(),
                    trusted_for: trusted_for.as_ref(),
                };
                let id = match self.ports.directory.user_by_identity(&identity).await? {
                    Some(id) => id,
                    None => self.first_sight(&service, &stranger, arrival).await?,
                };
                Some(ActingUser { id, means: if own { Means::OwnToken } else { Means::Exchanged } })
            }
        };
        Ok(Actor { service, user })
    }

    /// Records that a caller was turned away for what its method asks of every caller.
    pub(super) async fn record_turned_away(&self, call: &Call, method: &str, reason: &str) -> Result<(), Refusal> {
        let deed = Deed { call, action: AuditAction::Call, workspace: "", request_id: None };
        let called = AuditChange { path: "method".to_owned(), before: None, after: Some(method.to_owned()) };
        let row = AuditRecord { changes: vec![called], ..deed.row(self, reason, self.now()) };
        let of = BudgetKey::Service(row.service.clone()).turned_away(self.number_of(&[method, reason])?);
        self.record_first(&deed, row, Vec::new(), of).await
    }

    /// A number for who is turned away, and why. It cannot be foreseen, so that nobody chooses a name that shares the counter
    /// of another, who would leave no row then.
    fn number_of(&self, who_and_why: &[&str]) -> Result<u64, Refusal> {
        fingerprint(&*self.ports.sealer, who_and_why)
    }

    /// Records that a service named somebody without a grant: once in a period for each whom it names.
    async fn ungranted(
        &self,
        service: ServicePrincipal,
        named: UserId,
        refusal: Refusal,
        arrival: &Arrival,
    ) -> Result<Refusal, Refusal> {
        let call = call_at_the_door(service, arrival);
        let deed = Deed { call: &call, action: AuditAction::ActAs, workspace: "", request_id: None };
        let reason = refusal.reason.as_str();
        let row = AuditRecord { subject: Some(named), ..deed.row(self, reason, self.now()) };
        let of = BudgetKey::Service(row.service.clone());
        let of = of.turned_away(self.number_of(&[&named.to_string(), reason])?);
        self.record_first(&deed, row, Vec::new(), of).await?;
        Ok(refusal)
    }

    /// The user to whom a stranger is bound now. Every other stranger hears one and the same refusal. It is recorded once in
    /// a period for each identity and each cause: in the home's record if the home may know, else by the service through
    /// which they came.
    async fn first_sight(
        &self,
        service: &ServicePrincipal,
        stranger: &Stranger<'_>,
        arrival: &Arrival,
    ) -> Result<UserId, Refusal> {
        let call = call_at_the_door(service.clone(), arrival);
        let (why, account) = match self.sight(&call, stranger).await? {
            Sight::Bound(user) => return Ok(user),
            Sight::Unbound { why, account } => (why, account),
        };
        let workspace = account.map_or_else(String::new, |(_, home)| home.to_string());
        let deed = Deed { call: &call, action: AuditAction::BindIdentity, workspace: &workspace, request_id: None };
        let user = account.map(|(user, _)| user);
        let mut changes = bound(stranger.identity, FIRST_SIGHT).to_vec();
        changes.push(AuditChange {
            path: "identities.refused".to_owned(),
            before: None,
            after: Some(why.as_str().to_owned()),
        });
        let row =
            AuditRecord { subject: user, changes, ..deed.row(self, Reason::IdentityNotBound.as_str(), self.now()) };
        let of =
            account.map_or_else(|| BudgetKey::Service(service.name.clone()), |(_, home)| BudgetKey::Workspace(home));
        // Of the address too: whether a second one is somebody's must not show in what it costs.
        let address = stranger.verified_email.map_or("", EmailAddress::match_key);
        let Identity { issuer, subject } = stranger.identity;
        let of = of.turned_away(self.number_of(&[issuer, subject, address, why.as_str()])?);
        self.record_first(&deed, row, shown(stranger, user), of).await?;
        Err(Refusal::new(Reason::IdentityNotBound))
    }

    async fn sight(&self, call: &Call, stranger: &Stranger<'_>) -> Result<Sight, Refusal> {
        let unbound = |why| Ok(Sight::Unbound { why, account: None });
        let email = match stranger {
            Stranger { identity, .. } if !identity.is_well_formed() => return unbound(Unbound::Malformed),
            Stranger { trusted_for: None, .. } => return unbound(Unbound::IssuerNotTrusted),
            Stranger { verified_email: None, .. } => return unbound(Unbound::EmailNotVerified),
            Stranger { verified_email: Some(email), .. } => *email,
        };
        let now = self.now();
        let deed = Deed { call, action: AuditAction::BindIdentity, workspace: "", request_id: None };
        let command = FirstSight { stranger, email, row: deed.row(self, "", now), event: self.new_id(), now };
        self.runner.run(&command, call.deadline).await
    }
}
