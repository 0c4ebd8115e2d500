//! Values as people type them: what was read is read the same again, what is the same has one key, and nothing that can be
//! typed breaks a reader.

use domicile_domain::model::email::{EmailAddress, MailDomain};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::name::{ExternalId, Handle, Name, Username};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::phone::{PhoneNumber, Region};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use unicode_normalization::UnicodeNormalization;

/// Anything: any Unicode, with the characters that readers stumble over far more often than by chance.
fn anything() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '@',
        '.',
        '-',
        '+',
        '_',
        ' ',
        '\t',
        '\n',
        '\r',
        '\0',
        '\u{7f}',
        '\u{a0}',
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
        '\u{301}',
        '\u{345}',
        '\u{3002}',
        '\u{ff0e}',
        '\u{ff20}',
        'ß',
        'ẞ',
        'İ',
        'ı',
        'ﬁ',
        'Ǆ',
        'ΐ',
        'ᾳ',
        'K',
        'Å',
        'Ａ',
        'Ｗ',
        '𝒜',
        '各',
        'ก',
        'ি',
    ]);
    prop::collection::vec(prop_oneof![3 => odd, 2 => any::<char>(), 3 => prop::char::range('!', '~')], 0..40)
        .prop_map(|chars| chars.into_iter().collect())
}

/// Words in many scripts, with marks and look-alikes.
fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äÄßẞéǄΐΆᾳſKÅЯа各Ａ-Ｚ𝒜-𝒵\u{301}\u{308}\u{345}]{1,12}"
}

fn padded(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, "[ \t\u{a0}]{0,2}", "[ \n\u{2003}]{0,2}").prop_map(|(text, before, after)| format!("{before}{text}{after}"))
}

fn address() -> impl Strategy<Value = String> {
    let local = prop::collection::vec(word(), 1..3).prop_map(|words| words.join("."));
    let domain = prop_oneof!["[a-zA-Z0-9äß各]{1,8}[.。][a-zA-Z]{2,6}", "[a-z-]{1,6}[.][a-z]{2,4}[.][a-z]{2,3}"];
    let (tag, stray) = (prop_oneof![Just(""), Just("+tag")], prop_oneof![6 => "", 1 => "[ \u{a0}\n\u{200b}\u{ad}]"]);
    padded((local, tag, stray, domain).prop_map(|(local, tag, stray, domain)| format!("{local}{tag}@{stray}{domain}")))
}

fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The same text in other spellings that mean the same: composed, decomposed, with space around.
fn respelled(text: &str) -> [String; 3] {
    [text.nfd().collect(), text.nfc().collect(), format!(" {text}\t")]
}

fn email_key(text: &str) -> Option<String> {
    EmailAddress::parse(text).ok().map(|email| email.match_key().to_owned())
}

fn username_key(text: &str) -> Option<String> {
    Username::parse(text).ok().map(|username| username.match_key().to_owned())
}

