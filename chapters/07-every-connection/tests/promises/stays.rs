//! What cannot go over is closed politely by the process that has it, as in chapter 5, and nothing is lost.

use std::path::Path;

use testkit::{Deployment, Ending, Generations, Wire, assert_ends_well, await_exit, example, wait_until};

use crate::client::{ANY_STREAM, Client, DATA, END_STREAM, GOAWAY, HEADERS};
use crate::server::{BINARY, drain, start};

/// Waits for the end that GOAWAY brings, and asserts that this generation has answered what was asked before.
#[track_caller]
fn assert_told(mut client: Client, stream: u32, generation: u64) {
    assert_eq!(client.goaway(), ANY_STREAM, "the first GOAWAY only warns");
    // On its way when the warning came.
    client.get(stream, "/");
    client.answer_ping();
    let answer = client.answer(stream);
    assert!(answer.ends_with(&format!("generation {generation}\n")), "generation {generation}? {answer}");
    assert_eq!(client.goaway(), stream, "the second GOAWAY names the last request that is answered");
    assert_eq!(client.wire.ending(), Ending::Eof);
}

/// Waits until this generation answers on a connection of HTTP/1, and asserts that no answer says that it is the last.
#[track_caller]
fn await_kept(client: &mut Wire, generation: u64) {
    wait_until("this generation has the connection", || {
        let reply = client.ask("/");
        assert!(!reply.says_close(), "{reply:?}");
        reply.text().ends_with(&format!("generation {generation}\n"))
    });
}

#[test]
fn a_stream_that_does_not_end_keeps_its_connection_here_and_new_requests_are_not_held_for_long() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.take_all();
    client.post(1, b"first");
    assert_eq!(client.data(1).payload, b"first");
    let old = server.upgrade();
    let mut stream = 3;
    // One after the other, so that one of them is held; until the server says goodbye, which it does at once then.
    while !client.skipped.iter().any(|frame| frame.kind == GOAWAY) {
        client.get(stream, "/");
        let answer = client.answer(stream);
        assert!(answer.ends_with("generation 1\n"), "{answer}");
        stream += 2;
    }
    client.assert_told(stream - 2);
    client.send(DATA, END_STREAM, 1, b"rest.");
    assert_eq!(client.answer(1), "rest.");
    assert_eq!(client.wire.ending(), Ending::Eof);
    await_exit(old);
}

/// A server of which another version is deployed, and its clients: one of HTTP/2 and one of HTTP/1.
fn replaced_by(other: &Path, first: &Path) -> (Generations, Client, Wire) {
    let deployment = Deployment::of(first);
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let (mut client, mut other_client) = (Client::greet(&server), Wire::connect(server.address()));
    client.assert_served_by(1, 1);
    await_kept(&mut other_client, 1);
    deployment.put_script(&format!(r#"exec {} "$@""#, other.display()));
    server.upgrade();
    (server, client, other_client)
}

#[test]
fn a_successor_that_knows_nothing_of_http_2_gets_the_other_connections() {
    let (_server, client, mut other) = replaced_by(&example(BINARY, "connection-handover"), Path::new(BINARY));
    assert_told(client, 3, 1);
    await_kept(&mut other, 2);
}

#[test]
fn a_predecessor_that_knows_nothing_of_http_2_keeps_it() {
    let (_server, client, mut other) = replaced_by(Path::new(BINARY), &example(BINARY, "connection-handover"));
    assert_told(client, 3, 1);
    await_kept(&mut other, 2);
}

#[test]
fn what_the_successor_declines_is_served_on_and_told_to_leave() {
    const CLIENTS: usize = 60;
    let deployment = Deployment::of(BINARY);
    let mut server = deployment.start(&["--drain-timeout", "1h"]);
    let greeted = || {
        let mut client = Client::greet(&server);
        client.take_all();
        client.assert_served_by(1, 1);
        client
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| greeted()).collect();
    deployment.put_script(&format!(r#"ulimit -n 100; exec {BINARY} "$@""#));
    let old = server.upgrade();
    let (mut kept, mut told) = (0, 0);
    for mut client in clients {
        // The old process may answer some requests before one of the two happens.
        let mut stream = 3;
        let taken = loop {
            client.get(stream, "/");
            let answer = client.answer(stream);
            stream += 2;
            if answer.ends_with("generation 2\n") {
                break true;
            }
            if client.skipped.iter().any(|frame| frame.kind == GOAWAY) {
                break false;
            }
        };
        if taken {
            kept += 1;
        } else {
            assert_told(client, stream, 1);
            told += 1;
        }
    }
    await_exit(old);
    let line = server.program.line("connections taken over");
    assert!(line.contains(&format!("taken={kept} declined={told}")), "{kept} were kept, {told} told: {line}");
    assert!(kept > 0 && told > 0, "some of {CLIENTS} fit below a limit of 100, and some do not: {line}");
}

#[test]
fn a_stop_says_goodbye_on_a_connection_that_was_taken_over() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Client::greet(&server);
    client.assert_served_by(1, 1);
    crate::server::replace(&mut server);
    client.assert_served_by(3, 2);
    drain(&mut server);
    client.assert_told(3);
    assert_eq!(client.wire.ending(), Ending::Eof);
    assert_ends_well(server);
}

/// 16 MiB are announced, and never sent.
#[test]
fn a_frame_that_is_too_long_is_refused_at_its_head() {
    let mut server = start(&[]);
    for upgrades in 0..2 {
        let mut client = Client::greet(&server);
        for _ in 0..upgrades {
            crate::server::replace(&mut server);
        }
        client.wire.send([0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]);
        let goaway = client.next(GOAWAY);
        assert_eq!(goaway.payload[7], 6, "FRAME_SIZE_ERROR: {goaway:?}");
    }
}

/// The library refuses it, whichever process has it.
#[test]
fn a_client_that_breaks_the_rules_is_refused_after_an_upgrade_as_before() {
    let mut server = start(&[]);
    for upgrades in 0..2 {
        let mut clients = [HEADERS, DATA].map(|_| Client::greet(&server));
        for _ in 0..upgrades {
            crate::server::replace(&mut server);
        }
        // A header block that says nothing, and a body without a request.
        clients[0].send(HEADERS, 4, 2, &[0xff]);
        clients[1].send(DATA, 0, 7, b"?");
        for client in &mut clients {
            assert_ne!(client.next(GOAWAY).payload[4..8], [0; 4], "an error should be named");
        }
    }
}
