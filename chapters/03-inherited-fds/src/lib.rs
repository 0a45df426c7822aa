//! Chapter 3: what survives `exec`, and listeners handed to the next program by name.
//!
//! The invariant: a descriptor crosses an `exec` only on purpose, under a name; and whoever receives it knows what it
//! is before using it.
//!
//! Follow a listener's descriptor. In the old program: [`Bequest::add`] borrows and names it, [`Bequest::placements`]
//! copies it out of the way, and [`Bequest::fork_exec`] or [`Bequest::exec`] puts it at its number and starts the new
//! program. There: [`Inherited::from_env`] becomes its owner, and [`Inherited::listener`] checks it and gives it out.
//!
//! Both sides speak the socket-activation protocol, so either of them may be somebody else: systemd, `listenfd`, the
//! article's grace.

mod bequest;
mod child;
mod error;
mod exec_in_place;
mod fork_exec;
mod image;
mod inherited;
mod listen;
mod process;
mod promise;
mod protocol;
mod socket;
mod supervise;

pub use bequest::{Bequest, NameError, Placements};
pub use child::Child;
pub use error::InheritError;
pub use inherited::Inherited;
pub use listen::ListenError;
pub use supervise::Supervisor;
