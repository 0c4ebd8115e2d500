//! A gateway that keeps what it is given.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::{Channel, Message};
use domicile_domain::port::notifier::{DeliveryError, Handover, NotificationGateway, Trouble};

/// A message as it was handed over and answered, taken or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The message id.
    pub id: NoticeId,
    /// By which channel.
    pub channel: Channel,
    /// The text.
    pub message: Message,
    /// What was answered.
    pub answer: Result<Handover, DeliveryError>,
}

#[derive(Debug)]
enum Scripted {
    Answer(Result<Handover, DeliveryError>),
    Silence,
}

#[derive(Debug, Default)]
struct Inner {
    script: VecDeque<Scripted>,
    handed: Vec<Handed>,
}

/// Records every message and answers as told; takes them all if told nothing.
#[derive(Debug)]
pub struct RecordingGateway {
    channels: Vec<Channel>,
    inner: Mutex<Inner>,
}

impl Default for RecordingGateway {
    fn default() -> Self {
        Self::serving(&[Channel::Email, Channel::Sms])
    }
}

impl RecordingGateway {
    /// A gateway that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A gateway that serves these channels alone.
    pub fn serving(channels: &[Channel]) -> Self {
        Self { channels: channels.to_vec(), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to the next message that has none yet; answers queue up.
    pub fn answer(&self, answer: Result<Handover, DeliveryError>) {
        self.lock().script.push_back(Scripted::Answer(answer));
    }

    /// Never answers the next message.
    pub fn stay_silent(&self) {
        self.lock().script.push_back(Scripted::Silence);
    }

    /// Refuses the next message for now.
    pub fn fail_for_now(&self, words: &str) {
        self.answer(Err(DeliveryError::new(Trouble::Transient, "the relay is busy", words)));
    }

    /// Refuses the next message since the operator's set-up is wrong.
    pub fn fail_by_set_up(&self, words: &str) {
        self.answer(Err(DeliveryError::new(Trouble::Misconfigured, "the relay refuses our login", words)));
    }

    /// Refuses the next message for good.
    pub fn fail_for_good(&self, words: &str) {
        self.answer(Err(DeliveryError::new(Trouble::Permanent, "the mailbox does not exist", words)));
    }

    /// Everything that was handed over, in order.
    pub fn handed(&self) -> Vec<Handed> {
        self.lock().handed.clone()
    }

    /// What was taken, in order.
    pub fn taken(&self) -> Vec<Handed> {
        self.handed().into_iter().filter(|handed| handed.answer.is_ok()).collect()
    }
}

#[async_trait]
impl NotificationGateway for RecordingGateway {
    fn serves(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    async fn deliver(&self, id: NoticeId, channel: Channel, message: &Message) -> Result<Handover, DeliveryError> {
        tokio::task::yield_now().await;
        let scripted = self.lock().script.pop_front();
        let answer = match scripted {
            Some(Scripted::Silence) => std::future::pending().await,
            Some(Scripted::Answer(answer)) => answer,
            None => Ok(Handover::Accepted("250 ok".to_owned())),
        };
        self.lock().handed.push(Handed { id, channel, message: message.clone(), answer: answer.clone() });
        answer
    }
}
