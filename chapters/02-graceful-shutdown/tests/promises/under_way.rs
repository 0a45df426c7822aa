//! A request that is under way when the drain begins is finished.

use std::io::Write as _;
use std::thread;

use testkit::Ending;

use crate::server::Server;

#[test]
fn a_stream_is_delivered_to_its_last_line() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.get("/stream?chunks=3&interval=100ms");
    client.wait_for("line 1 of 3\n");
    server.drain();
    assert_eq!(client.reply().text(), "line 1 of 3\nline 2 of 3\nline 3 of 3\n");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_sleeper_wakes_up_and_answers() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    // Two requests in one write: with the answer to the first, the second has been read, too.
    client.send("GET / HTTP/1.1\r\nHost: lab\r\n\r\nGET /sleep/?duration=300ms HTTP/1.1\r\nHost: lab\r\n\r\n");
    client.reply();
    server.drain();
    let reply = client.reply();
    assert!(reply.text().contains("slept for 300000000 nanoseconds"), "{reply:?}");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_body_of_known_length_is_read_to_its_end_and_echoed() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    client.wait_for("first");
    server.drain();
    client.send("-half");
    assert_eq!(client.reply().text(), "first-half");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_chunked_body_is_read_to_its_end_and_echoed() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    client.wait_for("first");
    server.drain();
    client.send("5\r\n-half\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "first-half");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_body_that_comes_byte_by_byte_during_the_drain_is_echoed() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 26\r\n\r\na");
    client.wait_for("\r\n\r\na");
    server.drain();
    for letter in b'b'..=b'z' {
        client.send([letter]);
        client.wait_for(char::from(letter).encode_utf8(&mut [0; 4]));
    }
    assert_eq!(client.reply().text(), "abcdefghijklmnopqrstuvwxyz");
    drop(client);
    server.assert_ends_well();
}

#[test]
fn readyz_is_503_from_the_moment_the_server_stops() {
    let mut server = Server::start(&[]);
    let mut before = server.connect();
    let reply = before.ask("/readyz");
    assert_eq!((reply.status, reply.text().as_str()), (200, "ready\n"));
    server.drain();
    let reply = before.ask("/readyz");
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (503, "stopping\n"),
        "after `draining` was logged, the server should not call itself ready"
    );
    assert!(reply.says_close(), "{reply:?}");
    drop(before);
    server.assert_ends_well();
}

/// More than the socket buffers of both sides can hold: 4 MiB to send (`tcp_wmem`), and what a client that does not read
/// can buffer.
const LARGE: usize = 16 << 20;

#[test]
fn a_large_answer_is_delivered_to_a_client_that_reads_slowly() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let mut sender = client.sender();
    let body: Vec<u8> = (0..=250).cycle().take(LARGE).collect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {LARGE}\r\n\r\n");
    thread::scope(|scope| {
        // It can only send as fast as the server reads, and the server reads as fast as the client does.
        scope.spawn(|| sender.write_all(&[head.as_bytes(), &body].concat()).expect("the server reads all of it"));
        client.wait_for("\r\n\r\n");
        server.drain();
        let reply = client.reply();
        assert!(reply.body == body, "the echo of {LARGE} bytes came back with {} bytes, or changed", reply.body.len());
    });
    drop((client, sender));
    server.assert_ends_well();
}

#[test]
fn an_answer_still_in_the_kernel_when_the_process_ends_arrives() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let body = "0123456789".repeat(20_000);
    client.send(format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    server.drain();
    // The server closes after two idle seconds, and ends. Only then does the client read.
    server.assert_ends_well();
    assert_eq!(client.reply().text(), body);
    assert_eq!(client.ending(), Ending::Eof);
}
