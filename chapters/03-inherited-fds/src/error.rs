//! Why inherited descriptors were refused.
//!
//! The invariant: a refusal names the variable or the descriptor, and says how to mend it.

use std::io;
use std::os::fd::RawFd;

use graceful_shutdown::Address;
use nix::unistd::Pid;

/// Why inherited descriptors were refused.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Another thread might read the environment while the variables are removed from it.
    #[error("{threads} threads run already: take inherited descriptors first thing in main, before any is started")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// Only `/proc` tells how many threads and descriptors there are.
    #[error("cannot look into /proc/self: {0}; mount it: mount -t proc proc /proc")]
    Proc(io::Error),
    /// `LISTEN_FDS` is not a number.
    #[error("LISTEN_FDS={0:?} is not a number of descriptors; write one, or unset it")]
    Count(String),
    /// `LISTEN_FDS` is more than this process has open.
    #[error("LISTEN_FDS promises {promised} descriptors, but only {open} are open; pass all of them, or unset it")]
    Promise {
        /// What `LISTEN_FDS` says.
        promised: usize,
        /// How many descriptors are open, the standard streams included.
        open: usize,
    },
    /// `LISTEN_PID` is missing, and nothing vouches instead.
    #[error(
        "LISTEN_FDS is set and LISTEN_PID is not; set it to the pid of the process that is to have the descriptors"
    )]
    NoPid,
    /// `LISTEN_PID` names another process, or none.
    #[error(
        "LISTEN_PID={theirs} is not this process, which is {ours}; unset LISTEN_FDS, or exec this program directly"
    )]
    OtherPid {
        /// What `LISTEN_PID` says.
        theirs: String,
        /// The pid of this process.
        ours: Pid,
    },
    /// There is no `LISTEN_PID`, and the channel that should stand in for it does not.
    #[error("LISTEN_PID is not set, and {channel:?} does not vouch: {because}; hand over one end of a socketpair(2)")]
    Vouch {
        /// The name of the channel.
        channel: String,
        /// What is wrong with it.
        because: &'static str,
    },
    /// `LISTEN_FDNAMES` has too many or too few names.
    #[error(
        "LISTEN_FDNAMES has {names} names and LISTEN_FDS promises {promised}; give each descriptor one, or unset it"
    )]
    Names {
        /// How many names there are.
        names: usize,
        /// What `LISTEN_FDS` says.
        promised: usize,
    },
    /// `LISTEN_FDNAMES` holds a name that the protocol does not allow.
    #[error("LISTEN_FDNAMES={0:?} is not allowed; use printable ASCII, at most 255 characters a name")]
    Name(String),
    /// A promised descriptor is not there.
    #[error("descriptor {number} ({name}) is not open; start the program with it, or correct LISTEN_FDS")]
    Closed {
        /// Its number.
        number: RawFd,
        /// Its name.
        name: String,
    },
    /// A descriptor with CLOEXEC cannot have come through `exec`.
    #[error("descriptor {number} ({name}) was opened here, not inherited; inherit first, or correct LISTEN_FDS")]
    OpenedHere {
        /// Its number.
        number: RawFd,
        /// Its name.
        name: String,
    },
    /// It is a file, a pipe, a terminal …
    #[error("the inherited descriptor {name:?} is not a socket; hand over a bound socket by that name")]
    NotASocket {
        /// Its name.
        name: String,
    },
    /// A datagram socket where a listener is needed, or the other way round.
    #[error("the inherited socket {name:?} has type {actual:?} and should have {expected:?}; hand over one that has")]
    Type {
        /// Its name.
        name: String,
        /// Its type.
        actual: socket2::Type,
        /// The type that is needed.
        expected: socket2::Type,
    },
    /// A socket that is connected, or was never told to listen.
    #[error("the inherited socket {name:?} does not listen; hand over the listener, not a connection")]
    NotListening {
        /// Its name.
        name: String,
    },
    /// It is bound to another address.
    #[error("the inherited socket {name:?} is bound to {actual}, not to {asked}; make the two agree")]
    OtherAddress {
        /// Its name.
        name: String,
        /// Where it is bound.
        actual: String,
        /// Where it should be.
        asked: Address,
    },
    /// A flag could not be set: fcntl(2).
    #[error("cannot prepare the inherited descriptor {name:?}: {error}")]
    Prepare {
        /// Its name.
        name: String,
        /// The reason.
        error: io::Error,
    },
}
