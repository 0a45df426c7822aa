//! Chapter 3: what survives `exec`, and listeners passed to a child process by name.
//!
//! The invariant: a descriptor is passed on purpose and by name, and the process that receives it knows what it is
//! before using it.
//!
//! Follow a listener's descriptor. In the parent, [`PassedFds::add`] copies it under a name, and [`PassedFds::spawn`]
//! puts the copy at its number in a new process. In the child, [`Inherited::from_parent`] becomes its owner, and
//! [`Inherited::listener`] checks it and gives it out.
//!
//! Both sides speak the protocol of `sd_listen_fds(3)`, so systemd can be the parent as well ([`Inherited::from_env`]).

mod child;
mod descriptor;
mod error;
mod fd_map;
mod inherited;
mod listen_env;
mod passed_fds;
mod supervise;

pub use child::Child;
pub use error::{AddError, InheritError, Problem};
pub use inherited::Inherited;
pub use passed_fds::PassedFds;
pub use supervise::{supervise, terminate_with_parent};
