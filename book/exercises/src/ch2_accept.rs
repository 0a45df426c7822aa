//! What an accept loop does after an error.

use std::io;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Accept again: the error was about one client only.
    Again,
    /// Wait a little, then accept again: something has run out, and asking at once would only spin.
    AfterAPause,
    /// Give up: the listener itself is of no use any more.
    GiveUp,
}

/// Decides by the error that accept(2) gave.
#[must_use]
pub fn next(error: &io::Error) -> Next {
    match error.raw_os_error() {
        Some(_) => Next::Again,
        None => Next::GiveUp,
    }
}
