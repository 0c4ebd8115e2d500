//! Sends what saves have queued (seed steps 6, L13 to L15). At least once: a crash between send and mark sends again
//! under the same message id (C14).
//!
//! The loop is the embedding program's, since the domain has no runtime: take at most as many notices as there are free
//! hands ([`Dispatcher::take_due`]), deliver each by itself ([`Dispatcher::deliver`]), look again. What was taken and
//! not settled, however the program ended, is due again when its lease is over.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use super::run_tx::{Command, Finish};
use super::service::Ports;
use crate::error::Refusal;
use crate::model::id::UserId;
use crate::model::language::LanguageTag;
use crate::model::membership::{ExternalState, Membership};
use crate::model::notice::{
    Attempt, AttemptClass, Channel, LanguageChoice, Message, NotSent, Notice, NoticeKind, NoticeState,
};
use crate::model::time::{Timestamp, Version};
use crate::model::user::{Person, UserState};
use crate::model::workspace::{Workspace, WorkspaceRef, WorkspaceState};
use crate::policy::Policies;
use crate::port::notifier::{
    DeliveryError, Handover, MessageFacts, MessageWriter, NotificationGateway, RenderError, Trouble,
};
use crate::port::store::{Leased, StoreError, UnitOfWork};
use crate::usecase::run_tx::TxRunner;

/// How long a unit of the dispatcher may wait for the store.
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

/// What became of a notice in an attempt.
struct Verdict {
    state: NoticeState,
    reason: String,
    due_at: Option<Timestamp>,
    message: Option<Message>,
    language: Option<(LanguageTag, LanguageChoice)>,
    attempt: Option<Attempt>,
    /// Another channel to go on with.
    channel: Option<Channel>,
    /// Until when it is tried, if that is longer than it was.
    retry_until: Option<Timestamp>,
}

impl Verdict {
    fn without_attempt(state: NoticeState, reason: &str) -> Self {
        Self {
            state,
            reason: reason.to_owned(),
            due_at: None,
            message: None,
            language: None,
            attempt: None,
            channel: None,
            retry_until: None,
        }
    }

