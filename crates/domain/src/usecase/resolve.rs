//! Gathers what the resolver decides on. Lookup and save share it: the search was only a hint, the save resolves again.

use crate::error::{Refusal, Violation};
use crate::model::contact::{ContactKey, ContactKind, ContactOwner, ContactStanding};
use crate::model::email::EmailAddress;
use crate::model::facts::AccessFacts;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::membership::{EndedMembership, Membership, MembershipKind};
use crate::model::phone::{PhoneNumber, Region};
use crate::model::time::{Timestamp, Version};
use crate::model::user::User;
use crate::model::workspace::{Workspace, WorkspaceRef};
use crate::policy::resolver::{Identified, LookupOutcome, identify, outcome_for_nobody, outcome_for_one};
use crate::port::contact::PhoneParser;
use crate::port::store::UnitOfWork;
use crate::usecase::api::{MatchedBy, MemberState};

/// The contacts of a request, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Contacts {
    pub(super) email: Option<EmailAddress>,
    pub(super) phone: Option<PhoneNumber>,
}

impl Contacts {
    /// Reads both as typed; every violation goes to `violations` under the given field names.
    pub(super) fn read(
        phones: &dyn PhoneParser,
        region: Region,
        (email_field, email): (&str, &str),
        (phone_field, phone): (&str, &str),
        violations: &mut Vec<Violation>,
    ) -> Self {
        let mut read = Self::default();
        if !email.trim().is_empty() {
            match EmailAddress::parse(email) {
                Ok(email) => read.email = Some(email),
                Err(error) => violations.push(Violation::new(email_field, error)),
            }
        }
        if !phone.trim().is_empty() {
            match phones.parse(phone, region) {
                Ok(phone) => read.phone = Some(phone),
                Err(error) => violations.push(Violation::new(phone_field, error)),
            }
        }
        read
    }
}

/// One contact that is a live user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) standing: ContactStanding,
    pub(super) version: Version,
}

/// The one person that was found, with what the outcome was decided on.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) user: User,
    pub(super) home: Workspace,
    pub(super) facts: AccessFacts,
    pub(super) last_ended: Option<EndedMembership>,
}

/// What a search found.
#[derive(Debug, Clone)]
pub(super) struct Resolution {
    pub(super) outcome: LookupOutcome,
    pub(super) candidate: Option<Candidate>,
    pub(super) email: Option<Hit>,
    pub(super) phone: Option<Hit>,
    /// Whether the email's domain is this workspace's own, which proves the address.
    pub(super) own_domain: bool,
}

impl Resolution {
    /// The one person that was found, if they may be known about here.
    pub(super) fn shown(&self) -> Option<&Candidate> {
        self.candidate.as_ref().filter(|_| self.outcome.shows_match())
    }

    /// By which contacts somebody was found.
    pub(super) fn matched_by(&self) -> Vec<MatchedBy> {
        let by = |hit: Option<Hit>, kind| hit.map(|h| MatchedBy { kind, standing: h.standing });
        by(self.email, ContactKind::Email).into_iter().chain(by(self.phone, ContactKind::Phone)).collect()
    }

    /// The kind and state of the candidate's membership here, if there is one. One whose time is over is none, whether or not
    /// it was swept yet.
    pub(super) fn member_state(&self, now: Timestamp) -> Option<(MembershipKind, MemberState)> {
        let candidate = self.candidate.as_ref()?;
        let membership = candidate.facts.membership.as_ref()?;
        let state = match membership {
            Membership::Internal(_) => candidate.user.state.into(),
            Membership::External(external) if external.is_over(now).is_some() => return None,
            Membership::External(external) => external.state.into(),
        };
        Some((membership.kind(), state))
    }
}

/// Resolves in the unit. The statements are the same for a hit and a miss, and so are the rows, as far as that can be: where
/// nobody is found, `searcher`, who exists, is read in their place and forgotten, since a row takes longer than none. What has
/// no row for most people either is read with the nil id.
pub(super) async fn resolve(
    tx: &mut dyn UnitOfWork,
    host: WorkspaceId,
    searcher: UserId,
    contacts: &Contacts,
    now: Timestamp,
) -> Result<Resolution, Refusal> {
    let email = match &contacts.email {
        Some(email) => tx.users().contact_owner(&ContactKey::from(email), now).await?,
        None => None,
    };
    let domain_owner = match &contacts.email {
        Some(email) => tx.workspaces().owner_of_domain(email.domain()).await?,
        None => None,
    };
    let phone = match &contacts.phone {
        Some(phone) => tx.users().contact_owner(&ContactKey::from(phone), now).await?,
        None => None,
    };
    let identified = identify(host, email, phone);
    let one = if let Identified::One(user) = identified { Some(user) } else { None };
    let user = tx.users().find(one.unwrap_or(searcher)).await?;
    let home_id = user.as_ref().map_or(WorkspaceId::nil(), |u| u.home);
    let home = tx.workspaces().find(&WorkspaceRef::Id(home_id)).await?;
    let (user, home) = (user.filter(|_| one.is_some()), home.filter(|_| one.is_some()));
    let found = one.unwrap_or(UserId::nil());
    let facts = tx.memberships().access_facts(host, found).await?;
    let last_ended = tx.memberships().last_ended(host, found).await?;

    let candidate = match (user, home, facts) {
        (Some(user), Some(home), Some(facts)) => Some(Candidate { user, home, facts, last_ended }),
        _ => None,
    };
    let in_foreign_domain = domain_owner.is_some_and(|owner| owner != host);
    let outcome = candidate.as_ref().map_or_else(
        || outcome_for_nobody(identified, in_foreign_domain),
        |c| outcome_for_one(&c.facts, c.last_ended.as_ref(), now),
    );
    Ok(Resolution { outcome, candidate, email: hit(email), phone: hit(phone), own_domain: domain_owner == Some(host) })
}

fn hit(owner: Option<ContactOwner>) -> Option<Hit> {
    match owner {
        Some(ContactOwner::User { standing, version, .. }) => Some(Hit { standing, version }),
        Some(ContactOwner::Held { .. }) | None => None,
    }
}
