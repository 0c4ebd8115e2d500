//! The development catcher: messages become files instead of leaving.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::{Channel, Message};
use domicile_domain::port::notifier::{DeliveryError, Handover, NotificationGateway, Trouble};
use tokio::io::AsyncWriteExt;

/// Writes each message to `<folder>/<notice id>.txt`, readable by its owner alone. The same id twice is the same file.
#[derive(Debug, Clone)]
pub struct CaptureGateway {
    folder: PathBuf,
}

impl CaptureGateway {
    /// A catcher that writes into `folder`, which is made when the first message comes.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    async fn write(&self, path: &Path, content: &str) -> io::Result<()> {
        tokio::fs::create_dir_all(&self.folder).await?;
        let draft = path.with_extension("draft");
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&draft).await?;
        file.write_all(content.as_bytes()).await?;
        file.sync_all().await?;
        // Whoever looks sees a whole message or none.
        tokio::fs::rename(&draft, path).await
    }
}

#[async_trait]
impl NotificationGateway for CaptureGateway {
    fn serves(&self, _channel: Channel) -> bool {
        true
    }

    async fn deliver(&self, id: NoticeId, channel: Channel, message: &Message) -> Result<Handover, DeliveryError> {
        let path = self.folder.join(format!("{id}.txt"));
        let head = match channel {
            Channel::Email => {
                let reply_to = message.reply_to.as_ref().map(|to| format!("Reply-To: {to}\n")).unwrap_or_default();
                format!(
                    "From: {}\nTo: {}\n{reply_to}Subject: {}\nMessage-ID: <{id}@domicile>\nContent-Language: {}\nAuto-Submitted: auto-generated\n",
                    message.from, message.to, message.subject, message.language
                )
            }
            Channel::Sms => format!("From: {}\nTo: {}\n", message.from, message.to),
        };
        let content = format!("{head}\n{}", message.text);
        match self.write(&path, &content).await {
            Ok(()) => Ok(Handover::Captured(format!("kept in {}", path.display()))),
            Err(error) => {
                let reason = "the development catcher cannot write; free space or rights in its folder";
                let words = format!("{} could not be written: {error}", path.display());
                Err(DeliveryError::new(Trouble::Misconfigured, reason, words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_domain::model::language::LanguageTag;

    fn message(text: &str) -> Message {
        Message {
            to: "a@b.example".into(),
            from: "Acme".into(),
            reply_to: Some("help@acme.example".into()),
            language: LanguageTag::parse("en").unwrap(),
            subject: "Hi".into(),
            text: text.into(),
            html: None,
        }
    }

    #[tokio::test]
    async fn a_message_is_kept_once_however_often_it_is_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let gateway = CaptureGateway::new(folder.path().join("messages"));
        for _ in 0..2 {
            let kept = gateway.deliver(NoticeId::nil(), Channel::Email, &message("Hello")).await.unwrap();
            assert!(matches!(kept, Handover::Captured(place) if place.contains("messages")));
        }
        let files: Vec<_> =
            std::fs::read_dir(folder.path().join("messages")).unwrap().map(|f| f.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        let content = std::fs::read_to_string(&files[0]).unwrap();
        assert!(
            content.starts_with("From: Acme\nTo: a@b.example\nReply-To: help@acme.example\nSubject: Hi\nMessage-ID: <")
                && content.ends_with("\n\nHello")
        );
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let refused =
            CaptureGateway::new(&file).deliver(NoticeId::nil(), Channel::Sms, &message("Hi")).await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Misconfigured);
        assert!(refused.provider_words.contains("file") && !refused.reason.contains("file"), "{refused}");
    }
}
