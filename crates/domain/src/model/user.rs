//! The person's one account.

use super::contact::Contact;
use super::email::EmailAddress;
use super::id::{UserId, WorkspaceId};
use super::language::LanguageTag;
use super::name::{Name, Username};
use super::phone::PhoneNumber;
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
