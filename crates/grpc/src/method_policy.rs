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
pub struct MethodPolicies(BTreeMap<String, Entry>);

#[derive(Debug, Clone)]
struct Entry {
    policy: MethodPolicy,
    /// Whether the answer is a stream.
    streams: bool,
}

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
            table.insert(path, Entry { policy, streams: method.is_server_streaming() });
        }
        Ok(Self(table))
    }

    /// The table with a method that is not of the contract.
    #[cfg(feature = "bench-echo")]
    #[must_use]
    pub(crate) fn with(mut self, path: &str, policy: MethodPolicy) -> Self {
        self.0.insert(path.to_owned(), Entry { policy, streams: false });
        self
    }

    /// The policy of a method; `None` for methods that are not of this contract.
    pub fn get(&self, path: &str) -> Option<&MethodPolicy> {
        self.0.get(path).map(|entry| &entry.policy)
    }

    /// Whether the method's answer is a stream.
    pub(crate) fn streams(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|entry| entry.streams)
    }

    /// The names of the services.
    pub(crate) fn services(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.0.keys().filter_map(|path| path.split('/').nth(1)).map(ToOwned::to_owned).collect();
        names.dedup();
        names
    }

    /// Every method with its policy, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MethodPolicy)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), &entry.policy))
    }
}

/// The longest a call of the method may take.
pub(crate) fn ceiling(policy: &MethodPolicy) -> Duration {
    Duration::from_millis(u64::from(policy.deadline_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_domain::model::actor::ServiceScope;
    use domicile_proto::v1::ServiceScope as WireScope;

    /// What each method asks for, in short: a new method must be added here, with thought. The words for people stand in
    /// `docs/RIGHTS.md`.
    #[test]
    fn every_method_has_the_policy_that_the_rules_give_it() {
        let table = MethodPolicies::read().unwrap();
        let lines: Vec<String> = table
            .iter()
            .map(|(path, p)| {
                let rights: Vec<&str> = p.rights().map(|r| r.as_str_name().trim_start_matches("RIGHT_")).collect();
                let scope = p.scope().as_str_name().trim_start_matches("SERVICE_SCOPE_").replace("UNSPECIFIED", "-");
                let who = match (p.own_token, p.acting_user) {
                    (true, _) => "own token",
                    (false, true) => "person",
                    (false, false) => "service",
                };
                let own = if p.self_allowed { " or self" } else { "" };
                let operator = if p.operator_allowed { " or operator" } else { "" };
                let name = path.trim_start_matches("/domicile.v1.");
                format!("{name} {who} [{}]{own} {scope}{operator}", rights.join("+"))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "AccessService/BatchCheckAccess service [] ACCESS_CHECK",
                "AccessService/CheckAccess service [] ACCESS_CHECK",
                "AccessService/ExplainAccess service [UPDATE] or self ACCESS_CHECK",
                "AccessService/ListEffectivePermissions service [UPDATE] or self ACCESS_CHECK",
                "AccessService/ListSubjects service [UPDATE] ACCESS_SUBJECTS",
                "GroupService/AddGroupMembers person [UPDATE] -",
                "GroupService/CreateGroup person [UPDATE] -",
                "GroupService/DeleteGroup person [UPDATE] -",
                "GroupService/GetGroup person [UPDATE] -",
                "GroupService/ListGroupMembers person [UPDATE] -",
                "GroupService/ListGroups person [UPDATE] -",
                "GroupService/RemoveGroupMembers person [UPDATE] -",
                "GroupService/UpdateGroup person [UPDATE] -",
                "MembershipService/AssignUser person [CREATE+UPDATE] -",
                "MembershipService/GetMembership service [UPDATE] or self MEMBERS_READ",
                "MembershipService/ListMemberships service [UPDATE] MEMBERS_READ",
                "MembershipService/SetPermissions person [UPDATE] -",
                "MembershipService/SetRoles person [UPDATE] -",
                "NotificationService/GetNotification person [UPDATE] or self -",
                "NotificationService/ListNotifications person [UPDATE] -",
                "PermissionService/ListPermissions person [MEMBER] -",
                "PermissionService/RegisterPermissions service [] PERMISSIONS_REGISTER",
                "PermissionService/RetirePermission service [] PERMISSIONS_REGISTER",
                "RelationshipService/ApproveRelationship own token [QUALIFYING_MANAGER] -",
                "RelationshipService/DeclineRelationship person [QUALIFYING_MANAGER] -",
                "RelationshipService/EndRelationship person [QUALIFYING_MANAGER] -",
                "RelationshipService/GetRelationship person [QUALIFYING_MANAGER] -",
                "RelationshipService/ListRelationships person [QUALIFYING_MANAGER] -",
                "RelationshipService/ProposeRelationship person [QUALIFYING_MANAGER] -",
                "RelationshipService/ResumeRelationship person [QUALIFYING_MANAGER] -",
                "RelationshipService/SuspendRelationship person [QUALIFYING_MANAGER] -",
                "RelationshipService/UpdateRelationship person [QUALIFYING_MANAGER] -",
                "RoleService/CreateRole person [QUALIFYING_MANAGER] -",
                "RoleService/DeleteRole person [QUALIFYING_MANAGER] -",
                "RoleService/GetRole person [MEMBER] -",
                "RoleService/ListRoles person [MEMBER] -",
                "RoleService/UpdateRole person [QUALIFYING_MANAGER] -",
                "UserService/BindIdentity person [QUALIFYING_MANAGER] -",
                "UserService/GetUser person [UPDATE] or self -",
                "UserService/LookupUser person [CREATE] -",
                "UserService/UnbindIdentity person [QUALIFYING_MANAGER] -",
                "WorkspaceService/CreateWorkspace service [] WORKSPACES_CREATE or operator",
                "WorkspaceService/GetWorkspace service [MEMBER] - or operator",
                "WorkspaceService/GetWorkspacePolicy person [UPDATE] -",
                "WorkspaceService/ListWorkspaces service [MEMBER] - or operator",
                "WorkspaceService/UpdateWorkspace person [QUALIFYING_MANAGER] -",
                "WorkspaceService/UpdateWorkspacePolicy person [QUALIFYING_MANAGER] -",
            ]
        );
    }

    #[test]
    fn a_call_for_a_person_needs_the_person_and_a_consent_needs_them_in_person() {
        for (path, policy) in MethodPolicies::read().unwrap().iter() {
            assert!(!policy.own_token || policy.acting_user, "{path}: whoever needs an own token is an acting user");
            let alone = policy.scope() != WireScope::Unspecified;
            assert!(!policy.self_allowed || policy.acting_user || alone, "{path}: nobody is themself without a person");
        }
    }

    /// The scopes that the contract names are those that the configuration can give.
    #[test]
    fn the_scopes_of_the_contract_are_those_of_the_domain() {
        let names = (1..).map_while(|number| WireScope::try_from(number).ok()).map(|scope| {
            let name = scope.as_str_name().trim_start_matches("SERVICE_SCOPE_").to_lowercase();
            name.replacen('_', ".", 1)
        });
        let names: Vec<String> = names.collect();
        assert_eq!(names.len(), 7);
        for name in names {
            let given = if name == "permissions.register" { format!("{name}:orders.") } else { name };
            let scope: ServiceScope = given.parse().unwrap();
            assert_eq!(scope.to_string(), given);
        }
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
