//! The program under test.

use std::process::Command;

use lab::{Generations, Reply, Wire, await_exit};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_connection-handover");

/// Starts the program on one free port.
pub(crate) fn start(more: &[&str]) -> Generations {
    Generations::start(Command::new(BINARY).args(["--listen", "127.0.0.1:0"]).args(more), 1)
}

/// Upgrades, and waits until the old process is gone: with its connections, wherever they are now.
pub(crate) fn replace(server: &mut Generations) {
    await_exit(server.upgrade());
}

/// Asserts that this is an answer of that generation, after which the connection stays.
#[track_caller]
pub(crate) fn assert_kept(reply: &Reply, generation: u64) {
    let answered_by = reply.header("x-generation");
    assert_eq!(answered_by, Some(&*generation.to_string()), "another generation should have answered: {reply:?}");
    assert!(!reply.says_close(), "the connection should stay open: {reply:?}");
}

/// Asserts that the connection is served by that generation, and stays.
#[track_caller]
pub(crate) fn assert_served_by(client: &mut Wire, generation: u64) {
    assert_kept(&client.ask("/"), generation);
}
