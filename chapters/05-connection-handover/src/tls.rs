//! The seam for TLS: what encrypts the connections of a listener, and can let the next process go on with one.
//!
//! The invariant: a connection whose keys were sent to another process is not written to here, unless that process has declined
//! it. One about which it has said nothing is closed: both processes could seal a record with the same number.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use graceful_shutdown::Stream;
use zeroize::Zeroizing;

use crate::http2::Transport;

/// What encrypts connections. See [`Server::encrypt`](crate::Server::encrypt).
pub trait TlsLayer: Send + Sync + 'static {
    /// Is told first of all which listener this is for, and 32 random bytes that it has in all generations: with them, the tickets of
    /// one process are good in another.
    fn share(&mut self, _listener: &str, _secret: &[u8]) {}

    /// For a connection that was just accepted.
    fn accept(&self) -> Wrap;

    /// For a connection that another process has [offered](TlsSocket::offer) with this message. `None`: this one cannot go on.
    fn adopt(&self, message: &[u8]) -> Option<Wrap>;
}

/// Puts the layer on a connection. From then on, this process seals what is written to it.
pub type Wrap = Box<dyn FnOnce(Stream) -> Box<dyn TlsSocket> + Send + Sync>;

/// A connection under its layer.
pub trait TlsSocket: Transport + Sync {
    /// What is below.
    fn socket(&self) -> &Stream;

    /// Ready when both sides have agreed on their keys.
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes the layer off, so that another process can go on.
    ///
    /// # Errors
    /// If something is under way. It then stays here.
    fn offer(self: Box<Self>) -> Result<(Stream, TlsOffer), Box<dyn TlsSocket>>;
}

/// A layer that was taken off.
pub struct TlsOffer {
    /// What the next process has to know.
    pub message: Zeroizing<Vec<u8>>,
    /// What the client has said and the connection's gate has not read.
    pub unread: Bytes,
    /// Puts it on again. `None`: no process may, as far as this one knows.
    pub declined: Option<Wrap>,
}

#[cfg(test)]
impl TlsOffer {
    /// Of a layer that is not to be put on again.
    pub(crate) fn of(message: &[u8]) -> TlsOffer {
        let declined: Wrap = Box::new(|_| panic!("that is not what this tests"));
        TlsOffer { message: Zeroizing::new(message.to_vec()), unread: Bytes::new(), declined: Some(declined) }
    }
}
