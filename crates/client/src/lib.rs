//! A typed client of the Domicile gRPC service, for other Rust services; the command line is its first user.
//!
//! Every call carries the service's token and the acting user, where there are any; a client certificate can tell the service
//! instead. Every error is decoded into its stable reason, the wrong fields and what to do.

pub use domicile_proto::{FieldMask, v1};

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use v1::access_service_client::AccessServiceClient;
use v1::group_service_client::GroupServiceClient;
use v1::membership_service_client::MembershipServiceClient;
use v1::notification_service_client::NotificationServiceClient;
use v1::permission_service_client::PermissionServiceClient;
use v1::relationship_service_client::RelationshipServiceClient;
use v1::role_service_client::RoleServiceClient;
use v1::user_service_client::UserServiceClient;
use v1::workspace_service_client::WorkspaceServiceClient;

/// Who calls, and for whom.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token of the calling service, or of a person; empty where a client certificate says it all.
    pub token: String,
    /// The id of the person it acts for.
    pub acting_user: Option<String>,
}

/// How an encrypted connection is made. `Debug` shows no key.
#[derive(Clone, Default)]
pub struct ClientTls {
    /// Certificates, PEM, one of which vouches for the service; absent for those that vouch for the public web.
    pub root_certificates: Option<Vec<u8>>,
    /// The client's own certificate and its key, PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls")
            .field("root_certificates", &self.root_certificates.as_ref().map(Vec::len))
            .field("identity", &self.identity.as_ref().map(|_| "set"))
            .finish()
    }
}

impl ClientTls {
    fn config(&self) -> ClientTlsConfig {
        let config = match &self.root_certificates {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }
}

/// A call was refused, or did not come through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    /// The gRPC code.
    pub code: Code,
    /// The stable reason; empty if the answer did not come from the service.
    pub reason: String,
    /// What happened and what to do.
    pub message: String,
    /// The wrong fields with what is wrong, in the order of the answer.
    pub violations: Vec<(String, String)>,
    /// Facts for programs.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before the same again; absent where waiting does not help.
    pub retry_after: Option<Duration>,
    /// Names the call in the service's log.
    pub request_id: String,
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        // What comes from the service has a reason; what the transport says itself has a cause.
        if let (None, Some(cause)) = (info, status.source()) {
            let detail = innermost(cause);
            return Self {
                code: Code::Unavailable,
                ..unusable(format!(
                    "the connection to the service broke ({detail}); the same again is safe. If it names a certificate, the \
                     service does not take the client's"
                ))
            };
        }
        let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Self {
            code: status.code(),
            reason: info.map(|i| i.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            violations: fields.into_iter().map(|f| (f.field, f.description)).collect(),
            metadata: info.map(|i| i.metadata.clone().into_iter().collect()).unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            request_id: details.request_info().map(|r| r.request_id.clone()).unwrap_or_default(),
        }
    }
}

#[derive(Clone)]
struct Headers {
    authorization: Option<AsciiMetadataValue>,
    acting_user: Option<AsciiMetadataValue>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.authorization {
            request.metadata_mut().insert("authorization", token.clone());
        }
        if let Some(user) = &self.acting_user {
            request.metadata_mut().insert("x-domicile-acting-user", user.clone());
        }
        Ok(request)
    }
}

/// A client of every service. Cloning shares the connection.
#[derive(Clone)]
pub struct Client {
    channel: InterceptedService<Channel, Headers>,
}

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

fn unusable(message: String) -> ClientError {
    ClientError {
        code: Code::InvalidArgument,
        reason: String::new(),
        message,
        violations: Vec::new(),
        metadata: BTreeMap::new(),
        retry_after: None,
        request_id: String::new(),
    }
}

impl Client {
    /// Connects to `endpoint`, for example `http://127.0.0.1:50051`.
    ///
    /// # Errors
    /// `Unavailable` naming the address when nothing answers there.
    pub async fn connect(endpoint: &str, credentials: &Credentials) -> Result<Self, ClientError> {
        Self::connect_by(endpoint, credentials, &ClientTls::default()).await
    }

