//! A served mock, and two clients of it: the generated one, and one that sends whatever bytes a test wants.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Once};
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::id::UserId;
use domicile_domain::port::authenticator::{AuthenticationError, Authenticator, Caller, Credentials, PersonClaim};
use domicile_domain::usecase::MockDomicileApi;
use domicile_grpc::{Limits, ServeError, ServerParts};
use domicile_testkit::authenticator::TrustingAuthenticator;
use domicile_testkit::canary::Canaries;
use domicile_testkit::clock::FixedClock;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::memory::MemoryStore;
use http::{HeaderMap, Request};
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt};

/// The one token that the test's authenticator knows.
pub(crate) const TOKEN: &str = "Bearer known";

/// The person whom calls of tests act for.
pub(crate) fn actor_id() -> UserId {
    UserId::from_uuid(SequentialIds::numbered(7))
}

/// The service behind the token, with a scope of each reach.
pub(crate) fn service() -> ServicePrincipal {
    ServicePrincipal::new("orders").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere).acting_as_anybody()
}

/// The actor of calls that name the person.
pub(crate) fn acting() -> Actor {
    let means = Means::ActAs(ScopeReach::Everywhere);
    Actor { service: service(), user: Some(ActingUser { id: actor_id(), means }) }
}

/// What the domain makes of a caller who is named.
fn identified(caller: Caller) -> Result<Actor, Refusal> {
    match caller.person {
        None => Ok(Actor::service(caller.service)),
        Some(PersonClaim::Named { user, reach }) => {
            Ok(Actor { service: caller.service, user: Some(ActingUser { id: user, means: Means::ActAs(reach) }) })
        }
        Some(PersonClaim::Ungranted { why, .. }) => {
            Err(Refusal { message: why, ..Refusal::new(Reason::ActAsNotGranted) })
        }
        Some(PersonClaim::Proven { .. }) => Err(Refusal::new(Reason::IdentityNotBound)),
    }
}

/// The usual limits, of a server that stops at once.
pub(crate) fn limits() -> Limits {
    Limits { lame_duck: Duration::ZERO, ..Limits::default() }
}

/// What a server over the mock works with; tests change what they are about.
pub(crate) fn parts(mut api: MockDomicileApi) -> ServerParts {
    api.expect_identify().returning(|caller, _| identified(caller));
    api.expect_turned_away().returning(|_, _, _| Ok(()));
    ServerParts {
        api: Arc::new(api),
        store_health: Arc::new(MemoryStore::new()),
        authenticator: Arc::new(TrustingAuthenticator::with_token(service(), "known")),
        development: true,
        tls: None,
        clock: Arc::new(FixedClock::default()),
        ids: Arc::new(SequentialIds::new()),
        limits: limits(),
        traces_percent: 0,
    }
}

