//! What a server of this size cannot see: it counts exchanges, and does not see what else is on the wire.
//!
//! Each test asserts what happens then, so that the table at the end of the chapter is true. Chapter 5 sees all of it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use graceful_shutdown::{HttpService, Outcome, Server};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use testkit::{Ending, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::timeout;

use crate::library::{A_LONG_TIME, bind};
use crate::server::Server as Program;

const GET: &str = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";

/// An answer that says `close` is the last one, whatever is behind it.
#[test]
fn a_request_pipelined_behind_one_that_is_being_answered_is_lost() {
    let mut server = Program::start(&[]);
    let mut client = server.connect();
    // With the answer to the first, the others were read, too.
    client.send([GET, "GET /sleep/?duration=300ms HTTP/1.1\r\nHost: lab\r\n\r\n", GET].concat());
    assert!(!client.reply().says_close());
    server.drain();
    assert!(client.reply().says_close());
    client.ending();
    server.assert_ends_well();
}

/// No head, no exchange: the connection is idle, and closed two seconds later.
#[test]
fn half_a_head_is_lost() {
    let mut server = Program::start(&["--drain-timeout", "1h"]);
    let mut client = server.connect();
    client.ask("/");
    client.send("GET / HTTP/1.1\r\nHos");
    server.drain();
    client.ending();
    server.assert_ends_well();
}

/// hyper waits for the first head on a connection, up to a timeout of its own. The deadline comes before that.
#[test]
fn half_a_head_on_a_fresh_connection_holds_the_drain_until_the_deadline_and_is_not_counted() {
    let mut server = Program::start(&["--drain-timeout", "3s"]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHos");
    let begin = Instant::now();
    server.drain();
    client.ending();
    server.assert_ends_well();
    assert!(begin.elapsed() >= Duration::from_secs(3), "it ended after {:?}", begin.elapsed());
}

/// hyper's clock for a head starts with the wait for it; so half a head has the idle timeout as well.
#[test]
fn outside_of_a_drain_half_a_head_has_what_is_left_of_the_idle_timeout_and_the_first_one_the_head_timeout_more() {
    let server = Program::start(&["--idle-timeout", "500ms", "--head-timeout", "1h"]);
    let mut kept = server.connect();
    kept.ask("/");
    kept.send("GET / HTTP/1.1\r\nHos");
    kept.ending();
    let server = Program::start(&["--idle-timeout", "500ms", "--head-timeout", "2s"]);
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nHos");
    let begin = Instant::now();
    first.ending();
    assert!(begin.elapsed() > Duration::from_secs(2), "it ended after {:?}", begin.elapsed());
}

/// The exchange ends with its answer, and the connection with the exchange, whatever the client still sends: Linux resets.
#[test]
fn a_client_that_sends_a_body_which_the_handler_does_not_read_is_reset_before_it_reads_its_answer() {
    let mut server = Program::start(&[]);
    let mut client = server.connect();
    server.drain();
    // More than the socket buffers of both sides can hold.
    let body = "x".repeat(16 << 20);
    let head = format!("DELETE /echo HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n\r\n", body.len());
    assert!(client.try_send([head, body].concat()).is_err(), "the server should not have read all of that");
    server.assert_ends_well();
}

#[test]
fn http_2_is_not_spoken() {
    let server = Program::start(&[]);
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let (answer, _) = client.rest();
    assert_eq!(answer, "", "an HTTP/2 client gets nothing that it could understand");
    server.program.signal(nix::sys::signal::Signal::SIGTERM);
    server.assert_ends_well();
}

type Connection = TokioIo<Upgraded>;

/// Answers with 101, and gives the connection to the test, which is its handler from then on.
fn upgrade(to: UnboundedSender<Connection>) -> impl HttpService {
    service_fn(move |request: Request<Incoming>| {
        let to = to.clone();
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(request).await.expect("the client asked for it");
            to.send(TokioIo::new(upgraded)).expect("the test takes it");
        });
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header(CONNECTION, "upgrade");
        let answer = answer.header(UPGRADE, "anything").body(Empty::<Bytes>::new()).expect("a valid answer");
        async move { Ok::<_, Infallible>(answer) }
    })
}

/// Its exchange ended with the 101, and its connection left with the handler.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_a_handler_took_over_is_neither_waited_for_nor_told_nor_counted() {
    let (listener, address) = bind();
    let (sender, mut connections) = mpsc::unbounded_channel();
    let server = Server::new();
    server.serve(listener, upgrade(sender)).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: anything\r\n\r\n");
    assert_eq!(client.reply().status, 101);
    let mut connection = timeout(A_LONG_TIME, connections.recv()).await.expect("in time").expect("it was upgraded");

    assert_eq!(server.shutdown(A_LONG_TIME).await, Outcome { finished: 0, cut: 0 });
    client.send("bye");
    let mut said = [0; 3];
    connection.read_exact(&mut said).await.expect("it lives on for as long as the process");
    connection.write_all(&said).await.expect("it lives on for as long as the process");
    client.wait_for("bye");
}

/// The exchange ends when hyper has the last byte. The client may have only a few by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_while_its_client_reads_the_end_of_it_is_not_counted() {
    let large = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("x".repeat(16 << 20))));
    let (listener, address) = bind();
    let server = Server::new();
    server.serve(listener, large).expect("the runtime waits on it");
    let mut client = Wire::connect(&address);
    client.get("/");
    client.wait_for("xxx");
    assert_eq!(server.shutdown(Duration::from_millis(100)).await, Outcome { finished: 0, cut: 0 });
    let (answer, _) = client.rest();
    assert!(answer.len() < 16 << 20, "the answer should have been cut");
}

/// A client that closes its side may still want the answer. hyper learns only by writing that the client is gone.
#[test]
fn a_client_that_has_gone_counts_as_cut_if_its_answer_has_nothing_to_write_before_the_deadline() {
    let mut server = Program::start(&["--drain-timeout", "500ms"]);
    let mut client = server.connect();
    client.get("/stream?chunks=2&interval=1h");
    client.wait_for("line 1 of 2");
    drop(client);
    server.drain();
    server.assert_cuts(1);
}

/// hyper grants keep-alive to a client of HTTP/1.0 that asks for it, even in an answer that says `close`.
#[test]
fn a_client_of_http_1_0_is_told_both() {
    let mut server = Program::start(&[]);
    let mut client = server.connect();
    server.drain();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.all("connection"), ["close, keep-alive"], "{reply:?}");
    assert_eq!(client.ending(), Ending::Eof);
    server.assert_ends_well();
}
