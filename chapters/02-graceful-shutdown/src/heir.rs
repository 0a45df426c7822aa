//! Who takes idle connections over in a drain, if somebody does. Nobody does in this chapter: it is a seam for a later one.
//!
//! The invariant: a connection has one owner. While it is offered nothing is read from it or written to it, and an heir
//! that declines has not touched it.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

/// Connections that may be on their way to the heir at a time.
///
/// Enough that neither process waits for the other. All at once would keep the processors from those that are still
/// served: with ten thousand on their way, the others wait for up to a second; with 32, a few of them for twenty
/// milliseconds (`cargo bench -p lab -- handover`).
pub(crate) const PACE: usize = 4;

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

/// A connection's turn to go to the heir. The next one's comes when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) heir: Arc<dyn Heir>,
    /// The number of the drain. It may be over when the heir declines, and then that means nothing any more.
    pub(crate) drain: usize,
    pub(crate) _permit: OwnedSemaphorePermit,
}
