//! Sends what saves have queued (seed steps 6, L13 to L15). At least once: a crash between send and mark sends again
//! under the same message id (C14).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::run_tx::{Command, Finish};
use super::service::Ports;
use crate::error::Refusal;
use crate::model::id::UserId;
use crate::model::language::LanguageTag;
use crate::model::membership::Membership;
use crate::model::notice::{
    Attempt, AttemptClass, Channel, LanguageChoice, Message, NotSent, Notice, NoticeKind, NoticeState,
};
use crate::model::time::Timestamp;
use crate::model::user::{Person, UserState};
use crate::model::workspace::Workspace;
use crate::policy::Policies;
use crate::port::notifier::{DeliveryError, Handover, MessageFacts, MessageWriter, NotificationGateway};
use crate::port::store::{StoreError, UnitOfWork, WorkspaceRef};
use crate::usecase::run_tx::TxRunner;

/// How many notices one round takes.
const ROUND: u32 = 32;
/// How long a round may hold what it took; a crashed round's notices are due again after it.
const LEASE: Duration = Duration::from_mins(2);
/// How long an attempt may take; the lease covers a whole round of them only together with this limit.
const UNIT_PATIENCE: Duration = Duration::from_secs(10);

/// Sends queued notices. Several may run at once, in one process or many.
pub struct Dispatcher {
    ports: Ports,
    policies: Policies,
    runner: TxRunner,
    writer: Arc<dyn MessageWriter>,
    gateway: Arc<dyn NotificationGateway>,
    instance_language: LanguageTag,
}

/// What became of a notice in a round.
struct Verdict {
    state: NoticeState,
    reason: String,
    due_at: Option<Timestamp>,
    message: Option<Message>,
    language: Option<(LanguageTag, LanguageChoice)>,
    attempt: Option<Attempt>,
}

impl Verdict {
    fn without_attempt(state: NoticeState, reason: &str) -> Self {
        Self { state, reason: reason.to_owned(), due_at: None, message: None, language: None, attempt: None }
    }
}

/// What a message is written from.
struct Context {
    person: Person,
    home: Workspace,
    workspace: Workspace,
    membership: Membership,
    actor: Option<String>,
    roles: Vec<String>,
}

impl Dispatcher {
    /// A dispatcher with the shipped policies; `instance_language` serves people for whom nothing else has a text.
    pub fn new(
        ports: Ports,
        writer: Arc<dyn MessageWriter>,
        gateway: Arc<dyn NotificationGateway>,
        instance_language: LanguageTag,
    ) -> Self {
        let runner = TxRunner::new(ports.store.clone(), ports.clock.clone(), ports.ids.clone());
        Self { ports, policies: Policies::default(), runner, writer, gateway, instance_language }
    }

    /// Sends what is due now and returns how many notices it dealt with. One notice's trouble delays no other.
    ///
    /// # Errors
    /// The store's, when nothing could be taken.
    pub async fn dispatch_due(&self) -> Result<usize, Refusal> {
        let now = self.ports.clock.now();
        let lease = Lease { now, until: now.after(LEASE) };
        let taken = self.runner.run(&lease, now.after(UNIT_PATIENCE)).await?;
        let count = taken.len();
        for notice in taken {
            let id = notice.id;
            if let Err(error) = self.dispatch(notice).await {
                tracing::error!(notice.id = %id, error = %error, cause = ?error.cause, "a notice could not be dealt with; it is due again when its lease ends");
            }
        }
        Ok(count)
    }

    async fn dispatch(&self, notice: Notice) -> Result<(), Refusal> {
        let verdict = match self.context(&notice).await? {
            Ok(context) => self.send(&notice, &context).await,
            Err(verdict) => verdict,
        };
        let settle = Settle::new(notice, verdict);
        let deadline = self.ports.clock.now().after(UNIT_PATIENCE);
        self.runner.run(&settle, deadline).await
    }

