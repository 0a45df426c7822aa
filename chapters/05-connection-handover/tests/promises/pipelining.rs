//! Requests sent without waiting for answers: all of them are answered, and only the last answer says `close`.

use std::io::Write as _;
use std::thread;

use testkit::{Ending, Reply, Wire, assert_ends_well};

use crate::server::{drain, start};

const GET: &str = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
const POST: &str = "POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 4\r\n\r\nbody";
/// Long enough for the drain to begin before its second line.
const STREAM: &str = "GET /stream?chunks=2&interval=700ms HTTP/1.1\r\nHost: lab\r\n\r\n";

/// Asserts that this many answers arrive, that only the last one says `close`, and that the connection then ends.
#[track_caller]
fn assert_only_the_last_says_close(mut client: Wire, answers: usize) {
    let replies: Vec<Reply> = (0..answers).map(|_| client.reply()).collect();
    for (number, reply) in (1..).zip(&replies) {
        assert_eq!(reply.status, 200, "answer {number}: {reply:?}");
        assert_eq!(
            reply.says_close(),
            number == answers,
            "answer {number} of {answers}: a client takes `close` as `I read nothing behind this`: {:?}",
            reply.headers
        );
    }
    assert_eq!(client.ending(), Ending::Eof);
}

#[test]
fn requests_behind_a_stream_that_is_under_way_are_answered() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    client.send([STREAM, GET, GET, GET, GET].concat());
    client.wait_for("line 1 of 2");
    drain(&mut server);
    assert_only_the_last_says_close(client, 5);
    assert_ends_well(server);
}

#[test]
fn requests_that_came_after_the_drain_began_are_answered() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    client.send(GET.repeat(5));
    assert_only_the_last_says_close(client, 5);
    assert_ends_well(server);
}

#[test]
fn a_post_among_them_changes_nothing() {
    let mut server = start(&[]);
    let mut during = Wire::connect(server.address());
    let mut after = Wire::connect(server.address());
    during.send([STREAM, GET, POST, POST, GET].concat());
    during.wait_for("line 1 of 2");
    drain(&mut server);
    after.send([GET, POST, GET, POST, GET].concat());
    assert_only_the_last_says_close(after, 5);
    assert_only_the_last_says_close(during, 5);
    assert_ends_well(server);
}

#[test]
fn a_post_at_the_end_is_echoed() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    client.send([GET, GET, POST].concat());
    let texts = [client.reply(), client.reply(), client.reply()].map(|reply| reply.text());
    assert_eq!(texts[2], "body");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn more_requests_than_any_buffer_holds_are_answered() {
    const MANY: usize = 1000;
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    let long = format!("GET / HTTP/1.1\r\nHost: lab\r\nPadding: {}\r\n\r\n", "x".repeat(6000));
    let mut sender = client.sender();
    thread::scope(|scope| {
        let requests = [STREAM, &long.repeat(MANY - 1)].concat();
        scope.spawn(move || sender.write_all(requests.as_bytes()).expect("the server reads all of it"));
        client.wait_for("line 1 of 2");
        drain(&mut server);
        assert_only_the_last_says_close(client, MANY);
    });
    assert_ends_well(server);
}

#[test]
fn a_request_that_arrives_in_two_parts_behind_another_is_answered() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    drain(&mut server);
    let (start, rest) = GET.split_at(10);
    client.send([GET, start].concat());
    let reply = client.reply();
    assert!(!reply.says_close(), "half a request is on its way already: {:?}", reply.headers);
    client.send(rest);
    assert_only_the_last_says_close(client, 1);
    assert_ends_well(server);
}
