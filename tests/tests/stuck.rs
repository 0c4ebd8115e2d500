//! A database that stands still: health says so, callers are told in their time, and all is well again when it goes on (R13).
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::time::{Duration, Instant};

use domicile_client::v1::ListRolesRequest;
use domicile_client::v1::role_service_client::RoleServiceClient;
use domicile_domain::port::store::Store;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_tests::postgres::{OwnServer, fresh_url};
use domicile_tests::server::{Server, TOKEN, settings};
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Long enough for the busiest machine; what it took is printed.
const SOON: Duration = Duration::from_secs(30);

async fn code(channel: &Channel) -> Option<Code> {
    let mut request = Request::new(ListRolesRequest { workspace: "acme".to_owned(), ..ListRolesRequest::default() });
    request.set_timeout(Duration::from_secs(1));
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request.metadata_mut().insert("x-domicile-acting-user", uuid::Uuid::nil().to_string().parse().unwrap());
    RoleServiceClient::new(channel.clone()).list_roles(request).await.err().map(|status| status.code())
}

/// What health says of the whole, as it changes.
struct Told(Streaming<HealthCheckResponse>);

impl Told {
    async fn by(channel: &Channel) -> Self {
        let whole = HealthCheckRequest { service: String::new() };
        Self(HealthClient::new(channel.clone()).watch(whole).await.unwrap().into_inner())
    }

    /// How long it takes until it says so.
    async fn awaited(&mut self, status: ServingStatus) -> Duration {
        let begun = Instant::now();
        let next = async { while self.0.message().await.unwrap().unwrap().status() != status {} };
        tokio::time::timeout(SOON, next).await.unwrap();
        begun.elapsed()
    }
}

async fn connected(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.address())).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still_is_told_by_health_and_serves_again_when_it_goes_on() {
    let Some(database) = OwnServer::start() else { return };
    let url = fresh_url(&database.url).await;
    SeaOrmStore::migrate(&url.parse::<Database>().unwrap()).await.unwrap();
    let server = Server::start(&settings(&url)).await;
    let channel = connected(&server).await;
    let mut told = Told::by(&channel).await;
    told.awaited(ServingStatus::Serving).await;
    assert_eq!(code(&channel).await, Some(Code::PermissionDenied), "nobody is nothing there");

    database.hold();
    let noticed = told.awaited(ServingStatus::NotServing).await;
    let held = code(&channel).await;
    assert_eq!(held, Some(Code::DeadlineExceeded));

    database.release();
    let recovered = told.awaited(ServingStatus::Serving).await;
    assert_eq!(code(&channel).await, Some(Code::PermissionDenied));
    println!("health told of it after {noticed:.1?} and of its end after {recovered:.1?}");
    let (ended, _) = server.stop().await;
    assert!(ended.success(), "{ended}");
}

/// Reads are answered all the while; what the record has to tell of cannot be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_that_holds_the_write_lock_is_told_by_health_and_readiness() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let other = SeaOrmStore::open_file(&path).await.unwrap();
    let server = Server::start(&settings(&format!("sqlite:{}", path.display()))).await;
    let channel = connected(&server).await;
    let mut told = Told::by(&channel).await;
    told.awaited(ServingStatus::Serving).await;
    assert_eq!(server.admin("/readyz").await.0, 200);

    let held = other.begin(SOON).await.unwrap();
    let noticed = told.awaited(ServingStatus::NotServing).await;
    let (status, body) = server.admin("/readyz").await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("the write lock of the database file has been held"), "{body}");
    assert!(!body.contains(&path.display().to_string()), "{body}");

    held.rollback().await.unwrap();
    let recovered = told.awaited(ServingStatus::Serving).await;
    assert_eq!(server.admin("/readyz").await.0, 200);
    assert_eq!(code(&channel).await, Some(Code::PermissionDenied));
    println!("health told of it after {noticed:.1?} and of its end after {recovered:.1?}");
    let (ended, _) = server.stop().await;
    assert!(ended.success(), "{ended}");
}