    /// Reads what is true now. What a message would tell may not be so any more (C15).
    async fn context(&self, notice: &Notice) -> Result<Result<Context, Verdict>, StoreError> {
        let directory = &self.ports.directory;
        let cancelled = |why: &str| Ok(Err(Verdict::without_attempt(NoticeState::NotSent(NotSent::Cancelled), why)));
        let Some(user) = directory.user(notice.user).await? else {
            return cancelled("the account is gone");
        };
        let Some(person) = user.person.clone() else {
            return cancelled("the account was erased");
        };
        if user.state != UserState::Active {
            return cancelled("the account is not active any more");
        }
        let row = directory.member(notice.workspace, notice.user).await?;
        let Some(membership) = row.map(|r| r.membership).filter(|m| m.base().id == notice.membership) else {
            return cancelled("the membership ended before the message was sent");
        };
        let home = directory.workspace(&WorkspaceRef::Id(notice.home)).await?;
        let workspace = directory.workspace(&WorkspaceRef::Id(notice.workspace)).await?;
        let (Some(home), Some(workspace)) = (home, workspace) else {
            return cancelled("the workspace is gone");
        };
        let actor = match notice.actor {
            Some(actor) => self.name_of(actor).await?,
            None => None,
        };
        let roles = directory.roles(notice.workspace).await?;
        let roles =
            roles.into_iter().filter(|r| notice.roles.contains(&r.id)).map(|r| r.display_name.to_string()).collect();
        Ok(Ok(Context { person, home, workspace, membership, actor, roles }))
    }

    async fn name_of(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let user = self.ports.directory.user(user).await?;
        Ok(user.and_then(|u| u.person).map(|p| p.display_name()))
    }

    async fn send(&self, notice: &Notice, context: &Context) -> Verdict {
        let Some(to) = address(notice.channel, &context.person) else {
            return Verdict::without_attempt(NoticeState::NotDelivered, "the person has no contact for this channel");
        };
        let (language, choice) = self.language(context);
        let facts = facts(notice, context, to);
        let message = match self.writer.write(&language, &facts) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(notice.id = %notice.id, error = %error, "a message could not be written");
                return self.later(
                    notice,
                    AttemptClass::Transient,
                    "the text could not be written; the operator was told",
                );
            }
        };
        let handed = self.gateway.deliver(notice.id, notice.channel, &message).await;
        let verdict = match handed {
            Ok(Handover::Captured(words)) => {
                let reason = "captured: the development catcher is on; set a gateway to send";
                self.settled(notice, NoticeState::NotSent(NotSent::Captured), reason, AttemptClass::Captured, words)
            }
            Ok(Handover::Accepted(words)) => {
                let reason = "the provider took it; arrival is unknown";
                self.settled(notice, NoticeState::HandedOver, reason, AttemptClass::Accepted, words)
            }
            Err(DeliveryError::Permanent(words)) => {
                let reason = "the provider refused it for good; check the contact";
                self.settled(notice, NoticeState::NotDelivered, reason, AttemptClass::Permanent, words)
            }
            Err(DeliveryError::Transient(words)) => self.later(notice, AttemptClass::Transient, &words),
        };
        Verdict { message: Some(message), language: Some((language, choice)), ..verdict }
    }

    /// One language for the whole message: the first that is asked for and written.
    fn language(&self, context: &Context) -> (LanguageTag, LanguageChoice) {
        let mut written = self.writer.languages();
        let allowed = &context.home.notices.languages;
        if !allowed.is_empty() {
            written.retain(|language| allowed.contains(language));
        }
        let of_membership = match &context.membership {
            Membership::External(external) => external.language.clone(),
            Membership::Internal(_) => None,
        };
        let wanted =
            self.policies.notice.languages(of_membership, &context.person, &context.home, &self.instance_language);
        wanted
            .into_iter()
            .find_map(|(language, why)| self.ports.languages.best(&language, &written).map(|best| (best, why)))
            .unwrap_or_else(|| (self.instance_language.clone(), LanguageChoice::InstanceDefault))
    }

    fn settled(
        &self,
        notice: &Notice,
        state: NoticeState,
        reason: &str,
        class: AttemptClass,
        words: String,
    ) -> Verdict {
        let attempt = Attempt { number: notice.attempts + 1, at: self.ports.clock.now(), class, provider_words: words };
        Verdict { attempt: Some(attempt), ..Verdict::without_attempt(state, reason) }
    }

    fn later(&self, notice: &Notice, class: AttemptClass, words: &str) -> Verdict {
        let now = self.ports.clock.now();
        let pause = pause_after(notice.channel, notice.attempts + 1);
        // Half to whole of the pause, so that what failed together does not come back together.
        let share = self.ports.ids.chance() % 512 + 512;
        let due = now.after(pause.mul_f64(f64::from(u32::try_from(share).unwrap_or(1024)) / 1024.0));
        if due > notice.retry_until {
            let reason = "given up: it could not be handed over in time; check gateway and contact";
            return self.settled(notice, NoticeState::NotDelivered, reason, class, words.to_owned());
        }
        let reason = "the gateway could not take it; it is tried again";
        let verdict = self.settled(notice, NoticeState::Retrying, reason, class, words.to_owned());
        Verdict { due_at: Some(due), ..verdict }
    }
}

