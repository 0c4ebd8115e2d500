//! The gRPC server of Domicile over the domain's inbound port.
//!
//! Recipe for a new method: write it in the contract with its policy and comments, add its row to the test in
//! [`method_policy`], then a handler in `service` that reads the request, calls one use case and maps the answer.
//! Conversion lives in `convert`, errors in `status`. What every call passes before its handler is `gate`, with one module
//! for each of its layers: `foreign_identity`, `trace_context`, `admission`; `answer` is what it passes on its way out.
//! Connections come in through `connections` with `tls`, and `health` says whether it is worth connecting.

mod admission;
mod answer;
mod connections;
mod convert;
#[cfg(feature = "bench-echo")]
pub mod echo;
mod even_time;
mod expiry;
mod foreign_identity;
mod gate;
mod health;
mod limits;
mod measures;
pub mod method_policy;
pub mod rights_page;
mod service;
pub mod status;
pub mod tls;
mod trace_context;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use domicile_domain::port::authenticator::Authenticator;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::usecase::DomicileApi;
use domicile_proto::FILE_DESCRIPTOR_SET;
use domicile_proto::v1::{
    access_service_server::AccessServiceServer, group_service_server::GroupServiceServer,
    membership_service_server::MembershipServiceServer, notification_service_server::NotificationServiceServer,
    permission_service_server::PermissionServiceServer, relationship_service_server::RelationshipServiceServer,
    role_service_server::RoleServiceServer, user_service_server::UserServiceServer,
    workspace_service_server::WorkspaceServiceServer,
};
use futures::StreamExt;
use futures::stream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health as HealthApi, HealthServer};

use crate::admission::Admission;
use crate::connections::{Connection, connections};
use crate::gate::{GateLayer, Keeper, Methods};
use crate::health::Health;
pub use crate::limits::Limits;
use crate::method_policy::{MethodPolicies, PolicyError};
use crate::service::Services;
use crate::tls::Tls;

/// What the server works with.
pub struct ServerParts {
    /// The product.
    pub api: Arc<dyn DomicileApi>,
    /// Whether the store can be reached, which health says.
    pub store_health: Arc<dyn StoreProbe>,
    /// Who is calling.
    pub authenticator: Arc<dyn Authenticator>,
    /// Whether the authenticator is the development one, which serves on loopback alone.
    pub development: bool,
    /// The certificate to serve with; without one the server listens on loopback alone.
    pub tls: Option<Tls>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Correlation and incident ids.
    pub ids: Arc<dyn Ids>,
    /// Limits.
    pub limits: Limits,
    /// Of the traces that begin here, how many in a hundred are to be recorded; callers say it of theirs. Each call is a
    /// span of `tracing` by the name `call`, whose field `trace.sampled` says it.
    pub traces_percent: u8,
}

/// The server cannot start or broke.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Development credentials must not be reachable from elsewhere.
    #[error("the development sign-in serves on loopback only, and {0} is not; listen on 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// What is sent could be read on the way.
    #[error(
        "without a certificate the server listens on loopback only, and {0} is not; give it one, or listen on 127.0.0.1"
    )]
    Plaintext(SocketAddr),
    /// The contract is not complete.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The reflection service cannot read the contract.
    #[error("the contract cannot be served by reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener has no address.
    #[error("the listener has no address: {0}")]
    Address(#[from] std::io::Error),
}

/// Elsewhere than on loopback what is sent is encrypted, and nobody can act as anybody.
fn may_listen(parts: &ServerParts, address: SocketAddr) -> Result<(), ServeError> {
    if address.ip().is_loopback() {
        Ok(())
    } else if parts.development {
        Err(ServeError::NotLoopback(address))
    } else if parts.tls.is_none() {
        Err(ServeError::Plaintext(address))
    } else {
        Ok(())
    }
}

/// A connection that broke is its client's matter, and ends no other. Panics are caught before; a task is cut only when the
/// whole process ends.
fn connection_ended(ended: Result<Result<(), tonic::transport::Error>, JoinError>) {
    if let Ok(Err(error)) = ended {
        tracing::warn!(%error, "a connection could not be served; its client connects again");
    }
}

