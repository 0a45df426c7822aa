//! A process that we started.
//!
//! The invariant: a signal reaches our child or no process. Once a child has been waited for, the kernel may give its
//! pid to another process (wait(2)); so only this type waits for the child, and then sends no more signals.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use signal_channel::Signal;

/// A child process. Dropping it neither ends it nor waits for it, as with [`std::process::Child`].
///
/// No other code may wait for it, as `waitpid(-1)` would.
#[derive(Debug)]
pub struct Child {
    pub(crate) pid: Pid,
    /// Set once it has been waited for: from then on, the pid may be another process's.
    pub(crate) end: Option<ExitStatus>,
}

impl Child {
    /// Its pid. Do not send signals to it: only [`Child::signal`] knows whether it is still the child's.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal; nothing happens if it has ended.
    ///
    /// # Errors
    /// If kill(2) fails: the child runs as another user by now.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.end.is_none() {
            kill(self.pid, signal)?;
        }
        Ok(())
    }

    /// How it ended, by its own exit or by a signal; `None` while it runs. Never waits.
    ///
    /// # Errors
    /// If waitpid(2) fails: other code has waited for it, or SIGCHLD is ignored, and how it ended is not known.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits until it has ended, and returns how.
    ///
    /// # Errors
    /// As [`Child::try_wait`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(end) = self.wait_with(0)? {
                return Ok(end);
            }
        }
    }

    fn wait_with(&mut self, flags: libc::c_int) -> io::Result<Option<ExitStatus>> {
        if self.end.is_none() {
            let mut status = 0;
            // SAFETY: waitpid(2) writes the status to where the pointer points, and it points to an integer.
            match Errno::result(unsafe { libc::waitpid(self.pid.as_raw(), &raw mut status, flags) }) {
                Ok(0) | Err(Errno::EINTR) => {}
                ended => self.end = ended.map(|_| Some(ExitStatus::from_raw(status)))?,
            }
        }
        Ok(self.end)
    }
}