/// The pause after a number of failed attempts.
fn pause_after(channel: Channel, attempts: u32) -> Duration {
    const MAIL: [u64; 8] = [30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400];
    const SMS: [u64; 4] = [15, 60, 300, 900];
    let table: &[u64] = match channel {
        Channel::Email => &MAIL,
        Channel::Sms => &SMS,
    };
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(table.len() - 1);
    Duration::from_secs(table.get(place).copied().unwrap_or(86_400))
}

fn address(channel: Channel, person: &Person) -> Option<String> {
    match channel {
        Channel::Email => Some(person.email.value.to_string()),
        Channel::Sms => person.phone.as_ref().map(|p| p.value.to_string()),
    }
}

fn facts(notice: &Notice, context: &Context, to: String) -> MessageFacts {
    let links = match notice.kind {
        NoticeKind::Onboarding => &context.home.links.begin,
        NoticeKind::AccessRequested => &context.home.links.accept,
        NoticeKind::AccessGranted => &context.home.links.leave,
    };
    let support = context.home.notices.support_contact.as_ref();
    MessageFacts {
        kind: notice.kind,
        channel: notice.channel,
        first_name: context.person.first_name.to_string(),
        username: context.person.username.to_string(),
        to,
        workspace: context.workspace.display_name.to_string(),
        home: context.home.display_name.to_string(),
        actor: context.actor.clone(),
        roles: context.roles.clone(),
        link: links.clone(),
        support_contact: support.map(ToString::to_string),
    }
}

/// Takes what is due.
struct Lease {
    now: Timestamp,
    until: Timestamp,
}

#[async_trait]
impl Command for Lease {
    type Output = Vec<Notice>;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Vec<Notice>>, Refusal> {
        let taken = tx.notices().lease_due(self.now, self.until, ROUND).await?;
        Ok(if taken.is_empty() { Finish::Discard(taken) } else { Finish::Commit(taken) })
    }
}

/// Writes down what became of a notice.
struct Settle {
    notice: Notice,
    read_at: crate::model::time::Version,
    message: Option<Message>,
    attempt: Option<Attempt>,
}

impl Settle {
    fn new(notice: Notice, verdict: Verdict) -> Self {
        let read_at = notice.version;
        let attempts = verdict.attempt.as_ref().map_or(notice.attempts, |a| a.number);
        let notice = Notice {
            state: verdict.state,
            reason: verdict.reason,
            due_at: verdict.due_at,
            language_used: verdict.language,
            attempts,
            version: read_at.next(),
            ..notice
        };
        Self { notice, read_at, message: verdict.message, attempt: verdict.attempt }
    }
}

#[async_trait]
impl Command for Settle {
    type Output = ();

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<()>, Refusal> {
        tx.notices().update(&self.notice, self.read_at).await?;
        if let Some(message) = &self.message {
            tx.notices().keep_message(self.notice.id, self.notice.user, message).await?;
        }
        if let Some(attempt) = &self.attempt {
            tx.notices().add_attempt(self.notice.id, attempt).await?;
        }
        Ok(Finish::Commit(()))
    }
}
