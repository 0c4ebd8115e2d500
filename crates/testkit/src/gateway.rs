//! A gateway that keeps what it is given.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::{Channel, Message};
use domicile_domain::port::notifier::{DeliveryError, Handover, NotificationGateway};

/// A message as it was handed over, taken or not.
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

#[derive(Debug, Default)]
struct Inner {
    script: VecDeque<Result<Handover, DeliveryError>>,
    handed: Vec<Handed>,
}

/// Records every message and answers as told; takes them all if told nothing.
#[derive(Debug, Default)]
pub struct RecordingGateway {
    inner: Mutex<Inner>,
}

impl RecordingGateway {
    /// A gateway that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to the next message that has none yet; answers queue up.
    pub fn answer(&self, answer: Result<Handover, DeliveryError>) {
        self.lock().script.push_back(answer);
    }

    /// Refuses the next message for now.
    pub fn fail_for_now(&self, words: &str) {
        self.answer(Err(DeliveryError::Transient(words.to_owned())));
    }

    /// Refuses the next message for good.
    pub fn fail_for_good(&self, words: &str) {
        self.answer(Err(DeliveryError::Permanent(words.to_owned())));
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
    async fn deliver(&self, id: NoticeId, channel: Channel, message: &Message) -> Result<Handover, DeliveryError> {
        tokio::task::yield_now().await;
        let mut inner = self.lock();
        let answer = inner.script.pop_front().unwrap_or_else(|| Ok(Handover::Accepted("250 ok".to_owned())));
        inner.handed.push(Handed { id, channel, message: message.clone(), answer: answer.clone() });
        answer
    }
}
