//! Everything that can be on a connection when it goes over.

use std::io::Write as _;
use std::time::{Duration, Instant};

use testkit::{Ending, Generations, Wire, await_exit, field};

use crate::server::{assert_kept, assert_last, assert_served_by, command, drain, replace, start};

const GET: &str = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";

#[test]
fn an_idle_connection() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    for generation in 1..=4 {
        assert_served_by(&mut client, generation);
        replace(&mut server);
    }
    assert_served_by(&mut client, 5);
}

#[test]
fn one_that_has_never_said_anything() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    replace(&mut server);
    replace(&mut server);
    assert_served_by(&mut client, 3);
}

#[test]
fn half_a_head() {
    let mut server = start(&[]);
    let mut first = Wire::connect(server.address());
    let mut later = Wire::connect(server.address());
    let mut preface = Wire::connect(server.address());
    assert_served_by(&mut later, 1);
    // As little as one byte, which could also become HTTP/2's preface.
    for (client, begin) in [(&mut first, "GET / HT"), (&mut later, "GET / HTTP/1.1\r\nHos"), (&mut preface, "P")] {
        client.send(begin);
    }
    replace(&mut server);
    replace(&mut server);
    first.send("TP/1.1\r\nHost: lab\r\n\r\n");
    later.send("t: lab\r\n\r\n");
    preface.send("OST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\n\r\nhi");
    for client in [&mut first, &mut later, &mut preface] {
        assert_kept(&client.reply(), 3);
        assert_served_by(client, 3);
    }
}

/// Requests behind one that is being answered go over or are answered here, but each once, and in order.
#[test]
fn four_pipelined_requests_and_half_a_fifth() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    let post = |body: &str| format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\n{body}");
    // The first one holds the connection: its body is not complete.
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\none");
    client.wait_for("one");
    let old = server.upgrade();
    client.send(format!("..{}{}{}POST /echo HT", post("two.."), post("three"), post("four.")));
    for body in ["one..", "two..", "three", "four."] {
        let reply = client.reply();
        assert_eq!(reply.text(), body);
        assert!(!reply.says_close(), "the connection should stay open: {reply:?}");
    }
    await_exit(old);
    client.send("TP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nfifth");
    let reply = client.reply();
    assert_eq!(reply.text(), "fifth");
    assert_kept(&reply, 2);
}

/// More than fits into one message between the two processes, and more than hyper reads at a time.
#[test]
fn a_flood_of_pipelined_requests() {
    const REQUESTS: usize = 40_000;
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\n\r\n1");
    client.wait_for("\r\n\r\n1");
    let mut sender = client.sender();
    let flood = std::thread::spawn(move || {
        sender.write_all(format!("2{}", GET.repeat(REQUESTS)).as_bytes()).expect("the server reads on");
    });
    let old = server.upgrade();
    assert_eq!(client.reply().text(), "12");
    let mut by_the_old_one = 0;
    for _ in 0..REQUESTS {
        let reply = client.reply();
        assert!(!reply.says_close(), "the connection should stay open: {reply:?}");
        by_the_old_one += usize::from(reply.header("x-generation") == Some("1"));
    }
    flood.join().expect("all was sent");
    await_exit(old);
    assert!(by_the_old_one < REQUESTS, "a client that never pauses kept its connection in the old process");
    assert_served_by(&mut client, 2);
}

#[test]
fn a_body_that_is_half_received_is_answered_by_the_process_that_took_its_head() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut by_length = Wire::connect(server.address());
    let mut chunked = Wire::connect(server.address());
    by_length.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    chunked.send("POST /echo HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    for client in [&mut by_length, &mut chunked] {
        client.wait_for("first");
    }
    let old = server.upgrade();
    by_length.send("rest.");
    chunked.send("5\r\nrest.\r\n0\r\n\r\n");
    for client in [&mut by_length, &mut chunked] {
        let reply = client.reply();
        assert_eq!(reply.text(), "firstrest.");
        assert_kept(&reply, 1);
    }
    await_exit(old);
    for client in [&mut by_length, &mut chunked] {
        assert_served_by(client, 2);
    }
}

#[test]
fn an_answer_that_is_still_being_made_is_finished_first() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.get("/stream?chunks=5&interval=50ms");
    client.wait_for("line 1");
    let old = server.upgrade();
    let reply = client.reply();
    assert!(reply.text().ends_with("line 5 of 5\n"));
    assert_kept(&reply, 1);
    await_exit(old);
    assert_served_by(&mut client, 2);
}

