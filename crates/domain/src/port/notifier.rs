//! Messages: how they are written and how they leave.

use async_trait::async_trait;

use crate::model::id::NoticeId;
use crate::model::language::LanguageTag;
use crate::model::notice::{AttemptClass, Channel, Message, NoticeKind};

/// What a message tells, as it is true when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFacts {
    /// About what.
    pub kind: NoticeKind,
    /// For which channel.
    pub channel: Channel,
    /// The person's first name.
    pub first_name: String,
    /// The person's username.
    pub username: String,
    /// The mail address or number.
    pub to: String,
    /// The workspace whose deed it tells of.
    pub workspace: String,
    /// The person's home, in whose name it is sent.
    pub home: String,
    /// Who did it, by name; absent if a service did, or if the name is not for this person.
    pub actor: Option<String>,
    /// The roles, by name.
    pub roles: Vec<String>,
    /// Where to begin, accept or leave, as the kind needs.
    pub link: Option<String>,
    /// Whom to ask; answers to a mail go there.
    pub support_contact: Option<String>,
}

/// A message cannot be written in a language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {language} text of {kind:?} could not be written: {detail}")]
pub struct RenderError {
    /// In which language.
    pub language: LanguageTag,
    /// Which message.
    pub kind: NoticeKind,
    /// What went wrong, for operators.
    pub detail: String,
}

/// Writes messages. One language for the whole message.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait MessageWriter: Send + Sync {
    /// The languages that have every text.
    fn languages(&self) -> Vec<LanguageTag>;

    /// Writes a message in one of [`languages`](Self::languages).
    ///
    /// # Errors
    /// The language has no such text, or the text needs a fact that is absent.
    fn write(&self, language: &LanguageTag, facts: &MessageFacts) -> Result<Message, RenderError>;
}

/// What a provider said of a message it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handover {
    /// It will try to deliver; its own words.
    Accepted(String),
    /// The development catcher kept it; where.
    Captured(String),
}

/// Whose trouble it is that a message was not taken, and so whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Of the way there, and may pass: nobody answers, or the answer is to come again later.
    Transient,
    /// Of the operator's own set-up: the relay refuses encryption, login or sender. Tried again while it is mended.
    Misconfigured,
    /// Of the recipient or the message. Trying again will not help.
    Permanent,
}

impl From<Trouble> for AttemptClass {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Transient => Self::Transient,
            Trouble::Misconfigured => Self::Misconfigured,
            Trouble::Permanent => Self::Permanent,
        }
    }
}

/// A message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; the provider said: {provider_words}")]
pub struct DeliveryError {
    /// Whose trouble it is.
    pub trouble: Trouble,
    /// What is wrong and what to do next, without personal data: everybody who may see the notice's state reads it.
    pub reason: String,
    /// The provider's own words, or the network's; unchanged.
    pub provider_words: String,
}

impl DeliveryError {
    /// A message was not taken.
    pub fn new(trouble: Trouble, reason: impl Into<String>, provider_words: impl Into<String>) -> Self {
        Self { trouble, reason: reason.into(), provider_words: provider_words.into() }
    }
}

/// Hands messages to a provider. The same `id` twice is the same message: the provider or the receiver may drop the second.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait NotificationGateway: Send + Sync {
    /// Whether it sends by this channel. What it does not serve is not handed to it.
    fn serves(&self, channel: Channel) -> bool;

    /// Hands one message over and returns when the provider answered. It keeps a deadline of its own, at most 30 seconds,
    /// so that its words tell where it waited; the dispatcher gives up a little later without knowing.
    ///
    /// # Errors
    /// Tells whose trouble it is, with the provider's own words.
    async fn deliver(&self, id: NoticeId, channel: Channel, message: &Message) -> Result<Handover, DeliveryError>;
}
