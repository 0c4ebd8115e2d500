//! Who is calling: a service, and where the call needs one a person.

use std::collections::BTreeSet;

use super::id::UserId;
use super::workspace::{Workspace, WorkspaceRef};

/// A right of a calling service, apart from any person's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceScope {
    /// `access.check`: ask what people may do.
    AccessCheck,
    /// `access.subjects`: ask who may do something.
    AccessSubjects,
    /// `members.read`: read the members without an acting person.
    MembersRead,
    /// `events.read`: read the log of events.
    EventsRead,
    /// `permissions.register:PREFIX`: register permissions whose name begins so.
    PermissionsRegister(String),
    /// `notices.report`: tell what became of messages.
    NoticesReport,
    /// `workspaces.create`: make workspaces.
    WorkspacesCreate,
}

impl std::fmt::Display for ServiceScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AccessCheck => f.write_str("access.check"),
            Self::AccessSubjects => f.write_str("access.subjects"),
            Self::MembersRead => f.write_str("members.read"),
            Self::EventsRead => f.write_str("events.read"),
            Self::PermissionsRegister(prefix) => write!(f, "permissions.register:{prefix}"),
            Self::NoticesReport => f.write_str("notices.report"),
            Self::WorkspacesCreate => f.write_str("workspaces.create"),
        }
    }
}

/// Not the name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope; there are access.check, access.subjects, members.read, events.read, \
     permissions.register:PREFIX, notices.report and workspaces.create"
)]
pub struct ParseServiceScopeError(String);

impl std::str::FromStr for ServiceScope {
    type Err = ParseServiceScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "access.check" => Ok(Self::AccessCheck),
            "access.subjects" => Ok(Self::AccessSubjects),
            "members.read" => Ok(Self::MembersRead),
            "events.read" => Ok(Self::EventsRead),
            "notices.report" => Ok(Self::NoticesReport),
            "workspaces.create" => Ok(Self::WorkspacesCreate),
            _ => match text.strip_prefix("permissions.register:") {
                Some(prefix) if !prefix.is_empty() => Ok(Self::PermissionsRegister(prefix.to_owned())),
                _ => Err(ParseServiceScopeError(text.to_owned())),
            },
        }
    }
}

/// In which workspaces a scope holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeReach {
    /// In all: `*`
    Everywhere,
    /// In those listed.
    Workspaces(BTreeSet<WorkspaceRef>),
}

impl ScopeReach {
    /// Whether it holds in the workspace.
    pub fn covers(&self, workspace: &Workspace) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Workspaces(list) => list.iter().any(|named| named.names(workspace)),
        }
    }

    /// Whether it is known to hold in a workspace by its name alone, without looking whose the name is. One that is listed
    /// by its other name is not known so.
    pub fn lists(&self, named: &WorkspaceRef) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Workspaces(list) => list.contains(named),
        }
    }
}

/// Which methods of the contract a service may call, by their names: `domicile.v1.UserService/LookupUser`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodSet {
    /// Every one.
    All,
    /// Those listed.
    Only(BTreeSet<String>),
}

impl MethodSet {
    /// Whether the method is among them.
    pub fn has(&self, method: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(list) => list.contains(method),
        }
    }
}

/// A service may name the person it acts for, without a proof of that person, by these methods in these workspaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActAsGrant {
    /// Where.
    pub reach: ScopeReach,
    /// By which methods.
    pub methods: MethodSet,
}

/// A calling service with what its configuration grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePrincipal {
    /// Its name, unique in the configuration.
    pub name: String,
    /// Whether it acts for the operator of the installation.
    pub operator: bool,
    /// What it may call at all.
    pub methods: MethodSet,
    /// Its scopes.
    pub scopes: Vec<(ServiceScope, ScopeReach)>,
    /// Whom it may name without a proof; without a grant nobody. The operator never has one.
    pub act_as: Option<ActAsGrant>,
}

impl ServicePrincipal {
    /// A service that may call every method and has no right of its own.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), operator: false, methods: MethodSet::All, scopes: Vec::new(), act_as: None }
    }

    /// The same with a scope.
    #[must_use]
    pub fn with_scope(mut self, scope: ServiceScope, reach: ScopeReach) -> Self {
        self.scopes.push((scope, reach));
        self
    }

    /// The same, and it may name anybody by every method anywhere.
    #[must_use]
    pub fn acting_as_anybody(mut self) -> Self {
        self.act_as = Some(ActAsGrant { reach: ScopeReach::Everywhere, methods: MethodSet::All });
        self
    }

    /// Whether the scope holds in the workspace.
    pub fn may(&self, scope: &ServiceScope, workspace: &Workspace) -> bool {
        self.scopes.iter().any(|(held, reach)| held == scope && reach.covers(workspace))
    }

    /// Whether the service is known to have the scope in a workspace by its name alone ([`ScopeReach::lists`]).
    pub fn lists(&self, scope: &ServiceScope, named: &WorkspaceRef) -> bool {
        self.scopes.iter().any(|(held, reach)| held == scope && reach.lists(named))
    }

    /// Whether the scope holds in all workspaces, so that the service may learn that one does not exist.
    pub fn may_everywhere(&self, scope: &ServiceScope) -> bool {
        self.scopes.iter().any(|(held, reach)| held == scope && *reach == ScopeReach::Everywhere)
    }
}

/// How it is known that the person acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// By the person's own token. Consents need it.
    OwnToken,
    /// By a token that was exchanged for the service (RFC 8693): it names the person and the service that acts for them.
    Exchanged,
    /// The service says so, under a grant that reaches this far.
    ActAs(ScopeReach),
}

/// The person for whom a call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActingUser {
    /// Who.
    pub id: UserId,
    /// How that is known.
    pub means: Means,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The service whose connection it is.
    pub service: ServicePrincipal,
    /// The person it acts for.
    pub user: Option<ActingUser>,
}

impl Actor {
    /// A service for nobody.
    pub const fn service(service: ServicePrincipal) -> Self {
        Self { service, user: None }
    }

    /// A service for a person who acts by their own token.
    pub const fn person(service: ServicePrincipal, id: UserId) -> Self {
        Self { service, user: Some(ActingUser { id, means: Means::OwnToken }) }
    }

    /// Whether the call may be about a workspace, as far as the means go by which the person acts: a grant to name
    /// people holds in its own workspaces alone, and the operator has none. One that does not exist is within no bounds.
    pub fn reaches(&self, workspace: Option<&Workspace>) -> bool {
        self.is_within(|reach| {
            *reach == ScopeReach::Everywhere || workspace.is_some_and(|workspace| reach.covers(workspace))
        })
    }

    /// Whether that is known of a workspace by its name alone ([`ScopeReach::lists`]).
    pub fn reaches_listed(&self, named: &WorkspaceRef) -> bool {
        self.is_within(|reach| reach.lists(named))
    }

    fn is_within(&self, lies: impl FnOnce(&ScopeReach) -> bool) -> bool {
        match self.user.as_ref().map(|user| &user.means) {
            Some(Means::ActAs(reach)) => lies(reach) && !self.service.operator,
            Some(Means::OwnToken | Means::Exchanged) | None => true,
        }
    }

    /// The id of the person it acts for.
    pub fn user_id(&self) -> Option<UserId> {
        self.user.as_ref().map(|user| user.id)
    }
}
