//! The seam for HTTP/2, whose messages this chapter's gate lets pass: a gate of its own, which a server may be given.
//!
//! The invariant: what one process takes from such a gate is all that the next one needs to go on, besides the socket.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use graceful_shutdown::ClientTimeouts;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a client's bytes come from, and go to.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// What makes the gates. See [`Server::hand_over_http2`](crate::Server::hand_over_http2).
pub trait Http2Gate: Send + Sync + 'static {
    /// Puts a gate in front of a connection: a fresh one, or one that another process had, and left in this state. `None`: no
    /// process can go on from there.
    fn place(&self, client: Box<dyn Transport>, state: Option<Bytes>) -> Option<Http2Placed>;

    /// Whether this process can go on with a connection in this state.
    ///
    /// # Errors
    /// Why not. It then stays with the process that has it.
    fn check(&self, state: &Bytes) -> Result<(), String>;
}

/// The library's side of a gate, and the server's.
pub type Http2Placed = (Box<dyn Transport>, Box<dyn Movable>);

/// The server's side of a gate that is not this chapter's.
pub trait Movable: Send + Sync {
    /// Waits until the connection can be taken (`true`), and may hold what the client says meanwhile, for a short time. If this is
    /// dropped, everything is as before. `false`: it has streams that do not end, or will never be quiet.
    fn quiet(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

    /// Takes a quiet connection away from the library: its state, to which bytes that come next from the client can be
    /// appended. `None` if it is not quiet (any more): everything is as before.
    ///
    /// From now on, the library reads the end of the connection, and its writes are discarded. Drop it.
    fn take(&self) -> Option<Bytes>;

    /// Says goodbye once nothing is under way, and closes the connection. `stops`: no other process serves on. `idle`: how long it
    /// may wait for a client that says nothing. If this is dropped before, the connection is served on, although its client may
    /// have been warned.
    fn close(&self, stops: bool, idle: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The library that every HTTP/2 connection has.
#[must_use]
pub fn http2_library(timeouts: &ClientTimeouts) -> http2::Builder<TokioExecutor> {
    let mut library = http2::Builder::new(TokioExecutor::new());
    library
        .timer(TokioTimer::new())
        // A client that is silent for this long gets a PING. hyper gives it 20 s to answer. (And hyper panics at a time beyond
        // the clock's range.)
        .keep_alive_interval(Instant::now().checked_add(timeouts.idle).map(|_| timeouts.idle));
    library
}
