//! How a process ended, and when.
//!
//! The invariant: a process is waited for by a descriptor of it, pidfd_open(2), so its parent need not be us, and only
//! our own children are reaped.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::program::leads;
use crate::timeout::{GaveUp, TIMEOUT};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It returned this exit status.
    Exited(i32),
    /// This signal killed it.
    Killed(Signal),
}

impl End {
    /// The status a shell would show: `128 + n` for death by signal `n`.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            End::Exited(code) => code,
            End::Killed(signal) => 128 + signal as i32,
        }
    }
}

/// Waits until the process `pid` has exited, and reaps it if we are its parent. Returns when it was gone: to reap a
/// process that was looked at in `/proc` may itself take milliseconds.
///
/// The process that a [`Program`](crate::Program) started is left for [`Program::wait`](crate::Program::wait).
///
/// # Panics
/// If it is still there after twenty seconds.
#[allow(clippy::must_use_candidate, reason = "the wait is the point, the moment a bonus")]
pub fn await_exit(pid: Pid) -> Instant {
    try_await_exit(pid).unwrap_or_else(|gave_up| panic!("{gave_up}"))
}

/// [`await_exit`] without the panic.
///
/// # Errors
/// If it is still there after twenty seconds.
pub fn try_await_exit(pid: Pid) -> Result<Instant, GaveUp> {
    if !exits_within(pid, TIMEOUT) {
        return Err(GaveUp(format!("pid {pid} is still there after {TIMEOUT:?}")));
    }
    let gone = Instant::now();
    if !leads(pid) {
        reap(pid);
    }
    Ok(gone)
}

pub(crate) fn exits_within(pid: Pid, timeout: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(pid.as_raw()).expect("a pid is not zero");
    // No such process: it is gone already.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let timeout = Timespec::try_from(timeout).expect("the timeout fits a timespec");
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready == 1)
}

pub(crate) fn reap(pid: Pid) -> Option<End> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(End::Exited(code)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(End::Killed(signal)),
        _ => None,
    }
}
