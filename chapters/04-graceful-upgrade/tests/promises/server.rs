//! The program under test.

use std::process::Command;

use lab::{Deployment, Generations, Wire};

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
