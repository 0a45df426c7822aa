//! What an [`Upgrader`](crate::Upgrader) asks of a server.
//!
//! The invariant: the upgrader decides when, and the server knows how. A few lines around any server that can accept, stop
//! accepting and drain will do: around `axum::serve`, or around chapter 2's, as [`Services`](crate::Services) has them.

use std::io;

use graceful_shutdown::{Listener, Outcome};

// ANCHOR: serve
/// A listener and the name by which it goes from process to process.
pub type Named = (String, Listener);

/// A server that can be told when to accept and when to drain.
pub trait Serve {
    /// Accepts from these listeners until it is told to retire or to stop. After a retirement this is called again if the
    /// successor is lost: the server serves on as if nothing had happened.
    ///
    /// # Errors
    /// If a listener cannot be accepted from. This process answers what it owes then and ends, and its predecessor, or whatever
    /// supervises it, takes over.
    fn accept(&mut self, listeners: Vec<Named>) -> io::Result<()>;

    /// A successor is about to accept from the same sockets: stops accepting, closes its descriptors of the listeners, leaves
    /// what waits in their queues, and drains. The successor has no use for the listeners in `abandoned`: those who wait in
    /// their queues are answered here, and then they are closed.
    fn retire(&mut self, abandoned: Vec<Named>);

    /// Stops for good: answers those who wait in the queues it accepts from, closes the listeners, and drains.
    fn stop(&mut self);

    /// Ready once a drain has nothing left to do. Asked again and again; what it returns may be dropped at any time.
    fn drained(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends everything at once, and says what the drain came to.
    fn cut(&mut self) -> impl Future<Output = Outcome> + Send;
}
// ANCHOR_END: serve
