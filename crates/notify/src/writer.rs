//! Messages from Fluent templates.

use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::notice::{Channel, Message, NoticeKind};
use domicile_domain::port::notifier::{MessageFacts, MessageWriter, RenderError};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unicode_segmentation::UnicodeSegmentation;

use crate::segments::segments;

/// A language that has every text.
struct Language {
    tag: &'static str,
    direction: &'static str,
    /// What stands between the items of a list.
    separator: &'static str,
    source: &'static str,
}

const LANGUAGES: [Language; 4] = [
    Language { tag: "en", direction: "ltr", separator: ", ", source: include_str!("../messages/en.ftl") },
    Language { tag: "de", direction: "ltr", separator: ", ", source: include_str!("../messages/de.ftl") },
    Language { tag: "hu", direction: "ltr", separator: ", ", source: include_str!("../messages/hu.ftl") },
    Language { tag: "ar", direction: "rtl", separator: "، ", source: include_str!("../messages/ar.ftl") },
];

/// A workspace's name in a text message is cut at this many characters as people count them.
const SMS_NAME: usize = 30;
/// A longer link would not leave room for the sentence.
const SMS_LINK: usize = 40;
/// A text message has no more segments than this, in any language.
const SMS_SEGMENTS: usize = 2;

/// Fluent's marks around a value, first strong isolate and its end.
const ISOLATE: char = '\u{2068}';
const ISOLATE_END: char = '\u{2069}';

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
    language: &'static Language,
    /// For plain text. Isolation marks turn a text message of one segment into three, and stand visibly in plain text.
    plain: FluentBundle<FluentResource>,
    /// For HTML. The marks around each value become elements that keep its direction to itself.
    marked: FluentBundle<FluentResource>,
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
        LANGUAGES.iter().map(read).collect::<Result<_, _>>().map(|texts| Self { texts })
    }
}

fn read(language: &'static Language) -> Result<Texts, LanguageError> {
    let wrong = |detail: String| LanguageError { language: language.tag.to_owned(), detail };
    let tag = LanguageTag::parse(language.tag).map_err(|e| wrong(e.to_string()))?;
    Ok(Texts {
        tag,
        language,
        plain: bundle(language, false).map_err(wrong)?,
        marked: bundle(language, true).map_err(wrong)?,
    })
}

