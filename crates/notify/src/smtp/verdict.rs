//! What a relay's behaviour means: whose trouble it is, and what to do. One table, first fit.

use domicile_domain::port::notifier::{DeliveryError, Trouble};

/// Where in the conversation something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Connection, encryption from the first byte, greeting.
    Connect,
    /// STARTTLS.
    Encrypt,
    /// AUTH.
    Login,
    /// MAIL: our address.
    Sender,
    /// RCPT: the person's address.
    Recipient,
    /// DATA and the message.
    Content,
}

impl Step {
    /// What is waited for, for the record.
    pub const fn waits_for(self) -> &'static str {
        match self {
            Self::Connect => "waiting for its greeting",
            Self::Encrypt => "waiting for encryption",
            Self::Login => "waiting for the answer to our login",
            Self::Sender => "waiting for the answer to our sender address",
            Self::Recipient => "waiting for the answer to the recipient's address",
            Self::Content => "waiting for the answer to the message",
        }
    }
}

/// What was seen, where it is no refusal in the relay's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Nothing listens there, or no way leads there.
    Unreachable,
    /// The relay's name is not known.
    NameUnknown,
    /// No answer within the deadline.
    Silent(Step),
    /// The connection ended in the middle.
    Closed,
    /// What answers does not speak SMTP, or not in turn.
    NotSmtp,
    /// It answers in the clear where encryption was expected.
    Unencrypted,
    /// Its certificate is not one that we trust for its name.
    Untrusted,
    /// Encryption failed in another way.
    EncryptionFailed,
    /// It offers no STARTTLS.
    NoStartTls,
    /// It offers no login that we have.
    NoLogin,
    /// It cannot carry international addresses (no SMTPUTF8).
    NoInternational,
    /// The address is none that mail is sent to.
    UnusableAddress,
    /// The message is no mail.
    NotMail,
}

/// Whose trouble it is, and what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Whose trouble, and so whether to try again.
    pub trouble: Trouble,
    /// What is wrong and what to do, without personal data.
    pub reason: &'static str,
}

impl Judgement {
    pub(super) fn error(self, words: &str) -> DeliveryError {
        DeliveryError::new(self.trouble, self.reason, words)
    }
}

impl Evidence {
    pub(super) fn error(self, words: &str) -> DeliveryError {
        judge(self).error(words)
    }
}

const NOT_ANSWERING: &str = "our relay is not answering; the operator checks its host, port and the network";
const NOT_GREETING: &str = "our relay is not answering; the operator checks its host and port, and whether the port expects \
                            encryption from the first byte (smtp.security = tls)";
const REFUSES_LOGIN: &str = "the relay refuses our encryption or login; notices wait, nothing is lost: the operator corrects \
                             smtp.security or the credentials";
const IN_THE_CLEAR: &str = "the relay's port does not speak TLS from the first byte; notices wait, nothing is lost: the \
                            operator sets smtp.security to starttls or corrects the port";
const NO_STARTTLS: &str = "the relay offers no STARTTLS; notices wait, nothing is lost: the operator corrects smtp.security or \
                           the port, or switches encryption on at the relay";
const UNTRUSTED: &str = "the relay's certificate is not trusted for its name; notices wait, nothing is lost: the operator \
                         corrects smtp.host or adds the authority's root certificate";
const REFUSES_US: &str = "the relay refuses this server; notices wait, nothing is lost: the operator corrects host, port or \
                          credentials, or has the relay let this server in";
const REFUSES_SENDER: &str = "the relay refuses our sender address; notices wait, nothing is lost: the operator corrects \
                              smtp.sender or has the relay allow it";
const REFUSES_TO_RELAY: &str = "the relay delivers to its own people alone; notices wait, nothing is lost: the operator logs in \
                                to it or has it let this server in";
const NO_MAILBOX: &str = "the mailbox does not exist or takes no mail; correct the address";
const RECEIVER_REFUSES_US: &str = "the receiver refuses our sender; the operator checks SPF and DKIM of the sender's domain; \
                                   reach the person by another channel";
const FULL: &str = "the mailbox is full; reach the person by another channel; it is tried again";
const TOO_LARGE: &str = "the receiver takes no message of this size; reach the person by another channel";
const INTERNATIONAL: &str = "the relay cannot send to international addresses; use another address or another channel";
const LATER: &str = "the relay or the receiver asks to come again later; it is tried again";
const REFUSED: &str = "the message was refused for good; the provider's own words tell why";
const NOT_SMTP: &str = "what answers is not a mail relay; notices wait, nothing is lost: the operator corrects smtp.host or \
                        smtp.port";

