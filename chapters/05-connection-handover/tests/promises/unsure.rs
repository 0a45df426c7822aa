//! A connection that the HTTP library may read differently from the gate: it stays in its process, which closes it as
//! politely as one that could have gone.

use testkit::{Ending, Reply, Wire, assert_ends_well, await_exit};

use crate::server::{assert_last, drain, start};

/// The library takes a line that ends with LF alone; other parsers do not.
const UNSURE: &str = "GET / HTTP/1.1\r\nHost: lab\nX: y\r\n\r\n";

fn ask(client: &mut Wire) -> Reply {
    client.send(UNSURE);
    client.reply()
}

#[test]
fn it_stays_and_its_next_answer_says_that_it_is_the_last() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    assert_eq!(ask(&mut client).status, 200, "this shows something only if the library takes it");
    let old = server.upgrade();
    assert_last(&ask(&mut client), 1);
    assert_eq!(client.ending(), Ending::Eof);
    await_exit(old);
}

#[test]
fn a_request_under_way_is_answered_first() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    assert_eq!(ask(&mut client).status, 200);
    client.get("/stream?chunks=2&interval=300ms");
    client.wait_for("line 1 of 2");
    let old = server.upgrade();
    assert!(client.reply().text().ends_with("line 2 of 2\n"));
    assert_last(&client.ask("/"), 1);
    await_exit(old);
}

#[test]
fn a_silent_one_is_closed_and_is_no_request_that_was_cut() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut alone = Wire::connect(server.address());
    assert_eq!(ask(&mut alone).status, 200);
    // The gate has counted the first of these, and cannot count its answer any more.
    let mut second = Wire::connect(server.address());
    second.send(["GET / HTTP/1.1\r\nHost: lab\r\n\r\n", UNSURE].concat());
    assert_eq!([second.reply().status, second.reply().status], [200, 200]);
    drain(&mut server);
    assert_ends_well(server);
    assert_eq!([alone.ending(), second.ending()], [Ending::Eof, Ending::Eof]);
}

#[test]
fn a_client_in_full_use_is_told_and_loses_nothing() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    assert_eq!(ask(&mut client).status, 200);
    let old = server.upgrade();
    let answers = std::iter::repeat_with(|| ask(&mut client)).position(|reply| reply.says_close());
    assert!(answers.is_some_and(|answers| answers < 100), "it was not told within {answers:?} answers");
    assert_eq!(client.ending(), Ending::Eof);
    await_exit(old);
}
