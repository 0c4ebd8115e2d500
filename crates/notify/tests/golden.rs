//! Every message in every language and channel as it is read, with names that programs stumble over. Written anew by
//! `DOMICILE_WRITE_DOCS=1`; a change of a text shows in the change's own diff.

#![expect(clippy::expect_used, reason = "what cannot be fails the test")]

use std::collections::BTreeSet;
use std::path::Path;

use domicile_domain::model::name::Name;
use domicile_domain::model::notice::{Channel, NoticeKind};
use domicile_domain::port::notifier::{MessageFacts, MessageWriter};
use domicile_notify::FluentWriter;
use domicile_notify::segments::segments;

/// A name that a workspace may have: markup, right to left, 60 characters, an emoji of several.
const WORKSPACE: &str = "مختبر <b>Acme</b> & \"Söhne\" 👩‍👩‍👧 International Consulting L";
/// A name that a person may have.
const ACTOR: &str = "דנה <i>Reyes</i> 🦊";

fn facts(kind: NoticeKind, channel: Channel) -> MessageFacts {
    let name = |text: &str| Name::parse(text).expect("a name that one may have").to_string();
    MessageFacts {
        kind,
        channel,
        first_name: name("Ő'Neill <b>"),
        username: "m.okafor".to_owned(),
        to: "m.okafor@borealis.example".to_owned(),
        workspace: name(WORKSPACE),
        home: name("بورياليس 🌌"),
        actor: Some(name(ACTOR)),
        roles: vec!["Guest".to_owned(), name("ضيف المشروع")],
        link: Some("https://go.example/a1b2c3".to_owned()),
        support_contact: Some("help@borealis.example".to_owned()),
    }
}

#[test]
fn the_hostile_name_is_as_long_as_a_name_may_be() {
    assert_eq!(WORKSPACE.chars().count(), 60);
    assert!(Name::parse(&format!("{WORKSPACE}x")).is_err());
}

#[test]
fn every_message_reads_as_it_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let rewrite = std::env::var_os("DOMICILE_WRITE_DOCS").is_some();
    let writer = FluentWriter::new().unwrap();
    let mut expected = BTreeSet::new();
    let mut differing = Vec::new();
    for language in writer.languages() {
        for (kind, kind_word) in NoticeKind::ALL.into_iter().zip(["onboarding", "access_granted", "access_requested"]) {
            for (channel, channel_word) in [(Channel::Email, "email"), (Channel::Sms, "sms")] {
                let message = writer.write(&language, &facts(kind, channel)).unwrap();
                let text = match &message.html {
                    Some(html) => format!("Subject: {}\n\n{}\n{html}", message.subject, message.text),
                    None => format!("{}\n({} segments)\n", message.text, segments(&message.text)),
                };
                let name = format!("{language}-{kind_word}-{channel_word}.txt");
                let path = folder.join(&name);
                if rewrite {
                    std::fs::write(&path, &text).unwrap();
                }
                if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
                    differing.push(name.clone());
                }
                expected.insert(name);
            }
        }
    }
    assert!(
        differing.is_empty(),
        "{differing:?} read differently; look at them with DOMICILE_WRITE_DOCS=1 and git diff"
    );
    let kept: BTreeSet<String> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(kept, expected, "no file is left of what is not written any more");
}