/// What the evidence means.
pub const fn judge(evidence: Evidence) -> Judgement {
    use Trouble::{Misconfigured, Permanent, Transient};
    let (trouble, reason) = match evidence {
        Evidence::Silent(Step::Connect) => (Transient, NOT_GREETING),
        Evidence::Unreachable | Evidence::NameUnknown | Evidence::Closed | Evidence::Silent(_) => {
            (Transient, NOT_ANSWERING)
        }
        Evidence::NotSmtp => (Misconfigured, NOT_SMTP),
        Evidence::Unencrypted => (Misconfigured, IN_THE_CLEAR),
        Evidence::Untrusted => (Misconfigured, UNTRUSTED),
        Evidence::NoStartTls => (Misconfigured, NO_STARTTLS),
        Evidence::EncryptionFailed | Evidence::NoLogin => (Misconfigured, REFUSES_LOGIN),
        Evidence::NoInternational => (Permanent, INTERNATIONAL),
        Evidence::UnusableAddress => (Permanent, "the address cannot be written to; correct it"),
        Evidence::NotMail => {
            (Permanent, "this gateway cannot send text messages; use mail, or set up a gateway for them")
        }
    };
    Judgement { trouble, reason }
}

/// A refusal in the relay's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What it answers.
    pub step: Step,
    /// The three digits.
    pub code: u16,
    /// The words behind them, which may begin with an enhanced code (RFC 3463).
    pub text: &'a str,
}

impl Reply<'_> {
    /// The enhanced code, if the words begin with one of the reply's own class.
    fn enhanced(&self) -> Option<&str> {
        let word = self.text.split_whitespace().next()?;
        let parts: Vec<&str> = word.split('.').collect();
        let numbers =
            parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()));
        let class = parts.first().and_then(|class| class.parse().ok());
        (parts.len() == 3 && numbers && class == Some(self.code / 100)).then_some(word)
    }
}

/// One line of the table. An empty list fits everything.
struct Row {
    steps: &'static [Step],
    codes: (u16, u16),
    /// Whole codes, `5.1.1`, or groups that end in a dot, `5.7.`
    enhanced: &'static [&'static str],
    /// Any of them, in lower case.
    words: &'static [&'static str],
    trouble: Trouble,
    reason: &'static str,
}

const ANY: &[Step] = &[];
const BEFORE_MAIL: &[Step] = &[Step::Connect, Step::Encrypt, Step::Login];
const SENDER: &[Step] = &[Step::Sender];
const RECIPIENT: &[Step] = &[Step::Recipient];
const REFUSED_AT_ALL: (u16, u16) = (500, 599);

const fn row(
    steps: &'static [Step],
    codes: (u16, u16),
    enhanced: &'static [&'static str],
    words: &'static [&'static str],
    trouble: Trouble,
    reason: &'static str,
) -> Row {
    Row { steps, codes, enhanced, words, trouble, reason }
}

const RELAYING: &[&str] = &[
    "relay access denied",
    "relaying denied",
    "unable to relay",
    "relay not permitted",
    "relaying not allowed",
    "not relay",
];

/// The first line that fits says what a refusal means.
const REPLIES: &[Row] = &[
    // Encryption or login wanted (530, 538), too weak (534), wrong (535): our own set-up, whatever it answers.
    row(ANY, (530, 530), &[], &[], Trouble::Misconfigured, REFUSES_LOGIN),
    row(ANY, (534, 535), &[], &[], Trouble::Misconfigured, REFUSES_LOGIN),
    row(ANY, (538, 538), &[], &[], Trouble::Misconfigured, REFUSES_LOGIN),
    // Before anything was said of the message, a refusal is of us.
    row(&[Step::Encrypt, Step::Login], REFUSED_AT_ALL, &[], &[], Trouble::Misconfigured, REFUSES_LOGIN),
    row(BEFORE_MAIL, REFUSED_AT_ALL, &[], &[], Trouble::Misconfigured, REFUSES_US),
    // A mailbox is emptied sooner or later; a message does not become smaller.
    row(ANY, (500, 599), &["5.2.3", "5.3.4"], &[], Trouble::Permanent, TOO_LARGE),
    row(ANY, (552, 552), &[], &["too large", "too big", "size"], Trouble::Permanent, TOO_LARGE),
    row(ANY, (400, 599), &["4.2.2", "5.2.2"], &[], Trouble::Transient, FULL),
    row(ANY, (552, 552), &[], &[], Trouble::Transient, FULL),
    // An address that the relay, or one behind it, cannot carry.
    row(ANY, REFUSED_AT_ALL, &["5.6.7"], &[], Trouble::Permanent, INTERNATIONAL),
    row(ANY, REFUSED_AT_ALL, &[], &["smtputf8"], Trouble::Permanent, INTERNATIONAL),
    // Our address, refused where it is said or where the recipient is named.
    row(SENDER, REFUSED_AT_ALL, &[], &[], Trouble::Misconfigured, REFUSES_SENDER),
    row(ANY, REFUSED_AT_ALL, &["5.1.7", "5.1.8"], &[], Trouble::Misconfigured, REFUSES_SENDER),
    row(ANY, REFUSED_AT_ALL, &[], RELAYING, Trouble::Misconfigured, REFUSES_TO_RELAY),
    // The recipient.
    row(ANY, REFUSED_AT_ALL, &["5.7."], &[], Trouble::Permanent, RECEIVER_REFUSES_US),
    row(ANY, REFUSED_AT_ALL, &["5.1.", "5.2.1", "5.4.1"], &[], Trouble::Permanent, NO_MAILBOX),
    row(RECIPIENT, (550, 551), &[], &[], Trouble::Permanent, NO_MAILBOX),
    row(RECIPIENT, (553, 553), &[], &[], Trouble::Permanent, NO_MAILBOX),
    // What is left.
    row(ANY, (400, 499), &[], &[], Trouble::Transient, LATER),
    row(ANY, REFUSED_AT_ALL, &[], &[], Trouble::Permanent, REFUSED),
];

