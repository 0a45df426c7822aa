//! Chapter 5: every kind of connection, and an upgrade in which not even a connection is closed.
//!
//! The invariant: at every moment, a connection is read from and written to by one process; and a byte that a client sent
//! is understood by one process, once.
//!
//! Follow a connection. A [`gate`] stands between its socket and the HTTP library, and sees where messages begin and end.
//! Once it is quiet, `connection` takes it away from the library, `transfer` sends it in a `message` and waits for the
//! acknowledgement; in the new process, `arrivals` takes it, says so, and has it served. [`Server`] is all of this behind
//! chapter 4's [`Serve`](graceful_upgrade::Serve).

mod arrivals;
mod channel;
mod connection;
mod drain;
pub mod gate;
mod message;
mod server;
mod socket;
mod transfer;
mod watched;

pub use server::Server;
