//! The gateway against real mail servers: one that takes messages and one scripted reply at a time.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what cannot be fails the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domicile_domain::model::contact::Contact;
use domicile_domain::model::id::NoticeId;
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::Membership;
use domicile_domain::model::notice::{AttemptClass, Channel, Message, NoticeKind, NoticeState};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::directory::{Directory, NoticeRow};
use domicile_domain::port::notifier::{
    DeliveryError, Handover, MessageFacts, MessageWriter, NotificationGateway, Trouble,
};
use domicile_domain::port::runtime::Clock;
use domicile_domain::usecase::{Dispatcher, Ports};
use domicile_notify::smtp::{Password, Security};
use domicile_notify::{FluentWriter, SmtpGateway, SmtpSettings};
use domicile_testkit::builders::{self, email, language, name};
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::languages::PrefixMatcher;
use domicile_testkit::memory::MemoryStore;
use domicile_testkit::phones::SimplePhones;
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::seed;
use domicile_tests::sink::{Sink, Taken};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

fn settings(port: u16, security: Security) -> SmtpSettings {
    SmtpSettings::new("localhost", port, security, "no-reply@acme.example")
}

fn plain(port: u16) -> SmtpSettings {
    settings(port, Security::None)
}

/// The settings of a sink that encrypts.
fn encrypted(sink: &Sink, security: Security) -> SmtpSettings {
    SmtpSettings { root_certificate: sink.root.clone(), ..settings(sink.port, security) }
}

fn message(to: &str) -> Message {
    Message {
        to: to.to_owned(),
        from: "Acme".to_owned(),
        reply_to: None,
        language: LanguageTag::parse("en").unwrap(),
        subject: "Your account".to_owned(),
        text: "Hello\n".to_owned(),
        html: None,
    }
}

async fn deliver(settings: SmtpSettings, to: &str) -> Result<Handover, DeliveryError> {
    let gateway = SmtpGateway::new(settings).unwrap();
    gateway.deliver(NoticeId::nil(), Channel::Email, &message(to)).await
}

/// A name that people may have and programs stumble over.
const HOSTILE: &str = "مرحبا <b>\"Söhne\", & Co</b> 👩‍👩‍👧 =?utf-8?q?x?=; Ltd. 1234567";

/// The home's, which is another's than the workspace that the message is about.
const HOME: &str = "بيت <i>\"Ö\"</i> =?utf-8?q?y?=";

fn hostile_arabic(to: &str) -> Message {
    let facts = MessageFacts {
        kind: NoticeKind::AccessGranted,
        channel: Channel::Email,
        first_name: "Mbali".to_owned(),
        username: "m.okafor".to_owned(),
        to: to.to_owned(),
        workspace: name(HOSTILE).to_string(),
        home: name(HOME).to_string(),
        actor: Some(name("Dana, \"the\" Reyes").to_string()),
        roles: vec!["Guest".to_owned(), "ضيف".to_owned()],
        link: Some("https://go.example/a1b2c3".to_owned()),
        support_contact: Some("help@borealis.example".to_owned()),
    };
    FluentWriter::new().unwrap().write(&LanguageTag::parse("ar").unwrap(), &facts).unwrap()
}

