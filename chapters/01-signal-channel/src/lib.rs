//! A signal becomes a message on a channel: Go's `signal.Notify`, in Rust.
//!
//! The invariant: from the moment [`notify`] returns, a notified signal does nothing but put one message on a channel.
//! It never runs its default action, never interrupts other code to run ours, and never waits for a reader.
//!
//! [`die_by`] is how a program tells its parent which signal ended it. [`scratch`] builds by hand, in three steps, what
//! [`notify`] leaves to `signal-hook`.

mod die;
pub mod scratch;

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::null;
use std::thread::{self, JoinHandle};

pub use die::die_by;
use nix::libc;
pub use nix::sys::signal::Signal;
use nix::sys::signal::{SigSet, SigmaskHow};
use signal_hook::consts::FORBIDDEN;
use signal_hook::iterator::{Handle, Signals};
use tokio::sync::mpsc;

// ANCHOR: capacity
/// How many unread signals a channel keeps.
///
/// Linux has 31 standard signals, and one that is caught again before it has been moved to the channel counts once: so
/// 32 places hold a burst of one of each. On the channel every signal counts: once 32 are unread, the next one is
/// dropped, whichever it is.
const CAPACITY: usize = 32;
// ANCHOR_END: capacity

// ANCHOR: receiver
/// The end of the channel on which signals arrive.
///
/// Dropping it ends its thread and closes its descriptors before the drop returns. It does not restore the old
/// disposition of the signals: `signal-hook` keeps its handler installed, and would not install it again for the next
/// caller. A signal that has lost its last receiver is caught and does nothing. (After Go's `signal.Stop`, Go's default
/// applies again.) So keep the receiver for as long as the program runs, and let [`die_by`] restore the default action
/// at the end.
#[derive(Debug)]
pub struct Receiver {
    channel: mpsc::Receiver<Signal>,
    /// Closing it ends the thread's loop. Otherwise a dropped receiver would leave its thread waiting for ever.
    handle: Handle,
    /// `None` only while it is being joined.
    thread: Option<JoinHandle<()>>,
}
// ANCHOR_END: receiver

/// From now on, sends each of `signals` that this process receives to a channel.
///
/// Each call makes a channel of its own; a signal goes to all the channels that asked for it. Signals that were
/// inherited as ignored or blocked arrive, too: an `exec` keeps both settings (signal(7)), and a program should not be
/// deaf because of the way it was started. SIGHUP is the exception: nohup(1) ignores it for programs that should
/// outlive their terminal, and it stays ignored. The calling thread's signal mask is the same afterwards as before.
///
/// A full channel drops the signal, as Go's does. A signal is a request, not a count: the kernel itself keeps at most
/// one of each standard signal pending. A thread that waited for the reader instead would delay every other signal,
/// too, and signals of one kind would merge, in a flag or in the kernel. The dropped signal may be of another kind than
/// those that fill the channel: if it must not be lost behind a flood of others, give it a receiver of its own.
///
/// Call it first in `main`, before other threads start. A signal that arrives earlier has its default action, which for
/// most signals kills the process. One that arrives during the call is delivered, unless another thread is running that
/// does not block it: then `signal-hook` 0.4 may swallow it.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if there are no `signals`, or if one cannot be caught: SIGKILL and SIGSTOP, which
/// the kernel keeps for itself, and SIGSEGV, SIGBUS, SIGILL and SIGFPE, whose handler must not return. Otherwise the
/// error of socketpair(2), of sigaction(2) or of starting a thread.
///
/// # Examples
/// ```
/// use signal_channel::{Signal, notify};
///
/// let mut signals = notify(&[Signal::SIGUSR1])?;
/// nix::sys::signal::raise(Signal::SIGUSR1)?;
/// assert_eq!(signals.blocking_recv(), Some(Signal::SIGUSR1));
/// # std::io::Result::Ok(())
/// ```
// ANCHOR: notify
pub fn notify(signals: &[Signal]) -> io::Result<Receiver> {
    refuse_uncatchable(signals)?;
    let wanted: SigSet = signals.iter().copied().filter(|signal| !outlives_its_terminal(*signal)).collect();

    // `signal-hook` installs its handler a moment before it registers our entry, and swallows what arrives in between.
    // A blocked signal waits until that moment is over.
    let before = wanted.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let caught = Signals::new(wanted.iter().map(|signal| signal as c_int));
    before.thread_set_mask()?;
    let mut caught = caught?;

    let handle = caught.handle();
    let (sender, channel) = mpsc::channel(CAPACITY);
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // One thread that does not block a signal is enough for the process to receive it. This one has inherited its
        // creator's mask, which may come from any program. (The call cannot fail: the only error is a bad `how`.)
        let _ = wanted.thread_unblock();
        forward(caught.forever(), &sender);
    });
    let thread = thread.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot start the thread for signals ({error}): raise the limit on processes, see ulimit -u"),
        )
    })?;
    Ok(Receiver { channel, handle, thread: Some(thread) })
}
// ANCHOR_END: notify

