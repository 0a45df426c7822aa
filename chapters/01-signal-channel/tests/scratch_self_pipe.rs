//! What step 2 promises. There is one pipe for each process, so there is one test.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{SysconfVar, sysconf};
use signal_channel::scratch::s2_self_pipe::SelfPipe;

#[test]
fn a_full_pipe_drops_the_signal_and_never_blocks() {
    let mut pipe = SelfPipe::open(&[Signal::SIGUSR1, Signal::SIGUSR2]).expect("both can be caught");
    assert!(SelfPipe::open(&[Signal::SIGUSR1]).is_err(), "the handler can only write to one pipe");

    // The kernel gives a pipe 16 pages (pipe(7)), and room again when a whole page has been read.
    let page = sysconf(SysconfVar::PAGE_SIZE).expect("every system has pages").expect("of some size");
    let page = usize::try_from(page).expect("a size is positive");
    let sent = 17 * page;
    let (done, raised) = mpsc::channel();
    thread::spawn(move || {
        (0..sent).for_each(|_| raise(Signal::SIGUSR1).expect("a thread can signal itself"));
        done.send(()).expect("the test waits for this");
    });
    raised.recv_timeout(Duration::from_secs(20)).expect("the handler waits for a reader: is the pipe non-blocking?");

    Errno::set_raw(12_345);
    raise(Signal::SIGUSR1).expect("a thread can signal itself");
    assert_eq!(Errno::last_raw(), 12_345, "write(2) failed in the handler, and the interrupted code must not see that");

    for _ in 0..page {
        assert_eq!(pipe.next(), Some(Signal::SIGUSR1));
    }
    raise(Signal::SIGUSR2).expect("a thread can signal itself");
    let kept = page + pipe.take_while(|signal| *signal == Signal::SIGUSR1).count();
    assert!(kept <= 16 * page, "{kept} of {sent} signals were kept: the pipe was never full, so this proves nothing");
}
