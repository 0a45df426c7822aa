//! One request and its answer, counted from head to last byte; and `Connection: close`, which ends a connection gracefully.
//!
//! The invariant: an exchange is open from the moment hyper has read a request's head until it has taken the last byte of
//! the answer. So a connection with none open has no request that this server knows of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Response, StatusCode};

/// How many exchanges have begun and how many have ended, on one connection or on all of a server. Both only grow: if
/// two readings are equal, nothing has come in between.
#[derive(Debug, Default)]
pub struct Count {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Count {
    /// How many have begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.load(Relaxed)
    }

    /// How many have ended.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended.load(Relaxed)
    }
}

/// An open exchange. Dropping it ends it: with the last byte of the answer, or because the client gave up.
#[derive(Debug)]
pub struct Exchange {
    connection: Arc<Count>,
    server: Arc<Count>,
}

impl Exchange {
    /// Begins an exchange, on this connection of this server.
    #[must_use]
    pub fn begin(connection: &Arc<Count>, server: &Arc<Count>) -> Exchange {
        connection.begun.fetch_add(1, Relaxed);
        server.begun.fetch_add(1, Relaxed);
        Exchange { connection: Arc::clone(connection), server: Arc::clone(server) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.ended.fetch_add(1, Relaxed);
        self.server.ended.fetch_add(1, Relaxed);
    }
}

/// Announces that the connection ends with this answer: hyper closes it then, and the client knows not to reuse it.
pub(crate) fn say_close<B>(mut answer: Response<B>) -> Response<B> {
    // In a 101, `Connection` says `upgrade`.
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
