//! Wrong turn: the handler does the work.
//!
//! What is wrong: it runs between any two instructions, so it finds the data half changed and the line half written.
//! The lock on stdout does not keep it out: that lock is reentrant, and the handler runs on the thread that holds it.

use std::ffi::c_int;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

static HERE: AtomicU32 = AtomicU32::new(100);
static THERE: AtomicU32 = AtomicU32::new(0);

extern "C" fn report(_number: c_int) {
    let (here, there) = (HERE.load(Ordering::SeqCst), THERE.load(Ordering::SeqCst));
    println!("[report: {here} here + {there} there = {}]", here + there);
}

fn main() -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(report), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: signal-safety(7) is broken on purpose: `report` locks and formats. It is only ever raised below, between
    // two writes, where that merely gives a wrong result; anywhere else it could also deadlock or abort.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;

    let mut out = io::stdout().lock();
    HERE.fetch_sub(30, Ordering::SeqCst);
    write!(out, "moving 30 from here ")?;
    // A person would send it at any moment. We send it at this one, to see the same thing every time.
    raise(Signal::SIGUSR1)?;
    THERE.fetch_add(30, Ordering::SeqCst);
    writeln!(out, "to there")
}
