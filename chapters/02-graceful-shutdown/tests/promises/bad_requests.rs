//! Requests that cannot be answered as asked: a 4xx and a sentence, and the server goes on.

use testkit::{Ending, Reply};

use crate::server::Server;

/// What the server answers to a request with this first line and no body.
fn ask(server: &Server, first: &str) -> Reply {
    let mut client = server.connect();
    client.send(format!("{first} HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n"));
    client.reply()
}

#[track_caller]
fn assert_refused(server: &Server, first: &str, status: u16, words: &str) {
    let reply = ask(server, first);
    assert_eq!(reply.status, status, "{first}: {reply:?}");
    let text = reply.text();
    assert!(text.contains(words) && text.ends_with('\n'), "{first}: a sentence with {words:?} is missing: {text:?}");
}

#[test]
fn a_bad_or_missing_duration_is_400_with_a_sentence() {
    let server = Server::start(&[]);
    assert_refused(&server, "GET /sleep/", 400, "duration");
    assert_refused(&server, "GET /sleep/?duration=", 400, "300ms, 1.5s or 2m");
    assert_refused(&server, "GET /sleep/?duration=5", 400, "300ms, 1.5s or 2m");
    assert_refused(&server, "GET /sleep/?duration=-1s", 400, "300ms, 1.5s or 2m");
    assert_refused(&server, "GET /sleep?duration=%FF", 400, "300ms, 1.5s or 2m");
    assert_refused(&server, "GET /stream", 400, "chunks");
    assert_refused(&server, "GET /stream?chunks=3", 400, "interval");
    assert_refused(&server, "GET /stream?chunks=-3&interval=1s", 400, "not a number");
}

#[test]
fn an_unknown_path_is_404() {
    let server = Server::start(&[]);
    for first in ["GET /nowhere", "POST /nowhere", "DELETE /echo/", "GET //"] {
        assert_refused(&server, first, 404, "nothing at");
    }
}

#[test]
fn a_wrong_method_is_405_and_says_which_are_right() {
    let server = Server::start(&[]);
    for path in ["/", "/sleep/", "/sleep", "/stream", "/readyz"] {
        for method in ["POST", "DELETE", "PROPFIND"] {
            let reply = ask(&server, &format!("{method} {path}"));
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method} {path}: {reply:?}");
        }
    }
    for method in ["GET", "DELETE"] {
        let reply = ask(&server, &format!("{method} /echo"));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method} /echo: {reply:?}");
    }
}

#[test]
fn what_allow_says_is_true() {
    let server = Server::start(&[]);
    for path in ["/", "/sleep/?duration=0s", "/stream?chunks=1&interval=0s", "/readyz"] {
        let mut client = server.connect();
        client.send(format!("HEAD {path} HTTP/1.0\r\n\r\n"));
        let (head, ending) = client.rest();
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "HEAD {path}: {head:?}");
        assert!(head.ends_with("\r\n\r\n"), "the answer to HEAD has no body: {head:?}");
        assert_eq!(ending, Ending::Eof);
    }
}

#[test]
fn every_answer_names_its_process_and_generation() {
    let server = Server::start(&[]);
    let pid = server.program.pid().to_string();
    for first in ["GET /", "GET /nowhere", "DELETE /", "GET /sleep"] {
        let reply = ask(&server, first);
        assert_eq!(reply.header("x-pid"), Some(pid.as_str()), "{first}: {reply:?}");
        assert_eq!(reply.header("x-generation"), Some("1"), "{first}: {reply:?}");
    }
}

#[test]
fn garbage_is_400_and_the_server_goes_on() {
    let mut server = Server::start(&[]);
    let not_http = ["hello\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"];
    for garbage in not_http {
        let mut client = server.connect();
        client.send(garbage);
        assert_eq!(client.reply().status, 400, "{garbage:?}");
        assert_eq!(client.ending(), Ending::Eof, "{garbage:?}");
    }
    let mut tls = server.connect();
    tls.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(tls.reply().status, 400, "a client that speaks TLS should at least see that we do not");

    let mut good = server.connect();
    assert_eq!(good.ask("/").status, 200, "the server goes on");
    server.drain();
    assert_eq!(good.ask("/").status, 200);
    drop((tls, good));
    server.assert_ends_well();
}

#[test]
fn garbage_in_a_drain_is_400_and_no_cut() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    server.drain();
    client.send("hello\r\n\r\n");
    assert_eq!(client.reply().status, 400);
    drop(client);
    server.assert_ends_well();
}

#[test]
fn a_client_that_vanishes_while_its_body_is_read_is_no_cut() {
    let mut server = Server::start(&[]);
    let mut half_a_body = server.connect();
    half_a_body.send("POST /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nfirst");
    half_a_body.wait_for("first");
    server.drain();
    drop(half_a_body);
    server.assert_ends_well();
}

/// What comes back for a request with this first line and these headers; nothing but a close must follow a 400.
fn ask_with(server: &Server, first: &str, headers: &[u8]) -> Reply {
    let mut client = server.connect();
    client.send([first.as_bytes(), b"\r\n", headers, b"\r\n"].concat());
    let reply = client.reply();
    if reply.status == 400 {
        assert!(reply.says_close() && reply.text().lines().count() == 1, "{first:?}: {reply:?}");
        assert_eq!(client.ending(), Ending::Eof);
    }
    reply
}

#[test]
fn a_request_that_does_not_name_one_host_is_400_and_the_last_on_its_connection() {
    let server = Server::start(&[]);
    let (http_11, http_10) = ("GET / HTTP/1.1", "GET / HTTP/1.0");
    let refused: [(&str, &[u8]); 16] = [
        (http_11, b""),
        ("GET http://a/ HTTP/1.1", b""),
        ("POST /echo HTTP/1.1", b"Content-Length: 0\r\n"),
        (http_11, b"Host: a\r\nHost: b\r\n"),
        (http_11, b"Host: a\r\nX: y\r\nhost: a\r\n"),
        (http_11, b"Host: a, b\r\n"),
        (http_11, b"Host: a b\r\n"),
        (http_11, b"Host: u@a\r\n"),
        (http_11, b"Host: a/b\r\n"),
        (http_11, b"Host: a:99x\r\n"),
        (http_11, b"Host: a:99999\r\n"),
        (http_11, b"Host: [::zz]\r\n"),
        (http_11, b"Host: \xe9\r\n"),
        ("GET http://u@a/ HTTP/1.1", b"Host: a\r\n"),
        (http_10, b"Host: a\r\nHost: a\r\n"),
        (http_10, b"Host: a b\r\n"),
    ];
    for (first, headers) in refused {
        let reply = ask_with(&server, first, headers);
        assert_eq!(reply.status, 400, "{first} {:?}: {reply:?}", headers.escape_ascii().to_string());
    }
    let answered: [(&str, &[u8]); 8] = [
        (http_11, b"Host:\r\n"),
        (http_11, b"Host: a:\r\n"),
        (http_11, b"Host: a:80 \r\n"),
        (http_11, b"Host: [::1]:80\r\n"),
        (http_11, b"Host: a_b\r\n"),
        (http_11, b"Host: %41.example\r\n"),
        ("GET http://a/ HTTP/1.1", b"Host: b\r\n"),
        (http_10, b"Content-Length: 0\r\n"),
    ];
    for (first, headers) in answered {
        let reply = ask_with(&server, first, headers);
        assert_eq!(reply.status, 200, "{first} {:?}: {reply:?}", headers.escape_ascii().to_string());
    }
}
