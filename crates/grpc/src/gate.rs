//! What every call passes before its handler: correlation, policy, identity, deadline, and a net for panics.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domicile_domain::model::actor::Actor;
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Credentials};
use domicile_domain::port::runtime::{Clock, Ids};
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::method_policy::{MethodPolicies, ceiling};
use crate::status::with_reason;

/// The header that correlates a call with logs; made here if the caller sends none.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// The header that names the person a service acts for.
pub(crate) const ACTING_USER: &str = "x-domicile-acting-user";

/// What the gate learned of a call; handlers find it in the extensions.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    pub(crate) actor: Actor,
    pub(crate) deadline: Timestamp,
    pub(crate) correlation_id: String,
}

/// What the gate works with.
pub(crate) struct Keeper {
    pub(crate) policies: MethodPolicies,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

#[derive(Clone)]
pub(crate) struct GateLayer(pub(crate) Arc<Keeper>);

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, keeper: self.0.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    keeper: Arc<Keeper>,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone takes the place of the service that was polled ready.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let keeper = self.keeper.clone();
        Box::pin(async move { Ok(keeper.admit(inner, request).await) })
    }
}

impl Keeper {
    async fn admit<S>(&self, mut inner: S, mut request: Request<Body>) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let correlation = self.correlation(request.headers());
        let path = request.uri().path().to_owned();
        // Health and reflection are not of the contract and need no identity; unknown methods are refused by the router.
        let Some(policy) = self.policies.get(&path) else {
            return match inner.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        };
        let allowed = timeout_of(request.headers()).map_or(ceiling(policy), |asked| asked.min(ceiling(policy)));
        let actor = match self.authenticator.authenticate(&credentials(request.headers())).await {
            Ok(actor) => actor,
            Err(error) => return stamped(refused(&error, &correlation).into_http(), &correlation),
        };
        let deadline = self.clock.now().after(allowed);
        request.extensions_mut().insert(Admitted { actor, deadline, correlation_id: correlation.clone() });
        // The work goes on in a task of its own: a client that leaves cannot cut a transaction between statements.
        let work = tokio::spawn(async move { inner.call(request).await });
        let response = match tokio::time::timeout(allowed, work).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(broken)) => self.incident(&path, &correlation, &broken).into_http(),
            Err(_) => with_reason(
                Code::DeadlineExceeded,
                "DEADLINE_EXCEEDED",
                "the time for this call was over before it ended; the same again with the same request id is safe",
                &correlation,
            )
            .into_http(),
        };
        stamped(response, &correlation)
    }

    fn correlation(&self, headers: &HeaderMap) -> String {
        let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let usable = |text: &&str| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        sent.filter(usable).map_or_else(|| self.ids.uuid().to_string(), ToOwned::to_owned)
    }

    fn incident(&self, path: &str, correlation: &str, broken: &tokio::task::JoinError) -> Status {
        let incident = self.ids.uuid();
        tracing::error!(incident.id = %incident, request.id = correlation, rpc.path = path, error = %broken, "a handler panicked");
        let message = format!("a defect of this service ended the call; tell the operator the incident {incident}");
        with_reason(Code::Internal, "INTERNAL", &message, correlation)
    }
}

fn credentials(headers: &HeaderMap) -> Credentials {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Credentials {
        bearer: text("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(ToOwned::to_owned),
        acting_user: text(ACTING_USER).map(ToOwned::to_owned),
    }
}

fn refused(error: &AuthenticationError, correlation: &str) -> Status {
    let (code, reason) = match error {
        AuthenticationError::Unavailable(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
        _ => (Code::Unauthenticated, "UNAUTHENTICATED"),
    };
    with_reason(code, reason, &error.to_string(), correlation)
}

fn stamped(mut response: Response<Body>, correlation: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(correlation) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The caller's `grpc-timeout`: at most eight digits and a unit.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_timeout_is_read_as_the_protocol_says() {
        let read = |text: &'static str| {
            timeout_of(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), HeaderValue::from_static(text))]))
        };
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        for text in ["", "S", "123456789S", "5x", "-1S"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
