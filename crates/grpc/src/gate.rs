//! What every call passes before its handler: correlation, trace, admission, identity, policy, deadline, and a net for
//! panics.

use std::any::Any;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{ActingUser, Actor, Means};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Credentials, PeerNames};
use domicile_domain::port::runtime::{Clock, Ids};
use domicile_domain::usecase::{self, Call, DomicileApi};
use domicile_proto::v1::{CostClass, MethodPolicy};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use crate::admission::{Admission, Full, Permit, PoolName};
use crate::answer::{Ending, StreamEnd, outgoing};
use crate::connections::Arrival;
use crate::foreign_identity;
use crate::measures::Measures;
use crate::method_policy::{MethodPolicies, ceiling};
use crate::status::{TransportReason, of_refusal, of_transport};
use crate::trace_context::{TRACEPARENT, TraceContext};

/// The header that correlates a call with logs; made here if the caller sends none.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// The header that names the person a service acts for.
pub(crate) const ACTING_USER: &str = "x-domicile-acting-user";

/// What the record calls this surface.
pub(crate) const SURFACE: &str = "grpc";

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
    pub(crate) methods: Methods,
    pub(crate) admission: Admission,
    pub(crate) api: Arc<dyn DomicileApi>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// Whether the contract may be read without an identity.
    pub(crate) open_reflection: bool,
    /// How long one stream of reflection may go on.
    pub(crate) reflection: Duration,
    /// Of the traces that begin here, how many in a hundred are recorded.
    pub(crate) traces_percent: u8,
    /// Closes when the last call has ended, of those too whose caller left.
    pub(crate) at_work: mpsc::Sender<Infallible>,
    /// Becomes true when streams have to end.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// A method that can be called, by what the gate does with it.
enum Kind {
    /// Of the contract.
    Contract {
        policy: MethodPolicy,
        /// Whether its answer is a stream.
        streams: bool,
    },
    /// Standard; answered whatever happens.
    Health,
    /// Standard; tells the contract.
    Reflection,
    /// Nothing is served there.
    Unknown,
}

/// A method as the gate knows it.
pub(crate) struct Method {
    /// As gRPC writes it: `domicile.v1.UserService/LookupUser`.
    name: String,
    kind: Kind,
    pub(crate) measures: Measures,
}

impl Method {
    fn of(name: &str, kind: Kind) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), kind, measures: Measures::of(name) })
    }
}

/// Every method by its path.
pub(crate) struct Methods {
    known: HashMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

impl Methods {
    pub(crate) fn of(policies: &MethodPolicies) -> Self {
        let contract = policies.iter().map(|(path, policy)| {
            let streams = policies.streams(path);
            (path.trim_start_matches('/').to_owned(), Kind::Contract { policy: policy.clone(), streams })
        });
        let standard = [
            ("grpc.health.v1.Health/Check", Kind::Health),
            ("grpc.health.v1.Health/Watch", Kind::Health),
            ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Kind::Reflection),
            ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Kind::Reflection),
        ];
        let standard = standard.into_iter().map(|(name, kind)| (name.to_owned(), kind));
        let known = contract.chain(standard).map(|(name, kind)| (format!("/{name}"), Method::of(&name, kind)));
        Self { known: known.collect(), unknown: Method::of("_other", Kind::Unknown) }
    }

    fn get(&self, path: &str) -> Arc<Method> {
        self.known.get(path).unwrap_or(&self.unknown).clone()
    }
}

/// One call on its way through the gate.
pub(crate) struct Passage {
    pub(crate) method: Arc<Method>,
    pub(crate) correlation: String,
    pub(crate) arrived: Instant,
    pub(crate) span: Span,
    trace: TraceContext,
    arrival: Option<Arc<Arrival>>,
}

impl Passage {
    /// Refuses the call here, in the reason's words unless there are better ones.
    fn barred(&self, reason: TransportReason, said: Option<&str>, facts: &[(&str, &str)]) -> Status {
        self.method.measures.refused(reason.as_str());
        of_transport(reason, said, facts, &self.correlation)
    }

