//! A workspace: tenant, organization.

use std::collections::BTreeSet;
use std::time::Duration;

use super::email::{EmailAddress, MailDomain};
use super::id::WorkspaceId;
use super::language::LanguageTag;
use super::name::{Handle, Name};
use super::notice::Channel;
use super::phone::Region;
use super::relationship::{Ceiling, Disclosure};
use super::text::quotable;
use super::time::{Revision, Timestamp, Version};

/// Names a workspace as callers do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkspaceRef {
    /// By id.
    Id(WorkspaceId),
    /// By handle.
    Handle(Handle),
}

impl WorkspaceRef {
    /// Whether it is the name of the workspace.
    pub fn names(&self, workspace: &Workspace) -> bool {
        match self {
            Self::Id(id) => *id == workspace.id,
            Self::Handle(handle) => *handle == workspace.handle,
        }
    }
}

/// Neither the id nor the handle of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither the id nor the handle of a workspace")]
pub struct ParseWorkspaceRefError(String);

impl std::str::FromStr for WorkspaceRef {
    type Err = ParseWorkspaceRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Handle::parse(text).map(Self::Handle).map_err(|_| ParseWorkspaceRefError(quotable(text)))
    }
}

/// The state of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkspaceState {
    /// In use.
    Active,
    /// Switched off by the operator.
    Suspended,
    /// Being closed; its people are being taken care of.
    Closing,
    /// Gone for good.
    Closed,
}

impl WorkspaceState {
    /// Every state, for tables that must not forget one.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Closing, Self::Closed];
}

/// How open a workspace is to others, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Openness {
    /// To every workspace.
    Open,
    /// To those with an active relationship.
    RelatedOnly,
    /// To none.
    Closed,
}

impl Openness {
    /// Every degree, for tables that must not forget one.
    pub const ALL: [Self; 3] = [Self::Open, Self::RelatedOnly, Self::Closed];

    /// The word that people and records know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::RelatedOnly => "RELATED_ONLY",
            Self::Closed => "CLOSED",
        }
    }
}

/// What Internals see of Externals in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DirectoryVisibility {
    /// Nothing.
    Hidden,
    /// Their names.
    NameOnly,
    /// A whole entry.
    Listed,
}

impl DirectoryVisibility {
    /// Every degree, for tables that must not forget one.
    pub const ALL: [Self; 3] = [Self::Hidden, Self::NameOnly, Self::Listed];

    /// The word that people and records know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "HIDDEN",
            Self::NameOnly => "NAME_ONLY",
            Self::Listed => "LISTED",
        }
    }
}

/// The rules a workspace sets for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePolicy {
    /// From which homes it takes Externals.
    pub inbound: Openness,
    /// To which hosts its people may be linked.
    pub outbound: Openness,
    /// What Externals of unknown homes may have at most.
    pub default_ceiling: Ceiling,
    /// What its Internals see of its Externals.
    pub visibility_of_externals: DirectoryVisibility,
    /// Whether a person must accept before becoming External here.
    pub acceptance_as_host: bool,
    /// Whether its people must accept before becoming External elsewhere.
    pub acceptance_as_home: bool,
    /// What other workspaces may see of its people.
    pub disclosure: Disclosure,
    /// Whether Externals may hold governance rights here.
    pub external_managers: bool,
}

/// Where a link of a message may lead: an address of the encrypted web, as one reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(String);

/// The text cannot be a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address for a link; it begins with https://, a host follows, and it has at most 500 characters"
)]
pub struct ParseLinkError(String);

impl Link {
    /// Reads a link. The host stands before the eyes of whoever reads it: no name of a user before it, nothing invisible, no
    /// quotes and no angle brackets.
    ///
    /// # Errors
    /// [`ParseLinkError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, ParseLinkError> {
        let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
        let is_host = |host: &str| {
            host.starts_with(|c: char| c.is_ascii_alphanumeric())
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b))
        };
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&b));
        let fits = plain && text.len() <= 500 && text.strip_prefix("https://").is_some_and(|rest| is_host(&host(rest)));
        if fits { Ok(Self(text.to_owned())) } else { Err(ParseLinkError(super::text::quotable(text))) }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the links of its messages lead.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkspaceLinks {
    /// Where a new person begins.
    pub begin: Option<String>,
    /// Where a person accepts or declines.
    pub accept: Option<String>,
    /// Where a person leaves.
    pub leave: Option<String>,
}

/// How its messages go out. The operator defines gateways and senders; a workspace picks among those allowed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceNotices {
    /// Languages its messages may be written in; empty for every language that the instance writes.
    pub languages: Vec<LanguageTag>,
    /// Channels in the order in which they are tried.
    pub channels: Vec<Channel>,
    /// Name of the gateway it sends by; the instance's default where absent.
    pub gateway: Option<String>,
    /// Name of the sender it sends as; the instance's default where absent.
    pub sender: Option<String>,
    /// Whom a surprised person may ask.
    pub support_contact: Option<EmailAddress>,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Never changes.
    pub id: WorkspaceId,
    /// Unique in the system; never changes.
    pub handle: Handle,
    /// For people.
    pub display_name: Name,
    /// State.
    pub state: WorkspaceState,
    /// National phone numbers are read as of this region.
    pub default_region: Region,
    /// The language of messages to people whose own has no text.
    pub default_language: LanguageTag,
    /// How messages go out.
    pub notices: WorkspaceNotices,
    /// Where links lead.
    pub links: WorkspaceLinks,
    /// Mail domains that the operator knows to be its own.
    pub verified_domains: BTreeSet<MailDomain>,
    /// Its own rules.
    pub policy: WorkspacePolicy,
    /// When it was created.
    pub created_at: Timestamp,
    /// Counts changes of the record.
    pub version: Version,
    /// Counts units of work that wrote here; orders its events.
    pub revision: Revision,
}

/// What a new workspace is made of; the rest is as shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkspace {
    /// Unique in the system.
    pub handle: Handle,
    /// For people.
    pub display_name: Name,
    /// Of its phone numbers.
    pub default_region: Region,
    /// Of its messages.
    pub default_language: LanguageTag,
}

impl Workspace {
    /// How long a pending membership waits for the person.
    pub const PENDING_FOR: Duration = Duration::from_hours(30 * 24);

    /// A new workspace with the shipped policies: open, Externals limited to `default_ceiling`, hidden, nothing disclosed.
    pub fn create(id: WorkspaceId, new: NewWorkspace, default_ceiling: Ceiling, now: Timestamp) -> Self {
        Self {
            id,
            handle: new.handle,
            display_name: new.display_name,
            state: WorkspaceState::Active,
            default_region: new.default_region,
            notices: WorkspaceNotices {
                languages: Vec::new(),
                channels: vec![Channel::Email, Channel::Sms],
                gateway: None,
                sender: None,
                support_contact: None,
            },
            default_language: new.default_language,
            links: WorkspaceLinks::default(),
            verified_domains: BTreeSet::new(),
            policy: WorkspacePolicy {
                inbound: Openness::Open,
                outbound: Openness::Open,
                default_ceiling,
                visibility_of_externals: DirectoryVisibility::Hidden,
                acceptance_as_host: false,
                acceptance_as_home: false,
                disclosure: Disclosure::None,
                external_managers: false,
            },
            created_at: now,
            version: Version::FIRST,
            revision: Revision::FIRST,
        }
    }
}
