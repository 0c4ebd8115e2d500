//! Traces as a collector gets them from the real program: the caller's trace goes on, a share of others begins, and a span
//! tells nothing of anybody.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domicile_client::v1;
use domicile_domain::model::user::UserState;
use domicile_store_seaorm::SeaOrmStore;
use domicile_tests::server::{Server, TOKEN, settings};
use domicile_tests::world::World;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

/// A collector that hands on what it gets.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn database() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("domicile.db");
    SeaOrmStore::open_file(&path).await.unwrap();
    (folder, format!("sqlite:{}", path.display()))
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (address, receiver)
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = span.attributes.iter();
    pairs.map(|pair| (pair.key.as_str(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

/// A search for somebody, with the headers given; the code of its answer and the `traceparent` in it.
async fn search(server: &Server, headers: &[(&'static str, &str)]) -> (Code, String) {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    let mut client = v1::user_service_client::UserServiceClient::new(endpoint.connect().await.unwrap());
    let mut request = Request::new(v1::LookupUserRequest {
        workspace: "acme".to_owned(),
        email: "anna.canary@acme.example".to_owned(),
        phone: "+36201234567".to_owned(),
    });
    let token = format!("Bearer {TOKEN}");
    for (name, value) in [("authorization", token.as_str())].iter().chain(headers) {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let refused = client.lookup_user(request).await.unwrap_err();
    (refused.code(), refused.metadata().get("traceparent").unwrap().to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_call_is_a_span_of_its_callers_trace_and_says_nothing_of_anybody() {
    let (collector, mut received) = collector().await;
    let (_folder, url) = database().await;
    let mut settings = settings(&url);
    settings.insert("DOMICILE_OTLP_ENDPOINT", format!("http://{collector}"));
    let server = Server::start(&settings).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let person = "01900000-0000-7000-8000-000000000000";
    let recorded = format!("00-{trace}-00f067aa0ba902b7-01");
    let sent =
        [("traceparent", recorded.as_str()), ("x-domicile-acting-user", person), ("x-request-id", "of-the-test")];
    let (code, answered) = search(&server, &sent).await;
    // A caller that does not record its trace is heard, and a trace that begins here is recorded.
    let unrecorded = format!("00-{trace}-00f067aa0ba902b7-00");
    search(&server, &[("traceparent", &unrecorded)]).await;
    let (_, begun) = search(&server, &[]).await;
    // Health is no trace of anybody's.
    let (exit, _) = server.stop().await;
    assert_eq!(exit.code(), Some(0));

    let mut batches = Vec::new();
    while let Ok(batch) = received.try_recv() {
        batches.push(batch);
    }
    let resources: Vec<_> = batches.iter().flat_map(|batch| &batch.resource_spans).collect();
    for resource in &resources {
        let names = &resource.resource.as_ref().unwrap().attributes;
        assert!(names.iter().any(|pair| pair.key == "service.name"), "{names:?}");
    }
    let spans: Vec<&Span> = resources.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).collect();
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let told = |span: &Span| format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    let [of_caller, ours] = spans[..] else { panic!("not two spans: {spans:?}") };
    assert_eq!(
        (hex(&of_caller.trace_id).as_str(), hex(&of_caller.parent_span_id).as_str()),
        (trace, "00f067aa0ba902b7")
    );
    assert_eq!(told(of_caller), answered, "the caller was told of this span");
    assert_eq!((told(ours), ours.parent_span_id.len()), (begun, 0));
    assert!(of_caller.start_time_unix_nano <= of_caller.end_time_unix_nano);
    assert_eq!(of_caller.name, "domicile.v1.UserService/LookupUser");
    let code = i32::from(code).to_string();
    let says = [
        ("request.id", "of-the-test"),
        ("rpc.grpc.status_code", code.as_str()),
        ("rpc.method", "domicile.v1.UserService/LookupUser"),
        ("rpc.system", "grpc"),
    ];
    assert_eq!(attributes(of_caller), says.map(|(name, value)| (name, value.to_owned())).into());
    for secret in ["anna", "canary", "36201234567", TOKEN, person] {
        assert!(!format!("{batches:?}").contains(secret), "{secret} is in a trace");
    }
}

/// Searches, saves, reads and refusals with what belongs to people, and then nothing of it in any span (R17).
#[tokio::test]
async fn a_days_work_tells_the_collector_nothing_of_anybody() {
    let (collector, mut received) = collector().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("domicile.db");
    let store = Arc::new(SeaOrmStore::open_file(&path).await.unwrap());
    let world = World::new(store.clone()).await;
    let found = world.person(world.borealis, "zerbinetta", Some("+36301234567"), UserState::Active).await;
    let dana = world.acme.manager.to_string();
    let mut settings = settings(&format!("sqlite:{}", path.display()));
    settings.insert("DOMICILE_OTLP_ENDPOINT", format!("http://{collector}"));
    let server = Server::start(&settings).await;
    let client = server.client(Some(&dana)).await;
    let (acme, id) = ("acme".to_owned(), || uuid::Uuid::now_v7().to_string());
    let lookup = |email: &str, phone: &str| v1::LookupUserRequest {
        workspace: acme.clone(),
        email: email.to_owned(),
        phone: phone.to_owned(),
    };
    client.lookup_user(lookup("zerbinetta@people.example", "")).await.unwrap();
    client.lookup_user(lookup("", "+36301234567")).await.unwrap();
    client.lookup_user(lookup("anna.canary@acme.example", "")).await.unwrap();
    client.lookup_user(lookup("no address of canary", "12")).await.unwrap_err();
    let link = v1::AssignUserRequest {
        workspace: acme.clone(),
        request_id: id(),
        expectation: v1::Expectation::Link.into(),
        email: "zerbinetta@people.example".to_owned(),
        ..v1::AssignUserRequest::default()
    };
    client.assign_user(link.clone()).await.unwrap();
    client.assign_user(v1::AssignUserRequest { request_id: id(), ..link.clone() }).await.unwrap_err();
    let profile = v1::Profile {
        first_name: "Annabel".to_owned(),
        last_name: "Canary".to_owned(),
        username: "annabel.canary".to_owned(),
        preferred_language: "de".to_owned(),
    };
    let create = v1::AssignUserRequest {
        request_id: id(),
        expectation: v1::Expectation::Create.into(),
        email: "anna.canary@acme.example".to_owned(),
        phone: "+36201234567".to_owned(),
        profile: Some(profile),
        ..link
    };
    client.assign_user(create).await.unwrap();
    let user = v1::GetUserRequest { workspace: acme.clone(), user: found.to_string(), consistency: None };
    client.get_user(user).await.unwrap();
    let (exit, _) = server.stop().await;
    assert_eq!(exit.code(), Some(0));

    let mut batches = Vec::new();
    while let Ok(batch) = received.try_recv() {
        batches.push(batch);
    }
    let resources = batches.iter().flat_map(|batch| &batch.resource_spans);
    let spans: Vec<&Span> = resources.flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).collect();
    assert_eq!(spans.len(), 8, "a span for each call");
    let told = format!("{batches:?}").to_lowercase();
    let mut people = store.personal_words().await.unwrap();
    people.extend(["canary", "annabel", "36201234567", TOKEN, &dana, &found.to_string()].map(ToOwned::to_owned));
    assert!(people.contains("zerbinetta"), "{people:?}");
    for word in people {
        assert!(!told.contains(&word.to_lowercase()), "{word} is in a trace");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nothing_and_is_told_once() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (_folder, url) = database().await;
    let mut settings = settings(&url);
    settings.insert("DOMICILE_OTLP_ENDPOINT", format!("http://{taken}"));
    let server = Server::start(&settings).await;
    let begun = tokio::time::timeout(Duration::from_mins(1), search(&server, &[])).await;
    assert!(begun.unwrap().1.ends_with("-01"));
    let (exit, log) = server.stop().await;
    assert_eq!(exit.code(), Some(0));
    let told = log.iter().filter(|line| line.contains("traces cannot be sent")).count();
    assert_eq!(told, 1, "{log:#?}");
}
