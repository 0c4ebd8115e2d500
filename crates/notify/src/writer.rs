//! Messages from Fluent templates.

use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::notice::{Channel, Message, NoticeKind};
use domicile_domain::port::notifier::{MessageFacts, MessageWriter, RenderError};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unicode_segmentation::UnicodeSegmentation;

/// The languages that have every text, with the direction in which they are read.
const LANGUAGES: [(&str, &str, &str); 2] =
    [("en", "ltr", include_str!("../messages/en.ftl")), ("de", "ltr", include_str!("../messages/de.ftl"))];

/// A workspace's name in a text message is cut at this many characters as people count them.
const SMS_NAME: usize = 30;
/// A longer link would not leave room for the sentence.
const SMS_LINK: usize = 40;

/// The templates of a language cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the texts of `{language}` cannot be read: {detail}")]
pub struct LanguageError {
    /// Which language.
    pub language: String,
    /// What is wrong with them.
    pub detail: String,
}

struct Texts {
    tag: LanguageTag,
    direction: &'static str,
    bundle: FluentBundle<FluentResource>,
}

/// Writes messages from the templates of this crate.
pub struct FluentWriter {
    texts: Vec<Texts>,
}

impl FluentWriter {
    /// Reads the templates.
    ///
    /// # Errors
    /// A template has a syntax error or a key twice.
    pub fn new() -> Result<Self, LanguageError> {
        LANGUAGES.into_iter().map(read).collect::<Result<_, _>>().map(|texts| Self { texts })
    }
}

fn read((language, direction, source): (&str, &'static str, &str)) -> Result<Texts, LanguageError> {
    let wrong = |detail: String| LanguageError { language: language.to_owned(), detail };
    let tag = LanguageTag::parse(language).map_err(|e| wrong(e.to_string()))?;
    let identifier = language.parse().map_err(|e| wrong(format!("{e:?}")))?;
    let resource = FluentResource::try_new(source.to_owned()).map_err(|(_, e)| wrong(format!("{e:?}")))?;
    let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
    // Isolation characters turn a text message of one segment into three, and stand visibly in plain text.
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).map_err(|e| wrong(format!("{e:?}")))?;
    Ok(Texts { tag, direction, bundle })
}

impl MessageWriter for FluentWriter {
    fn languages(&self) -> Vec<LanguageTag> {
        self.texts.iter().map(|texts| texts.tag.clone()).collect()
    }

    fn write(&self, language: &LanguageTag, facts: &MessageFacts) -> Result<Message, RenderError> {
        let error = |detail: String| RenderError { language: language.clone(), kind: facts.kind, detail };
        let texts = self
            .texts
            .iter()
            .find(|texts| texts.tag == *language)
            .ok_or_else(|| error("there are no texts in this language".to_owned()))?;
        match facts.channel {
            Channel::Email => texts.mail(facts).map_err(error),
            Channel::Sms => texts.text_message(facts).map_err(error),
        }
    }
}

/// The keys of a mail, in order: a paragraph each.
struct MailKeys {
    subject: &'static str,
    paragraphs: Vec<&'static str>,
}

const fn either(present: bool, with: &'static str, without: &'static str) -> &'static str {
    if present { with } else { without }
}

fn mail_keys(facts: &MessageFacts) -> MailKeys {
    let (actor, link) = (facts.actor.is_some(), facts.link.is_some());
    let (subject, middle) = match facts.kind {
        NoticeKind::Onboarding => (
            "onboarding-subject",
            vec![
                either(actor, "onboarding-by", "onboarding-by-nobody"),
                "onboarding-username",
                either(link, "onboarding-begin", "onboarding-begin-nowhere"),
            ],
        ),
        NoticeKind::AccessGranted => (
            "granted-subject",
            vec![
                either(actor, "granted-by", "granted-by-nobody"),
                either(facts.roles.is_empty(), "granted-roles-none", "granted-roles"),
                "granted-home",
                either(link, "granted-leave", "granted-leave-nowhere"),
            ],
        ),
        NoticeKind::AccessRequested => (
            "requested-subject",
            vec![
                either(actor, "requested-by", "requested-by-nobody"),
                "requested-nothing-yet",
                either(link, "requested-answer", "requested-answer-nowhere"),
            ],
        ),
    };
    let unexpected = either(facts.support_contact.is_some(), "unexpected", "unexpected-nobody");
    let paragraphs = std::iter::once("greeting").chain(middle).chain([unexpected, "signature"]).collect();
    MailKeys { subject, paragraphs }
}

