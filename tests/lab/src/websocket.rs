//! As much of websockets as the lab's clients say (RFC 6455).
//!
//! The invariant: every server answers it, whatever it thinks of extensions, as there is none.

/// What a client sends first. The key is the example in the RFC.
pub const REQUEST: &[u8] = b"GET /idle HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// How a text begins that is one frame.
pub const TEXT: u8 = 0x81;

/// A text, `hello`. A client has to mask it, and the mask may be zero.
pub const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";
