//! Experiment: a handler that takes a lock, interrupting the code that holds it.
//!
//! The handler waits for the lock; its holder waits for the handler to return. They are the same thread, so it
//! waits for ever. A handler that only stores an atomic has nothing to wait for.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// How long we wait for the interrupted thread. Any time will do: it is not slow, it is stuck.
const PATIENCE: Duration = Duration::from_millis(300);

// ANCHOR: handlers
static REQUESTS: Mutex<u32> = Mutex::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn store(_number: c_int) {
    STOP.store(true, Ordering::SeqCst);
}

extern "C" fn lock(_number: c_int) {
    *REQUESTS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
}
// ANCHOR_END: handlers

fn main() -> io::Result<()> {
    let outcome = interrupt_the_holder_of_the_lock(store)?.recv();
    println!("a handler that stores an atomic: {}", outcome.unwrap_or("gone"));

    let outcome = interrupt_the_holder_of_the_lock(lock)?.recv_timeout(PATIENCE);
    println!("a handler that takes the lock:   {}", outcome.unwrap_or("deadlocked"));
    Ok(())
}

// ANCHOR: holder
/// Runs `handler` on a thread that holds the lock, and reports when that thread gets through.
fn interrupt_the_holder_of_the_lock(handler: extern "C" fn(c_int)) -> io::Result<Receiver<&'static str>> {
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: `lock` breaks signal-safety(7), which is what we want to see. The worst that it does is wait.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;

    let (done, outcome) = mpsc::channel();
    thread::spawn(move || {
        let mut requests = REQUESTS.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = raise(Signal::SIGUSR1);
        *requests += 1;
        let _ = done.send(if raised.is_ok() { "finished" } else { "not interrupted" });
    });
    Ok(outcome)
}
// ANCHOR_END: holder
