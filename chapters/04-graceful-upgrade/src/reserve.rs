// ANCHOR: all
//! Descriptors that are kept back, for what must not fail for want of one.
//!
//! The invariant: connections never have all the descriptors that the limit allows (`RLIMIT_NOFILE`, getrlimit(2)). A
//! few are left for whoever has to accept again.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::io::fcntl_dupfd_cloexec;

// ANCHOR: reserve
/// The lowest number that is kept back. Below it are those that a person looks for with strace(1) or in `/proc/PID/fd`, in
/// the order in which they were opened.
const LOWEST: RawFd = 32;

/// Descriptors that nobody uses, to be closed when others are needed.
#[derive(Debug)]
pub(crate) struct Reserve {
    kept: Vec<OwnedFd>,
    size: usize,
}

impl Reserve {
    /// Enough to come back with so many listeners: each may have to be bound again, and is copied to accept from it.
    pub(crate) fn for_listeners(listeners: usize) -> Reserve {
        let mut reserve = Reserve { kept: Vec::new(), size: 2 * listeners };
        reserve.fill();
        reserve
    }

    /// Gives all of them up. What needs them has to follow at once, for connections take descriptors, too.
    pub(crate) fn release(&mut self) {
        self.kept.clear();
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
