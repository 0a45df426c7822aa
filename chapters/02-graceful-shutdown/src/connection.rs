//! One connection's life, from its first byte to its close.
//!
//! The invariant: in a drain, a connection goes in one of five ways — the client ends it, an answer that said `close`
//! ends it, an heir takes it, the client was silent for all its patience, or the deadline cuts it — and what that costs is
//! counted.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::body::RequestBody;
use crate::exchange::Counted;
use crate::heir::{Idle, Offer, Place};
use crate::leave::{Leave, goaway_due, leave};
use crate::traffic::Traffic;
use crate::transport::{Entry, H2_PREFACE, Transport};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a [`Server`](crate::Server) asks of the service it serves: a [`Service`] of hyper that can be cloned for every
/// connection and moved between threads.
pub trait HttpService:
    Service<Request<RequestBody>, Response = Response<Self::Body>, Error: Into<BoxError>, Future: Send>
    + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

// ANCHOR: serve
/// Serves one connection until it ends.
pub(crate) fn serve<S: HttpService>(
    transport: Transport,
    service: S,
    traffic: Arc<Traffic>,
) -> impl Future<Output = ()> + Send {
    let service = Counted { service, traffic: Arc::clone(&traffic) };
    Connection { service, traffic, half_a_head: HalfAHead::default() }.serve(transport)
}

/// A connection without its socket.
struct Connection<S> {
    service: Counted<S>,
    traffic: Arc<Traffic>,
    half_a_head: HalfAHead,
}

impl<S: HttpService> Connection<S> {
    async fn serve(mut self, mut transport: Transport) {
        loop {
            let traffic = &self.traffic;
            let round = match silence(&mut transport, traffic).await {
                Ok(()) => http1(transport, self.service.clone(), traffic).await,
                Err(why) => left(why, transport, Bytes::new(), 0, traffic),
            };
            match round {
                Round::Idle(idle, unparsed, place) => {
                    let Some(staying) = self.farewell(idle, unparsed, place) else { return };
                    (self, transport) = staying;
                }
                Round::Answered(answered) => return answered.close().await,
                Round::Http2(mut speaking, first) => {
                    speaking.unread(first);
                    speaking.linger();
                    // In a box: HTTP/2 needs ten times the room, and an idle HTTP/1 connection should not pay for it.
                    return Box::pin(http2(speaking, self.service.clone(), traffic)).await;
                }
                Round::Over => return,
            }
        }
    }

    /// What becomes of an idle connection in a drain: this is the one place that decides it.
    ///
    /// It goes to the heir, if there is one, with what was read of the next request. If there is none, it is closed; unless
    /// the client has begun to speak at the last moment, then it is served on.
    fn farewell(self, mut idle: Transport, unparsed: Bytes, place: Option<Place>) -> Option<(Self, Transport)> {
        if self.traffic.is_body_unread() {
            // What comes next is the rest of a body, and must not be taken for a request.
            return None;
        }
        idle.unread(unparsed);
        match (place, self.traffic.listener.clone()) {
            (Some(place), Some(listener)) => self.offer(idle, listener, place),
            _ if idle.has_unread_bytes() => self.stays(idle),
            _ => None,
        }
    }

    /// A connection that is served on, unless it has been waited for long enough.
    fn stays(mut self, idle: Transport) -> Option<(Self, Transport)> {
        self.half_a_head.look(&idle, &self.traffic);
        if self.half_a_head.is_overdue() {
            self.traffic.ledger.cut.fetch_add(1, Relaxed);
            return None;
        }
        Some((self, idle))
    }
}
// ANCHOR_END: serve

// ANCHOR: offer
impl<S: HttpService> Connection<S> {
    /// Offers the connection to the heir. Its task ends: there is nothing to do until the heir has decided, and if it takes the
    /// connection, never again. If it declines, another task serves on.
    fn offer(self, idle: Transport, listener: Arc<str>, place: Place) -> Option<(Self, Transport)> {
        let Place { heir, drain, turn } = place;
        // The server may have let go of it: the deadline has passed.
        let Some(heir) = heir.upgrade() else { return self.stays(idle) };
        let runtime = Handle::current();
        match idle.into_idle(listener) {
            Ok((idle, entry)) => heir.take(Offer::new(idle, move |declined| {
                self.traffic.note_declined(drain);
                runtime.spawn(self.serve_on(declined, entry));
                // The next one's turn comes in either case.
                drop(turn);
            })),
            Err(error) => tracing::error!(%error, "a connection was lost"),
        }
        None
    }

    /// Serves a connection that the heir has declined.
    async fn serve_on(self, declined: Idle, entry: Entry) {
        match Transport::adopt(declined, entry) {
            Ok(idle) => {
                if let Some((staying, transport)) = self.stays(idle) {
                    staying.serve(transport).await;
                }
            }
            Err(error) => tracing::error!(%error, "a connection was lost"),
        }
    }
}
// ANCHOR_END: offer

