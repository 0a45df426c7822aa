//! The program under test.

use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{End, Generations, await_exit};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_every-connection");

/// The program, with none of its options from the environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(BINARY);
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "IDLE_TIMEOUT", "HEAD_TIMEOUT", "READY_TIMEOUT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(command().args(["--listen", "127.0.0.1:0"]).args(more), 1)
}

/// Upgrades, and waits until the old process is gone: with its connections, wherever they are now.
pub(crate) fn replace(server: &mut Generations) {
    await_exit(server.upgrade());
}

/// Sends SIGTERM, and returns when the drain has begun.
pub(crate) fn drain(server: &mut Generations) {
    server.signal(Signal::SIGTERM);
    server.program.line(&format!("draining pid={} ", server.serving));
}

/// Waits for the end of the process that was started, and of all others, and asserts that no request was cut.
#[track_caller]
pub(crate) fn assert_ends_well(mut server: Generations) {
    let end = server.program.wait();
    let log = server.program.wait_all();
    assert_eq!(end, End::Exited(0), "everything was answered, so the status should be 0; the log:\n{log}");
    assert!(!log.contains("ERROR"), "everything was answered, so there is nothing to complain about:\n{log}");
}