/// Whether `signal` is SIGHUP and is ignored: for nohup(1), [`notify`] leaves it ignored, and so should all other code.
#[must_use]
pub fn outlives_its_terminal(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: sigaction(2) without a new action changes nothing, and has written the old one if it returns 0.
    let mut is_ignored = || unsafe {
        libc::sigaction(libc::SIGHUP, null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    };
    signal == Signal::SIGHUP && is_ignored()
}

// ANCHOR: receive
impl Receiver {
    /// The next signal, for async code. `None` if the thread that moves the signals has died, which would be a bug.
    ///
    /// Cancel safe: in a `select!` that takes another branch, no signal is lost.
    pub async fn recv(&mut self) -> Option<Signal> {
        self.channel.recv().await
    }

    /// The next signal, for blocking code; otherwise like [`recv`](Receiver::recv).
    ///
    /// # Panics
    /// If called on a thread that runs async code.
    pub fn blocking_recv(&mut self) -> Option<Signal> {
        self.channel.blocking_recv()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // The thread waits for nothing but the handle, so this takes no time. If it panicked, it has printed that.
            let _ = thread.join();
        }
    }
}
// ANCHOR_END: receive

// ANCHOR: forward
fn forward(caught: impl Iterator<Item = c_int>, channel: &mpsc::Sender<Signal>) {
    for signal in caught.filter_map(|number| Signal::try_from(number).ok()) {
        // Full: dropped on purpose, see `notify`. Closed: the receiver is being dropped and ends this loop.
        let _ = channel.try_send(signal);
    }
}
// ANCHOR_END: forward

// ANCHOR: refuse
fn refuse_uncatchable(signals: &[Signal]) -> io::Result<()> {
    let invalid = |sentence: String| Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    // In Go an empty list means every signal. Neither that nor a channel that stays silent is what the caller meant.
    if signals.is_empty() {
        return invalid("no signals to be notified of: name at least one".to_owned());
    }
    for signal in signals {
        match signal {
            Signal::SIGKILL | Signal::SIGSTOP => {
                return invalid(format!("{signal} cannot be caught: the kernel keeps it for itself (signal(7))"));
            }
            // `signal-hook` does not forbid SIGBUS, but it is a fault as well, and Rust's runtime has a handler for it
            // that restores the default action.
            Signal::SIGBUS => return invalid(fault(*signal)),
            other if FORBIDDEN.contains(&(*other as c_int)) => return invalid(fault(*other)),
            _ => {}
        }
    }
    Ok(())
}

fn fault(signal: Signal) -> String {
    format!("{signal} cannot become a message: a handler that returns from a fault runs into it again (sigaction(2))")
}
// ANCHOR_END: refuse

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_channel_drops_the_signal_and_never_blocks() {
        let (sender, mut channel) = mpsc::channel(2);
        let burst = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGTERM];

        // If it waited for room, this call would never return: there is no reader.
        forward(burst.iter().map(|signal| *signal as c_int), &sender);

        assert_eq!(channel.try_recv(), Ok(Signal::SIGHUP), "the channel keeps the earliest signals");
        assert_eq!(channel.try_recv(), Ok(Signal::SIGUSR1), "the channel keeps as many as it has room for");
        assert!(channel.try_recv().is_err(), "the third signal did not fit and should be gone");
    }

    #[test]
    fn the_channel_has_room_for_one_of_each_signal() {
        let (sender, channel) = mpsc::channel(CAPACITY);
        forward(Signal::iterator().map(|signal| signal as c_int), &sender);
        assert_eq!(channel.len(), Signal::iterator().count(), "CAPACITY should hold a burst of one of each");
    }
}
