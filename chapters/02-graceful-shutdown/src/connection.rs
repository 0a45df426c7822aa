//! One connection's life, from its first byte to its close.
//!
//! The invariant: in a drain, a connection ends in one of four ways: by its client, by an answer that said `close`,
//! because it was idle for [`IDLE_TIMEOUT`], or by the deadline. Outside a drain, it may be idle longer, not for ever.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Either};
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::accept::Stream;
use crate::client::{ClientAddress, LogLine};
use crate::exchange::{Count, Exchange, say_close};
use crate::host::refuse_bad_host;
use crate::phase::{Phase, at_least};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a [`Server`](crate::Server) asks of the service it serves: a [`Service`] of hyper that can be cloned for every
/// connection and moved between threads.
pub trait HttpService:
    Service<Request<Incoming>, Response = Response<Self::Body>, Error: Into<BoxError>, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
    /// The body of its answers.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// How long a connection may be idle in a drain.
///
/// A request that was on its way when the drain began arrives within a network round trip; the rest is for clients that
/// pause between requests. It is below the default drain timeout of 5 s, so that silent clients do not use it up.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The shortest sleep in which the runtime polls the kernel for events.
const ONE_LOOK: Duration = Duration::from_millis(1);

/// How long a server waits for a client outside a drain. A time too long for the clock is no limit.
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// How long a connection may be idle: without a byte of a next request. By default 75 s: the close comes without
    /// notice, so the client should be the first to close, and balancers keep idle connections for 60 s.
    pub idle: Duration,
    /// How long the head of a request may take, from its first byte to its end. By default 30 s, as in hyper.
    pub head: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> ClientTimeouts {
        ClientTimeouts { idle: Duration::from_secs(75), head: Duration::from_secs(30) }
    }
}

// ANCHOR: serve
/// Serves one connection until it ends.
pub(crate) async fn serve<S: HttpService>(
    stream: Stream,
    client: ClientAddress,
    service: S,
    all: Arc<Count>,
    timeouts: ClientTimeouts,
    goal: watch::Receiver<Phase>,
    mut phase: watch::Receiver<Phase>,
) {
    let exchanges = Arc::new(Count::default());
    let counted = service_fn(|mut request: Request<Incoming>| {
        let (exchange, service, goal) = (Exchange::begin(&exchanges, &all), &service, &goal);
        async move {
            request.extensions_mut().insert(client);
            let line = LogLine::of(&request, client);
            if let Some(refusal) = refuse_bad_host(&request) {
                line.answered(refusal.status());
                return Ok(refusal.map(Either::Right));
            }
            let answer = service.call(request).await?;
            line.answered(answer.status());
            let answer = if goal.borrow().drains() { say_close(answer) } else { answer };
            // The body owns this closure, and with it the exchange, until its last byte. (`map_err` keeps the size hint of
            // the body; without that, every answer would be chunked.)
            let keep_open = move |error| {
                let _open = &exchange;
                error
            };
            Ok::<_, S::Error>(answer.map(|body| Either::Left(body.map_err(keep_open))))
        }
    });
    // hyper's clock starts before the first byte. (And it panics at a time that the clock cannot express.)
    let whole = timeouts.idle.saturating_add(timeouts.head);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Instant::now().checked_add(whole).map(|_| whole))
        // A client that closes its sending side after a request still wants the answer (RFC 9112, section 9.6).
        .half_close(true)
        .serve_connection(TokioIo::new(stream), counted)
        .with_upgrades();
    let mut connection = pin!(connection);

    tokio::select! {
        biased;
        _ = &mut connection => return,
        () = idle(&exchanges, timeouts.idle, &mut phase) => {}
    }
    // hyper closes an idle connection now, and one that is still writing an answer once it is written.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = &mut connection => {}
        _ = at_least(Phase::Cut, &mut phase) => {}
    }
}

/// Completes when the connection has been idle for as long as it may be, or when the deadline has passed.
async fn idle(exchanges: &Count, timeout: Duration, phase: &mut watch::Receiver<Phase>) {
    loop {
        let timeout = match *phase.borrow_and_update() {
            Phase::Serving => timeout,
            Phase::Retiring | Phase::Stopping => IDLE_TIMEOUT,
            Phase::Cut => return,
        };
        let before = exchanges.begun();
        let was_idle = exchanges.ended() == before;
        tokio::select! {
            // `Err`: the server was dropped, and no deadline will come any more.
            changed = phase.changed() => if changed.is_err() { return },
            () = sleep(timeout) => {
                // A request may be there that the runtime does not know of: it polls the kernel before this sleep ends.
                sleep(ONE_LOOK).await;
                // And if that sleep was over before it began, since this thread had to wait for a processor: what the runtime
                // has found is read first.
                yield_now().await;
                if was_idle && exchanges.begun() == before {
                    return;
                }
            }
        }
    }
}
// ANCHOR_END: serve
