//! A connection on which nothing is under way when the drain begins: its next request is answered, and then it ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::{Ending, Wire, assert_ends_well};

use crate::server::{drain, freeze, start};

/// The answer arrives and says `close`, and then the connection ends.
#[track_caller]
fn assert_answers_and_closes(client: &mut Wire) {
    let reply = client.ask("/");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.says_close(), "in a drain, an answer says that it is the last: {:?}", reply.headers);
    assert_eq!(client.ending(), Ending::Eof);
}

#[test]
fn a_keep_alive_client_is_answered_once_more_and_told() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    for _ in 0..2 {
        let reply = client.ask("/");
        assert_eq!(reply.all("connection"), [""; 0], "before the drain, HTTP/1.1 is kept alive without a word");
    }
    drain(&mut server);
    assert_answers_and_closes(&mut client);
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_fresh_connection_is_answered() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    assert_answers_and_closes(&mut client);
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_post_after_the_drain_began_is_echoed() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.reply().text(), "hello");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_request_that_came_in_half_before_the_drain_is_answered() {
    let mut server = start(&[]);
    let get = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
    let halves = [get.split_at(10), ("P", "OST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n")];
    let mut clients = halves.map(|(start, rest)| {
        let mut client = Wire::connect(server.address());
        client.send(start);
        (client, rest)
    });
    drain(&mut server);
    for (client, rest) in &mut clients {
        client.send(rest);
        assert!(client.reply().says_close());
    }
    drop(clients);
    assert_ends_well(server);
}

#[test]
fn connections_in_the_accept_queue_are_answered() {
    let server = start(&[]);
    freeze(&server);
    // The kernel completes handshakes without asking the server.
    let mut clients: Vec<Wire> = (0..64).map(|_| Wire::connect(server.address())).collect();
    for client in &mut clients {
        client.get("/");
    }
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGCONT);
    for mut client in clients {
        assert_eq!(client.reply().status, 200, "it was connected before the signal was sent");
    }
    assert_ends_well(server);
}

#[test]
fn silent_clients_do_not_hold_the_drain_until_the_deadline() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut fresh = Wire::connect(server.address());
    let mut kept_alive = Wire::connect(server.address());
    kept_alive.ask("/");
    drain(&mut server);
    assert_ends_well(server);
    assert_eq!(fresh.ending(), Ending::Eof);
    assert_eq!(kept_alive.ending(), Ending::Eof);
}

/// A client that keeps its side open after its last answer does not hold a drain, and is not counted as cut.
#[track_caller]
fn a_client_that_stays_costs_nothing(drain_timeout: &str) {
    let mut server = start(&["--drain-timeout", drain_timeout]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    assert_answers_and_closes(&mut client);
    assert_ends_well(server);
    drop(client);
}

#[test]
fn a_client_that_does_not_close_its_side_does_not_hold_the_drain() {
    a_client_that_stays_costs_nothing("1h");
}

#[test]
fn an_answer_whose_client_does_not_close_its_side_is_not_counted_as_cut() {
    // The deadline is shorter than the linger timeout.
    a_client_that_stays_costs_nothing("500ms");
}

#[test]
fn http_1_0_keep_alive_is_kept_alive_until_the_drain_and_then_told() {
    const KEEP_ALIVE: &str = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    for _ in 0..2 {
        client.send(KEEP_ALIVE);
        let reply = client.reply();
        assert_eq!(reply.header("connection"), Some("keep-alive"), "an HTTP/1.0 client has to be told: {reply:?}");
    }
    drain(&mut server);
    client.send(KEEP_ALIVE);
    let reply = client.reply();
    assert_eq!(reply.version, "HTTP/1.0");
    assert_eq!(reply.all("connection"), ["close"], "with `keep-alive` beside it, `ab -k` sends its next request here");
    assert_eq!(client.ending(), Ending::Eof);
    drop(client);
    assert_ends_well(server);
}

#[test]
fn http_1_0_without_keep_alive_is_answered_in_a_drain() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    assert_eq!(client.ending(), Ending::Eof);
    drop(client);
    assert_ends_well(server);
}

/// The body behind it, which no handler reads, does not destroy the answer on its way.
#[test]
fn a_request_that_names_no_host_is_400_and_its_connection_is_closed_politely() {
    let mut server = start(&[]);
    for (first, host) in
        [("POST /echo HTTP/1.1", ""), ("POST /echo HTTP/1.0", "Connection: keep-alive\r\nHost: a b\r\n")]
    {
        let mut client = Wire::connect(server.address());
        client.send([&format!("{first}\r\n{host}Content-Length: 100000\r\n\r\n"), &*"x".repeat(100_000)].concat());
        let reply = client.reply();
        assert!(reply.status == 400 && reply.text().contains("host"), "{reply:?}");
        assert!(reply.all("connection")[0].starts_with("close"), "{reply:?}");
        assert_eq!(client.ending(), Ending::Eof);
    }
    drain(&mut server);
    assert_ends_well(server);
}

/// The server does not run for a while, and then finds the timeout past and the request there.
#[test]
fn a_request_that_arrives_before_the_idle_timeout_is_noticed_is_answered() {
    let server = start(&["--idle-timeout", "2s", "--head-timeout", "1s"]);
    let (mut fresh, mut kept): (Vec<_>, Vec<_>) =
        (0..20).map(|_| (Wire::connect(server.address()), Wire::connect(server.address()))).unzip();
    for client in &mut kept {
        assert_eq!(client.ask("/").status, 200);
    }
    // One whose framing the gate has lost.
    fresh[0].send("GET / HTTP/1.1\r\nHost: lab\nX: y\r\n\r\n");
    assert_eq!(fresh[0].reply().status, 200);
    freeze(&server);
    let frozen = Instant::now();
    for client in fresh.iter_mut().chain(&mut kept) {
        client.get("/");
    }
    std::thread::sleep(Duration::from_millis(3500));
    server.signal(Signal::SIGCONT);
    for client in fresh.iter_mut().chain(&mut kept) {
        assert_eq!(client.reply().status, 200, "it had asked {:?} ago", frozen.elapsed());
    }
    for client in fresh.iter_mut().chain(&mut kept) {
        assert_eq!(client.ending(), Ending::Eof, "and then it was idle");
    }
}
