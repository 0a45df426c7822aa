//! The program under test.

use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;
use testkit::{End, Generations, Reply, TIMEOUT, Wire, await_exit};

/// The program of this chapter.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_connection-handover");

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

/// Stops the first process (SIGSTOP) until SIGCONT: the kernel goes on accepting for it.
pub(crate) fn freeze(server: &Generations) {
    testkit::freeze(server.program.pid());
}

/// Waits for the end of the process that was started, and asserts that its deadline cut this many requests and that the
/// log says so.
#[track_caller]
pub(crate) fn assert_cuts(mut server: Generations, requests: usize) {
    let end = server.program.wait();
    let log = server.program.wait_all();
    assert_eq!(end, End::Exited(3), "requests were cut, so the status should be 3; the log:\n{log}");
    let requests = if requests == 1 { "1 request was".to_owned() } else { format!("{requests} requests were") };
    let said = format!("{requests} cut: the drain ended first");
    assert!(log.contains(&said), "the log should say {said:?}:\n{log}");
}

/// Asserts that this is an answer of that generation, and that the connection stays open.
#[track_caller]
pub(crate) fn assert_kept(reply: &Reply, generation: u64) {
    let answered_by = reply.header("x-generation");
    assert_eq!(answered_by, Some(&*generation.to_string()), "another generation should have answered: {reply:?}");
    assert!(!reply.says_close(), "the connection should stay open: {reply:?}");
}

/// Asserts that that generation serves the connection, and that it stays open.
#[track_caller]
pub(crate) fn assert_served_by(client: &mut Wire, generation: u64) {
    assert_kept(&client.ask("/"), generation);
}

/// Asserts that this is the last answer of that generation on its connection.
#[track_caller]
pub(crate) fn assert_last(reply: &Reply, generation: u64) {
    let answered_by = reply.header("x-generation");
    assert_eq!(answered_by, Some(&*generation.to_string()), "another generation should have answered: {reply:?}");
    assert!(reply.says_close(), "the answer should say that it is the last: {reply:?}");
}

/// Asserts that this generation answers, and soon says that an answer is the last. (An answer from before the successor
/// declined the connection does not say so.)
#[track_caller]
pub(crate) fn assert_told_by(client: &mut Wire, generation: u64) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let reply = client.ask("/");
        if reply.says_close() {
            return assert_last(&reply, generation);
        }
        assert_kept(&reply, generation);
        assert!(Instant::now() < deadline, "no answer says that it is the last: {reply:?}");
    }
}
