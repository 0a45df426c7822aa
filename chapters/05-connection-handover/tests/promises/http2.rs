//! HTTP/2, frame by frame (RFC 9113), so that the test decides what the client does and when.

use std::time::{Duration, Instant};

use testkit::{Ending, Generations, Wire, assert_ends_well};

use crate::server::{assert_cuts, drain, start};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// Of HPACK's static table (RFC 7541, appendix A).
const AUTHORITY: u8 = 1;
const HOST: u8 = 38;
const STATUS_400: u8 = 0x8c;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// "I am leaving, and may still take what you have sent": the highest stream there is.
const ANY_STREAM: u32 = (1 << 31) - 1;

struct Client {
    wire: Wire,
    /// What came while something else was waited for.
    skipped: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Client {
    /// Connected, and nothing said.
    fn connect(server: &Generations) -> Client {
        Client { wire: Wire::connect(server.address()), skipped: Vec::new() }
    }

    /// Connected, and both sides have said that they speak HTTP/2.
    fn connect_and_greet(server: &Generations) -> Client {
        let mut client = Client::connect(server);
        client.wire.send(PREFACE);
        client.settle();
        client
    }

    fn settle(&mut self) {
        self.send(SETTINGS, 0, 0, &[]);
        self.next(SETTINGS);
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("frames of ours are short").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.wire.send([&head, payload].concat());
    }

    /// `GET path`, with two of HPACK's static entries and two short literals (RFC 7541, appendix A).
    fn get(&mut self, stream: u32, path: &str) {
        self.get_from(stream, path, &[(AUTHORITY, "lab")]);
    }

    /// The same, with other fields to name a host.
    fn get_from(&mut self, stream: u32, path: &str, hosts: &[(u8, &str)]) {
        let (method_get, scheme_http, colon_path) = (0x82, 0x86, 4);
        let literal = |index: u8, value: &str| {
            let length = u8::try_from(value.len()).expect("our values are short");
            [&[0x40 | index, length], value.as_bytes()].concat()
        };
        let hosts = hosts.iter().flat_map(|(index, value)| {
            // An index from 15 on, without indexing: the prefix has four bits, and the rest is a byte of its own.
            if *index < 15 { literal(*index, value) } else { [&[0x0f, index - 15], &literal(0, value)[1..]].concat() }
        });
        let block = [vec![method_get, scheme_http], literal(colon_path, path), hosts.collect()].concat();
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block);
    }

    /// The next frame of this kind.
    fn next(&mut self, kind: u8) -> Frame {
        if let Some(place) = self.skipped.iter().position(|frame| frame.kind == kind) {
            return self.skipped.remove(place);
        }
        loop {
            let head = self.wire.take(9);
            let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let payload = self.wire.take(number(0) as usize >> 8);
            let frame = Frame { kind: head[3], flags: head[4], stream: number(5), payload };
            if frame.kind == kind {
                return frame;
            }
            self.skipped.push(frame);
        }
    }

    /// The last stream that the server takes, as its next GOAWAY says.
    fn goaway(&mut self) -> u32 {
        let payload = self.next(GOAWAY).payload;
        u32::from_be_bytes(payload[..4].try_into().expect("a GOAWAY has eight bytes"))
    }

    /// The rest of the answer on this stream.
    fn answer(&mut self, stream: u32) -> String {
        let mut text = String::new();
        loop {
            let frame = self.next(DATA);
            assert_eq!(frame.stream, stream, "an answer to another request: {frame:?}");
            text.push_str(&String::from_utf8_lossy(&frame.payload));
            if frame.flags & END_STREAM != 0 {
                return text;
            }
        }
    }

    /// Pings the server, and waits for its pong.
    fn ping(&mut self) {
        self.send(PING, 0, 0, b"are you?");
        self.next(PING);
    }

    /// Answers the server's ping, and with it the first step of its goodbye.
    fn pong(&mut self) {
        let ping = self.next(PING);
        self.send(PING, ACK, 0, &ping.payload);
    }
}

#[test]
fn a_request_under_way_is_finished_and_goaway_comes_in_two_steps() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::connect_and_greet(&server);
    client.get(1, "/stream?chunks=2&interval=500ms");
    assert_eq!(client.next(DATA).payload, b"line 1 of 2\n");
    drain(&mut server);

    assert_eq!(client.goaway(), ANY_STREAM, "the first GOAWAY only warns");
    // On its way when the warning came.
    client.get(3, "/readyz");
    client.pong();
    assert_eq!(client.answer(3), "stopping\n", "what was sent before the pong is answered");
    assert_eq!(client.goaway(), 3, "the second GOAWAY names the last request that is answered");
    assert_eq!(client.answer(1), "line 2 of 2\n");
    assert_eq!(client.wire.ending(), Ending::Eof);
    assert_ends_well(server);
}

