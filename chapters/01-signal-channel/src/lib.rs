//! A signal becomes a message on a channel: Go's `signal.Notify`, in Rust.
//!
//! The invariant: from the moment [`notify`] returns, a notified signal does nothing but put one message on a channel.
//! It never runs its default action, never runs code of ours in the middle of something, and never waits for a reader.
//!
//! [`die_by`] is the other end of a signal's way: how a program says what ended it. [`scratch`] builds by hand, in three
//! steps, what [`notify`] leaves to `signal-hook`.

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
/// Linux has 31 standard signals, and one that is caught again before it was moved to the channel counts once: so 32
/// holds one burst of every kind there is. On the channel each counts: behind 32 that nobody has read, the next one is
/// dropped, of whatever kind it is.
const CAPACITY: usize = 32;
// ANCHOR_END: capacity

// ANCHOR: receiver
/// The end of the channel on which signals arrive.
///
/// Dropping it ends its thread and closes its descriptors before the drop returns. It does not give the signals their
/// old disposition back: `signal-hook` keeps its handler installed, and would not install it again for the next who
/// asks. A signal that nobody is notified of any more is caught and does nothing (after Go's `signal.Stop`, Go's default
/// applies again; [`scratch::s3_registry::stop`] restores the disposition). So keep the receiver for as long as the
/// program runs, and let [`die_by`] restore the default action at the end.
#[derive(Debug)]
pub struct Receiver {
    channel: mpsc::Receiver<Signal>,
    /// Ends the thread's loop. A receiver dropped without it would leave the thread waiting for ever.
    handle: Handle,
    /// `None` only while it is being joined.
    thread: Option<JoinHandle<()>>,
}
// ANCHOR_END: receiver

/// Sends every one of `signals` that this process gets from now on to a channel.
///
/// Each call makes a channel of its own; a signal goes to all the channels that asked for it. Signals that were
/// inherited as ignored or blocked are heard too: an `exec` keeps both settings (signal(7)), and a program should not
/// be deaf because of who started it. SIGHUP is the exception: it is ignored for programs that are to outlive their
/// terminal, by nohup(1), and stays so. The signal mask of the calling thread is the same afterwards as before.
///
/// A full channel drops the signal, as Go's does. A signal is a request and not a count: the kernel itself keeps at
/// most one of each standard signal pending. A thread that waited for the reader instead would keep every other signal
/// waiting, too, and let those of one kind become one, in a flag or in the kernel. What is dropped may be of another
/// kind than what fills the channel: a signal that must not be lost behind a flood of others gets a receiver to itself.
///
/// Call it first thing in `main`, before there are other threads. A signal that arrives earlier does what it does by
/// default: most of them kill the process. One that arrives during the call is heard, unless a thread that does not
/// block it runs beside the caller: then `signal-hook` 0.4 may swallow it.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if there are no `signals`, or if one cannot be caught: SIGKILL and SIGSTOP, which
/// the kernel keeps for itself, and SIGSEGV, SIGBUS, SIGILL and SIGFPE, whose handler must not return. Otherwise what
/// socketpair(2), sigaction(2) or the start of a thread say.
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

    // `signal-hook` installs its handler a moment before the handler knows our entry, and swallows what comes then.
    // Blocked, a signal waits until that moment is over.
    let before = wanted.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let caught = Signals::new(wanted.iter().map(|signal| signal as c_int));
    before.thread_set_mask()?;
    let mut caught = caught?;

    let handle = caught.handle();
    let (sender, channel) = mpsc::channel(CAPACITY);
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // One thread that does not block a signal is enough for the process to hear it. This one has inherited the mask
        // of its creator, who may have inherited it from a stranger. (It cannot fail: the only error is a bad `how`.)
        let _ = wanted.thread_unblock();
        forward(caught.forever(), &sender);
    });
    let thread = thread.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("no thread for signals ({error}): raise the limit of processes, see ulimit -u"),
        )
    })?;
    Ok(Receiver { channel, handle, thread: Some(thread) })
}
// ANCHOR_END: notify

/// Whether this is SIGHUP, and ignored: [`notify`] leaves it so, as nohup(1) asks for, and so should all other handlers.
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
            // It never waits for anything but the handle, so this takes no time. If it panicked, it has said so.
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
            // `signal-hook` leaves SIGBUS out, but it is a fault as well, and Rust's runtime has a handler for it that
            // gives the signal back its default action.
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

        // If it waited for room, this call would not come back: nobody reads.
        forward(burst.iter().map(|signal| *signal as c_int), &sender);

        assert_eq!(channel.try_recv(), Ok(Signal::SIGHUP), "the channel keeps the earliest signals");
        assert_eq!(channel.try_recv(), Ok(Signal::SIGUSR1), "the channel keeps as many as it has room for");
        assert!(channel.try_recv().is_err(), "the third signal did not fit and should be gone");
    }

    #[test]
    fn the_channel_has_room_for_one_of_each_signal() {
        let (sender, channel) = mpsc::channel(CAPACITY);
        forward(Signal::iterator().map(|signal| signal as c_int), &sender);
        assert_eq!(channel.len(), Signal::iterator().count(), "CAPACITY says it holds a burst of every kind there is");
    }
}