    /// Connects to `endpoint`, for example `https://domicile.example:50051`; `tls` is of use for `https` alone.
    ///
    /// # Errors
    /// `Unavailable` naming the address when nothing answers there, or no encrypted connection comes about.
    pub async fn connect_by(endpoint: &str, credentials: &Credentials, tls: &ClientTls) -> Result<Self, ClientError> {
        let header = |text: String| {
            text.parse::<AsciiMetadataValue>()
                .map_err(|_| unusable("the credentials have characters that a header cannot carry".to_owned()))
        };
        let headers = Headers {
            authorization: Some(credentials.token.as_str())
                .filter(|token| !token.is_empty())
                .map(|token| header(format!("Bearer {token}")))
                .transpose()?,
            acting_user: credentials.acting_user.clone().map(header).transpose()?,
        };
        let parsed = Endpoint::from_shared(endpoint.to_owned())
            .map_err(|error| unusable(format!("`{endpoint}` is not an address of a service: {error}")))?;
        let parsed = match parsed.uri().scheme_str() {
            Some("https") => parsed.tls_config(tls.config()).map_err(|error| {
                unusable(format!("the certificates for {endpoint} cannot be used: {}", innermost(&error)))
            })?,
            _ => parsed,
        };
        let channel = parsed
            .connect_timeout(CONNECT_WITHIN)
            .connect()
            .await
            .map_err(|error| ClientError { code: Code::Unavailable, ..unusable(not_connected(endpoint, &error)) })?;
        Ok(Self { channel: InterceptedService::new(channel, headers) })
    }
}

/// An error and its causes.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The words of the cause of all others.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Whether nothing is there, or no encrypted connection came about.
fn not_connected(endpoint: &str, error: &(dyn Error + 'static)) -> String {
    // The TLS library tells what it does not like as data that is not valid.
    let broken = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidData)
    };
    if endpoint.starts_with("https") && causes(error).any(broken) {
        let detail = innermost(error);
        return format!(
            "{endpoint} answers, but no encrypted connection comes about ({detail}); check the root certificate and the name \
             in the address"
        );
    }
    format!("nothing answers at {endpoint}; start the service there, or name the right address")
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: $client:ident, $request:ident -> $response:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`ClientError`] with the stable reason.
                pub async fn $name(&self, request: v1::$request) -> Result<v1::$response, ClientError> {
                    let mut client = $client::new(self.channel.clone());
                    Ok(client.$name(request).await?.into_inner())
                }
            )*
        }
    };
}

