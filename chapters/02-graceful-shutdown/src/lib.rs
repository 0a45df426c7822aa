//! Chapter 2: a server that can stop.
//!
//! The invariant: no request that a client sent before it could know better is lost, unless the deadline passes; and
//! then the loss is counted and said.
//!
//! Follow a connection: [`Address::bind`] gives a [`Listener`]; [`Server::serve`] accepts from it; `transport` is the
//! accepted socket, `connection` its life, `exchange` one request on it; `leave` says when it should go, once `phase`
//! says that a drain is under way; and [`Outcome`] says how it all ended.

mod accept;
mod address;
mod body;
mod connection;
pub mod demo;
mod exchange;
mod heir;
mod leave;
mod options;
mod outcome;
mod phase;
mod run;
mod runtime;
mod server;
mod traffic;
mod transport;

pub use address::{Address, BindError, Listener, ParseAddressError, SocketFile};
pub use body::RequestBody;
pub use connection::HttpService;
pub use heir::{Heir, Idle, Offer};
pub use options::{Options, log_to_stderr, parse_duration};
pub use outcome::Outcome;
pub use phase::Draining;
pub use runtime::block_on;
pub use server::Server;
