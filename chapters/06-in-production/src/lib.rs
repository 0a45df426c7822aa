//! Chapter 6: what operations ask of a server that can be replaced.
//!
//! The invariant: nothing here decides. Each part watches the transitions of chapter 4's table, or stands beside the
//! generations, and without it the server is the same server.
//!
//! | part | what it is for |
//! | --- | --- |
//! | [`PidFile`] | a file that names the process in charge |
//! | [`FdReserve`] | an upgrade that must not fail for want of a descriptor |
//! | `systemd` | a service manager that knows which process is in charge, and keeps its listeners |
//! | [`init`] | process 1 of a container, which has to outlive every generation |
//!
//! What a service needs from the chapters before is here, too, so that it depends on this one alone: see the examples
//! `hyper_hello` and `axum_hello`.

mod builder;
pub mod control;
mod counters;
mod fd_reserve;
pub mod init;
mod pid_file;
mod probation;
mod progress;
mod serve;
mod setup;
mod systemd;

pub use builder::{Builder, Error, Prepared};
pub use connection_handover::Server;
pub use fd_reserve::{FdReserve, FdReserveError};
pub use graceful_shutdown::{Address, ClientAddress, ClientTimeouts, Outcome, Stream, block_on};
pub use graceful_upgrade::{Limits, Upgrader};
pub use pid_file::{PidFile, PidFileError};
pub use serve::Draining;
pub use setup::Setup;
