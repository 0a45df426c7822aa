//! Step 3: a registry of channels, and a thread that dispatches to them.
//!
//! The invariant: only the holder of the registry's lock sends, and only to channels that are in the registry. So a
//! channel that [`stop`] has taken out gets nothing more, and has got everything that it was owed.
//!
//! This is how Go's `os/signal` works. Each channel has a mask of the signals it wants. The handler sets the signal's
//! bit in a mask of pending ones and wakes the dispatcher; the dispatcher takes all the bits at once and sends each
//! signal to each channel that wants it, without waiting. A signal that comes again before its bit is taken counts
//! once, just as it does in the kernel. (Left to [`notify`](crate::notify()): unblocking the signals, and refusing
//! those that report a fault.)

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::write;
use tokio::sync::mpsc::Sender;

// ANCHOR: pending
/// The signals that were caught and not yet dispatched: bit n - 1 for signal n, as in `/proc/PID/status`.
static PENDING: AtomicU64 = AtomicU64::new(0);

/// How many handlers are running. Without it, [`stop`] could overlook a signal whose handler has yet to set its bit.
static IN_HANDLER: AtomicUsize = AtomicUsize::new(0);

/// What the dispatcher sleeps on. A byte in the pipe means only *look at [`PENDING`]*.
static WAKE: OnceLock<PipeWriter> = OnceLock::new();
// ANCHOR_END: pending

// ANCHOR: registry
static REGISTRY: Mutex<Registry> = Mutex::new(Registry { channels: Vec::new(), before: BTreeMap::new() });

struct Registry {
    channels: Vec<Channel>,
    /// The action that each signal had before our first change: [`stop`] and [`reset`] restore it.
    before: BTreeMap<Signal, SigAction>,
}

struct Channel {
    sender: Sender<Signal>,
    /// The signals it wants, as in [`PENDING`]. Never 0: a channel that wants none leaves the registry.
    mask: u64,
}
// ANCHOR_END: registry

// ANCHOR: handler
extern "C" fn on_signal(number: c_int) {
    IN_HANDLER.fetch_add(1, Ordering::SeqCst);
    let errno = Errno::last_raw();
    let bit = 1 << (number - 1);
    // If the bit was set, the handler that set it wakes the dispatcher.
    if PENDING.fetch_or(bit, Ordering::SeqCst) & bit == 0
        && let Some(pipe) = WAKE.get()
    {
        // A full pipe does no harm: the dispatcher has something to wake up for.
        let _ = write(pipe, &[0]);
    }
    Errno::set_raw(errno);
    IN_HANDLER.fetch_sub(1, Ordering::SeqCst);
}
// ANCHOR_END: handler

// ANCHOR: notify
/// Sends `signals` to the channel of `sender` from now on, in addition to those it gets already.
///
/// # Errors
/// If pipe(2), sigaction(2) or starting a thread fails. The signals before the one that failed are sent.
pub fn notify(sender: &Sender<Signal>, signals: &[Signal]) -> io::Result<()> {
    let mut registry = lock();
    start_dispatcher()?;
    for signal in signals {
        registry.change(*signal, SigHandler::Handler(on_signal))?;
        match registry.channels.iter_mut().find(|channel| channel.sender.same_channel(sender)) {
            Some(channel) => channel.mask |= bit(*signal),
            None => registry.channels.push(Channel { sender: sender.clone(), mask: bit(*signal) }),
        }
    }
    Ok(())
}
// ANCHOR_END: notify

// ANCHOR: stop
/// Sends nothing more to the channel of `sender`. A signal that no other channel wants gets its old disposition back.
///
/// Signals caught before this call are on the channel when it returns, if there was room; later ones never will be. One
/// whose handler has only just begun may be lost; in Go, the handler finds that no channel wants it, and runs the
/// default action.
///
/// # Errors
/// If sigaction(2) fails.
pub fn stop(sender: &Sender<Signal>) -> io::Result<()> {
    let mut registry = lock();
    let (leaving, staying): (Vec<_>, Vec<_>) = registry.channels.iter().partition(|c| c.sender.same_channel(sender));
    let wanted = |by: Vec<&Channel>| by.iter().fold(0, |mask, channel| mask | channel.mask);
    for signal in signals_in(wanted(leaving) & !wanted(staying)) {
        registry.restore(signal)?;
    }
    registry.settle();
    registry.channels.retain(|channel| !channel.sender.same_channel(sender));
    Ok(())
}
// ANCHOR_END: stop

