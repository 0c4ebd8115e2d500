//! Notices, as callers see them.

use crate::model::notice::{Attempt, Message, Notice};

/// A notice as its viewer may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeView {
    /// The record.
    pub notice: Notice,
    /// The text: for the home and the person.
    pub message: Option<Message>,
    /// The attempts with the provider's words: for the home.
    pub attempts: Option<Vec<Attempt>>,
}