thread_local! {
    /// What this test logged: a server runs in the thread of its test.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the test's own log.
struct OwnLog;

impl io::Write for OwnLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the servers of this test logged so far.
pub(crate) fn logged() -> String {
    LOG.with_borrow(|log| String::from_utf8(log.clone()).unwrap())
}

/// Looks through what a test's servers logged when it ends (R17).
struct LookedThrough;

impl LookedThrough {
    fn begin() -> Self {
        static LOGGING: Once = Once::new();
        // For all tests of this program: one for a thread would not hear what another thread came across first.
        LOGGING.call_once(|| {
            let filter = "domicile_grpc=trace";
            let subscriber = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(|| OwnLog).finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        Self
    }
}

impl Drop for LookedThrough {
    fn drop(&mut self) {
        // The second failure would hide the first.
        if !std::thread::panicking() {
            let mut canaries = Canaries::default();
            canaries.add(["canary".to_owned()]);
            canaries.are_not_in("the log", &logged());
        }
    }
}

/// A server on loopback.
pub(crate) struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
    _looked_through: LookedThrough,
}

impl Served {
    pub(crate) async fn mock(api: MockDomicileApi) -> Self {
        Self::of(parts(api)).await
    }

    pub(crate) async fn of(parts: ServerParts) -> Self {
        let looked_through = LookedThrough::begin();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            // A test that does not ask goes on to its end.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let server = tokio::spawn(domicile_grpc::serve(parts, listener, shutdown));
        Self { address, stop, server, _looked_through: looked_through }
    }

    /// A connection for generated clients.
    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A connection for raw requests.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::over(self.stream().await).await.unwrap()
    }

    /// A connection on which nothing has been said.
    pub(crate) async fn stream(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks the server to stop; what is handed back ends when it has.
    pub(crate) fn asked_to_stop(self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.send(()).unwrap();
        self.server
    }
}

/// The server ends this connection, cleanly or not, whatever it says before. What is much longer is for ever.
pub(crate) async fn is_given_up(stream: &mut (impl AsyncRead + Unpin)) {
    let mut said = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "it waits for the client");
}

/// Headers by name.
pub(crate) type Headers<'a> = &'a [(&'a str, &'a [u8])];

/// Sends what a test wants, and has no clock.
pub(crate) struct Raw(h2::client::SendRequest<Bytes>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    /// How long the body was.
    pub(crate) bytes: usize,
    pub(crate) status: Status,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Raw {
    /// Speaks over a connection.
    pub(crate) async fn over<S>(stream: S) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Whether the server takes streams over the connection, and has not closed it.
    pub(crate) async fn is_served(&self) -> bool {
        let Ok(mut sender) = self.0.clone().ready().await else { return false };
        let Ok((response, _)) = sender.send_request(request("/nowhere", &[]), true) else { return false };
        response.await.is_ok()
    }

    /// Opens a stream to a method: with one message and no more, or with nothing said yet.
    pub(crate) async fn open(
        &self,
        path: &str,
        headers: Headers<'_>,
        only: Option<Vec<u8>>,
    ) -> (http::Response<h2::RecvStream>, h2::SendStream<Bytes>) {
        let mut sender = self.0.clone().ready().await.unwrap();
        let (response, mut stream) = sender.send_request(request(path, headers), false).unwrap();
        if let Some(message) = only {
            stream.send_data(message.into(), true).unwrap();
        }
        (response.await.unwrap(), stream)
    }

    /// Calls a method with headers beside the usual ones, and a body as it is.
    pub(crate) async fn call(&self, path: &str, headers: Headers<'_>, body: Vec<u8>) -> Answer {
        let mut sender = self.0.clone().ready().await.unwrap();
        let (response, mut stream) = sender.send_request(request(path, headers), false).unwrap();
        // A server that has refused already takes no body any more.
        let _ = stream.send_data(body.into(), true);
        let response = response.await.unwrap();
        let headers = response.headers().clone();
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(data) = body.data().await {
            let length = data.unwrap().len();
            body.flow_control().release_capacity(length).unwrap();
            bytes += length;
        }
        let trailers = body.trailers().await.unwrap();
        let last = trailers.as_ref().unwrap_or(&headers);
        let status = Status::from_header_map(last).expect("every answer has a status");
        Answer { headers, bytes, status }
    }

    /// Calls as a service that is known, for a person.
    pub(crate) async fn signed(&self, path: &str, more: Headers<'_>, body: Vec<u8>) -> Answer {
        let acting = actor_id().to_string();
        let usual = [("authorization", TOKEN.as_bytes()), ("x-domicile-acting-user", acting.as_bytes())];
        self.call(path, &[&usual, more].concat(), body).await
    }
}

fn request(path: &str, headers: Headers<'_>) -> Request<()> {
    let request = Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap()
}

/// A message in its frame.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), &body].concat()
}

/// A request of a service that is known, for a person.
pub(crate) fn signed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", TOKEN.parse().unwrap());
    request.metadata_mut().insert("x-domicile-acting-user", actor_id().to_string().parse().unwrap());
    request
}

/// The code and reason of a refusal, which every refusal has, and its facts for programs.
pub(crate) fn reason(status: &Status) -> (Code, String, ErrorInfo) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no reason: {status:?}")).clone();
    assert_eq!(info.domain, "domicile");
    assert!(!details.request_info().expect("a request id").request_id.is_empty());
    (status.code(), info.reason.clone(), info)
}

/// The refusal is this one.
pub(crate) fn assert_refused(status: &Status, code: Code, word: &str) {
    let (actual, reason, _) = reason(status);
    assert_eq!((actual, reason.as_str()), (code, word), "{status:?}");
}

/// Holds a handler at work until the test lets it go, or ends.
pub(crate) struct Held {
    entered: oneshot::Receiver<()>,
    release: Sender<()>,
}

/// The handler's side of [`Held`].
pub(crate) struct Hold {
    enter: Option<oneshot::Sender<()>>,
    released: Receiver<()>,
}

impl Held {
    pub(crate) fn new() -> (Self, Hold) {
        let (enter, entered) = oneshot::channel();
        let (release, released) = channel();
        (Self { entered, release }, Hold { enter: Some(enter), released })
    }

    /// Returns once the handler is at work.
    pub(crate) async fn entered(&mut self) {
        (&mut self.entered).await.unwrap();
    }

    pub(crate) fn release(self) {
        self.release.send(()).unwrap();
    }
}

impl Hold {
    /// Stands still. Mocks answer without awaiting, so this takes the thread out of the runtime meanwhile.
    pub(crate) fn wait(&mut self) {
        self.enter.take().unwrap().send(()).unwrap();
        // A test that ends lets go too.
        let _ = tokio::task::block_in_place(|| self.released.recv());
    }
}

/// An authenticator that knows everybody, but never says so.
pub(crate) struct Thinking {
    pub(crate) asked: tokio::sync::Notify,
}

#[tonic::async_trait]
impl Authenticator for Thinking {
    async fn authenticate(&self, _: &str, _: &Credentials) -> Result<Caller, AuthenticationError> {
        self.asked.notify_one();
        std::future::pending().await
    }
}
