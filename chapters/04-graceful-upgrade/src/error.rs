//! Why a server could not start.
//!
//! The invariant: each reason is one sentence that names the problem and the fix, and nothing is left behind.

use std::io;

use graceful_shutdown::BindError;
use inherited_fds::{AddError, InheritError};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A signal that comes to another thread would kill the process, and another thread might read the environment.
    #[error("{0} threads are running: call Upgrader::from_env first in main, before a runtime is built")]
    Threads(usize),
    /// `/proc`, which shows which program this is, cannot be read.
    #[error("cannot find out which program this is: {0}; mount /proc: mount -t proc proc /proc")]
    Program(io::Error),
    /// What was inherited cannot be used.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// The server cannot listen on an address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two listeners have the same name, or a name cannot be passed on.
    #[error("cannot pass on a listener: {0}")]
    Pass(#[from] AddError),
    /// The channel to the predecessor holds no handshake that we understand.
    #[error("the predecessor's handshake is missing ({0}); start this program from a shell, or upgrade with SIGUSR2")]
    Handshake(io::Error),
    /// The kernel refuses what every server needs: an epoll instance, a thread, a signal handler.
    #[error("cannot start serving: {0}; check the limits of this process (ulimit -a)")]
    Resources(#[from] io::Error),
}
