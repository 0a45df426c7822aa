// ANCHOR: all
//! Descriptors that are kept back, for what must not fail for want of one.
//!
//! The invariant: connections never have all the descriptors that the limit allows (`RLIMIT_NOFILE`, getrlimit(2)). A
//! few are left for whoever has to start a successor, or to accept again.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::io::fcntl_dupfd_cloexec;

// ANCHOR: reserve
/// The lowest number that is kept back. Below it are those that a person looks for with strace(1) or in `/proc/PID/fd`, in
/// the order in which they were opened.
const LOWEST: RawFd = 32;

/// A copy of each listener, the four ends of two channels, and copies of three ends.
pub(crate) fn to_start_a_successor(listeners: usize) -> usize {
    listeners + 7
}

/// A copy of each listener, and each may have to be bound again.
pub(crate) fn to_accept_again(listeners: usize) -> usize {
    2 * listeners
}

/// Descriptors that nobody uses, to be closed when others are needed.
#[derive(Debug)]
pub(crate) struct Reserve {
    kept: Vec<OwnedFd>,
    size: usize,
}

impl Reserve {
    /// Enough for whatever happens to a process with so many listeners.
    pub(crate) fn for_listeners(listeners: usize) -> Reserve {
        let size = to_start_a_successor(listeners).max(to_accept_again(listeners));
        let mut reserve = Reserve { kept: Vec::new(), size };
        reserve.fill();
        reserve
    }

    /// Gives up so many. What needs them has to follow at once, for connections take descriptors, too.
    pub(crate) fn release(&mut self, count: usize) {
        self.kept.truncate(self.kept.len().saturating_sub(count));
    }

    /// Takes back as many as can be had.
    pub(crate) fn fill(&mut self) {
        // Copies of standard input, which is there in every process: std opens /dev/null in the place of one that is not.
        while self.kept.len() < self.size
            && let Ok(copy) = fcntl_dupfd_cloexec(io::stdin(), LOWEST)
        {
            self.kept.push(copy);
        }
    }
}
// ANCHOR_END: reserve
// ANCHOR_END: all