#[tokio::test]
async fn an_arabic_mail_arrives_whole_with_hostile_names_in_its_headers() {
    let Some(sink) = Sink::start(&[]) else { return };
    let gateway = SmtpGateway::new(plain(sink.port)).unwrap();
    let message = hostile_arabic("m.okafor@Bücher.example");
    let id: NoticeId = builders::id();
    let handed = gateway.deliver(id, Channel::Email, &message).await;
    assert_eq!(handed, Ok(Handover::Accepted("250 2.0.0 Queued as 1".to_owned())));

    let [taken] = <[Taken; 1]>::try_from(sink.taken()).unwrap();
    assert_eq!(taken.0["from"], "no-reply@acme.example");
    assert_eq!(taken.0["to"], serde_json::json!(["m.okafor@xn--bcher-kva.example"]));
    assert_eq!(taken.0["defects"], serde_json::json!([]));
    assert_eq!(
        taken.names(),
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "Content-Language",
            "Reply-To",
            "MIME-Version",
            "Content-Type"
        ]
    );
    // What looks encoded is kept apart by a character without width; all else is as it was typed.
    let typed = |text: &str| text.replace("=?", "=\u{200b}?");
    assert_eq!(taken.0["sender_name"], typed(&name(HOME).to_string()), "the home's, not the host's (T6)");
    assert_eq!(taken.header("Subject"), [typed(&message.subject)]);
    assert_eq!(taken.header("Message-ID"), [format!("<{id}@acme.example>")]);
    assert_eq!(taken.header("Reply-To"), ["help@borealis.example"]);
    assert_eq!(taken.header("Auto-Submitted"), ["auto-generated"]);
    assert_eq!(taken.header("Content-Language"), ["ar"]);
    assert_eq!(taken.0["type"], "multipart/alternative");
    assert_eq!(taken.0["parts"][0]["type"], "text/plain", "the last part is the one that is shown");
    assert_eq!(taken.part("text/plain").trim_end(), message.text.trim_end());
    assert_eq!(taken.part("text/html").trim_end(), message.html.as_deref().unwrap().trim_end());
    assert!(taken.part("text/html").contains("lang=\"ar\" dir=\"rtl\""));
}

#[tokio::test]
async fn one_notice_has_one_message_id_and_a_connection_serves_again() {
    let Some(sink) = Sink::start(&[]) else { return };
    let gateway = SmtpGateway::new(plain(sink.port)).unwrap();
    let (first, second): (NoticeId, NoticeId) = (builders::id(), builders::id());
    let refused = gateway.deliver(first, Channel::Email, &message("refuse550-5.1.1@acme.example")).await;
    assert_eq!(refused.unwrap_err().trouble, Trouble::Permanent);
    for id in [first, first, second] {
        assert!(gateway.deliver(id, Channel::Email, &message("ok@acme.example")).await.is_ok());
    }
    let taken = sink.taken();
    let ids: Vec<&str> = taken.iter().flat_map(|taken| taken.header("Message-ID")).collect();
    let expected = [first, first, second].map(|id| format!("<{id}@acme.example>"));
    assert_eq!(ids, expected);
    assert!(taken.iter().all(|taken| taken.0["connection"] == 1), "also after a refusal: {taken:?}");

    let alone = SmtpGateway::new(SmtpSettings { pool_size: 0, ..plain(sink.port) }).unwrap();
    for _ in 0..2 {
        assert!(alone.deliver(second, Channel::Email, &message("ok@acme.example")).await.is_ok());
    }
    let connections: Vec<u64> = sink.taken()[3..].iter().map(|taken| taken.0["connection"].as_u64().unwrap()).collect();
    assert_eq!(connections, [2, 3], "none is kept where none may be");
}

#[tokio::test]
async fn the_way_is_encrypted_as_the_settings_say_and_the_login_is_used() {
    for (security, word) in [(Security::StartTls, "starttls"), (Security::Tls, "tls")] {
        let Some(sink) = Sink::start(&["--security", word, "--login", "domicile:hunter2"]) else { return };
        let login = SmtpSettings {
            username: Some("domicile".to_owned()),
            password: Some(Password::new("hunter2")),
            hello_name: Some("domicile.acme.example".to_owned()),
            ..encrypted(&sink, security)
        };
        deliver(login.clone(), "ok@acme.example").await.unwrap();
        let [taken] = <[Taken; 1]>::try_from(sink.taken()).unwrap();
        assert_eq!(taken.0["encrypted"], true);
        assert_eq!(taken.0["login"], "domicile");
        assert_eq!(taken.0["hello"], "domicile.acme.example");

        let wrong = SmtpSettings { password: Some(Password::new("wrong")), ..login.clone() };
        let refused = deliver(wrong, "ok@acme.example").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Misconfigured);
        assert!(refused.provider_words.starts_with("535 "), "{refused}");
        assert!(refused.reason.contains("encryption or login") && refused.reason.contains("nothing is lost"));

        let without = SmtpSettings { username: None, password: None, ..login.clone() };
        let refused = deliver(without, "ok@acme.example").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Misconfigured);
        assert!(refused.provider_words.starts_with("530 "), "{refused}");

        let unknown = SmtpSettings { root_certificate: None, ..login.clone() };
        let refused = deliver(unknown, "ok@acme.example").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Misconfigured);
        assert!(refused.provider_words.contains("UnknownIssuer") && refused.reason.contains("root"), "{refused}");

        let another_name = SmtpSettings { host: "127.0.0.1".to_owned(), ..login };
        let refused = deliver(another_name, "ok@acme.example").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Misconfigured);
        assert!(refused.reason.contains("not trusted for its name"), "{refused}");
        assert_eq!(sink.taken().len(), 1, "nothing left on a way that was refused");
    }
}

