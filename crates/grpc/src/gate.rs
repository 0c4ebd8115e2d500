//! What every call passes before its handler: correlation, policy, identity, deadline, and a net for panics.

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::Actor;
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Credentials};
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::usecase::{Arrival, DomicileApi};
use domicile_proto::v1::MethodPolicy;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::method_policy::{MethodPolicies, ceiling};
use crate::status::{TransportReason, explained, of_refusal, of_transport};

/// The header that correlates a call with logs; made here if the caller sends none.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// The header that names the person a service acts for.
pub(crate) const ACTING_USER: &str = "x-domicile-acting-user";

/// How long it may take to tell who makes a call that is not of the contract.
const STANDARD_CALL: Duration = Duration::from_secs(2);

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
    pub(crate) api: Arc<dyn DomicileApi>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// Whether the contract may be read without an identity.
    pub(crate) open_reflection: bool,
    /// Closes when the last call has ended, of those too whose caller left.
    pub(crate) at_work: mpsc::Sender<Infallible>,
}

/// One call on its way through the gate.
struct Passage {
    path: String,
    correlation: String,
    arrived: Instant,
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
        let passage = Passage {
            path: request.uri().path().to_owned(),
            correlation: keeper.correlation(request.headers()),
            arrived: Instant::now(),
        };
        Box::pin(async move { Ok(keeper.admit(inner, request, passage).await) })
    }
}

impl Keeper {
    async fn admit<S>(self: Arc<Self>, inner: S, request: Request<Body>, passage: Passage) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let correlation = passage.correlation.clone();
        let response = match self.policies.get(&passage.path).cloned() {
            Some(policy) => self.serve_in_time(inner, request, passage, policy).await,
            None => self.serve_standard(inner, request, &passage).await,
        };
        stamped(explained(response, &correlation), &correlation)
    }

    /// A call of the contract, until its deadline.
    async fn serve_in_time<S>(
        self: Arc<Self>,
        inner: S,
        request: Request<Body>,
        passage: Passage,
        policy: MethodPolicy,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let most = ceiling(&policy);
        let allowed = timeout_of(request.headers()).map_or(most, |asked| asked.min(most));
        let until = passage.arrived + answered_within(allowed);
        let correlation = passage.correlation.clone();
        let at_work = self.at_work.clone();
        // The work goes on in a task of its own: a client that leaves cannot cut a transaction between statements.
        let work = tokio::spawn(async move {
            let _at_work = at_work;
            match caught(self.identified(inner, request, &passage, &policy, allowed)).await {
                Ok(response) => response,
                Err(panic) => self.incident(&passage, &*panic).into_http(),
            }
        });
        match tokio::time::timeout_at(until, work).await {
            Ok(Ok(response)) => response,
            // Panics are caught inside; a task is cut only when the whole process ends.
            Ok(Err(_)) => of_refusal(&Refusal::new(Reason::StoreUnavailable), &correlation).into_http(),
            Err(_) => of_transport(TransportReason::DeadlineExceeded, None, &correlation).into_http(),
        }
    }

    async fn identified<S>(
        &self,
        mut inner: S,
        mut request: Request<Body>,
        passage: &Passage,
        policy: &MethodPolicy,
        allowed: Duration,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let correlation = &passage.correlation;
        let deadline = self.clock.now().after(allowed);
        let actor = match self.identify(passage, request.headers(), deadline).await {
            Ok(actor) => actor,
            Err(status) => return status.into_http(),
        };
        if policy.acting_user && actor.user.is_none() {
            return of_refusal(&Refusal::new(Reason::ActingUserRequired), correlation).into_http();
        }
        request.extensions_mut().insert(Admitted { actor, deadline, correlation_id: correlation.clone() });
        called(&mut inner, request).await
    }

    /// Health and reflection are not of the contract; whatever else there may be is refused.
    async fn serve_standard<S>(&self, mut inner: S, request: Request<Body>, passage: &Passage) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        if passage.path.starts_with("/grpc.health.v1.Health/") {
            return called(&mut inner, request).await;
        }
        if passage.path.starts_with("/grpc.reflection.") {
            if !self.open_reflection
                && let Err(status) =
                    self.identify(passage, request.headers(), self.clock.now().after(STANDARD_CALL)).await
            {
                return status.into_http();
            }
            return called(&mut inner, request).await;
        }
        of_transport(TransportReason::Unimplemented, None, &passage.correlation).into_http()
    }

    async fn identify(&self, passage: &Passage, headers: &HeaderMap, deadline: Timestamp) -> Result<Actor, Status> {
        let correlation = passage.correlation.as_str();
        let unknown = |said: &str| of_transport(TransportReason::Unauthenticated, Some(said), correlation);
        let credentials = credentials(headers).map_err(|said| unknown(&said))?;
        let method = passage.path.trim_start_matches('/');
        let caller = self.authenticator.authenticate(method, &credentials).await.map_err(|error| match &error {
            AuthenticationError::Unavailable(_) => {
                tracing::warn!(request.id = correlation, %error, "the caller cannot be told");
                of_refusal(&Refusal::new(Reason::StoreUnavailable), correlation)
            }
            AuthenticationError::NotGranted(_) => of_refusal(
                &Refusal { message: error.to_string(), ..Refusal::new(Reason::ActAsNotGranted) },
                correlation,
            ),
            AuthenticationError::Missing(_) | AuthenticationError::Refused(_) => unknown(&error.to_string()),
        })?;
        let arrival = Arrival { deadline, correlation_id: correlation.to_owned(), surface: "grpc" };
        self.api.identify(caller, &arrival).await.map_err(|refusal| of_refusal(&refusal, correlation))
    }

    fn correlation(&self, headers: &HeaderMap) -> String {
        let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let usable = |text: &&str| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        sent.filter(usable).map_or_else(|| self.ids.uuid().to_string(), ToOwned::to_owned)
    }

    fn incident(&self, passage: &Passage, panic: &(dyn Any + Send)) -> Status {
        let incident = self.ids.uuid();
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let error = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let (id, path) = (passage.correlation.as_str(), passage.path.as_str());
        tracing::error!(incident.id = %incident, request.id = id, rpc.path = path, error, "a handler panicked");
        let refusal = Refusal::new(Reason::Internal).with("incident", incident);
        of_refusal(&refusal, &passage.correlation)
    }
}

