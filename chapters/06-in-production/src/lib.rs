//! Chapter 6, the library to depend on: one [`Builder`] puts the chapters together, and adds what operations ask for.
//!
//! The invariant: chapter 4's table decides. Each part here watches its transitions, sends it an event, or stands beside the
//! generations, and without the part the server is the same server.
//!
//! | part | what it is for |
//! | --- | --- |
//! | [`Builder`], [`Setup`] | a service in one place, and the `main` that follows from it |
//! | [`control`] | a command that asks for an upgrade and hears how it ended |
//! | `probation` | an old process that stays, and takes over again if the new one is no good |
//! | `counters` | numbers that go on at an upgrade |
//! | `systemd` | a service manager that knows which process is in charge, and keeps its listeners |
//! | [`init`] | process 1 of a container, which has to outlive every generation |
//! | [`PidFile`] | a file that names the process in charge |
//! | [`FdReserve`] | an upgrade that must not fail for want of a descriptor |
//!
//! What a program needs from the chapters before, to put them together itself, is here, too.

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
pub use connection_handover::{GatedListener, Server, Transport};
pub use fd_reserve::{FdReserve, FdReserveError};
pub use graceful_shutdown::{Address, ClientAddress, ClientTimeouts, Outcome, Stream, block_on};
pub use graceful_upgrade::{Limits, Upgrader};
pub use pid_file::{PidFile, PidFileError};
pub use serve::Draining;
pub use setup::Setup;
