//! The standard health service.

use std::time::Duration;

use domicile_domain::usecase::MockDomicileApi;
use domicile_grpc::{Limits, ServerParts};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Served, limits, parts};

#[tokio::test]
async fn health_serves_without_identity_until_the_server_is_asked_to_stop() {
    // The watch below is open when the server stops; it is not waited for.
    let limits = Limits { drain: Duration::from_millis(50), ..limits() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let mut health = HealthClient::new(served.channel().await);
    let whole = || HealthCheckRequest { service: String::new() };
    assert_eq!(health.check(whole()).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let unknown = health.check(HealthCheckRequest { service: "other".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut watch = health.watch(whole()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = served.asked_to_stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    stopping.await.unwrap().unwrap();
}