/// Every service that is served.
fn routes(
    api: Arc<dyn DomicileApi>,
    limits: &Limits,
    health: HealthServer<impl HealthApi>,
) -> Result<Routes, ServeError> {
    let services = Services { api };
    let Limits { request_bytes, answer_bytes, .. } = *limits;
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET);
    macro_rules! limited {
        ($server:ident) => {
            $server::new(services.clone())
                .max_decoding_message_size(request_bytes)
                .max_encoding_message_size(answer_bytes)
        };
    }
    let routes = Routes::new(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(limited!(UserServiceServer))
        .add_service(limited!(MembershipServiceServer))
        .add_service(limited!(WorkspaceServiceServer))
        .add_service(limited!(RelationshipServiceServer))
        .add_service(limited!(RoleServiceServer))
        .add_service(limited!(GroupServiceServer))
        .add_service(limited!(PermissionServiceServer))
        .add_service(limited!(AccessServiceServer))
        .add_service(limited!(NotificationServiceServer));
    #[cfg(feature = "bench-echo")]
    let routes = {
        tracing::warn!("this build serves the control of the benchmark: it is not for use");
        routes.add_service(echo::EchoServer { request_bytes, answer_bytes })
    };
    Ok(routes.prepare())
}

/// Serves until `shutdown` ends; then health says so, and after [`Limits::lame_duck`] no call is taken any more, streams end,
/// and calls at work end, those too whose caller has left. What has not ended after [`Limits::drain`] is left behind, and
/// said so in the log.
///
/// # Errors
/// [`ServeError`]; nothing was served.
pub async fn serve(
    parts: ServerParts,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    may_listen(&parts, listener.local_addr()?)?;
    let policies = MethodPolicies::read()?;
    #[cfg(feature = "bench-echo")]
    let policies = policies.with(echo::ECHO_PATH, echo::policy());
    measures::describe();
    let ServerParts { api, store_health, tls, limits, clock, ids, .. } = parts;
    let (at_work, mut idle) = mpsc::channel(1);
    let (end_streams, stopping) = watch::channel(false);
    let keeper = Keeper {
        methods: Methods::of(&policies),
        admission: Admission::of(&limits),
        api: api.clone(),
        authenticator: parts.authenticator,
        clock: clock.clone(),
        ids: ids.clone(),
        open_reflection: parts.development,
        reflection: limits.reflection,
        traces_percent: parts.traces_percent,
        at_work,
        stopping,
    };
    let (mut health, health_service) = Health::silent(policies.services()).await;
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(limits.concurrent_streams)
        .http2_max_header_list_size(limits.header_list_bytes)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .http2_max_pending_accept_reset_streams(Some(limits.pending_accept_reset_streams))
        .http2_max_local_error_reset_streams(Some(limits.local_error_reset_streams))
        .layer(GateLayer(Arc::new(keeper)));
    let routes = routes(api, &limits, health_service)?;
    // A server of tonic has one age for all its connections, and those that came together would leave together: each has a
    // server of its own, which takes it, and stops when it is gone or when all stop.
    let (all_end, of_one) = (end_streams.subscribe(), limits.clone());
    let serve_one = move |mut connection: Connection| {
        let server = server.clone().max_connection_age(of_one.lifetime(ids.chance()));
        let (routes, gone, mut all_end) = (routes.clone(), connection.gone(), all_end.clone());
        let stop = async move {
            tokio::select! {
                () = gone => {}
                _ = all_end.wait_for(|end| *end) => {}
            }
        };
        let only = stream::once(ready(Ok::<_, Infallible>(connection))).chain(stream::pending());
        server.serve_with_incoming_shutdown(routes, only, stop)
    };
    health.begin(&*store_health).await;
    let (lame_duck, drain) = (limits.lame_duck, limits.drain);
    let stop = async {
        tokio::select! {
            () = shutdown => {}
            never = health.follow(&*store_health) => match never {},
        }
        health.stop().await;
        tokio::time::sleep(lame_duck).await;
    };
    let fresh_certificate = async {
        match &tls {
            Some(tls) => tls.keep_fresh(&*clock).await,
            None => std::future::pending().await,
        }
    };
    let (stopping, stopped) = oneshot::channel();
    let serving = async {
        let mut open = JoinSet::new();
        {
            // Closed with this scope: while calls end, new connections are refused and do not wait.
            let mut incoming = pin!(connections(listener, tls.clone(), limits.clone()));
            let mut stop = pin!(stop);
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    Some(connection) = incoming.next() => drop(open.spawn(serve_one(connection))),
                    Some(ended) = open.join_next() => connection_ended(ended),
                }
            }
        }
        end_streams.send_replace(true);
        // The other end waits for as long as the server serves.
        let _ = stopping.send(());
        // It holds a gate.
        drop(serve_one);
        while let Some(ended) = open.join_next().await {
            connection_ended(ended);
        }
        // Every sender is in a gate or with a call at work.
        let _: Option<Infallible> = idle.recv().await;
        Ok(())
    };
    let late = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(drain).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = serving => ended,
        never = fresh_certificate => match never {},
        () = late => {
            tracing::warn!(drain.seconds = drain.as_secs(), "calls were still at work when the server stopped");
            Ok(())
        }
    }
}
