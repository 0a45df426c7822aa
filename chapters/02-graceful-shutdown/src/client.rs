//! Which client has sent a request: for handlers, and for the log.
//!
//! The invariant: a request is logged at level `debug` only, and logging costs nothing at other levels.

use std::fmt;
use std::net::SocketAddr;

use hyper::{Method, Request, StatusCode};
use tracing::Level;

/// The address of the client. Each request has it as an extension: `request.extensions().get::<ClientAddress>()`.
///
/// `None` for a client of a unix socket, which has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<SocketAddr>);

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unix"),
        }
    }
}

/// A request whose answer will be logged; empty if the log level does not ask for it.
#[derive(Debug)]
pub struct LogLine(Option<Box<(ClientAddress, Method, String)>>);

impl LogLine {
    /// Notes what the line will say about the request.
    pub fn of<B>(request: &Request<B>, client: ClientAddress) -> LogLine {
        let wanted = tracing::enabled!(Level::DEBUG);
        LogLine(wanted.then(|| Box::new((client, request.method().clone(), request.uri().path().to_owned()))))
    }

    /// Logs it: the answer is about to be written.
    pub fn answered(self, status: StatusCode) {
        if let Some((client, method, path)) = self.0.map(|noted| *noted) {
            tracing::debug!(%client, %method, path, status = status.as_u16(), "answered");
        }
    }
}
