//! Who takes idle connections over in a drain, if somebody does. Nobody does in this chapter: it is a seam for a later one.
//!
//! The invariant: a connection has one owner. Whoever has its [`Idle`] has all of it: what was read, and the one
//! descriptor. An heir that declines gives back what it got.

use std::fmt::{self, Debug, Formatter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

// ANCHOR: heir
/// Somebody who can serve the connections of a server that drains: see [`Server::hand_over`](crate::Server::hand_over).
///
/// The server drops it at the deadline: an heir declines then what it has not decided. So nobody else should keep a clone.
pub trait Heir: Debug + Send + Sync + 'static {
    /// Takes a connection over, or declines it, now or later. It must not block: the thread that it is called in serves.
    fn take(&self, offer: Offer);

    /// How many connections it is offered at a time. These wait, and all others are served as always.
    fn at_a_time(&self) -> usize;
}

/// An HTTP/1 connection between two requests.
#[derive(Debug)]
pub struct Idle {
    /// The name of the listener that it came from: see [`Server::serve_named`](crate::Server::serve_named).
    pub listener: Arc<str>,
    /// The socket, non-blocking.
    pub socket: OwnedFd,
    /// What the client has sent and nobody has understood yet: half a head, or requests that wait for their turn.
    pub unparsed: Bytes,
}

/// A connection that is offered to an heir. Nobody serves it until the heir has decided, and to the server it is open.
///
/// To drop it is to take it: the connection is somebody else's now, and the descriptor here is closed.
pub struct Offer {
    idle: Idle,
    decline: Box<dyn FnOnce(Idle) + Send>,
}

impl Offer {
    /// An offer of `idle`, which goes to `decline` if it is declined.
    pub fn new(idle: Idle, decline: impl FnOnce(Idle) + Send + 'static) -> Offer {
        Offer { idle, decline: Box::new(decline) }
    }

    /// What is offered.
    #[must_use]
    pub fn idle(&self) -> &Idle {
        &self.idle
    }

    /// Gives the connection back, as it was.
    pub fn decline(self) {
        (self.decline)(self.idle);
    }
}
// ANCHOR_END: heir

impl Debug for Offer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Offer").field(&self.idle).finish()
    }
}

/// A connection's place among those that go to the heir.
#[derive(Debug)]
pub(crate) struct Place {
    /// The server's alone, which lets go of it at the deadline.
    pub(crate) heir: Weak<dyn Heir>,
    /// The number of the drain. It may be over when the heir declines, and then that means nothing any more.
    pub(crate) drain: usize,
    /// The next one's turn comes when this is dropped.
    pub(crate) turn: Option<OwnedSemaphorePermit>,
}
