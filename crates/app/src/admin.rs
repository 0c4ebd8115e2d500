//! The admin listener: `livez`, `readyz` and `metrics` over HTTP, apart from the service, so that they answer while it does
//! not. Whoever reaches it may read it: it listens on loopback unless told otherwise, and tells nothing of people.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// How long a caller may take to say what it wants.
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may take in all; each carries one request.
const DONE_WITHIN: Duration = Duration::from_secs(15);
/// Connections at once; more wait in the queue of the system.
const CONNECTIONS: usize = 32;
/// The pause after a connection could not be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is told.
struct Told {
    readiness: Readiness,
    metrics: Metrics,
}

/// The running listener. It ends with the value.
pub(crate) struct Admin {
    told: Arc<Told>,
    running: JoinHandle<()>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Admin {
    /// Listens and answers in a task of its own.
    pub(crate) async fn start(address: SocketAddr, metrics: Metrics) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "{address} cannot be listened on; is something running there? Choose another with --set \
                 admin.listen=ADDRESS, or `off`"
            )
        })?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            tracing::warn!(listen = %address, "the admin listener can be reached from elsewhere, by anybody");
        }
        tracing::info!(listen = %address, "the admin listener answers");
        let told = Arc::new(Told { readiness: Readiness::new(), metrics });
        let of_task = told.clone();
        let running = tokio::spawn(async move {
            tokio::join!(of_task.metrics.keep_up(), accept(listener, of_task.clone()));
        });
        Ok(Self { told, running })
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.told.readiness
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.told.metrics
    }
}

async fn accept(listener: TcpListener, told: Arc<Told>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(place) = room.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let told = told.clone();
                connections.spawn(async move {
                    let _place = place;
                    serve(stream, told).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of the admin listener could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, to its end. A caller that breaks it off is no matter of ours.
async fn serve(stream: TcpStream, told: Arc<Told>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let told = told.clone();
        async move { Ok::<_, Infallible>(answered(request.method(), request.uri().path(), &told).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKED_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = tokio::time::timeout(DONE_WITHIN, connection).await {
        tracing::debug!(%error, "a connection of the admin listener broke off");
    }
}

async fn answered(method: &Method, path: &str, told: &Told) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let known = matches!(path, "/livez" | "/readyz" | "/metrics");
    if !known {
        return response(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n".to_owned());
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/readyz" => {
            let report = told.readiness.report().await;
            let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            // A report is made of text and truth values, which JSON can say.
            let body = serde_json::to_string_pretty(&report).unwrap_or_default();
            response(status, "application/json", body + "\n")
        }
        "/metrics" => response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", told.metrics.text().await),
        _ => response(StatusCode::OK, TEXT, "alive\n".to_owned()),
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