    fn cancelled(why: &str) -> Self {
        Self::without_attempt(NoticeState::NotSent(NotSent::Cancelled), why)
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
    /// How long an attempt may take. Gateways keep a shorter deadline of their own; this one ends those that do not.
    pub const ATTEMPT: Duration = Duration::from_secs(32);
    /// How long a notice that was taken is nobody else's: an attempt, the unit that settles it, and a margin. After a
    /// crash it is due again this much later.
    pub const LEASE: Duration = Duration::from_secs(45);

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

    /// Takes at most `limit` notices that are due, oldest first. Take no more than can be delivered at once: the lease
    /// covers one attempt. One that cannot be read is told in the log each time its lease is over, and holds up no other.
    ///
    /// # Errors
    /// The store's.
    pub async fn take_due(&self, limit: u32) -> Result<Vec<Notice>, Refusal> {
        let now = self.ports.clock.now();
        let lease = Lease { now, until: now.after(Self::LEASE), limit };
        let Leased { notices, unreadable } = self.runner.run(&lease, now.after(UNIT_PATIENCE)).await?;
        for (id, cause) in unreadable {
            tracing::error!(notice.id = %id, %cause, "a notice cannot be read and is not sent; once its row is mended it is");
        }
        Ok(notices)
    }

    /// Makes one attempt for a notice that was taken, and writes down what became of it. `None` if somebody else settled
    /// it meanwhile: the lease was over, and theirs is the record.
    ///
    /// # Errors
    /// The store's; the notice is due again when its lease is over.
    pub async fn deliver(&self, notice: Notice) -> Result<Option<NoticeState>, Refusal> {
        let id = notice.id;
        let verdict = match self.context(&notice).await? {
            Ok(context) => self.attempt(&notice, &context).await,
            Err(verdict) => verdict,
        };
        let settle = Settle::new(notice, verdict);
        let state = settle.notice.state;
        match self.runner.run(&settle, self.ports.clock.now().after(UNIT_PATIENCE)).await {
            Ok(()) => Ok(Some(state)),
            Err(refusal) if refusal.cause == Some(StoreError::Stale) => {
                tracing::warn!(notice.id = %id, notice.state = ?state, "a notice was settled by somebody else; this outcome is not kept");
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Reads what is true now. What a message would tell may not be so any more (C15).
    async fn context(&self, notice: &Notice) -> Result<Result<Context, Verdict>, StoreError> {
        let directory = &self.ports.directory;
        let cancelled = |why: &str| Ok(Err(Verdict::cancelled(why)));
        let now = self.ports.clock.now();
        if now >= notice.created_at.after(Notice::ABSOLUTE_END) {
            let reason = "given up: seven days went by; check the gateway, and tell the person yourself this time";
            return Ok(Err(Verdict::without_attempt(NoticeState::NotDelivered, reason)));
        }
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
        if let Some(why) = no_longer_so(notice.kind, &membership, now) {
            return cancelled(why);
        }
        let home = directory.workspace(&WorkspaceRef::Id(notice.home)).await?;
        let workspace = directory.workspace(&WorkspaceRef::Id(notice.workspace)).await?;
        let (Some(home), Some(workspace)) = (home, workspace) else {
            return cancelled("the workspace is gone");
        };
        if home.state != WorkspaceState::Active || workspace.state != WorkspaceState::Active {
            return cancelled("the workspace is not active any more");
        }
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

    async fn attempt(&self, notice: &Notice, context: &Context) -> Verdict {
        let Some((channel, to)) = self.way(notice.channel, &context.person) else {
            let reason = "held: no gateway serves the channel yet; set one up for the home, and tell the person yourself this time";
            return Verdict::without_attempt(NoticeState::NotSent(NotSent::Held), reason);
        };
        let notice = &Notice { channel, ..notice.clone() };
        let (language, choice) = self.language(context);
        let verdict = match self.writer.write(&language, &facts(notice, context, to)) {
            Ok(message) => {
                let verdict = self.hand_over(notice, context, &message).await;
                Verdict { message: Some(message), ..verdict }
            }
            Err(error) => self.unwritten(notice, &error),
        };
        // What moved to another channel here goes on there, unless the attempt chose again.
        Verdict { language: Some((language, choice)), channel: verdict.channel.or(Some(channel)), ..verdict }
    }

    /// The channel as queued, or mail where that one is not served or the person has no number any more.
    fn way(&self, queued: Channel, person: &Person) -> Option<(Channel, String)> {
        let served = |channel: &Channel| self.gateway.serves(*channel);
        let mut ways = [queued, Channel::Email].into_iter().filter(served);
        ways.find_map(|channel| address(channel, person).map(|to| (channel, to)))
    }

    fn unwritten(&self, notice: &Notice, error: &RenderError) -> Verdict {
        tracing::error!(notice.id = %notice.id, error = %error, "a message could not be written");
        let reason = "the text could not be written; the operator's log says why";
        self.failed(notice, &DeliveryError::new(Trouble::Transient, reason, "nothing was handed over"))
    }

    async fn hand_over(&self, notice: &Notice, context: &Context, message: &Message) -> Verdict {
        let sending = self.gateway.deliver(notice.id, notice.channel, message);
        let answer = self.within(Self::ATTEMPT, sending).await.unwrap_or_else(|| {
            let reason = "the gateway does not answer; the operator checks it";
            let words = format!("no answer within {} seconds", Self::ATTEMPT.as_secs());
            Err(DeliveryError::new(Trouble::Transient, reason, words))
        });
        match answer {
            Ok(Handover::Captured(words)) => {
                let reason = "captured: the development catcher is on; set a gateway to send";
                self.settled(notice, NoticeState::NotSent(NotSent::Captured), reason, AttemptClass::Captured, &words)
            }
            Ok(Handover::Accepted(words)) => {
                let reason =
                    "the provider took it; arrival is unknown: check spam, then ask their IT with the provider's words";
                self.settled(notice, NoticeState::HandedOver, reason, AttemptClass::Accepted, &words)
            }
            Err(error) if error.trouble == Trouble::Permanent => self.refused(notice, context, &error),
            Err(error) => self.failed(notice, &error),
        }
    }

    /// The work's outcome, or `None` once `limit` has passed; then the work is dropped.
    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T> + Send) -> Option<T> {
        let mut work = pin!(work);
        let mut over = pin!(self.ports.clock.sleep(limit));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => over.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// One language for the whole message: the first that is asked for, written, and allowed by the home.
    fn language(&self, context: &Context) -> (LanguageTag, LanguageChoice) {
        let languages = &self.ports.languages;
        let written = self.writer.languages();
        let allowed: Vec<LanguageTag> =
            context.home.notices.languages.iter().filter_map(|tag| languages.best(tag, &written)).collect();
        let usable = if allowed.is_empty() { &written } else { &allowed };
        let of_membership = match &context.membership {
            Membership::External(external) => external.language.clone(),
            Membership::Internal(_) => None,
        };
        let wanted =
            self.policies.notice.languages(of_membership, &context.person, &context.home, &self.instance_language);
        let asked = wanted.into_iter().find_map(|(tag, why)| languages.best(&tag, usable).map(|best| (best, why)));
        // Nothing that is asked for may be used: the home's first, in its own order.
        asked
            .or_else(|| allowed.first().map(|first| (first.clone(), LanguageChoice::HomeDefault)))
            .unwrap_or_else(|| (self.instance_language.clone(), LanguageChoice::InstanceDefault))
    }

    fn settled(&self, notice: &Notice, state: NoticeState, reason: &str, class: AttemptClass, words: &str) -> Verdict {
        let attempt = Attempt {
            number: notice.attempts + 1,
            at: self.ports.clock.now(),
            class,
            provider_words: words.to_owned(),
        };
        Verdict { attempt: Some(attempt), ..Verdict::without_attempt(state, reason) }
    }

    /// Refused for good by this channel: the home's next channel, if the person can be reached there.
    fn refused(&self, notice: &Notice, context: &Context, error: &DeliveryError) -> Verdict {
        let order = context.home.notices.channels.iter().copied();
        let mut later = order.skip_while(|channel| *channel != notice.channel).skip(1);
        let reachable =
            |channel: &Channel| self.gateway.serves(*channel) && address(*channel, &context.person).is_some();
        let settled =
            |state, reason: &str| self.settled(notice, state, reason, AttemptClass::Permanent, &error.provider_words);
        match later.find(reachable) {
            Some(next) => {
                let reason = format!("{}; now tried by another channel", error.reason);
                let verdict = settled(NoticeState::Retrying, &reason);
                Verdict { channel: Some(next), due_at: Some(self.ports.clock.now()), ..verdict }
            }
            None => settled(NoticeState::NotDelivered, &error.reason),
        }
    }

    /// Failed in a way that may pass: tried again until the patience ends, the last time at its end. What waits for the
    /// operator to mend the set-up waits as long as a notice may be told at all: nobody loses it over a long weekend.
    fn failed(&self, notice: &Notice, error: &DeliveryError) -> Verdict {
        let now = self.ports.clock.now();
        let class = AttemptClass::from(error.trouble);
        let retry_until = match error.trouble {
            Trouble::Misconfigured => notice.created_at.after(Notice::ABSOLUTE_END),
            Trouble::Transient | Trouble::Permanent => patience(notice, notice.channel),
        };
        if now >= retry_until {
            let reason = format!("given up: {}", error.reason);
            return self.settled(notice, NoticeState::NotDelivered, &reason, class, &error.provider_words);
        }
        // Full jitter: what failed together does not come back together.
        let pause = pause_after(notice.channel, notice.attempts + 1).mul_f64(self.chance());
        let verdict = self.settled(notice, NoticeState::Retrying, &error.reason, class, &error.provider_words);
        Verdict { due_at: Some(now.after(pause).min(retry_until)), retry_until: Some(retry_until), ..verdict }
    }

    /// Between 0 and 1.
    fn chance(&self) -> f64 {
        f64::from(u32::try_from(self.ports.ids.chance() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

/// What a message of this kind would tell, and is not so any more.
fn no_longer_so(kind: NoticeKind, membership: &Membership, now: Timestamp) -> Option<&'static str> {
    let Membership::External(external) = membership else {
        return None;
    };
    if external.is_over(now).is_some() {
        return Some("the membership's time was over before the message was sent");
    }
    match (kind, external.state) {
        (NoticeKind::AccessGranted, ExternalState::Active) | (NoticeKind::AccessRequested, ExternalState::Pending) => {
            None
        }
        (NoticeKind::AccessRequested, _) => Some("the person has answered before the message was sent"),
        (_, ExternalState::Suspended) => Some("the membership was suspended before the message was sent"),
        (_, ExternalState::Review) => Some("the membership came under review before the message was sent"),
        (_, ExternalState::Pending) => Some("the person is asked first, in a message of its own"),
        (NoticeKind::Onboarding, ExternalState::Active) => Some("the person's home is elsewhere by now"),
    }
}

/// Until when a notice is tried by a channel; one that changed its channel has the patience of the new one.
fn patience(notice: &Notice, channel: Channel) -> Timestamp {
    let end = notice.created_at.after(Notice::ABSOLUTE_END);
    notice.created_at.after(Notice::patience(channel)).max(notice.retry_until).min(end)
}

/// The longest pause after a number of failed attempts.
fn pause_after(channel: Channel, attempts: u32) -> Duration {
    const MAIL: [u64; 8] = [30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400];
    const SMS: [u64; 4] = [15, 60, 300, 900];
    let table: &[u64] = match channel {
        Channel::Email => &MAIL,
        Channel::Sms => &SMS,
    };
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = table.get(place).or(table.last()).copied();
    Duration::from_secs(pause.unwrap_or(86_400))
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
    limit: u32,
}

#[async_trait]
impl Command for Lease {
    type Output = Leased;

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<Leased>, Refusal> {
        let taken = tx.notices().lease_due(self.now, self.until, self.limit).await?;
        Ok(if taken == Leased::default() { Finish::Discard(taken) } else { Finish::Commit(taken) })
    }
}

/// Writes down what became of a notice.
struct Settle {
    notice: Notice,
    read_at: Version,
    message: Option<Message>,
    attempt: Option<Attempt>,
}

impl Settle {
    fn new(notice: Notice, verdict: Verdict) -> Self {
        let read_at = notice.version;
        let channel = verdict.channel.unwrap_or(notice.channel);
        let same = || if channel == notice.channel { notice.retry_until } else { patience(&notice, channel) };
        let retry_until = verdict.retry_until.unwrap_or_else(same);
        let notice = Notice {
            channel,
            retry_until,
            state: verdict.state,
            reason: verdict.reason,
            due_at: verdict.due_at,
            language_used: verdict.language.or(notice.language_used),
            attempts: verdict.attempt.as_ref().map_or(notice.attempts, |a| a.number),
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
