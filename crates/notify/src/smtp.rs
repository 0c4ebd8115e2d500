//! Mail through a relay.
//!
//! [`SmtpGateway::new`] is the one constructor, for real sends and for trying a set-up out: only a message that a relay
//! took shows that it takes messages.
//!
//! Rules: an attempt has one deadline, ours, around all of it. A connection whose conversation did not come to its end is
//! closed and never used again, since a late answer would be read as the answer to the next command: the outcome of one
//! person's mail would stand in the record of another's. That is why connections are kept here and not by the library.

mod mail;
mod session;
mod settings;
mod verdict;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::{Channel, Message};
use domicile_domain::port::notifier::{DeliveryError, Handover, NotificationGateway};

use mail::Mail;
use session::{Pool, Session};
use settings::Checked;
pub use settings::{Password, Security, SmtpSettings, SmtpSettingsError};
pub use verdict::{Evidence, Judgement, Reply, Step, judge, judge_reply};

/// Sends mail through one relay.
pub struct SmtpGateway {
    checked: Checked,
    pool: Pool,
}

impl SmtpGateway {
    /// A gateway that sends as the settings say. It connects when the first message comes.
    ///
    /// # Errors
    /// The first setting that cannot work, by name and with the mend.
    pub fn new(settings: SmtpSettings) -> Result<Self, SmtpSettingsError> {
        let checked = Checked::new(settings)?;
        Ok(Self { pool: Pool::new(checked.pool_size), checked })
    }

    /// The whole conversation. `at` tells at every moment what it waits for.
    async fn send(&self, mail: &Mail, at: &Progress) -> Result<String, DeliveryError> {
        let mut session = match self.pool.take().await {
            Some(session) => session,
            None => Session::open(&self.checked, at).await?,
        };
        let outcome = session.send(mail, at).await;
        // Refused or taken, the conversation came to its end, unless something was heard that is no answer.
        if session.is_sound() {
            self.pool.keep(session);
        }
        outcome
    }
}

#[async_trait]
impl NotificationGateway for SmtpGateway {
    fn serves(&self, channel: Channel) -> bool {
        channel == Channel::Email
    }

    async fn deliver(&self, id: NoticeId, channel: Channel, message: &Message) -> Result<Handover, DeliveryError> {
        if channel != Channel::Email {
            return Err(Evidence::NotMail.error("no text messages are sent by this gateway"));
        }
        let mail = Mail::compose(id, message, &self.checked.sender)?;
        let at = Progress::default();
        let deadline = self.checked.deadline;
        let outcome = tokio::time::timeout(deadline, self.send(&mail, &at)).await.unwrap_or_else(|_| {
            let words = format!("no answer within {deadline:?}, {}", at.now().waits_for());
            Err(Evidence::Silent(at.now()).error(&words))
        });
        outcome.map(Handover::Accepted)
    }
}

/// The step at which a conversation stands.
struct Progress(Mutex<Step>);

impl Default for Progress {
    fn default() -> Self {
        Self(Mutex::new(Step::Connect))
    }
}

impl Progress {
    fn now(&self) -> Step {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn comes_to(&self, step: Step) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }
}
