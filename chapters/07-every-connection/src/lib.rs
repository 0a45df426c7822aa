//! Chapter 7: connections that speak more than HTTP/1 cross the upgrade, too.
//!
//! The invariant is chapter 5's: at any moment, only one process reads from a connection and writes to it; and only one process
//! acts on a byte that a client sent, and only once.

mod http2;

pub use http2::Http2;
