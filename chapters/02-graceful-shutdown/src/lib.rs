//! Chapter 2: a small HTTP/1.1 server that can stop.
//!
//! The invariant: after the signal, the server loses no request that a client sent before it could know that the server
//! was stopping, unless the deadline passes; what the deadline cuts is counted and logged.
//!
//! Follow a connection: [`Address::bind`] gives a [`Listener`], and [`Server::serve`] accepts from it (`accept`).
//! `connection` is its life, `exchange` one request on it with its answer; `phase` tells all of them when to go, and
//! [`Outcome`] how it ended. `tests/promises/blind.rs` shows what a server of this size cannot see; chapter 5 sees it.

mod accept;
mod address;
mod client;
mod connection;
mod exchange;
mod host;
mod outcome;
mod phase;
mod run;
mod server;
mod socket_file;

pub use accept::{Acceptor, Stream};
pub use address::{Address, BindError, Listener, ParseAddressError, absolute, absolute_in};
pub use client::{ClientAddress, LogLine};
pub use connection::{ClientTimeouts, HttpService, IDLE_TIMEOUT};
pub use exchange::{Count, Exchange};
pub use host::refuse_bad_host;
pub use outcome::Outcome;
pub use run::{ONE_WISH, block_on};
pub use server::Server;
pub use socket_file::SocketFile;
