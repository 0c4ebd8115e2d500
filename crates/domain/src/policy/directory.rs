//! What a viewer may see of a member of another home.

use crate::model::relationship::{Disclosure, WorkspaceRelationship};
use crate::model::workspace::Workspace;

/// Decides what a host sees of an External.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait DirectoryPolicy: Send + Sync {
    /// What the home lets every host see.
    fn disclosure(&self, home: &Workspace) -> Disclosure;

    /// What the home lets a host see with which it has this relationship.
    fn disclosure_to(&self, home: &Workspace, relationship: &WorkspaceRelationship) -> Disclosure;
}

/// The shipped rule: the home's own policy, widened by its terms of a relationship in force; with such a relationship the
/// name at least.
#[derive(Debug, Clone, Copy)]
pub struct ShippedDirectoryPolicy;

impl DirectoryPolicy for ShippedDirectoryPolicy {
    fn disclosure(&self, home: &Workspace) -> Disclosure {
        home.policy.disclosure
    }

    fn disclosure_to(&self, home: &Workspace, relationship: &WorkspaceRelationship) -> Disclosure {
        let own = self.disclosure(home);
        if relationship.is_in_force() {
            own.max(relationship.home_terms.disclosure.unwrap_or(own)).max(Disclosure::Name)
        } else {
            own
        }
    }
}
