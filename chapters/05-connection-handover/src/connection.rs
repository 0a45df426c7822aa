//! One connection's life in this process: from its first byte here to its close, or to its next process.
//!
//! The invariant: in a drain, a connection ends in one of five ways: the client ends it, an answer that said `close`
//! ends it, a successor takes it, it was idle for too long, or the deadline cuts it; and what that costs is counted.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use graceful_shutdown::{
    ClientAddress, ClientTimeouts, Count, Exchange, HttpService, IDLE_TIMEOUT, LogLine, refuse_bad_host,
};
use http_body_util::{BodyExt as _, Either};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::counts::Tally;
use crate::drain::{Phase, Shared, becomes};
use crate::gate::{Control, Gate, Protocol};
use crate::http2::{Movable, Transport, http2_library};
use crate::socket::Socket;
use crate::transfer::{Begin, Departures, Idle, Permit};
use crate::tunnel::Offer;
use crate::watched::until;

/// The least time between two looks, even if a timeout is zero, or a request has arrived and is not read yet.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection without its socket.
pub(crate) struct Connection<S> {
    service: S,
    /// The address of the listener that accepted it.
    address: Arc<str>,
    client: ClientAddress,
    timeouts: ClientTimeouts,
    exchanges: Arc<Count>,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    /// The successor that has declined it. Weak: a handover that was called off must not live on here.
    declined_by: Weak<Departures>,
    /// Whether another process has it now.
    gone: bool,
}

/// Why a connection leaves its HTTP library.
enum Leave {
    /// It is quiet, and it is its turn to go to the successor.
    Go(Arc<Departures>, Socket, Begin, Option<Permit>),
    /// Its client was silent for too long. The socket is here unless the library may still read from it.
    Silent(Option<Socket>),
    /// The deadline has passed. `owed` requests had no full answer, or an idle client was not told (`untold`).
    Cut { owed: usize, untold: bool },
}

impl<S: HttpService> Connection<S> {
    pub(crate) fn new(
        service: S,
        address: Arc<str>,
        client: ClientAddress,
        timeouts: ClientTimeouts,
        shared: Arc<Shared>,
    ) -> Connection<S> {
        let (phase, exchanges, declined_by) = (shared.phase.subscribe(), Arc::default(), Weak::new());
        Connection { service, address, client, timeouts, exchanges, shared, phase, declined_by, gone: false }
    }

    /// Serves it until it ends, or until another process has it. `begin`: where it has got to.
    #[expect(clippy::manual_async_fn, reason = "the future of an async function keeps its arguments twice")]
    pub(crate) fn serve(mut self, mut socket: Socket, mut begin: Begin) -> impl Future<Output = ()> + Send {
        async move {
            // What is boxed, most connections have no need of.
            while !socket.is_encrypted() || Box::pin(self.handshake(&mut socket)).await {
                let Some((to, idle, _permit)) = self.serve_here(socket, begin).await else { return };
                let back = match idle.offer() {
                    Ok(idle) => Box::pin(to.send(idle)).await,
                    Err(idle) => Some(idle),
                };
                let Some(back) = back else {
                    return self.went();
                };
                let Some(resumed) = back.resume() else { return };
                (socket, begin) = resumed;
                self.declined_by = Arc::downgrade(&to);
            }
        }
    }

    fn went(&mut self) {
        self.gone = true;
    }

