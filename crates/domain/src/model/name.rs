//! Names that people read: of persons, workspaces, roles, users and handles.

use std::fmt;

use super::text::{compatibility_folded, display_form, is_unprintable, quotable};

/// A name that may stand in a message: of a person, a workspace, a role or a group.
///
/// At most 60 characters, and nothing that could turn a message into a lure: no controls, no overrides of the reading
/// direction, no addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

/// The text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// Nothing was given.
    #[error("a name is needed")]
    Empty,
    /// More than 60 characters.
    #[error("a name has at most 60 characters, this one has {0}")]
    TooLong(usize),
    /// A control or a character that turns the reading direction.
    #[error("`{0}` has an invisible character that is not allowed in a name; type it anew")]
    Unprintable(String),
    /// Looks like an address.
    #[error("`{0}` has `{1}`; a name that could be read as an address is not allowed")]
    Address(String, &'static str),
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`ParseNameError`] tells what is wrong.
    pub fn parse(text: &str) -> Result<Self, ParseNameError> {
        if text.trim().chars().any(is_unprintable) {
            return Err(ParseNameError::Unprintable(quotable(text)));
        }
        let name = display_form(text);
        if name.is_empty() {
            return Err(ParseNameError::Empty);
        }
        let length = name.chars().count();
        if length > 60 {
            return Err(ParseNameError::TooLong(length));
        }
        let lowered = compatibility_folded(&name);
        if let Some(lure) = ["://", "www.", "@"].into_iter().find(|lure| lowered.contains(lure)) {
            return Err(ParseNameError::Address(quotable(&name), lure));
        }
        Ok(Self(name))
    }

    /// The name as it was typed, trimmed and composed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first letter, upper-cased, for masked views.
    pub(crate) fn initial(&self) -> String {
        self.0.chars().next().into_iter().flat_map(char::to_uppercase).collect()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name a person signs in with. Unique within the home by its key: compatibility form, case folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Username {
    display: String,
    key: String,
}

/// The text cannot be a username.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUsernameError {
    /// Nothing was given.
    #[error("a username is needed, for example anna.kovacs")]
    Empty,
    /// Longer than 60 characters.
    #[error("a username has at most 60 characters")]
    TooLong,
    /// A character that is not a letter, a digit or one of `. _ - +`.
    #[error("`{0}` has `{1}`; a username has letters, digits and . _ - + and begins with a letter or digit")]
    Character(String, char),
    /// Kept for the system.
    #[error("`{0}` is reserved; choose another username")]
    Reserved(String),
}

/// Usernames that could pass for the system's own voice.
const RESERVED_USERNAMES: &[&str] = &[
    "admin",
    "administrator",
    "domicile",
    "everyone",
    "help",
    "info",
    "me",
    "nobody",
    "operator",
    "postmaster",
    "root",
    "security",
    "self",
    "support",
    "system",
];

impl Username {
    /// Reads a username.
    ///
    /// # Errors
    /// [`ParseUsernameError`] tells what is wrong.
    pub fn parse(text: &str) -> Result<Self, ParseUsernameError> {
        let display = display_form(text);
        let key = compatibility_folded(&display);
        if key.is_empty() {
            return Err(ParseUsernameError::Empty);
        }
        if display.chars().count() > 60 || key.chars().count() > 60 {
            return Err(ParseUsernameError::TooLong);
        }
        let stray = key
            .chars()
            .enumerate()
            .find(|(i, c)| !(c.is_alphanumeric() || (*i > 0 && (".-_+".contains(*c) || is_combining(*c)))));
        if let Some((_, c)) = stray {
            let c = if is_unprintable(c) { '\u{fffd}' } else { c };
            return Err(ParseUsernameError::Character(quotable(&display), c));
        }
        if RESERVED_USERNAMES.contains(&key.as_str()) {
            return Err(ParseUsernameError::Reserved(quotable(&display)));
        }
        Ok(Self { display, key })
    }

    /// The username as it was typed.
    pub fn as_str(&self) -> &str {
        &self.display
    }

    /// The key by which two usernames of one home are the same.
    pub fn match_key(&self) -> &str {
        &self.key
    }
}

/// Marks that scripts such as Devanagari need between letters.
fn is_combining(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

/// The short, immutable name of a workspace or a role: `[a-z][a-z0-9-]{1,62}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Handle(String);

/// The text cannot be a handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a handle; it has 2 to 63 characters a-z, 0-9 and -, and begins with a letter")]
pub struct ParseHandleError(String);

impl Handle {
    /// Reads a handle.
    ///
    /// # Errors
    /// Anything but `[a-z][a-z0-9-]{1,62}`.
    pub fn parse(text: &str) -> Result<Self, ParseHandleError> {
        let mut bytes = text.bytes();
        let fits = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && (2..=63).contains(&text.len())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(ParseHandleError(quotable(text))) }
    }

    /// The handle.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id that another system gave a membership; unique within a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalId(String);

/// The text cannot be an external id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an external id; it has 1 to 128 visible characters")]
pub struct ParseExternalIdError(String);

impl ExternalId {
    /// Reads an external id.
    ///
    /// # Errors
    /// Empty, longer than 128 characters, or with an invisible character.
    pub fn parse(text: &str) -> Result<Self, ParseExternalIdError> {
        let id = display_form(text);
        if id.is_empty() || id.chars().count() > 128 || id.chars().any(is_unprintable) {
            return Err(ParseExternalIdError(quotable(text)));
        }
        Ok(Self(id))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_carry_a_lure() {
        for text in [
            "",
            "x".repeat(61).as_str(),
            "see http://evil",
            "WWW.evil",
            "ｗｗｗ.evil",
            "a@b",
            "a＠b",
            "An\u{202e}na",
            "An\nna",
            "www\u{ad}.evil",
        ] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
        assert_eq!(Name::parse("  Zoë O'Neill-Kovács ").unwrap().as_str(), "Zoë O'Neill-Kovács");
        assert_eq!(Name::parse("x".repeat(60).as_str()).unwrap().initial(), "X");
    }

    #[test]
    fn usernames_are_compared_without_case_and_width() {
        let key = |t: &str| Username::parse(t).unwrap().match_key().to_owned();
        assert_eq!(key("Anna.Kovacs"), key("ａnna.KOVACS"));
        assert_eq!(Username::parse("Anna").unwrap().as_str(), "Anna");
        for text in ["", "-anna", "an na", "anna@acme", "Admin", "ＲＯＯＴ", "an\u{200b}na"] {
            assert!(Username::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn handles_are_plain() {
        assert!(Handle::parse("acme-2").is_ok());
        for text in ["", "a", "2acme", "Acme", "acme_2", "ac me", "é-acme", "a".repeat(64).as_str()] {
            assert!(Handle::parse(text).is_err(), "{text}");
        }
    }
}
