//! What never reaches a handler, and what stands in the headers of every answer.

use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::usecase::{MockDomicileApi, Page};
use domicile_grpc::{Limits, ServerParts};
use domicile_proto::v1::{GetWorkspaceRequest, ListRolesRequest};
use tokio::io::AsyncWriteExt;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Headers, Served, assert_refused, framed, is_given_up, parts};

const LIST_ROLES: &str = "/domicile.v1.RoleService/ListRoles";

/// Where it is sent, with what, and the code, the reason and the words that come back.
type Case<'a> = (&'a str, Headers<'a>, Vec<u8>, Code, &'a str, &'a str);

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_a_reason() {
    let limits = Limits { request_bytes: 1000, ..Limits::default() };
    let raw = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await.raw().await;
    let large = framed(&ListRolesRequest { workspace: "w".repeat(1000), ..ListRolesRequest::default() });
    let small = framed(&ListRolesRequest::default());
    // A number stands where the text should.
    let wrong_type = framed(&ListRolesRequest { page_size: 1, ..ListRolesRequest::default() });
    let wrong_type = wrong_type.into_iter().map(|byte| if byte == 0x10 { 0x08 } else { byte }).collect::<Vec<u8>>();
    let compressed = [[1].as_slice(), &small[1..]].concat();
    let gzip: Headers<'_> = &[("grpc-encoding", b"gzip")];
    let cases: [Case<'_>; 8] = [
        (LIST_ROLES, &[], large, Code::InvalidArgument, "INVALID_REQUEST", "too large"),
        (LIST_ROLES, &[], wrong_type, Code::InvalidArgument, "INVALID_REQUEST", "cannot be read"),
        (LIST_ROLES, &[], b"\x00\x00\x00\x00\x02\xff\xff".to_vec(), Code::InvalidArgument, "INVALID_REQUEST", "cannot"),
        (LIST_ROLES, &[], b"\x07\x00\x00\x00\x00".to_vec(), Code::InvalidArgument, "INVALID_REQUEST", "cannot"),
        (LIST_ROLES, gzip, compressed, Code::Unimplemented, "UNIMPLEMENTED", "gzip"),
        ("/domicile.v1.RoleService/Other", &[], small.clone(), Code::Unimplemented, "UNIMPLEMENTED", "no such method"),
        ("/domicile.v9.RoleService/ListRoles", &[], small.clone(), Code::Unimplemented, "UNIMPLEMENTED", "no such"),
        ("/", &[], small, Code::Unimplemented, "UNIMPLEMENTED", "no such"),
    ];
    for (path, headers, body, code, word, told) in cases {
        let answer = raw.signed(path, headers, body).await;
        assert_refused(&answer.status, code, word);
        let message = answer.status.message();
        assert!(message.contains(told), "{path} {told}: {message}");
        let details = answer.status.get_error_details();
        assert_eq!(Some(details.request_info().unwrap().request_id.as_str()), answer.header("x-request-id"));
    }
}

#[tokio::test]
async fn a_usable_request_id_is_echoed_and_another_replaced() {
    let mut api = MockDomicileApi::new();
    // The use case hears the id that the caller gets back.
    api.expect_get_workspace()
        .returning(|call, _, _| Err(Refusal::new(Reason::NotFound).with("heard", &call.correlation_id)));
    api.expect_list_roles().returning(|_, _, _, _| Ok(Page { items: Vec::new(), next_token: String::new() }));
    let raw = Served::mock(api).await.raw().await;
    let longest = "x".repeat(64);
    let too_long = "x".repeat(65);
    let cases: [(&[u8], bool); 6] = [
        (b"order-17/step_2", true),
        (longest.as_bytes(), true),
        (too_long.as_bytes(), false),
        (b"", false),
        (b"two words", false),
        (b"\xc3\xa9", false),
    ];
    for (sent, echoed) in cases {
        let header = [("x-request-id", sent)];
        let refused =
            raw.signed("/domicile.v1.WorkspaceService/GetWorkspace", &header, framed(&GetWorkspaceRequest::default()));
        let refused = refused.await;
        let got = refused.header("x-request-id").unwrap();
        assert_eq!(got.as_bytes() == sent, echoed, "{got}");
        assert!(echoed || got.len() == 36, "{got}");
        let details = refused.status.get_error_details();
        assert_eq!(details.request_info().unwrap().request_id, got);
        assert_eq!(details.error_info().unwrap().metadata["heard"], got);

        let served = raw.signed(LIST_ROLES, &header, framed(&ListRolesRequest::default())).await;
        assert_eq!(served.status.code(), Code::Ok);
        assert_eq!(served.header("x-request-id").unwrap().as_bytes() == sent, echoed);
    }
}

#[tokio::test]
async fn an_answer_above_the_limit_is_not_sent_in_part() {
    let mut api = MockDomicileApi::new();
    api.expect_list_roles().returning(|_, _, _, _| Ok(Page { items: Vec::new(), next_token: "x".repeat(1000) }));
    let limits = Limits { answer_bytes: 1000, ..Limits::default() };
    let raw = Served::of(ServerParts { limits, ..parts(api) }).await.raw().await;
    let answer = raw.signed(LIST_ROLES, &[], framed(&ListRolesRequest::default())).await;
    assert_refused(&answer.status, Code::ResourceExhausted, "ANSWER_TOO_LARGE");
    assert_eq!(answer.bytes, 0);
}

#[tokio::test]
async fn each_connection_is_asked_to_begin_anew_at_its_age_and_the_server_goes_on() {
    let limits = Limits { connection_age: Duration::from_millis(50), ..Limits::default() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    for _ in 0..2 {
        // A client that would stay.
        let (_stays, connection) = h2::client::handshake(served.stream().await).await.unwrap();
        let _: Result<(), h2::Error> = connection.await;
    }
}

/// With which every client of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty frame of settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn a_client_that_does_not_begin_to_speak_is_given_up_and_another_is_not() {
    let limits = Limits { handshake: Duration::from_millis(50), ..Limits::default() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let raw = served.raw().await;
    for said in [&b""[..], &PREFACE[..1], &PREFACE[..23]] {
        let mut stream = served.stream().await;
        stream.write_all(said).await.unwrap();
        is_given_up(&mut stream).await;
    }
    assert!(raw.is_served().await, "whoever spoke has time");
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let short = Duration::from_millis(50);
    let limits = Limits { keepalive_interval: short, keepalive_timeout: short, ..Limits::default() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let mut stream = served.stream().await;
    stream.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    is_given_up(&mut stream).await;
}

#[tokio::test]
async fn streams_and_headers_of_a_connection_have_their_limits() {
    let limits = Limits { concurrent_streams: 3, header_list_bytes: 2000, ..Limits::default() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let (sender, connection) = h2::client::handshake(served.stream().await).await.unwrap();
    tokio::spawn(connection);
    let call = async |padding: usize| {
        let mut sender = sender.clone().ready().await.unwrap();
        let request = http::Request::post("http://localhost/nowhere").header("x-padding", "x".repeat(padding));
        let (response, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
        response.await.map(|response| response.status().as_u16())
    };
    assert_eq!(call(1500).await.unwrap(), 200);
    assert_eq!(sender.current_max_send_streams(), 3, "it is told what it may open");
    let refused = call(2500).await;
    assert!(!matches!(refused, Ok(200)), "{refused:?}");
}
