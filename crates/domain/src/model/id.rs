//! Identifiers: one generic type over UUID, so that a user's id cannot stand where a role's is meant.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use uuid::Uuid;

/// An identifier of one kind of thing. Opaque to callers; version 7, so that rows made together lie together.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

impl<K> Id<K> {
    /// Takes an identifier that was made or stored elsewhere.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The identifier as a UUID.
    pub const fn as_uuid(&self) -> Uuid {
        self.uuid
    }

    /// An identifier that names nothing. It lets a refused call do the same work whether or not its subject exists.
    pub const fn nil() -> Self {
        Self::from_uuid(Uuid::nil())
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, f)
    }
}

/// The text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id; an id looks like 0190f3c2-7b1e-7c3a-9d55-0f6d2a1b4c5e")]
pub struct ParseIdError {
    text: String,
}

impl<K> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self::from_uuid).map_err(|_| ParseIdError { text: text.chars().take(64).collect() })
    }
}

#[cfg(feature = "serde")]
impl<K> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de, K> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $marker:ident => $alias:ident;)*) => {
        /// Markers that tell the identifiers apart.
        pub mod kind {
            $($(#[$doc])* #[derive(Debug, Clone, Copy)] pub enum $marker {})*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$marker>;)*
    };
}

kinds! {
    /// A person's one account.
    User => UserId;
    /// A workspace: tenant, organization.
    Workspace => WorkspaceId;
    /// One life of a membership; a person who comes back gets a new one.
    Membership => MembershipId;
    /// A role of one workspace.
    Role => RoleId;
    /// A directed relationship of two workspaces.
    Relationship => RelationshipId;
    /// A group of Internals.
    Group => GroupId;
    /// An organizational unit of a workspace.
    OrganizationalUnit => OrganizationalUnitId;
    /// A message to a person and its delivery record.
    Notice => NoticeId;
    /// A row of the append-only record.
    AuditRecord => AuditId;
    /// An event of a workspace's log.
    Event => EventId;
    /// The id a caller gives a write, so that repeating it has one effect.
    Request => RequestId;
}
