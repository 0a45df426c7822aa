//! Step 1: a flag.
//!
//! The invariant: the handler stores one atomic, and everything that follows from it happens in ordinary code.
//!
//! The hard part is waiting for the flag. A loop that looks at it again and again keeps a core busy, or sleeps in
//! between and is late. A loop that looks and then sleeps *until a signal comes* (pause(2)) has a gap: if a signal
//! arrives after the look and before the sleep, the loop does not look again, and the sleep lasts until the next
//! signal. [`wait`] closes the gap; `examples/experiment_lost_wakeup.rs` shows it open.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::ppoll;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};

// ANCHOR: handler
/// Lock-free, as everything that a handler touches must be: a lock could be held by the very code it interrupted.
static SEEN: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_number: c_int) {
    SEEN.store(true, Ordering::SeqCst);
}
// ANCHOR_END: handler

// ANCHOR: install
/// Installs the handler: from now on `signal` sets the flag, and does nothing else.
///
/// # Errors
/// If sigaction(2) fails: EINVAL for SIGKILL and SIGSTOP.
pub fn install(signal: Signal) -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: signal-safety(7): a handler may only do what is async-signal-safe. This one stores a lock-free atomic.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}
// ANCHOR_END: install

// ANCHOR: seen
/// Whether a signal came since the last look. A flag cannot tell how many came, or which.
pub fn seen() -> bool {
    SEEN.swap(false, Ordering::SeqCst)
}
// ANCHOR_END: seen

// ANCHOR: wait
/// Waits until the flag is set.
///
/// The signal is blocked during the look, so one that arrives after the look stays pending; ppoll(2) unblocks it and
/// goes to sleep in one step, so it wakes up at once. This works only if every other thread blocks the signal: the
/// kernel gives it to any one thread that does not, and interrupts the sleep of no other.
///
/// # Errors
/// If `pthread_sigmask(3)` or ppoll(2) fails.
pub fn wait(signal: Signal) -> io::Result<()> {
    let before = SigSet::from(signal).thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let mut while_asleep = before;
    while_asleep.remove(signal);
    let waited = loop {
        if seen() {
            break Ok(());
        }
        match ppoll(&mut [], None, Some(while_asleep)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => break Err(errno),
        }
    };
    before.thread_set_mask()?;
    Ok(waited?)
}
// ANCHOR_END: wait
