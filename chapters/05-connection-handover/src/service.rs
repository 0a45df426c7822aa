//! Connections that a service of ours answers, through hyper.
//!
//! The invariant: an exchange is open from the head of its request to the last byte of its answer, and an answer that begins in a
//! drain says whether it is the last.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;

use bytes::Bytes;
use graceful_shutdown::{ClientAddress, Count, Exchange, HttpService, LogLine, refuse_bad_host};
use http_body_util::{BodyExt as _, Either};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::connection::{Connection, Leave, Library, declined, go_passing, owed};
use crate::drain::{Phase, Shared, becomes};
use crate::gate::{Control, Gate, Protocol};
use crate::http2::{Movable, http2_library};
use crate::socket::Socket;
use crate::transfer::{Begin, Departures};
use crate::tunnel::Offer;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// hyper, and the service that it calls.
pub(crate) struct OwnLibrary<S>(pub(crate) S);

impl<S: HttpService> Library for OwnLibrary<S> {
    async fn http1(connection: &mut Connection<Self>, gate: Gate<Socket>, control: &Control<Socket>) -> Option<Leave> {
        let here = Here::of(connection, control);
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
        let why = connection.until_it_leaves(control, library.as_mut()).await.err();
        match why {
            None if control.is_tunnel() => {
                // Without an offer, it waits for one for ever.
                let offer = here.offer.get().cloned().unwrap_or_default();
                Box::pin(connection.passing(control, offer)).await
            }
            // The gate cannot tell whether the library is between two requests. The library can, and then closes.
            Some(Leave::Silent(None)) => {
                library.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = library => None,
                    // Half a head, or an answer that its client does not read.
                    () = sleep(connection.origin.timeouts.idle) => None,
                    () = becomes(&mut connection.phase, Phase::is_cut) => {
                        Some(Leave::Cut { owed: owed(control, &connection.exchanges), untold: false })
                    }
                }
            }
            why => why,
        }
    }

    /// Without a gate of its own, the connection does not go to a successor.
    async fn http2(
        connection: &mut Connection<Self>,
        gate: Gate<Socket>,
        control: &Control<Socket>,
        state: Option<Bytes>,
    ) -> Option<Leave> {
        let here = Here::of(connection, control);
        let (transport, gate) = connection.origin.place(gate, state)?;
        let library = http2_library(&connection.origin.timeouts);
        let mut library = pin!(library.serve_connection(TokioIo::new(transport), counted(Arc::clone(&here))));
        let leave =
            leave_http2(&mut connection.phase, control, gate.as_deref(), &here.answered, &connection.declined_by);
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
            () = becomes(&mut connection.phase, Phase::is_cut) => {
                Some(Leave::Cut { owed: connection.exchanges.begun() - connection.exchanges.ended(), untold: false })
            }
        }
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

impl<S: HttpService> Here<S> {
    fn of(connection: &Connection<OwnLibrary<S>>, control: &Control<Socket>) -> Arc<Here<S>> {
        let goal = connection.shared.goal.subscribe();
        let calm = goal.borrow().accepts() && connection.phase.borrow().accepts();
        if calm {
            // A drain that was called off.
            control.release();
        }
        Arc::new(Here {
            service: connection.library.0.clone(),
            client: connection.client,
            connection: Arc::clone(&connection.exchanges),
            server: Arc::clone(&connection.shared.exchanges),
            goal,
            calm,
            control: control.clone(),
            answered: AtomicBool::new(false),
            shared: Arc::clone(&connection.shared),
            offer: OnceLock::new(),
        })
    }

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
        match &now {
            Phase::Serving => {
                let _ = phase.changed().await;
                continue;
            }
            Phase::HandingOver(to) => {
                if let Some(gate) = gate.filter(|_| !declined(declined_by, to)) {
                    tokio::select! {
                        biased;
                        _ = phase.changed() => continue,
                        gone = go_passing(control, gate, to) => if let Some((socket, state, permit)) = gone {
                            return Some(Leave::Go(Arc::clone(to), socket, Begin::Http2(state), permit));
                        },
                    }
                }
            }
            Phase::Closing(_) | Phase::Stopping(_) => {}
            Phase::Cut => return None,
        }
        // This leaves no waker, and needs none: an answer wakes the connection's task, which has to write it.
        let answered = poll_fn(|_| if answered.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending });
        tokio::select! {
            () = answered => return None,
            () = sleep(now.idle()) => return None,
            _ = phase.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use graceful_shutdown::ClientTimeouts;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use crate::connection::Origin;

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
        let origin = Origin { address: "".into(), timeouts: ClientTimeouts::default(), http2: None };
        let half = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: lab\r\n");
        let connection = Connection::new(OwnLibrary(whose), Arc::new(origin), socket.client(), shared);
        tokio::spawn(connection.serve(socket, Begin::Bytes(half)));
        client.write_all(b"Connection: close\r\n\r\n").await.expect("it is connected");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        let own = client.local_addr().expect("it is connected").to_string();
        assert!(answer.ends_with(&format!("\r\n\r\n{own}")), "{answer:?} should be for {own}");
    }
}
