//! Descriptors that are kept back, for what must not fail for want of one.
//!
//! The invariant: connections never have all the descriptors that the limit allows (`RLIMIT_NOFILE`, getrlimit(2)). A
//! few are left to start a successor, and others to accept again if the successor is lost.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use graceful_upgrade::lifecycle::{Action, State};
use graceful_upgrade::{Observe, Transition};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};

/// The lowest number that is kept back. Below it are the descriptors that a person looks for with strace(1) or in
/// `/proc/PID/fd`, in the order in which they were opened.
const LOWEST: RawFd = 32;

/// What a successor needs beside a copy of each listener: two channels, five copies of what it inherits, and a few
/// that are open only while all of this is put together.
const TO_START: usize = 14;

/// What accepting again needs beside two for each listener, which may have to be bound anew: a pid file.
const TO_ACCEPT: usize = 1;

/// Why there can be no reserve.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot start with a limit of {limit} descriptors: with its listeners ({listeners}), the server needs {needed}; \
     raise it: ulimit -n"
)]
pub struct FdReserveError {
    listeners: usize,
    needed: u64,
    limit: u64,
}

/// Unused descriptors, closed when others are needed.
#[derive(Debug)]
pub struct FdReserve {
    to_start: Kept,
    /// Kept apart: a slow start leaves clients time to take what was given up for it.
    to_accept: Kept,
}

#[derive(Debug)]
struct Kept {
    descriptors: Vec<OwnedFd>,
    size: usize,
}

impl FdReserve {
    /// Enough for whatever happens to a process with this many listeners. Let it observe before others that need a
    /// descriptor. It is filled once the process accepts and has all that it needs itself.
    ///
    /// # Errors
    /// If the limit leaves too little for everything else.
    pub fn for_listeners(listeners: usize) -> Result<FdReserve, FdReserveError> {
        let kept = |size| Kept { descriptors: Vec::new(), size };
        let reserve = FdReserve { to_start: kept(listeners + TO_START), to_accept: kept(2 * listeners + TO_ACCEPT) };
        // The listeners, the server's copies of them, and the numbers below those that are kept back.
        let own = 2 * listeners as u64 + u64::from(LOWEST.cast_unsigned());
        let needed = own + (reserve.to_start.size + reserve.to_accept.size) as u64;
        match getrlimit(Resource::Nofile).current {
            Some(limit) if limit < needed => Err(FdReserveError { listeners, needed, limit }),
            _ => Ok(reserve),
        }
    }

    fn fill(&mut self) {
        self.to_accept.fill();
        self.to_start.fill();
    }
}

impl Kept {
    /// Takes as many as can be had.
    fn fill(&mut self) {
        // Copies of standard input, which is there in every process: std opens /dev/null in the place of one that is not.
        while self.descriptors.len() < self.size
            && let Ok(copy) = fcntl_dupfd_cloexec(io::stdin(), LOWEST)
        {
            self.descriptors.push(copy);
        }
    }
}

// ANCHOR: observe
impl Observe for FdReserve {
    fn before(&mut self, transition: &Transition) {
        for action in transition.actions {
            match action {
                // Killing and reaping a process takes a descriptor of it.
                Action::StartSuccessor | Action::DismissSuccessor | Action::EndSuccessor => {
                    self.to_start.descriptors.clear();
                }
                Action::Accept => self.to_accept.descriptors.clear(),
                _ => {}
            }
        }
    }

    /// While an upgrade has only begun, the thread that starts the successor may still need descriptors.
    fn after(&mut self, transition: &Transition) {
        if transition.to.state != State::Upgrading {
            self.fill();
        }
    }
}
// ANCHOR_END: observe
