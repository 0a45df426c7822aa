//! The seam for other servers: a listener of ours that they accept from, in place of a socket of their own.
//!
//! The invariant: what such a server reads and writes passes a gate. So its connections go to the next process, or are closed
//! politely, as ours are, and the server need not know.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use graceful_shutdown::ClientAddress;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::connection::{Connection, Leave, Library, SHORTEST_LOOK};
use crate::gate::{Control, Gate};
use crate::http2::Transport;
use crate::socket::Socket;
use crate::tunnel::Offer;

type Accepted = (Box<dyn Transport>, ClientAddress);

/// A listener for a server that brings its own HTTP library. See [`Server::listener`](crate::Server::listener).
pub struct GatedListener(mpsc::UnboundedReceiver<Accepted>);

impl GatedListener {
    /// A listener, and what it accepts from.
    pub(crate) fn new() -> (OtherLibrary, GatedListener) {
        let (accepted, accepts) = mpsc::unbounded_channel();
        (OtherLibrary(accepted), GatedListener(accepts))
    }

    /// A listener with one client, whose other end you have: to ask a server what it says of itself.
    #[must_use]
    pub fn with(client: impl Transport + 'static) -> GatedListener {
        let (OtherLibrary(accepted), listener) = GatedListener::new();
        // `Err`: never, we have the other end.
        let _ = accepted.send((Box::new(client), ClientAddress(None)));
        listener
    }

    /// Waits for the next client, which has connected, or was another process's. Cancel safe.
    ///
    /// Serve it at once: from its first byte on, it waits for you. Read and write it in one task, as hyper does. When its connection
    /// goes to the next process, the library reads the end of it.
    pub async fn accept(&mut self) -> (Box<dyn Transport>, ClientAddress) {
        match self.0.recv().await {
            Some(accepted) => accepted,
            None => pending().await,
        }
    }
}

impl Drop for GatedListener {
    fn drop(&mut self) {
        if self.0.sender_strong_count() > 0 {
            tracing::warn!("the server that accepts from a listener has ended: its clients are closed from now on");
        }
    }
}

/// The library of such a server.
#[derive(Clone)]
pub(crate) struct OtherLibrary(mpsc::UnboundedSender<Accepted>);

impl OtherLibrary {
    fn give(&self, transport: Box<dyn Transport>, client: ClientAddress) {
        // `Err`: the server does not accept any more. What it does not take is closed.
        let _ = self.0.send((transport, client));
    }
}

impl Library for OtherLibrary {
    async fn http1(connection: &mut Connection<Self>, gate: Gate<Socket>, control: &Control<Socket>) -> Option<Leave> {
        connection.library.give(Box::new(gate), connection.client);
        loop {
            if connection.phase.borrow().accepts() {
                // A drain that was called off.
                control.release();
            }
            let mut closed = pin!(control.closed());
            let ends = poll_fn(|cx| if control.passes() { Poll::Ready(()) } else { closed.as_mut().poll(cx) });
            match connection.until_it_leaves(control, pin!(ends)).await {
                // Only its server knows when it can end, or its client.
                Ok(()) if control.passes() => return Box::pin(connection.passing(control, Offer::default())).await,
                Ok(()) => return None,
                // It has just asked.
                Err(Leave::Silent(None)) => sleep(SHORTEST_LOOK).await,
                Err(why) => return Some(why),
            }
        }
    }

    async fn http2(
        connection: &mut Connection<Self>,
        gate: Gate<Socket>,
        control: &Control<Socket>,
        state: Option<Bytes>,
    ) -> Option<Leave> {
        let (transport, gate) = connection.origin.place(gate, state)?;
        connection.library.give(transport, connection.client);
        connection.passing(control, gate.map_or_else(Offer::default, Offer::made)).await
    }
}
