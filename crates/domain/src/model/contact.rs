//! Contacts of a person, and what a stranger may see of them.

use super::email::EmailAddress;
use super::id::WorkspaceId;
use super::phone::PhoneNumber;
use super::time::{Timestamp, Version};

/// The two kinds of contact by which a person is found and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum ContactKind {
    /// A mail address.
    Email,
    /// A phone number.
    Phone,
}

/// How far a contact can be relied on (`docs/RULES.md`, trust in contacts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactStanding {
    /// A manager typed it.
    Asserted,
    /// The person proved it.
    Verified,
}

/// A contact of a live user, and since when it stands as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact<T> {
    /// The address or number.
    pub value: T,
    /// Asserted or verified.
    pub standing: ContactStanding,
    /// When it came to stand so.
    pub since: Timestamp,
    /// Counts the changes of value or standing. A match handle is bound to it.
    pub version: Version,
}

impl<T> Contact<T> {
    /// A contact that a manager typed just now.
    pub const fn asserted(value: T, now: Timestamp) -> Self {
        Self { value, standing: ContactStanding::Asserted, since: now, version: Version::FIRST }
    }

    /// The person proved it.
    pub const fn verify(&mut self, now: Timestamp) {
        self.standing = ContactStanding::Verified;
        self.since = now;
        self.version = self.version.next();
    }
}

/// The key by which the store finds whose contact it is; unique among live users and held contacts (I4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContactKey {
    /// Email or phone.
    pub kind: ContactKind,
    /// The normalised value.
    pub key: String,
}

impl From<&EmailAddress> for ContactKey {
    fn from(email: &EmailAddress) -> Self {
        Self { kind: ContactKind::Email, key: email.match_key().to_owned() }
    }
}

impl From<&PhoneNumber> for ContactKey {
    fn from(phone: &PhoneNumber) -> Self {
        Self { kind: ContactKind::Phone, key: phone.as_str().to_owned() }
    }
}

/// Who stands behind a contact key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactOwner {
    /// A live user.
    User {
        /// Whose contact it is.
        user: super::id::UserId,
        /// Asserted or verified.
        standing: ContactStanding,
        /// The contact's version.
        version: Version,
    },
    /// Nobody any more; kept from others for a while (M13).
    Held {
        /// The home of the one who had it.
        former_home: WorkspaceId,
        /// When others may have it.
        until: Timestamp,
    },
}
