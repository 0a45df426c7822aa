//! Everything that can be on an HTTP/2 connection when it goes over.

use testkit::await_exit;

use crate::client::{
    ACK, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, setting,
};
use crate::server::{replace, start};

#[test]
fn one_connection_outlives_twenty_upgrades() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    for generation in 1..=21 {
        client.assert_served_by(u32::try_from(generation).expect("it is small") * 2 - 1, generation);
        if generation < 21 {
            replace(&mut server);
        }
    }
}

#[test]
fn one_that_has_not_asked_yet() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    replace(&mut server);
    replace(&mut server);
    client.assert_served_by(1, 3);
}

/// The client is told to keep no table; its acknowledgement says that its header blocks depend on none before.
#[test]
fn one_whose_settings_are_not_acknowledged_waits_for_that() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::connect(&server);
    client.wire.send(crate::client::PREFACE);
    client.send(SETTINGS, 0, 0, &[]);
    client.find(|frame| frame.kind == SETTINGS && frame.flags == ACK);
    let old = server.upgrade();
    let settings = client.acknowledge();
    assert!(settings.chunks(6).any(|said| said == setting(1, 0)), "the table should be empty: {settings:?}");
    await_exit(old);
    client.assert_served_by(1, 2);
}

#[test]
fn a_request_under_way_is_finished_by_the_process_that_has_it() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.get(1, "/stream?chunks=3&interval=50ms");
    client.data(1);
    let old = server.upgrade();
    assert!(client.answer(1).ends_with("line 3 of 3\n"));
    await_exit(old);
    client.assert_served_by(3, 2);
}

/// Longer than the connection is waited for without holding, and not as long as it is held.
#[test]
fn what_is_asked_while_a_stream_is_open_is_answered_by_the_new_process() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.take_all();
    client.get(1, "/sleep/?duration=350ms");
    // In this order, so the process has the request.
    client.ping(1);
    client.pong(1);
    let old = server.upgrade();
    // Again and again, so that some come while new streams are held.
    for stream in (3..).step_by(2) {
        client.get(stream, "/");
        client.ping(stream.into());
        client.pong(stream.into());
        let last = client.answer(stream);
        if last.ends_with("generation 2\n") {
            break;
        }
        assert!(!client.skipped.iter().any(|frame| frame.kind == GOAWAY), "the connection should go over");
    }
    assert!(client.answer(1).contains("slept"), "the old process should have answered before");
    await_exit(old);
}

#[test]
fn an_upload_that_is_half_sent_ends_where_it_began() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.post(1, b"first");
    assert_eq!(client.data(1).payload, b"first");
    let old = server.upgrade();
    client.send(DATA, END_STREAM, 1, b"rest.");
    assert_eq!(client.answer(1), "rest.");
    await_exit(old);
    client.assert_served_by(3, 2);
}

#[test]
fn a_frame_may_be_cut_anywhere() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(GET, "/"));
    for part in [&request[..5], &request[5..9], &request[9..12]] {
        client.wire.send(part);
        replace(&mut server);
    }
    client.wire.send(&request[12..]);
    client.assert_answered_by(1, 4);
}

#[test]
fn a_header_block_may_be_cut_between_its_frames() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.assert_served_by(1, 1);
    let (first, second) = (&block(GET, "/")[..2], &block(GET, "/")[2..]);
    client.send(HEADERS, END_STREAM, 3, first);
    let old = server.upgrade();
    client.send(CONTINUATION, END_HEADERS, 3, second);
    client.assert_answered_by(3, 1);
    await_exit(old);
    client.assert_served_by(5, 2);
}

/// What a client says about streams that a predecessor had.
#[test]
fn late_frames_are_dropped_and_their_window_is_given_back() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    client.assert_served_by(1, 1);
    replace(&mut server);
    client.assert_served_by(3, 2);
    let granted = |client: &Client| {
        let frames = client.skipped.iter().filter(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0);
        frames.map(|frame| u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"))).sum::<u32>()
    };
    let before = granted(&client);
    client.send(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]);
    client.send(DATA, 0, 1, &[b'x'; 10_000]);
    client.send(HEADERS, END_STREAM, 1, &[0x82]);
    client.send(CONTINUATION, END_HEADERS, 1, &[0x86]);
    client.send(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]);
    client.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    client.assert_served_by(5, 2);
    assert_eq!(granted(&client) - before, 10_000, "the client should have what it had");
}

#[test]
fn a_stream_that_the_client_resets_is_not_waited_for() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.get(1, "/stream?chunks=2&interval=1h");
    client.data(1);
    let old = server.upgrade();
    client.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    await_exit(old);
    client.assert_served_by(3, 2);
}

/// The order of what was named is not that of what is opened.
#[test]
fn a_stream_that_was_only_named_can_be_opened_later() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    for stream in [3, 5, 7, 9, 11] {
        client.send(PRIORITY, 0, stream, &[0, 0, 0, 0, 9]);
    }
    replace(&mut server);
    client.assert_served_by(3, 2);
    client.send(PRIORITY, 0, 13, &[0, 0, 0, 0, 9]);
    replace(&mut server);
    client.assert_served_by(13, 3);
}

