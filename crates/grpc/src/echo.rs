//! The control of the benchmark: an empty call behind the same layers as every other. Built with the feature `bench-echo`
//! alone, so no ordinary build can serve it.
//!
//! The plumbing is what tonic's generator writes for a service with one method.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use domicile_proto::v1::{CostClass, MethodPolicy, ServiceScope};
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::Service;

/// The path of the one method.
pub const ECHO_PATH: &str = "/domicile.bench.v1.EchoService/Echo";

/// What is sent, and how much of it is wanted back.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EchoRequest {
    /// Any bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub payload: Vec<u8>,
    /// How many of them the answer holds.
    #[prost(uint32, tag = "2")]
    pub answer_bytes: u32,
}

/// The first bytes of what was sent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EchoResponse {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub payload: Vec<u8>,
}

/// The policy of a check, so that the gate does the same work.
pub(crate) fn policy() -> MethodPolicy {
    MethodPolicy {
        scope: ServiceScope::AccessCheck.into(),
        cost: CostClass::Check.into(),
        deadline_ms: 1000,
        ..MethodPolicy::default()
    }
}

type Answered<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

struct Echo;

impl UnaryService<EchoRequest> for Echo {
    type Response = EchoResponse;
    type Future = Answered<tonic::Response<EchoResponse>, Status>;

    fn call(&mut self, request: tonic::Request<EchoRequest>) -> Self::Future {
        Box::pin(async move {
            let EchoRequest { mut payload, answer_bytes } = request.into_inner();
            payload.truncate(usize::try_from(answer_bytes).unwrap_or(usize::MAX));
            Ok(tonic::Response::new(EchoResponse { payload }))
        })
    }
}

/// Serves the one method under the limits of every other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EchoServer {
    pub(crate) request_bytes: usize,
    pub(crate) answer_bytes: usize,
}

impl NamedService for EchoServer {
    const NAME: &'static str = "domicile.bench.v1.EchoService";
}

impl Service<Request<Body>> for EchoServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { request_bytes, answer_bytes } = *self;
        Box::pin(async move {
            if request.uri().path() != ECHO_PATH {
                return Ok(Status::new(Code::Unimplemented, "").into_http());
            }
            let mut grpc = Grpc::new(ProstCodec::<EchoResponse, EchoRequest>::default())
                .max_decoding_message_size(request_bytes)
                .max_encoding_message_size(answer_bytes);
            Ok(grpc.unary(Echo, request).await)
        })
    }
}