    /// Serves it until it ends, or can go to a successor.
    async fn serve_here(&mut self, socket: Socket, begin: Begin) -> Option<(Arc<Departures>, Idle, Option<Permit>)> {
        let (gate, state) = match begin {
            Begin::Bytes(bytes) => (Gate::adopt(socket, bytes), None),
            Begin::Http2(state) => (Gate::passing(socket, Protocol::Http2), Some(state)),
            Begin::Tunnel(state) => (Gate::passing(socket, Protocol::Tunnel), Some(state)),
        };
        let mut gate = gate.lingering();
        let control = gate.control();
        // First of all, because bytes that were read before may be answered at once.
        if matches!(&*self.phase.borrow(), Phase::HandingOver(to) if declined(&self.declined_by, to)) {
            control.close_politely();
        }
        // Without the library: hyper takes 8 KiB as soon as it has a connection, half of what an idle one costs.
        let protocol = {
            let mut decided = pin!(gate.decide());
            self.until_it_leaves(&control, decided.as_mut()).await
        };
        let why = match protocol {
            // Boxed: HTTP/2 needs ten times the room, and an HTTP/1 connection should not pay for it.
            Ok(Protocol::Http2) => Box::pin(self.http2(gate, &control, state)).await?,
            Ok(Protocol::Tunnel) => {
                let state = state?;
                let tunnel = self.shared.tunnel_protocol(&state).ok()?.resume(Box::new(gate), state)?;
                Box::pin(self.tunnel(&control, Offer::made(tunnel))).await?
            }
            Ok(_) => self.http1(gate, &control).await?,
            Err(why) => why,
        };
        match why {
            Leave::Go(to, socket, begin, permit) => {
                return Some((to, Idle { address: Arc::clone(&self.address), socket, begin, tls: None }, permit));
            }
            Leave::Silent(socket) => {
                // The gate's close waits for the client to close, too.
                let mut gate = Gate::new(socket?).lingering();
                tokio::select! {
                    _ = gate.shutdown() => {}
                    () = becomes(&mut self.phase, Phase::is_cut) => {}
                }
            }
            Leave::Cut { owed, untold } => {
                self.shared.tally.cut.fetch_add(owed, Relaxed);
                self.shared.tally.untold.fetch_add(usize::from(untold), Relaxed);
            }
        }
        None
    }

    /// Whether the handshake of a connection succeeds in time. A drain waits for it: only after it can the connection go.
    async fn handshake(&mut self, socket: &mut Socket) -> bool {
        tokio::select! {
            done = socket.handshake() => done.is_ok(),
            () = sleep(self.timeouts.head) => false,
            () = becomes(&mut self.phase, Phase::is_cut) => {
                self.shared.tally.untold.fetch_add(1, Relaxed);
                false
            }
        }
    }

