//! The program under test.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::{Generations, try_await_exit};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_every-connection");

/// How many upgrades a client has to keep its connection through. `UPGRADES=100` tries as many.
pub(crate) fn upgrades() -> u32 {
    std::env::var("UPGRADES").ok().map_or(20, |upgrades| upgrades.parse().expect("UPGRADES is a number"))
}

/// A program with the options of ours, and none of them from the environment.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["LISTEN", "DRAIN_TIMEOUT", "IDLE_TIMEOUT", "HEAD_TIMEOUT", "READY_TIMEOUT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    start_other(Path::new(BINARY), more)
}

/// Starts another one that has its options.
pub(crate) fn start_other(program: &Path, more: &[&str]) -> Generations {
    Generations::start(command(program).args(["--listen", "127.0.0.1:0"]).args(more), 1)
}

/// Upgrades, and waits until the old process is gone: with its connections, wherever they are now.
pub(crate) fn replace(server: &mut Generations) {
    let old = server.upgrade();
    assert!(try_await_exit(old).is_ok(), "its connections should have gone; the log:\n{}", server.program.output());
}

/// Sends SIGTERM, and returns when the drain has begun.
pub(crate) fn drain(server: &mut Generations) {
    server.signal(Signal::SIGTERM);
    server.program.line(&format!("draining pid={} ", server.serving));
}
