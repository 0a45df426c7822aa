use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use exercises::ch1_queue::{carrier, post};
use nix::libc;
use nix::sys::pthread::pthread_self;

#[test]
fn all_hundred_numbers_arrive_in_order() {
    let set = blocked(carrier());

    for value in 1..=100 {
        post(pthread_self(), value).unwrap();
    }

    let received: Vec<c_int> = std::iter::from_fn(|| next(&set)).collect();
    assert_eq!(received.len(), 100, "of a standard signal that is blocked, the kernel keeps one. Which kind queues?");
    assert!(received.iter().copied().eq(1..=100), "the signals queue; but what do they carry?");
}

/// A set of this signal alone, which is blocked in this thread from now on.
fn blocked(signal: c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) writes the whole set; the other two calls read it, and null asks for nothing back.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        assert_eq!(libc::sigaddset(&raw mut set, signal), 0, "{signal} is no signal");
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null_mut());
        set
    }
}

/// The value of the next signal that is pending; `None`: there is none.
fn next(set: &libc::sigset_t) -> Option<c_int> {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: sigtimedwait(2) fills `info` if it returns a signal, and all zeroes is a `siginfo_t` too.
    unsafe {
        let signal = libc::sigtimedwait(set, info.as_mut_ptr(), &raw const at_once);
        (signal > 0).then(|| info.assume_init().si_value().sival_ptr as c_int)
    }
}
