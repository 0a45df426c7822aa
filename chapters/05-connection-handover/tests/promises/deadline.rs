//! What cannot be finished is cut at the deadline and counted as what it is: a request is one, an idle connection is none.

use std::thread;
use std::time::Duration;

use testkit::{End, Ending, Generations, Wire, assert_ends_well, load::allow_descriptors};

use crate::server::{assert_cuts, drain, start};

/// A request that never ends by itself, under way.
fn endless(server: &Generations) -> Wire {
    let mut client = Wire::connect(server.address());
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
fn requests_are_cut_counted_and_said() {
    let mut server = start(&["--drain-timeout", "200ms"]);
    let mut idle = Wire::connect(server.address());
    idle.ask("/");
    let mut half_a_body = Wire::connect(server.address());
    half_a_body.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    half_a_body.wait_for("first");
    let clients = [endless(&server), endless(&server)];
    drain(&mut server);
    assert_cuts(server, 3);
    clients.into_iter().for_each(assert_cut_off);
}

#[test]
fn those_that_finish_in_time_are_counted_as_finished() {
    let mut server = start(&["--drain-timeout", "1s"]);
    let cut = endless(&server);
    let mut finished = Wire::connect(server.address());
    drain(&mut server);
    assert_eq!(finished.ask("/").status, 200);
    let line = server.program.line("1 request was cut: the drain ended first");
    assert!(line.contains("finished=1 cut=1"), "{line:?}");
    assert_cuts(server, 1);
    assert_cut_off(cut);
}

#[test]
fn a_deadline_of_zero_cuts_at_once() {
    let mut server = start(&["--drain-timeout", "0s"]);
    let client = endless(&server);
    drain(&mut server);
    assert_cuts(server, 1);
    assert_cut_off(client);
}

/// An upgrade with a request that does not end: the old process cuts it at its deadline, and nothing else.
#[test]
fn an_upgrade_cuts_what_is_under_way_at_its_deadline() {
    // Time enough for a slow machine to hand one connection over.
    let mut server = start(&["--drain-timeout", "3s"]);
    let cut = endless(&server);
    let mut idle = Wire::connect(server.address());
    idle.ask("/");
    server.upgrade();
    assert_eq!(server.program.wait(), End::Exited(3));
    server.program.line("1 request was cut: the drain ended first");
    assert_cut_off(cut);
    assert_eq!(idle.ask("/").header("x-generation"), Some("2"));
}

#[test]
fn half_a_head_cannot_hold_a_drain_past_its_deadline_and_counts_as_cut() {
    let mut server = start(&["--drain-timeout", "200ms"]);
    let mut kept_alive = Wire::connect(server.address());
    kept_alive.send("GET / HTTP/1.1\r\nHost: lab\r\n\r\nGET / HT");
    kept_alive.reply();
    // `P` alone may become POST or the preface of HTTP/2.
    let fresh = ["GET / HTTP/1.1\r\nHos", "P"].map(|start| {
        let mut client = Wire::connect(server.address());
        client.send(start);
        client
    });
    // The queue is first in, first out, and what was sent before this answer came is there.
    Wire::connect(server.address()).ask("/");
    drain(&mut server);
    assert_cuts(server, 3);
    for mut client in fresh {
        client.rest();
    }
}

#[test]
fn half_a_head_is_waited_for_longer_than_silence_is() {
    let mut server = start(&["--drain-timeout", "2500ms"]);
    let clients = ["GET / HTTP/1.1\r\nHos", "P"].map(|start| {
        let mut client = Wire::connect(server.address());
        client.send(start);
        client
    });
    drain(&mut server);
    assert_cuts(server, 2);
    drop(clients);
}

#[test]
fn a_head_that_drips_in_cannot_hold_a_drain_past_its_deadline() {
    let mut server = start(&["--drain-timeout", "300ms"]);
    let mut client = Wire::connect(server.address());
    client.send("GET / HTTP/1.1\r\nDrip: ");
    thread::scope(|scope| {
        // Until the server is gone: each byte comes well within every timeout.
        scope.spawn(move || {
            while client.try_send("a").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        drain(&mut server);
        assert_cuts(server, 1);
    });
}

/// Many clients that want nothing are no request, however long it takes to close them all.
#[track_caller]
fn assert_idle_clients_are_not_cut(drain_timeout: &str) {
    const CLIENTS: u32 = 2000;
    allow_descriptors(CLIENTS);
    let mut server = start(&["--drain-timeout", drain_timeout]);
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| Wire::connect(server.address())).collect();
    // The queue is first in, first out: when the last one was answered, all of them were accepted.
    assert_eq!(clients.last_mut().expect("there are many").ask("/").status, 200);
    drain(&mut server);
    assert_ends_well(server);
    for mut client in clients {
        client.rest();
    }
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
    let mut server = start(&["--drain-timeout", "9223372036854775807s"]);
    let mut idle = Wire::connect(server.address());
    let mut client = Wire::connect(server.address());
    client.get("/stream?chunks=2&interval=300ms");
    client.wait_for("line 1 of 2");
    server.upgrade();
    assert_eq!(client.reply().text(), "line 1 of 2\nline 2 of 2\n", "the drain should go on, not end in a panic");
    assert_eq!(server.program.wait(), End::Exited(0));
    assert_eq!(idle.ask("/").header("x-generation"), Some("2"));
    server.stop();
    assert_eq!(idle.ending(), Ending::Eof);
}
