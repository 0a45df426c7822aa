//! Chapter 4: a server that replaces its own binary under load, and no client notices.
//!
//! The invariant: until a successor has said that it is ready, and been told that it is its turn, nothing changes for any
//! client; from then on the old process answers what it was asked, and nothing else.
//!
//! Follow an upgrade through the code: SIGUSR2 comes to the [`Runner`], which asks [`lifecycle`] what to do. `program`
//! says what to start and `listeners` what to pass on, `successor` starts it, and the two generations talk over a
//! `channel`. A process begins with an [`Upgrader`], and [`Serve`] is what that asks of a server.

mod channel;
mod error;
mod holders;
pub mod lifecycle;
mod listeners;
mod observe;
mod process_1;
mod program;
mod runner;
mod serve;
mod services;
mod successor;
mod upgrader;

pub use error::StartError;
pub use observe::{Observe, Transition};
pub use process_1::container_init;
pub use program::Program;
pub use runner::{Ending, Runner, Step};
pub use serve::{Named, Serve};
pub use services::Services;
pub use upgrader::{Limits, Rejecter, Upgrader};
