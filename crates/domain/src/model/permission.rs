//! Permissions: their names, classes and catalogue.

use std::fmt;

use super::text::quotable;
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

#[cfg(test)]
mod tests {
    use super::*;

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
