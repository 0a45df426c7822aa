//! What a dropped receiver leaves behind, in a file of its own: counting needs a process where nothing else happens.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::unistd::getpid;
use signal_channel::{Signal, notify};
use testkit::Census;

#[test]
fn a_dropped_receiver_leaves_no_thread_and_no_descriptor() {
    let before = Census::of(getpid());
    let receiver = notify(&[Signal::SIGUSR1]).expect("SIGUSR1 can be caught");
    let during = Census::of(getpid());
    assert_eq!(during.threads, before.threads + 1, "a receiver has one thread");
    assert!(during.targets("socket:").all(|(_, socket)| socket.cloexec), "our children must not hold our signals");

    let (done, dropped) = mpsc::channel();
    thread::spawn(move || {
        drop(receiver);
        done.send(()).expect("the test waits for this");
    });
    dropped.recv_timeout(Duration::from_secs(20)).expect("the drop waits for a thread that does not end");
    let after = Census::of(getpid());
    // The thread owns one of the sockets and closes it as the last thing it does.
    assert_eq!(after.descriptors, before.descriptors, "the drop should have joined the thread and closed both sockets");
    assert!(after.caught.contains(&(Signal::SIGUSR1 as u32)), "signal-hook keeps its handler: our docs say so");
}