#[tokio::test]
async fn a_relay_that_does_not_encrypt_as_expected_is_our_set_up_and_gets_nothing() {
    let Some(sink) = Sink::start(&[]) else { return };
    let refused = deliver(settings(sink.port, Security::Tls), "ok@acme.example").await.unwrap_err();
    assert_eq!(refused.trouble, Trouble::Misconfigured);
    assert!(refused.provider_words.contains("InvalidContentType"), "{refused}");
    assert!(refused.reason.contains("starttls"), "{refused}");

    let refused = deliver(settings(sink.port, Security::StartTls), "ok@acme.example").await.unwrap_err();
    assert_eq!(refused.trouble, Trouble::Misconfigured);
    assert!(refused.reason.contains("no STARTTLS"), "{refused}");

    let login = SmtpSettings {
        username: Some("domicile".to_owned()),
        password: Some(Password::new("hunter2")),
        ..plain(sink.port)
    };
    let refused = deliver(login, "ok@acme.example").await.unwrap_err();
    assert_eq!(refused.trouble, Trouble::Misconfigured);
    assert!(refused.reason.contains("encryption or login"), "{refused}");
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn international_addresses_need_a_relay_that_carries_them() {
    let Some(sink) = Sink::start(&[]) else { return };
    deliver(plain(sink.port), "用户@bücher.example").await.unwrap();
    let [taken] = <[Taken; 1]>::try_from(sink.taken()).unwrap();
    assert_eq!(taken.0["to"], serde_json::json!(["用户@xn--bcher-kva.example"]));
    let options = taken.0["options"].to_string();
    assert!(options.contains("SMTPUTF8") && options.contains("BODY=8BITMIME"), "{options}");

    let Some(sink) = Sink::start(&["--no-smtputf8"]) else { return };
    let refused = deliver(plain(sink.port), "用户@bücher.example").await.unwrap_err();
    assert_eq!(refused.trouble, Trouble::Permanent);
    assert!(refused.reason.contains("international addresses"), "{refused}");
    deliver(plain(sink.port), "anna@bücher.example").await.unwrap();
    assert_eq!(sink.taken().len(), 1, "an international domain alone is no trouble");
}

struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        builders::NOW
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// One notice to an address, dispatched through the gateway; what is in the record afterwards.
async fn dispatched(settings: SmtpSettings, to: &str) -> NoticeRow {
    let store = Arc::new(MemoryStore::new());
    let acme = builders::workspace("acme");
    let mut anna = builders::user(acme.id, "anna");
    builders::person(&mut anna).email = Contact::asserted(email(to), builders::NOW);
    builders::person(&mut anna).preferred_language = language("hu");
    let membership = builders::internal(&anna);
    let mut notice = builders::notice(&anna);
    notice.membership = membership.base.id;
    let rows = [(&acme).into(), (&anna).into(), Membership::Internal(membership).into(), (&notice).into()];
    seed(&*store, &rows).await;
    let ports = Ports {
        store: store.clone(),
        directory: store.clone(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SequentialIds::new()),
        sealer: Arc::new(PlainSealer),
        phones: Arc::new(SimplePhones),
        languages: Arc::new(PrefixMatcher),
    };
    let gateway = Arc::new(SmtpGateway::new(settings).unwrap());
    let dispatcher = Dispatcher::new(ports, Arc::new(FluentWriter::new().unwrap()), gateway, language("en"));
    for notice in dispatcher.take_due(1).await.unwrap() {
        dispatcher.deliver(notice).await.unwrap();
    }
    store.notice(notice.id).await.unwrap().unwrap()
}

/// Whether the record has this state and class, and these words for people and of the provider.
fn assert_record(row: &NoticeRow, state: NoticeState, class: AttemptClass, reason: &str, words: &str) {
    let [attempt] = &row.attempts[..] else { panic!("one attempt: {row:?}") };
    assert_eq!((row.notice.state, attempt.class), (state, class), "{row:?}");
    assert!(row.notice.reason.contains(reason), "{reason}: {}", row.notice.reason);
    assert!(attempt.provider_words.contains(words), "{words}: {}", attempt.provider_words);
    assert_eq!(row.notice.due_at.is_some(), state == NoticeState::Retrying);
    let address = &row.message.as_ref().unwrap().to;
    assert!(!row.notice.reason.contains(address), "a host may read it: {}", row.notice.reason);
}

#[tokio::test]
async fn every_fault_is_recorded_with_its_class_its_words_and_what_to_do() {
    use AttemptClass::{Misconfigured, Permanent, Transient};
    use NoticeState::{NotDelivered, Retrying};
    let Some(sink) = Sink::start(&[]) else { return };
    for (to, state, class, reason, words) in [
        ("defer451", Retrying, Transient, "come again later", "451 4.7.1 Greylisted"),
        ("refuse550-5.1.1", NotDelivered, Permanent, "does not exist", "550 5.1.1 No such mailbox"),
        ("refuse550-5.7.1", NotDelivered, Permanent, "SPF and DKIM", "550 5.7.1 Rejected by policy"),
        ("late-refuse550-5.7.1", NotDelivered, Permanent, "SPF and DKIM", "550 5.7.1 Rejected by policy"),
        ("late-refuse554-5.6.0", NotDelivered, Permanent, "own words", "554 5.6.0 Refused"),
        ("full552", Retrying, Transient, "mailbox is full", "552 5.2.2"),
        ("auth530", Retrying, Misconfigured, "nothing is lost", "530 5.7.0"),
        ("reset", Retrying, Transient, "not answering", "reset"),
        ("silent", Retrying, Transient, "not answering", "the answer to the recipient's address"),
    ] {
        let settings = SmtpSettings { deadline: Duration::from_secs(2), ..plain(sink.port) };
        let row = dispatched(settings, &format!("{to}@acme.example")).await;
        assert_record(&row, state, class, reason, words);
    }
    assert!(sink.taken().is_empty());
    let row = dispatched(plain(sink.port), "ok@acme.example").await;
    assert_record(&row, NoticeState::HandedOver, AttemptClass::Accepted, "arrival is unknown", "250 2.0.0 Queued as 1");
    let [taken] = <[Taken; 1]>::try_from(sink.taken()).unwrap();
    assert_eq!(taken.part("text/plain").trim_end(), row.message.unwrap().text.trim_end());
    assert_eq!(taken.header("Content-Language"), ["hu"]);
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_no_fault_of_the_recipient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = SmtpSettings { host: "127.0.0.1".to_owned(), ..plain(port) };
    let row = dispatched(settings, "anna@acme.example").await;
    assert_record(&row, NoticeState::Retrying, AttemptClass::Transient, "not answering", "refused");

    let unknown = SmtpSettings { host: "relay.invalid".to_owned(), allow_plaintext: true, ..plain(25) };
    let row = dispatched(unknown, "anna@acme.example").await;
    assert_record(&row, NoticeState::Retrying, AttemptClass::Transient, "not answering", "lookup");
}

/// What a scripted server says on one connection: the greeting, then a line for each command and for the message.
struct Says {
    lines: &'static [&'static str],
    /// Afterwards it closes at once; else it listens until the other side does.
    closes: bool,
}

