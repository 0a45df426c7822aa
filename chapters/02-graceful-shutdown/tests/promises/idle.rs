//! A connection on which nothing is under way when the drain begins: its next request is answered, and then it ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::load::allow_descriptors;
use testkit::{Ending, Wire};

use crate::server::Server;

/// The idle timeout of a test's server.
const IDLE: Duration = Duration::from_millis(500);

/// The client gets an answer that says `close`, and then its connection is closed.
#[track_caller]
fn assert_answers_and_closes(client: &mut Wire) {
    let reply = client.ask("/");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.says_close(), "in a drain, an answer should say that it is the last: {:?}", reply.headers);
    assert_eq!(client.ending(), Ending::Eof);
}

#[test]
fn a_keep_alive_client_is_answered_once_more_and_told() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    for _ in 0..2 {
        let reply = client.ask("/");
        assert_eq!(reply.all("connection"), [""; 0], "before the drain, HTTP/1.1 is kept alive without a word");
    }
    server.drain();
    assert_answers_and_closes(&mut client);
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_fresh_connection_is_answered() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.drain();
    assert_answers_and_closes(&mut client);
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_post_after_the_drain_began_is_echoed() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.drain();
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.reply().text(), "hello");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_request_that_came_in_half_before_the_drain_is_answered() {
    let mut server = Server::start(&[]);
    let get = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
    let halves = [get.split_at(10), ("P", "OST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n")];
    let mut clients = halves.map(|(start, rest)| {
        let mut client = server.connect();
        client.send(start);
        (client, rest)
    });
    server.drain();
    for (client, rest) in &mut clients {
        client.send(rest);
        assert!(client.reply().says_close());
    }
    drop(clients);
    server.assert_ends_well();
}

#[test]
fn connections_in_the_accept_queue_are_answered() {
    // Enough that the signal is there before the last of them is accepted.
    const CLIENTS: u32 = 1000;
    allow_descriptors(CLIENTS);
    let server = Server::start(&[]);
    server.freeze();
    // The kernel completes handshakes without asking the server.
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.get("/");
    }
    server.program.signal(Signal::SIGTERM);
    server.program.signal(Signal::SIGCONT);
    for mut client in clients {
        assert_eq!(client.reply().status, 200, "it was connected before the signal was sent");
    }
    server.assert_ends_well();
}

#[test]
fn idle_clients_do_not_hold_the_drain_until_the_deadline() {
    let mut server = Server::start(&["--drain-timeout", "1h"]);
    let mut fresh = server.connect();
    let mut kept_alive = server.connect();
    kept_alive.ask("/");
    server.drain();
    server.assert_ends_well();
    assert_eq!(fresh.ending(), Ending::Eof);
    assert_eq!(kept_alive.ending(), Ending::Eof);
}

#[test]
fn a_client_that_does_not_close_its_side_does_not_hold_the_drain() {
    let mut server = Server::start(&["--drain-timeout", "1h"]);
    let mut client = server.connect();
    server.drain();
    assert_answers_and_closes(&mut client);
    server.assert_ends_well();
    drop(client);
}

#[test]
fn http_1_0_without_keep_alive_is_answered_in_a_drain() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.drain();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    assert_eq!(client.ending(), Ending::Eof);
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_connection_may_be_idle_for_the_idle_timeout_and_not_for_twice_as_long() {
    let server = Server::start(&["--idle-timeout", "500ms"]);
    let (mut fresh, mut kept) = (server.connect(), server.connect());
    let begin = Instant::now();
    assert_eq!(kept.ask("/sleep/?duration=600ms").status, 200, "while it is answered, it is not idle");
    let answered = Instant::now();
    assert_eq!([fresh.ending(), kept.ending()], [Ending::Eof; 2]);
    assert!(begin.elapsed() >= IDLE && answered.elapsed() >= IDLE);
    assert!(answered.elapsed() < Duration::from_secs(5), "it was closed after {:?}", answered.elapsed());
}

/// The server does not run for a while, and then finds the timeout past and the request there.
#[test]
fn a_request_that_arrives_before_the_idle_timeout_is_noticed_is_answered() {
    let server = Server::start(&["--idle-timeout", "2s"]);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    // The queue is first in, first out: the others were accepted before this one.
    assert_eq!(server.connect().ask("/").status, 200);
    server.freeze();
    for client in &mut clients {
        client.get("/");
    }
    std::thread::sleep(Duration::from_millis(2500));
    server.program.signal(Signal::SIGCONT);
    for client in &mut clients {
        assert_eq!(client.reply().status, 200);
    }
}
