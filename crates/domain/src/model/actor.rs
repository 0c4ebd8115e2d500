//! Who is calling: a service, and where the call needs one a person.

use std::collections::BTreeSet;

use super::id::{UserId, WorkspaceId};

/// A right of a calling service, apart from any person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceScope {
    /// `access.check`
    AccessCheck,
    /// `workspaces.create`
    WorkspacesCreate,
}

/// In which workspaces a scope holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeReach {
    /// In all: `*`
    Everywhere,
    /// In those listed.
    Workspaces(BTreeSet<WorkspaceId>),
}

/// A calling service with what its configuration grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePrincipal {
    /// Its name, unique in the configuration.
    pub name: String,
    /// Whether it acts for the operator of the installation.
    pub operator: bool,
    /// Its scopes.
    pub scopes: Vec<(ServiceScope, ScopeReach)>,
}

impl ServicePrincipal {
    /// Whether the scope holds in the workspace.
    pub fn may(&self, scope: ServiceScope, workspace: WorkspaceId) -> bool {
        self.scopes.iter().any(|(s, reach)| {
            *s == scope
                && match reach {
                    ScopeReach::Everywhere => true,
                    ScopeReach::Workspaces(list) => list.contains(&workspace),
                }
        })
    }

    /// Whether the scope holds in all workspaces, so that the service may learn that one does not exist.
    pub fn may_everywhere(&self, scope: ServiceScope) -> bool {
        self.scopes.iter().any(|(s, reach)| *s == scope && *reach == ScopeReach::Everywhere)
    }
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The service whose connection it is.
    pub service: ServicePrincipal,
    /// The person it acts for.
    pub user: Option<UserId>,
}
