//! A message as mail.

use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::Message;
use domicile_domain::port::notifier::DeliveryError;
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::settings::Sender;
use super::verdict::Evidence;

/// A mail, ready to be sent.
pub(super) struct Mail {
    pub(super) from: Address,
    pub(super) to: Address,
    /// Headers and body.
    pub(super) content: Vec<u8>,
}

impl Mail {
    /// Writes the mail. The same id gives the same `Message-ID`, so that receivers can drop what comes twice.
    ///
    /// # Errors
    /// Permanent: the address is none that mail is sent to.
    pub(super) fn compose(id: NoticeId, message: &Message, sender: &Sender) -> Result<Self, DeliveryError> {
        let unusable = |detail: &str| Evidence::UnusableAddress.error(detail);
        let to = EmailAddress::parse(&message.to).ok().as_ref().and_then(address);
        let to = to.ok_or_else(|| unusable("the relay was not asked"))?;
        let from = Mailbox::new(Some(header_text(&message.from)), sender.address.clone());
        let mut mail = lettre::Message::builder()
            .from(from)
            .to(Mailbox::new(None, to.clone()))
            .subject(header_text(&message.subject))
            .date_now()
            .message_id(Some(format!("<{id}@{}>", sender.address.domain())))
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("Content-Language", message.language.as_str()));
        let reply_to = message.reply_to.as_deref().and_then(|text| EmailAddress::parse(text).ok());
        // An international address to answer to would keep the mail from people who can get it: they find it in the text.
        let reply_to = reply_to.as_ref().and_then(address).filter(|reply| is_plain(reply) || !is_plain(&to));
        if let Some(reply_to) = reply_to {
            mail = mail.reply_to(Mailbox::new(None, reply_to));
        }
        let text = SinglePart::plain(message.text.clone());
        let mail = match &message.html {
            Some(html) => {
                mail.multipart(MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.clone())))
            }
            None => mail.singlepart(text),
        };
        let content = mail.map_err(|error| unusable(&error.to_string()))?.formatted();
        Ok(Self { from: sender.address.clone(), to, content })
    }

    /// Whether the recipient's name is in letters that a relay must be able to carry (RFC 6531).
    pub(super) fn is_international(&self) -> bool {
        !is_plain(&self.to)
    }
}

/// An address for the envelope and the headers: the local part as typed, the domain in A-label form.
pub(super) fn address(of: &EmailAddress) -> Option<Address> {
    let (local, _) = of.as_str().rsplit_once('@')?;
    Address::new(local, of.domain().as_str()).ok()
}

fn is_plain(address: &Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A text as it may stand in a header: no controls, whatever the caller let through, and nothing that a mail program would
/// decode once more (`=?utf-8?q?...?=` typed as a name).
fn header_text(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace("=?", "=\u{200b}?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_domain::model::language::LanguageTag;
    use domicile_domain::port::notifier::Trouble;

    fn message() -> Message {
        Message {
            to: "anna@acme.example".into(),
            from: "Acme".into(),
            reply_to: Some("help@acme.example".into()),
            language: LanguageTag::parse("pt-BR").unwrap(),
            subject: "Your account".into(),
            text: "Hello\n".into(),
            html: Some("<p>Hello</p>\n".into()),
        }
    }

    fn composed(message: &Message) -> (Mail, Vec<String>) {
        let sender = Sender { address: "no-reply@acme.example".parse().unwrap() };
        let mail = Mail::compose(NoticeId::nil(), message, &sender).unwrap();
        let text = String::from_utf8(mail.content.clone()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        // Folded lines belong to the one before.
        let headers = head.replace("\r\n ", " ").split("\r\n").map(ToOwned::to_owned).collect();
        (mail, headers)
    }

    #[test]
    fn headers_say_who_sends_in_which_language_and_that_it_is_a_machine() {
        let (_, headers) = composed(&message());
        for expected in [
            "From: Acme <no-reply@acme.example>",
            "To: anna@acme.example",
            "Subject: Your account",
            "Message-ID: <00000000-0000-0000-0000-000000000000@acme.example>",
            "Reply-To: help@acme.example",
            "Auto-Submitted: auto-generated",
            "Content-Language: pt-BR",
        ] {
            assert!(headers.iter().any(|header| header == expected), "{expected}: {headers:?}");
        }
        assert!(headers.iter().any(|header| header.starts_with("Date: ")));
        assert!(headers.iter().any(|header| header.starts_with("Content-Type: multipart/alternative")));
    }

    #[test]
    fn nothing_in_a_value_becomes_a_header() {
        let hostile = "x\r\nBcc: evil@evil.example\r\n\r\nbody";
        let (mail, headers) = composed(&Message {
            from: hostile.into(),
            subject: hostile.into(),
            reply_to: Some(format!("help@acme.example{hostile}")),
            ..message()
        });
        let names: Vec<&str> = headers.iter().filter_map(|header| header.split_once(": ")).map(|(n, _)| n).collect();
        assert_eq!(
            names,
            [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "Auto-Submitted",
                "Content-Language",
                "MIME-Version",
                "Content-Type"
            ],
            "{}",
            String::from_utf8_lossy(&mail.content)
        );
    }

    #[test]
    fn a_name_that_looks_encoded_is_not_decoded_once_more() {
        let typed = "=?utf-8?q?evil?=";
        let (_, headers) = composed(&Message { from: typed.into(), subject: typed.into(), ..message() });
        assert!(headers.iter().all(|header| !header.contains(typed)), "{headers:?}");
    }

    #[test]
    fn the_domain_is_in_a_label_form_and_the_name_as_typed() {
        let (mail, _) = composed(&Message { to: "Anna@Bücher.example".into(), ..message() });
        assert_eq!(mail.to.to_string(), "Anna@xn--bcher-kva.example");
        assert!(!mail.is_international());
        let (mail, headers) = composed(&Message {
            to: "jürgen@bücher.example".into(),
            reply_to: Some("ő@b.example".into()),
            ..message()
        });
        assert_eq!(mail.to.to_string(), "jürgen@xn--bcher-kva.example");
        assert!(mail.is_international() && headers.iter().any(|header| header == "Reply-To: ő@b.example"));
    }

    #[test]
    fn an_international_address_to_answer_to_does_not_keep_mail_from_others() {
        let (mail, headers) = composed(&Message { reply_to: Some("ő@b.example".into()), ..message() });
        assert!(mail.content.is_ascii() && headers.iter().all(|header| !header.starts_with("Reply-To")));
    }

    #[test]
    fn every_address_that_we_take_can_be_written_to() {
        for local in ["a", "a.b+c", "!#$%&'*+-/=?^_`{|}~", "x".repeat(64).as_str(), "用户", "é.ü"] {
            let parsed = EmailAddress::parse(&format!("{local}@acme.example")).unwrap();
            assert_eq!(address(&parsed).unwrap().user(), local);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_for_good() {
        let sender = Sender { address: "no-reply@acme.example".parse().unwrap() };
        let refused = Mail::compose(NoticeId::nil(), &Message { to: "+3612345".into(), ..message() }, &sender).err();
        assert_eq!(refused.map(|error| error.trouble), Some(Trouble::Permanent));
    }
}
