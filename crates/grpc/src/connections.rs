//! Connections as they come in: plain or encrypted, each handshake in a task of its own with a limit of its own, so that a
//! silent client delays nobody. Who then does not begin to speak HTTP/2 is given up after the same time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use domicile_domain::port::authenticator::PeerNames;
use futures::Stream;
use futures::stream::unfold;
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use crate::Limits;
use crate::admission::ConnectionPermits;
use crate::measures;
use crate::tls::{Tls, names_in};

/// How long to wait after the system refused to accept, as it does without free file descriptors: at once it would again.
const AFTER_A_REFUSAL: Duration = Duration::from_millis(100);

/// What is known of a connection; each of its calls finds it in the extensions.
pub(crate) struct Arrival {
    /// The names in the client's certificate; absent if it showed none.
    pub(crate) peer: Option<PeerNames>,
    /// How much may be at work for this connection.
    pub(crate) permits: ConnectionPermits,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How many bytes a client of HTTP/2 begins with, the same for all. Before them the protocol itself asks for no sign of life.
const PREFACE: usize = 24;

/// The beginning that is awaited.
struct Awaited {
    bytes: usize,
    until: Pin<Box<Sleep>>,
}

/// A connection on which requests can come.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    /// Nothing once the client has begun.
    awaited: Option<Awaited>,
    arrival: Arc<Arrival>,
    /// Ends with the connection.
    open: Option<oneshot::Sender<Infallible>>,
    /// Given back when the connection is closed, though calls of it may go on.
    _place: Place,
}

impl Connection {
    /// A client that has so long to begin.
    fn new(stream: impl Duplex + 'static, peer: Option<PeerNames>, limits: &Limits, place: Place) -> Self {
        let permits = ConnectionPermits::of(limits);
        let awaited = Some(Awaited { bytes: PREFACE, until: Box::pin(sleep(limits.handshake)) });
        let arrival = Arc::new(Arrival { peer, permits });
        Self { stream: Box::new(stream), awaited, arrival, open: None, _place: place }
    }

    /// Ends when the connection does.
    pub(crate) fn gone(&mut self) -> impl Future<Output = ()> + use<> {
        let (open, gone) = oneshot::channel();
        self.open = Some(open);
        async move {
            let Err(_) = gone.await;
        }
    }
}

/// A place among the connections that are open.
struct Place {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

/// The places of all connections.
struct Places {
    free: Arc<Semaphore>,
    most: usize,
    open: Gauge,
    /// Whether it was told that there are none. Told anew only after many were free, not with each that comes and goes.
    told: bool,
}

impl Places {
    fn of(limits: &Limits) -> Self {
        let most = limits.connections;
        Self { free: Arc::new(Semaphore::new(most)), most, open: measures::connections(), told: false }
    }

    /// One for a new connection; nothing if too many are open. That is told when it begins.
    fn take(&mut self) -> Option<Place> {
        let Ok(permit) = self.free.clone().try_acquire_owned() else {
            measures::connection_refused();
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(
                    "new connections are closed at once, since limits.connections are open; find out who holds them"
                );
            }
            return None;
        };
        self.told &= self.free.available_permits() < self.most / 10;
        self.open.increment(1.0);
        Some(Place { _permit: permit, open: self.open.clone() })
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Arrival>;

    fn connect_info(&self) -> Arc<Arrival> {
        self.arrival.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(awaited) = &mut self.awaited {
            awaited.bytes = awaited.bytes.saturating_sub(buf.filled().len() - before);
            if awaited.bytes == 0 {
                self.awaited = None;
            } else if read.is_pending() && awaited.until.as_mut().poll(cx).is_ready() {
                tracing::debug!("a client connected and did not begin to speak");
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Takes connections from the listener; ends with the stream that holds it.
struct Door {
    listener: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
    places: Places,
    handshakes: JoinSet<Option<Connection>>,
    /// Those in progress, the oldest first.
    oldest: VecDeque<AbortHandle>,
    refused: bool,
}

/// The connections of a listener, for as long as the stream is held.
pub(crate) fn connections(listener: TcpListener, tls: Option<Tls>, limits: Limits) -> impl Stream<Item = Connection> {
    let places = Places::of(&limits);
    let door =
        Door { listener, tls, limits, places, handshakes: JoinSet::new(), oldest: VecDeque::new(), refused: false };
    unfold(door, |mut door| async move {
        let connection = door.next().await;
        Some((connection, door))
    })
}

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = accept(&self.listener) => match accepted {
                    Ok(stream) => {
                        self.refused = false;
                        if let Some(connection) = self.opened(stream) {
                            return connection;
                        }
                    }
                    Err(error) => self.not_accepted(&error).await,
                },
                Some(ended) = self.handshakes.join_next() => {
                    // Neither an end by force nor a failed handshake is a connection.
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                }
            }
        }
    }

    /// A plain connection is there; an encrypted one when its handshake is done.
    fn opened(&mut self, stream: TcpStream) -> Option<Connection> {
        // Closed here, so that the client can turn to another replica, and not left waiting.
        let place = self.places.take()?;
        let Some(acceptor) = self.tls.as_ref().map(Tls::acceptor) else {
            return Some(Connection::new(stream, None, &self.limits, place));
        };
        self.make_room();
        let limits = self.limits.clone();
        let handshake = async move {
            match tokio::time::timeout(limits.handshake, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let peer = shown.and_then(names_in);
                    Some(Connection::new(stream, peer, &limits, place))
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client could not agree on an encrypted connection");
                    None
                }
                Err(_) => {
                    tracing::debug!(limit.seconds = limits.handshake.as_secs(), "a client did not end its handshake");
                    None
                }
            }
        };
        self.oldest.push_back(self.handshakes.spawn(handshake));
        None
    }

    /// Gives up the handshake that takes longest when too many are in progress: an honest one takes milliseconds.
    fn make_room(&mut self) {
        self.oldest.retain(|handshake| !handshake.is_finished());
        while self.oldest.len() >= self.limits.handshakes {
            let Some(longest) = self.oldest.pop_front() else { return };
            longest.abort();
        }
    }

    async fn not_accepted(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput};
        // The client's trouble, and over: some systems give no option of a connection that is gone.
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput) {
            return;
        }
        if !self.refused {
            self.refused = true;
            tracing::error!(%error, "no connection can be accepted now; it is tried again until one is");
        }
        sleep(AFTER_A_REFUSAL).await;
    }
}

/// A connection on which nothing waits. An answer is written in two parts, and the kernel would hold the second one back
/// until the client has acknowledged the first, which takes a client 40 ms that has nothing else to say.
async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_answer_waits_for_an_acknowledgement() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), accept(&listener));
        assert!(accepted.unwrap().nodelay().unwrap());
    }
}