    /// Speaks HTTP/1 until the connection ends (`None`) or has to leave.
    async fn http1(&mut self, gate: Gate<Socket>, control: &Control<Socket>) -> Option<Leave> {
        let here = self.here(control);
        let mut library = pin!(
            http1::Builder::new()
                // See `overdue`. hyper would set a timer for each request.
                .header_read_timeout(None)
                // The gate hides that a client closes its sending side behind a request; so hyper need not look for
                // that while a handler works, which would cost a system call and a buffer per request.
                .half_close(true)
                .serve_connection(TokioIo::new(gate), counted(Arc::clone(&here)))
                .with_upgrades()
        );
        let why = self.until_it_leaves(control, library.as_mut()).await.err();
        match why {
            None if control.is_tunnel() => {
                // Without an offer, it waits for one for ever.
                let offer = here.offer.get().cloned().unwrap_or_default();
                Box::pin(self.tunnel(control, offer)).await
            }
            // The gate cannot tell whether the library is between two requests. The library can, and then closes.
            Some(Leave::Silent(None)) => {
                library.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = library => None,
                    // Half a head, or an answer that its client does not read.
                    () = sleep(self.timeouts.idle) => None,
                    () = becomes(&mut self.phase, Phase::is_cut) => {
                        Some(Leave::Cut { owed: owed(control, &self.exchanges), untold: false })
                    }
                }
            }
            why => why,
        }
    }

    /// Waits until the handler that has the connection is done with it, or lets it go to a successor. It counts as one more
    /// exchange for as long as it is open.
    async fn tunnel(&mut self, control: &Control<Socket>, offer: Offer) -> Option<Leave> {
        let _open = Exchange::begin(&self.exchanges, &self.shared.exchanges);
        let mut phase = self.phase.clone();
        tokio::select! {
            () = control.closed() => None,
            () = becomes(&mut phase, Phase::is_cut) => {
                control.cut();
                Some(Leave::Cut { owed: 1, untold: false })
            }
            goes = leave_tunnel(&mut self.phase, control, &offer, &self.declined_by) => Some(goes),
        }
    }

    /// Drives `library` until it is over, or until the connection should leave it.
    async fn until_it_leaves<L: Future>(
        &mut self,
        control: &Control<Socket>,
        mut library: Pin<&mut L>,
    ) -> Result<L::Output, Leave> {
        let mut overdue = pin!(overdue(&self.timeouts, control, &self.exchanges));
        loop {
            let ended = {
                let mut drains = pin!(becomes(&mut self.phase, |phase| !phase.accepts()));
                let silent_or_drains = poll_fn(|cx| match overdue.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending => drains.as_mut().poll(cx).map(|()| false),
                });
                until(library.as_mut(), silent_or_drains).await
            };
            match ended {
                Ok(ended) => return Ok(ended),
                Err(true) => return Err(silent(control)),
                Err(false) => {}
            }
            // Boxed, and only in a drain: ten thousand idle connections should not pay for it all the time.
            let leave = Box::pin(leave(&mut self.phase, control, &self.exchanges, &self.declined_by));
            tokio::select! {
                biased;
                ended = &mut library => return Ok(ended),
                why = leave => if let Some(why) = why { return Err(why) },
                () = overdue.as_mut() => return Err(silent(control)),
            }
        }
    }

    /// Speaks HTTP/2 until the connection ends (`None`) or has to leave. Without a gate of its own, it does not go to a
    /// successor.
    async fn http2(&mut self, gate: Gate<Socket>, control: &Control<Socket>, state: Option<Bytes>) -> Option<Leave> {
        let here = self.here(control);
        let gate: Box<dyn Transport> = Box::new(gate);
        let (transport, gate) = match self.shared.http2.get() {
            Some(gates) => gates.place(gate, state).map(|(transport, gate)| (transport, Some(gate)))?,
            None => (gate, None),
        };
        let library = http2_library(&self.timeouts);
        let mut library = pin!(library.serve_connection(TokioIo::new(transport), counted(Arc::clone(&here))));
        let leave = leave_http2(&mut self.phase, control, gate.as_deref(), &here.answered, &self.declined_by);
        tokio::select! {
            biased;
            _ = &mut library => return None,
            goes = leave => if goes.is_some() { return goes },
        }
        // GOAWAY in two steps (RFC 9113, section 6.8), both by hyper: a warning with the highest possible stream
        // number, and a round trip later the number of the last request that it took.
        library.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            _ = library => None,
            () = becomes(&mut self.phase, Phase::is_cut) => {
                Some(Leave::Cut { owed: self.exchanges.begun() - self.exchanges.ended(), untold: false })
            }
        }
    }

    fn here(&self, control: &Control<Socket>) -> Arc<Here<S>> {
        let goal = self.shared.goal.subscribe();
        let calm = goal.borrow().accepts() && self.phase.borrow().accepts();
        if calm {
            // A drain that was called off.
            control.release();
        }
        Arc::new(Here {
            service: self.service.clone(),
            client: self.client,
            connection: Arc::clone(&self.exchanges),
            server: Arc::clone(&self.shared.exchanges),
            goal,
            calm,
            control: control.clone(),
            answered: AtomicBool::new(false),
            shared: Arc::clone(&self.shared),
            offer: OnceLock::new(),
        })
    }
}

impl<S> Drop for Connection<S> {
    /// Also if its handler has panicked.
    fn drop(&mut self) {
        let Tally { handed_over, closed, .. } = &self.shared.tally;
        let end = if self.gone { handed_over } else { closed };
        end.fetch_add(1, Relaxed);
    }
}

