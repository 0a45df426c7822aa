//! Experiment: what becomes of signals that are sent while they are blocked.
//!
//! A standard signal is pending or not, however often it was sent. Real-time signals queue, in order, each with a value
//! (signal(7)).

use std::{io, mem, ptr};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;

fn main() -> io::Result<()> {
    let standard = Signal::SIGUSR1;
    let real_time = libc::SIGRTMIN();
    let blocked = block(&[standard as i32, real_time])?;

    for _ in 0..1000 {
        kill(getpid(), standard)?;
    }
    for value in 1..=5 {
        queue(real_time, value)?;
    }

    let taken: Vec<_> = std::iter::from_fn(|| take(&blocked)).collect();
    let of = |signal| taken.iter().filter(move |(taken, _)| *taken == signal).map(|(_, value)| value.to_string());
    println!("{standard} sent 1000 times while blocked: delivered {} time", of(standard as i32).count());
    println!("SIGRTMIN sent 5 times while blocked: delivered {} times", of(real_time).count());
    println!("... with these values, in this order: {}", of(real_time).collect::<Vec<_>>().join(" "));
    Ok(())
}

// nix has no real-time signals: https://github.com/nix-rust/nix/issues/495. So this calls libc.

fn block(signals: &[i32]) -> io::Result<libc::sigset_t> {
    // SAFETY: sigemptyset(3) initialises the set before anything reads it; both pointers are to live values.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        Errno::result(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()))?;
        Ok(set)
    }
}

fn queue(signal: i32, value: usize) -> io::Result<()> {
    let value = libc::sigval { sival_ptr: ptr::without_provenance_mut(value) };
    // SAFETY: sigqueue(3) takes its arguments by value; the receiver reads the value as a number, never as a pointer.
    Errno::result(unsafe { libc::sigqueue(getpid().as_raw(), signal, value) })?;
    Ok(())
}

/// Takes one pending signal with its value; `None` if there is none.
fn take(set: &libc::sigset_t) -> Option<(i32, usize)> {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: sigtimedwait(2) fills `info` if it returns a signal; si_value is set for one sent by sigqueue(3), and for
    // one sent by kill(2) it is a number that is not used.
    unsafe {
        let mut info = mem::zeroed::<libc::siginfo_t>();
        let signal = libc::sigtimedwait(set, &raw mut info, &raw const at_once);
        (signal > 0).then(|| (signal, info.si_value().sival_ptr.addr()))
    }
}
