//! A database that stands still: health says so, callers are told in their time, and all is well again when it goes on (R13).
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::time::{Duration, Instant};

use domicile_client::v1::ListRolesRequest;
use domicile_client::v1::role_service_client::RoleServiceClient;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_tests::postgres::{OwnServer, fresh_url};
use domicile_tests::server::{Server, TOKEN, settings};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Long enough for the busiest machine; what it took is printed.
const SOON: Duration = Duration::from_secs(30);

async fn code(channel: &Channel) -> Option<Code> {
    let mut request = Request::new(ListRolesRequest { workspace: "acme".to_owned(), ..ListRolesRequest::default() });
    request.set_timeout(Duration::from_secs(1));
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request.metadata_mut().insert("x-domicile-acting-user", uuid::Uuid::nil().to_string().parse().unwrap());
    RoleServiceClient::new(channel.clone()).list_roles(request).await.err().map(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still_is_told_by_health_and_serves_again_when_it_goes_on() {
    let Some(database) = OwnServer::start() else { return };
    let url = fresh_url(&database.url).await;
    SeaOrmStore::migrate(&url.parse::<Database>().unwrap()).await.unwrap();
    let server = Server::start(&settings(&url)).await;
    let channel = Channel::from_shared(format!("http://{}", server.address())).unwrap().connect().await.unwrap();
    let whole = HealthCheckRequest { service: String::new() };
    let mut told = HealthClient::new(channel.clone()).watch(whole).await.unwrap().into_inner();
    let mut awaited = async |status: ServingStatus| {
        let begun = Instant::now();
        let next = async { while told.message().await.unwrap().unwrap().status() != status {} };
        tokio::time::timeout(SOON, next).await.unwrap();
        begun.elapsed()
    };
    awaited(ServingStatus::Serving).await;
    assert_eq!(code(&channel).await, Some(Code::PermissionDenied), "nobody is nothing there");

    database.hold();
    let noticed = awaited(ServingStatus::NotServing).await;
    let held = code(&channel).await;
    assert!(matches!(held, Some(Code::DeadlineExceeded | Code::Unavailable)), "{held:?}");

    database.release();
    let recovered = awaited(ServingStatus::Serving).await;
    assert_eq!(code(&channel).await, Some(Code::PermissionDenied));
    println!("health told of it after {noticed:.1?} and of its end after {recovered:.1?}");
    let (ended, _) = server.stop().await;
    assert!(ended.success(), "{ended}");
}
