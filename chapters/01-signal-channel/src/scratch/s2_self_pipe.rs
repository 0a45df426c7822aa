//! Step 2: a pipe to ourselves (D. J. Bernstein's self-pipe trick).
//!
//! The invariant: a caught signal is a byte in a pipe, in the order of arrival, until it is read.
//!
//! A byte in a pipe waits; a wake-up does not. So the gap of step 1 is gone, whichever thread was interrupted, and the
//! reader can wait for signals and sockets at once, because poll(2) takes any descriptor.

use std::ffi::c_int;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::write;

// ANCHOR: handler
/// The end the handler writes to. A static is never dropped: if it were closed, the next file that is opened would get
/// its number, and the handler would write into that file.
static WRITE_END: OnceLock<PipeWriter> = OnceLock::new();

/// The signals that were caught, as an iterator that blocks until the next one.
#[derive(Debug)]
pub struct SelfPipe {
    read_end: PipeReader,
}

extern "C" fn on_signal(number: c_int) {
    // The code we interrupted may be about to look at the errno of a call it made.
    let errno = Errno::last_raw();
    if let (Some(pipe), Ok(byte)) = (WRITE_END.get(), u8::try_from(number)) {
        // A full pipe refuses the byte (EAGAIN), and the signal is dropped, whichever it is.
        let _ = write(pipe, &[byte]);
    }
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

impl SelfPipe {
    // ANCHOR: open
    /// Opens the pipe and catches `signals`. A process can have one such pipe.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one already; otherwise the error of pipe(2) or sigaction(2).
    pub fn open(signals: &[Signal]) -> io::Result<SelfPipe> {
        // The standard library makes both ends CLOEXEC: a program that we start must not hold our signals.
        let (read_end, write_end) = io::pipe()?;
        // Otherwise a full pipe would block the handler, and with it the thread it interrupted: the reader, perhaps.
        fcntl(&write_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        WRITE_END.set(write_end).map_err(|_| io::ErrorKind::AlreadyExists)?;

        let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
        for signal in signals {
            // SAFETY: signal-safety(7): a handler may only do what is async-signal-safe. This one calls write(2), which
            // is on the list, and reads a `OnceLock` that was set above: an atomic load.
            unsafe { sigaction(*signal, &action) }?;
        }
        Ok(SelfPipe { read_end })
    }
    // ANCHOR_END: open
}

// ANCHOR: next
impl Iterator for SelfPipe {
    type Item = Signal;

    /// `None` would mean that the pipe is broken; its write end is never closed.
    fn next(&mut self) -> Option<Signal> {
        let mut byte = [0];
        self.read_end.read_exact(&mut byte).ok()?;
        Signal::try_from(c_int::from(byte[0])).ok()
    }
}
// ANCHOR_END: next
