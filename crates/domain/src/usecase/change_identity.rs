//! Binds an identity to a person of the home, or takes one away. Who is bound is signed in as the person from then on, so
//! this is governance: a qualifying manager does it, and nobody binds one to their own account.

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{Account, ChangeIdentity};
use super::change::{Authority, Change, Made, Unit};
use super::identify::bound;
use super::input::field;
use crate::error::{Reason, Refusal};
use crate::event::EventBody;
use crate::model::audit::{AuditAction, AuditChange, PersonalValue};
use crate::model::id::{UserId, WorkspaceId};
use crate::model::membership::Membership;
use crate::model::user::{Identity, User, UserState, parse_issuer, parse_subject};
use crate::port::store::{Constraint, UnitOfWork};

/// Binds an identity. Tells whether somebody has it, so it is a probe.
pub(super) struct Bind<'a>(pub(super) &'a ChangeIdentity);

/// Takes an identity away, which tells nothing of others.
pub(super) struct Unbind<'a>(pub(super) &'a ChangeIdentity);

#[async_trait]
impl Change for Bind<'_> {
    type Thing = Account;
    const ACTION: AuditAction = AuditAction::BindIdentity;
    const AUTHORITY: Authority = Authority::QualifyingManager;
    const RACES: &'static [Constraint] = &[Constraint::Identity];
    const IS_PROBE: bool = true;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<Account>, Refusal> {
        let (user, identity) = read(self.0, unit)?;
        let user = at_home(unit.tx, unit.workspace, user).await?;
        // A second way in outlives the session, the service or the grant by which the first one was used.
        if user.id == unit.person {
            return Err(Refusal::new(Reason::AnotherPersonRequired));
        }
        // Whose it is stays with their home.
        if unit.tx.users().identity_owner(&identity).await?.is_some() {
            return Err(Refusal::new(Reason::IdentityTaken));
        }
        if unit.tx.users().identities(user.id).await?.len() >= Identity::MOST {
            return Err(Refusal::new(Reason::TooManyIdentities));
        }
        unit.tx.users().count_change(user.id, user.version, unit.now).await?;
        unit.tx.users().bind_identity(user.id, &identity, unit.now).await?;
        made(unit, user, identity.clone(), bound(&identity, "MANAGER").to_vec()).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<Account>, Refusal> {
        account(unit, thing).await
    }
}

#[async_trait]
impl Change for Unbind<'_> {
    type Thing = Account;
    const ACTION: AuditAction = AuditAction::UnbindIdentity;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<Account>, Refusal> {
        let (user, identity) = read(self.0, unit)?;
        let user = at_home(unit.tx, unit.workspace, user).await?;
        if !unit.tx.users().identities(user.id).await?.contains(&identity) {
            return Err(Refusal::missing("identity"));
        }
        unit.tx.users().count_change(user.id, user.version, unit.now).await?;
        unit.tx.users().unbind_identity(user.id, &identity).await?;
        let path = "identities".to_owned();
        let gone = AuditChange { path, before: Some(identity.issuer.clone()), after: None };
        made(unit, user, identity, vec![gone]).await
    }

    async fn again(&self, unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<Account>, Refusal> {
        account(unit, thing).await
    }
}

/// Reads the whole request; all violations at once.
fn read(request: &ChangeIdentity, unit: &Unit<'_>) -> Result<(UserId, Identity), Refusal> {
    let mut wrong = unit.violations();
    let user = field(&mut wrong, "user", request.user.parse());
    let issuer = field(&mut wrong, "identity.issuer", parse_issuer(&request.identity.issuer));
    let subject = field(&mut wrong, "identity.subject", parse_subject(&request.identity.subject));
    match (user, issuer, subject) {
        (Some(user), Some(issuer), Some(subject)) if wrong.is_empty() => Ok((user, Identity { issuer, subject })),
        _ => Err(Refusal::invalid(wrong)),
    }
}

/// The account after the change, with its event. The subject is personal and stands apart.
async fn made(
    unit: &mut Unit<'_>,
    user: User,
    identity: Identity,
    changes: Vec<AuditChange>,
) -> Result<Made<Account>, Refusal> {
    unit.event(EventBody::UserChanged { user: user.id, paths: vec!["identities".to_owned()] }).await?;
    let identities = unit.tx.users().identities(user.id).await?;
    let subject = PersonalValue { user: Some(user.id), path: "identity.subject".to_owned(), value: identity.subject };
    let (id, subject_of) = (user.id, Some(user.id));
    let user = User { version: user.version.next(), updated_at: unit.now, ..user };
    let made = Made::new(Account { user, identities }, id, changes);
    Ok(Made { subject: subject_of, personal: vec![subject], ..made })
}

/// The account that an earlier answer told of, as long as its home is here.
async fn account(unit: &mut Unit<'_>, thing: Uuid) -> Result<Option<Account>, Refusal> {
    let home = unit.workspace;
    let found = unit.tx.users().find(UserId::from_uuid(thing)).await?.filter(|user| user.home == home);
    let Some(user) = found else { return Ok(None) };
    let identities = unit.tx.users().identities(user.id).await?;
    Ok(Some(Account { user, identities }))
}

/// The person of a home. Of those who are External here the home is elsewhere, and a tombstone is nobody.
async fn at_home(tx: &mut dyn UnitOfWork, home: WorkspaceId, person: UserId) -> Result<User, Refusal> {
    match tx.memberships().find(home, person).await? {
        Some(Membership::Internal(_)) => {}
        Some(Membership::External(_)) => return Err(Refusal::new(Reason::HomeOwnedField)),
        None => return Err(Refusal::missing("user")),
    }
    let user = tx.users().find(person).await?.filter(|user| user.state != UserState::Erased);
    user.ok_or_else(|| Refusal::missing("user"))
}
