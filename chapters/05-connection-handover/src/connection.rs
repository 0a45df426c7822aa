//! One connection's life in this process: from its first byte here to its close, or to its next process.
//!
//! The invariant: in a drain, a connection ends in one of five ways: the client ends it, an answer that said `close`
//! ends it, a successor takes it, it was idle for too long, or the deadline cuts it; and what that costs is counted.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use graceful_shutdown::{ClientAddress, ClientTimeouts, Count, Exchange};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::counts::Tally;
use crate::drain::{Phase, Shared, becomes};
use crate::gate::{Control, Gate, Protocol};
use crate::http2::{Http2Gate, Movable, Transport};
use crate::socket::Socket;
use crate::transfer::{Begin, Departures, Idle, Permit};
use crate::tunnel::Offer;
use crate::watched::until;

/// The least time between two looks, even if a timeout is zero, or a request has arrived and is not read yet.
pub(crate) const SHORTEST_LOOK: Duration = Duration::from_millis(10);

type Placed = (Box<dyn Transport>, Option<Box<dyn Movable>>);

/// What the connections of one listener have in common.
pub(crate) struct Origin {
    /// The address of the listener.
    pub(crate) address: Arc<str>,
    pub(crate) timeouts: ClientTimeouts,
    /// Without one, HTTP/2 connections stay here.
    pub(crate) http2: Option<Arc<dyn Http2Gate>>,
}

impl Origin {
    /// What the HTTP/2 library of a connection reads and writes, and the gate in between, if it has one. `None`: no process can go
    /// on from this state.
    pub(crate) fn place(&self, client: Gate<Socket>, state: Option<Bytes>) -> Option<Placed> {
        let client: Box<dyn Transport> = Box::new(client);
        let Some(gates) = &self.http2 else { return Some((client, None)) };
        let (transport, gate) = gates.place(client, state)?;
        Some((transport, Some(gate)))
    }
}

/// A connection without its socket.
pub(crate) struct Connection<L> {
    pub(crate) library: L,
    pub(crate) origin: Arc<Origin>,
    pub(crate) client: ClientAddress,
    pub(crate) exchanges: Arc<Count>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// The successor that has declined it. Weak: a handover that was called off must not live on here.
    pub(crate) declined_by: Weak<Departures>,
    /// Whether another process has it now.
    gone: bool,
}

/// What speaks HTTP on a connection: through the gate, until the connection ends (`None`) or has to leave.
pub(crate) trait Library: Send + Sync + Sized + 'static {
    fn http1(
        connection: &mut Connection<Self>,
        gate: Gate<Socket>,
        control: &Control<Socket>,
    ) -> impl Future<Output = Option<Leave>> + Send;

    /// `state`: that of a connection that another process had.
    fn http2(
        connection: &mut Connection<Self>,
        gate: Gate<Socket>,
        control: &Control<Socket>,
        state: Option<Bytes>,
    ) -> impl Future<Output = Option<Leave>> + Send;
}

/// Why a connection leaves its HTTP library.
pub(crate) enum Leave {
    /// It is quiet, and it is its turn to go to the successor.
    Go(Arc<Departures>, Socket, Begin, Option<Permit>),
    /// Its client was silent for too long. The socket is here unless the library may still read from it.
    Silent(Option<Socket>),
    /// The deadline has passed. `owed` requests had no full answer, or an idle client was not told (`untold`).
    Cut { owed: usize, untold: bool },
}

impl<L: Library> Connection<L> {
    pub(crate) fn new(library: L, origin: Arc<Origin>, client: ClientAddress, shared: Arc<Shared>) -> Connection<L> {
        let (phase, exchanges, declined_by) = (shared.subscribe(), Arc::default(), Weak::new());
        Connection { library, origin, client, exchanges, shared, phase, declined_by, gone: false }
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
            Ok(Protocol::Http2) => Box::pin(L::http2(self, gate, &control, state)).await?,
            Ok(Protocol::Tunnel) => {
                let state = state?;
                let tunnel = self.shared.tunnel_protocol(&state).ok()?.resume(Box::new(gate), state)?;
                Box::pin(self.passing(&control, Offer::made(tunnel))).await?
            }
            Ok(_) => L::http1(self, gate, &control).await?,
            Err(why) => why,
        };
        match why {
            Leave::Go(to, socket, begin, permit) => {
                return Some((
                    to,
                    Idle { address: Arc::clone(&self.origin.address), socket, begin, tls: None },
                    permit,
                ));
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
                control.cut();
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
            () = sleep(self.origin.timeouts.head) => false,
            () = becomes(&mut self.phase, Phase::is_cut) => {
                self.shared.tally.untold.fetch_add(1, Relaxed);
                false
            }
        }
    }

    /// Waits for the end of a connection that the gate lets pass, or until it goes to a successor. Unless it speaks HTTP/2, it
    /// counts as one more exchange for as long as it is open.
    pub(crate) async fn passing(&mut self, control: &Control<Socket>, offer: Offer) -> Option<Leave> {
        let http2 = control.protocol() == Protocol::Http2;
        let _open = (!http2).then(|| Exchange::begin(&self.exchanges, &self.shared.exchanges));
        let mut phase = self.phase.clone();
        tokio::select! {
            () = control.closed() => None,
            () = becomes(&mut phase, Phase::is_cut) => {
                // One that has ended only waits for its client to close, too.
                let (ended, idle) = (control.has_ended(), offer.take());
                Some(Leave::Cut { owed: usize::from(!ended && !idle), untold: !ended && idle })
            }
            goes = leave_passing(&mut self.phase, control, &offer, &self.declined_by) => Some(goes),
        }
    }