impl Texts {
    fn format(&self, key: &str, facts: &MessageFacts) -> Result<String, String> {
        let mut args = FluentArgs::new();
        let mut name = |key: &'static str, value: Option<&str>| {
            if let Some(value) = value {
                args.set(key, value.to_owned());
            }
        };
        name("first_name", Some(&facts.first_name));
        name("username", Some(&facts.username));
        name("workspace", Some(&facts.workspace));
        name("home", Some(&facts.home));
        name("actor", facts.actor.as_deref());
        name("roles", Some(&facts.roles.join(", ")));
        name("link", facts.link.as_deref());
        name("support_contact", facts.support_contact.as_deref());
        let pattern = self.bundle.get_message(key).and_then(|message| message.value());
        let pattern = pattern.ok_or_else(|| format!("`{key}` is missing"))?;
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&args), &mut errors).into_owned();
        if errors.is_empty() { Ok(text) } else { Err(format!("`{key}`: {errors:?}")) }
    }

    fn mail(&self, facts: &MessageFacts) -> Result<Message, String> {
        let keys = mail_keys(facts);
        let paragraphs: Vec<String> =
            keys.paragraphs.iter().map(|key| self.format(key, facts)).collect::<Result<_, _>>()?;
        let html = paragraphs.iter().fold(String::new(), |html, p| {
            html + "<p>"
                + &escaped(p)
                + "</p>
"
        });
        Ok(Message {
            to: facts.to.clone(),
            from: facts.home.clone(),
            reply_to: facts.support_contact.clone(),
            language: self.tag.clone(),
            subject: self.format(keys.subject, facts)?,
            text: paragraphs.join("\n\n") + "\n",
            html: Some(format!(
                "<!doctype html>\n<html lang=\"{}\" dir=\"{}\">\n<body>\n{html}</body>\n</html>\n",
                self.tag, self.direction
            )),
        })
    }

    fn text_message(&self, facts: &MessageFacts) -> Result<Message, String> {
        let short = MessageFacts {
            workspace: facts.workspace.graphemes(true).take(SMS_NAME).collect(),
            link: facts.link.clone().filter(|link| link.chars().count() <= SMS_LINK),
            ..facts.clone()
        };
        let link = short.link.is_some();
        let key = match facts.kind {
            NoticeKind::Onboarding => either(link, "sms-onboarding", "sms-onboarding-nowhere"),
            NoticeKind::AccessGranted => either(link, "sms-granted", "sms-granted-nowhere"),
            NoticeKind::AccessRequested => either(link, "sms-requested", "sms-requested-nowhere"),
        };
        Ok(Message {
            to: facts.to.clone(),
            from: facts.home.clone(),
            reply_to: facts.support_contact.clone(),
            language: self.tag.clone(),
            subject: String::new(),
            text: self.format(key, &short)?,
            html: None,
        })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn facts(kind: NoticeKind, channel: Channel) -> MessageFacts {
        MessageFacts {
            kind,
            channel,
            first_name: "Mbali".into(),
            username: "m.okafor".into(),
            to: "m.okafor@borealis.example".into(),
            workspace: "Acme <b>Labs</b> & Söhne, International Ltd".into(),
            home: "Borealis".into(),
            actor: Some("Dana Reyes".into()),
            roles: vec!["Guest".into(), "Project guest".into()],
            link: Some("https://go.example/a1b2c3".into()),
            support_contact: Some("help@borealis.example".into()),
        }
    }

    /// Key -> the placeholders of its text.
    fn keys(source: &str) -> BTreeMap<String, BTreeSet<String>> {
        let entries = source.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(" = "));
        entries
            .map(|(key, text)| {
                let names =
                    text.split("{ $").skip(1).filter_map(|rest| rest.split_once(" }")).map(|(n, _)| n.to_owned());
                (key.to_owned(), names.collect())
            })
            .collect()
    }

    #[test]
    fn no_language_lacks_a_key_or_a_placeholder() {
        let reference = keys(LANGUAGES[0].2);
        assert!(reference.len() > 25);
        for (language, _, source) in LANGUAGES {
            assert_eq!(keys(source), reference, "{language}");
        }
    }

    #[test]
    fn every_message_is_written_in_every_language_with_and_without_every_fact() {
        let writer = FluentWriter::new().unwrap();
        for kind in NoticeKind::ALL {
            for channel in [Channel::Email, Channel::Sms] {
                for language in writer.languages() {
                    let full = facts(kind, channel);
                    let bare =
                        MessageFacts { actor: None, roles: vec![], link: None, support_contact: None, ..full.clone() };
                    for facts in [full, bare] {
                        let message = writer.write(&language, &facts).unwrap();
                        let whole =
                            format!("{}{}{}", message.subject, message.text, message.html.clone().unwrap_or_default());
                        assert!(!whole.contains("{$") && !whole.contains('\u{2068}'), "{whole}");
                        assert!(
                            !whole.to_lowercase().contains("password") && !whole.to_lowercase().contains("passwort")
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_access_message_says_what_it_must_and_not_what_it_must_not() {
        let writer = FluentWriter::new().unwrap();
        let message = writer
            .write(&LanguageTag::parse("de").unwrap(), &facts(NoticeKind::AccessGranted, Channel::Email))
            .unwrap();
        for said in [
            "Mbali",
            "Dana Reyes",
            "Acme",
            "Guest, Project guest",
            "wie gewohnt",
            "Borealis",
            "https://go.example/a1b2c3",
        ] {
            assert!(message.text.contains(said), "{said}: {}", message.text);
        }
        assert!(!message.text.contains("angelegt"));
        assert_eq!(message.from, "Borealis");
    }

    #[test]
    fn html_escapes_names_and_names_its_language() {
        let writer = FluentWriter::new().unwrap();
        let message =
            writer.write(&LanguageTag::parse("en").unwrap(), &facts(NoticeKind::Onboarding, Channel::Email)).unwrap();
        let html = message.html.unwrap();
        assert!(html.contains("&lt;b&gt;Labs&lt;/b&gt; &amp; Söhne") && !html.contains("<b>"), "{html}");
        assert!(html.contains("lang=\"en\" dir=\"ltr\""));
    }

    /// Segments of a text message: 160 characters of the GSM alphabet or 70 of UCS-2; fewer each when there are several.
    fn segments(text: &str) -> usize {
        let gsm = text.chars().all(|c| {
            c.is_ascii_graphic() && !"`^{}[]~|\\".contains(c) || " ÄÖÜäöüßàéèùìòÇØøÅåÆæÉÑñ£¥§¿¡\n".contains(c)
        });
        let (length, one, many) =
            if gsm { (text.chars().count(), 160, 153) } else { (text.encode_utf16().count(), 70, 67) };
        if length <= one { 1 } else { length.div_ceil(many) }
    }

    #[test]
    fn a_text_message_has_at_most_two_segments_and_no_personal_name() {
        let writer = FluentWriter::new().unwrap();
        for kind in NoticeKind::ALL {
            for language in writer.languages() {
                for workspace in ["W".repeat(60), "Ω".repeat(60)] {
                    let mut facts = facts(kind, Channel::Sms);
                    facts.workspace = workspace;
                    facts.link = Some("https://go.example/0123456789012345678901".into());
                    for link in [facts.link.clone(), None] {
                        facts.link = link;
                        let text = writer.write(&language, &facts).unwrap().text;
                        assert!(segments(&text) <= 2, "{} segments: {text}", segments(&text));
                        assert!(!text.contains("Mbali") && !text.contains("Dana"), "{text}");
                    }
                }
            }
        }
    }
}
