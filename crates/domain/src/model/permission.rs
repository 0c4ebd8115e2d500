//! Permissions: their names, classes and catalogue.

use std::fmt;

use super::text::{display_form, is_unprintable, quotable};
use super::time::Timestamp;

/// A permission's name: dotted words, `orders.read`. The first word tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PermissionName(String);

/// The text cannot name a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a permission name; it has two or more words a-z, 0-9, _ or - joined by dots, such as orders.read"
)]
pub struct ParsePermissionError(String);

impl PermissionName {
    /// Reads a name.
    ///
    /// # Errors
    /// Not two or more words of `[a-z][a-z0-9_-]*` joined by dots, or longer than 128 characters.
    pub fn parse(text: &str) -> Result<Self, ParsePermissionError> {
        let word = |w: &str| {
            w.starts_with(|c: char| c.is_ascii_lowercase())
                && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        if text.len() <= 128 && text.contains('.') && text.split('.').all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePermissionError(quotable(text)))
        }
    }

    /// The right to find and create people: `domicile.create`.
    pub fn create() -> Self {
        Self("domicile.create".to_owned())
    }

    /// The right to manage members: `domicile.update`.
    pub fn update() -> Self {
        Self("domicile.update".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name begins with the words of a prefix: `orders.read` with `orders` and with `orders.`, not with `ord`.
    pub fn is_under(&self, prefix: &str) -> bool {
        let words = prefix.strip_suffix('.').unwrap_or(prefix);
        !words.is_empty() && self.0.strip_prefix(words).is_some_and(|rest| rest.starts_with('.'))
    }

    /// What kind of right it is, by its prefix.
    pub fn class(&self) -> PermissionClass {
        if self.0.starts_with("domicile.") { PermissionClass::Governance } else { PermissionClass::Product }
    }
}

impl fmt::Display for PermissionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a permission lets one do, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(String);

/// The text is no description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("say in one line what it lets one do: 1 to {} printable characters, such as Read orders", Description::LONGEST)]
pub struct ParseDescriptionError;

impl Description {
    const LONGEST: usize = 200;

    /// Reads a description; blanks around it do not count.
    ///
    /// # Errors
    /// Empty, longer than 200 characters, or with what does not print.
    pub fn parse(text: &str) -> Result<Self, ParseDescriptionError> {
        let shown = display_form(text);
        let fits = !shown.is_empty() && shown.chars().count() <= Self::LONGEST;
        if fits && !shown.chars().any(is_unprintable) { Ok(Self(shown)) } else { Err(ParseDescriptionError) }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The two classes of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermissionClass {
    /// Rights over the workspace itself: the reserved prefix `domicile.`
    Governance,
    /// Rights in the products that ask; registered by them.
    Product,
}

/// An entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Its name.
    pub name: PermissionName,
    /// What it lets one do, for people.
    pub description: String,
    /// The service that registered it; `domicile` for governance.
    pub registered_by: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it was retired, if it was: no longer granted, no longer allowed.
    pub retired_at: Option<Timestamp>,
}

/// In how many places a permission is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PermissionUses {
    /// Roles of all workspaces that have it.
    pub roles: u64,
    /// Live memberships to which it is given directly.
    pub memberships: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_of_whole_words() {
        let name = PermissionName::parse("orders.returns.read").unwrap();
        for prefix in ["orders", "orders.", "orders.returns", "orders.returns."] {
            assert!(name.is_under(prefix), "{prefix}");
        }
        for prefix in ["", ".", "ord", "orders.ret", "orders..", "orders.returns.read", "returns"] {
            assert!(!name.is_under(prefix), "{prefix}");
        }
    }

    #[test]
    fn a_description_is_one_line() {
        assert_eq!(Description::parse("  Read orders ").unwrap().to_string(), "Read orders");
        for text in ["", "  ", "two\nlines", "\u{202E}sredro", &"x".repeat(201)] {
            assert_eq!(Description::parse(text), Err(ParseDescriptionError), "{text}");
        }
    }

    #[test]
    fn the_prefix_tells_the_class() {
        assert_eq!(PermissionName::create().class(), PermissionClass::Governance);
        assert_eq!(PermissionName::parse("orders.read").unwrap().class(), PermissionClass::Product);
        assert_eq!(PermissionName::parse("domicilex.read").unwrap().class(), PermissionClass::Product);
    }

    #[test]
    fn refuses_other_names() {
        for text in ["", "orders", "Orders.read", "orders.", ".read", "orders..read", "orders.1", "orders.re ad"] {
            assert!(PermissionName::parse(text).is_err(), "{text}");
        }
    }
}
