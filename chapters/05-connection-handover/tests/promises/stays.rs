//! What cannot be handed over is closed politely by the old process, as in chapter 4.

use testkit::{Ending, Wire, await_exit};

use crate::server::{assert_served_by, replace, start};

/// A body that the handler did not read to its end is still on its way: what comes over the connection next is no request.
#[test]
fn a_body_that_no_handler_reads_is_never_taken_for_a_request() {
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

/// Small enough for hyper to read it to its end by itself, which the gate sees.
#[test]
fn a_connection_whose_last_body_no_handler_read_goes_over() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 3\r\n\r\nxyz");
    assert_eq!(client.reply().status, 405);
    replace(&mut server);
    assert_served_by(&mut client, 2);
}

/// The answer says so, if there is time for it; the old process does not wait for the client then.
#[test]
fn a_request_that_ends_its_connection_ends_it() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.send("GET /stream?chunks=2&interval=300ms HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    client.wait_for("line 1 of 2");
    let old = server.upgrade();
    assert!(client.reply().says_close());
    assert_eq!(client.ending(), Ending::Eof);
    drop(client);
    await_exit(old);
}