impl Says {
    const fn listening(lines: &'static [&'static str]) -> Self {
        Self { lines, closes: false }
    }

    async fn serve(&self, mut stream: BufReader<TcpStream>) {
        let mut heard = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            let in_message = number > 0 && self.lines[number - 1].starts_with("354");
            // The greeting comes unasked; a message ends with a line of one dot.
            let mut more = number > 0;
            while more {
                heard.clear();
                stream.read_line(&mut heard).await.unwrap();
                more = in_message && heard != ".\r\n";
            }
            stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        }
        if !self.closes {
            // A reset is a way to close, too.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
}

/// A server on loopback that serves one connection after the other, and ends when the last is closed.
async fn scripted(connections: Vec<Says>) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        for connection in connections {
            let (stream, _) = listener.accept().await.unwrap();
            connection.serve(BufReader::new(stream)).await;
        }
    });
    (port, serving)
}

#[tokio::test]
async fn a_silent_server_ends_within_our_deadline() {
    let (port, serving) = scripted(vec![Says::listening(&[])]).await;
    let settings = SmtpSettings { deadline: Duration::from_millis(300), ..plain(port) };
    let began = Instant::now();
    let refused = deliver(settings, "anna@acme.example").await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(refused.trouble, Trouble::Transient);
    assert!(refused.provider_words.contains("waiting for its greeting"), "{refused}");
    assert!(refused.reason.contains("smtp.security = tls"), "{refused}");
    // It listens until we close, so that its end shows that we did.
    serving.await.unwrap();
}

