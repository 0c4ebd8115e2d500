//! What both doors of the product share: a new account with its Internal membership, message and events.

use super::input::Profile;
use super::service::Domicile;
use crate::event::{Event, EventBody};
use crate::model::contact::{Contact, ContactStanding};
use crate::model::email::EmailAddress;
use crate::model::id::{EventId, MembershipId, NoticeId, UserId, WorkspaceId};
use crate::model::membership::{
    EndReason, EndedMembership, Grants, InternalMembership, Membership, MembershipBase, MembershipKind,
};
use crate::model::name::ExternalId;
use crate::model::notice::{Notice, NoticeKind, NoticeState};
use crate::model::phone::PhoneNumber;
use crate::model::time::{Revision, Timestamp, Version};
use crate::model::user::{Person, User};
use crate::model::workspace::Workspace;
use crate::port::store::{StoreError, UnitOfWork};

/// The ids and the instant of a save, fixed before its first attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fixed {
    pub(super) user: UserId,
    pub(super) membership: MembershipId,
    pub(super) notice: NoticeId,
    pub(super) events: [EventId; 3],
    pub(super) now: Timestamp,
}

impl Fixed {
    pub(super) fn new(domicile: &Domicile) -> Self {
        Self {
            user: domicile.new_id(),
            membership: domicile.new_id(),
            notice: domicile.new_id(),
            events: [domicile.new_id(), domicile.new_id(), domicile.new_id()],
            now: domicile.now(),
        }
    }
}

/// A person who is about to get an account.
#[derive(Debug, Clone)]
pub(super) struct Newcomer {
    pub(super) profile: Profile,
    pub(super) email: EmailAddress,
    pub(super) phone: Option<PhoneNumber>,
    /// The address is in a domain that the home has verified.
    pub(super) in_own_domain: bool,
    pub(super) grants: Grants,
    pub(super) external_id: Option<ExternalId>,
}

/// Writes the events of one unit in order.
pub(super) struct EventLog {
    workspace: WorkspaceId,
    revision: Revision,
    actor: Option<UserId>,
    ids: [EventId; 3],
    at: Timestamp,
    written: u16,
}

impl EventLog {
    pub(super) const fn new(workspace: WorkspaceId, revision: Revision, actor: Option<UserId>, fixed: &Fixed) -> Self {
        Self { workspace, revision, actor, ids: fixed.events, at: fixed.now, written: 0 }
    }

    pub(super) async fn write(&mut self, tx: &mut dyn UnitOfWork, body: EventBody) -> Result<(), StoreError> {
        let Some(id) = self.ids.get(usize::from(self.written)).copied() else {
            return Err(StoreError::Fault("a unit wrote more events than it fixed ids for".to_owned()));
        };
        let event = Event {
            id,
            workspace: self.workspace,
            revision: self.revision,
            index: self.written,
            actor: self.actor,
            at: self.at,
            body,
        };
        self.written += 1;
        tx.records().event(&event).await
    }

    pub(super) async fn began(&mut self, tx: &mut dyn UnitOfWork, membership: &Membership) -> Result<(), StoreError> {
        let base = membership.base();
        let body = EventBody::MembershipCreated {
            membership: base.id,
            user: base.user,
            membership_kind: membership.kind(),
            state: match membership {
                Membership::Internal(_) => None,
                Membership::External(external) => Some(external.state),
            },
            roles: base.grants.roles.iter().copied().collect(),
        };
        self.write(tx, body).await
    }

    pub(super) async fn ended(&mut self, tx: &mut dyn UnitOfWork, ended: &EndedMembership) -> Result<(), StoreError> {
        let body = EventBody::MembershipEnded {
            membership: ended.id,
            user: ended.user,
            reason: ended.reason,
            roles: ended.grants.roles.iter().copied().collect(),
        };
        self.write(tx, body).await
    }
}

