//! Messages to people, and the honest record of what became of them.

use std::time::Duration;

use super::id::{MembershipId, NoticeId, RoleId, UserId, WorkspaceId};
use super::language::LanguageTag;
use super::time::{Timestamp, Version};

/// A way to reach a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Mail.
    Email,
    /// Text message.
    Sms,
}

impl Channel {
    /// Every channel, for tables that must not forget one.
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];

    /// The word that people and records know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Sms => "SMS",
        }
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// An account was created: welcome at home.
    Onboarding,
    /// A host took the person in.
    AccessGranted,
    /// A host asks the person to accept.
    AccessRequested,
}

impl NoticeKind {
    /// Every kind, for tables that must not forget one.
    pub const ALL: [Self; 3] = [Self::Onboarding, Self::AccessGranted, Self::AccessRequested];
}

/// Why a message will not be sent as things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// The development catcher kept it.
    Captured,
    /// The home has no gateway for the channel yet.
    Held,
    /// The address returned mail before.
    Suppressed,
    /// What it tells is no longer so.
    Cancelled,
}

/// What became of a message. The same words in API and command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeState {
    /// Committed; waits for its first attempt.
    Queued,
    /// An attempt failed in a way that may pass.
    Retrying,
    /// The provider took it; arrival unknown.
    HandedOver,
    /// The provider says it arrived.
    Delivered,
    /// It will not arrive.
    NotDelivered,
    /// It was not sent.
    NotSent(NotSent),
}

impl NoticeState {
    /// Every state, for tables that must not forget one.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Retrying,
        Self::HandedOver,
        Self::Delivered,
        Self::NotDelivered,
        Self::NotSent(NotSent::Captured),
        Self::NotSent(NotSent::Held),
        Self::NotSent(NotSent::Suppressed),
        Self::NotSent(NotSent::Cancelled),
    ];

    /// Whether the dispatcher still has work with it.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Retrying)
    }
}

/// Why the language that was used was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LanguageChoice {
    /// Set for this membership.
    Membership,
    /// The person's preferred language.
    Preferred,
    /// The home's default, since there is no text in what the person prefers.
    HomeDefault,
    /// The instance's default, since there is no text in the home's default either.
    InstanceDefault,
}

/// A message before it has a text: facts by id. The text is written when it is sent, from what is true then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Never changes; the message id that receivers see is made of it.
    pub id: NoticeId,
    /// About what.
    pub kind: NoticeKind,
    /// Whose deed it tells of: the host for Externals.
    pub workspace: WorkspaceId,
    /// Whose sender, branding and gateway carry it (T6).
    pub home: WorkspaceId,
    /// To whom.
    pub user: UserId,
    /// About which life of the membership.
    pub membership: MembershipId,
    /// The roles it names.
    pub roles: Vec<RoleId>,
    /// Who did it, if a person did.
    pub actor: Option<UserId>,
    /// By which channel.
    pub channel: Channel,
    /// What became of it.
    pub state: NoticeState,
    /// Why, in words that tell what to do next; empty while queued.
    pub reason: String,
    /// The language asked for.
    pub language_asked: LanguageTag,
    /// The language used and why, once written.
    pub language_used: Option<(LanguageTag, LanguageChoice)>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the next attempt is due; absent when there is none.
    pub due_at: Option<Timestamp>,
    /// An attempt that fails after this instant is the last.
    pub retry_until: Timestamp,
    /// How many attempts were made.
    pub attempts: u32,
    /// Counts its changes.
    pub version: Version,
}

impl Notice {
    /// Whatever happens, nothing is sent later than this after a notice was written.
    pub const ABSOLUTE_END: Duration = Duration::from_hours(7 * 24);

    /// How long a channel is tried: mail 48 hours, text messages one hour.
    pub const fn patience(channel: Channel) -> Duration {
        match channel {
            Channel::Email => Duration::from_hours(48),
            Channel::Sms => Duration::from_hours(1),
        }
    }
}

/// The text of a message as it was or would be sent. Personal: it lies apart from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The mail address or number.
    pub to: String,
    /// The sender's name as the receiver sees it: the home's, never a person's.
    pub from: String,
    /// The mail address that answers go to, if the home names one.
    pub reply_to: Option<String>,
    /// The language of the whole message.
    pub language: LanguageTag,
    /// One line; empty for text messages.
    pub subject: String,
    /// The whole message as plain text.
    pub text: String,
    /// The same as HTML, for mail.
    pub html: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptClass {
    /// The provider took it.
    Accepted,
    /// The development catcher kept it.
    Captured,
    /// May pass.
    Transient,
    /// The operator's own set-up is refused; it passes when that is mended.
    Misconfigured,
    /// Will not pass.
    Permanent,
}

impl AttemptClass {
    /// Every class, for tables that must not forget one.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Captured, Self::Transient, Self::Misconfigured, Self::Permanent];
}

/// One try to send, with the provider's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub class: AttemptClass,
    /// What the provider said, unchanged.
    pub provider_words: String,
}
