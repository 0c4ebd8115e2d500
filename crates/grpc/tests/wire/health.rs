//! The standard health service.

use domicile_domain::usecase::MockDomicileApi;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Served, assert_refused};

#[tokio::test]
async fn health_serves_without_identity_until_the_server_is_asked_to_stop() {
    let served = Served::mock(MockDomicileApi::new()).await;
    let mut health = HealthClient::new(served.channel().await);
    let whole = || HealthCheckRequest { service: String::new() };
    assert_eq!(health.check(whole()).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let of_users = HealthCheckRequest { service: "domicile.v1.UserService".to_owned() };
    assert_eq!(health.check(of_users).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let unknown = health.check(HealthCheckRequest { service: "other".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let mut watch = health.watch(whole()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = served.asked_to_stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_refused(&watch.message().await.unwrap_err(), Code::Unavailable, "STOPPING");
    stopping.await.unwrap().unwrap();
}