    /// Refuses the call here in the words of the domain.
    fn refused(&self, refusal: &Refusal) -> Status {
        self.method.measures.refused(refusal.reason.as_str());
        of_refusal(refusal, &self.correlation)
    }
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone takes the place of the service that was polled ready.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let keeper = self.keeper.clone();
        foreign_identity::strip(request.headers_mut());
        let passage = Arc::new(keeper.passage(&request));
        let span = passage.span.clone();
        let ending = Ending::of(passage);
        Box::pin(async move { Ok(keeper.admit(inner, request, ending).await) }.instrument(span))
    }
}

/// An answer, and how its stream ends if it is one.
type Answered = (Response<Body>, Option<StreamEnd>);

impl Keeper {
    fn passage(&self, request: &Request<Body>) -> Passage {
        let (headers, fresh) = (request.headers(), self.ids.uuid());
        let method = self.methods.get(request.uri().path());
        let correlation = usable_id(headers).map_or_else(|| fresh.to_string(), ToOwned::to_owned);
        // Whoever looks after the process asks for health all day long; that is no trace of anybody's.
        let recorded = if matches!(method.kind, Kind::Health) { 0 } else { self.traces_percent };
        let trace = TraceContext::of(headers, fresh.as_u64_pair(), recorded);
        let span = tracing::info_span!(
            "call",
            otel.name = method.name,
            rpc.method = method.name,
            request.id = correlation,
            trace.id = %trace.trace_id(),
            trace.sampled = trace.is_sampled(),
            span.id = %trace.span_id(),
            parent.id = trace.parent_id().map(tracing::field::display),
            rpc.grpc.status_code = tracing::field::Empty,
            duration = tracing::field::Empty,
        );
        let arrival = request.extensions().get::<Arc<Arrival>>().cloned();
        Passage { method, correlation, arrived: Instant::now(), span, trace, arrival }
    }

