//! What [`notify`] promises to the program that calls it.
//!
//! Dispositions belong to the whole process, and these tests share one process: each has its own signals.

use std::io::ErrorKind;

use nix::sys::signal::{SigHandler, raise, signal};
use signal_channel::{Signal, notify};

#[test]
fn blocking_code_hears_a_signal() {
    let mut signals = notify(&[Signal::SIGUSR1]).expect("SIGUSR1 can be caught");
    raise(Signal::SIGUSR1).expect("a thread can signal itself");
    assert_eq!(signals.blocking_recv(), Some(Signal::SIGUSR1));
}

#[tokio::test]
async fn async_code_hears_a_signal() {
    let mut signals = notify(&[Signal::SIGUSR2]).expect("SIGUSR2 can be caught");
    raise(Signal::SIGUSR2).expect("a thread can signal itself");
    assert_eq!(signals.recv().await, Some(Signal::SIGUSR2));
}

#[test]
fn a_receiver_hears_each_of_its_signals() {
    let mut signals = notify(&[Signal::SIGALRM, Signal::SIGVTALRM]).expect("both can be caught");
    for signal in [Signal::SIGVTALRM, Signal::SIGALRM] {
        raise(signal).expect("a thread can signal itself");
        assert_eq!(signals.blocking_recv(), Some(signal));
    }
}

#[test]
fn two_receivers_both_hear_the_signal() {
    let mut one = notify(&[Signal::SIGWINCH]).expect("SIGWINCH can be caught");
    let mut other = notify(&[Signal::SIGWINCH]).expect("a signal can be asked for twice");
    raise(Signal::SIGWINCH).expect("a thread can signal itself");
    assert_eq!(one.blocking_recv(), Some(Signal::SIGWINCH));
    assert_eq!(other.blocking_recv(), Some(Signal::SIGWINCH));
}

#[test]
fn when_one_receiver_is_dropped_the_other_still_hears() {
    // Under nohup(1) these tests ignore SIGHUP, and `notify` would leave it so.
    // SAFETY: SIG_DFL is no handler.
    unsafe { signal(Signal::SIGHUP, SigHandler::SigDfl) }.expect("SIGHUP can be caught");
    let dropped = notify(&[Signal::SIGHUP]).expect("SIGHUP can be caught");
    let mut kept = notify(&[Signal::SIGHUP]).expect("a signal can be asked for twice");
    drop(dropped);
    raise(Signal::SIGHUP).expect("a thread can signal itself");
    assert_eq!(kept.blocking_recv(), Some(Signal::SIGHUP));
}

#[test]
fn after_a_drop_the_signal_does_nothing_and_can_be_asked_for_again() {
    drop(notify(&[Signal::SIGPROF]).expect("SIGPROF can be caught"));
    // Its default action would end this test: signal-hook's handler is still there, as the docs of `Receiver` say.
    raise(Signal::SIGPROF).expect("a thread can signal itself");

    let mut again = notify(&[Signal::SIGPROF]).expect("a signal can be asked for again");
    raise(Signal::SIGPROF).expect("a thread can signal itself");
    assert_eq!(again.blocking_recv(), Some(Signal::SIGPROF));
}

#[test]
fn a_signal_that_cannot_be_caught_is_refused_with_a_sentence() {
    use Signal::{SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP};
    for signal in [SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE] {
        let error = notify(&[Signal::SIGIO, signal]).expect_err("this signal cannot be caught");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(signal.as_str()), "the sentence should name {signal}: {error}");
    }
}

#[test]
fn an_empty_list_is_refused_because_in_go_it_means_every_signal() {
    let error = notify(&[]).expect_err("a receiver that gets no signal is of no use");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
