//! One connection's life, from its first byte to its close.
//!
//! The invariant: in a drain, a connection goes in one of five ways — the client ends it, an answer that said `close`
//! ends it, an heir takes it, the client was silent for all its patience, or the deadline cuts it — and what that costs is
//! counted.

use std::io;
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
use tokio::time::{Instant, timeout};

use crate::body::RequestBody;
use crate::exchange::Counted;
use crate::heir::Place;
use crate::leave::{Leave, goaway_due, leave};
use crate::traffic::Traffic;
use crate::transport::{H2_PREFACE, Transport};

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
pub(crate) async fn serve<S: HttpService>(mut transport: Transport, service: S, traffic: Arc<Traffic>) {
    let service = Counted { service, traffic: Arc::clone(&traffic) };
    let mut half_a_head = HalfAHead::default();
    loop {
        let round = match silence(&mut transport, &traffic).await {
            Ok(()) => http1(transport, service.clone(), &traffic).await,
            Err(why) => left(why, transport, Bytes::new(), 0, &traffic),
        };
        match round {
            Round::Idle(idle, unparsed, place) => match farewell(idle, unparsed, place, &traffic).await {
                Some(staying) if half_a_head.is_waited_for(&staying, &traffic) => transport = staying,
                Some(_) | None => return,
            },
            Round::Answered(answered) => return answered.close().await,
            Round::Http2(mut speaking, first) => {
                speaking.unread(first);
                speaking.linger();
                traffic.set_leaving(false);
                // In a box: HTTP/2 needs ten times the room, and an idle HTTP/1 connection should not pay for it.
                return Box::pin(http2(speaking, service.clone(), &traffic)).await;
            }
            Round::Over => return,
        }
    }
}

/// What becomes of an idle connection in a drain: this is the one place that decides it.
///
/// It goes to the heir, if there is one, with what was read of the next request. If there is none, it is closed; unless
/// the client has begun to speak at the last moment, then it is served on. And so is one that the heir declines.
async fn farewell(mut idle: Transport, unparsed: Bytes, place: Option<Place>, traffic: &Traffic) -> Option<Transport> {
    if traffic.is_body_unread() {
        // What comes next is the rest of a body, and must not be taken for a request.
        return None;
    }
    idle.unread(unparsed);
    let (Some(Place { heir, drain, turn: _turn }), Some(listener)) = (place, &traffic.listener) else {
        return idle.has_unread_bytes().then_some(idle);
    };
    let back = async {
        let (idle, entry) = idle.into_idle(Arc::clone(listener))?;
        let Err(declined) = heir.take(idle).await else { return Ok(None) };
        traffic.note_declined(drain);
        Transport::adopt(declined, entry).map(Some)
    };
    tokio::select! {
        back = back => back.inspect_err(|error: &io::Error| tracing::error!(%error, "a connection was lost")).ok()?,
        // Whoever has it then: we do not serve it.
        () = traffic.draining.cut() => None,
    }
}
// ANCHOR_END: serve

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
    /// Whether the connection stays for it: not beyond [`HEAD_TIMEOUT`].
    fn is_waited_for(&mut self, connection: &Transport, traffic: &Traffic) -> bool {
        let before = traffic.requests();
        let known = self.0.filter(|(request, _)| *request == before && !connection.unread_bytes().is_empty());
        let (_, since) = *self.0.insert(known.unwrap_or_else(|| (before, Instant::now())));
        let waited_for = since.elapsed() < HEAD_TIMEOUT;
        traffic.ledger.cut.fetch_add(usize::from(!waited_for), Relaxed);
        waited_for
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