    async fn admit<S>(self: Arc<Self>, inner: S, request: Request<Body>, ending: Ending) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let passage = ending.passage.clone();
        let answered = match &passage.method.kind {
            Kind::Contract { policy, streams } => {
                self.serve_in_time(inner, request, passage.clone(), policy.clone(), *streams).await
            }
            Kind::Health => Ok(self.serve_health(inner, request, &passage).await),
            Kind::Reflection => self.serve_reflection(inner, request, &passage).await,
            Kind::Unknown => Err(passage.barred(TransportReason::Unimplemented, None, &[])),
        };
        let (response, stream_end) = answered.unwrap_or_else(|status| (status.into_http(), None));
        stamped(outgoing(response, ending, stream_end), &passage)
    }

    /// A call of the contract, until its deadline.
    async fn serve_in_time<S>(
        self: Arc<Self>,
        inner: S,
        request: Request<Body>,
        passage: Arc<Passage>,
        policy: MethodPolicy,
        streams: bool,
    ) -> Result<Answered, Status>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let pool = if policy.cost() == CostClass::Check { PoolName::Checks } else { PoolName::Calls };
        let permit = self.permit(pool, &passage)?;
        let allowed = allowed_by(request.headers(), ceiling(&policy));
        let until = passage.arrived + answered_within(allowed);
        let (keeper, called) = (self.clone(), passage.clone());
        let at_work = self.at_work.clone();
        // The work goes on in a task of its own: a client that leaves cannot cut a transaction between statements.
        let work = async move {
            let _at_work = at_work;
            let response = match caught(keeper.identified(inner, request, &called, &policy, allowed)).await {
                Ok(response) => response,
                Err(panic) => keeper.incident(&called, &*panic).into_http(),
            };
            (response, permit)
        };
        match tokio::time::timeout_at(until, tokio::spawn(work.instrument(passage.span.clone()))).await {
            Ok(Ok((response, permit))) => {
                let end = streams.then(|| self.stream_end(Some(until), Some(permit)));
                Ok((response, end))
            }
            // Panics are caught inside; a task is cut only when the whole process ends.
            Ok(Err(_)) => Err(of_refusal(&Refusal::new(Reason::StoreUnavailable), &passage.correlation)),
            Err(_) => Err(of_transport(TransportReason::DeadlineExceeded, None, &[], &passage.correlation)),
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
        let deadline = self.clock.now().after(allowed);
        let actor = match self.actor(request.headers(), passage, Some(policy), deadline).await {
            Ok(actor) => actor,
            Err(status) => return status.into_http(),
        };
        let correlation_id = passage.correlation.clone();
        request.extensions_mut().insert(Admitted { actor, deadline, correlation_id });
        called(&mut inner, request).await
    }

    /// Health is told to everybody and never refused.
    async fn serve_health<S>(&self, mut inner: S, request: Request<Body>, passage: &Passage) -> Answered
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let until = timeout_of(request.headers()).map(|asked| passage.arrived + answered_within(asked));
        (called(&mut inner, request).await, Some(self.stream_end(until, None)))
    }

    /// The contract is read by whoever may know it.
    async fn serve_reflection<S>(
        &self,
        mut inner: S,
        request: Request<Body>,
        passage: &Passage,
    ) -> Result<Answered, Status>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let permit = self.permit(PoolName::Calls, passage)?;
        let allowed = allowed_by(request.headers(), self.reflection);
        let until = passage.arrived + answered_within(allowed);
        if !self.open_reflection {
            self.actor(request.headers(), passage, None, self.clock.now().after(STANDARD_CALL)).await?;
        }
        Ok((called(&mut inner, request).await, Some(self.stream_end(Some(until), Some(permit)))))
    }

    fn stream_end(&self, until: Option<Instant>, permit: Option<Permit>) -> StreamEnd {
        StreamEnd { until, stopping: self.stopping.clone(), permit }
    }

    /// A place among the calls at work. Refusing costs next to nothing: who calls is not even asked.
    fn permit(&self, pool: PoolName, passage: &Passage) -> Result<Permit, Status> {
        let connection = passage.arrival.as_ref().map(|arrival| &arrival.permits);
        self.admission.enter(pool, connection).map_err(|full| {
            let of = match full {
                Full::Connection => "connection",
                Full::Process => "process",
            };
            passage.barred(TransportReason::Overloaded, None, &[("pool", pool.as_str()), ("of", of)])
        })
    }

    /// Who calls, if they may call this at all. Whoever is known may read the contract, which has no policy.
    async fn actor(
        &self,
        headers: &HeaderMap,
        passage: &Passage,
        policy: Option<&MethodPolicy>,
        deadline: Timestamp,
    ) -> Result<Actor, Status> {
        let unknown = |said: &str| passage.barred(TransportReason::Unauthenticated, Some(said), &[]);
        let peer = passage.arrival.as_ref().and_then(|arrival| arrival.peer.clone());
        let credentials = credentials(headers, peer).map_err(|said| unknown(&said))?;
        let method = passage.method.name.as_str();
        let caller = self.authenticator.authenticate(method, &credentials).await.map_err(|error| match &error {
            AuthenticationError::Unavailable(_) => {
                tracing::warn!(request.id = passage.correlation, %error, "the caller cannot be told");
                passage.refused(&Refusal::new(Reason::StoreUnavailable))
            }
            AuthenticationError::Missing(_) | AuthenticationError::Refused(_) => unknown(&error.to_string()),
        })?;
        if policy.is_some() && !caller.service.methods.has(method) {
            let said = format!(
                "the service `{}` may not call {method}; ask the operator to add it to the methods of the service",
                caller.service.name
            );
            let reason = TransportReason::MethodNotAllowed;
            self.record_turned_away(passage, Actor::service(caller.service), deadline, reason.as_str()).await?;
            return Err(passage.barred(reason, Some(&said), &[("method", method)]));
        }
        let arrival = usecase::Arrival { deadline, correlation_id: passage.correlation.clone(), surface: SURFACE };
        let actor = self.api.identify(caller, &arrival).await.map_err(|refusal| passage.refused(&refusal))?;
        match policy.and_then(|policy| missing_of_person(policy, actor.user.as_ref())) {
            None => Ok(actor),
            Some(Missing::Person) => {
                let refusal = Refusal::new(Reason::ActingUserRequired);
                self.record_turned_away(passage, actor, deadline, refusal.reason.as_str()).await?;
                Err(passage.refused(&refusal))
            }
            Some(Missing::OwnToken) => {
                let reason = TransportReason::OwnTokenRequired;
                self.record_turned_away(passage, actor, deadline, reason.as_str()).await?;
                Err(passage.barred(reason, None, &[]))
            }
        }
    }

    /// Puts on record that a known caller is refused here. What cannot be recorded is refused for that.
    async fn record_turned_away(
        &self,
        passage: &Passage,
        actor: Actor,
        deadline: Timestamp,
        reason: &str,
    ) -> Result<(), Status> {
        let call = Call { actor, deadline, correlation_id: passage.correlation.clone(), surface: SURFACE };
        let recorded = self.api.turned_away(&call, &passage.method.name, reason).await;
        recorded.map_err(|refusal| passage.refused(&refusal))
    }

    fn incident(&self, passage: &Passage, panic: &(dyn Any + Send)) -> Status {
        let incident = self.ids.uuid();
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let error = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let (id, method) = (passage.correlation.as_str(), passage.method.name.as_str());
        tracing::error!(incident.id = %incident, request.id = id, rpc.method = method, error, "a handler panicked");
        let refusal = Refusal::new(Reason::Internal).with("incident", incident);
        of_refusal(&refusal, &passage.correlation)
    }
}

