//! What cannot be finished is cut at the deadline, or at once by a second signal; and it is counted and logged.

use std::os::unix::process::CommandExt as _;
use std::thread;

use graceful_shutdown::ONE_WISH;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use testkit::{End, Program, Wire};

use crate::server::{Server, command};

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

/// Many idle clients do not count as requests, however long it takes to close them all.
#[track_caller]
fn assert_idle_clients_are_not_cut(deadline: &str) {
    const CLIENTS: u32 = 2000;
    testkit::load::allow_descriptors(CLIENTS);
    let mut server = Server::start(&["--drain-timeout", deadline]);
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| server.connect()).collect();
    // The queue is first in, first out: when the last one was answered, all of them were accepted.
    assert_eq!(clients.last_mut().expect("there are many").ask("/").status, 200);
    server.drain();
    server.assert_ends_well();
}

#[test]
fn idle_clients_are_not_counted_as_cut_at_a_deadline_that_comes_before_their_time() {
    assert_idle_clients_are_not_cut("1s");
}

#[test]
fn idle_clients_are_not_counted_as_cut_at_a_deadline_of_zero() {
    assert_idle_clients_are_not_cut("0s");
}

#[test]
fn a_deadline_too_long_for_the_clock_is_none() {
    // The longest that the option takes: i64 seconds.
    let mut server = Server::start(&["--drain-timeout", "9223372036854775807s"]);
    let mut client = server.connect();
    client.get("/stream?chunks=2&interval=300ms");
    client.wait_for("line 1 of 2");
    server.drain();
    assert_eq!(client.reply().text(), "line 1 of 2\nline 2 of 2\n", "the drain should go on, not end in a panic");
    drop(client);
    server.assert_ends_well();
}

#[track_caller]
fn assert_second_signal_ends(first: Signal, second: Signal, code: i32) {
    let mut server = Server::start(&["--drain-timeout", "1h"]);
    let client = endless(&server);
    server.program.signal(first);
    server.program.line("draining");
    // A person takes at least this long.
    thread::sleep(2 * ONE_WISH);
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
fn two_signals_that_come_together_are_one_wish() {
    let server = Server::start(&["--drain-timeout", "1h"]);
    let mut client = server.connect();
    client.get("/stream?chunks=2&interval=300ms");
    client.wait_for("line 1 of 2");
    server.freeze();
    // A wrapper passes on what its whole process group got. (The kernel would merge two equal ones.)
    server.program.signal(Signal::SIGTERM);
    server.program.signal(Signal::SIGINT);
    server.program.signal(Signal::SIGCONT);
    assert_eq!(client.reply().text(), "line 1 of 2\nline 2 of 2\n", "the second signal should not cut");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_server_without_clients_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let server = Server::start(&["--drain-timeout", "1h"]);
        server.program.signal(signal);
        server.assert_ends_well();
    }
}

#[test]
fn the_end_of_its_terminal_stops_it_gracefully_and_under_nohup_not_at_all() {
    for nohup in [false, true] {
        let mut command = command(&["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]);
        if nohup {
            // SAFETY: between fork and exec, only sigaction(2) is called, which is async-signal-safe; SIG_IGN is no handler.
            unsafe {
                command.pre_exec(|| {
                    sigaction(Signal::SIGHUP, &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty()))?;
                    Ok(())
                });
            }
        }
        let mut program = Program::start(&mut command);
        let mut server = Server { address: program.listening(), program };
        let mut client = server.connect();
        client.get("/stream?chunks=2&interval=300ms");
        client.wait_for("line 1 of 2");
        server.program.signal(Signal::SIGHUP);
        if !nohup {
            server.program.line("draining");
        }
        assert!(client.reply().text().ends_with("line 2 of 2\n"));
        assert_eq!(client.ask("/").says_close(), !nohup);
        drop(client);
        if nohup {
            server.drain();
        }
        server.assert_ends_well();
    }
}
