use std::io::{Write as _, pipe};

use exercises::ch1_errno::{WRITE_END, on_signal};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

#[test]
fn a_handler_leaves_errno_as_it_was_even_when_the_pipe_is_full() {
    let (_read_end, mut write_end) = pipe().unwrap();
    fcntl(&write_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while write_end.write(&[0; 4096]).is_ok() {}
    WRITE_END.set(write_end).unwrap();
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler calls write(2), which signal-safety(7) allows.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();

    // Some call has failed with ENOENT …
    Errno::ENOENT.set();
    // … and before the program has looked, a signal arrives.
    raise(Signal::SIGUSR2).unwrap();

    assert_eq!(
        Errno::last(),
        Errno::ENOENT,
        "the interrupted code asks why its call failed, and gets the errno of the handler's: write(2) on a full \
         pipe fails with EAGAIN. Which code has to put errno back?"
    );
}