#[test]
fn a_request_that_does_not_name_one_host_is_refused_and_its_connection_stays() {
    let server = start(&[]);
    let mut client = Client::connect_and_greet(&server);
    let refused: [&[(u8, &str)]; 7] = [
        &[(AUTHORITY, "u@a")],
        &[(AUTHORITY, "a"), (HOST, "b")],
        &[(AUTHORITY, "a"), (HOST, "a"), (HOST, "a")],
        &[(AUTHORITY, "a:99x")],
        &[(HOST, "a/b")],
        &[(HOST, "a, b")],
        &[],
    ];
    for (stream, hosts) in (1..).step_by(4).zip(refused) {
        client.get_from(stream, "/readyz", hosts);
        assert_eq!(client.next(HEADERS).payload[0], STATUS_400, "{hosts:?}");
        assert!(client.answer(stream).contains("host"), "a sentence should say what is wrong with {hosts:?}");
        client.get(stream + 2, "/readyz");
        assert_eq!(client.answer(stream + 2), "ready\n", "the request behind one for {hosts:?}");
        client.next(HEADERS);
    }
    for (stream, hosts) in [(31, &[(AUTHORITY, "LAB:80"), (HOST, "lab:80")][..]), (33, &[(HOST, "lab")])] {
        client.get_from(stream, "/readyz", hosts);
        assert_eq!(client.answer(stream), "ready\n", "{hosts:?}");
    }
}

#[test]
fn a_fresh_connection_is_answered_and_then_told_to_leave() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut silent = Client::connect(&server);
    let greeted = Client::connect_and_greet(&server);
    drain(&mut server);
    silent.wire.send(PREFACE);
    silent.settle();
    for mut client in [silent, greeted] {
        // The server has noticed the drain when it answers the first ping, and written what it had to say about it when it
        // answers the second.
        client.ping();
        client.ping();
        let told = client.skipped.iter().any(|frame| frame.kind == GOAWAY);
        assert!(!told, "a client that is told to leave before it was heard takes it for a refusal");
        client.get(1, "/readyz");
        assert_eq!(client.answer(1), "stopping\n");
        assert_eq!(client.goaway(), ANY_STREAM);
        client.pong();
        assert_eq!(client.goaway(), 1);
        assert_eq!(client.wire.ending(), Ending::Eof);
    }
    assert_ends_well(server);
}

#[test]
fn the_preface_may_come_byte_by_byte() {
    let mut server = start(&[]);
    let mut client = Client::connect(&server);
    let mut other = Wire::connect(server.address());
    for byte in PREFACE {
        client.wire.send([*byte]);
        // Time for the server to read each byte on its own. Nothing depends on whether it does.
        other.ask("/");
    }
    client.settle();
    client.get(1, "/readyz");
    assert_eq!(client.answer(1), "ready\n");
    drop((client, other));
    drain(&mut server);
    assert_ends_well(server);
}

#[test]
fn a_client_that_never_asked_is_told_to_leave_and_does_not_hold_the_drain() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::connect_and_greet(&server);
    drain(&mut server);
    assert_eq!(client.goaway(), ANY_STREAM);
    client.pong();
    assert_eq!(client.goaway(), 0);
    assert_eq!(client.wire.ending(), Ending::Eof);
    assert_ends_well(server);
}

/// A socket that is closed answers whatever still comes with RST, which may destroy what the client has not read.
#[test]
fn the_socket_stays_open_for_a_client_that_has_not_closed_its_side() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::connect_and_greet(&server);
    drain(&mut server);
    client.goaway();
    client.pong();
    client.goaway();
    assert_eq!(client.wire.ending(), Ending::Eof);
    let said = Instant::now();
    assert_ends_well(server);
    // It waits two seconds, of which some have passed.
    assert!(said.elapsed() > Duration::from_secs(1), "it was closed after {:?}", said.elapsed());
}

#[test]
fn a_client_that_does_not_answer_the_ping_is_left_at_the_deadline_and_counts_as_nothing() {
    let mut server = start(&["--drain-timeout", "300ms"]);
    let mut client = Client::connect_and_greet(&server);
    client.get(1, "/readyz");
    assert_eq!(client.answer(1), "ready\n");
    drain(&mut server);
    assert_ends_well(server);
    client.wire.rest();
}

#[test]
fn requests_are_cut_at_the_deadline_and_counted() {
    let mut server = start(&["--drain-timeout", "200ms"]);
    let mut client = Client::connect_and_greet(&server);
    for stream in [1, 3, 5] {
        client.get(stream, "/stream?chunks=2&interval=1h");
        assert_eq!(client.next(DATA).stream, stream);
    }
    drain(&mut server);
    assert_cuts(server, 3);
    client.wire.rest();
}