#[test]
fn every_ping_is_answered_once_and_in_order() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    for round in 0..10 {
        let old = server.upgrade();
        for number in 0..20 {
            client.ping(round * 20 + number);
        }
        await_exit(old);
    }
    for number in 0..200 {
        let pong = client.next(PING);
        assert_eq!((pong.flags, &pong.payload[..]), (ACK, &u64::to_be_bytes(number)[..]), "ping {number}");
    }
}

/// The new process's library believes in a window that the client does not have.
#[test]
fn a_client_that_takes_no_more_gets_no_more() {
    const BODY: usize = 100_000;
    let mut server = start(&["--drain-timeout", "1h"]);
    // Streams may have as much as they like; the connection may not.
    let mut client = Client::greet_with(&server, &setting(4, 1 << 20));
    let upload = |client: &mut Client, stream: u32, length: usize| {
        client.send(HEADERS, END_HEADERS, stream, &block(crate::client::POST, "/echo"));
        for part in vec![b'x'; length].chunks(16_384) {
            client.send(DATA, 0, stream, part);
        }
        client.send(DATA, END_STREAM, stream, &[]);
    };
    let took = |client: &mut Client, stream: u32, length: usize| {
        let mut taken = 0;
        while taken < length {
            taken += client.data(stream).payload.len();
        }
        assert_eq!(taken, length, "the server sends all that the client takes, and no more");
    };
    upload(&mut client, 1, 60_000);
    took(&mut client, 1, 60_000);
    client.answer(1);
    replace(&mut server);
    upload(&mut client, 3, BODY);
    took(&mut client, 3, 5_535);
    // Nothing more comes before the answer to a ping.
    client.ping(1);
    client.pong(1);
    assert!(!client.skipped.iter().any(|frame| frame.kind == DATA), "more than the client takes");
    for (more, gets) in [(1, 1), (20_000, 20_000), (100_000, BODY - 25_536)] {
        client.send(WINDOW_UPDATE, 0, 0, &u32::to_be_bytes(more));
        took(&mut client, 3, gets);
    }
    client.answer(3);
    // The client has 25,536 left.
    replace(&mut server);
    upload(&mut client, 5, BODY);
    took(&mut client, 5, 100_000 - (BODY - 25_536));
}

#[test]
fn what_the_client_may_send_is_what_the_new_process_reads() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet_with(&server, &setting(4, 1 << 30));
    client.send(WINDOW_UPDATE, 0, 0, &u32::to_be_bytes(1 << 30));
    // It may not send as much before.
    let first = client.find(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0);
    client.skipped.push(first);
    let mut sent = 0_u32;
    for (stream, generation) in [(1, 1), (3, 2), (5, 3)] {
        client.send(HEADERS, END_HEADERS, stream, &block(crate::client::POST, "/echo"));
        // All at once: more than a fresh library allows.
        for _ in 0..20 {
            client.send(DATA, 0, stream, &[b'x'; 16_384]);
            sent += 16_384;
        }
        client.send(DATA, END_STREAM, stream, &[]);
        assert_eq!(client.answer(stream).len(), 20 * 16_384, "the answer of generation {generation}");
        replace(&mut server);
    }
    let granted = client.skipped.iter().filter(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0);
    let granted: u32 =
        granted.map(|frame| u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"))).sum();
    assert!(65_535 + granted - sent <= 1 << 20, "the client was granted {granted} for {sent}: too much");
}

#[test]
fn a_client_may_change_its_table_and_its_windows_at_any_time() {
    let mut server = start(&[]);
    let mut client = Client::greet(&server);
    let mut stream = 1;
    for (generation, table) in (1..).zip([0, 65_536, 4_096, 100]) {
        client.send(SETTINGS, 0, 0, &[setting(1, table), setting(4, 1 + table)].concat());
        client.find(|frame| frame.kind == SETTINGS && frame.flags == ACK);
        client.get(stream, "/");
        if table == 0 {
            // A window of 1.
            client.send(WINDOW_UPDATE, 0, stream, &[0, 0, 1, 0]);
        }
        client.assert_answered_by(stream, generation);
        replace(&mut server);
        client.send(HEADERS, END_STREAM | END_HEADERS, stream + 2, &block(GET, "/readyz"));
        client.send(WINDOW_UPDATE, 0, stream + 2, &[0, 0, 1, 0]);
        let head = client.find(|frame| frame.kind == HEADERS && frame.stream == stream + 2);
        // The first block of a library begins with the size of its table (RFC 7541, section 6.3), and the first size is 0.
        assert_eq!(head.payload[0], 0x20, "the client's table should be emptied: {head:?}");
        assert_eq!(client.answer(stream + 2), "ready\n");
        stream += 4;
    }
}