/// A large answer that the client does not read yet: it is written to its last byte before the connection goes.
#[test]
fn an_answer_that_is_not_yet_flushed_is_written_first() {
    const LENGTH: usize = 16 << 20;
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    let mut sender = client.sender();
    let body = std::thread::spawn(move || {
        sender
            .write_all(format!("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes())
            .and_then(|()| sender.write_all(&vec![b'x'; LENGTH]))
            .expect("the server reads on");
    });
    client.wait_for("x");
    let old = server.upgrade();
    let reply = client.reply();
    body.join().expect("all was sent");
    assert_eq!(reply.body.len(), LENGTH);
    assert_kept(&reply, 1);
    await_exit(old);
    assert_served_by(&mut client, 2);
}

#[test]
fn head_and_expect_continue() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut head = Wire::connect(server.address());
    head.send("HEAD / HTTP/1.1\r\nHost: lab\r\n\r\n");
    head.wait_for("\r\n\r\n");
    let mut expecting = Wire::connect(server.address());
    expecting.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    // The demo answers at once, so hyper need not say `100 Continue` first.
    expecting.wait_for("200 OK");
    let old = server.upgrade();
    expecting.send("hi");
    assert_eq!(expecting.reply().text(), "hi");
    await_exit(old);
    assert_served_by(&mut expecting, 2);
    head.get("/");
    head.wait_for("generation 2");
}

#[test]
fn http_1_0_with_keep_alive_stays_and_without_it_ends_as_it_must() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let ask = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut keeping = Wire::connect(server.address());
    keeping.send(ask);
    assert_eq!(keeping.reply().header("connection"), Some("keep-alive"));
    replace(&mut server);
    keeping.send(ask);
    let reply = keeping.reply();
    assert_eq!((reply.header("connection"), reply.header("x-generation")), (Some("keep-alive"), Some("2")));

    for last in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"] {
        let mut client = Wire::connect(server.address());
        client.send(last);
        assert_eq!(client.reply().status, 200);
        assert_eq!(client.ending(), Ending::Eof);
    }
}

/// Nothing is read while a connection waits to go over. If it ends instead, it must still notice the client's close.
#[test]
fn one_that_ends_with_its_answer_ends_when_the_client_does() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut client = Wire::connect(server.address());
    client.send("GET /stream?chunks=2&interval=300ms HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    client.wait_for("\r\n\r\n");
    let old = server.upgrade();
    client.rest();
    drop(client);
    let closed = Instant::now();
    await_exit(old);
    // Otherwise, the server waits 2 s for it.
    assert!(closed.elapsed() < Duration::from_secs(1), "it took {:?}", closed.elapsed());
}

#[test]
fn three_upgrades_during_one_request() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut slow = Wire::connect(server.address());
    let mut idle = Wire::connect(server.address());
    slow.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    slow.wait_for("first");
    let old: Vec<_> = (0..3).map(|_| server.upgrade()).collect();
    // Whichever process has it by now.
    let meanwhile = idle.ask("/");
    assert!(!meanwhile.says_close(), "the connection should stay open: {meanwhile:?}");
    slow.send("rest.");
    assert_kept(&slow.reply(), 1);
    // They pass through two generations that are there for nothing else.
    for process in old {
        await_exit(process);
    }
    for client in [&mut slow, &mut idle] {
        assert_served_by(client, 4);
    }
}

/// One CRLF too many behind a body, which a server should ignore (RFC 9112, section 2.2), is not half a request.
#[test]
fn an_empty_line_behind_a_body_is_idle() {
    let mut server = start(&["--drain-timeout", "1h"]);
    let mut clients = [(), ()].map(|()| {
        let mut client = Wire::connect(server.address());
        client.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\n\r\nhi\r\n");
        assert_kept(&client.reply(), 1);
        client
    });
    replace(&mut server);
    assert_served_by(&mut clients[0], 2);
    drain(&mut server);
    for client in &mut clients {
        assert_eq!(client.ending(), Ending::Eof, "two seconds of silence end it");
    }
    await_exit(server.serving);
    let log = server.program.wait_all();
    assert!(!log.contains("cut"), "nothing was asked, so nothing was cut:\n{log}");
}

/// As a balancer does: it should never learn that there was an upgrade.
#[test]
fn health_checks_on_a_kept_connection_through_six_upgrades() {
    let mut server = start(&[]);
    let mut client = Wire::connect(server.address());
    for generation in 1..=6 {
        let reply = client.ask("/readyz");
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_kept(&reply, generation);
        let old = server.upgrade();
        // By the old process or the new one.
        let reply = client.ask("/readyz");
        assert!(reply.status == 200 && !reply.says_close(), "{reply:?}");
        await_exit(old);
    }
    assert_served_by(&mut client, 7);
    drain(&mut server);
    let reply = client.ask("/readyz");
    assert_eq!(reply.status, 503, "the service stops, so no other process will answer: {reply:?}");
    assert_last(&reply, 7);
}

/// The address of the client, as the server's next line about an answer has it.
fn client_in_the_log(server: &mut Generations) -> String {
    let line = server.program.line("answered");
    field(&line, "client").expect("it says which client").to_owned()
}

#[test]
fn the_address_of_the_client_goes_over() {
    let mut command = command();
    command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "debug");
    let mut server = Generations::start(&mut command, 1);
    let mut client = Wire::connect(server.address());
    assert_served_by(&mut client, 1);
    let accepted = client_in_the_log(&mut server);
    assert!(accepted.starts_with("127.0.0.1:") && accepted != server.address(), "{accepted}");
    replace(&mut server);
    assert_served_by(&mut client, 2);
    assert_eq!(client_in_the_log(&mut server), accepted);
}