    /// Drives `library` until it is over, or until the connection should leave it.
    pub(crate) async fn until_it_leaves<F: Future>(
        &mut self,
        control: &Control<Socket>,
        mut library: Pin<&mut F>,
    ) -> Result<F::Output, Leave> {
        let mut overdue = pin!(overdue(&self.origin.timeouts, control, &self.exchanges));
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
}

impl<L> Drop for Connection<L> {
    /// Also if its handler has panicked.
    fn drop(&mut self) {
        let Tally { handed_over, closed, .. } = &self.shared.tally;
        let end = if self.gone { handed_over } else { closed };
        end.fetch_add(1, Relaxed);
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
        match &now {
            Phase::Serving => {
                control.release();
                return None;
            }
            Phase::HandingOver(to) if !declined(declined_by, to) => {
                control.release();
                tokio::select! {
                    biased;
                    _ = phase.changed() => continue,
                    gone = go(control, to) => if let Some((socket, bytes, permit)) = gone {
                        return Some(Leave::Go(Arc::clone(to), socket, Begin::Bytes(bytes), permit));
                    },
                }
            }
            Phase::HandingOver(_) | Phase::Closing(_) | Phase::Stopping(_) => {}
            Phase::Cut => {
                let owed = owed(control, exchanges);
                // If nothing is owed and it is not quiet, it has said `close`, and waits for the client to close.
                let untold = owed == 0 && (control.is_quiet() || control.is_unsure());
                return Some(Leave::Cut { owed, untold });
            }
        }
        control.release();
        control.close_politely();
        tokio::select! {
            biased;
            _ = phase.changed() => {}
            () = idle_for(now.idle(), control, exchanges) => return Some(silent(control)),
        }
    }
}

fn silent(control: &Control<Socket>) -> Leave {
    Leave::Silent(control.take().map(|(socket, _)| socket))
}

pub(crate) fn declined(by: &Weak<Departures>, successor: &Arc<Departures>) -> bool {
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
pub(crate) fn owed(control: &Control<Socket>, exchanges: &Count) -> usize {
    if control.is_unsure() {
        // The gate has lost count.
        exchanges.begun().saturating_sub(exchanges.ended())
    } else {
        control.owed().max(usize::from(control.half_head()))
    }
}
// ANCHOR_END: leave

/// Ready when a connection that the gate lets pass goes. Where it cannot, it is told to end: one of HTTP/2 at once, and a tunnel
/// when no more connections are handed over.
async fn leave_passing(
    phase: &mut watch::Receiver<Phase>,
    control: &Control<Socket>,
    offer: &Offer,
    declined_by: &Weak<Departures>,
) -> Leave {
    let gate = offer.wait().await;
    let http2 = control.protocol() == Protocol::Http2;
    loop {
        let now = phase.borrow_and_update().clone();
        if let Phase::HandingOver(to) = &now
            && !declined(declined_by, to)
        {
            tokio::select! {
                biased;
                _ = phase.changed() => continue,
                gone = go_passing(control, gate, to) => if let Some((socket, state, permit)) = gone {
                    let begin = if http2 { Begin::Http2(state) } else { Begin::Tunnel(state) };
                    return Leave::Go(Arc::clone(to), socket, begin, permit);
                },
            }
        }
        if now.closes() || http2 && !now.accepts() {
            tokio::select! {
                biased;
                _ = phase.changed() => continue,
                () = gate.close(now.stops(), now.idle()) => {}
            }
        }
        let _ = phase.changed().await;
    }
}

/// How long such a gate may take before its connection gives the permit back. A handler is a task of its own, and has to run before
/// it has left. If none waited for that, all would be told to leave at once, and their clients would wait for the whole handover.
const SHORTLY: Duration = Duration::from_millis(2);

/// As [`go`], with another gate.
pub(crate) async fn go_passing(
    control: &Control<Socket>,
    gate: &dyn Movable,
    to: &Departures,
) -> Option<(Socket, Bytes, Option<Permit>)> {
    let mut permit = to.permit().await;
    loop {
        let mut quiet = gate.quiet();
        let goes = if let Ok(goes) = timeout(SHORTLY, &mut quiet).await {
            goes
        } else {
            permit = None;
            quiet.await
        };
        if !goes {
            return None;
        }
        // The library of another server runs beside us: it may have been given something meanwhile.
        let Some(state) = gate.take() else { continue };
        let (socket, unread) = control.take_passing()?;
        return Some((socket, [state, unread].concat().into(), permit));
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;
    use tokio_util::either::Either;
    use tokio_util::task::TaskTracker;

    use crate::channel::pair;

    use super::*;

    /// The gate of a handler that takes this long to leave.
    struct Handler(Duration);

    impl Movable for Handler {
        fn quiet(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            Box::pin(async {
                sleep(self.0).await;
                true
            })
        }

        fn take(&self) -> Option<Bytes> {
            Some(Bytes::new())
        }

        fn close(&self, _stops: bool, _idle: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_leaves_shortly_keeps_its_permit_and_one_that_does_not_holds_up_no_other() {
        let (ours, _theirs) = pair().expect("there are descriptors left");
        let departures = Departures::new(ours).expect("the runtime waits on it");
        for (takes, keeps) in [(SHORTLY / 2, true), (SHORTLY * 2, false)] {
            let (stream, _client) = UnixStream::pair().expect("there are descriptors left");
            let socket = Socket::accepted(Either::Right(stream), TaskTracker::new().token());
            let gate = Gate::passing(socket, Protocol::Tunnel);
            let (_, _, permit) =
                go_passing(&gate.control(), &Handler(takes), &departures).await.expect("the handler has left");
            assert_eq!(permit.is_some(), keeps, "{takes:?}");
        }
    }
}
