//! The enforcement table: the policy of every method, read from the raw descriptors of the contract.

use std::collections::BTreeMap;
use std::time::Duration;

use domicile_proto::FILE_DESCRIPTOR_SET;
use domicile_proto::v1::{CostClass, MethodPolicy};
use prost::Message;
use prost_reflect::DescriptorPool;

/// Why the table cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The descriptors cannot be read.
    #[error("the descriptors of the contract cannot be read: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The option is not declared.
    #[error("the contract declares no method policy")]
    NoExtension,
    /// A policy cannot be read.
    #[error("the policy of {0} cannot be read")]
    Unreadable(String),
    /// A method without a policy would be open to all.
    #[error("{0} has no policy; add one in the contract")]
    Missing(String),
}

/// The policy of every method by its path, `/domicile.v1.UserService/LookupUser`.
#[derive(Debug, Clone)]
pub struct MethodPolicies(BTreeMap<String, MethodPolicy>);

impl MethodPolicies {
    /// Reads the table of this contract.
    ///
    /// # Errors
    /// [`PolicyError`] when a method has none: the server does not start then.
    pub fn read() -> Result<Self, PolicyError> {
        Self::of(FILE_DESCRIPTOR_SET)
    }

    fn of(descriptors: &[u8]) -> Result<Self, PolicyError> {
        let pool = DescriptorPool::decode(descriptors)?;
        let option = pool.get_extension_by_name("domicile.v1.policy").ok_or(PolicyError::NoExtension)?;
        let mut table = BTreeMap::new();
        for method in
            pool.services().filter(|s| s.package_name() == "domicile.v1").flat_map(|s| s.methods().collect::<Vec<_>>())
        {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let options = method.options();
            if !options.has_extension(&option) {
                return Err(PolicyError::Missing(path));
            }
            let value = options.get_extension(&option);
            let message = value.as_message().ok_or_else(|| PolicyError::Unreadable(path.clone()))?;
            let policy = MethodPolicy::decode(message.encode_to_vec().as_slice())
                .map_err(|_| PolicyError::Unreadable(path.clone()))?;
            if policy.cost() == CostClass::Unspecified || policy.deadline_ms == 0 {
                return Err(PolicyError::Unreadable(path));
            }
            table.insert(path, policy);
        }
        Ok(Self(table))
    }

    /// The table with a method that is not of the contract.
    #[cfg(feature = "bench-echo")]
    #[must_use]
    pub(crate) fn with(mut self, path: &str, policy: MethodPolicy) -> Self {
        self.0.insert(path.to_owned(), policy);
        self
    }

    /// The policy of a method; `None` for methods that are not of this contract.
    pub fn get(&self, path: &str) -> Option<&MethodPolicy> {
        self.0.get(path)
    }

    /// Every method with its policy, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MethodPolicy)> {
        self.0.iter().map(|(path, policy)| (path.as_str(), policy))
    }
}

/// The longest a call of the method may take.
pub(crate) fn ceiling(policy: &MethodPolicy) -> Duration {
    Duration::from_millis(u64::from(policy.deadline_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each method asks for, for people to read: a new method must be added here, with thought.
    #[test]
    fn every_method_has_the_policy_that_the_rules_give_it() {
        let table = MethodPolicies::read().unwrap();
        let lines: Vec<String> = table
            .iter()
            .map(|(path, p)| {
                let rights: Vec<&str> = p.rights().map(|r| r.as_str_name().trim_start_matches("RIGHT_")).collect();
                let scope = p.scope().as_str_name().trim_start_matches("SERVICE_SCOPE_").replace("UNSPECIFIED", "-");
                let who = if p.acting_user { "person" } else { "service" };
                let own = if p.self_allowed { " or self" } else { "" };
                format!("{} {who} [{}]{own} {scope}", path.trim_start_matches("/domicile.v1."), rights.join("+"))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "AccessService/CheckAccess service [] ACCESS_CHECK",
                "MembershipService/AssignUser person [CREATE+UPDATE] -",
                "MembershipService/GetMembership person [UPDATE] or self -",
                "MembershipService/ListMemberships person [UPDATE] -",
                "NotificationService/GetNotification person [UPDATE] or self -",
                "NotificationService/ListNotifications person [UPDATE] -",
                "RoleService/ListRoles person [MEMBER] -",
                "UserService/BindIdentity person [CREATE+UPDATE] -",
                "UserService/GetUser person [UPDATE] or self -",
                "UserService/LookupUser person [CREATE] -",
                "UserService/UnbindIdentity person [CREATE+UPDATE] -",
                "WorkspaceService/CreateWorkspace service [] WORKSPACES_CREATE",
                "WorkspaceService/GetWorkspace service [MEMBER] -",
            ]
        );
    }

    #[test]
    fn a_method_without_a_policy_is_refused() {
        let mut files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        // Decoding with prost drops the custom options, which is just what a forgotten option looks like.
        for file in &mut files.file {
            for service in &mut file.service {
                for method in &mut service.method {
                    method.options = None;
                }
            }
        }
        let refused = MethodPolicies::of(&files.encode_to_vec()).unwrap_err();
        assert!(matches!(refused, PolicyError::Missing(_)), "{refused}");
    }
}