/// What the exchanges of one connection have in common.
struct Here<S> {
    service: S,
    client: ClientAddress,
    connection: Arc<Count>,
    server: Arc<Count>,
    /// Read directly: the connection's task may not have heard of a change yet.
    goal: watch::Receiver<Phase>,
    /// There was no drain when the connection began, and there is none unless the goal has changed.
    calm: bool,
    control: Control<Socket>,
    /// Whether an answer has begun.
    answered: AtomicBool,
    shared: Arc<Shared>,
    /// If a request has asked for another protocol: what its handler may say about that.
    offer: OnceLock<Offer>,
}

/// The service, with its exchanges counted: each is open until the last byte of its answer.
fn counted<S: HttpService>(
    here: Arc<Here<S>>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl Body<Data: Send, Error: Into<BoxError>> + Send + use<S>>,
    Error = S::Error,
    Future: Send,
> + use<S> {
    service_fn(move |mut request: Request<Incoming>| {
        let (exchange, here) = (Exchange::begin(&here.connection, &here.server), Arc::clone(&here));
        async move {
            // Most requests come without an extension, so this costs them nothing.
            let may_upgrade = request.extensions().get::<OnUpgrade>().is_some();
            request.extensions_mut().insert(here.client);
            if may_upgrade && request.headers().contains_key(UPGRADE) {
                here.offer.get_or_init(Offer::default).ask(&mut request, &here.shared);
            }
            let line = LogLine::of(&request, here.client);
            if let Some(refusal) = refuse_bad_host(&request) {
                line.answered(refusal.status());
                return Ok(refusal.map(Either::Right));
            }
            let mut answer = here.service.call(request).await?;
            line.answered(answer.status());
            here.comes_to(&mut answer);
            // The body owns this closure, and with it the exchange, until its last byte. (`map_err` keeps the size hint of
            // the body; without that, every answer would be chunked.)
            let keep_open = move |error| {
                let _open = &exchange;
                error
            };
            Ok(answer.map(|body| Either::Left(body.map_err(keep_open))))
        }
    })
}

impl<S> Here<S> {
    /// An answer is about to be written.
    fn comes_to<B>(&self, answer: &mut Response<B>) {
        self.answered.store(true, Relaxed);
        // Without the lock, which would cost each answer more than the rest of this.
        if self.calm && self.goal.has_changed().is_ok_and(|changed| !changed) {
            return;
        }
        let goal = self.goal.borrow();
        if goal.accepts() {
            // A drain that was called off.
            self.control.release();
            return;
        }
        if self.control.protocol() == Protocol::Http2 {
            return;
        }
        if goal.closes() {
            self.control.close_politely();
        }
        // On a connection that it is unsure of, the gate rewrites nothing. (A 101 says `Connection: upgrade`.)
        if self.control.is_unsure() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

// ANCHOR: leave
/// Ready when the connection should leave its library. `None`: the drain was called off.
///
/// The task that drives the connection must poll this, after the connection: what happens there is what wakes it.
async fn leave(
    phase: &mut watch::Receiver<Phase>,
    control: &Control<Socket>,
    exchanges: &Count,
    declined_by: &Weak<Departures>,
) -> Option<Leave> {
    loop {
        let now = phase.borrow_and_update().clone();
        let idle = match now {
            Phase::Serving => {
                control.release();
                return None;
            }
            Phase::HandingOver(to) if !declined(declined_by, &to) => {
                control.release();
                tokio::select! {
                    biased;
                    _ = phase.changed() => continue,
                    gone = go(control, &to) => match gone {
                        Some((socket, bytes, permit)) => {
                            return Some(Leave::Go(to, socket, Begin::Bytes(bytes), permit));
                        }
                        None => IDLE_TIMEOUT,
                    },
                }
            }
            Phase::HandingOver(_) => IDLE_TIMEOUT,
            Phase::Closing(idle) | Phase::Stopping(idle) => idle,
            Phase::Cut => {
                let owed = owed(control, exchanges);
                // If nothing is owed and it is not quiet, it has said `close`, and waits for the client to close.
                let untold = owed == 0 && (control.is_quiet() || control.is_unsure());
                return Some(Leave::Cut { owed, untold });
            }
        };
        control.release();
        control.close_politely();
        tokio::select! {
            biased;
            _ = phase.changed() => {}
            () = idle_for(idle, control, exchanges) => return Some(silent(control)),
        }
    }
}

fn silent(control: &Control<Socket>) -> Leave {
    Leave::Silent(control.take().map(|(socket, _)| socket))
}

fn declined(by: &Weak<Departures>, successor: &Arc<Departures>) -> bool {
    by.as_ptr() == Arc::as_ptr(successor)
}

/// Takes the connection away from its library once it has a permit and owes nothing. `None`: it never will.
///
/// Until it has a permit, it is served as always. Then it reads no further request, or a client that pipelines without
/// end would keep it here. If it still owes an answer, it gives the permit back, so that a long answer does not hold up
/// the other connections.
async fn go(control: &Control<Socket>, to: &Departures) -> Option<(Socket, Bytes, Option<Permit>)> {
    let mut permit = Some(to.permit().await);
    control.hold();
    let quiet = poll_fn(|cx| {
        let quiet = control.poll_quiet(cx);
        if quiet.is_pending() {
            permit = None;
        }
        quiet
    });
    if !quiet.await {
        return None;
    }
    let (socket, bytes) = control.take()?;
    Some((socket, bytes, permit.flatten()))
}

/// Ready when neither side has said anything for this long, and nothing is owed.
async fn idle_for(idle: Duration, control: &Control<Socket>, exchanges: &Count) {
    loop {
        let before = control.activity();
        sleep(idle).await;
        if control.activity() == before && owed(control, exchanges) == 0 && !control.has_unread() {
            return;
        }
    }
}

/// Ready when the client was silent for too long: without a request, or in the middle of a head.
///
/// A timer for each request would cost each request. This looks at the gate's clock instead, so often that neither
/// timeout passes unnoticed between two looks.
async fn overdue(timeouts: &ClientTimeouts, control: &Control<Socket>, exchanges: &Count) {
    loop {
        let ClientTimeouts { idle, head } = *timeouts;
        let (before, unsure) = (exchanges.begun(), control.is_unsure());
        let left = match control.waits_since() {
            // The gate no longer sees heads. By the next look, an idle client and a slow head are both overdue.
            _ if unsure => idle.saturating_add(head),
            Some((since, true)) => head.saturating_sub(since.elapsed()).min(idle),
            Some((since, false)) => idle.saturating_sub(since.elapsed()).min(head),
            None => idle.min(head),
        };
        if left.is_zero() && !control.has_unread() {
            return;
        }
        sleep(left.max(SHORTEST_LOOK)).await;
        if unsure && exchanges.begun() == before && exchanges.ended() == before && !control.has_unread() {
            return;
        }
    }
}

/// Requests without a full answer; a half head counts as one.
fn owed(control: &Control<Socket>, exchanges: &Count) -> usize {
    if control.is_unsure() {
        // The gate has lost count.
        exchanges.begun().saturating_sub(exchanges.ended())
    } else {
        control.owed().max(usize::from(control.half_head()))
    }
}
// ANCHOR_END: leave

/// Ready when an HTTP/2 connection can go (`Some`), or should be told to leave.
///
/// A client that gets a GOAWAY before its first request was answered may take the connection for broken (curl does). So
/// a fresh connection gets time to ask and be answered; after that, GOAWAY's own rules apply.
async fn leave_http2(
    phase: &mut watch::Receiver<Phase>,
    control: &Control<Socket>,
    gate: Option<&dyn Movable>,
    answered: &AtomicBool,
    declined_by: &Weak<Departures>,
) -> Option<Leave> {
    loop {
        let now = phase.borrow_and_update().clone();
        let idle = match now {
            Phase::Serving => None,
            Phase::HandingOver(to) => {
                if let Some(gate) = gate.filter(|_| !declined(declined_by, &to)) {
                    tokio::select! {
                        biased;
                        _ = phase.changed() => continue,
                        gone = go_passing(control, gate, &to) => if let Some((socket, state, permit)) = gone {
                            return Some(Leave::Go(to, socket, Begin::Http2(state), permit));
                        },
                    }
                }
                Some(IDLE_TIMEOUT)
            }
            Phase::Closing(idle) | Phase::Stopping(idle) => Some(idle),
            Phase::Cut => return None,
        };
        let Some(idle) = idle else {
            let _ = phase.changed().await;
            continue;
        };
        // This leaves no waker, and needs none: an answer wakes the connection's task, which has to write it.
        let answered = poll_fn(|_| if answered.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending });
        tokio::select! {
            () = answered => return None,
            () = sleep(idle) => return None,
            _ = phase.changed() => {}
        }
    }
}

/// Ready when a tunnel goes. Where it cannot, it is told to end as soon as nothing is under way.
async fn leave_tunnel(
    phase: &mut watch::Receiver<Phase>,
    control: &Control<Socket>,
    offer: &Offer,
    declined_by: &Weak<Departures>,
) -> Leave {
    let tunnel = offer.wait().await;
    loop {
        let now = phase.borrow_and_update().clone();
        match now {
            Phase::HandingOver(to) if !declined(declined_by, &to) => tokio::select! {
                biased;
                _ = phase.changed() => continue,
                gone = go_passing(control, tunnel, &to) => if let Some((socket, state, permit)) = gone {
                    return Leave::Go(to, socket, Begin::Tunnel(state), permit);
                },
            },
            Phase::Closing(_) | Phase::Stopping(_) => tokio::select! {
                biased;
                _ = phase.changed() => continue,
                () = tunnel.close(now.stops()) => {}
            },
            _ => {}
        }
        let _ = phase.changed().await;
    }
}

/// As [`go`], with another gate.
async fn go_passing(
    control: &Control<Socket>,
    gate: &dyn Movable,
    to: &Departures,
) -> Option<(Socket, Bytes, Option<Permit>)> {
    let mut permit = Some(to.permit().await);
    let mut quiet = gate.quiet();
    let quiet = poll_fn(|cx| {
        let quiet = quiet.as_mut().poll(cx);
        if quiet.is_pending() {
            permit = None;
        }
        quiet
    });
    if !quiet.await {
        return None;
    }
    let state = gate.take()?;
    let (socket, unread) = control.take_passing()?;
    Some((socket, [state, unread].concat().into(), permit.flatten()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_handler_is_told_the_address_of_a_client_that_another_process_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port will do");
        let mut client = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        let accepted = listener.accept().await.expect("one has come").0.into_std().expect("it is a socket");
        let whose = service_fn(async |request: Request<Incoming>| {
            let client = request.extensions().get::<ClientAddress>().map(ToString::to_string);
            Ok::<_, Infallible>(Response::new(client.unwrap_or_default()))
        });
        let shared = Shared::new();
        let socket = Socket::adopted(accepted.into(), shared.sockets.token()).expect("the runtime waits on it");
        let half = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: lab\r\n");
        let connection = Connection::new(whose, "".into(), socket.client(), ClientTimeouts::default(), shared);
        tokio::spawn(connection.serve(socket, Begin::Bytes(half)));
        client.write_all(b"Connection: close\r\n\r\n").await.expect("it is connected");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        let own = client.local_addr().expect("it is connected").to_string();
        assert!(answer.ends_with(&format!("\r\n\r\n{own}")), "{answer:?} should be for {own}");
    }
}
