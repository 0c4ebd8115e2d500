//! A typed client of the Domicile gRPC service, for other Rust services; the command line is its first user.
//!
//! Every call carries the service's token and the acting user; every error is decoded into its stable reason, the wrong
//! fields and what to do.

pub use domicile_proto::v1;

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use v1::access_service_client::AccessServiceClient;
use v1::membership_service_client::MembershipServiceClient;
use v1::notification_service_client::NotificationServiceClient;
use v1::role_service_client::RoleServiceClient;
use v1::user_service_client::UserServiceClient;
use v1::workspace_service_client::WorkspaceServiceClient;

/// Who calls, and for whom.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The token of the calling service.
    pub token: String,
    /// The id of the person it acts for.
    pub acting_user: Option<String>,
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
    /// Names the call in the service's log.
    pub request_id: String,
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Self {
            code: status.code(),
            reason: info.map(|i| i.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            violations: fields.into_iter().map(|f| (f.field, f.description)).collect(),
            metadata: info.map(|i| i.metadata.clone().into_iter().collect()).unwrap_or_default(),
            request_id: details.request_info().map(|r| r.request_id.clone()).unwrap_or_default(),
        }
    }
}

#[derive(Clone)]
struct Headers {
    authorization: AsciiMetadataValue,
    acting_user: Option<AsciiMetadataValue>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.authorization.clone());
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
        request_id: String::new(),
    }
}

impl Client {
    /// Connects to `endpoint`, for example `http://127.0.0.1:50051`.
    ///
    /// # Errors
    /// `Unavailable` naming the address when nothing answers there.
    pub async fn connect(endpoint: &str, credentials: &Credentials) -> Result<Self, ClientError> {
        let header = |text: String| {
            text.parse::<AsciiMetadataValue>()
                .map_err(|_| unusable("the credentials have characters that a header cannot carry".to_owned()))
        };
        let headers = Headers {
            authorization: header(format!("Bearer {}", credentials.token))?,
            acting_user: credentials.acting_user.clone().map(header).transpose()?,
        };
        let parsed = Endpoint::from_shared(endpoint.to_owned())
            .map_err(|error| unusable(format!("`{endpoint}` is not an address of a service: {error}")))?;
        let channel = parsed.connect_timeout(CONNECT_WITHIN).connect().await.map_err(|_| ClientError {
            code: Code::Unavailable,
            ..unusable(format!("nothing answers at {endpoint}; start the service there, or name the right address"))
        })?;
        Ok(Self { channel: InterceptedService::new(channel, headers) })
    }
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
    /// Makes a workspace.
    create_workspace: WorkspaceServiceClient, CreateWorkspaceRequest -> CreateWorkspaceResponse;
    /// Shows a workspace.
    get_workspace: WorkspaceServiceClient, GetWorkspaceRequest -> GetWorkspaceResponse;
    /// Lists the roles.
    list_roles: RoleServiceClient, ListRolesRequest -> ListRolesResponse;
    /// Answers whether a person may do something.
    check_access: AccessServiceClient, CheckAccessRequest -> CheckAccessResponse;
    /// Shows a message.
    get_notification: NotificationServiceClient, GetNotificationRequest -> GetNotificationResponse;
    /// Lists messages.
    list_notifications: NotificationServiceClient, ListNotificationsRequest -> ListNotificationsResponse;
}
