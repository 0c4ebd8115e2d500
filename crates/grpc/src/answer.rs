//! An answer on its way out: what the transport cut is explained, the status that the caller sees is measured, and a stream
//! ends in time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::admission::Permit;
use crate::gate::Passage;
use crate::status::{TransportReason, explain_trailers, explained_head, of_transport};

/// A call whose end is to be told, once. One that is dropped before was cancelled by its caller.
pub(crate) struct Ending {
    pub(crate) passage: Arc<Passage>,
    told: bool,
}

impl Ending {
    pub(crate) fn of(passage: Arc<Passage>) -> Self {
        passage.method.measures.started();
        Self { passage, told: false }
    }

    fn ended(&mut self, code: Code) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let took = self.passage.arrived.elapsed();
        let (method, span) = (&self.passage.method, &self.passage.span);
        method.measures.ended(code, took);
        span.record("rpc.grpc.status_code", i32::from(code));
        span.record("duration", tracing::field::debug(took));
        tracing::debug!(parent: span, rpc.grpc.status_code = i32::from(code), duration = ?took, "a call ended");
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended(Code::Cancelled);
    }
}

/// When a stream ends though neither side ended it.
pub(crate) struct StreamEnd {
    /// At the call's deadline, if it has one.
    pub(crate) until: Option<Instant>,
    /// When the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// What the stream keeps at work.
    pub(crate) permit: Option<Permit>,
}

impl StreamEnd {
    /// Ends when the stream has to, and says why.
    async fn reached(self) -> TransportReason {
        let Self { until, mut stopping, permit: _permit } = self;
        let late = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = late => TransportReason::DeadlineExceeded,
            // A server that is gone without a word has stopped too.
            _ = stopping.wait_for(|stopping| *stopping) => TransportReason::Stopping,
        }
    }
}

/// The answer as it goes out. `stream_end` is there for streams alone: other answers are whole already.
pub(crate) fn outgoing(response: Response<Body>, mut ending: Ending, stream_end: Option<StreamEnd>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(_) => {
            let response = explained_head(response, &ending.passage.correlation);
            let told = Status::from_header_map(response.headers());
            ending.ended(told.map_or(Code::Unknown, |status| status.code()));
            response
        }
        None => response.map(|body| {
            let until = stream_end.as_ref().and_then(|end| end.until);
            let end = stream_end.map(|end| Box::pin(end.reached()) as Pin<Box<dyn Future<Output = _> + Send>>);
            Body::new(Answer { body, ending, until, end })
        }),
    }
}

/// The body of an answer whose status comes in its trailers.
struct Answer {
    body: Body,
    ending: Ending,
    until: Option<Instant>,
    end: Option<Pin<Box<dyn Future<Output = TransportReason> + Send>>>,
}

impl http_body::Body for Answer {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = &mut *self;
        // First what there is to send: a watcher of health hears that the server stops before its stream ends.
        // One that always has something to send must not go on for ever.
        let late = this.until.is_some_and(|until| until <= Instant::now());
        if !late && let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(this.passed(frame));
        }
        let Some(end) = &mut this.end else { return Poll::Pending };
        let reason = ready!(end.as_mut().poll(context));
        // Nothing is at work for it any more.
        this.end = None;
        this.body = Body::empty();
        let status = of_transport(reason, None, &[], &this.ending.passage.correlation);
        this.ending.ended(status.code());
        let mut trailers = HeaderMap::new();
        // Its words are ours, and they fit into a header.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Answer {
    fn passed(
        &mut self,
        frame: Option<Result<Frame<<Body as http_body::Body>::Data>, Status>>,
    ) -> Option<Result<Frame<<Body as http_body::Body>::Data>, Status>> {
        match frame {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    explain_trailers(trailers, &self.ending.passage.correlation);
                    let told = Status::from_header_map(trailers);
                    self.ending.ended(told.map_or(Code::Unknown, |status| status.code()));
                }
                Some(Ok(frame))
            }
            Some(Err(status)) => {
                self.ending.ended(status.code());
                Some(Err(status))
            }
            None => None,
        }
    }
}
