//! Chapter 5: a server for HTTP/1 and HTTP/2, and an upgrade that keeps the HTTP/1 connections open.
//!
//! The invariant: at any moment, only one process reads from a connection and writes to it; and only one process acts
//! on a byte that a client sent, and only once.
//!
//! Follow a connection. A [`gate`] stands between its socket and the HTTP library, which is hyper with a `service`, or another
//! server's behind a `listener`. The gate sees where messages begin and end. Once it is quiet, `connection` takes the socket away
//! from the library, and `transfer` sends it in a `message` and waits for the acknowledgement. In the new process, `arrivals` takes
//! it, acknowledges it, and serves it. [`Server`] is all of this behind chapter 4's [`Serve`](graceful_upgrade::Serve).

mod arrivals;
mod channel;
mod connection;
mod counts;
mod drain;
pub mod gate;
mod http2;
mod listener;
mod message;
mod secret;
mod server;
mod service;
mod socket;
mod tls;
mod transfer;
mod tunnel;
mod watched;

pub use counts::Counts;
pub use http2::{Http2Gate, Http2Placed, Movable, Transport, http2_library};
pub use listener::GatedListener;
pub use server::Server;
pub use tls::{TlsLayer, TlsOffer, TlsSocket, Wrap};
pub use tunnel::{TunnelProtocol, tunnel};
