//! The control of the benchmark: with its feature it passes the same gate as every call, without it there is none.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::sync::Arc;

use domicile_domain::model::actor::{Actor, ServicePrincipal};
use domicile_domain::model::time::Timestamp;
use domicile_domain::usecase::MockDomicileApi;
use domicile_grpc::{Limits, ServerParts, serve};
use domicile_testkit::authenticator::TrustingAuthenticator;
use domicile_testkit::clock::FixedClock;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::memory::MemoryStore;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

const ECHO: &str = "/domicile.bench.v1.EchoService/Echo";

async fn server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut api = MockDomicileApi::new();
    api.expect_identify().returning(|caller, _| Ok(Actor::service(caller.service)));
    let parts = ServerParts {
        api: Arc::new(api),
        store_health: Arc::new(MemoryStore::new()),
        authenticator: Arc::new(TrustingAuthenticator::with_token(ServicePrincipal::new("bench"), "t")),
        development: true,
        tls: None,
        clock: Arc::new(FixedClock::at(Timestamp::from_micros(0))),
        ids: Arc::new(SequentialIds::new()),
        limits: Limits::default(),
        traces_percent: 0,
    };
    tokio::spawn(serve(parts, listener, std::future::pending()));
    address
}

async fn call<Q, A>(address: &str, path: &'static str, token: Option<&str>, message: Q) -> Result<A, Status>
where
    Q: prost::Message + Send + 'static,
    A: prost::Message + Default + Send + 'static,
{
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}

#[cfg(feature = "bench-echo")]
#[tokio::test]
async fn the_echo_needs_an_identity_and_answers_what_was_asked_for() {
    use domicile_grpc::echo::{ECHO_PATH, EchoRequest, EchoResponse};
    assert_eq!(ECHO_PATH, ECHO);
    let address = server().await;
    let echo = async |token: Option<&str>, answer_bytes| {
        let message = EchoRequest { payload: vec![7; 100], answer_bytes };
        call::<_, EchoResponse>(&address, ECHO, token, message).await
    };
    assert_eq!(echo(Some("t"), 30).await.unwrap().payload, [7; 30]);
    assert_eq!(echo(Some("t"), 0).await.unwrap().payload, []);
    assert_eq!(echo(None, 30).await.unwrap_err().code(), Code::Unauthenticated);
}

#[cfg(not(feature = "bench-echo"))]
#[tokio::test]
async fn a_build_without_the_feature_serves_no_echo() {
    let address = server().await;
    // A method of the contract is the control: it is there, and asks who calls.
    for (path, code) in [(ECHO, Code::Unimplemented), ("/domicile.v1.AccessService/CheckAccess", Code::Unauthenticated)]
    {
        let refused = call::<(), ()>(&address, path, None, ()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{path}");
    }
    assert_eq!(call::<(), ()>(&address, ECHO, Some("t"), ()).await.unwrap_err().code(), Code::Unimplemented);
}