async fn called<S>(inner: &mut S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match inner.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The future's value, or what it panicked with.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// A little less than was allowed: the transport cuts a call at the caller's deadline with the wrong code, and the answer
/// has a way to go.
fn answered_within(allowed: Duration) -> Duration {
    allowed.saturating_sub((allowed / 10).min(Duration::from_millis(20)))
}

/// What came with the call. Two forms that could disagree are refused, and so is what cannot be read: a call must not
/// lose its acting user on the way.
fn credentials(headers: &HeaderMap) -> Result<Credentials, String> {
    let only = |name: &str| -> Result<Option<String>, String> {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(format!("`{name}` came more than once; send it once"));
        }
        let text = value.to_str().map_err(|_| format!("`{name}` has characters that a header does not carry"))?;
        Ok(Some(text.to_owned()))
    };
    let bearer = only("authorization")?.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned()).filter(|token| !token.is_empty())
    });
    Ok(Credentials { peer: None, bearer, acting_user: only(ACTING_USER)? })
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
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
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
        for text in ["", "S", "123456789S", "5x", "-1S", "+1S"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    fn headers(list: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        map
    }

    #[test]
    fn credentials_are_read_once_and_whole() {
        let read = |list: &[(&'static str, &[u8])]| credentials(&headers(list));
        assert_eq!(read(&[]).unwrap(), Credentials::default());
        assert_eq!(read(&[("authorization", b"bearer  abc")]).unwrap().bearer.as_deref(), Some("abc"));
        for none in [&b"Basic abc"[..], b"Bearer ", b"Bearer"] {
            assert_eq!(read(&[("authorization", none)]).unwrap().bearer, None);
        }
        assert!(read(&[(ACTING_USER, b"a"), (ACTING_USER, b"b")]).unwrap_err().contains("more than once"));
        assert!(read(&[(ACTING_USER, b"\xff")]).unwrap_err().contains("characters"));
        assert!(read(&[("authorization", b"Bearer a"), ("authorization", b"Bearer b")]).is_err());
    }

    #[test]
    fn the_answer_goes_out_before_the_transport_cuts_the_call() {
        assert_eq!(answered_within(Duration::from_secs(10)), Duration::from_millis(9980));
        assert_eq!(answered_within(Duration::from_millis(50)), Duration::from_millis(45));
        assert_eq!(answered_within(Duration::ZERO), Duration::ZERO);
    }
}
