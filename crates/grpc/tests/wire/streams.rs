//! Answers that are streams end in time: at their deadline and when the server stops.

use std::time::Duration;

use domicile_domain::usecase::MockDomicileApi;
use domicile_grpc::{Limits, ServerParts};
use tonic::{Code, Status};

use crate::support::{Served, TOKEN, assert_refused, framed, limits, parts};

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The status in the trailers of a stream, whatever came before.
async fn end(mut body: h2::RecvStream) -> Status {
    while let Some(data) = body.data().await {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
    }
    Status::from_header_map(&body.trailers().await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_stream_ends_at_the_callers_deadline_or_its_own_with_the_reason_in_its_trailers() {
    let limits = Limits { reflection: Duration::from_secs(90), ..limits() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let raw = served.raw().await;
    for (timeout, least, most) in [(Some(b"20S".as_slice()), 19, 21), (None, 89, 91), (Some(b"1H"), 89, 91)] {
        let headers: Vec<_> = timeout.into_iter().map(|value| ("grpc-timeout", value)).collect();
        let (response, _open) = raw.open(REFLECTION, &headers, None).await;
        assert_eq!(response.status(), 200);
        let began = tokio::time::Instant::now();
        // From here on time passes when nobody has anything to do.
        tokio::time::pause();
        let status = end(response.into_body()).await;
        tokio::time::resume();
        assert_refused(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        let took = began.elapsed().as_secs_f64();
        assert!((f64::from(least)..f64::from(most)).contains(&took), "{took} s for {timeout:?}");
    }
}

#[tokio::test]
async fn streams_end_when_the_server_stops_so_that_it_can() {
    // The drain is longer than the test may take: nothing waits for it.
    let limits = Limits { drain: Duration::from_hours(1), ..limits() };
    let served = Served::of(ServerParts { limits, ..parts(MockDomicileApi::new()) }).await;
    let raw = served.raw().await;
    let (reflection, open) = raw.open(REFLECTION, &[], None).await;
    let (watch, asked) = raw.open(WATCH, &[], Some(framed(&()))).await;
    let watch = watch.into_body();
    let stopping = served.asked_to_stop();
    for stream in [reflection.into_body(), watch] {
        assert_refused(&end(stream).await, Code::Unavailable, "STOPPING");
    }
    // As a client does that was told the end.
    drop((raw, open, asked));
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn streams_count_as_calls_at_work_until_they_end() {
    let limits = Limits { calls_per_process: 1, ..limits() };
    let served = Served::of(ServerParts { limits, development: false, ..parts(MockDomicileApi::new()) }).await;
    let raw = served.raw().await;
    let signed = [("authorization", TOKEN.as_bytes())];
    let (first, open) = raw.open(REFLECTION, &signed, None).await;
    let refused = raw.call(REFLECTION, &signed, Vec::new()).await;
    assert_refused(&refused.status, Code::Unavailable, "OVERLOADED");
    drop(open);
    drop(first);
    // The server hears of it in its own time.
    while raw.call(REFLECTION, &signed, Vec::new()).await.status.code() == Code::Unavailable {
        tokio::task::yield_now().await;
    }
}