/// What a call lacks of its person.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Person,
    OwnToken,
}

fn missing_of_person(policy: &MethodPolicy, user: Option<&ActingUser>) -> Option<Missing> {
    match user {
        None => (policy.acting_user || policy.own_token).then_some(Missing::Person),
        Some(user) => (policy.own_token && user.means != Means::OwnToken).then_some(Missing::OwnToken),
    }
}

/// The caller's own id for the call, if it can be taken over: what could be an address, a token or a line of its own in a
/// log is not.
fn usable_id(headers: &HeaderMap) -> Option<&str> {
    let usable = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/');
    let sent = headers.get(REQUEST_ID)?.to_str().ok()?;
    ((1..=64).contains(&sent.len()) && sent.bytes().all(usable)).then_some(sent)
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
fn credentials(headers: &HeaderMap, peer: Option<PeerNames>) -> Result<Credentials, String> {
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
    Ok(Credentials { peer, bearer, acting_user: only(ACTING_USER)? })
}

fn stamped(mut response: Response<Body>, passage: &Passage) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(&passage.correlation) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Some(value) = passage.trace.header() {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response
}

/// What the caller allows, if that is less.
fn allowed_by(headers: &HeaderMap, most: Duration) -> Duration {
    timeout_of(headers).map_or(most, |asked| asked.min(most))
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
    use domicile_domain::model::actor::ScopeReach;
    use domicile_domain::model::id::Id;

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
        let read = |list: &[(&'static str, &[u8])]| credentials(&headers(list), None);
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
    fn what_only_the_person_can_say_needs_the_persons_own_token() {
        let by = |means| Some(ActingUser { id: Id::nil(), means });
        let policy = |acting_user, own_token| MethodPolicy { acting_user, own_token, ..MethodPolicy::default() };
        let indirect = [Means::Exchanged, Means::ActAs(ScopeReach::Everywhere)];
        for (policy, nobody, somebody) in [
            (policy(false, false), None, None),
            (policy(true, false), Some(Missing::Person), None),
            (policy(true, true), Some(Missing::Person), Some(Missing::OwnToken)),
            (policy(false, true), Some(Missing::Person), Some(Missing::OwnToken)),
        ] {
            assert_eq!(missing_of_person(&policy, None), nobody);
            assert_eq!(missing_of_person(&policy, by(Means::OwnToken).as_ref()), None);
            for means in &indirect {
                assert_eq!(missing_of_person(&policy, by(means.clone()).as_ref()), somebody, "{means:?}");
            }
        }
    }

    #[test]
    fn the_answer_goes_out_before_the_transport_cuts_the_call() {
        assert_eq!(answered_within(Duration::from_secs(10)), Duration::from_millis(9980));
        assert_eq!(answered_within(Duration::from_millis(50)), Duration::from_millis(45));
        assert_eq!(answered_within(Duration::ZERO), Duration::ZERO);
    }
}
