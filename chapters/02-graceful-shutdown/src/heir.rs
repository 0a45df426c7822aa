//! Who takes idle connections over in a drain, if somebody does. Nobody does in this chapter: it is a seam for a later one.
//!
//! The invariant: a connection has one owner. While it is offered nothing is read from it or written to it, and an heir
//! that declines has not touched it.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

/// Connections whose turn it is at a time.
///
/// Enough to go together, if the heir takes several at once. If it were everybody's turn, ten thousand tasks would wake up
/// together, and those who are still served would wait behind them for as long as that takes.
pub(crate) const PACE: usize = 32;

// ANCHOR: heir
/// Somebody who can serve the connections of a server that drains: see [`Server::hand_over`](crate::Server::hand_over).
pub trait Heir: Debug + Send + Sync + 'static {
    /// Takes a connection over and returns true; or leaves it as it is and returns false.
    ///
    /// May be dropped at a deadline: then nobody cares any more.
    fn take<'a>(&'a self, idle: Idle<'a>) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

/// An HTTP/1 connection between two requests.
#[derive(Debug)]
pub struct Idle<'a> {
    /// The name of the listener that it came from: see [`Server::serve_named`](crate::Server::serve_named).
    pub listener: &'a str,
    /// The socket, non-blocking. It is closed here once it was taken.
    pub socket: BorrowedFd<'a>,
    /// What the client has sent and nobody has understood yet: half a head, or requests that wait for their turn.
    pub unparsed: &'a [u8],
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
