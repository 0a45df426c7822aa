//! What cannot be finished is cut at the deadline, or at once by a second signal; and it is counted and said.

use std::thread;
use std::time::Duration;

use lab::{End, Program, Wire};
use nix::sys::signal::Signal;

use crate::server::Server;

/// A request that never ends by itself, under way.
fn endless(server: &Server) -> Wire {
    let mut client = server.connect();
    client.get("/stream?chunks=2&interval=1h");
    client.wait_for("line 1 of 2");
    client
}

/// The answer broke off: its second line never came.
#[track_caller]
fn assert_cut_off(mut client: Wire) {
    let (rest, _) = client.rest();
    assert!(!rest.contains("line 2 of 2"), "the answer should have been cut, but came to its end: {rest:?}");
}

#[test]
fn requests_are_cut_at_the_deadline_counted_and_said() {
    let mut server = Server::start(&["--drain-timeout", "200ms"]);
    let mut idle = server.connect();
    idle.ask("/");
    let mut half_a_body = server.connect();
    half_a_body.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    half_a_body.wait_for("first");
    let clients = [endless(&server), endless(&server)];
    server.drain();
    server.assert_cuts(3);
    clients.into_iter().for_each(assert_cut_off);
}

#[test]
fn those_that_finish_in_time_are_counted_as_finished() {
    let mut server = Server::start(&["--drain-timeout", "1s"]);
    let cut = endless(&server);
    let mut finished = server.connect();
    server.drain();
    assert_eq!(finished.ask("/").status, 200);
    let line = server.program.line("1 request was cut: the drain ended first");
    assert!(line.contains("finished=1 cut=1"), "{line:?}");
    server.assert_cuts(1);
    assert_cut_off(cut);
}

#[test]
fn a_deadline_of_zero_cuts_at_once() {
    let mut server = Server::start(&["--drain-timeout", "0s"]);
    let client = endless(&server);
    server.drain();
    server.assert_cuts(1);
    assert_cut_off(client);
}

#[test]
fn half_a_head_cannot_hold_a_drain_past_its_deadline_and_counts_as_cut() {
    let mut server = Server::start(&["--drain-timeout", "200ms"]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: lab\r\n\r\nGET / HT");
    client.reply();
    server.drain();
    server.assert_cuts(1);
    client.rest();
}

#[test]
fn half_a_head_counts_as_cut_on_a_fresh_connection_too() {
    let mut server = Server::start(&["--drain-timeout", "200ms"]);
    // `P` alone may become POST or the preface of HTTP/2.
    let mut clients = ["GET / HTTP/1.1\r\nHos", "P"].map(|start| {
        let mut client = server.connect();
        client.send(start);
        client
    });
    server.drain();
    server.assert_cuts(2);
    for client in &mut clients {
        client.rest();
    }
}

#[test]
fn half_a_head_is_waited_for_longer_than_silence_is() {
    let mut server = Server::start(&["--drain-timeout", "2500ms"]);
    let clients = ["GET / HTTP/1.1\r\nHos", "P"].map(|start| {
        let mut client = server.connect();
        client.send(start);
        client
    });
    server.drain();
    server.assert_cuts(2);
    drop(clients);
}

#[test]
fn a_head_that_drips_in_cannot_hold_a_drain_past_its_deadline() {
    let mut server = Server::start(&["--drain-timeout", "300ms"]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nDrip: ");
    thread::scope(|scope| {
        // Until the server is gone: each byte comes well within anybody's patience.
        scope.spawn(move || {
            while client.try_send("a").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        server.drain();
        server.assert_cuts(1);
    });
}

#[track_caller]
fn assert_second_signal_ends(first: Signal, second: Signal, code: i32) {
    let mut server = Server::start(&["--drain-timeout", "1h"]);
    let client = endless(&server);
    server.program.signal(first);
    server.program.line("draining");
    server.program.signal(second);
    let end = server.program.wait();
    assert_eq!(end, End::Killed(second), "the parent must see death by the second signal: {}", server.program.output());
    assert_eq!(end.code(), code);
    assert_cut_off(client);
}

#[test]
fn a_second_sigterm_ends_at_once_as_143() {
    assert_second_signal_ends(Signal::SIGTERM, Signal::SIGTERM, 143);
}

#[test]
fn a_second_sigint_ends_at_once_as_130() {
    assert_second_signal_ends(Signal::SIGINT, Signal::SIGINT, 130);
}

#[test]
fn sigint_after_sigterm_ends_at_once_as_130() {
    assert_second_signal_ends(Signal::SIGTERM, Signal::SIGINT, 130);
}

#[test]
fn a_server_that_nobody_uses_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start(&["--drain-timeout", "1h"]);
        server.program.signal(signal);
        server.assert_ends_well();
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_drain() {
    // `kill $(pidof …)` from a terminal that is gone: stderr is closed.
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", r#"echo "pid=$$"; exec "$0" --listen 127.0.0.1:0 2>&-"#, env!("CARGO_BIN_EXE_graceful-shutdown")]);
    let mut program = Program::start(&mut sh);
    program.line("pid=");
    // Without a log there is no other way to know that the signals are caught.
    while !lab::Census::of(program.pid()).caught.contains(&(Signal::SIGTERM as u32)) {
        thread::yield_now();
    }
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(), End::Exited(0));
}
