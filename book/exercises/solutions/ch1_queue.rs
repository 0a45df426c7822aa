//! A hundred numbers for another thread, by signal. None may be lost, and their order matters.

use std::ffi::c_int;

use nix::errno::Errno;
use nix::libc;
use nix::sys::pthread::Pthread;

/// The signal that carries them. The receiver has it blocked, and waits for it with sigwaitinfo(2).
///
/// A real-time signal: the kernel keeps every one that is sent, in order, with its value (signal(7)).
#[must_use]
pub fn carrier() -> c_int {
    libc::SIGRTMIN()
}

/// Sends `value` to `thread`.
///
/// # Errors
/// EAGAIN, if RLIMIT_SIGPENDING signals wait already: the queue is finite, and says so.
pub fn post(thread: Pthread, value: c_int) -> nix::Result<()> {
    let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
    // SAFETY: pthread_sigqueue(3) needs the id of a thread that has not been joined, which the caller promises, as with
    // pthread_kill(3). The value is only carried, never dereferenced.
    match unsafe { libc::pthread_sigqueue(thread, carrier(), value) } {
        0 => Ok(()),
        errno => Err(Errno::from_raw(errno)),
    }
}