methods! {
    /// Searches for a person.
    lookup_user: UserServiceClient, LookupUserRequest -> LookupUserResponse;
    /// Shows a user.
    get_user: UserServiceClient, GetUserRequest -> GetUserResponse;
    /// Binds an identity to a person of the home.
    bind_identity: UserServiceClient, BindIdentityRequest -> BindIdentityResponse;
    /// Takes an identity from a person of the home.
    unbind_identity: UserServiceClient, UnbindIdentityRequest -> UnbindIdentityResponse;
    /// Creates or links a person.
    assign_user: MembershipServiceClient, AssignUserRequest -> AssignUserResponse;
    /// Shows a membership.
    get_membership: MembershipServiceClient, GetMembershipRequest -> GetMembershipResponse;
    /// Lists the members.
    list_memberships: MembershipServiceClient, ListMembershipsRequest -> ListMembershipsResponse;
    /// Replaces the roles of a member.
    set_roles: MembershipServiceClient, SetRolesRequest -> SetRolesResponse;
    /// Replaces the direct permissions of a member.
    set_permissions: MembershipServiceClient, SetPermissionsRequest -> SetPermissionsResponse;
    /// Makes a workspace.
    create_workspace: WorkspaceServiceClient, CreateWorkspaceRequest -> CreateWorkspaceResponse;
    /// Shows a workspace.
    get_workspace: WorkspaceServiceClient, GetWorkspaceRequest -> GetWorkspaceResponse;
    /// Proposes a relationship to another workspace.
    propose_relationship: RelationshipServiceClient, ProposeRelationshipRequest -> ProposeRelationshipResponse;
    /// Shows a relationship.
    get_relationship: RelationshipServiceClient, GetRelationshipRequest -> GetRelationshipResponse;
    /// Lists the relationships of a workspace.
    list_relationships: RelationshipServiceClient, ListRelationshipsRequest -> ListRelationshipsResponse;
    /// Changes terms of the own side of a relationship.
    update_relationship: RelationshipServiceClient, UpdateRelationshipRequest -> UpdateRelationshipResponse;
    /// Says yes to a proposed relationship.
    approve_relationship: RelationshipServiceClient, ApproveRelationshipRequest -> ApproveRelationshipResponse;
    /// Says no to a proposed relationship.
    decline_relationship: RelationshipServiceClient, DeclineRelationshipRequest -> DeclineRelationshipResponse;
    /// Suspends a relationship for the own side.
    suspend_relationship: RelationshipServiceClient, SuspendRelationshipRequest -> SuspendRelationshipResponse;
    /// Takes back that the own side suspended a relationship.
    resume_relationship: RelationshipServiceClient, ResumeRelationshipRequest -> ResumeRelationshipResponse;
    /// Ends a relationship.
    end_relationship: RelationshipServiceClient, EndRelationshipRequest -> EndRelationshipResponse;

    /// Lists the workspaces that the acting person belongs to, or for the operator all.
    list_workspaces: WorkspaceServiceClient, ListWorkspacesRequest -> ListWorkspacesResponse;
    /// Replaces fields of the record of a workspace.
    update_workspace: WorkspaceServiceClient, UpdateWorkspaceRequest -> UpdateWorkspaceResponse;
    /// Shows the rules that a workspace sets for itself.
    get_workspace_policy: WorkspaceServiceClient, GetWorkspacePolicyRequest -> GetWorkspacePolicyResponse;
    /// Replaces rules of a workspace.
    update_workspace_policy: WorkspaceServiceClient, UpdateWorkspacePolicyRequest -> UpdateWorkspacePolicyResponse;
    /// Makes a group.
    create_group: GroupServiceClient, CreateGroupRequest -> CreateGroupResponse;
    /// Shows a group.
    get_group: GroupServiceClient, GetGroupRequest -> GetGroupResponse;
    /// Lists the groups.
    list_groups: GroupServiceClient, ListGroupsRequest -> ListGroupsResponse;
    /// Replaces fields of a group.
    update_group: GroupServiceClient, UpdateGroupRequest -> UpdateGroupResponse;
    /// Deletes a group.
    delete_group: GroupServiceClient, DeleteGroupRequest -> DeleteGroupResponse;
    /// Puts Internals into a group.
    add_group_members: GroupServiceClient, AddGroupMembersRequest -> AddGroupMembersResponse;
    /// Takes Internals out of a group.
    remove_group_members: GroupServiceClient, RemoveGroupMembersRequest -> RemoveGroupMembersResponse;
    /// Lists who is in a group.
    list_group_members: GroupServiceClient, ListGroupMembersRequest -> ListGroupMembersResponse;
    /// Lists the roles.
    list_roles: RoleServiceClient, ListRolesRequest -> ListRolesResponse;
    /// Answers up to a hundred questions about access as of one moment.
    batch_check_access: AccessServiceClient, BatchCheckAccessRequest -> BatchCheckAccessResponse;
    /// Lists what is granted to a person in a workspace, and whether it counts now.
    list_effective_permissions: AccessServiceClient, ListEffectivePermissionsRequest -> ListEffectivePermissionsResponse;
    /// Lists who may do something in a workspace now.
    list_subjects: AccessServiceClient, ListSubjectsRequest -> ListSubjectsResponse;
    /// Explains a decision gate by gate.
    explain_access: AccessServiceClient, ExplainAccessRequest -> ExplainAccessResponse;
    /// Shows a role.
    get_role: RoleServiceClient, GetRoleRequest -> GetRoleResponse;
    /// Makes a role.
    create_role: RoleServiceClient, CreateRoleRequest -> CreateRoleResponse;
    /// Changes a role.
    update_role: RoleServiceClient, UpdateRoleRequest -> UpdateRoleResponse;
    /// Deletes a role.
    delete_role: RoleServiceClient, DeleteRoleRequest -> DeleteRoleResponse;
    /// Puts permissions into the catalogue.
    register_permissions: PermissionServiceClient, RegisterPermissionsRequest -> RegisterPermissionsResponse;
    /// Lists the catalogue.
    list_permissions: PermissionServiceClient, ListPermissionsRequest -> ListPermissionsResponse;
    /// Takes a permission out of use.
    retire_permission: PermissionServiceClient, RetirePermissionRequest -> RetirePermissionResponse;
    /// Answers whether a person may do something.
    check_access: AccessServiceClient, CheckAccessRequest -> CheckAccessResponse;
    /// Shows a message.
    get_notification: NotificationServiceClient, GetNotificationRequest -> GetNotificationResponse;
    /// Lists messages.
    list_notifications: NotificationServiceClient, ListNotificationsRequest -> ListNotificationsResponse;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_refusal_tells_how_long_to_wait_where_that_helps() {
        let told = |details: ErrorDetails| {
            ClientError::from(Status::with_error_details(Code::ResourceExhausted, "used up", details)).retry_after
        };
        let pause = Duration::from_millis(42_500);
        let reason = || ErrorDetails::with_error_info("BUDGET_EXHAUSTED", "domicile", std::collections::HashMap::new());
        let mut details = reason();
        details.set_retry_info(Some(pause));
        assert_eq!(told(details), Some(pause));
        assert_eq!(told(reason()), None);
    }
}
