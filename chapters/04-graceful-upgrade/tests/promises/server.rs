//! The program under test, and moments in its life that are held open.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use testkit::{Deployment, Generations, Wire, field, freeze, is_in_mask, sleeps_in_its_runtime, wait_until};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graceful-upgrade");

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(Command::new(BINARY).args(["--listen", "127.0.0.1:0"]).args(more), 1)
}

/// The body of one answer, over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> String {
    Wire::connect(address).ask(path).text()
}

/// A place with the program in it.
pub(crate) fn deployment() -> Deployment {
    Deployment::of(BINARY)
}

/// A server that is frozen between its successor's *ready* and its own answer to it, and the successor.
pub(crate) fn frozen_in_an_upgrade(deployment: &Deployment, more: &[&str]) -> (Generations, Pid) {
    let mut server = deployment.start(more);
    let successor = freeze_in_an_upgrade(deployment, &mut server);
    (server, successor)
}

/// Freezes a server between its successor's *ready* and its own answer to it, and returns the successor.
pub(crate) fn freeze_in_an_upgrade(deployment: &Deployment, server: &mut Generations) -> Pid {
    let gate = deployment.put_gate("");
    server.signal(Signal::SIGUSR2);
    server.program.line("started");
    let line = server.program.line("upgrading");
    let successor = field(&line, "successor").and_then(|pid| pid.parse().ok()).map(Pid::from_raw);
    let successor = successor.expect("the line names the process that was started");
    freeze(server.serving);
    gate.open();
    // It catches signals before it says that it is ready, and from then on only waits for its turn: its first thread
    // enters the runtime after it has said so.
    wait_until("the successor waits for its turn", || {
        is_in_mask(successor, "SigCgt", Signal::SIGUSR2) && sleeps_in_its_runtime(successor)
    });
    successor
}

/// The unix socket at this path, as an address.
pub(crate) fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}
