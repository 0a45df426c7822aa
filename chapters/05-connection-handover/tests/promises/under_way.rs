//! A request that is under way when the drain begins is finished.

use std::io::Write as _;
use std::thread;

use testkit::{Ending, Wire, assert_ends_well};

use crate::server::{drain, start};

#[test]
fn a_stream_is_delivered_to_its_last_line() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    client.get("/stream?chunks=3&interval=100ms");
    client.wait_for("line 1 of 3\n");
    drain(&mut server);
    assert_eq!(client.reply().text(), "line 1 of 3\nline 2 of 3\nline 3 of 3\n");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_sleeper_wakes_up_and_answers() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    // Two requests in one write: with the answer to the first, the second has been read, too.
    client.send("GET / HTTP/1.1\r\nHost: lab\r\n\r\nGET /sleep/?duration=300ms HTTP/1.1\r\nHost: lab\r\n\r\n");
    client.reply();
    drain(&mut server);
    let reply = client.reply();
    assert!(reply.text().contains("slept for 300000000 nanoseconds"), "{reply:?}");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_body_of_known_length_is_read_to_its_end_and_echoed() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    client.wait_for("first");
    drain(&mut server);
    client.send("-half");
    assert_eq!(client.reply().text(), "first-half");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_chunked_body_is_read_to_its_end_and_echoed() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client.wait_for("first");
    drain(&mut server);
    client.send("5\r\n-half\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "first-half");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn a_body_that_comes_byte_by_byte_during_the_drain_is_echoed() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 26\r\n\r\na");
    client.wait_for("\r\n\r\na");
    drain(&mut server);
    for letter in b'b'..=b'z' {
        client.send([letter]);
        client.wait_for(char::from(letter).encode_utf8(&mut [0; 4]));
    }
    assert_eq!(client.reply().text(), "abcdefghijklmnopqrstuvwxyz");
    drop(client);
    assert_ends_well(server);
}

#[test]
fn readyz_is_503_from_the_moment_the_drain_begins() {
    let mut server = start(&[]);
    let mut before = Wire::connect(server.address());
    let reply = before.ask("/readyz");
    assert_eq!((reply.status, reply.text().as_str()), (200, "ready\n"));
    drain(&mut server);
    let reply = before.ask("/readyz");
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (503, "stopping\n"),
        "after `draining` was logged, the server is not ready"
    );
    assert!(reply.says_close(), "{reply:?}");
    drop(before);
    assert_ends_well(server);
}

/// More than the socket buffers of both sides can hold: 4 MiB to send (`tcp_wmem`), and what a client that does not read
/// is granted to receive.
const LARGE: usize = 16 << 20;

#[test]
fn a_large_answer_is_delivered_to_a_client_that_reads_slowly() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    let mut sender = client.sender();
    let body: Vec<u8> = (0..=250).cycle().take(LARGE).collect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {LARGE}\r\n\r\n");
    thread::scope(|scope| {
        // It can only send as fast as the server reads, and the server reads as fast as the client does.
        scope.spawn(|| sender.write_all(&[head.as_bytes(), &body].concat()).expect("the server reads all of it"));
        client.wait_for("\r\n\r\n");
        drain(&mut server);
        let reply = client.reply();
        assert!(reply.body == body, "the echo of {LARGE} bytes came back with {} bytes, or changed", reply.body.len());
    });
    drop((client, sender));
    assert_ends_well(server);
}

#[test]
fn an_answer_still_in_the_kernel_when_the_process_ends_arrives() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    let body = "0123456789".repeat(20_000);
    client.send(format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    drain(&mut server);
    // The server closes after the client has been silent for two seconds, and ends. Only then does the client read.
    assert_ends_well(server);
    assert_eq!(client.reply().text(), body);
    assert_eq!(client.ending(), Ending::Eof);
}

#[test]
fn what_the_client_sent_too_much_does_not_destroy_its_answer() {
    let server = start(&[]);
    let mut client = Wire::connect(server.address());
    let body = "x".repeat(200_000);
    let head = "POST /echo HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n";
    let unwanted = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n".repeat(100_000);
    // The client does not read before it has sent all. A server that closed with unread bytes would reset the
    // connection: this write would fail, and so would the read of what had not left the server yet.
    client.send([head, &body, &unwanted].concat());
    let reply = client.reply();
    assert_eq!(reply.text(), body, "look at State::poll_shutdown in gate.rs");
    assert!(reply.says_close(), "the client asked for it: {:?}", reply.headers);
    assert_eq!(client.ending(), Ending::Eof);
}
