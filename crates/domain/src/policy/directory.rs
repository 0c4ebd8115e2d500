//! What a viewer may see of a member of another home.

use crate::model::relationship::{Disclosure, WorkspaceRelationship};
use crate::model::workspace::Workspace;

/// Decides what a host sees of an External.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait DirectoryPolicy: Send + Sync {
    /// What the home lets this host see.
    fn disclosure<'a>(&self, home: &'a Workspace, relationship: Option<&'a WorkspaceRelationship>) -> Disclosure;
}

/// The shipped rule: the home's own policy, widened by its terms of a relationship in force; with such a relationship the
/// name at least.
#[derive(Debug, Clone, Copy)]
pub struct ShippedDirectoryPolicy;

impl DirectoryPolicy for ShippedDirectoryPolicy {
    fn disclosure<'a>(&self, home: &'a Workspace, relationship: Option<&'a WorkspaceRelationship>) -> Disclosure {
        let own = home.policy.disclosure;
        match relationship.filter(|r| r.is_in_force()) {
            Some(r) => own.max(r.home_terms.disclosure.unwrap_or(own)).max(Disclosure::Name),
            None => own,
        }
    }
}
