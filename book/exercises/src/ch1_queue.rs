//! A hundred numbers for another thread, by signal. None may be lost, and their order matters.

use std::ffi::c_int;

use nix::libc;
use nix::sys::pthread::{Pthread, pthread_kill};
use nix::sys::signal::Signal;

/// The signal that carries them. The receiver has it blocked, and waits for it with sigwaitinfo(2).
#[must_use]
pub fn carrier() -> c_int {
    Signal::SIGUSR1 as c_int
}

/// Sends `value` to `thread`.
///
/// # Errors
/// If pthread_kill(3) fails.
pub fn post(thread: Pthread, value: c_int) -> nix::Result<()> {
    // Where does the value go? See sigqueue(3), and its relative for threads.
    let _ = libc::sigval { sival_ptr: value as *mut libc::c_void };
    pthread_kill(thread, Signal::SIGUSR1)
}
