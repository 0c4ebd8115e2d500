//! A writer of messages with every fact in the text.

use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::notice::{Channel, Message, NoticeKind};
use domicile_domain::port::notifier::{MessageFacts, MessageWriter, RenderError};

/// Writes plain English and German.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainWriter;

impl MessageWriter for PlainWriter {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "de"].into_iter().filter_map(|tag| LanguageTag::parse(tag).ok()).collect()
    }

    fn write(&self, language: &LanguageTag, facts: &MessageFacts) -> Result<Message, RenderError> {
        let (hello, deed) = match (language.as_str(), facts.kind) {
            ("en", NoticeKind::Onboarding) => ("Hello", "welcome to"),
            ("en", NoticeKind::AccessGranted) => ("Hello", "you have access to"),
            ("en", NoticeKind::AccessRequested) => ("Hello", "please accept access to"),
            ("de", NoticeKind::Onboarding) => ("Hallo", "willkommen bei"),
            ("de", NoticeKind::AccessGranted) => ("Hallo", "Sie haben Zugang zu"),
            ("de", NoticeKind::AccessRequested) => ("Hallo", "bitte bestätigen Sie den Zugang zu"),
            _ => {
                return Err(RenderError {
                    language: language.clone(),
                    kind: facts.kind,
                    detail: "no text in this language".to_owned(),
                });
            }
        };
        let line = format!("{deed} {}", facts.workspace);
        let rest = [
            Some(facts.username.clone()),
            facts.actor.clone(),
            (!facts.roles.is_empty()).then(|| facts.roles.join(", ")),
            facts.link.clone(),
            facts.support_contact.clone(),
        ];
        let rest: Vec<String> = rest.into_iter().flatten().collect();
        Ok(Message {
            to: facts.to.clone(),
            from: facts.home.clone(),
            reply_to: facts.support_contact.clone(),
            language: language.clone(),
            subject: if facts.channel == Channel::Email { line.clone() } else { String::new() },
            text: format!("{hello} {}, {line}. {}", facts.first_name, rest.join(" | ")),
            html: None,
        })
    }
}
