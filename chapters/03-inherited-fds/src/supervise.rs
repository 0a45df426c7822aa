//! A parent that waits for its child, and a child that ends with its parent.
//!
//! The invariant: to a service manager, the two are one server. A signal to the parent reaches the child, the child's end is
//! the parent's, and a parent that is killed leaves no child behind.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::thread;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use signal_channel::{Receiver, Signal};

use crate::Child;

/// Passes `signals` on to `child` until it has ended, and returns how it ended.
///
/// `signals` must include SIGCHLD, and must have been asked for before the child was started.
///
/// # Errors
/// If waitpid(2) or kill(2) fails.
pub fn supervise(child: &mut Child, signals: &mut Receiver) -> io::Result<ExitStatus> {
    // A SIGCHLD that found the channel full is not missed: the signals that filled it end up here as well.
    while let Some(signal) = signals.blocking_recv() {
        if let Some(end) = child.try_wait()? {
            return Ok(end);
        }
        if signal != Signal::SIGCHLD {
            child.signal(signal)?;
        }
    }
    child.wait()
}

// ANCHOR: terminate_with_parent
/// Sends this process SIGTERM once the other end of `channel` is closed: the parent, which held it, has ended.
///
/// # Errors
/// If no thread can be started.
pub fn terminate_with_parent(channel: OwnedFd) -> io::Result<()> {
    let wait = move || {
        // The parent never sends anything, so there is nothing to read but the end of file.
        let _ = File::from(channel).read_to_end(&mut Vec::new());
        tracing::warn!("the parent is gone");
        let _ = kill(Pid::this(), Signal::SIGTERM);
    };
    thread::Builder::new().name("parent".to_owned()).spawn(wait).map(drop)
}
// ANCHOR_END: terminate_with_parent