// ANCHOR: http1
/// How a round of HTTP/1 on a connection ended.
enum Round {
    /// The last answer is written; the client may still have to read it.
    Answered(Transport),
    /// The connection is idle in a drain, and should go: to the heir, if it has a place there. With it comes what was read
    /// beyond the last request.
    Idle(Transport, Bytes, Option<Place>),
    /// The client speaks HTTP/2; these are its first bytes.
    Http2(Transport, Bytes),
    /// Nothing is left to do: the client is gone, a handler took the connection over, or the deadline has passed.
    Over,
}

/// How long a client may take for the head of a request: one that dawdles, and one that is idle. Unlike a drain, the close
/// comes without notice; nobody could wait for ever.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A head that has been half there since, and the number of the request before it. (In a drain, every look at a silent
/// connection begins a new round of hyper, whose own clock starts anew.)
#[derive(Default)]
struct HalfAHead(Option<(usize, Instant)>);

impl HalfAHead {
    /// A new round of hyper begins.
    fn look(&mut self, connection: &Transport, traffic: &Traffic) {
        let before = traffic.requests();
        let known = self.0.filter(|(request, _)| *request == before && !connection.unread_bytes().is_empty());
        self.0 = known.or_else(|| Some((before, Instant::now())));
    }

    fn is_overdue(&self) -> bool {
        self.0.is_some_and(|(_, since)| since.elapsed() >= HEAD_TIMEOUT)
    }
}

/// Waits until the client says something. hyper takes 8 KiB for a connection as soon as it has one, which would be half of
/// what it costs to take over ten thousand that are idle. (One that was just accepted goes on at once: mostly its request is
/// there already, and tokio's first look at a new socket is a read.)
///
/// # Errors
/// If the connection should leave before.
async fn silence(transport: &mut Transport, traffic: &Traffic) -> Result<(), Leave> {
    tokio::select! {
        biased;
        spoken = timeout(HEAD_TIMEOUT, transport.readable()) => spoken.ok().and_then(Result::ok).ok_or(Leave::Now),
        why = leave(traffic) => Err(why),
    }
}

async fn http1<S: HttpService>(transport: Transport, service: Counted<S>, traffic: &Traffic) -> Round {
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(transport), service)
        .with_upgrades();
    let ended = tokio::select! {
        // In this order: whether to leave depends on what the connection has just done.
        biased;
        ended = &mut connection => Ok(ended),
        why = leave(traffic) => Err(why),
    };
    // An answer that hyper has taken whole is owed until its last byte is written.
    let owed = traffic.exchanges().max(usize::from(traffic.is_busy()));
    // Nothing comes back from a connection that a handler took over.
    let Some(parts) = connection.into_parts() else { return Round::Over };
    let transport = parts.io.into_inner();
    match ended {
        Err(why) => left(why, transport, parts.read_buf, owed, traffic),
        Ok(Ok(())) => Round::Answered(transport),
        Ok(Err(_)) if parts.read_buf.starts_with(H2_PREFACE) => Round::Http2(transport, parts.read_buf),
        Ok(Err(error)) => {
            tracing::debug!(%error, "connection ended early");
            // hyper answers a request that it cannot parse with a 4xx, and the client should get to read it.
            if error.is_parse() { Round::Answered(transport) } else { Round::Over }
        }
    }
}

/// The connection should leave, and owes so many answers.
fn left(why: Leave, transport: Transport, unparsed: Bytes, owed: usize, traffic: &Traffic) -> Round {
    match why {
        Leave::Politely => Round::Idle(transport, unparsed, None),
        Leave::ToHeir(place) => Round::Idle(transport, unparsed, Some(place)),
        Leave::Now => {
            let half_a_head = usize::from(!unparsed.is_empty() || transport.has_unread_bytes());
            traffic.ledger.cut.fetch_add(owed.max(half_a_head), Relaxed);
            Round::Over
        }
    }
}
// ANCHOR_END: http1

// ANCHOR: http2
async fn http2<S: HttpService>(transport: Transport, service: Counted<S>, traffic: &Traffic) {
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // One that has been silent for as long is asked whether it is there (PING), in a drain too. hyper gives it
            // twenty seconds to say so.
            .keep_alive_interval(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(transport), service)
    );
    let cut = &traffic.draining;
    let mut goaway = pin!(goaway_due(traffic));
    let mut said = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended early");
                }
                return;
            }
            // In two steps (RFC 9113, section 6.8), both hyper's: "I am leaving", with the highest possible stream
            // number, and a round trip later the number of the last request that was taken.
            () = &mut goaway, if !said => {
                said = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut.cut() => {
                traffic.ledger.cut.fetch_add(traffic.exchanges(), Relaxed);
                return;
            }
        }
    }
}
// ANCHOR_END: http2
