//! Who takes idle connections over in a drain, if somebody does. Nobody does in this chapter: it is a seam for a later one.
//!
//! The invariant: a connection has one owner. Whoever has its [`Idle`] has all of it: what was read, and the one
//! descriptor. An heir that declines gives back what it got.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

// ANCHOR: heir
/// Somebody who can serve the connections of a server that drains: see [`Server::hand_over`](crate::Server::hand_over).
pub trait Heir: Debug + Send + Sync + 'static {
    /// Takes a connection over.
    ///
    /// May be dropped at a deadline: then nobody cares any more.
    ///
    /// # Errors
    /// The connection as it was, if this heir does not want it.
    fn take(&self, idle: Idle) -> Pin<Box<dyn Future<Output = Result<(), Idle>> + Send + '_>>;

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
// ANCHOR_END: heir

/// A connection's place among those that go to the heir.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) heir: Arc<dyn Heir>,
    /// The number of the drain. It may be over when the heir declines, and then that means nothing any more.
    pub(crate) drain: usize,
    /// The next one's turn comes when this is dropped.
    pub(crate) turn: Option<OwnedSemaphorePermit>,
}
