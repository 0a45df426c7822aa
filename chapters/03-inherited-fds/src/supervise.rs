//! The parent's wait for its child.
//!
//! The invariant: whoever signals the parent, or waits for it, gets what the child would give. A signal is passed on
//! once, to our own child and never to a pid that somebody else may have; and the child's end is ours to report.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use signal_channel::{Receiver, notify};
use signal_hook_registry::register_sigaction;

use crate::Child;

// ANCHOR: typed
/// Whether the last SIGINT was typed. The kernel sends a typed one to every process in the terminal's foreground, our
/// child included, and a server takes a second one as "at once".
static TYPED: AtomicBool = AtomicBool::new(false);
// ANCHOR_END: typed

/// A parent that stands between its child and whoever started it.
///
/// A service manager that signals every process of a service reaches the child twice: with systemd, say
/// `KillMode=mixed`.
#[derive(Debug)]
pub struct Supervisor {
    signals: Receiver,
}

// ANCHOR: supervisor
impl Supervisor {
    /// Hears SIGINT, SIGTERM and the end of children from now on. Call it before the child is started: what comes in
    /// between is passed on as well.
    ///
    /// # Errors
    /// As [`notify`].
    pub fn new() -> io::Result<Supervisor> {
        let note_sender = |info: &libc::siginfo_t| TYPED.store(info.si_code == libc::SI_KERNEL, Relaxed);
        // SAFETY: a signal handler may do only what is async-signal-safe (signal-safety(7)); this stores one atomic.
        unsafe { register_sigaction(libc::SIGINT, note_sender) }?;
        // Registered later, so it runs later: a SIGINT on the channel has been noted.
        let signals = notify(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD])?;
        Ok(Supervisor { signals })
    }

    /// Passes signals on until `child` has ended, and says how it ended.
    ///
    /// # Errors
    /// What waitpid(2) or kill(2) say.
    pub fn wait(mut self, child: &mut Child) -> io::Result<WaitStatus> {
        // A SIGCHLD that found the channel full is not missed: the signals that filled it end up here as well.
        while let Some(signal) = self.signals.blocking_recv() {
            if let Some(end) = child.try_wait()? {
                return Ok(end);
            }
            match signal {
                Signal::SIGCHLD => {}
                Signal::SIGINT if TYPED.load(Relaxed) => tracing::debug!("SIGINT was typed: the child has it already"),
                signal => child.signal(signal)?,
            }
        }
        child.wait()
    }
}
// ANCHOR_END: supervisor
