//! What the wrong turns do wrong. Each has one promise of chapter 2 that it breaks, and here is how.

use std::process::Command;

use lab::{End, Ending, Program, Wire};
use nix::sys::signal::Signal;

fn start(name: &str, options: &[&str]) -> (Program, String) {
    let mut command = Command::new(lab::example(env!("CARGO_BIN_EXE_graceful-shutdown"), name));
    command.env_remove("LISTEN").env_remove("DRAIN_TIMEOUT").env_remove("RUST_LOG");
    let mut program = Program::start(command.args(["--listen", "127.0.0.1:0"]).args(options));
    let address = program.listening();
    (program, address)
}

/// A client in the middle of an answer whose second line comes in an hour.
fn in_the_middle(address: &str) -> Wire {
    let mut client = Wire::connect(address);
    client.get("/stream?chunks=2&interval=1h");
    client.wait_for("line 1 of 2\n");
    client
}

/// The last that came of a chunked answer was a chunk, not the end (`0`).
#[track_caller]
fn assert_cut_in_the_middle(mut client: Wire) {
    let (answer, _) = client.rest();
    assert!(answer.ends_with("line 1 of 2\n\r\n"), "the answer should end in the middle, not with {answer:?}");
}

#[test]
fn exit_at_once_cuts_the_request_under_way_and_calls_it_a_success() {
    let (mut program, address) = start("wrong_exit_at_once", &[]);
    let client = in_the_middle(&address);
    program.signal(Signal::SIGTERM);
    assert_cut_in_the_middle(client);
    assert_eq!(program.wait(), End::Exited(0), "not even the status tells");
}

#[test]
fn main_returns_begins_a_drain_that_dies_with_main() {
    let (mut program, address) = start("wrong_main_returns", &["--drain-timeout", "1h"]);
    let client = in_the_middle(&address);
    program.signal(Signal::SIGTERM);
    program.line("draining");
    assert_cut_in_the_middle(client);
    assert_eq!(program.wait(), End::Exited(0), "not even the status tells");
    // It may even say `drained`: the runtime, on its way out, ends the connections first, and then nobody is left.
    let log = program.wait_all();
    assert!(!log.contains("were cut"), "the drain should die before it can count what it cut:\n{log}");
}

#[test]
fn wait_forever_waits_for_one_client_long_after_the_deadline() {
    let (mut program, address) = start("wrong_wait_forever", &["--drain-timeout", "0s"]);
    let mut never_finishes = Wire::connect(&address);
    never_finishes.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000\r\n\r\nfirst");
    never_finishes.wait_for("first");
    let mut finishes = Wire::connect(&address);
    program.signal(Signal::SIGTERM);
    program.line("draining");
    assert_eq!(finishes.ask("/").status, 200);
    assert_eq!(finishes.ending(), Ending::Eof);
    drop(finishes);

    // A deadline of zero has passed, and everybody else is gone. Who answers?
    never_finishes.send("-still there?");
    never_finishes.wait_for("first-still there?");
    assert_eq!(program.count("drained"), 0);
    drop(never_finishes);
    program.line("drained");
    assert_eq!(program.wait(), End::Exited(0));
}

#[test]
fn close_idle_never_answers_requests_that_were_on_their_way() {
    let (mut program, address) = start("wrong_close_idle", &["--drain-timeout", "1h"]);
    let mut fresh = Wire::connect(&address);
    // The queue is first in, first out: with this answer, the fresh connection has been accepted, too.
    let mut kept_alive = Wire::connect(&address);
    assert_eq!(kept_alive.ask("/").status, 200);
    program.signal(Signal::SIGTERM);
    program.line("draining");
    for client in [&mut fresh, &mut kept_alive] {
        // A client that has not seen the close yet may send. Whether it still can is up to the kernel.
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
        let (answer, _) = client.rest();
        assert_eq!(answer, "", "hyper has changed: the request was answered");
    }
    assert_eq!(program.wait(), End::Exited(0), "not even the status tells");
}