/// The message of a save, queued in its unit.
pub(super) struct NoticeOf<'a> {
    pub(super) kind: NoticeKind,
    pub(super) workspace: WorkspaceId,
    pub(super) home: &'a Workspace,
    pub(super) membership: &'a Membership,
    pub(super) person: &'a Person,
    pub(super) actor: Option<UserId>,
}

impl Domicile {
    /// Adds the account, its membership and their events.
    pub(super) async fn create_internal(
        &self,
        tx: &mut dyn UnitOfWork,
        home: WorkspaceId,
        newcomer: &Newcomer,
        fixed: &Fixed,
        log: &mut EventLog,
    ) -> Result<(User, Membership), StoreError> {
        let mut email = Contact::asserted(newcomer.email.clone(), fixed.now);
        if newcomer.in_own_domain {
            email.standing = ContactStanding::Verified;
        }
        let person = Person {
            first_name: newcomer.profile.first_name.clone(),
            last_name: newcomer.profile.last_name.clone(),
            username: newcomer.profile.username.clone(),
            preferred_language: newcomer.profile.preferred_language.clone(),
            email,
            phone: newcomer.phone.clone().map(|phone| Contact::asserted(phone, fixed.now)),
        };
        let user = User::create(fixed.user, home, person, fixed.now);
        let base = MembershipBase {
            id: fixed.membership,
            user: fixed.user,
            workspace: home,
            grants: newcomer.grants.clone(),
            assigned_by: log.actor,
            assigned_at: fixed.now,
            external_id: newcomer.external_id.clone(),
            version: Version::FIRST,
        };
        let membership = Membership::Internal(InternalMembership {
            base,
            groups: std::collections::BTreeSet::new(),
            units: std::collections::BTreeSet::new(),
        });
        tx.users().insert(&user).await?;
        tx.memberships().insert(&membership).await?;
        log.write(tx, EventBody::UserCreated { user: user.id }).await?;
        log.began(tx, &membership).await?;
        Ok((user, membership))
    }

    /// Queues a message: written with the change, sent after it.
    pub(super) async fn queue_notice(
        &self,
        tx: &mut dyn UnitOfWork,
        of: NoticeOf<'_>,
        fixed: &Fixed,
    ) -> Result<NoticeId, StoreError> {
        let channel = self.policies.notice.channel(of.home, of.person);
        let base = of.membership.base();
        let of_membership = match of.membership {
            Membership::External(external) => external.language.as_ref(),
            Membership::Internal(_) => None,
        };
        let notice = Notice {
            id: fixed.notice,
            kind: of.kind,
            workspace: of.workspace,
            home: of.home.id,
            user: base.user,
            membership: base.id,
            roles: base.grants.roles.iter().copied().collect(),
            actor: of.actor,
            channel,
            state: NoticeState::Queued,
            reason: String::new(),
            language_asked: of_membership.unwrap_or(&of.person.preferred_language).clone(),
            language_used: None,
            created_at: fixed.now,
            due_at: Some(fixed.now),
            retry_until: fixed.now.after(Notice::patience(channel)),
            attempts: 0,
            version: Version::FIRST,
        };
        tx.notices().insert(&notice).await?;
        Ok(notice.id)
    }

    /// Ends an External membership whose time was over before anybody swept it.
    pub(super) async fn end_stale(
        &self,
        tx: &mut dyn UnitOfWork,
        membership: Membership,
        fixed: &Fixed,
        log: &mut EventLog,
    ) -> Result<Option<EndReason>, StoreError> {
        let Membership::External(external) = membership else {
            return Ok(None);
        };
        let Some(reason) = external.is_over(fixed.now) else {
            return Ok(None);
        };
        let read_at = external.base.version;
        let ended = external.end(reason, fixed.now);
        debug_assert_eq!(ended.kind, MembershipKind::External);
        tx.memberships().end(&ended, read_at).await?;
        log.ended(tx, &ended).await?;
        Ok(Some(reason))
    }
}