impl Row {
    fn fits(&self, reply: &Reply<'_>, enhanced: Option<&str>, words: &str) -> bool {
        let group = |code: &&str, of: &str| if code.ends_with('.') { of.starts_with(*code) } else { of == *code };
        (self.steps.is_empty() || self.steps.contains(&reply.step))
            && (self.codes.0..=self.codes.1).contains(&reply.code)
            && (self.enhanced.is_empty() || enhanced.is_some_and(|of| self.enhanced.iter().any(|code| group(code, of))))
            && (self.words.is_empty() || self.words.iter().any(|word| words.contains(word)))
    }
}

/// What a refusal means.
pub fn judge_reply(reply: &Reply<'_>) -> Judgement {
    let words = reply.text.to_lowercase();
    let row = REPLIES.iter().find(|row| row.fits(reply, reply.enhanced(), &words));
    row.map_or(judge(Evidence::NotSmtp), |row| Judgement { trouble: row.trouble, reason: row.reason })
}

#[cfg(test)]
mod tests {
    use super::Step::{Connect, Content, Encrypt, Login, Recipient, Sender};
    use super::Trouble::{Misconfigured, Permanent, Transient};
    use super::*;
    use std::collections::BTreeSet;

    const ROWS: &[(Step, u16, &str, Trouble, &str)] = &[
        (Sender, 530, "5.7.0 Authentication required", Misconfigured, REFUSES_LOGIN),
        (Recipient, 530, "5.7.1 Must issue a STARTTLS command first", Misconfigured, REFUSES_LOGIN),
        (Login, 535, "5.7.8 Authentication credentials invalid", Misconfigured, REFUSES_LOGIN),
        (Login, 534, "5.7.9 Application-specific password required", Misconfigured, REFUSES_LOGIN),
        (Login, 538, "5.7.11 Encryption required", Misconfigured, REFUSES_LOGIN),
        (Login, 504, "5.5.4 Unrecognized authentication type", Misconfigured, REFUSES_LOGIN),
        (Login, 454, "4.7.0 Temporary authentication failure", Transient, LATER),
        (Encrypt, 502, "not implemented", Misconfigured, REFUSES_LOGIN),
        (Encrypt, 454, "TLS not available", Transient, LATER),
        (Connect, 554, "5.7.1 Service unavailable; client host blocked", Misconfigured, REFUSES_US),
        (Connect, 421, "4.3.2 Service shutting down", Transient, LATER),
        (Sender, 550, "5.7.1 sender not allowed", Misconfigured, REFUSES_SENDER),
        (Sender, 553, "5.7.1 not owned by user", Misconfigured, REFUSES_SENDER),
        (Sender, 451, "4.7.1 try again", Transient, LATER),
        (Sender, 550, "5.6.7 SMTPUTF8 required", Permanent, INTERNATIONAL),
        (Recipient, 553, "this address requires SMTPUTF8", Permanent, INTERNATIONAL),
        (Sender, 552, "5.3.4 Message size exceeds limit", Permanent, TOO_LARGE),
        (Recipient, 554, "5.7.1 <a@b.example>: Relay access denied", Misconfigured, REFUSES_TO_RELAY),
        (Recipient, 550, "5.7.54 SMTP; Unable to relay recipient", Misconfigured, REFUSES_TO_RELAY),
        (Recipient, 550, "5.1.8 Sender address has null MX", Misconfigured, REFUSES_SENDER),
        (Recipient, 550, "5.1.1 User unknown", Permanent, NO_MAILBOX),
        (Recipient, 550, "No such user here", Permanent, NO_MAILBOX),
        (Recipient, 551, "User not local", Permanent, NO_MAILBOX),
        (Recipient, 553, "mailbox name not allowed", Permanent, NO_MAILBOX),
        (Recipient, 550, "5.2.1 Mailbox disabled", Permanent, NO_MAILBOX),
        (Recipient, 550, "5.4.1 Recipient address rejected: Access denied", Permanent, NO_MAILBOX),
        (Recipient, 556, "5.1.10 Recipient address has null MX", Permanent, NO_MAILBOX),
        (Recipient, 550, "5.7.1 Rejected by SPF", Permanent, RECEIVER_REFUSES_US),
        (Content, 550, "5.7.26 Unauthenticated email is not accepted", Permanent, RECEIVER_REFUSES_US),
        (Content, 550, "5.1.1 User unknown", Permanent, NO_MAILBOX),
        (Recipient, 552, "5.2.2 Mailbox full", Transient, FULL),
        (Recipient, 452, "4.2.2 The recipient's inbox is out of storage", Transient, FULL),
        (Recipient, 552, "Requested mail action aborted: exceeded storage allocation", Transient, FULL),
        (Content, 552, "5.3.4 Message too big for system", Permanent, TOO_LARGE),
        (Content, 552, "Message exceeds maximum fixed size", Permanent, TOO_LARGE),
        (Recipient, 451, "4.7.1 Greylisted, try again later", Transient, LATER),
        (Recipient, 450, "Mailbox busy", Transient, LATER),
        (Recipient, 452, "4.3.1 Insufficient system storage", Transient, LATER),
        (Content, 421, "4.4.2 Timeout", Transient, LATER),
        (Content, 554, "Transaction failed", Permanent, REFUSED),
        (Recipient, 555, "5.5.4 Unsupported option", Permanent, REFUSED),
        (Content, 354, "go on", Misconfigured, NOT_SMTP),
    ];

