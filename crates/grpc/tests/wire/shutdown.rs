//! How the server refuses to start, and how it stops.

use std::time::Duration;

use domicile_domain::usecase::{MockDomicileApi, Page};
use domicile_grpc::{Limits, ServeError, ServerParts};
use domicile_proto::v1::ListRolesRequest;
use domicile_proto::v1::role_service_client::RoleServiceClient;
use tokio::net::TcpListener;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Held, Served, limits, parts, signed};

#[tokio::test]
async fn the_development_sign_in_is_served_on_loopback_alone() {
    let elsewhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = domicile_grpc::serve(parts(MockDomicileApi::new()), elsewhere, std::future::pending()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, ServeError::NotLoopback(address) if address.ip().is_unspecified()));
    assert!(error.to_string().contains("listen on 127.0.0.1"), "{error}");
}

/// A server with one call at work.
async fn at_work(limits: Limits) -> (Served, Held, tokio::task::JoinHandle<Result<(), tonic::Status>>) {
    let (mut held, mut handler) = Held::new();
    let mut api = MockDomicileApi::new();
    api.expect_list_roles().returning(move |_, _, _, _| {
        handler.wait();
        Ok(Page { items: Vec::new(), next_token: "answered".to_owned() })
    });
    let served = Served::of(ServerParts { limits, ..parts(api) }).await;
    let mut client = RoleServiceClient::new(served.channel().await);
    let call = tokio::spawn(async move {
        let answer = client.list_roles(signed(ListRolesRequest::default())).await?;
        assert_eq!(answer.into_inner().next_page_token, "answered");
        Ok(())
    });
    held.entered().await;
    (served, held, call)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_at_work_ends_with_its_answer() {
    let (served, held, call) = at_work(limits()).await;
    let stopping = served.asked_to_stop();
    held.release();
    call.await.unwrap().unwrap();
    stopping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_waits_for_work_whose_caller_left() {
    let (served, held, call) = at_work(limits()).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let stopping = served.asked_to_stop();
    assert!(!stopping.is_finished());
    held.release();
    stopping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_left_after_the_drain() {
    let limits = Limits { drain: Duration::from_millis(50), ..limits() };
    let (served, held, call) = at_work(limits).await;
    served.asked_to_stop().await.unwrap().unwrap();
    assert!(!call.is_finished(), "nobody answered it");
    held.release();
}

#[tokio::test]
async fn a_stopping_server_goes_on_until_callers_have_heard_of_it() {
    let limits = Limits { lame_duck: Duration::from_secs(5), ..limits() };
    let mut api = MockDomicileApi::new();
    api.expect_list_roles().returning(|_, _, _, _| Ok(Page { items: Vec::new(), next_token: String::new() }));
    let served = Served::of(ServerParts { limits, ..parts(api) }).await;
    let channel = served.channel().await;
    let mut health = HealthClient::new(channel.clone());
    let mut watch = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopping = served.asked_to_stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let asked = tokio::time::Instant::now();
    tokio::time::pause();
    RoleServiceClient::new(channel).list_roles(signed(ListRolesRequest::default())).await.unwrap();
    assert!(watch.message().await.is_err(), "streams end after that");
    assert!(asked.elapsed() >= Duration::from_secs(4), "{:?}", asked.elapsed());
    drop((health, watch));
    stopping.await.unwrap().unwrap();
}