fn config() -> ProptestConfig {
    // A failing case is shrunk and shown; it becomes an example beside the code, not a file.
    let failure_persistence: Option<Box<dyn proptest::test_runner::FailurePersistence>> =
        Some(Box::new(FileFailurePersistence::Off));
    ProptestConfig { cases: 2_000, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_that_can_be_typed_breaks_a_reader(text in anything()) {
        // Whatever is taken is shown without what controls a terminal, a mail header or the reading direction.
        let shown = [
            EmailAddress::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            Username::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            Name::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            LanguageTag::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            PermissionName::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            Handle::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            MailDomain::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            ExternalId::parse(&text).map(|v| v.as_str().to_owned()).map_err(|e| e.to_string()),
            PhoneNumber::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
            Region::parse(&text).map(|v| v.to_string()).map_err(|e| e.to_string()),
        ];
        for words in shown {
            let words = words.unwrap_or_else(|refusal| refusal);
            prop_assert!(!words.chars().any(invisible), "{words:?}");
            prop_assert!(!words.is_empty());
        }
    }

    #[test]
    fn an_address_is_read_the_same_again(text in prop_oneof![address(), anything()]) {
        if let Ok(email) = EmailAddress::parse(&text) {
            prop_assert!(!email.as_str().contains(char::is_whitespace));
            let key_and_domain = email.match_key().rsplit_once('@').map(|(_, domain)| domain);
            prop_assert_eq!(key_and_domain, Some(email.domain().as_str()));
            for spelling in respelled(&text) {
                prop_assert_eq!(email_key(&spelling), email_key(&text));
            }
            // What the key spells out is the same address, unless it grew too long for one.
            let of_key = email_key(email.match_key());
            prop_assert!(of_key.is_none_or(|key| key == email.match_key()));
            prop_assert_eq!(EmailAddress::parse(&email.to_string()), Ok(email));
        }
    }

    #[test]
    fn a_domain_is_read_the_same_again(text in prop_oneof!["[a-zA-Zä各ß-]{1,8}[.。．][a-zA-Z]{2,5}", anything()]) {
        if let Ok(domain) = MailDomain::parse(&text) {
            prop_assert!(domain.as_str().is_ascii());
            prop_assert_eq!(MailDomain::parse(&domain.to_string()), Ok(domain));
        }
    }

    #[test]
    fn a_username_is_read_the_same_again(text in padded(prop_oneof![word(), anything()])) {
        if let Ok(username) = Username::parse(&text) {
            for spelling in respelled(&text) {
                prop_assert_eq!(username_key(&spelling), username_key(&text));
            }
            // The key is a username with itself as the key: case and width do not make a second person.
            prop_assert_eq!(username_key(username.match_key()), username_key(&text));
            prop_assert_eq!(Username::parse(&username.to_string()), Ok(username));
        }
    }

    #[test]
    fn a_name_is_read_the_same_again(text in padded(prop_oneof!["[\\PC]{1,61}", word(), anything()])) {
        if let Ok(name) = Name::parse(&text) {
            prop_assert!((1..=60).contains(&name.as_str().chars().count()));
            for spelling in respelled(&text) {
                prop_assert_eq!(Name::parse(&spelling), Ok(name.clone()));
            }
            prop_assert_eq!(Name::parse(&name.to_string()), Ok(name));
        }
    }

    #[test]
    fn a_language_is_read_the_same_again(text in padded(prop_oneof![
        "[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-([a-zA-Z]{2}|[0-9]{3}))?(-[a-zA-Z0-9]{5,8})?", anything(),
    ])) {
        if let Ok(tag) = LanguageTag::parse(&text) {
            for case in [text.to_ascii_uppercase(), text.to_ascii_lowercase()] {
                prop_assert_eq!(LanguageTag::parse(&case), Ok(tag.clone()));
            }
            prop_assert_eq!(LanguageTag::parse(&tag.to_string()), Ok(tag));
        }
    }

    #[test]
    fn names_of_permissions_and_handles_are_what_was_typed(text in prop_oneof![
        "[a-z][a-z0-9_-]{0,6}([.][a-z][a-z0-9_-]{0,6}){0,3}", "[a-z][a-z0-9-]{0,64}", anything(),
    ]) {
        if let Ok(name) = PermissionName::parse(&text) {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert_eq!(PermissionName::parse(&name.to_string()), Ok(name));
        }
        if let Ok(handle) = Handle::parse(&text) {
            prop_assert_eq!(handle.as_str(), &text);
            prop_assert_eq!(Handle::parse(&handle.to_string()), Ok(handle));
        }
    }
}

/// The generators make what is taken, often enough for the properties above to say something.
#[test]
fn the_generators_make_what_is_taken() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut taken = [0; 4];
    for _ in 0..500 {
        let mut draw = |strategy: BoxedStrategy<String>| strategy.new_tree(&mut runner).unwrap().current();
        taken[0] += usize::from(EmailAddress::parse(&draw(address().boxed())).is_ok());
        taken[1] += usize::from(Username::parse(&draw(padded(word()).boxed())).is_ok());
        taken[2] += usize::from(Name::parse(&draw(padded(word()).boxed())).is_ok());
        taken[3] += usize::from(EmailAddress::parse(&draw(anything().boxed())).is_ok());
    }
    assert!(taken[..3].iter().all(|count| *count > 250), "{taken:?}");
}
