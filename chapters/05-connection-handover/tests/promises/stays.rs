//! What cannot be handed over, and is drained as in chapter 4.

use lab::{Ending, Generations, Wire, await_exit};

use crate::server::{assert_served_by, start};

/// A body that the handler did not read to its end is still on its way: what comes over the connection next is no request.
#[test]
fn a_body_that_nobody_reads_is_never_taken_for_a_request() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    // 405: the demo does not look at what is sent to /. And its body looks like a request.
    let smuggled = "GET /sleep/?duration=0s HTTP/1.1\r\nHost: lab\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n\r\nx", smuggled.len() + 1));
    assert_eq!(client.reply().status, 405);
    let old = server.upgrade();
    // Whether it arrives is up to the kernel: the server is closing.
    let _ = client.try_send(smuggled);
    let (rest, _) = client.rest();
    assert_eq!(rest, "", "the rest of a body was answered");
    await_exit(old);
}

/// A connection that has had an answer to a request whose body nobody read.
fn answered_unread(server: &Generations) -> Wire {
    let mut client = Wire::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\nxyz");
    assert_eq!(client.reply().status, 405);
    client
}

/// Small enough for hyper to read it to its end by itself. But we do not know that it has.
#[test]
fn a_connection_whose_last_body_nobody_read_goes_over_after_the_next_request() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = answered_unread(&server);
    let old = server.upgrade();
    assert_served_by(&mut client, 1);
    await_exit(old);
    assert_served_by(&mut client, 2);
}

#[test]
fn and_if_none_comes_it_is_closed_politely() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = answered_unread(&server);
    let old = server.upgrade();
    assert_eq!(client.ending(), Ending::Eof);
    await_exit(old);
}

#[test]
fn without_handover_connections_are_closed_politely() {
    let mut server = start(&["--handover", "off"]);
    let mut client = Wire::connect(server.address());
    assert_served_by(&mut client, 1);
    let old = server.upgrade();
    let reply = client.ask("/");
    assert!(reply.says_close() && reply.header("x-generation") == Some("1"), "{reply:?}");
    assert_eq!(client.ending(), Ending::Eof);
    await_exit(old);
}
