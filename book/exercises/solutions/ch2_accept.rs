//! What an accept loop does after an error.

use std::io;

use nix::errno::Errno;

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
    match error.raw_os_error().map(Errno::from_raw) {
        // Descriptors of the process, of the system, and memory (accept(2)). The client waits in the queue meanwhile, and
        // the listener stays readable: a loop that asks again at once keeps a core busy.
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => Next::AfterAPause,
        // Not a descriptor, not a socket, or not a listener: a bug of ours, which waiting does not fix.
        Some(Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK) | None => Next::GiveUp,
        // The client was gone before we came, or its network had an error: accept(2) says to try again, as after EAGAIN.
        // EOPNOTSUPP is among those, although it can also mean a socket that cannot listen.
        Some(_) => Next::Again,
    }
}