/// Both wait for the other to begin.
#[tokio::test]
async fn a_relay_that_speaks_tls_from_the_first_byte_where_that_is_not_expected_gets_nothing() {
    let Some(sink) = Sink::start(&["--security", "tls"]) else { return };
    for security in [Security::StartTls, Security::None] {
        let settings = SmtpSettings { deadline: Duration::from_millis(300), ..settings(sink.port, security) };
        let refused = deliver(settings, "anna@acme.example").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Transient, "{security:?}: it may as well be slow");
        assert!(refused.reason.contains("smtp.security = tls"), "{security:?}: {refused}");
    }
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn a_conversation_that_was_given_up_is_never_taken_up_again() {
    let (port, serving) = scripted(vec![
        Says::listening(&["220 relay.example", "250 relay.example", "250 sender"]),
        Says::listening(&["220 relay.example", "250 relay.example", "250 sender", "550 5.1.1 nobody"]),
    ])
    .await;
    let settings = SmtpSettings { deadline: Duration::from_millis(300), ..plain(port) };
    let gateway = SmtpGateway::new(settings).unwrap();
    let silent = gateway.deliver(NoticeId::nil(), Channel::Email, &message("a@acme.example")).await.unwrap_err();
    assert!(silent.provider_words.contains("the answer to the recipient's address"), "{silent}");
    // The server accepts a second connection only once the first is closed; the verdict is of the second recipient.
    let refused = gateway.deliver(NoticeId::nil(), Channel::Email, &message("b@acme.example")).await.unwrap_err();
    assert_eq!(refused.provider_words, "550 5.1.1 nobody");
    drop(gateway);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_kept_connection_that_the_relay_closed_costs_no_message() {
    const LINES: &[&str] =
        &["220 relay.example", "250 relay.example", "250 sender", "250 recipient", "354 go on", "250 taken"];
    let connection = || Says { lines: LINES, closes: true };
    let (port, serving) = scripted(vec![connection(), connection()]).await;
    let gateway = SmtpGateway::new(plain(port)).unwrap();
    for _ in 0..2 {
        let handed = gateway.deliver(NoticeId::nil(), Channel::Email, &message("a@acme.example")).await;
        assert_eq!(handed, Ok(Handover::Accepted("250 taken".to_owned())));
    }
    serving.await.unwrap();
}

#[tokio::test]
async fn what_is_no_relay_or_refuses_this_server_is_our_set_up() {
    const OUT_OF_TURN: &[&str] = &["220 relay.example", "250 relay.example", "250 a", "250 b", "250 no 354 was said"];
    for (lines, reason) in [
        (&["HTTP/1.1 400 Bad Request"][..], "not a mail relay"),
        (&["554 5.7.1 your address is on a list"][..], "refuses this server"),
        (OUT_OF_TURN, "not a mail relay"),
    ] {
        let (port, serving) = scripted(vec![Says::listening(lines)]).await;
        let refused = deliver(plain(port), "anna@acme.example").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Misconfigured, "{refused}");
        assert!(refused.reason.contains(reason) && refused.reason.contains("nothing is lost"), "{refused}");
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn text_messages_are_not_served() {
    let gateway = SmtpGateway::new(plain(2525)).unwrap();
    assert!(gateway.serves(Channel::Email) && !gateway.serves(Channel::Sms));
    let refused = gateway.deliver(NoticeId::nil(), Channel::Sms, &message("+36301234567")).await.unwrap_err();
    assert_eq!(refused.trouble, Trouble::Permanent);
    assert!(refused.reason.contains("cannot send text messages"), "{refused}");
}