fn bundle(language: &Language, isolating: bool) -> Result<FluentBundle<FluentResource>, String> {
    let identifier = language.tag.parse().map_err(|e| format!("{e:?}"))?;
    let resource = FluentResource::try_new(language.source.to_owned()).map_err(|(_, e)| format!("{e:?}"))?;
    let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
    bundle.set_use_isolating(isolating);
    bundle.add_resource(resource).map_err(|e| format!("{e:?}"))?;
    Ok(bundle)
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

/// The named values of a message.
type Values = Vec<(&'static str, String)>;

fn format(bundle: &FluentBundle<FluentResource>, key: &str, values: &Values) -> Result<String, String> {
    let pattern = bundle.get_message(key).and_then(|message| message.value());
    let pattern = pattern.ok_or_else(|| format!("`{key}` is missing"))?;
    let args: FluentArgs<'_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, Some(&args), &mut errors).into_owned();
    if errors.is_empty() { Ok(text) } else { Err(format!("`{key}`: {errors:?}")) }
}

impl Texts {
    fn values(&self, facts: &MessageFacts) -> Values {
        let values = [
            ("first_name", Some(facts.first_name.clone())),
            ("username", Some(facts.username.clone())),
            ("workspace", Some(facts.workspace.clone())),
            ("home", Some(facts.home.clone())),
            ("actor", facts.actor.clone()),
            ("roles", Some(facts.roles.join(self.language.separator))),
            ("link", facts.link.clone()),
            ("support_contact", facts.support_contact.clone()),
        ];
        values.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }

    fn message(&self, facts: &MessageFacts, subject: String, text: String, html: Option<String>) -> Message {
        Message {
            to: facts.to.clone(),
            from: facts.home.clone(),
            reply_to: facts.support_contact.clone(),
            language: self.tag.clone(),
            subject,
            text,
            html,
        }
    }

    fn mail(&self, facts: &MessageFacts) -> Result<Message, String> {
        let keys = mail_keys(facts);
        let values = self.values(facts);
        let paragraphs: Vec<String> =
            keys.paragraphs.iter().map(|key| format(&self.plain, key, &values)).collect::<Result<_, _>>()?;
        let subject = format(&self.plain, keys.subject, &values)?;
        let html = self.html(&keys, values)?;
        Ok(self.message(facts, subject, paragraphs.join("\n\n") + "\n", Some(html)))
    }

    /// The same paragraphs. The templates have nothing to escape (a test); the values are escaped here.
    fn html(&self, keys: &MailKeys, values: Values) -> Result<String, String> {
        let values: Values = values
            .into_iter()
            .map(|(name, value)| (name, if name == "link" { anchor(&value) } else { escaped(&value) }))
            .collect();
        let paragraph = |key: &&'static str| {
            let text = format(&self.marked, key, &values)?;
            Ok(format!("<p>{}</p>\n", text.replace(ISOLATE, "<bdi>").replace(ISOLATE_END, "</bdi>")))
        };
        let body = keys.paragraphs.iter().map(paragraph).collect::<Result<String, String>>()?;
        Ok(format!(
            "<!doctype html>\n<html lang=\"{}\" dir=\"{}\">\n<head><meta charset=\"utf-8\"></head>\n<body>\n{body}</body>\n</html>\n",
            self.tag, self.language.direction
        ))
    }

    fn text_message(&self, facts: &MessageFacts) -> Result<Message, String> {
        let link = facts.link.clone().filter(|link| link.chars().count() <= SMS_LINK);
        let key = match facts.kind {
            NoticeKind::Onboarding => either(link.is_some(), "sms-onboarding", "sms-onboarding-nowhere"),
            NoticeKind::AccessGranted => either(link.is_some(), "sms-granted", "sms-granted-nowhere"),
            NoticeKind::AccessRequested => either(link.is_some(), "sms-requested", "sms-requested-nowhere"),
        };
        let mut name: Vec<&str> = facts.workspace.graphemes(true).take(SMS_NAME).collect();
        // A character as people count may take many places, so the name gives way until the message fits.
        loop {
            let workspace = name.concat().trim_end().to_owned();
            let short = MessageFacts { workspace, link: link.clone(), ..facts.clone() };
            let text = format(&self.plain, key, &self.values(&short))?;
            if segments(&text) <= SMS_SEGMENTS || name.pop().is_none() {
                return Ok(self.message(facts, String::new(), text, None));
            }
        }
    }
}

/// A value as HTML. It brings no isolation marks of its own, so that it cannot end the element around it.
fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|c| !('\u{2066}'..=ISOLATE_END).contains(c)).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A link that can be followed, where it is one of the web; anything else stays text.
fn anchor(link: &str) -> String {
    let text = escaped(link);
    if link.starts_with("https://") || link.starts_with("http://") {
        format!("<a href=\"{text}\">{text}</a>")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn tag(text: &str) -> LanguageTag {
        LanguageTag::parse(text).unwrap()
    }

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
        let reference = keys(LANGUAGES[0].source);
        assert!(reference.len() > 25);
        for language in &LANGUAGES {
            assert_eq!(keys(language.source), reference, "{}", language.tag);
        }
    }

    #[test]
    fn templates_have_nothing_that_html_escapes_and_no_marks_of_direction() {
        for language in &LANGUAGES {
            let stray = |c: char| "<>&\"".contains(c) || ('\u{2066}'..='\u{2069}').contains(&c) || c == '\u{200f}';
            let texts = language.source.lines().filter(|line| !line.starts_with('#'));
            let strays: Vec<&str> = texts.filter(|line| line.contains(stray)).collect();
            assert_eq!(strays, Vec::<&str>::new(), "{}", language.tag);
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
                        assert!(!whole.contains("{$") && !whole.contains([ISOLATE, ISOLATE_END]), "{whole}");
                        for secret in ["password", "passwort", "jelszó", "كلمة"] {
                            assert!(!whole.to_lowercase().contains(secret), "{whole}");
                        }
                        assert_eq!((&message.language, &message.reply_to), (&language, &facts.support_contact));
                    }
                }
            }
        }
    }

    #[test]
    fn the_access_message_says_what_it_must_and_not_what_it_must_not() {
        let writer = FluentWriter::new().unwrap();
        for (language, as_usual, created) in [
            ("en", "as usual", "created"),
            ("de", "wie gewohnt", "angelegt"),
            ("hu", "szokásos módon", "létre"),
            ("ar", "كالمعتاد", "أُنشئ"),
        ] {
            let message = writer.write(&tag(language), &facts(NoticeKind::AccessGranted, Channel::Email)).unwrap();
            for said in
                ["Mbali", "Dana Reyes", "Acme", "Project guest", as_usual, "Borealis", "https://go.example/a1b2c3"]
            {
                assert!(message.text.contains(said), "{said}: {}", message.text);
            }
            assert!(!message.text.contains(created), "{}", message.text);
            assert_eq!(message.from, "Borealis");
        }
    }

    #[test]
    fn html_escapes_names_isolates_values_and_names_its_language_and_direction() {
        let writer = FluentWriter::new().unwrap();
        for (language, direction) in [("en", "ltr"), ("ar", "rtl")] {
            let hostile = MessageFacts {
                first_name: "\u{2069}<script>\u{2068}".into(),
                ..facts(NoticeKind::Onboarding, Channel::Email)
            };
            let html = writer.write(&tag(language), &hostile).unwrap().html.unwrap();
            assert!(html.contains("<bdi>Acme &lt;b&gt;Labs&lt;/b&gt; &amp; Söhne, International Ltd</bdi>"), "{html}");
            assert!(html.contains("<bdi>&lt;script&gt;</bdi>") && !html.contains("<b>"), "{html}");
            assert!(html.contains(&format!("lang=\"{language}\" dir=\"{direction}\"")), "{html}");
            assert_eq!(html.matches("<bdi>").count(), html.matches("</bdi>").count());
            assert!(html.contains("<a href=\"https://go.example/a1b2c3\">"), "{html}");
        }
    }

    #[test]
    fn only_links_of_the_web_can_be_followed() {
        let writer = FluentWriter::new().unwrap();
        let lure = MessageFacts {
            link: Some("javascript:alert(1)\"><x>".into()),
            ..facts(NoticeKind::Onboarding, Channel::Email)
        };
        let html = writer.write(&tag("en"), &lure).unwrap().html.unwrap();
        assert!(!html.contains("<a ") && !html.contains("<x>"), "{html}");
    }

    #[test]
    fn a_text_message_has_at_most_two_segments_and_no_personal_name() {
        let writer = FluentWriter::new().unwrap();
        for kind in NoticeKind::ALL {
            for language in writer.languages() {
                for workspace in ["W".repeat(60), "Ω".repeat(60), "ő".repeat(60), "م".repeat(60), "👨‍👩‍👧‍👦".repeat(8)]
                {
                    let mut facts = facts(kind, Channel::Sms);
                    facts.workspace = workspace;
                    facts.link = Some(format!("https://go.example/{}", "1".repeat(21)));
                    assert_eq!(facts.link.as_ref().unwrap().len(), SMS_LINK);
                    for link in [facts.link.clone(), None] {
                        facts.link.clone_from(&link);
                        let text = writer.write(&language, &facts).unwrap().text;
                        assert!(segments(&text) <= SMS_SEGMENTS, "{} segments: {text}", segments(&text));
                        assert!(!text.contains("Mbali") && !text.contains("Dana"), "{text}");
                        let first: String = facts.workspace.graphemes(true).take(1).collect();
                        assert!(text.contains(&first), "something of the name is left: {text}");
                        assert!(link.is_none_or(|link| text.contains(&link)), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_that_fits_is_cut_at_thirty_characters_as_people_count_them() {
        let writer = FluentWriter::new().unwrap();
        let mut facts = facts(NoticeKind::Onboarding, Channel::Sms);
        facts.workspace = "e\u{301}".repeat(60);
        facts.link = None;
        for language in writer.languages() {
            let text = writer.write(&language, &facts).unwrap().text;
            assert_eq!(text.matches("e\u{301}").count(), SMS_NAME, "{text}");
        }
    }
}
