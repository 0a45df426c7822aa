//! Why descriptors were refused.
//!
//! The invariant: a refusal names the variable or the descriptor, and gives the fix.

use std::io;
use std::os::fd::RawFd;

use graceful_shutdown::{Address, BindError};
use nix::unistd::Pid;
use socket2::Type;

/// Why a process cannot have what it was passed.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// This many threads are running, and another might read the environment while the variables are removed from it.
    #[error("{0} threads are running: take inherited descriptors first in main, before any thread is started")]
    Threads(usize),
    /// `/proc`, which shows the threads and descriptors, cannot be read; or fcntl(2) or listen(2) failed.
    #[error("cannot take inherited descriptors: {0}; if /proc is missing, mount it: mount -t proc proc /proc")]
    Io(#[from] io::Error),
    /// `LISTEN_FDS` has this value, which is not a number of open descriptors.
    #[error("LISTEN_FDS={0:?} is not a number of open descriptors; correct it, or unset it: env -u LISTEN_FDS …")]
    Count(String),
    /// `LISTEN_PID` has the first value, and our pid is the second.
    #[error(
        "LISTEN_PID={pid} is not this process, which is {1}; exec this program, or unset it: env -u LISTEN_FDS …",
        pid = .0.escape_debug()
    )]
    OtherPid(String, Pid),
    /// There is no `LISTEN_PID`, and nothing takes its place.
    #[error("LISTEN_FDS is set, LISTEN_PID is not, and {0}; set it: sh -c 'LISTEN_PID=$$ exec …'")]
    NotAuthenticated(&'static str),
    /// `LISTEN_FDNAMES` has this value, and does not give this many names that the protocol allows.
    #[error(
        "LISTEN_FDNAMES={0:?} does not name {1} descriptors; write that many names of printable ASCII, or unset it"
    )]
    Names(String, usize),
    /// The descriptor with this number and name has a problem.
    #[error("descriptor {0} ({1}) {2}")]
    Descriptor(RawFd, String, Problem),
    /// What was not inherited cannot be bound ([`Inherited::listen`](crate::Inherited::listen)).
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// What is wrong with one descriptor.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is promised and not open.
    #[error("is not open, and LISTEN_FDS promises it; start the program with it, or correct LISTEN_FDS")]
    NotOpen,
    /// A descriptor with CLOEXEC cannot have come through `exec`.
    #[error("was opened here, not inherited; take inherited descriptors first, or correct LISTEN_FDS")]
    OpenedHere,
    /// It is a file, a pipe, a terminal …
    #[error("is not a socket; pass one that listens")]
    NotASocket,
    /// It has the first type, and must have the second.
    #[error("is a socket of type {0:?}, not {1:?}; pass one that is")]
    Type(Type, Type),
    /// It is connected, or was never told to listen.
    #[error("is a socket that does not listen; pass the listener, not a connection")]
    NotListening,
    /// It is bound to the first address, and should be bound to the second.
    #[error("is bound to {0}, not to {1}; make the two agree")]
    OtherAddress(String, Address),
}

/// Why a descriptor cannot be passed.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The protocol does not allow the name, or another descriptor has it.
    #[error("{0:?} cannot name a descriptor: use 1 to 255 printable ASCII characters and no colon, and each name once")]
    Name(String),
    /// It cannot be copied: the descriptor limit is reached.
    #[error("cannot copy a descriptor to pass it on: {0}; raise the limit: ulimit -n")]
    Copy(#[from] io::Error),
}
