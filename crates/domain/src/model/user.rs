//! The person's one account.

use std::net::{IpAddr, Ipv6Addr};

use super::contact::Contact;
use super::email::EmailAddress;
use super::id::{UserId, WorkspaceId};
use super::language::LanguageTag;
use super::name::{Name, Username};
use super::phone::PhoneNumber;
use super::text::{is_unprintable, quotable};
use super::time::{Timestamp, Version};

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum UserState {
    /// Usable.
    Active,
    /// Switched off by the home; memberships are kept and grant nothing.
    Suspended,
    /// Left; External memberships ended, contacts stay taken.
    Deactivated,
    /// A tombstone without personal values. Final.
    Erased,
}

impl UserState {
    /// Every state, for tables that must not forget one.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Deactivated, Self::Erased];
}

/// What is personal about an account. It lies apart from the record, so that erasing removes it and the record stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// First name.
    pub first_name: Name,
    /// Last name.
    pub last_name: Name,
    /// Unique within the home.
    pub username: Username,
    /// The language the person reads best.
    pub preferred_language: LanguageTag,
    /// Found and told by it.
    pub email: Contact<EmailAddress>,
    /// Found and told by it, if there is one.
    pub phone: Option<Contact<PhoneNumber>>,
}

impl Person {
    /// The initials by which a stranger sees the person: `M. O.`
    pub fn initials(&self) -> String {
        format!("{}. {}.", self.first_name.initial(), self.last_name.initial())
    }

    /// First and last name.
    pub fn display_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }
}

/// A user: one account in the whole system, with one home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never changes.
    pub id: UserId,
    /// The workspace with authority over the account; changes by `MoveHome` alone.
    pub home: WorkspaceId,
    /// The workspace where the account was created. Never changes (T5).
    pub created_in: WorkspaceId,
    /// State of the account.
    pub state: UserState,
    /// Absent exactly when erased.
    pub person: Option<Person>,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its changes.
    pub version: Version,
}

impl User {
    /// A new account, at home where it is created. One of the two doors, `AssignUser` or `CreateWorkspace`, calls it.
    pub const fn create(id: UserId, home: WorkspaceId, person: Person, now: Timestamp) -> Self {
        Self {
            id,
            home,
            created_in: home,
            state: UserState::Active,
            person: Some(person),
            created_at: now,
            updated_at: now,
            version: Version::FIRST,
        }
    }
}

/// An identity at an issuer of tokens, bound to a user. Never an email alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The issuer, as tokens name it.
    pub issuer: String,
    /// The subject at that issuer.
    pub subject: String,
}

impl Identity {
    /// How many a user has at most.
    pub const MOST: usize = 10;

    /// Whether issuer and subject are what tokens can name; a store keeps no other.
    pub fn is_well_formed(&self) -> bool {
        parse_issuer(&self.issuer).is_ok() && parse_subject(&self.subject).is_ok()
    }
}

/// How long an issuer or a subject is at most, in characters (`OpenID` Connect Core 2 says so of the subject).
const LONGEST: usize = 255;

/// Not the issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIssuerError {
    /// It has too many characters.
    #[error("an issuer has at most {LONGEST} characters")]
    TooLong,
    /// It is no URL of the wanted form.
    #[error(
        "`{0}` is not an issuer; give it as its tokens name it: https://login.example, without user, query and fragment, \
         and with http on loopback alone"
    )]
    NotAnIssuer(String),
}

/// Reads an issuer exactly as tokens name it: it is compared letter by letter (`OpenID` Connect Core 2).
///
/// # Errors
/// [`ParseIssuerError`] says what is wrong.
pub fn parse_issuer(text: &str) -> Result<String, ParseIssuerError> {
    if text.chars().count() > LONGEST {
        return Err(ParseIssuerError::TooLong);
    }
    if is_issuer(text) { Ok(text.to_owned()) } else { Err(ParseIssuerError::NotAnIssuer(quotable(text))) }
}

fn is_issuer(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\\"<>^`{|}".contains(&b));
    let Some((scheme, rest)) = text.split_once("://").filter(|_| plain) else {
        return false;
    };
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    match (scheme, host_of(authority)) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => is_loopback(host),
        _ => false,
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        (named.then_some(host)?, port)
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Not a subject at an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the subject as the issuer's tokens name it: 1 to {LONGEST} printable characters, without a space at either end"
)]
pub struct ParseSubjectError;

/// Reads a subject exactly as tokens name it: it is compared letter by letter.
///
/// # Errors
/// [`ParseSubjectError`] says what one looks like.
pub fn parse_subject(text: &str) -> Result<String, ParseSubjectError> {
    let wanted = (1..=LONGEST).contains(&text.chars().count()) && text.trim() == text;
    if wanted && !text.chars().any(is_unprintable) { Ok(text.to_owned()) } else { Err(ParseSubjectError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_or_on_loopback() {
        let long = format!("https://{}", "a".repeat(LONGEST - 8));
        for good in [
            "https://login.example",
            "https://login.example/",
            "https://login.example:8443/realms/acme",
            "https://[2001:db8::1]:8443/a",
            "http://localhost:9000",
            "http://127.0.0.1:9000/realm",
            "http://127.9.9.9",
            "http://[::1]:80",
            &long,
        ] {
            assert_eq!(parse_issuer(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "login.example",
            "https://",
            "https:///path",
            "HTTPS://login.example",
            "ftp://login.example",
            "http://login.example",
            "http://127.0.0.1.login.example",
            "http://localhost.login.example",
            "http://[::2]",
            "https://[login]",
            "https://[::1]x",
            "https://login.example:port",
            "https://login.example:70000",
            "https://me@login.example",
            "https://login.example?a=1",
            "https://login.example#a",
            "https://login.example/a b",
            " https://login.example",
            "https://l\u{f6}gin.example",
            "javascript://login.example",
        ] {
            assert_eq!(parse_issuer(bad), Err(ParseIssuerError::NotAnIssuer(bad.to_owned())), "{bad}");
        }
        assert_eq!(parse_issuer(&format!("{long}a")), Err(ParseIssuerError::TooLong));
        assert!(!parse_issuer("https://a\u{202e}b").unwrap_err().to_string().contains('\u{202e}'));
    }

    #[test]
    fn subjects_are_printable_and_not_empty() {
        let long = "a".repeat(LONGEST);
        for good in ["1", "a b", "auth0|5f7c", "Zo\u{eb}", &long] {
            assert_eq!(parse_subject(good).as_deref(), Ok(good));
        }
        for bad in ["", " ", " a", "a ", "a\nb", "a\u{0}", "a\u{202e}b", &format!("{long}a")] {
            assert_eq!(parse_subject(bad), Err(ParseSubjectError), "{bad:?}");
        }
        let identity =
            |issuer: &str, subject: &str| Identity { issuer: issuer.to_owned(), subject: subject.to_owned() };
        assert!(identity("https://login.example", "1").is_well_formed());
        assert!(!identity("https://login.example", "").is_well_formed());
        assert!(!identity("login.example", "1").is_well_formed());
    }
}
