//! Clients that close their sending side behind a request, and want the answer (RFC 9112, section 9.6); and clients that are
//! gone. To the server both look alike, until it writes.

use testkit::{End, Ending, Wire, assert_ends_well, await_exit};

use crate::server::{assert_served_by, drain, replace, start};

#[test]
fn a_half_closed_client_is_answered() {
    let server = start(&[]);
    for request in [
        "GET /sleep/?duration=200ms HTTP/1.1\r\nHost: lab\r\n\r\n",
        "GET /sleep/?duration=200ms HTTP/1.0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\n\r\nhi",
        "POST /echo HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ] {
        let mut client = Wire::connect(server.address());
        client.send(request);
        client.close_our_side();
        assert_eq!(client.reply().status, 200, "{request:?}");
        assert_eq!(client.ending(), Ending::Eof, "{request:?}");
    }
}

#[test]
fn all_requests_of_a_half_closed_client_that_pipelines_are_answered() {
    let server = start(&[]);
    let mut client = Wire::connect(server.address());
    let get = "GET /sleep/?duration=50ms HTTP/1.1\r\nHost: lab\r\n\r\n";
    client.send(get.repeat(4));
    client.close_our_side();
    for _ in 0..4 {
        assert_eq!(client.reply().status, 200);
    }
    assert_eq!(client.ending(), Ending::Eof);
}

#[test]
fn a_half_closed_client_is_answered_during_an_upgrade() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let [before, after] = [(), ()].map(|()| {
        let mut client = Wire::connect(server.address());
        client.get("/stream?chunks=2&interval=500ms");
        client.wait_for("line 1 of 2");
        client
    });
    before.close_our_side();
    let old = server.upgrade();
    after.close_our_side();
    for mut client in [before, after] {
        assert!(client.reply().text().ends_with("line 2 of 2\n"));
        assert_eq!(client.ending(), Ending::Eof);
    }
    await_exit(old);
}

#[test]
fn a_half_closed_client_is_answered_when_the_server_stops() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.get("/stream?chunks=2&interval=500ms");
    client.wait_for("line 1 of 2");
    client.close_our_side();
    drain(&mut server);
    assert!(client.reply().text().ends_with("line 2 of 2\n"));
    assert_eq!(client.ending(), Ending::Eof);
    assert_ends_well(server);
}

#[test]
fn half_a_head_and_then_the_end_is_no_request_wherever_it_is_by_then() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.send("GET / HT");
    replace(&mut server);
    client.close_our_side();
    client.rest();
    server.stop();
}

#[test]
fn clients_that_end_their_side_or_go_while_their_connection_is_on_its_way() {
    let mut server = start(&[]);
    let mut ending: Vec<_> = (0..100).map(|_| Wire::connect(server.address())).collect();
    let going: Vec<_> = (0..100).map(|_| Wire::connect(server.address())).collect();
    for client in &mut ending {
        assert_served_by(client, 1);
    }
    let old = server.upgrade();
    drop(going);
    for client in &mut ending {
        client.close_our_side();
        assert_eq!(client.ending(), Ending::Eof);
    }
    await_exit(old);
    replace(&mut server);
    server.assert_answered_by(3);
}

/// The server notices that it is gone when it writes the next line.
#[test]
fn a_client_that_vanishes_in_its_answer_does_not_hold_the_old_process() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.get("/stream?chunks=1000000&interval=10ms");
    client.wait_for("line 1 of");
    server.upgrade();
    drop(client);
    assert_eq!(server.program.wait(), End::Exited(0), "{}", server.program.output());
}

#[test]
fn a_client_that_vanishes_in_its_body_does_not_hold_the_old_process() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    client.wait_for("first");
    server.upgrade();
    drop(client);
    assert_eq!(server.program.wait(), End::Exited(0), "{}", server.program.output());
}
