//! What an [`Upgrader`](crate::Upgrader) asks of a server.
//!
//! The invariant: the upgrader decides when, and the server knows how. Any server that can accept, stop accepting and drain
//! will do: [`Services`](crate::Services) are the lines around chapter 2's.

use std::io;

use graceful_shutdown::{Listener, Outcome};

// ANCHOR: serve
/// A listener and the name by which it goes from process to process.
pub type Named = (String, Listener);

/// A server that can be told when to accept and when to drain.
pub trait Serve {
    /// Accepts from these listeners until it is told to retire or to stop. After a retirement this is called again if the
    /// successor is lost: the server goes on as if nothing had happened.
    ///
    /// # Errors
    /// If the server cannot accept from a listener. This process then answers what it owes and ends, and its
    /// predecessor, or whatever supervises it, takes over.
    fn accept(&mut self, listeners: Vec<Named>) -> io::Result<()>;

    /// Stops accepting, closes the server's descriptors of the listeners, leaves their queues to a successor that is
    /// about to accept from the same sockets, and drains. The successor has no use for the listeners in `abandoned`:
    /// answers the clients in their queues, then closes them.
    fn retire(&mut self, abandoned: Vec<Named>);

    /// Stops for good: answers the clients in the queues it accepts from, closes the listeners, and drains.
    fn stop(&mut self);

    /// Completes once a drain has nothing left to do. Called again and again; its future may be dropped at any time.
    fn drained(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends everything at once, and returns what the drain came to.
    fn cut(&mut self) -> impl Future<Output = Outcome> + Send;
}
// ANCHOR_END: serve