    #[test]
    fn every_refusal_is_judged_as_the_table_says() {
        for (step, code, text, trouble, reason) in ROWS.iter().copied() {
            let judged = judge_reply(&Reply { step, code, text });
            assert_eq!(judged, Judgement { trouble, reason }, "{step:?} {code} {text}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_used() {
        let used: BTreeSet<usize> = ROWS
            .iter()
            .filter_map(|(step, code, text, ..)| {
                let reply = Reply { step: *step, code: *code, text };
                let words = text.to_lowercase();
                REPLIES.iter().position(|row| row.fits(&reply, reply.enhanced(), &words))
            })
            .collect();
        let unused: Vec<usize> = (0..REPLIES.len()).filter(|place| !used.contains(place)).collect();
        assert_eq!(unused, Vec::<usize>::new());
    }

    #[test]
    fn only_an_enhanced_code_of_the_replys_own_class_counts() {
        let enhanced = |code, text| Reply { step: Recipient, code, text }.enhanced().map(ToOwned::to_owned);
        assert_eq!(enhanced(550, "5.1.1 unknown").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced(550, "5.7.100 no").as_deref(), Some("5.7.100"));
        for text in ["", "4.1.1 unknown", "5.1 unknown", "5.1.1.1 unknown", "5.x.1 unknown", "5..1 u", "5.1.1: unknown"]
        {
            assert_eq!(enhanced(550, text), None, "{text}");
        }
    }

    #[test]
    fn our_own_trouble_is_never_the_recipients() {
        for (evidence, trouble, says) in [
            (Evidence::Unreachable, Transient, "not answering"),
            (Evidence::NameUnknown, Transient, "not answering"),
            (Evidence::Closed, Transient, "not answering"),
            (Evidence::Silent(Connect), Transient, "smtp.security = tls"),
            (Evidence::Silent(Recipient), Transient, "not answering"),
            (Evidence::NotSmtp, Misconfigured, "not a mail relay"),
            (Evidence::Unencrypted, Misconfigured, "starttls"),
            (Evidence::Untrusted, Misconfigured, "certificate"),
            (Evidence::EncryptionFailed, Misconfigured, "encryption or login"),
            (Evidence::NoStartTls, Misconfigured, "no STARTTLS"),
            (Evidence::NoLogin, Misconfigured, "encryption or login"),
            (Evidence::NoInternational, Permanent, "international"),
            (Evidence::UnusableAddress, Permanent, "correct it"),
            (Evidence::NotMail, Permanent, "cannot send text messages"),
        ] {
            let judged = judge(evidence);
            assert_eq!(judged.trouble, trouble, "{evidence:?}");
            assert!(judged.reason.contains(says), "{evidence:?}: {}", judged.reason);
        }
    }
}