// ANCHOR: cancel
/// Has the kernel discard `signals`, whichever channels wanted them.
///
/// # Errors
/// If sigaction(2) fails.
pub fn ignore(signals: &[Signal]) -> io::Result<()> {
    let mut registry = lock();
    for signal in signals {
        registry.change(*signal, SigHandler::SigIgn)?;
    }
    registry.forget(signals);
    Ok(())
}

/// Restores the disposition that each of `signals` had at first: undoes [`notify`] and [`ignore`] for all channels.
///
/// # Errors
/// If sigaction(2) fails.
pub fn reset(signals: &[Signal]) -> io::Result<()> {
    let mut registry = lock();
    for signal in signals {
        registry.restore(*signal)?;
    }
    registry.forget(signals);
    Ok(())
}
// ANCHOR_END: cancel

impl Registry {
    // ANCHOR: dispositions
    fn change(&mut self, signal: Signal, handler: SigHandler) -> io::Result<()> {
        let found = replace(signal, &SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty()))?;
        self.before.entry(signal).or_insert(found);
        Ok(())
    }

    fn restore(&mut self, signal: Signal) -> io::Result<()> {
        let Some(before) = self.before.get(&signal) else { return Ok(()) };
        replace(signal, before)?;
        self.before.remove(&signal);
        Ok(())
    }
    // ANCHOR_END: dispositions

    // ANCHOR: forget
    /// After this, `signals` are in no mask.
    fn forget(&mut self, signals: &[Signal]) {
        self.settle();
        let forgotten = signals.iter().fold(0, |mask, signal| mask | bit(*signal));
        for channel in &mut self.channels {
            channel.mask &= !forgotten;
        }
        self.channels.retain(|channel| channel.mask != 0);
    }
    // ANCHOR_END: forget

    // ANCHOR: dispatch
    /// Delivers all that was caught so far. A handler waits for nothing, so waiting for the handlers is short.
    fn settle(&self) {
        while IN_HANDLER.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        self.dispatch();
    }

    fn dispatch(&self) {
        let pending = PENDING.swap(0, Ordering::SeqCst);
        for channel in &self.channels {
            for signal in signals_in(pending & channel.mask) {
                // Never `blocking_send`: one slow reader must not keep the signals from the others.
                let _ = channel.sender.try_send(signal);
            }
        }
    }
    // ANCHOR_END: dispatch
}

// ANCHOR: dispatcher
fn start_dispatcher() -> io::Result<()> {
    if WAKE.get().is_some() {
        return Ok(());
    }
    let (read_end, write_end) = io::pipe()?;
    fcntl(&write_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    thread::Builder::new().name("dispatcher".to_owned()).spawn(move || dispatch_for_ever(read_end))?;
    // Under the registry's lock, so no other thread has set it.
    let _ = WAKE.set(write_end);
    Ok(())
}

fn dispatch_for_ever(mut wake: PipeReader) {
    while wake.read_exact(&mut [0]).is_ok() {
        lock().dispatch();
    }
}
// ANCHOR_END: dispatcher

// ANCHOR: small
fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn replace(signal: Signal, action: &SigAction) -> io::Result<SigAction> {
    // SAFETY: signal-safety(7): a handler may only do what is async-signal-safe. `on_signal` uses lock-free atomics and
    // write(2); for an action that we restore, the code that installed it vouched; SIG_IGN runs nothing.
    Ok(unsafe { sigaction(signal, action) }?)
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as c_int - 1)
}

fn signals_in(mask: u64) -> impl Iterator<Item = Signal> {
    Signal::iterator().filter(move |signal| mask & bit(*signal) != 0)
}
// ANCHOR_END: small
