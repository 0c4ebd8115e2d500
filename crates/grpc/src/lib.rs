//! The gRPC server of Domicile over the domain's inbound port.
//!
//! Recipe for a new method: write it in the contract with its policy and comments, add its row to the test in
//! [`method_policy`], then a handler in `service` that reads the request, calls one use case and maps the answer.
//! Conversion lives in `convert`, errors in `status`, and what every call passes before its handler in `gate`.

mod convert;
#[cfg(feature = "bench-echo")]
pub mod echo;
mod gate;
pub mod method_policy;
mod service;
pub mod status;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::port::authenticator::Authenticator;
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::usecase::DomicileApi;
use domicile_proto::FILE_DESCRIPTOR_SET;
use domicile_proto::v1::{
    access_service_server::AccessServiceServer, membership_service_server::MembershipServiceServer,
    notification_service_server::NotificationServiceServer, role_service_server::RoleServiceServer,
    user_service_server::UserServiceServer, workspace_service_server::WorkspaceServiceServer,
};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use crate::gate::{GateLayer, Keeper};
use crate::method_policy::{MethodPolicies, PolicyError};
use crate::service::Services;

/// The limits of the server. Whatever is not set here would be unlimited.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request, in bytes.
    pub request_bytes: usize,
    /// The largest answer, in bytes.
    pub answer_bytes: usize,
    /// The largest list of headers, in bytes.
    pub header_list_bytes: u32,
    /// Streams at once on one connection, by the protocol.
    pub concurrent_streams: u32,
    /// Calls at work at once on one connection.
    pub calls_per_connection: usize,
    /// How often a silent connection is asked whether it lives.
    pub keepalive_interval: Duration,
    /// How long it may take to answer.
    pub keepalive_timeout: Duration,
    /// After this a connection is asked to begin anew, so that load spreads.
    pub connection_age: Duration,
    /// Streams that the client reset before they were accepted.
    pub pending_accept_reset_streams: usize,
    /// Streams that were reset here for a client's errors.
    pub local_error_reset_streams: usize,
    /// How long calls at work may take to end after the server was asked to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 1024 * 1024,
            answer_bytes: 4 * 1024 * 1024,
            header_list_bytes: 16 * 1024,
            concurrent_streams: 256,
            calls_per_connection: 128,
            keepalive_interval: Duration::from_mins(1),
            keepalive_timeout: Duration::from_secs(20),
            connection_age: Duration::from_mins(30),
            pending_accept_reset_streams: 20,
            local_error_reset_streams: 1024,
            drain: Duration::from_secs(20),
        }
    }
}

/// What the server works with.
pub struct ServerParts {
    /// The product.
    pub api: Arc<dyn DomicileApi>,
    /// Who is calling.
    pub authenticator: Arc<dyn Authenticator>,
    /// Whether the authenticator is the development one, which serves on loopback alone.
    pub development: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Correlation and incident ids.
    pub ids: Arc<dyn Ids>,
    /// Limits.
    pub limits: Limits,
}

/// The server cannot start or broke.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Development credentials must not be reachable from elsewhere.
    #[error("the development sign-in serves on loopback only, and {0} is not; listen on 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// The contract is not complete.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The reflection service cannot read the contract.
    #[error("the contract cannot be served by reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener has no address.
    #[error("the listener has no address: {0}")]
    Address(#[from] std::io::Error),
    /// The transport broke.
    #[error("the server broke: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// The health service, which does not say SERVING before there is a server: tonic-health itself begins so.
async fn silent_health() -> (HealthReporter, HealthServer<impl Health>) {
    let (health, service) = tonic_health::server::health_reporter();
    health.set_service_status("", ServingStatus::NotServing).await;
    (health, service)
}

/// Serves until `shutdown` ends; then health says so, no call is taken any more, and those at work end, those too whose
/// caller has left. What has not ended after [`Limits::drain`] is left behind, and said so in the log.
///
/// # Errors
/// [`ServeError`]; nothing was served unless the transport broke.
pub async fn serve(
    parts: ServerParts,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let address = listener.local_addr()?;
    if parts.development && !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let policies = MethodPolicies::read()?;
    #[cfg(feature = "bench-echo")]
    let policies = policies.with(echo::ECHO_PATH, echo::policy());
    let (at_work, mut idle) = mpsc::channel(1);
    let keeper = Keeper {
        policies,
        api: parts.api.clone(),
        authenticator: parts.authenticator,
        clock: parts.clock,
        ids: parts.ids,
        open_reflection: parts.development,
        at_work,
    };
    let services = Services { api: parts.api };
    let Limits { request_bytes, answer_bytes, .. } = parts.limits;

    let (health, health_service) = silent_health().await;
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET);
    macro_rules! limited {
        ($server:ident) => {
            $server::new(services.clone())
                .max_decoding_message_size(request_bytes)
                .max_encoding_message_size(answer_bytes)
        };
    }
    let limits = &parts.limits;
    let router = tonic::transport::Server::builder()
        .max_concurrent_streams(limits.concurrent_streams)
        .concurrency_limit_per_connection(limits.calls_per_connection)
        .http2_max_header_list_size(limits.header_list_bytes)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .http2_max_pending_accept_reset_streams(Some(limits.pending_accept_reset_streams))
        .http2_max_local_error_reset_streams(Some(limits.local_error_reset_streams))
        .max_connection_age(limits.connection_age)
        .layer(GateLayer(Arc::new(keeper)))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(limited!(UserServiceServer))
        .add_service(limited!(MembershipServiceServer))
        .add_service(limited!(WorkspaceServiceServer))
        .add_service(limited!(RoleServiceServer))
        .add_service(limited!(AccessServiceServer))
        .add_service(limited!(NotificationServiceServer));
    #[cfg(feature = "bench-echo")]
    let router = {
        tracing::warn!("this build serves the control of the benchmark: it is not for use");
        router.add_service(echo::EchoServer { request_bytes, answer_bytes })
    };
    health.set_service_status("", ServingStatus::Serving).await;
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        shutdown.await;
        health.set_service_status("", ServingStatus::NotServing).await;
        // The other end waits for as long as the server serves.
        let _ = stopping.send(());
    };
    let serving = async {
        router.serve_with_incoming_shutdown(connections(listener), stop).await?;
        // Every sender is in a gate or with a call at work.
        let _: Option<Infallible> = idle.recv().await;
        Ok(())
    };
    let late = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(limits.drain).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = serving => ended,
        () = late => {
            tracing::warn!(drain.seconds = limits.drain.as_secs(), "calls were still at work when the server stopped");
            Ok(())
        }
    }
}

/// Connections on which nothing waits. An answer is written in two parts, and the kernel would hold the second one back until
/// the client has acknowledged the first, which takes a client 40 ms that has nothing else to say.
fn connections(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;
    use tokio_stream::StreamExt;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response};

    #[tokio::test]
    async fn health_does_not_serve_before_there_is_a_server() {
        let (_health, service) = silent_health().await;
        let whole = HealthCheckRequest { service: String::new() };
        let said = HealthClient::new(service).check(whole).await.unwrap().into_inner();
        assert_eq!(said.status(), health_check_response::ServingStatus::NotServing);
    }

    #[tokio::test]
    async fn no_answer_waits_for_an_acknowledgement() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = connections(listener);
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), connections.next());
        assert!(accepted.unwrap().unwrap().nodelay().unwrap());
    }
}
