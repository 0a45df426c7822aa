//! A process that we started and have not reaped.
//!
//! The invariant: a pid is used only as long as it is certain whose it is. Until we reap the child, the kernel gives
//! its pid to nobody else (wait(2)); afterwards no signal goes there.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

// ANCHOR: child
/// A child process. Dropping it neither ends nor reaps it, as with [`std::process::Child`].
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Set once it is reaped: from then on, the pid may be somebody else's.
    end: Option<WaitStatus>,
}
// ANCHOR_END: child

impl Child {
    pub(crate) fn new(pid: Pid) -> Child {
        Child { pid, end: None }
    }

    /// Its pid. Do not signal it by this: [`Child::signal`] knows whether it is still the child's.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal; nothing happens if it has ended.
    ///
    /// # Errors
    /// What kill(2) says: the child runs as another user by now.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.end.is_none() {
            kill(self.pid, signal)?;
        }
        Ok(())
    }

    /// How it ended, by its own exit or by a signal; `None` if it runs. Never waits.
    ///
    /// # Errors
    /// What waitpid(2) says: somebody else has reaped it.
    pub fn try_wait(&mut self) -> io::Result<Option<WaitStatus>> {
        self.reap(Some(WaitPidFlag::WNOHANG))
    }

    /// Waits until it has ended, and says how.
    ///
    /// # Errors
    /// As [`Child::try_wait`].
    pub fn wait(&mut self) -> io::Result<WaitStatus> {
        loop {
            if let Some(end) = self.reap(None)? {
                return Ok(end);
            }
        }
    }

    fn reap(&mut self, flags: Option<WaitPidFlag>) -> io::Result<Option<WaitStatus>> {
        if self.end.is_none() {
            match waitpid(self.pid, flags) {
                Ok(end @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => self.end = Some(end),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(self.end)
    }
}
