// ANCHOR: all
//! Open connections, handed from generation to generation. A seam: chapter 5 fills it, this chapter closes them politely.
//!
//! The invariant: connections go over only where both generations know how, and nobody guesses. The old one passes a channel
//! for them along with the listeners; a new one that does not know it names it among what it has no use for.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use graceful_shutdown::{Heir, Idle, Server};

use crate::listening::Adopt;

/// The name under which a successor finds its end of the channel for connections.
pub(crate) const CONNECTIONS: &str = "connections";

// ANCHOR: handover
/// How connections go from one generation to the next, over a `SOCK_SEQPACKET` pair that belongs to these two alone.
pub trait Handover {
    /// In the old process, when its drain begins: who takes the connections, at the far end of `channel`.
    ///
    /// # Errors
    /// If the runtime cannot wait on it. The connections are closed politely then.
    fn heir(&self, channel: OwnedFd) -> io::Result<Arc<dyn Heir>>;

    /// In the new one, as soon as it serves: gives all connections that come over `channel` to `adopter`. The task is
    /// dropped when this server begins to close its own connections.
    ///
    /// # Errors
    /// If the runtime cannot wait on it. The connections stay with the old process then.
    fn arrivals(
        &self,
        channel: OwnedFd,
        adopter: Adopter,
    ) -> io::Result<Pin<Box<dyn Future<Output = ()> + Send + 'static>>>;
}

/// Serves connections that come from a predecessor.
pub struct Adopter {
    server: Arc<Server>,
    services: BTreeMap<String, Adopt>,
}

impl Adopter {
    pub(crate) fn new(server: Arc<Server>, services: BTreeMap<String, Adopt>) -> Adopter {
        Adopter { server, services }
    }

    /// Prepares to serve a connection, and returns what begins it: see [`Server::adopt`].
    ///
    /// # Errors
    /// If there is no service for its listener, or the runtime cannot wait on the socket: epoll_ctl(2).
    pub fn adopt(&self, idle: Idle) -> io::Result<Box<dyn FnOnce() + Send>> {
        let adopt = self.services.get(&*idle.listener).ok_or(io::ErrorKind::NotFound)?;
        adopt(&self.server, idle)
    }
}
// ANCHOR_END: handover
// ANCHOR_END: all
