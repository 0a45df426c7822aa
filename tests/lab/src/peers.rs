//! The systems that people use instead, each the smallest honest server that its own documentation shows.
//!
//! The invariant: what a machine lacks is named, and nothing is installed; and every process of a peer is a member of one
//! [`Program`](testkit::Program)'s group, ours to end.
//!
//! Their sources and configurations are in `tests/lab/peers`. A [`Peer`] is a [`Strategy`](crate::restart::Strategy) like our
//! own servers, and meets the same clients.

mod build;
mod client;
mod fault;
mod http2;
mod idle;
mod idle_report;
mod peer;
mod port;
mod protocol;
mod report;
mod server;
mod tls;
mod turns;
mod websocket;

pub(crate) use build::on_path;
pub use build::{Found, find, names, versions};
pub use fault::{Aftermath, Fault};
pub use idle::Idle;
pub use idle_report::IdleReport;
pub use peer::Peer;
pub use port::Port;
pub use protocol::Protocol;
pub use report::{Beside, Report};
pub use turns::{Measured, in_turns};
