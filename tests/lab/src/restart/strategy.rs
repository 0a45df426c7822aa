//! What can be restarted, and how.
//!
//! The invariant: every process that a strategy starts is a member of a [`Program`](testkit::Program)'s group, so it ends when the
//! [`Running`] server is dropped, and on Ctrl-C.

use std::path::PathBuf;

use testkit::GaveUp;

/// A way to restart a server.
pub trait Strategy {
    /// To ask for it by, and the key of its figures: `kill-start`.
    fn name(&self) -> &str;

    /// What it is, for people: `kill, then start`.
    fn title(&self) -> &str;

    /// Starts a server on a free port of loopback, and returns when it listens.
    ///
    /// # Errors
    /// If it does not.
    fn start(&self) -> Result<Box<dyn Running>, CannotMeasure>;
}

/// A server that serves, and can be restarted.
pub trait Running {
    /// Where: `127.0.0.1:PORT`, before a restart and after it.
    fn address(&self) -> &str;

    /// Restarts it in its own way. Returns when there is nothing left to do but to wait for the new process to answer
    /// and for the old one to end; both are seen from outside, by the pids in the answers.
    ///
    /// # Errors
    /// If a process that has to end does not, or one that has to come does not.
    fn restart(&mut self) -> Result<(), CannotMeasure>;

    /// Called when the new process has answered and the old one is gone, before the next restart.
    ///
    /// # Errors
    /// If it is not ready for another restart.
    fn settle(&mut self) -> Result<(), CannotMeasure> {
        Ok(())
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum CannotMeasure {
    /// The program is not there, or is none.
    #[error("cannot start {0}: {1}")]
    Start(PathBuf, std::io::Error),
    /// Something did not come.
    #[error("{0}")]
    GaveUp(#[from] GaveUp),
    /// A process could not be signalled.
    #[error("cannot signal the server: {0}")]
    Signal(#[from] nix::errno::Errno),
    /// One strategy of several failed.
    #[error("{0}: {1}")]
    Strategy(String, Box<CannotMeasure>),
}
