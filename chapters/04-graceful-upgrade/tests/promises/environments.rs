//! Who starts the server should not matter.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use testkit::{Census, Generations, await_exit, children};

use crate::server::deployment;

/// The parent ignores and blocks the signals that the server needs, like `nohup` or a careless supervisor.
#[test]
fn a_parent_that_ignores_and_blocks_the_signals_changes_nothing() {
    let deployment = deployment();
    let mut command = Command::new(deployment.server());
    command.args(["--listen", "127.0.0.1:0"]);
    let signals = [Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD, Signal::SIGPIPE];
    // SAFETY: between fork and exec, only sigaction(2), to ignore signals, and sigprocmask(2) are called, which are
    // async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            for signal in signals {
                sigaction(signal, &ignore)?;
            }
            Ok(SigSet::all().thread_block()?)
        });
    }
    let mut server = Generations::start(&mut command, 1);
    let (blocked, first) = (Census::of(server.serving).blocked, server.serving);

    deployment.put_script("exit 7");
    assert!(server.upgrade_in_vain().contains("it exited with status 7"), "the child should be reaped by its parent");
    assert_eq!(children(first), []);
    deployment.put_binary();
    await_exit(server.upgrade());
    server.assert_answered_by(2);
    assert_eq!(Census::of(server.serving).blocked, blocked, "the mask is passed on as it was");
    server.stop();
}
