//! What step 3 promises: Go's `Notify`, `Stop`, `Ignore` and `Reset`.
//!
//! Dispositions belong to the whole process, and these tests share one process: each has its own signals.

use std::collections::BTreeSet;
use std::thread;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, raise, sigaction};
use nix::unistd::getpid;
use signal_channel::Signal;
use signal_channel::scratch::s3_registry::{ignore, notify, reset, stop};
use testkit::Census;
use tokio::sync::mpsc::{Receiver, channel};

fn send(signal: Signal) {
    raise(signal).expect("a thread can signal itself");
}

fn waiting(receiver: &mut Receiver<Signal>) -> Vec<Signal> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

fn has(signals: &BTreeSet<u32>, signal: Signal) -> bool {
    signals.contains(&(signal as u32))
}

#[test]
fn a_channel_gets_the_signals_in_its_mask_and_no_others() {
    let (few, mut few_end) = channel(8);
    let (all, mut all_end) = channel(8);
    notify(&few, &[Signal::SIGUSR1]).expect("SIGUSR1 can be caught");
    notify(&all, &[Signal::SIGUSR1, Signal::SIGUSR2]).expect("both can be caught");

    for signal in [Signal::SIGUSR2, Signal::SIGUSR1] {
        send(signal);
        // The dispatcher goes from channel to channel in the order of registration: `few` has been served.
        assert_eq!(all_end.blocking_recv(), Some(signal));
    }
    assert_eq!(waiting(&mut few_end), [Signal::SIGUSR1], "SIGUSR2 is not in this channel's mask");
}

#[test]
fn a_second_notify_adds_to_the_mask() {
    let (sender, mut receiver) = channel(8);
    notify(&sender, &[Signal::SIGHUP]).expect("SIGHUP can be caught");
    notify(&sender, &[Signal::SIGQUIT]).expect("SIGQUIT can be caught");
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        send(signal);
        assert_eq!(receiver.blocking_recv(), Some(signal), "both calls count");
    }
}

#[test]
fn a_full_channel_drops_the_signal_and_never_blocks() {
    let (full, mut full_end) = channel(1);
    let (read, mut read_end) = channel(1);
    notify(&full, &[Signal::SIGALRM]).expect("SIGALRM can be caught");
    notify(&read, &[Signal::SIGALRM]).expect("SIGALRM can be caught");
    for _ in 0..3 {
        send(Signal::SIGALRM);
        assert_eq!(read_end.blocking_recv(), Some(Signal::SIGALRM), "the full channel must not keep it from this one");
    }
    assert_eq!(waiting(&mut full_end).len(), 1, "there was room for one; the others should be gone");
}

#[test]
fn what_was_caught_before_stop_arrives_and_nothing_after() {
    let (stopped, mut stopped_end) = channel(8);
    let (other, mut other_end) = channel(8);
    notify(&stopped, &[Signal::SIGVTALRM]).expect("SIGVTALRM can be caught");
    notify(&other, &[Signal::SIGVTALRM]).expect("SIGVTALRM can be caught");

    send(Signal::SIGVTALRM);
    stop(&stopped).expect("what can be caught can be given back");
    assert_eq!(waiting(&mut stopped_end), [Signal::SIGVTALRM], "it was caught before stop, so stop must deliver it");
    assert_eq!(other_end.blocking_recv(), Some(Signal::SIGVTALRM));

    send(Signal::SIGVTALRM);
    assert_eq!(other_end.blocking_recv(), Some(Signal::SIGVTALRM), "another channel wants it: it must still be caught");
    assert_eq!(waiting(&mut stopped_end), [], "after stop has returned nothing may arrive");
}

#[test]
fn nothing_arrives_after_stop_however_fast_the_signals_come() {
    // Its default action is to be ignored, so it does no harm once no channel wants it.
    let signal = Signal::SIGURG;
    for _ in 0..50 {
        let (sender, mut receiver) = channel(1_000_000);
        notify(&sender, &[signal]).expect("SIGURG can be caught");
        thread::scope(|scope| {
            let storm = scope.spawn(|| (0..1000).for_each(|_| send(signal)));
            assert_eq!(receiver.blocking_recv(), Some(signal));
            stop(&sender).expect("what can be caught can be given back");
            let at_stop = receiver.len();
            storm.join().expect("a storm only sends");
            assert_eq!(receiver.len(), at_stop, "a signal arrived after stop had returned");
        });
    }
}

#[test]
fn the_last_stop_restores_what_was_there_before() {
    let ignored = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: sigaction(2) may only install a handler that is async-signal-safe; SIG_IGN is no handler at all.
    unsafe { sigaction(Signal::SIGTTIN, &ignored) }.expect("SIGTTIN can be ignored");
    let (one, _one_end) = channel(1);
    let (other, _other_end) = channel(1);
    notify(&one, &[Signal::SIGTTIN]).expect("SIGTTIN can be caught");
    notify(&other, &[Signal::SIGTTIN]).expect("SIGTTIN can be caught");

    stop(&one).expect("what can be caught can be given back");
    assert!(has(&Census::of(getpid()).caught, Signal::SIGTTIN), "the other channel still wants it");
    stop(&other).expect("what can be caught can be given back");
    assert!(has(&Census::of(getpid()).ignored, Signal::SIGTTIN), "it was ignored at first, so it should be again");
}

#[test]
fn ignore_takes_a_signal_from_every_channel_and_from_the_process() {
    let (sender, mut receiver) = channel(8);
    notify(&sender, &[Signal::SIGTTOU, Signal::SIGPROF]).expect("both can be caught");
    ignore(&[Signal::SIGTTOU]).expect("SIGTTOU can be ignored");
    assert!(has(&Census::of(getpid()).ignored, Signal::SIGTTOU));

    send(Signal::SIGTTOU);
    send(Signal::SIGPROF);
    assert_eq!(receiver.blocking_recv(), Some(Signal::SIGPROF), "the rest of the mask stays");
    assert_eq!(waiting(&mut receiver), []);
}

#[test]
fn a_signal_that_was_ignored_can_be_asked_for_again() {
    ignore(&[Signal::SIGXCPU]).expect("SIGXCPU can be ignored");
    let (sender, mut receiver) = channel(8);
    notify(&sender, &[Signal::SIGXCPU]).expect("SIGXCPU can be caught");
    send(Signal::SIGXCPU);
    assert_eq!(receiver.blocking_recv(), Some(Signal::SIGXCPU));
}

#[test]
fn reset_takes_a_signal_from_every_channel_and_restores_what_was_there_before() {
    let (sender, mut receiver) = channel(8);
    ignore(&[Signal::SIGWINCH]).expect("SIGWINCH can be ignored");
    notify(&sender, &[Signal::SIGWINCH]).expect("SIGWINCH can be caught");
    reset(&[Signal::SIGWINCH]).expect("what can be caught can be given back");

    let census = Census::of(getpid());
    assert!(!has(&census.caught, Signal::SIGWINCH), "reset should undo notify");
    assert!(!has(&census.ignored, Signal::SIGWINCH), "reset should undo ignore too: the default was there first");
    send(Signal::SIGWINCH);
    assert_eq!(waiting(&mut receiver), []);
}
