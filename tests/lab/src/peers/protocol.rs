//! What a client may speak.
//!
//! The invariant: table, values and figures have them all, in the same order.

use serde::Serialize;

/// A protocol that connections stay open for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1, as it is.
    Http1,
    /// HTTP/2, as it is: its client knows that the server speaks it.
    Http2,
    /// A websocket.
    Websocket,
    /// HTTP/1.1 inside TLS 1.3.
    Tls,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 4] = [Protocol::Http1, Protocol::Http2, Protocol::Websocket, Protocol::Tls];

    /// As people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Protocol::Http1 => "HTTP/1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Websocket => "websocket",
            Protocol::Tls => "TLS 1.3",
        }
    }

    /// The end of the keys of its values, and the name of a proxy's configuration for it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
            Protocol::Websocket => "websocket",
            Protocol::Tls => "tls",
        }
    }

    /// How many connections to open. Those that need a second one behind the first are fewer.
    pub(super) fn connections(self) -> u32 {
        match self {
            Protocol::Http1 | Protocol::Http2 => 1000,
            Protocol::Websocket | Protocol::Tls => 100,
        }
    }
}
